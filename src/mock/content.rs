//! What the answers carry so that every byte can be verified: stream, number, time and checksum.
//!
//! A sealed piece of text (an event or a body) holds
//! `¶<stream>.<number>.<nanoseconds>.<filler>.<checksum>¶`, all numbers in hexadecimal. The checksum is that of all bytes of
//! the piece before it and after it, so that no byte can change unnoticed.

use memchr::memchr;
use memchr::memrchr;

/// What a sealed piece says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seal {
    /// Which answer it belongs to.
    pub stream: u64,
    /// Its place in the answer, from 0.
    pub number: u32,
    /// When it was written: nanoseconds of the host's monotonic clock.
    pub nanos: u64,
}

/// Why a piece is not what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// There is no seal in it.
    Unsealed,
    /// The seal is not whole.
    Torn,
    /// The bytes do not have the checksum that they carry.
    Changed,
}

/// First byte of the mark (a pilcrow, two bytes of UTF-8); no filler character begins with it.
const MARK_FIRST: u8 = 0xC2;
const MARK: &str = "\u{b6}";
/// Bytes from behind the first mark to the filler.
const STAMP_BYTES: usize = 16 + 1 + 8 + 1 + 16 + 1;
const SUM_BYTES: usize = 16;
/// Letters of one, two, three and four bytes, so that a cut anywhere can fall into one.
const FILLER: &str =
    "plain words, caf\u{e9} and na\u{ef}ve, \u{2192} arrows, \u{65e5}\u{672c}\u{8a9e}, \u{1f600}; ";

/// A piece of text with room for a seal; what is the same for every event of an answer is made once.
#[derive(Debug)]
pub struct Template {
    bytes: Vec<u8>,
    stamp_at: usize,
    sum_at: usize,
}

impl Template {
    /// A piece that begins with `before`, ends with `after` and has `bytes` bytes, or as few more as it must.
    #[must_use]
    pub fn new(before: &str, after: &str, bytes: usize) -> Self {
        let fixed = before.len() + 2 * MARK.len() + STAMP_BYTES + 1 + SUM_BYTES + after.len();
        let mut text = String::with_capacity(bytes.max(fixed));
        text.push_str(before);
        text.push_str(MARK);
        let stamp_at = text.len();
        text.push_str("0000000000000000.00000000.0000000000000000.");
        fill(&mut text, bytes.saturating_sub(fixed));
        text.push('.');
        let sum_at = text.len();
        text.push_str("0000000000000000");
        text.push_str(MARK);
        text.push_str(after);
        Self { bytes: text.into_bytes(), stamp_at, sum_at }
    }

    /// Bytes of the piece.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no bytes, which is never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends the piece with this seal to `out`.
    pub fn write(&self, seal: Seal, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let piece = &mut out[start..];
        let stamp = &mut piece[self.stamp_at..self.stamp_at + STAMP_BYTES];
        write_hex(&mut stamp[..16], seal.stream);
        write_hex(&mut stamp[17..25], u64::from(seal.number));
        write_hex(&mut stamp[26..42], seal.nanos);
        let sum = checksum(&piece[..self.sum_at], &piece[self.sum_at + SUM_BYTES..]);
        write_hex(&mut piece[self.sum_at..self.sum_at + SUM_BYTES], sum);
    }
}

/// Reads the seal of a piece and verifies every byte of it.
///
/// # Errors
/// What is wrong with it.
pub fn check(piece: &[u8]) -> Result<Seal, Broken> {
    let first = memchr(MARK_FIRST, piece).ok_or(Broken::Unsealed)?;
    let last = memrchr(MARK_FIRST, piece).ok_or(Broken::Unsealed)?;
    let sum_at = last.checked_sub(SUM_BYTES).ok_or(Broken::Torn)?;
    let stamp_at = first + MARK.len();
    let stamp = piece.get(stamp_at..stamp_at + STAMP_BYTES).ok_or(Broken::Torn)?;
    if stamp_at + STAMP_BYTES > sum_at {
        return Err(Broken::Torn);
    }
    let written = read_hex(&piece[sum_at..last]).ok_or(Broken::Torn)?;
    if written != checksum(&piece[..sum_at], &piece[last..]) {
        return Err(Broken::Changed);
    }
    let number = read_hex(&stamp[17..25]).and_then(|number| u32::try_from(number).ok());
    match (read_hex(&stamp[..16]), number, read_hex(&stamp[26..42])) {
        (Some(stream), Some(number), Some(nanos)) => Ok(Seal { stream, number, nanos }),
        _ => Err(Broken::Torn),
    }
}

