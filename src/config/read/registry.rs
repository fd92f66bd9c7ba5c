//! `[node]` and `[[registry]]`, and whether those that are named are there.

use crate::config::check;
use crate::config::discover::ConfigPrefix;
use crate::config::discover::Node;
use crate::config::discover::Register;
use crate::config::discover::Registry;
use crate::config::discover::RegistryKind;
use crate::config::discover::Source;
use crate::config::file::Ca;
use crate::config::file::File;
use crate::config::policy::Named;
use crate::config::read::discover::word;
use crate::config::read::secret;
use crate::config::section::Errors;
use crate::config::section::Section;
use crate::config::url::Url;
use std::path::Path;
use std::time::Duration;

const TTL_DEFAULT: Duration = Duration::from_secs(15);

/// `[node]`.
pub(super) fn node(section: Option<Section<'_>>, errors: &mut Errors<'_>) -> Node {
    let Some(section) = section else {
        return Node::default();
    };
    section.refuse_unknown(&["region", "zone", "register"], &[], errors);
    let register = section.tables("register", "register = [{ registry = \"...\" }]", errors);
    Node {
        place: section.place.clone(),
        region: word(&section, "region", errors),
        zone: word(&section, "zone", errors),
        register: register.iter().map(|section| self::register(section, errors)).collect(),
    }
}

fn register(section: &Section<'_>, errors: &mut Errors<'_>) -> Register {
    section.refuse_unknown(&["registry", "name", "address", "ttl_ms", "tags"], &[], errors);
    let registry = section.required("registry", errors);
    let tags = section.strings("tags", errors);
    Register {
        place: section.place.clone(),
        registry: registry.map_or_else(String::new, |found| found.value),
        name: word(section, "name", errors).unwrap_or_else(|| "ringway".to_owned()),
        address: word(section, "address", errors),
        ttl: section.millis("ttl_ms", errors).unwrap_or(TTL_DEFAULT),
        tags: tags.into_iter().map(|tag| tag.value).collect(),
    }
}

/// One `[[registry]]`.
pub(super) fn registry(
    section: &Section<'_>,
    folder: &Path,
    errors: &mut Errors<'_>,
) -> Option<Registry> {
    section.refuse_unknown(&["name", "consul", "etcd", "ca", "region", "config"], &[], errors);
    let name = section.required("name", errors);
    if let Some(name) = &name {
        check::label(name, errors);
    }
    let ca = section.string("ca", errors);
    let ca = ca.map(|found| Ca { path: folder.join(&found.value), place: found.place });
    let region = word(section, "region", errors);
    let config = section.table("config", errors).and_then(|section| config(&section, errors));
    let kind = match (section.table("consul", errors), section.table("etcd", errors)) {
        (Some(consul), None) => self::consul(&consul, folder, errors),
        (None, Some(etcd)) => self::etcd(&etcd, folder, errors),
        (Some(_), Some(_)) => {
            errors.add(&section.place, "is a consul or an etcd: write another [[registry]]");
            return None;
        }
        (None, None) => {
            let text = "says not what it is: write consul = { url = \"http://HOST:8500\" } or etcd = { urls = [\"http://HOST:2379\"] }";
            if !section.has("consul") && !section.has("etcd") {
                errors.add(&section.place, text);
            }
            return None;
        }
    };
    Some(Registry {
        place: section.place.clone(),
        name: name.map_or_else(String::new, |name| name.value),
        kind,
        ca,
        region,
        config,
    })
}

