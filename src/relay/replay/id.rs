//! The names of streams and of their events, as clients get them and bring them back.

use crate::units::ShardId;

/// The name of a stream: the shard that has it, and a key that nobody can guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StreamId {
    shard: ShardId,
    key: [u8; 16],
}

impl StreamId {
    /// Length of its text: four hexadecimal digits for the shard, 32 for the key.
    pub const TEXT_BYTES: usize = 36;

    /// The name of a stream of this shard with this key, which must be random.
    #[must_use]
    pub const fn new(shard: ShardId, key: [u8; 16]) -> Self {
        Self { shard, key }
    }

    /// The shard that has it.
    #[must_use]
    pub const fn shard(&self) -> ShardId {
        self.shard
    }

    /// The name in lower-case hexadecimal digits.
    #[must_use]
    pub fn text(&self) -> [u8; Self::TEXT_BYTES] {
        let mut text = [0; Self::TEXT_BYTES];
        let bytes = self.shard.0.to_be_bytes().into_iter().chain(self.key);
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        text
    }

    /// The name that this text is; none: it is written in no other way than [`Self::text`] does.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; Self::TEXT_BYTES] = text.try_into().ok()?;
        let mut bytes = [0; Self::TEXT_BYTES / 2];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let &[high, low] = pair else { return None };
            *byte = value(high)? << 4 | value(low)?;
        }
        let (shard, key) = bytes.split_first_chunk()?;
        Some(Self::new(ShardId(u16::from_be_bytes(*shard)), key.try_into().ok()?))
    }
}

/// The name of an event: `<stream>.<number>`. The first event of a stream has the number 1; 0 is before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventId {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Its number there.
    pub seq: u64,
}

impl EventId {
    /// The event that this text names, as it is in `Last-Event-ID`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (stream, rest) = text.split_at_checked(StreamId::TEXT_BYTES)?;
        let digits = rest.strip_prefix(b".")?;
        let is_plain = digits == b"0" || digits.first().is_some_and(|first| *first != b'0');
        if !is_plain || digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let seq = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(Self { stream: StreamId::parse(stream)?, seq })
    }

    /// Length of its text at most.
    pub const TEXT_BYTES_MAX: usize = StreamId::TEXT_BYTES + 1 + DIGITS_MAX;

    /// Its text, written into `room`.
    #[must_use]
    pub fn text<'r>(&self, room: &'r mut [u8; Self::TEXT_BYTES_MAX]) -> &'r [u8] {
        let mut digits = [0; DIGITS_MAX];
        let (mut at, mut rest) = (DIGITS_MAX, self.seq);
        loop {
            at -= 1;
            digits[at] = digit(u8::try_from(rest % 10).unwrap_or(0));
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let digits = &digits[at..];
        let end = StreamId::TEXT_BYTES + 1 + digits.len();
        room[..StreamId::TEXT_BYTES].copy_from_slice(&self.stream.text());
        room[StreamId::TEXT_BYTES] = b'.';
        room[StreamId::TEXT_BYTES + 1..end].copy_from_slice(digits);
        &room[..end]
    }
}

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

const fn digit(value: u8) -> u8 {
    b"0123456789abcdef"[(value & 15) as usize]
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0x1f, 0xa0, 0xff, 14, 15];
    const TEXT: &str = "00ff000102030405060708090a1fa0ff0e0f";

    #[test]
    fn names_come_back_as_they_went() {
        let stream = StreamId::new(ShardId(255), KEY);
        assert_eq!(stream.text(), TEXT.as_bytes());
        assert_eq!(StreamId::parse(TEXT.as_bytes()), Some(stream));
        let mut room = [0; EventId::TEXT_BYTES_MAX];
        for seq in [0, 1, 9, 10, 12_345, u64::MAX] {
            let event = EventId { stream, seq };
            let text = event.text(&mut room);
            assert_eq!(text, format!("{TEXT}.{seq}").as_bytes());
            assert_eq!(EventId::parse(text), Some(event));
        }
    }

    #[test]
    fn anything_else_is_no_name() {
        let wrong = [
            String::new(),
            TEXT.to_owned(),
            format!("{TEXT}."),
            format!("{TEXT}.-1"),
            format!("{TEXT}.+1"),
            format!("{TEXT}.01"),
            format!("{TEXT}.00"),
            format!("{TEXT}.1 "),
            format!(" {TEXT}.1"),
            format!("{TEXT}.1.1"),
            format!("{TEXT}:1"),
            format!("{TEXT}.18446744073709551616"),
            format!("{}.1", TEXT.to_uppercase()),
            format!("0{}.1", TEXT.trim_start_matches('0')),
            format!("0{TEXT}.1"),
            format!("0{}g.1", TEXT.trim_start_matches('0')),
            "é".repeat(20),
        ];
        for text in wrong {
            assert_eq!(EventId::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
