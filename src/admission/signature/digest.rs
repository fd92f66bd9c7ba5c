//! Digests of bodies: `Content-Digest` (RFC 9530) and the older `Digest` (RFC 3230).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

use crate::admission::refusal::Refusal;
use crate::admission::signature::structured::Bare;
use crate::admission::signature::structured::Reader;

/// What a body must hash to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// By SHA-256.
    Sha256([u8; 32]),
    /// By SHA-512.
    Sha512([u8; 64]),
}

impl Expected {
    /// Whether `hash` is it. (Nothing here is secret: the client has sent both.)
    #[must_use]
    pub fn matches(&self, hash: &[u8]) -> bool {
        match self {
            Self::Sha256(expected) => hash == expected,
            Self::Sha512(expected) => hash == expected,
        }
    }

    /// Whether it is the hash of `body`.
    #[must_use]
    pub fn is_of(&self, body: &[u8]) -> bool {
        let algorithm = match self {
            Self::Sha256(_) => &digest::SHA256,
            Self::Sha512(_) => &digest::SHA512,
        };
        self.matches(digest::digest(algorithm, body).as_ref())
    }

    fn of(sha256: Option<&[u8]>, sha512: Option<&[u8]>) -> Result<Self, Refusal> {
        // One is enough, since both are signed.
        let found = match (sha256, sha512) {
            (Some(bytes), _) => bytes.try_into().ok().map(Self::Sha256),
            (None, Some(bytes)) => bytes.try_into().ok().map(Self::Sha512),
            (None, None) => None,
        };
        found.ok_or(Refusal::DigestMalformed)
    }
}

/// The value of `Content-Digest`: a dictionary of byte sequences.
pub(super) fn content_digest(value: &[u8]) -> Result<Expected, Refusal> {
    let text = str::from_utf8(value).map_err(|_| Refusal::DigestMalformed)?;
    let mut reader = Reader::new(text);
    let (mut sha256, mut sha512) = (None, None);
    let mut seen: Vec<&str> = Vec::new();
    loop {
        let name = reader.key().ok_or(Refusal::DigestMalformed)?;
        let value = reader.value().and_then(Bare::bytes).ok_or(Refusal::DigestMalformed)?;
        let parameters = reader.parameters().ok_or(Refusal::DigestMalformed)?;
        if seen.contains(&name) || seen.len() >= super::SIGNATURES_MAX || !parameters.is_empty() {
            return Err(Refusal::DigestMalformed);
        }
        seen.push(name);
        match name {
            "sha-256" => sha256 = Some(value),
            "sha-512" => sha512 = Some(value),
            _ => {}
        }
        if !reader.comma().ok_or(Refusal::DigestMalformed)? {
            return Expected::of(sha256.as_deref(), sha512.as_deref());
        }
    }
}

/// The value of `Digest`: names in any case, base64.
pub(super) fn digest(value: &[u8]) -> Result<Expected, Refusal> {
    let text = str::from_utf8(value).map_err(|_| Refusal::DigestMalformed)?;
    let (mut sha256, mut sha512) = (None, None);
    for (count, part) in text.split(',').enumerate() {
        let (name, value) = part.trim().split_once('=').ok_or(Refusal::DigestMalformed)?;
        let found = match name.to_ascii_lowercase().as_str() {
            "sha-256" => &mut sha256,
            "sha-512" => &mut sha512,
            _ => continue,
        };
        let bytes = STANDARD.decode(value).map_err(|_| Refusal::DigestMalformed)?;
        if found.replace(bytes).is_some() || count >= super::SIGNATURES_MAX {
            return Err(Refusal::DigestMalformed);
        }
    }
    Expected::of(sha256.as_deref(), sha512.as_deref())
}