fn config(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<ConfigPrefix> {
    section.refuse_unknown(&["prefix", "wins"], &[], errors);
    let wins = section.boolean("wins", false, errors);
    let prefix = section.required("prefix", errors)?.value;
    let prefix = if prefix.ends_with('/') { prefix } else { format!("{prefix}/") };
    Some(ConfigPrefix { prefix, wins })
}

fn consul(section: &Section<'_>, folder: &Path, errors: &mut Errors<'_>) -> RegistryKind {
    section.refuse_unknown(&["url", "urls", "token"], &[], errors);
    RegistryKind::Consul {
        urls: urls(section, "http://HOST:8500", errors),
        token: secret::source(section, "token", folder, errors),
    }
}

fn etcd(section: &Section<'_>, folder: &Path, errors: &mut Errors<'_>) -> RegistryKind {
    section.refuse_unknown(&["url", "urls", "user", "password"], &[], errors);
    let password = secret::source(section, "password", folder, errors);
    let user = section.string("user", errors);
    if user.is_some() != section.has("password") {
        errors.add(&section.place, "user and password belong together: write both, or none");
    }
    RegistryKind::Etcd {
        urls: urls(section, "http://HOST:2379", errors),
        login: user.map(|user| user.value).zip(password),
    }
}

/// `url` or `urls`.
fn urls(section: &Section<'_>, example: &str, errors: &mut Errors<'_>) -> Vec<Url> {
    let found = section.string("url", errors).into_iter().chain(section.strings("urls", errors));
    let found: Vec<_> = found.collect();
    if found.is_empty() && !section.has("url") && !section.has("urls") {
        errors.add(&section.place, format!("says not where it is: write url = \"{example}\""));
    }
    let mut urls = Vec::new();
    for text in found {
        match Url::parse(&text.value) {
            Ok(url) => urls.push(url),
            Err(why) => errors.add(&text.place, why),
        }
    }
    urls
}

/// Registries that are named must exist once, and be what they are taken for.
pub(super) fn check(file: &File, errors: &mut Errors<'_>) {
    for (index, registry) in file.registries.iter().enumerate() {
        let before = file.registries.iter().take(index);
        if let Some(first) = before.clone().find(|before| before.name == registry.name) {
            let text = format!(
                "the registry at line {} is called \"{}\" too: give one of them another name",
                first.place.line, registry.name
            );
            errors.add(&registry.place, text);
        }
    }
    for upstream in &file.upstreams {
        for (index, entry) in upstream.discover.iter().enumerate() {
            let what = entry.source.describe();
            if upstream.discover.iter().take(index).any(|before| before.source.describe() == what) {
                errors.add(&entry.place, format!("{what} is asked already: leave it out"));
            }
        }
    }
    for entry in file.upstreams.iter().flat_map(|upstream| &upstream.discover) {
        let (wanted, registry) = match &entry.source {
            Source::Consul { registry, .. } => ("consul", registry),
            Source::Etcd { registry, .. } => ("etcd", registry),
            _ => continue,
        };
        let of_kind = file.registries.iter().filter(|registry| registry.kind.label() == wanted);
        match registry {
            Some(named) => exists(&file.registries, wanted, named, errors),
            None if of_kind.count() > 1 => {
                let text = format!("several registries are a {wanted}: write registry = \"...\"");
                errors.add(&entry.place, text);
            }
            None => {}
        }
    }
    for register in file.node.register.iter().filter(|register| !register.registry.is_empty()) {
        let named = Named { place: register.place.clone(), name: register.registry.clone() };
        exists(&file.registries, "", &named, errors);
    }
}

/// Whether there is such a registry.
fn exists(registries: &[Registry], wanted: &str, named: &Named, errors: &mut Errors<'_>) {
    let is_meant = |registry: &&Registry| wanted.is_empty() || registry.kind.label() == wanted;
    let names: Vec<&str> =
        registries.iter().filter(is_meant).map(|registry| registry.name.as_str()).collect();
    if names.contains(&named.name.as_str()) {
        return;
    }
    let what = if wanted.is_empty() { "registry" } else { wanted };
    let there = if names.is_empty() {
        "there is none: write a [[registry]]".to_owned()
    } else {
        format!("there are: {}", names.join(", "))
    };
    errors.add(&named.place, format!("no {what} is called \"{}\" ({there})", named.name));
}
