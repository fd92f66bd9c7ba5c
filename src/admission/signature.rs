//! Signed requests: HMAC-SHA256 as RFC 9421 has it (`Signature-Input`, `Signature`, `Content-Digest`), and as the older
//! draft-cavage-http-signatures (`Authorization: Signature`, `Digest`).

mod cavage;
mod digest;
mod message;
mod structured;

use std::collections::HashMap;
use std::fmt;

use ring::digest::Context;
use ring::digest::SHA256;
use ring::hmac;

pub use digest::Expected;

use crate::admission::refusal::Refusal;
use crate::units::TenantId;
use crate::wire::head::BodyLength;
use crate::wire::head::Field;
use crate::wire::head::Fields;
use crate::wire::head::RequestHead;
use crate::wire::head::is_same_name;

/// The widest clock window, in seconds before and after now: so long it is remembered which signatures were let in.
pub const WINDOW_S_MAX: u64 = 900;
/// Shortest secret of a signer, in bytes.
pub const SECRET_BYTES_MIN: usize = 16;
/// Most fields and other parts that a signature may cover.
pub const COVERED_MAX: usize = 64;
/// Most signatures of a request, ours and others'.
pub const SIGNATURES_MAX: usize = 8;

/// Length of a signature.
const MAC_BYTES: usize = 32;

/// Who may sign requests, by the id that signatures name.
#[derive(Default)]
pub struct Signers {
    /// How far a signature's time may be from ours, in seconds.
    pub window_s: u64,
    ids: HashMap<Box<str>, usize>,
    signers: Vec<Signer>,
}

struct Signer {
    id: Box<str>,
    key: hmac::Key,
    tenant: Option<TenantId>,
}

impl fmt::Debug for Signers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.signers.iter().map(|signer| &signer.id)).finish()
    }
}

/// Why a signer cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Its secret is shorter than [`SECRET_BYTES_MIN`].
    SecretTooShort,
    /// There is one with this id.
    SameId,
}

impl Unfit {
    /// For whoever wrote the config.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::SecretTooShort => "a secret for signatures has at least 16 bytes",
            Self::SameId => "another signature has this id",
        }
    }
}

impl Signers {
    /// Nobody yet. Signatures may be `window_s` seconds old, or as much ahead.
    #[must_use]
    pub fn new(window_s: u64) -> Self {
        Self { window_s, ..Self::default() }
    }

    /// Adds one and gives its number.
    ///
    /// # Errors
    /// Where its secret is too short, or the id is taken.
    pub fn add(
        &mut self,
        id: &str,
        secret: &[u8],
        tenant: Option<TenantId>,
    ) -> Result<usize, Unfit> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(Unfit::SecretTooShort);
        }
        let index = self.signers.len();
        if self.ids.contains_key(id) {
            return Err(Unfit::SameId);
        }
        self.ids.insert(id.into(), index);
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        self.signers.push(Signer { id: id.into(), key, tenant });
        Ok(index)
    }

    /// The id of the signer with this number.
    #[must_use]
    pub fn id(&self, index: usize) -> Option<&str> {
        self.signers.get(index).map(|signer| &*signer.id)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.signers.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signers.is_empty()
    }

    fn find(&self, id: &str) -> Option<usize> {
        self.ids.get(id).copied()
    }
}

/// A signature that is right, so far as the head goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Number of the signer.
    pub signer: usize,
    /// Its tenant.
    pub tenant: Option<TenantId>,
    /// What the body must hash to; `None`: there is no body, or no digest of it was signed because there is none.
    pub digest: Option<Expected>,
    /// Of its nonce, else of the signature itself, with the signer: must be new.
    pub fingerprint: u64,
    /// When it was made, in seconds since 1970.
    pub created_unix_s: u64,
}

/// What both vocabularies come to.
struct Signed {
    signer: usize,
    /// Texts of which one must have been signed: one for each scheme that the client may have seen.
    bases: Vec<Vec<u8>>,
    mac: Vec<u8>,
    nonce: Option<String>,
    created_unix_s: Option<u64>,
    expires_unix_s: Option<u64>,
    /// Whether method, path and query are covered.
    is_target_covered: bool,
    /// The covered digest of the body, as it stands in its field.
    digest: Option<Result<Expected, Refusal>>,
}

