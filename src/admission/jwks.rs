//! Keys that tokens are verified with: a JSON Web Key Set (RFC 7517), a secret, or a public key in PEM.

mod algorithm;
mod pem;
mod provider;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;

pub use algorithm::Algorithm;

use crate::admission::json;
use crate::admission::json::Json;
use crate::admission::json::Members;

/// Longest text of a key set, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 1 << 20;
/// Most keys of a set.
pub const KEYS_MAX: usize = 1024;
/// Most keys that one token is tried with.
pub const KEYS_TRIED_MAX: usize = 8;
/// Shortest and longest modulus of an RSA key, in bits: below it can be broken, above it costs too much to try.
pub const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// What a key can be used with at all: fixed by what it is, before any header is read. So a public key is never a secret
/// of an HMAC, and a secret is never a public key.
const RSA: &[Algorithm] = &[
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

/// Why a key set cannot be used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Longer than [`KEY_SET_BYTES_MAX`].
    TooLong,
    /// Not JSON, or a member is there twice.
    NotJson,
    /// No list called `keys` in it.
    NoKeys,
    /// More than [`KEYS_MAX`] keys.
    TooManyKeys,
    /// A secret too short for the algorithm that it is for.
    SecretTooShort,
    /// A secret for an algorithm that has public keys, or the other way round.
    WrongKind,
    /// No public key in PEM that we know: RSA of 2048 to 8192 bits, P-256, P-384, Ed25519.
    NotPem,
}

impl Why {
    /// For whoever wrote the config.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::TooLong => "the key set is longer than 1 MiB",
            Self::NotJson => "the key set is not JSON, or names a member twice",
            Self::NoKeys => "a key set is an object with a list called `keys`",
            Self::TooManyKeys => "the key set has more than 1024 keys",
            Self::SecretTooShort => {
                "the secret is too short: HS256 wants 32 bytes, HS384 48, HS512 64"
            }
            Self::WrongKind => "a secret is for HS256, HS384 or HS512, a public key for the others",
            Self::NotPem => "no public key in PEM: RSA of 2048 to 8192 bits, P-256, P-384, Ed25519",
        }
    }
}

/// A key of a set that is not used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Place in the set, from 0.
    pub index: usize,
    /// Its `kid`, if it has one.
    pub kid: Option<String>,
    /// Why it is not used.
    pub why: &'static str,
}

/// One key, bound to what it may verify.
#[derive(Clone)]
struct Key {
    kid: Option<Box<str>>,
    algorithms: Box<[Algorithm]>,
    key: DecodingKey,
}

/// The keys of an issuer. Shows nothing of them but their ids.
#[derive(Clone, Default)]
pub struct KeySet(Box<[Key]>);

impl fmt::Debug for KeySet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.iter().map(|key| (key.kid.as_deref(), &key.algorithms));
        formatter.debug_list().entries(keys).finish()
    }
}

impl KeySet {
    /// Reads a key set. Keys of unknown kinds, for other uses, or too weak are left out, and listed with the reason.
    ///
    /// # Errors
    /// Where the text is no key set.
    pub fn parse(text: &[u8]) -> Result<(Self, Vec<Skipped>), Why> {
        if text.len() > KEY_SET_BYTES_MAX {
            return Err(Why::TooLong);
        }
        let members = json::members(text).map_err(|_| Why::NotJson)?;
        let Some(Json::List(list)) = members.get("keys") else { return Err(Why::NoKeys) };
        if list.len() > KEYS_MAX {
            return Err(Why::TooManyKeys);
        }
        let mut keys = Vec::with_capacity(list.len());
        let mut skipped = Vec::new();
        for (index, entry) in list.iter().enumerate() {
            match read(entry) {
                Ok(key) => keys.push(key),
                Err(why) => {
                    let kid = match entry {
                        Json::Object(members) => members.get("kid").and_then(Json::text),
                        _ => None,
                    };
                    skipped.push(Skipped { index, kid: kid.map(str::to_owned), why });
                }
            }
        }
        Ok((Self::of(keys), skipped))
    }

