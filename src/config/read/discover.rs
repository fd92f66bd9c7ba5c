//! `[node]`, `[[registry]]`, and what an upstream says of discovery.

use crate::config::check;
use crate::config::discover::ConfigPrefix;
use crate::config::discover::Damping;
use crate::config::discover::Discover;
use crate::config::discover::Locality;
use crate::config::discover::Node;
use crate::config::discover::Others;
use crate::config::discover::Register;
use crate::config::discover::Registry;
use crate::config::discover::RegistryKind;
use crate::config::discover::Source;
use crate::config::discover::Traits;
use crate::config::file::Ca;
use crate::config::file::File;
use crate::config::policy::Named;
use crate::config::read::level;
use crate::config::read::secret;
use crate::config::section::Errors;
use crate::config::section::Section;
use crate::config::url::Url;
use std::path::Path;
use std::time::Duration;

const KEEP_DEFAULT: Duration = Duration::from_secs(3600);
const TTL_DEFAULT: Duration = Duration::from_secs(15);
const SPILL_PERCENT_DEFAULT: u32 = 80;
const SOURCE_EXAMPLE: &str = "write one of consul = \"SERVICE\", etcd = \"PREFIX\", dns = \"HOST\" with port, srv = \"NAME\", file = \"PATH\"";
/// Keys of an endpoint beside its url and weight.
pub(super) const TRAITS: [&str; 7] =
    ["region", "zone", "model", "version", "capacity", "headroom", "drain"];

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

/// `discover` of an upstream: a table, or an array of tables.
pub(super) fn discover(
    section: &Section<'_>,
    folder: &Path,
    errors: &mut Errors<'_>,
) -> Vec<Discover> {
    const EXAMPLE: &str = "discover = [{ consul = \"SERVICE\" }]";
    if !section.has("discover") {
        return Vec::new();
    }
    let mut quiet = Errors::new("", "");
    let tables = if section.items("discover", EXAMPLE, &mut quiet).is_empty() {
        section.table("discover", errors).into_iter().collect()
    } else {
        section.tables("discover", EXAMPLE, errors)
    };
    tables.iter().filter_map(|section| entry(section, folder, errors)).collect()
}

fn entry(section: &Section<'_>, folder: &Path, errors: &mut Errors<'_>) -> Option<Discover> {
    let mut known = vec![
        "consul",
        "etcd",
        "dns",
        "srv",
        "file",
        "registry",
        "datacenters",
        "tags",
        "port",
        "https",
        "path_prefix",
        "weight",
        "keep_ms",
    ];
    known.extend(TRAITS);
    section.refuse_unknown(&known, &[], errors);
    let path_prefix = section.string("path_prefix", errors);
    if let Some(prefix) = &path_prefix
        && (!prefix.value.starts_with('/') || prefix.value.ends_with('/'))
    {
        errors.add(&prefix.place, "begins with a slash and ends without one: write \"/PATH\"");
    }
    Some(Discover {
        place: section.place.clone(),
        is_https: section.boolean("https", false, errors),
        path_prefix: path_prefix.map_or_else(String::new, |found| found.value),
        traits: traits(section, errors),
        weight: section.count("weight", 0..=1000_u32, errors).unwrap_or(1),
        keep: section.millis("keep_ms", errors).unwrap_or(KEEP_DEFAULT),
        source: source(section, folder, errors)?,
    })
}

