//! Tokens: JSON Web Tokens in compact form (RFC 7519, 7515), signed, never encrypted, never unsigned.

mod claims;
mod memory;

pub use memory::TokenMemory;

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::admission::ModelSet;
use crate::admission::json;
use crate::admission::json::Json;
use crate::admission::json::Members;
use crate::admission::jwks::Algorithm;
use crate::admission::jwks::Asked;
use crate::admission::jwks::KeySet;
use crate::admission::limit::Rule;
use crate::admission::refusal::Refusal;
use crate::units::ModelId;
use crate::units::TenantId;

/// Longest token, in bytes. Those of large directories, with all of a user's groups in them, stay below.
pub const TOKEN_BYTES_MAX: usize = 12 * 1024;
/// Longest header of a token as it is written, in bytes.
pub const HEADER_BYTES_MAX: usize = 4 * 1024;
/// Longest user that a token may name, in bytes: it becomes the value of a field.
pub const USER_BYTES_MAX: usize = 256;

/// Who makes tokens for us, and what we take from them.
#[derive(Clone, Debug, Default)]
pub struct Issuer {
    /// What `iss` must be; `None`: anything, also nothing.
    pub issuer: Option<Box<str>>,
    /// One of these must be in `aud`; none here: it is not looked at.
    pub audience: Box<[Box<str>]>,
    /// The algorithms that may be used; none here: those of the keys.
    pub algorithms: Box<[Algorithm]>,
    /// What the tokens are verified with.
    pub keys: KeySet,
    /// By how much the clocks may differ, in seconds.
    pub leeway_s: u64,
    /// Which claims say what.
    pub claims: ClaimNames,
    /// The tenant of all its tokens; the claim is not looked at then.
    pub tenant: Option<TenantId>,
    /// Tenants by what the claim may say.
    pub tenants: HashMap<Box<str>, TenantId>,
}

/// Names of claims. A name with dots that is no member itself is a path (`org.id`).
#[derive(Clone, Debug, Default)]
pub struct ClaimNames {
    /// The tenant's name.
    pub tenant: Option<Box<str>>,
    /// Who it is; `None` here: `sub`.
    pub user: Option<Box<str>>,
    /// The models that may be used: a name or a list of names.
    pub models: Option<Box<str>>,
    /// Requests a minute.
    pub requests_per_minute: Option<Box<str>>,
    /// Tokens a minute.
    pub tokens_per_minute: Option<Box<str>>,
    /// Requests at the same time.
    pub concurrent: Option<Box<str>>,
}

/// What a token that is right says of its bearer.
#[derive(Clone, Debug)]
pub struct Claims {
    /// Index of its issuer.
    pub issuer: usize,
    /// The tenant, where the issuer is set to one or to a claim.
    pub tenant: Option<TenantId>,
    /// Who it is; empty if the token does not say.
    pub user: Box<str>,
    /// The models that may be used; `None`: the token does not restrict them. Names that lead to no model are not in it.
    pub models: Option<ModelSet>,
    /// Number of whoever the rules are for: the same for the same issuer, tenant, user and rules, on all shards and
    /// in all snapshots.
    pub subject: u64,
    /// Limits of requests, tokens and concurrency, in this order.
    pub rules: [Option<Rule>; 3],
    /// From then on it is refused: its `exp` with the leeway, in seconds since 1970.
    pub expires_unix_s: u64,
}

/// Whether a credential has the shape of a token: three parts of base64url.
#[must_use]
pub fn has_shape(credential: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut parts = 0;
    credential.split(|byte| *byte == b'.').all(|part| {
        parts += 1;
        // An unsigned one has nothing behind the last dot: it is a token, and refused as one.
        (parts == 3 || !part.is_empty()) && part.iter().all(is_digit)
    }) && parts == 3
}

