//! From the tree of a TOML text to a [`File`].

use crate::config::check;
use crate::config::cidr;
use crate::config::error::Error;
use crate::config::error::Place;
use crate::config::file::AccessLog;
use crate::config::file::Admin;
use crate::config::file::Balance;
use crate::config::file::Ca;
use crate::config::file::DeadlineOverrides;
use crate::config::file::Deadlines;
use crate::config::file::Dialect;
use crate::config::file::Endpoint;
use crate::config::file::File;
use crate::config::file::KeySource;
use crate::config::file::Limits;
use crate::config::file::Listen;
use crate::config::file::LogPath;
use crate::config::file::Model;
use crate::config::file::Pool;
use crate::config::file::SecretPlace;
use crate::config::file::Upstream;
use crate::config::listener::address;
use crate::config::nearest::nearest;
use crate::config::section::Errors;
use crate::config::section::Later;
use crate::config::section::Located;
use crate::config::section::Section;
use crate::config::url::Url;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use toml::de::DeTable;

const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
const DEADLINES_DEFAULT: Deadlines = Deadlines {
    connect: Duration::from_secs(2),
    first_byte: Duration::from_secs(120),
    gap: Duration::from_secs(60),
    whole: Duration::from_secs(3600),
};
const POOL_DEFAULT: Pool =
    Pool { idle_max: 1024, idle: Duration::from_secs(60), age: Duration::from_secs(3600) };

const TOP_LATER: &[Later] = &[
    ("tenant", "every client may use every model; leave [[tenant]] out"),
    ("middleware", "leave it out"),
];
const UPSTREAM_LATER: &[Later] = &[
    ("discover", "write endpoints = [{ url = \"https://HOST\" }] instead"),
    ("middleware", "leave it out"),
];
const MODEL_LATER: &[Later] = &[
    ("fallback", "a model has one upstream; give that several endpoints, or leave fallback out"),
    ("middleware", "leave it out"),
];
const BALANCE_LATER: &[&str] =
    &["least_connections", "weighted_least_connections", "peak_ewma", "hash"];

/// Reads the text. The file is whole only where there are no errors.
pub(crate) fn file(text: &str, name: &str) -> (File, Vec<Error>) {
    let mut errors = Errors::new(name, text);
    let (tree, wrong) = DeTable::parse_recoverable(text);
    for error in &wrong {
        let line = errors.line(error.span().map_or(0, |span| span.start));
        errors.add(&Place { line, path: String::new() }, error.message().trim_end().to_owned());
    }
    let folder = Path::new(name).parent().unwrap_or(Path::new("")).to_path_buf();
    let mut file = File {
        name: name.to_owned(),
        listen: listen(None, &mut errors),
        admin: Admin { address: ADMIN_DEFAULT },
        access_log: None,
        upstreams: Vec::new(),
        models: Vec::new(),
    };
    if !wrong.is_empty() {
        // A tree with holes would only bring up errors that are not there.
        return (file, errors.list);
    }
    let top = Section::new(tree.get_ref(), Place::default());
    let known = ["listen", "admin", "access_log", "upstream", "model"];
    top.refuse_unknown(&known, TOP_LATER, &mut errors);
    file.listen = listen(top.table("listen", &mut errors), &mut errors);
    file.admin = admin(top.table("admin", &mut errors), &mut errors);
    file.access_log = access_log(top.table("access_log", &mut errors), &folder, &mut errors);
    for section in top.tables("upstream", "[[upstream]]", &mut errors) {
        file.upstreams.push(upstream(&section, &folder, &mut errors));
    }
    let upstreams: Vec<&str> =
        file.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    for section in top.tables("model", "[[model]]", &mut errors) {
        file.models.push(model(&section, &upstreams, &mut errors));
    }
    check::whole(&file, &mut errors);
    (file, errors.list)
}

fn listen(section: Option<Section<'_>>, errors: &mut Errors<'_>) -> Listen {
    let limits = section.as_ref().and_then(|section| section.table("limits", errors));
    let mut listen = Listen {
        place: Place::default(),
        address: LISTEN_DEFAULT,
        server_timing: false,
        trust_request_id: false,
        proxy_protocol: false,
        trusted_proxies: Vec::new(),
        limits: self::limits(limits, errors),
    };
    if let Some(section) = section {
        let known = [
            "address",
            "server_timing",
            "trust_request_id",
            "proxy_protocol",
            "trusted_proxies",
            "limits",
        ];
        section.refuse_unknown(&known, &[], errors);
        listen.place = section.place_of("address", errors);
        listen.address = address(&section, LISTEN_DEFAULT, errors);
        listen.server_timing = section.boolean("server_timing", false, errors);
        listen.trust_request_id = section.boolean("trust_request_id", false, errors);
        listen.proxy_protocol = section.boolean("proxy_protocol", false, errors);
        listen.trusted_proxies = cidr::list(&section, "trusted_proxies", errors);
        check::somebody_is_trusted(&section, &listen, errors);
    }
    listen
}

