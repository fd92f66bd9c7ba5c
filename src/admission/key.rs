//! API keys: known by their SHA-256 only, found in one step among a million.

use std::collections::HashMap;
use std::fmt;

use sha2::Digest;
use sha2::Sha256;
use subtle::ConstantTimeEq;

pub use crate::admission::mint::Minted;
pub use crate::admission::mint::SECRET_BYTES;
pub use crate::admission::mint::is_minted;
pub use crate::admission::mint::mint;

use crate::admission::ModelSet;
use crate::admission::limit::Limit;
use crate::units::KeyId;
use crate::units::TenantId;

/// SHA-256 of a key's secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// These bytes, as they were read elsewhere.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of a secret.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

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

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A digest is as good as chance, so a part of it is a hash.
    fn hash(self) -> u64 {
        let [bytes, ..] = self.0.as_chunks::<8>().0 else { return 0 };
        u64::from_le_bytes(*bytes)
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

/// Where the parts of a key lie that are not of one size.
#[derive(Clone, Copy, Debug)]
struct Entry {
    expires_unix_s: u64,
    tenant: TenantId,
    /// End of its name; it begins where that of the key before ends.
    name_end: u32,
    /// End of its limits, likewise.
    limits_end: u32,
    /// Which of the sets; [`ALL_MODELS`]: none.
    models: u32,
}

const NEVER: u64 = u64::MAX;
const ALL_MODELS: u32 = u32::MAX;
const EMPTY: u32 = u32::MAX;

/// All keys, packed: names in one text, limits in one list, equal lists of models once.
#[derive(Debug, Default)]
pub struct Keys {
    /// Ids by hash, with linear probing; a power of two of them, at most half of them in use.
    slots: Box<[u32]>,
    digests: Box<[KeyDigest]>,
    entries: Box<[Entry]>,
    names: Box<str>,
    limits: Box<[Limit]>,
    sets: Box<[ModelSet]>,
}

impl Keys {
    /// All of these keys; [`KeyId`] is their place.
    ///
    /// # Errors
    /// The first two that are the same.
    ///
    /// # Panics
    /// With 2^32 keys, or bytes of names, or limits.
    pub fn new(keys: impl Iterator<Item = (KeyDigest, Key)>) -> Result<Self, SameKey> {
        let mut packing = Packing::default();
        for (digest, key) in keys {
            packing.add(digest, key);
        }
        packing.finish()
    }

    /// The key with this secret.
    ///
    /// What an observer of the time could learn is which slot the digest of what was sent falls into. It says nothing of a
    /// key's secret: nobody can make a digest to order.
    #[must_use]
    pub fn find(&self, secret: &[u8]) -> Option<KeyId> {
        self.find_digest(KeyDigest::of(secret))
    }

    /// The key whose secret has this digest.
    #[must_use]
    pub fn find_digest(&self, digest: KeyDigest) -> Option<KeyId> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = place(digest, mask);
        loop {
            let id = self.slots[at];
            if id == EMPTY {
                return None;
            }
            if bool::from(self.digests[id as usize].0.ct_eq(&digest.0)) {
                return Some(KeyId(id));
            }
            at = (at + 1) & mask;
        }
    }

    /// What holds for a key.
    ///
    /// # Panics
    /// If the id is of other keys.
    #[must_use]
    pub fn get(&self, id: KeyId) -> KeyView<'_> {
        let index = id.index();
        let entry = self.entries[index];
        let (name_start, limits_start) = match index.checked_sub(1) {
            Some(before) => {
                let before = self.entries[before];
                (before.name_end as usize, before.limits_end as usize)
            }
            None => (0, 0),
        };
        KeyView {
            name: self.names.get(name_start..entry.name_end as usize).unwrap_or_default(),
            tenant: entry.tenant,
            expires_unix_s: (entry.expires_unix_s != NEVER).then_some(entry.expires_unix_s),
            models: self.sets.get(entry.models as usize),
            limits: &self.limits[limits_start..entry.limits_end as usize],
        }
    }

    /// The digest of a key's secret, to compare keys of two worlds.
    ///
    /// # Panics
    /// If the id is of other keys.
    #[must_use]
    pub fn digest(&self, id: KeyId) -> KeyDigest {
        self.digests[id.index()]
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
        let sets: usize =
            self.sets.iter().map(|set| size_of::<ModelSet>() + size_of_val(set.models())).sum();
        size_of_val(&*self.slots)
            + size_of_val(&*self.digests)
            + size_of_val(&*self.entries)
            + self.names.len()
            + size_of_val(&*self.limits)
            + sets
    }
}

fn place(digest: KeyDigest, mask: usize) -> usize {
    usize::try_from(digest.hash()).unwrap_or(0) & mask
}

/// Keys on their way into [`Keys`].
#[derive(Default)]
struct Packing {
    digests: Vec<KeyDigest>,
    entries: Vec<Entry>,
    names: String,
    limits: Vec<Limit>,
    sets: HashMap<ModelSet, u32>,
}

impl Packing {
    fn add(&mut self, digest: KeyDigest, key: Key) {
        let next = small(self.sets.len());
        self.names.push_str(&key.name);
        self.limits.extend_from_slice(&key.limits);
        self.digests.push(digest);
        self.entries.push(Entry {
            expires_unix_s: key.expires_unix_s.unwrap_or(NEVER),
            tenant: key.tenant,
            name_end: small(self.names.len()),
            limits_end: small(self.limits.len()),
            models: key.models.map_or(ALL_MODELS, |set| *self.sets.entry(set).or_insert(next)),
        });
    }

    fn finish(self) -> Result<Keys, SameKey> {
        let mut slots = vec![EMPTY; (self.digests.len() * 2).next_power_of_two()];
        let mask = slots.len() - 1;
        for (second, digest) in self.digests.iter().enumerate() {
            let mut at = place(*digest, mask);
            while slots[at] != EMPTY {
                let first = slots[at] as usize;
                if self.digests[first] == *digest {
                    return Err(SameKey { first, second });
                }
                at = (at + 1) & mask;
            }
            slots[at] = small(second);
        }
        let mut sets: Vec<(ModelSet, u32)> = self.sets.into_iter().collect();
        sets.sort_unstable_by_key(|(_, place)| *place);
        Ok(Keys {
            slots: slots.into(),
            digests: self.digests.into(),
            entries: self.entries.into(),
            names: self.names.into(),
            limits: self.limits.into(),
            sets: sets.into_iter().map(|(set, _)| set).collect(),
        })
    }
}

/// A length as it is packed.
fn small(length: usize) -> u32 {
    u32::try_from(length).ok().filter(|length| *length != u32::MAX).expect("bounded by the config")
}

#[cfg(test)]
mod tests;