/// Verifies a token and reads its claims. `models` finds a model by its name.
///
/// # Errors
/// Where it is not right for one of the issuers.
pub fn verify(
    token: &str,
    issuers: &[Issuer],
    now_unix_s: u64,
    models: impl Fn(&str) -> Option<ModelId>,
) -> Result<Claims, Refusal> {
    let parts = Parts::of(token)?;
    let payload = decode(parts.payload)?;
    // Read before it is verified, to know whose key is needed; nothing else is taken from it until then.
    let members = json::members(&payload).map_err(|_| Refusal::TokenMalformed)?;
    let name = match members.get("iss") {
        None => None,
        Some(name) => Some(name.text().ok_or(Refusal::TokenClaims)?),
    };
    // Where several issuers come into question, what is told is how far the token came.
    let mut refusal = None;
    for (index, issuer) in issuers.iter().enumerate() {
        if issuer.issuer.is_some() && issuer.issuer.as_deref() != name {
            continue;
        }
        let read = parts.verify(&issuer.keys, &issuer.algorithms).and_then(|()| {
            claims::check(&members, issuer, now_unix_s)?;
            claims::read(&members, issuer, index, &models)
        });
        match read {
            Ok(claims) => return Ok(claims),
            Err(other) => refusal = refusal.max(Some(other)),
        }
    }
    Err(refusal.unwrap_or(Refusal::TokenIssuer))
}

/// Verifies the signature of any text signed in compact form (RFC 7515) and gives the text, whatever it is; none in
/// `algorithms` means those of the keys. Says nothing about claims.
///
/// # Errors
/// Where it is not right.
pub fn open(token: &str, keys: &KeySet, algorithms: &[Algorithm]) -> Result<Vec<u8>, Refusal> {
    let parts = Parts::of(token)?;
    let payload = decode(parts.payload)?;
    parts.verify(keys, algorithms).map(|()| payload)
}

/// A token taken apart, its header read.
struct Parts<'t> {
    algorithm: Algorithm,
    kid: Option<String>,
    /// Header and payload as they are signed.
    message: &'t str,
    payload: &'t str,
    signature: &'t str,
}

impl<'t> Parts<'t> {
    fn of(token: &'t str) -> Result<Self, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::CredentialMalformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Refusal::TokenMalformed)?;
        let (header, payload) = message.split_once('.').ok_or(Refusal::TokenMalformed)?;
        if payload.contains('.') {
            return Err(Refusal::TokenMalformed);
        }
        if header.len() > HEADER_BYTES_MAX {
            return Err(Refusal::CredentialMalformed);
        }
        let header = json::members(&decode(header)?).map_err(|_| Refusal::TokenMalformed)?;
        let (algorithm, kid) = read_header(&header)?;
        Ok(Self { algorithm, kid, message, payload, signature })
    }

    fn verify(&self, keys: &KeySet, algorithms: &[Algorithm]) -> Result<(), Refusal> {
        if !algorithms.is_empty() && !algorithms.contains(&self.algorithm) {
            return Err(Refusal::TokenAlgorithm);
        }
        let asked = Asked { algorithm: self.algorithm, kid: self.kid.as_deref() };
        match keys.is_signed(asked, self.message, self.signature) {
            Some(true) => Ok(()),
            Some(false) => Err(Refusal::TokenSignature),
            None => Err(Refusal::TokenKeyUnknown),
        }
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::TokenMalformed)
}

/// What a header asks for. Where it says that keys are to be found (`jwk`, `jku`, `x5c`, `x5u`) is not looked at: keys
/// come from the config alone.
fn read_header(header: &Members) -> Result<(Algorithm, Option<String>), Refusal> {
    let text = |name: &str| match header.get(name) {
        None => Ok(None),
        Some(value) => value.text().map(Some).ok_or(Refusal::TokenMalformed),
    };
    let name = text("alg")?.ok_or(Refusal::TokenMalformed)?;
    let algorithm = Algorithm::from_name(name).ok_or(Refusal::TokenAlgorithm)?;
    // `b64` changes what is signed (RFC 7797) and is only right when it is critical.
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(Refusal::TokenMalformed);
    }
    if let Some(kind) = text("typ")? {
        let kind = kind.to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind);
        // Other kinds (logout tokens, security events) are signed by the same issuers with the same keys.
        if !["jwt", "at+jwt", "jose"].contains(&kind) {
            return Err(Refusal::TokenMalformed);
        }
    }
    Ok((algorithm, header.get("kid").and_then(Json::text).map(str::to_owned)))
}

#[cfg(test)]
mod tests;