fn limits(section: Option<Section<'_>>, errors: &mut Errors<'_>) -> Limits {
    let mut limits = Limits {
        body_bytes_max: 16 << 20,
        head_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(75),
        body_timeout: Duration::from_secs(30),
        write_timeout: Duration::from_secs(60),
    };
    let Some(section) = section else {
        return limits;
    };
    let known = [
        "body_bytes_max",
        "head_timeout_ms",
        "idle_timeout_ms",
        "body_timeout_ms",
        "write_timeout_ms",
    ];
    section.refuse_unknown(&known, &[], errors);
    let bytes = section.number("body_bytes_max", &(1024..=1 << 30), errors);
    if let Some(bytes) = bytes.and_then(|bytes| usize::try_from(bytes).ok()) {
        limits.body_bytes_max = bytes;
    }
    for (key, limit) in [
        ("head_timeout_ms", &mut limits.head_timeout),
        ("idle_timeout_ms", &mut limits.idle_timeout),
        ("body_timeout_ms", &mut limits.body_timeout),
        ("write_timeout_ms", &mut limits.write_timeout),
    ] {
        *limit = section.millis(key, errors).unwrap_or(*limit);
    }
    limits
}

fn admin(section: Option<Section<'_>>, errors: &mut Errors<'_>) -> Admin {
    let Some(section) = section else {
        return Admin { address: ADMIN_DEFAULT };
    };
    section.refuse_unknown(&["address"], &[], errors);
    Admin { address: address(&section, ADMIN_DEFAULT, errors) }
}

fn access_log(
    section: Option<Section<'_>>,
    folder: &Path,
    errors: &mut Errors<'_>,
) -> Option<AccessLog> {
    let section = section?;
    section.refuse_unknown(&["path"], &[], errors);
    let path = section.required("path", errors)?;
    let path = match path.value.as_str() {
        "stdout" => LogPath::Stdout,
        text => LogPath::File(folder.join(text)),
    };
    Some(AccessLog { path })
}

fn upstream(section: &Section<'_>, folder: &Path, errors: &mut Errors<'_>) -> Upstream {
    let known = ["name", "dialect", "api_key", "balance", "endpoints", "deadlines", "pool", "ca"];
    section.refuse_unknown(&known, UPSTREAM_LATER, errors);
    let name = section.required("name", errors);
    if let Some(name) = &name {
        check::name(name, errors);
    }
    let deadlines = section.table("deadlines", errors);
    let overrides = deadlines.map(|section| self::deadlines(&section, errors)).unwrap_or_default();
    Upstream {
        place: section.place.clone(),
        name: name.map_or_else(String::new, |name| name.value),
        dialect: dialect(section, errors),
        api_key: api_key(section, folder, errors),
        balance: balance(section, errors),
        endpoints: endpoints(section, errors),
        deadlines: DEADLINES_DEFAULT.overridden(&overrides),
        pool: pool(section.table("pool", errors), errors),
        ca: section.string("ca", errors).map(|found| ca(&found, folder, errors)),
    }
}

fn ca(found: &Located<String>, folder: &Path, errors: &mut Errors<'_>) -> Ca {
    if found.value.is_empty() {
        errors.add(&found.place, "may not be empty: write the path of a PEM file");
    }
    Ca { place: found.place.clone(), path: folder.join(&found.value) }
}

fn dialect(section: &Section<'_>, errors: &mut Errors<'_>) -> Dialect {
    let Some(found) = section.string("dialect", errors) else {
        return Dialect::OpenAi;
    };
    match found.value.as_str() {
        "openai" => Dialect::OpenAi,
        "anthropic" => Dialect::Anthropic,
        other => {
            let text = format!("no dialect is called \"{other}\" (there are: openai, anthropic)");
            errors.add(&found.place, text);
            Dialect::OpenAi
        }
    }
}

fn balance(section: &Section<'_>, errors: &mut Errors<'_>) -> Balance {
    let Some(found) = section.string("balance", errors) else {
        return Balance::WeightedRoundRobin;
    };
    match found.value.as_str() {
        "round_robin" => return Balance::RoundRobin,
        "weighted_round_robin" => return Balance::WeightedRoundRobin,
        other if BALANCE_LATER.contains(&other) => errors.add(
            &found.place,
            format!(
                "\"{other}\" is not supported by this version: write \"weighted_round_robin\" \
                 (or \"round_robin\")"
            ),
        ),
        other => {
            let known = ["round_robin", "weighted_round_robin"];
            let meant = nearest(other, &known)
                .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            errors.add(
                &found.place,
                format!(
                    "no balance is called \"{other}\" (there are: {}{meant})",
                    known.join(", ")
                ),
            );
        }
    }
    Balance::WeightedRoundRobin
}