fn source(section: &Section<'_>, folder: &Path, errors: &mut Errors<'_>) -> Option<Source> {
    let kinds = ["consul", "etcd", "dns", "srv", "file"];
    let said: Vec<&str> = kinds.into_iter().filter(|kind| section.has(kind)).collect();
    let [kind] = said[..] else {
        let text = match said[..] {
            [] => format!("says not who is asked: {SOURCE_EXAMPLE}"),
            _ => format!("has {}: write an entry for each", said.join(" and ")),
        };
        errors.add(&section.place, text);
        return None;
    };
    let allowed: &[&str] = match kind {
        "consul" => &["registry", "datacenters", "tags"],
        "etcd" => &["registry"],
        "dns" => &["port"],
        _ => &[],
    };
    for key in ["registry", "datacenters", "tags", "port"] {
        if section.has(key) && !allowed.contains(&key) {
            let place = section.place_of(key, errors);
            errors.add(&place, format!("means nothing beside {kind}: leave it out"));
        }
    }
    let registry = section.string("registry", errors);
    let registry = registry.map(|found| Named { place: found.place, name: found.value });
    let strings = |key: &str, errors: &mut Errors<'_>| -> Vec<String> {
        section.strings(key, errors).into_iter().map(|found| found.value).collect()
    };
    if kind == "file" {
        return level::path(section, "file", folder, errors).map(Source::File);
    }
    let name = section.required(kind, errors)?.value;
    Some(match kind {
        "consul" => Source::Consul {
            registry,
            service: name,
            datacenters: strings("datacenters", errors),
            tags: strings("tags", errors),
        },
        "etcd" => Source::Etcd { registry, prefix: name },
        "srv" => Source::Srv { name },
        _ => {
            if !section.has("port") {
                errors.add(&section.place, "port is missing: write port = 8000");
            }
            Source::Dns { host: name, port: section.count("port", 1..=u16::MAX, errors)? }
        }
    })
}

/// What is said of an endpoint beside its url and weight.
pub(super) fn traits(section: &Section<'_>, errors: &mut Errors<'_>) -> Traits {
    let version = section.string("version", errors);
    if let Some(version) = &version {
        check::name(version, errors);
        check::has_no_at(version, "the version alone", errors);
    }
    Traits {
        region: word(section, "region", errors),
        zone: word(section, "zone", errors),
        model: word(section, "model", errors),
        version: version.map(|found| found.value),
        capacity: section.count("capacity", 1..=1_000_000, errors),
        headroom: section.count("headroom", 0..=1_000_000, errors),
        is_draining: section.boolean("drain", false, errors),
    }
}

/// `locality` of an upstream.
pub(super) fn locality(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Locality> {
    let section = section.table("locality", errors)?;
    section.refuse_unknown(&["others", "spill_percent"], &[], errors);
    let mut quiet = Errors::new("", "");
    let others = if !section.has("others") {
        Others::Smart
    } else if let Some(word) = section.string("others", &mut quiet) {
        if word.value != "smart" {
            let text = "write \"smart\", or the regions in their order: [\"eu-west\", \"us-east\"]";
            errors.add(&word.place, text);
        }
        Others::Smart
    } else {
        let regions = section.strings("others", errors);
        Others::Fixed(regions.into_iter().map(|region| region.value).collect())
    };
    let spill = section.count("spill_percent", 1..=100_u32, errors);
    Some(Locality { others, spill_percent: spill.unwrap_or(SPILL_PERCENT_DEFAULT) })
}

/// `damping` of an upstream; none: whoever comes is taken.
pub(super) fn damping(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Damping> {
    let default = Damping::default();
    let mut quiet = Errors::new("", "");
    if section.has("damping") && section.table("damping", &mut quiet).is_none() {
        return section.boolean("damping", true, errors).then_some(default);
    }
    let Some(section) = section.table("damping", errors) else {
        return Some(default);
    };
    section.refuse_unknown(&["flaps", "window_ms", "hold_ms"], &[], errors);
    Some(Damping {
        flaps: section.count("flaps", 1..=1000, errors).unwrap_or(default.flaps),
        window: section.millis("window_ms", errors).unwrap_or(default.window),
        hold: section.millis("hold_ms", errors).unwrap_or(default.hold),
    })
}

/// A name that goes into labels and logs.
fn word(section: &Section<'_>, key: &str, errors: &mut Errors<'_>) -> Option<String> {
    let found = section.string(key, errors)?;
    check::name(&found, errors);
    Some(found.value)
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
    for register in &file.node.register {
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
