//! `[node]`, `[[registry]]`, and what an upstream says of discovery.

use crate::config::check;
use crate::config::discover::Damping;
use crate::config::discover::Discover;
use crate::config::discover::Locality;
use crate::config::discover::Others;
use crate::config::discover::Source;
use crate::config::discover::Traits;
use crate::config::policy::Named;
use crate::config::read::level;
use crate::config::section::Errors;
use crate::config::section::Section;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const KEEP_DEFAULT: Duration = Duration::from_secs(3600);
const SPILL_PERCENT_DEFAULT: u32 = 80;
const SOURCE_EXAMPLE: &str = "write one of consul = \"SERVICE\", etcd = \"PREFIX\", dns = \"HOST\" with port, srv = \"NAME\", file = \"PATH\"";

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
    let known = [
        "consul",
        "etcd",
        "dns",
        "srv",
        "file",
        "registry",
        "datacenters",
        "tags",
        "port",
        "server",
        "https",
        "path_prefix",
        "weight",
        "keep_ms",
        "region",
        "zone",
        "model",
        "version",
        "capacity",
        "headroom",
        "drain",
    ];
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
        "dns" => &["port", "server"],
        "srv" => &["server"],
        _ => &[],
    };
    for key in ["registry", "datacenters", "tags", "port", "server"] {
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
        "srv" => Source::Srv { name, server: server(section, errors) },
        _ => {
            if !section.has("port") {
                errors.add(&section.place, "port is missing: write port = 8000");
            }
            let port = section.count("port", 1..=u16::MAX, errors)?;
            Source::Dns { host: name, port, server: server(section, errors) }
        }
    })
}

/// The name server that a source of names asks.
fn server(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<SocketAddr> {
    let found = section.string("server", errors)?;
    let server = found.value.parse().ok();
    if server.is_none() {
        let text = format!("\"{}\" is no address: write \"127.0.0.1:8600\"", found.value);
        errors.add(&found.place, text);
    }
    server
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
            errors.add(&section.place_of("others", errors), text);
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
pub(super) fn word(section: &Section<'_>, key: &str, errors: &mut Errors<'_>) -> Option<String> {
    let found = section.string(key, errors)?;
    check::name(&found, errors);
    Some(found.value)
}