    /// One secret without an id, for each of `algorithms`; none means HS256.
    ///
    /// # Errors
    /// Where an algorithm is not one of a secret, or wants a longer one.
    pub fn secret(secret: &[u8], algorithms: &[Algorithm]) -> Result<Self, Why> {
        let algorithms = if algorithms.is_empty() { &[Algorithm::Hs256] } else { algorithms };
        for algorithm in algorithms {
            let bytes_min = secret_bytes_min(*algorithm).ok_or(Why::WrongKind)?;
            if secret.len() < bytes_min {
                return Err(Why::SecretTooShort);
            }
        }
        let key = DecodingKey::from_secret(secret);
        Ok(Self::of(vec![Key { kid: None, algorithms: algorithms.into(), key }]))
    }

    /// The first public key of a PEM text (`BEGIN PUBLIC KEY`), without an id, for all that its kind can do.
    ///
    /// # Errors
    /// Where there is none that we know.
    pub fn pem(text: &[u8]) -> Result<Self, Why> {
        let (algorithms, key): (&[Algorithm], _) = match pem::public(text).ok_or(Why::NotPem)? {
            pem::Public::Rsa { der, modulus } if RSA_BITS.contains(&bits(&modulus)) => {
                (RSA, DecodingKey::from_rsa_der(&der))
            }
            pem::Public::P256(point) if point.len() == 65 => {
                (&[Algorithm::Es256], DecodingKey::from_ec_der(&point))
            }
            pem::Public::P384(point) if point.len() == 97 => {
                (&[Algorithm::Es384], DecodingKey::from_ec_der(&point))
            }
            pem::Public::Ed25519(key) if key.len() == 32 => {
                (&[Algorithm::EdDsa], DecodingKey::from_ed_der(&key))
            }
            _ => return Err(Why::NotPem),
        };
        Ok(Self::of(vec![Key { kid: None, algorithms: algorithms.into(), key }]))
    }

    fn of(keys: Vec<Key>) -> Self {
        provider::install();
        Self(keys.into())
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, so that every token is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids of the keys that have one.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|key| key.kid.as_deref())
    }

    /// Whether one of the keys made `signature` (base64url) of `message`: `None` if there is no key to try.
    ///
    /// Keys with the id that the token names are tried; where none has it, those without an id; where the token names
    /// none, all of its algorithm. Never more than [`KEYS_TRIED_MAX`].
    pub(super) fn is_signed(&self, asked: Asked<'_>, message: &str, sign: &str) -> Option<bool> {
        let fits = |key: &&Key| key.algorithms.contains(&asked.algorithm);
        let fitting = || self.0.iter().filter(fits);
        let has_kid = |key: &&Key| key.kid.as_deref() == asked.kid;
        let is_named = asked.kid.is_some() && fitting().any(|key| has_kid(&key));
        let is_candidate = |key: &&Key| match asked.kid {
            Some(_) if is_named => has_kid(key),
            Some(_) => key.kid.is_none(),
            None => true,
        };
        let mut is_right = None;
        for key in fitting().filter(is_candidate).take(KEYS_TRIED_MAX) {
            let algorithm = asked.algorithm.of_crate();
            let checked =
                jsonwebtoken::crypto::verify(sign, message.as_bytes(), &key.key, algorithm);
            is_right = Some(checked == Ok(true));
            if is_right == Some(true) {
                break;
            }
        }
        is_right
    }
}

/// Which key a token asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<&'t str>,
}

/// A secret is at least as long as the hash (RFC 7518, section 3.2); `None` if the algorithm has no secret.
const fn secret_bytes_min(algorithm: Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::Hs256 => Some(32),
        Algorithm::Hs384 => Some(48),
        Algorithm::Hs512 => Some(64),
        _ => None,
    }
}

