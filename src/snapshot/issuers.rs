//! Whose tokens and whose signatures are believed.

use crate::admission::jwks::Algorithm;
use crate::admission::jwks::KeySet;
use crate::admission::jwks::Why;
use crate::admission::jwt::ClaimNames;
use crate::admission::jwt::Issuer;
use crate::admission::signature;
use crate::admission::signature::Signers;
use crate::config;
use crate::config::Error;
use crate::config::File;
use crate::config::JwtKeys;
use crate::config::Place;
use crate::snapshot::World;
use crate::snapshot::policy::Builder;
use crate::units::TenantId;
use std::collections::HashMap;

/// How a public key in PEM begins, where others begin with `{`.
const PEM: &[u8] = b"-----BEGIN";

impl Builder<'_> {
    pub(super) fn issuers(&mut self) -> Vec<Issuer> {
        let file = self.file;
        let tenants: HashMap<&str, TenantId> = file
            .tenants
            .iter()
            .map(|tenant| tenant.name.as_str())
            .zip((0..).map(TenantId))
            .collect();
        let mut issuers = Vec::new();
        for (index, jwt) in file.jwt.iter().enumerate() {
            let keys = self.issuer_keys(index, jwt);
            let texts = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
            let named = |name: &Option<String>| name.as_deref().map(Into::into);
            let claims = &jwt.claims;
            let by_claim = claims.tenant.is_some().then_some(&tenants).into_iter().flatten();
            issuers.push(Issuer {
                issuer: named(&jwt.issuer),
                audience: texts(&jwt.audience),
                algorithms: algorithms(jwt).into(),
                keys,
                leeway_s: jwt.leeway_s,
                claims: ClaimNames {
                    tenant: named(&claims.tenant),
                    user: Some(claims.user.as_deref().unwrap_or("sub").into()),
                    models: named(&claims.models),
                    requests_per_minute: named(&claims.requests_per_minute),
                    tokens_per_minute: named(&claims.tokens_per_minute),
                    concurrent: named(&claims.concurrent),
                },
                tenant: jwt.tenant.as_ref().and_then(|t| tenants.get(t.name.as_str()).copied()),
                tenants: by_claim.map(|(name, id)| ((*name).into(), *id)).collect(),
            });
        }
        issuers
    }

    fn issuer_keys(&mut self, index: usize, jwt: &config::Jwt) -> KeySet {
        let Some(keys) = &jwt.keys else { return KeySet::default() };
        let read = match keys {
            JwtKeys::Secret(source) => match self.secret(source) {
                Some(secret) => KeySet::secret(secret, &algorithms(jwt)),
                None => return KeySet::default(),
            },
            // Until they were fetched, and where what was fetched is no key set, no token is believed.
            JwtKeys::Url { .. } => {
                let text = self.world.jwks.get(&index);
                return text.and_then(|text| key_set(text).ok()).unwrap_or_default();
            }
            JwtKeys::Inline { text, .. } => key_set(text.as_bytes()),
            JwtKeys::File(file) => match self.world.jwks.get(&index) {
                Some(text) => key_set(text),
                None => {
                    let text = format!("{} has not been read", file.path.display());
                    self.error(&file.place, text);
                    return KeySet::default();
                }
            },
        };
        match read {
            Ok(keys) if keys.is_empty() => {
                let text = match skipped(file_text(keys_text(self.world, index, jwt))).first() {
                    Some(why) => format!("has no key that can be used: {why}"),
                    None => "has no key, so every token would be refused: write one".to_owned(),
                };
                self.error(&place(jwt), text);
                keys
            }
            Ok(keys) => keys,
            Err(why) => {
                self.error(&place(jwt), why.explain());
                KeySet::default()
            }
        }
    }

    /// A secret that the file speaks of; an error where it was not read or is empty.
    pub(super) fn secret(&mut self, source: &config::KeySource) -> Option<&[u8]> {
        let from = || source.from.describe();
        match self.world.secrets.get(&source.from) {
            Some(secret) if !secret.expose().is_empty() => return Some(secret.expose()),
            Some(_) => {
                self.error(&source.place, format!("{} is empty: put the secret there", from()));
            }
            None => self.error(&source.place, format!("{} has not been read", from())),
        }
        None
    }

    pub(super) fn signers(&mut self) -> Signers {
        // What is let in is remembered for as long as the widest window, and no longer.
        const _: () = assert!(config::SIGNATURE_WINDOW_S_MAX == signature::WINDOW_S_MAX);
        let mut signers = Signers::new(self.file.signature_window.as_secs());
        for (id, tenant) in (0..).map(TenantId).zip(self.file.tenants.iter()) {
            for key in &tenant.signatures {
                let Some(source) = &key.secret else { continue };
                let Some(secret) = self.secret(source) else { continue };
                if let Err(why) = signers.add(&key.id, secret, Some(id)) {
                    let from = source.from.describe();
                    self.error(&source.place, format!("{from}: {}", why.explain()));
                }
            }
        }
        signers
    }
}

/// A key set, or a single public key in PEM.
fn key_set(text: &[u8]) -> Result<KeySet, Why> {
    if text.trim_ascii_start().starts_with(PEM) {
        return KeySet::pem(text);
    }
    KeySet::parse(text).map(|(keys, _)| keys)
}

fn algorithms(jwt: &config::Jwt) -> Vec<Algorithm> {
    jwt.algorithms.iter().filter_map(|name| Algorithm::from_name(name)).collect()
}

fn place(jwt: &config::Jwt) -> Place {
    match &jwt.keys {
        Some(JwtKeys::Url { place, .. } | JwtKeys::Inline { place, .. }) => place.clone(),
        Some(JwtKeys::File(file)) => file.place.clone(),
        Some(JwtKeys::Secret(source)) => source.place.clone(),
        None => jwt.place.clone(),
    }
}

fn keys_text<'t>(world: &'t World, index: usize, jwt: &'t config::Jwt) -> Option<&'t [u8]> {
    match &jwt.keys {
        Some(JwtKeys::Inline { text, .. }) => Some(text.as_bytes()),
        Some(JwtKeys::Url { .. } | JwtKeys::File(_)) => world.jwks.get(&index).map(Vec::as_slice),
        Some(JwtKeys::Secret(_)) | None => None,
    }
}

fn file_text(text: Option<&[u8]>) -> &[u8] {
    text.filter(|text| !text.trim_ascii_start().starts_with(PEM)).unwrap_or_default()
}

/// The keys of a set that are not used, in words.
fn skipped(text: &[u8]) -> Vec<String> {
    let skipped = KeySet::parse(text).map(|(_, skipped)| skipped).unwrap_or_default();
    let describe = |key: &crate::admission::jwks::Skipped| {
        let kid = key.kid.as_ref().map(|kid| format!(" (\"{kid}\")")).unwrap_or_default();
        format!("key {}{kid} of the set is not used: {}", key.index + 1, key.why)
    };
    skipped.iter().map(describe).collect()
}

/// The keys of key sets that are not used.
pub(super) fn warnings(file: &File, world: &World) -> Vec<Error> {
    let mut warnings = Vec::new();
    for (index, jwt) in file.jwt.iter().enumerate() {
        let why = skipped(file_text(keys_text(world, index, jwt)));
        warnings.extend(why.into_iter().map(|why| file.error(&place(jwt), why)));
    }
    warnings
}