/// Appends exactly `bytes` bytes of filler that is whole UTF-8.
fn fill(text: &mut String, bytes: usize) {
    let end = text.len() + bytes;
    for letter in FILLER.chars().cycle() {
        if text.len() + letter.len_utf8() > end {
            break;
        }
        text.push(letter);
    }
    while text.len() < end {
        text.push('-');
    }
}

/// Any changed, lost, added or moved byte changes it (up to one chance in 2^64); it is no protection against intent.
fn checksum(before: &[u8], after: &[u8]) -> u64 {
    mix(mix(0x9E37_79B9_7F4A_7C15, before), after)
}

const fn step(sum: u64, word: u64) -> u64 {
    let product = (sum ^ word).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    product ^ (product >> 29)
}

/// Four sums side by side, because each step of one must wait for the multiplication before it.
fn mix(seed: u64, bytes: &[u8]) -> u64 {
    let mut sums = [1, 2, 3, 4].map(|lane: u64| step(seed ^ lane, bytes.len() as u64));
    let (rows, rest) = bytes.as_chunks::<32>();
    for row in rows {
        let (words, _) = row.as_chunks::<8>();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = step(*sum, u64::from_le_bytes(*word));
        }
    }
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        sums[0] = step(sums[0], u64::from_le_bytes(*word));
    }
    let mut last = [0u8; 8];
    last[..rest.len()].copy_from_slice(rest);
    sums.into_iter().fold(u64::from_le_bytes(last), step)
}

fn write_hex(room: &mut [u8], number: u64) {
    let mut left = number;
    for digit in room.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(left & 15) as usize];
        left >>= 4;
    }
}

/// A number from hexadecimal digits, at most 16 of them.
#[must_use]
pub fn read_hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let mut number = 0u64;
    for &digit in digits {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        number = number << 4 | u64::from(value);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: Seal = Seal { stream: 0xfeed, number: 7, nanos: 123_456_789 };

    #[test]
    fn a_sealed_piece_says_what_was_sealed_and_has_the_size_asked_for() {
        for bytes in [0, 150, 151, 152, 153, 240, 1024, 100_000] {
            let template = Template::new("data: {\"content\":\"", "\"}\n\n", bytes);
            let mut out = b"before".to_vec();
            template.write(SEAL, &mut out);
            assert_eq!(out.len(), 6 + template.len());
            assert_eq!(template.len(), bytes.max(86), "{bytes}");
            assert!(std::str::from_utf8(&out).is_ok());
            assert_eq!(check(&out[6..]), Ok(SEAL));
        }
    }

    #[test]
    fn no_byte_changes_unnoticed() {
        let template = Template::new("data: \"", "\"\n\n", 160);
        let mut piece = Vec::new();
        template.write(SEAL, &mut piece);
        for at in 0..piece.len() {
            for flip in [1u8, 0x80] {
                piece[at] ^= flip;
                assert!(check(&piece).is_err(), "byte {at}");
                piece[at] ^= flip;
            }
            let mut shorter = piece.clone();
            shorter.remove(at);
            // A run of equal bytes loses any of its members to the same effect.
            assert!(check(&shorter).is_err(), "without byte {at}");
            assert!(check(&piece[..at]).is_err());
        }
        assert_eq!(check(&piece), Ok(SEAL));
        assert_eq!(check(b"data: [DONE]\n\n"), Err(Broken::Unsealed));
    }
}