/// Whether a request carries a signature, in either vocabulary.
#[must_use]
pub fn is_present(head: &RequestHead<'_, '_>) -> bool {
    head.fields.iter().any(|field| {
        is_same_name(field.name, "signature-input")
            || is_same_name(field.name, "signature")
            || is_cavage(field)
    })
}

fn is_cavage(field: &Field<'_>) -> bool {
    is_same_name(field.name, "authorization") && cavage::parameters(field.value).is_some()
}

/// Verifies a request's signature: made with a signer's secret within the window, over method, target, time and, where
/// there is a body, its digest. The body itself and whether it was seen before are for the caller to look at.
///
/// # Errors
/// What is wrong with it.
pub fn verify(
    head: &RequestHead<'_, '_>,
    signers: &Signers,
    window_s: u64,
    now_unix_s: u64,
) -> Result<Verified, Refusal> {
    // `*` of OPTIONS and the empty path of CONNECT are no targets that could be signed.
    if !head.path.starts_with('/') {
        return Err(Refusal::SignatureMalformed);
    }
    let mut older = head.fields.iter().filter(|field| is_cavage(field));
    let has_newer = head.fields.get("signature-input").is_some();
    let signed = match (older.next(), older.next(), has_newer) {
        (_, Some(_), _) | (Some(_), _, true) => return Err(Refusal::SignaturesMany),
        (Some(field), None, false) => cavage::read(head, field.value, signers)?,
        (None, None, _) => message::read(head, signers)?,
    };
    let signer = signers.signers.get(signed.signer).ok_or(Refusal::SignatureKeyUnknown)?;
    // (ring compares in constant time.) Only who has the secret is told what else is wrong.
    let is_right = |base: &Vec<u8>| hmac::verify(&signer.key, base, &signed.mac).is_ok();
    if signed.mac.len() != MAC_BYTES || !signed.bases.iter().any(is_right) {
        return Err(Refusal::SignatureWrong);
    }
    let created_unix_s = signed.created_unix_s.ok_or(Refusal::SignatureIncomplete)?;
    let is_over = signed.expires_unix_s.is_some_and(|expires| now_unix_s >= expires);
    if is_over || now_unix_s.abs_diff(created_unix_s) > window_s {
        return Err(Refusal::SignatureExpired);
    }
    let has_body = head.body != BodyLength::Empty;
    if !signed.is_target_covered || (has_body && signed.digest.is_none()) {
        return Err(Refusal::SignatureIncomplete);
    }
    let digest = match signed.digest.transpose()? {
        Some(digest) if !has_body => {
            if !digest.is_of(b"") {
                return Err(Refusal::DigestWrong);
            }
            None
        }
        digest => digest,
    };
    let unique = signed.nonce.as_ref().map_or(&*signed.mac, String::as_bytes);
    let fingerprint = fingerprint(&signer.id, signed.nonce.is_some(), unique);
    Ok(Verified {
        signer: signed.signer,
        tenant: signer.tenant,
        digest,
        fingerprint,
        created_unix_s,
    })
}

/// The same on every shard, and nobody without the secret can choose it.
fn fingerprint(id: &str, is_nonce: bool, unique: &[u8]) -> u64 {
    let mut context = Context::new(&SHA256);
    context.update(&(id.len() as u64).to_le_bytes());
    context.update(id.as_bytes());
    context.update(&[u8::from(is_nonce)]);
    context.update(unique);
    let hash = context.finish();
    hash.as_ref().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// All values of a field in one, as both vocabularies sign them; `None` if it is not there.
fn joined(fields: Fields<'_, '_>, name: &str) -> Option<Vec<u8>> {
    let mut values = fields.iter().filter(|field| is_same_name(field.name, name));
    let mut all = values.next()?.value.trim_ascii().to_vec();
    for field in values {
        all.extend_from_slice(b", ");
        all.extend_from_slice(field.value.trim_ascii());
    }
    Some(all)
}

#[cfg(test)]
mod tests;
