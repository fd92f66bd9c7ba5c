//! Claims of a token whose signature is right: whether they hold now, and what they mean here.

use std::time::Duration;

use ring::digest;

use super::Claims;
use super::Issuer;
use super::USER_BYTES_MAX;
use crate::admission::ModelSet;
use crate::admission::json::Json;
use crate::admission::json::Members;
use crate::admission::limit::Algorithm;
use crate::admission::limit::Kind;
use crate::admission::limit::Rule;
use crate::admission::refusal::Refusal;
use crate::units::ModelId;
use crate::units::TenantId;

/// Largest limit that a claim can name: what is larger is this.
const LIMIT_MAX: u64 = i32::MAX as u64;

/// Whether the token is for us and for now (RFC 7519, section 4.1). There is none that never expires.
pub(super) fn check(members: &Members, issuer: &Issuer, now_unix_s: u64) -> Result<(), Refusal> {
    if !issuer.audience.is_empty() {
        let named = members.get("aud").ok_or(Refusal::TokenAudience)?;
        let named = named.texts().ok_or(Refusal::TokenClaims)?;
        if !issuer.audience.iter().any(|ours| named.contains(&&**ours)) {
            return Err(Refusal::TokenAudience);
        }
    }
    for name in ["nbf", "iat"] {
        let from = members.get(name).map(|from| from.unix_s().ok_or(Refusal::TokenClaims));
        if from.transpose()?.is_some_and(|from| from > now_unix_s.saturating_add(issuer.leeway_s)) {
            return Err(Refusal::TokenEarly);
        }
    }
    if now_unix_s >= expiry(members, issuer)? {
        return Err(Refusal::TokenExpired);
    }
    Ok(())
}

fn expiry(members: &Members, issuer: &Issuer) -> Result<u64, Refusal> {
    let expires_unix_s = members.get("exp").and_then(Json::unix_s).ok_or(Refusal::TokenClaims)?;
    Ok(expires_unix_s.saturating_add(issuer.leeway_s))
}

/// What the claims mean.
pub(super) fn read(
    members: &Members,
    issuer: &Issuer,
    index: usize,
    models: &impl Fn(&str) -> Option<ModelId>,
) -> Result<Claims, Refusal> {
    let names = &issuer.claims;
    let claim = |name: &Option<Box<str>>| name.as_ref().and_then(|name| find(members, name));
    let user = user(find(members, names.user.as_deref().unwrap_or("sub")))?;
    let models = match claim(&names.models) {
        None | Some(Json::Null) => None,
        Some(named) => {
            let named = named.texts().ok_or(Refusal::TokenClaims)?;
            Some(named.into_iter().filter_map(models).collect::<ModelSet>())
        }
    };
    let limits = [
        limit(claim(&names.requests_per_minute))?,
        limit(claim(&names.tokens_per_minute))?,
        limit(claim(&names.concurrent))?,
    ];
    let tenant = tenant(members, issuer)?;
    let kinds = [Kind::Requests, Kind::Tokens, Kind::Concurrency];
    let mut rules = [None; 3];
    for ((rule, limit), kind) in rules.iter_mut().zip(limits).zip(kinds) {
        *rule = limit.map(|limit| {
            Rule::new(kind, Algorithm::TokenBucket, limit, Duration::from_secs(60), None)
        });
    }
    let subject = subject(issuer, tenant, &user, limits);
    let expires_unix_s = expiry(members, issuer)?;
    Ok(Claims { issuer: index, tenant, user, models, subject, rules, expires_unix_s })
}

/// The member called `name`, else what is found by going down at each dot. (Names that are addresses have dots in them,
/// and are no paths.)
fn find<'m>(members: &'m Members, name: &str) -> Option<&'m Json> {
    let mut inside = members;
    let mut rest = name;
    loop {
        if let Some(found) = inside.get(rest) {
            return Some(found);
        }
        let (first, behind) = rest.split_once('.')?;
        let Some(Json::Object(object)) = inside.get(first) else { return None };
        (inside, rest) = (object, behind);
    }
}

fn tenant(members: &Members, issuer: &Issuer) -> Result<Option<TenantId>, Refusal> {
    let Some(name) = issuer.claims.tenant.as_deref().filter(|_| issuer.tenant.is_none()) else {
        return Ok(issuer.tenant);
    };
    let named = match find(members, name) {
        None | Some(Json::Null) => return Err(Refusal::TenantUnknown),
        Some(Json::Text(text)) => text,
        Some(_) => return Err(Refusal::TokenClaims),
    };
    issuer.tenants.get(named.as_str()).copied().map(Some).ok_or(Refusal::TenantUnknown)
}

/// A text or a whole number, fit for the value of a field.
fn user(claim: Option<&Json>) -> Result<Box<str>, Refusal> {
    let user: Box<str> = match claim {
        None | Some(Json::Null) => "".into(),
        Some(Json::Text(text)) => text.as_str().into(),
        Some(Json::Number(number)) if number.is_u64() => number.to_string().into(),
        Some(_) => return Err(Refusal::TokenClaims),
    };
    let is_fit = user.len() <= USER_BYTES_MAX && !user.chars().any(char::is_control);
    if is_fit && user.trim() == &*user { Ok(user) } else { Err(Refusal::TokenClaims) }
}

/// A limit is a whole number above zero. Anything else may not mean that there is none.
fn limit(claim: Option<&Json>) -> Result<Option<u32>, Refusal> {
    match claim {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Number(number)) => {
            let limit = number.as_u64().filter(|limit| *limit > 0).ok_or(Refusal::TokenClaims)?;
            u32::try_from(limit.min(LIMIT_MAX)).map(Some).map_err(|_| Refusal::TokenClaims)
        }
        Some(_) => Err(Refusal::TokenClaims),
    }
}

/// Whose limits they are. With the limits in it: what was used is counted in units of the rule, and must not be taken
/// for that of another.
fn subject(issuer: &Issuer, tenant: Option<TenantId>, user: &str, limits: [Option<u32>; 3]) -> u64 {
    let mut context = digest::Context::new(&digest::SHA256);
    let tenant = issuer.tenants.iter().find(|(_, id)| Some(**id) == tenant).map(|(name, _)| name);
    for text in [issuer.issuer.as_deref(), tenant.map(AsRef::as_ref), Some(user)] {
        let text = text.unwrap_or_default();
        context.update(&(text.len() as u64).to_le_bytes());
        context.update(text.as_bytes());
    }
    for limit in limits {
        context.update(&limit.unwrap_or(0).to_le_bytes());
    }
    let hash = context.finish();
    hash.as_ref().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
