//! `[[jwt]]` and `[signature]`.

use crate::config::file::Ca;
use crate::config::nearest::suggest;
use crate::config::policy::ALGORITHMS;
use crate::config::policy::Claims;
use crate::config::policy::Jwt;
use crate::config::policy::JwtKeys;
use crate::config::policy::Named;
use crate::config::policy::SIGNATURE_WINDOW_S_MAX;
use crate::config::read::level;
use crate::config::read::secret;
use crate::config::section::Errors;
use crate::config::section::Located;
use crate::config::section::Section;
use crate::config::url::Url;
use std::path::Path;
use std::time::Duration;

const KEYS_EXAMPLE: &str = "write jwks = { url = \"https://...\" }, jwks = { file = \"PATH\" } or, for HS256, secret = { env = \"NAME\" }";
const WINDOW_DEFAULT: Duration = Duration::from_secs(300);
const REFRESH_DEFAULT_S: u64 = 300;
const LEEWAY_DEFAULT_S: u64 = 60;

/// `[signature]`: how far a signature's time may be from ours.
pub(super) fn window(section: Option<Section<'_>>, errors: &mut Errors<'_>) -> Duration {
    let Some(section) = section else {
        return WINDOW_DEFAULT;
    };
    section.refuse_unknown(&["window_s"], &[], errors);
    let window = section.number("window_s", &(1..=SIGNATURE_WINDOW_S_MAX), errors);
    window.map_or(WINDOW_DEFAULT, Duration::from_secs)
}

/// One `[[jwt]]`.
pub(super) fn jwt(section: &Section<'_>, folder: &Path, errors: &mut Errors<'_>) -> Jwt {
    let known =
        ["issuer", "audience", "jwks", "secret", "algorithms", "leeway_s", "tenant", "claims"];
    section.refuse_unknown(&known, &[], errors);
    let keys = keys(section, folder, errors);
    let tenant = section.string("tenant", errors);
    let claims = section.table("claims", errors);
    let claims = claims.map(|section| self::claims(&section, errors)).unwrap_or_default();
    if tenant.is_some() && claims.tenant.is_some() {
        let place = section.place_of("tenant", errors);
        errors.add(&place, "is also said by claims.tenant: leave one of them out");
    }
    let issuer = section.string("issuer", errors);
    if let Some(issuer) = issuer.as_ref().filter(|issuer| issuer.value.is_empty()) {
        errors.add(&issuer.place, "may not be empty: write what the tokens have as \"iss\"");
    }
    Jwt {
        place: section.place.clone(),
        issuer: issuer.map(|issuer| issuer.value),
        audience: section.strings("audience", errors).into_iter().map(|a| a.value).collect(),
        algorithms: algorithms(section, keys.as_ref(), errors),
        keys,
        leeway_s: section.number("leeway_s", &(0..=3600), errors).unwrap_or(LEEWAY_DEFAULT_S),
        tenant: tenant.map(|tenant| Named { place: tenant.place, name: tenant.value }),
        claims,
    }
}

fn algorithms(
    section: &Section<'_>,
    keys: Option<&JwtKeys>,
    errors: &mut Errors<'_>,
) -> Vec<String> {
    let mut algorithms = Vec::new();
    for Located { value, place } in section.strings("algorithms", errors) {
        let is_secret = matches!(keys, Some(JwtKeys::Secret(_)));
        if value.eq_ignore_ascii_case("none") {
            errors.add(&place, "a token without a signature proves nothing: leave it out");
        } else if !ALGORITHMS.contains(&value.as_str()) {
            let text = format!(
                "no algorithm is called \"{value}\" that tokens may have here ({})",
                suggest(&value, &ALGORITHMS)
            );
            errors.add(&place, text);
        } else if keys.is_some() && is_secret != value.starts_with("HS") {
            // A public key taken for a secret would let anybody sign.
            let text = if is_secret {
                format!("{value} needs public keys, and this issuer has a secret: write \"HS256\"")
            } else {
                format!(
                    "{value} needs a secret: write secret = {{ env = \"NAME\" }} instead of jwks"
                )
            };
            errors.add(&place, text);
        } else if algorithms.contains(&value) {
            errors.add(&place, format!("\"{value}\" is there twice: write it once"));
        } else {
            algorithms.push(value);
        }
    }
    algorithms
}

