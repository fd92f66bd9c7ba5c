//! `[[tenant]]`, its keys and its signatures, and `[keys]`.

use crate::config::check;
use crate::config::date;
use crate::config::policy::FileSource;
use crate::config::policy::Named;
use crate::config::policy::SignatureKey;
use crate::config::policy::Tenant;
use crate::config::policy::TenantKey;
use crate::config::read::level;
use crate::config::read::limits;
use crate::config::read::secret;
use crate::config::read::streams;
use crate::config::resilience::Priority;
use crate::config::section::Errors;
use crate::config::section::Section;
use std::path::Path;
use toml::de::DeValue;

const NOT_A_DIGEST: &str =
    "is not the SHA-256 of a key: write the 64 hexadecimal digits that `ringway key new` prints";

/// `[keys]`: where key files are.
pub(super) fn keys_path(
    section: Option<Section<'_>>,
    folder: &Path,
    errors: &mut Errors<'_>,
) -> Option<FileSource> {
    let section = section?;
    section.refuse_unknown(&["path"], &[], errors);
    section.required("path", errors)?;
    level::path(&section, "path", folder, errors)
}

/// One `[[tenant]]`.
pub(super) fn tenant(section: &Section<'_>, folder: &Path, errors: &mut Errors<'_>) -> Tenant {
    let known = [
        "name",
        "keys",
        "signatures",
        "models",
        "addresses",
        "limits",
        "when_full",
        "priority",
        "resume",
        "throttle",
        "upstream_keys",
        "middleware",
    ];
    section.refuse_unknown(&known, &[], errors);
    let name = section.required("name", errors);
    if let Some(name) = &name {
        check::label(name, errors);
    }
    let keys = section.tables("keys", "keys = [{ id = \"...\", sha256 = \"...\" }]", errors);
    let example = "signatures = [{ id = \"...\", secret = { env = \"NAME\" } }]";
    let signatures = section.tables("signatures", example, errors);
    let upstream_keys = section.table("upstream_keys", errors);
    Tenant {
        place: section.place.clone(),
        name: name.map_or_else(String::new, |name| name.value),
        keys: keys.iter().filter_map(|key| self::key(key, errors)).collect(),
        signatures: signatures.iter().filter_map(|s| signature(s, folder, errors)).collect(),
        models: models(section, errors),
        level: level::level(section, folder, errors),
        limits: limits::limits(section, true, errors),
        when_full: limits::when_full(section, errors),
        priority: priority(section, errors),
        resume: streams::of_tenant(section, errors),
        throttle: streams::throttle(section, errors),
        upstream_keys: upstream_keys
            .map(|section| self::upstream_keys(&section, folder, errors))
            .unwrap_or_default(),
    }
}

fn priority(section: &Section<'_>, errors: &mut Errors<'_>) -> Priority {
    let found = section.one_of("priority", "priority", &Priority::ALL, Priority::label, errors);
    found.unwrap_or_default()
}

fn models(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Vec<Named>> {
    if !section.has("models") {
        return None;
    }
    let names = section.strings("models", errors);
    Some(names.into_iter().map(|name| Named { place: name.place, name: name.value }).collect())
}

fn key(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<TenantKey> {
    section.refuse_unknown(&["id", "sha256", "expires", "models", "limits"], &[], errors);
    let id = section.required("id", errors);
    if let Some(id) = &id {
        check::label(id, errors);
    }
    let models = models(section, errors);
    let limits = limits::limits(section, false, errors).counts;
    let expires_unix_s = expires(section, errors);
    let digits = section.required("sha256", errors)?;
    let Some(sha256) = crate::config::keys::digest(&digits.value) else {
        // What is no digest may be the key itself, so it is not repeated.
        errors.add(&digits.place, NOT_A_DIGEST);
        return None;
    };
    Some(TenantKey {
        place: section.place.clone(),
        id: id?.value,
        sha256,
        expires_unix_s,
        models,
        limits,
    })
}

fn expires(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<u64> {
    if !section.has("expires") {
        return None;
    }
    let wanted = "a date: write expires = 2027-01-01T00:00:00Z";
    let moment = section.typed("expires", wanted, errors, |value| match value {
        DeValue::String(text) => Some(date::parse(text)),
        value => value.as_datetime().map(date::unix_s),
    })?;
    match moment.value {
        Ok(unix_s) => Some(unix_s),
        Err(why) => {
            errors.add(&moment.place, why);
            None
        }
    }
}

fn signature(
    section: &Section<'_>,
    folder: &Path,
    errors: &mut Errors<'_>,
) -> Option<SignatureKey> {
    section.refuse_unknown(&["id", "secret"], &[], errors);
    let id = section.required("id", errors);
    if let Some(id) = &id {
        check::label(id, errors);
    }
    let secret = secret::source(section, "secret", folder, errors);
    if !section.has("secret") {
        errors.add(&section.place, "secret is missing: write secret = { env = \"NAME\" }");
    }
    Some(SignatureKey { place: section.place.clone(), id: id?.value, secret })
}

fn upstream_keys(
    section: &Section<'_>,
    folder: &Path,
    errors: &mut Errors<'_>,
) -> Vec<(Named, crate::config::file::KeySource)> {
    let mut keys = Vec::new();
    for entry in section.others(&[], errors) {
        if let Some(source) = secret::source(section, entry.name, folder, errors) {
            keys.push((Named { place: entry.place, name: entry.name.to_owned() }, source));
        }
    }
    keys
}
