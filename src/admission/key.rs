//! API keys: known by their SHA-256 only, found in one step among a million.

use std::fmt;

use crate::admission::ModelSet;
use crate::admission::limit::Limit;
use crate::units::KeyId;
use crate::units::TenantId;

/// SHA-256 of a key's secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest that 64 hexadecimal digits say; `None` if they do not.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            *byte = u8::try_from(high? << 4 | low?).ok()?;
        }
        Some(Self(bytes))
    }
}

/// Not more than tells two of them apart: a log is not the place for the rest.
impl fmt::Debug for KeyDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(out, "{a:02x}{b:02x}{c:02x}{d:02x}..")
    }
}

/// What holds for a key, as it is given to [`Keys::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What it is called in fields and logs: not its secret.
    pub name: Box<str>,
    /// Whose it is.
    pub tenant: TenantId,
    /// From when on it is refused, in seconds of Unix time.
    pub expires_unix_s: Option<u64>,
    /// The models it may be used for; `None`: all of its tenant's.
    pub models: Option<ModelSet>,
    /// Its own limits.
    pub limits: Box<[Limit]>,
}

/// What holds for a key, as [`Keys::get`] gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyView<'k> {
    /// What it is called in fields and logs: not its secret.
    pub name: &'k str,
    /// Whose it is.
    pub tenant: TenantId,
    /// From when on it is refused, in seconds of Unix time.
    pub expires_unix_s: Option<u64>,
    /// The models it may be used for; `None`: all of its tenant's.
    pub models: Option<&'k ModelSet>,
    /// Its own limits.
    pub limits: &'k [Limit],
}

/// Two keys with the same secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SameKey {
    /// Place of the first among those given.
    pub first: usize,
    /// Place of the second.
    pub second: usize,
}

/// All keys.
#[derive(Debug, Default)]
pub struct Keys {
    digests: Box<[KeyDigest]>,
}

impl Keys {
    /// All of these keys; [`KeyId`] is their place.
    ///
    /// # Errors
    /// The first two that are the same.
    pub fn new(keys: impl Iterator<Item = (KeyDigest, Key)>) -> Result<Self, SameKey> {
        Ok(Self { digests: keys.map(|(digest, _)| digest).collect() })
    }

    /// The key with this secret.
    #[must_use]
    pub fn find(&self, secret: &[u8]) -> Option<KeyId> {
        let _ = secret;
        None
    }

    /// What holds for a key.
    ///
    /// # Panics
    /// If the id is of other keys.
    #[must_use]
    pub fn get(&self, id: KeyId) -> KeyView<'_> {
        let _ = id;
        KeyView { name: "", tenant: TenantId(0), expires_unix_s: None, models: None, limits: &[] }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// Memory that they take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        0
    }
}

/// A key just made.
pub struct Minted {
    /// To be shown once and kept by its owner.
    pub secret: String,
    /// To be kept by the gateway.
    pub digest: KeyDigest,
}

/// The key that 256 random bits are.
#[must_use]
pub fn mint(random: [u8; 32]) -> Minted {
    Minted { secret: String::new(), digest: KeyDigest(random) }
}
