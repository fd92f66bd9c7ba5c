//! The digest of a body, computed while it arrives.

use sha2::Digest as _;
use sha2::Sha256;
use sha2::Sha512;

/// A digest under way. It runs over the content of a body, without chunk sizes and trailers.
#[derive(Clone, Debug)]
pub enum BodyDigest {
    /// `sha-256`.
    Sha256(Sha256),
    /// `sha-512`.
    Sha512(Sha512),
}

/// The longest digest there is, in bytes.
pub const DIGEST_BYTES_MAX: usize = 64;

impl BodyDigest {
    /// SHA-256 of nothing so far.
    #[must_use]
    pub fn sha256() -> Self {
        Self::Sha256(Sha256::new())
    }

    /// SHA-512 of nothing so far.
    #[must_use]
    pub fn sha512() -> Self {
        Self::Sha512(Sha512::new())
    }

    /// Takes in the next bytes of the body.
    pub fn update(&mut self, content: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(content),
            Self::Sha512(hasher) => hasher.update(content),
        }
    }

    /// The digest, written into `room`: 32 or 64 bytes of it.
    #[must_use]
    pub fn finish(self, room: &mut [u8; DIGEST_BYTES_MAX]) -> &[u8] {
        match self {
            Self::Sha256(hasher) => {
                let (room, _) = room.split_at_mut(32);
                room.copy_from_slice(&hasher.finalize());
                room
            }
            Self::Sha512(hasher) => {
                room.copy_from_slice(&hasher.finalize());
                room
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BodyDigest;
    use super::DIGEST_BYTES_MAX;

    fn hex(mut digest: BodyDigest, pieces: &[&str]) -> String {
        pieces.iter().for_each(|piece| digest.update(piece.as_bytes()));
        let mut room = [0; DIGEST_BYTES_MAX];
        digest.finish(&mut room).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The examples of FIPS 180-4.
    #[test]
    fn digests_are_what_the_standard_says() {
        let short = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let long = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                    2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        for pieces in [&["abc"][..], &["a", "", "bc"]] {
            assert_eq!(hex(BodyDigest::sha256(), pieces), short);
            assert_eq!(hex(BodyDigest::sha512(), pieces), long);
        }
        assert!(hex(BodyDigest::sha256(), &[]).starts_with("e3b0c442"));
    }
}