fn api_key(section: &Section<'_>, folder: &Path, errors: &mut Errors<'_>) -> Option<KeySource> {
    const INSTEAD: &str = "write { env = \"NAME\" } or { file = \"PATH\" }";
    if !section.has("api_key") {
        return None;
    }
    let mut quiet = Errors::new("", "");
    let Some(table) = section.table("api_key", &mut quiet) else {
        let place = section.place_of("api_key", errors);
        errors.add(&place, format!("a secret is not written into the file: {INSTEAD}"));
        return None;
    };
    let place = section.place_of("api_key", errors);
    table.refuse_unknown(&["env", "file"], &[], errors);
    let from = match (table.string("env", errors), table.string("file", errors)) {
        (Some(name), None) => {
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if name.value.is_empty() || !name.value.bytes().all(is_name) {
                // What is not a name may be the secret itself, so it is not repeated.
                errors.add(&name.place, "is not the name of a variable: write env = \"NAME\"");
            }
            SecretPlace::Env(name.value)
        }
        (None, Some(path)) => SecretPlace::File(folder.join(path.value)),
        (Some(_), Some(_)) => {
            errors.add(&place, "has both env and file: leave one out");
            return None;
        }
        (None, None) => {
            if !table.has("env") && !table.has("file") {
                errors.add(&place, format!("says not where the secret is: {INSTEAD}"));
            }
            return None;
        }
    };
    Some(KeySource { place, from })
}

fn endpoints(section: &Section<'_>, errors: &mut Errors<'_>) -> Vec<Endpoint> {
    const EXAMPLE: &str = "endpoints = [{ url = \"https://HOST\" }]";
    let before = errors.list.len();
    let mut endpoints = Vec::new();
    for table in section.tables("endpoints", EXAMPLE, errors) {
        table.refuse_unknown(&["url", "weight"], &[], errors);
        let weight = table.number("weight", &(0..=1000), errors).unwrap_or(1);
        let Some(text) = table.required("url", errors) else {
            continue;
        };
        match Url::parse(&text.value) {
            Ok(url) => endpoints.push(Endpoint {
                place: table.place.clone(),
                url,
                weight: u32::try_from(weight).unwrap_or(1),
            }),
            Err(why) => errors.add(&text.place, why),
        }
    }
    if endpoints.is_empty() && errors.list.len() == before && !section.has("discover") {
        let place = section.place_of("endpoints", errors);
        errors.add(&place, format!("there are no endpoints: write {EXAMPLE}"));
    }
    endpoints
}

fn deadlines(section: &Section<'_>, errors: &mut Errors<'_>) -> DeadlineOverrides {
    let known = ["connect_ms", "first_byte_ms", "gap_ms", "whole_ms"];
    section.refuse_unknown(&known, &[], errors);
    DeadlineOverrides {
        connect: section.millis("connect_ms", errors),
        first_byte: section.millis("first_byte_ms", errors),
        gap: section.millis("gap_ms", errors),
        whole: section.millis("whole_ms", errors),
    }
}

fn pool(section: Option<Section<'_>>, errors: &mut Errors<'_>) -> Pool {
    let Some(section) = section else {
        return POOL_DEFAULT;
    };
    section.refuse_unknown(&["idle_max", "idle_ms", "age_ms"], &[], errors);
    let idle_max = section.number("idle_max", &(0..=100_000), errors);
    Pool {
        idle_max: idle_max
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(POOL_DEFAULT.idle_max),
        idle: section.millis("idle_ms", errors).unwrap_or(POOL_DEFAULT.idle),
        age: section.millis("age_ms", errors).unwrap_or(POOL_DEFAULT.age),
    }
}

fn model(section: &Section<'_>, upstreams: &[&str], errors: &mut Errors<'_>) -> Model {
    let known = ["name", "version", "aliases", "upstream", "upstream_model", "deadlines"];
    section.refuse_unknown(&known, MODEL_LATER, errors);
    let name = section.required("name", errors);
    if let Some(name) = &name {
        check::name(name, errors);
        check::has_no_at(name, "version = \"...\"", errors);
    }
    let version = section.string("version", errors);
    if let Some(version) = &version {
        check::name(version, errors);
        check::has_no_at(version, "the version alone", errors);
    }
    let aliases = section.strings("aliases", errors);
    for alias in &aliases {
        check::name(alias, errors);
    }
    let upstream = section.required("upstream", errors);
    if let Some(upstream) = &upstream {
        check::upstream_exists(upstream, upstreams, errors);
    }
    let upstream_model = section.string("upstream_model", errors);
    if let Some(model) = &upstream_model {
        check::name(model, errors);
    }
    let deadlines = section.table("deadlines", errors);
    let deadlines = deadlines.map(|section| self::deadlines(&section, errors)).unwrap_or_default();
    let name = name.map_or_else(String::new, |name| name.value);
    Model {
        place: section.place.clone(),
        version: version.map(|version| version.value),
        aliases: aliases.into_iter().map(|alias| alias.value).collect(),
        upstream: upstream.map_or_else(String::new, |upstream| upstream.value),
        upstream_model: upstream_model.map_or_else(|| name.clone(), |model| model.value),
        deadlines,
        name,
    }
}