fn keys(section: &Section<'_>, folder: &Path, errors: &mut Errors<'_>) -> Option<JwtKeys> {
    let jwks = section.table("jwks", errors);
    let secret = secret::source(section, "secret", folder, errors);
    match (section.has("jwks"), section.has("secret")) {
        (true, true) => {
            let place = section.place_of("secret", errors);
            errors
                .add(&place, "an issuer has jwks or a secret: write another [[jwt]] for the other");
            None
        }
        (false, false) => {
            errors
                .add(&section.place, format!("says not what verifies its tokens: {KEYS_EXAMPLE}"));
            None
        }
        (true, false) => self::jwks(&jwks?, folder, errors),
        (false, true) => secret.map(JwtKeys::Secret),
    }
}

fn jwks(section: &Section<'_>, folder: &Path, errors: &mut Errors<'_>) -> Option<JwtKeys> {
    section.refuse_unknown(&["url", "refresh_s", "ca", "file", "inline"], &[], errors);
    let refresh = section.number("refresh_s", &(10..=86_400), errors);
    let ca = level::path(section, "ca", folder, errors);
    let ca = ca.map(|found| Ca { place: found.place, path: found.path });
    let place = section.place.clone();
    let url = section.string("url", errors);
    let inline = section.string("inline", errors);
    let file = level::path(section, "file", folder, errors);
    let said = ["url", "file", "inline"].iter().filter(|key| section.has(key)).count();
    if said > 1 {
        errors.add(&place, "has several of url, file and inline: leave one");
        return None;
    }
    if said == 0 {
        errors.add(&place, format!("says not where the keys are: {KEYS_EXAMPLE}"));
        return None;
    }
    if refresh.is_some() && url.is_none() {
        let place = section.place_of("refresh_s", errors);
        errors.add(&place, "only what has a url is fetched: leave it out (files are watched)");
    }
    if let Some(ca) = ca.as_ref().filter(|_| url.is_none()) {
        errors.add(&ca.place, "only what has a url is fetched: leave it out");
    }
    if let Some(url) = url {
        if let Err(why) = fetchable(&url.value) {
            errors.add(&url.place, why);
            return None;
        }
        let refresh = Duration::from_secs(refresh.unwrap_or(REFRESH_DEFAULT_S));
        return Some(JwtKeys::Url { place: url.place, url: url.value, refresh, ca });
    }
    let inline = inline.map(|found| JwtKeys::Inline { place: found.place, text: found.value });
    inline.or(file.map(JwtKeys::File))
}

/// Whether control can fetch it: unlike an endpoint's url it may have any path and a query.
fn fetchable(text: &str) -> Result<(), String> {
    let after = text.find("://").map_or(0, |at| at + 3);
    let end = text.bytes().enumerate().skip(after).find(|(_, byte)| b"/?#".contains(byte));
    let end = end.map_or(text.len(), |(at, _)| at);
    let beginning = text.get(..end).unwrap_or_default();
    if beginning.contains('@') {
        return Err("a url here has no user and password: whoever may read the keys of an issuer may be anybody".to_owned());
    }
    Url::parse(beginning)?;
    if text.contains('#') {
        return Err("a fragment is never sent: leave out what begins with \"#\"".to_owned());
    }
    match text.chars().find(|c| !c.is_ascii_graphic()) {
        Some(bad) => Err(format!("{bad:?} may not be in a url: write it percent-encoded")),
        None => Ok(()),
    }
}

fn claims(section: &Section<'_>, errors: &mut Errors<'_>) -> Claims {
    let known =
        ["tenant", "user", "models", "requests_per_minute", "tokens_per_minute", "concurrent"];
    section.refuse_unknown(&known, &[], errors);
    let mut claim = |key: &str| -> Option<String> {
        let found = section.string(key, errors)?;
        if found.value.split('.').any(str::is_empty) {
            let text =
                "is not the path of a claim: write its name, or names with dots between them";
            errors.add(&found.place, text);
        }
        Some(found.value)
    };
    Claims {
        tenant: claim("tenant"),
        user: claim("user"),
        models: claim("models"),
        requests_per_minute: claim("requests_per_minute"),
        tokens_per_minute: claim("tokens_per_minute"),
        concurrent: claim("concurrent"),
    }
}