/// Length of a number in bits.
fn bits(number: &[u8]) -> usize {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let (_, number) = number.split_at(first);
    number.first().map_or(0, |top| number.len() * 8 - top.leading_zeros() as usize)
}

/// One key of a set.
fn read(entry: &Json) -> Result<Key, &'static str> {
    let Json::Object(members) = entry else { return Err("it is not an object") };
    let text = |name: &str| members.get(name).map(|value| value.text().ok_or("it is malformed"));
    if text("use").transpose()?.is_some_and(|usage| usage != "sig") {
        return Err("it is not for signatures");
    }
    if let Some(operations) = members.get("key_ops") {
        let operations = operations.texts().ok_or("it is malformed")?;
        if !operations.contains(&"verify") {
            return Err("it is not for verifying");
        }
    }
    let (possible, key) = material(members)?;
    let algorithms: Box<[Algorithm]> = match text("alg").transpose()? {
        None => possible.into(),
        Some(name) => {
            let algorithm = Algorithm::from_name(name).ok_or("its algorithm is not known")?;
            if !possible.contains(&algorithm) {
                return Err("its algorithm is not one of such a key");
            }
            [algorithm].into()
        }
    };
    let kid = text("kid").transpose()?.map(Into::into);
    Ok(Key { kid, algorithms, key })
}

/// The key itself, and what it can be used with at all.
fn material(members: &Members) -> Result<(Vec<Algorithm>, DecodingKey), &'static str> {
    let bytes = |name: &str| {
        let text = members.get(name).and_then(Json::text).ok_or("it is malformed")?;
        URL_SAFE_NO_PAD.decode(text).map_err(|_| "it is malformed")
    };
    let kind = members.get("kty").and_then(Json::text).ok_or("it has no kind")?;
    let curve = members.get("crv").and_then(Json::text);
    match (kind, curve) {
        ("oct", _) => {
            let secret = bytes("k")?;
            let is_enough = |algorithm: &&Algorithm| {
                secret_bytes_min(**algorithm).is_some_and(|bytes_min| secret.len() >= bytes_min)
            };
            let possible: Vec<_> = Algorithm::ALL.iter().filter(is_enough).copied().collect();
            if possible.is_empty() {
                return Err("its secret is too short");
            }
            Ok((possible, DecodingKey::from_secret(&secret)))
        }
        ("RSA", _) => {
            let (modulus, exponent) = (bytes("n")?, bytes("e")?);
            if !RSA_BITS.contains(&bits(&modulus)) {
                return Err("its modulus has not 2048 to 8192 bits");
            }
            // Some makers put a zero in front, as for a number that could be negative.
            let modulus = modulus.strip_prefix(b"\0").unwrap_or(&modulus);
            Ok((RSA.to_vec(), DecodingKey::from_rsa_raw_components(modulus, &exponent)))
        }
        ("EC", Some("P-256")) => point(&bytes("x")?, &bytes("y")?, 32, Algorithm::Es256),
        ("EC", Some("P-384")) => point(&bytes("x")?, &bytes("y")?, 48, Algorithm::Es384),
        ("OKP", Some("Ed25519")) => match bytes("x")? {
            key if key.len() == 32 => Ok((vec![Algorithm::EdDsa], DecodingKey::from_ed_der(&key))),
            _ => Err("its length is wrong"),
        },
        ("EC" | "OKP", _) => Err("its curve is not known"),
        _ => Err("its kind is not known"),
    }
}

/// A point that is not compressed. Whether it is on the curve is looked at when it is used.
fn point(
    x: &[u8],
    y: &[u8],
    bytes: usize,
    algorithm: Algorithm,
) -> Result<(Vec<Algorithm>, DecodingKey), &'static str> {
    if x.len() != bytes || y.len() != bytes {
        return Err("its length is wrong");
    }
    let point = [&[4], x, y].concat();
    Ok((vec![algorithm], DecodingKey::from_ec_der(&point)))
}

#[cfg(test)]
mod tests;
