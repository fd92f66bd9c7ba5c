//! Keys are born here: what a secret looks like, so that scanners for leaked secrets can tell one.

use std::fmt;

use crate::admission::key::KeyDigest;

/// What every secret begins with.
const PREFIX: &str = "rw_";
/// Digits for 256 bits.
const BODY: usize = 43;
/// Digits for 32 bits.
const SUM: usize = 6;
/// Length of a secret, in bytes.
pub const SECRET_BYTES: usize = PREFIX.len() + BODY + SUM;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key just made.
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    /// `rw_`, 43 digits (0-9A-Za-z) for 256 bits, and 6 for the CRC-32 of those 43. To be shown once and kept by its owner.
    pub secret: String,
    /// To be kept by the gateway.
    pub digest: KeyDigest,
}

/// The secret stays out of every log.
impl fmt::Debug for Minted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Minted").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// The key that these random bits are.
#[must_use]
pub fn mint(random: [u8; 32]) -> Minted {
    let body: [u8; BODY] = digits(random);
    let sum: [u8; SUM] = digits(crc32(&body).to_be_bytes());
    let mut secret = PREFIX.to_owned();
    secret.extend(body.iter().chain(&sum).map(|digit| char::from(*digit)));
    let digest = KeyDigest::of(secret.as_bytes());
    Minted { secret, digest }
}

/// Whether `secret` was minted here, as its look and its sum say: nothing that was mistyped or cut.
#[must_use]
pub fn is_minted(secret: &str) -> bool {
    let parts = secret.strip_prefix(PREFIX).and_then(|rest| rest.split_at_checked(BODY));
    let Some((body, sum)) = parts else { return false };
    let expected: [u8; SUM] = digits(crc32(body.as_bytes()).to_be_bytes());
    body.bytes().all(|byte| byte.is_ascii_alphanumeric()) && sum.as_bytes() == expected
}

/// A number, its highest byte first, to the base of 62 with `N` digits.
fn digits<const BYTES: usize, const N: usize>(mut number: [u8; BYTES]) -> [u8; N] {
    let mut text = [b'0'; N];
    for place in text.iter_mut().rev() {
        let mut rest = 0_usize;
        for byte in &mut number {
            let value = rest << 8 | usize::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            rest = value % 62;
        }
        *place = DIGITS[rest];
    }
    text
}

/// CRC-32 as in zip and PNG, a bit at a time: it is needed once for each key made.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = sum >> 1 ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 };
        }
    }
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_zip() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_secret_has_one_length_and_tells_slips() {
        for random in [
            [0; 32],
            [1; 32],
            [0xFF; 32],
            std::array::from_fn(|index| u8::try_from(index * 7).unwrap()),
        ] {
            let minted = mint(random);
            assert_eq!(minted.secret.len(), SECRET_BYTES);
            assert_eq!(minted.digest, KeyDigest::of(minted.secret.as_bytes()));
            assert!(is_minted(&minted.secret), "{}", minted.secret);
            for at in 0..SECRET_BYTES {
                let mut slip = minted.secret.clone().into_bytes();
                slip[at] = if slip[at] == b'x' { b'y' } else { b'x' };
                assert!(!is_minted(&String::from_utf8(slip).unwrap()));
            }
        }
        for no in ["", "rw_", "rw_é", "sk-0123", mint([7; 32]).secret.split_at(1).1] {
            assert!(!is_minted(no));
        }
    }

    /// The same number by another way: added up from its digits.
    #[test]
    fn digits_are_those_of_the_number() {
        let mut random = [0; 32];
        random[16..].copy_from_slice(&0x0123_4567_89AB_CDEF_0011_2233_4455_6677_u128.to_be_bytes());
        let text: [u8; BODY] = digits(random);
        let back = text.iter().fold(0_u128, |number, digit| {
            number * 62 + DIGITS.iter().position(|known| known == digit).unwrap() as u128
        });
        assert_eq!(back, 0x0123_4567_89AB_CDEF_0011_2233_4455_6677);
    }

    #[test]
    fn nothing_shows_the_secret() {
        let minted = mint([9; 32]);
        let shown = format!("{minted:?}");
        assert!(!shown.contains(&minted.secret) && !shown.contains(&minted.digest.to_hex()));
    }
}
