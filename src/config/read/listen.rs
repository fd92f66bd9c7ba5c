//! `[listen]`: where clients come in, and `[admin]`, where operators do.

use crate::config::check;
use crate::config::cidr;
use crate::config::error::Place;
use crate::config::file::Admin;
use crate::config::file::File;
use crate::config::file::Limits;
use crate::config::file::Listen;
use crate::config::policy::Identity;
use crate::config::policy::Level;
use crate::config::read::level;
use crate::config::read::secret;
use crate::config::read::streams;
use crate::config::section::Errors;
use crate::config::section::Section;
use crate::config::streams::HEARTBEAT_DEFAULT;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

pub(super) fn listen(
    section: Option<Section<'_>>,
    folder: &Path,
    errors: &mut Errors<'_>,
) -> Listen {
    let limits = section.as_ref().and_then(|section| section.table("limits", errors));
    let mut listen = Listen {
        place: Place::default(),
        address: LISTEN_DEFAULT,
        server_timing: false,
        trust_request_id: false,
        proxy_protocol: false,
        trusted_proxies: Vec::new(),
        level: Level::default(),
        identity: identity(None, errors),
        heartbeat: Some(HEARTBEAT_DEFAULT),
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
            "middleware",
            "addresses",
            "identity",
            "heartbeat_ms",
        ];
        section.refuse_unknown(&known, &[], errors);
        listen.place = section.place_of("address", errors);
        listen.address = address(&section, LISTEN_DEFAULT, errors);
        listen.server_timing = section.boolean("server_timing", false, errors);
        listen.trust_request_id = section.boolean("trust_request_id", false, errors);
        listen.proxy_protocol = section.boolean("proxy_protocol", false, errors);
        listen.trusted_proxies = cidr::list(&section, "trusted_proxies", errors);
        listen.level = level::level(&section, folder, errors);
        listen.identity = identity(section.table("identity", errors), errors);
        if let Some(heartbeat) = streams::heartbeat(&section, errors) {
            listen.heartbeat = heartbeat;
        }
        check::somebody_is_trusted(&section, &listen, errors);
    }
    listen
}

/// Nobody is named to upstreams where there is nobody to name, unless the file says how.
pub(super) fn default_identity(listen: Option<Section<'_>>, file: &mut File) {
    let is_said = listen.is_some_and(|section| section.has("identity"));
    if !is_said && file.tenants.is_empty() && file.jwt.is_empty() {
        file.listen.identity = Identity { tenant: None, key: None, user: None };
    }
}

fn identity(section: Option<Section<'_>>, errors: &mut Errors<'_>) -> Identity {
    let mut identity = Identity {
        tenant: Some("x-ringway-tenant".to_owned()),
        key: Some("x-ringway-key".to_owned()),
        user: Some("x-ringway-user".to_owned()),
    };
    let Some(section) = section else {
        return identity;
    };
    section.refuse_unknown(&["tenant", "key", "user"], &[], errors);
    for (key, field) in
        [("tenant", &mut identity.tenant), ("key", &mut identity.key), ("user", &mut identity.user)]
    {
        if let Some(found) = section.string(key, errors) {
            if let Some(why) = check::not_a_field_of_ours(&found.value) {
                errors.add(&found.place, why);
            }
            *field = Some(found.value.to_ascii_lowercase()).filter(|name| !name.is_empty());
        }
    }
    let mut names: Vec<&String> =
        [&identity.tenant, &identity.key, &identity.user].into_iter().flatten().collect();
    names.sort();
    if names.windows(2).any(|pair| pair.first() == pair.last()) {
        errors.add(&section.place, "two of them have the same name: give each another one");
    }
    identity
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

pub(super) fn admin(section: Option<Section<'_>>, folder: &Path, errors: &mut Errors<'_>) -> Admin {
    let Some(section) = section else {
        return Admin { address: ADMIN_DEFAULT, token: None };
    };
    section.refuse_unknown(&["address", "token"], &[], errors);
    let token = secret::source(&section, "token", folder, errors);
    Admin { address: address(&section, ADMIN_DEFAULT, errors), token }
}

fn address(section: &Section<'_>, default: SocketAddr, errors: &mut Errors<'_>) -> SocketAddr {
    let Some(found) = section.string("address", errors) else {
        return default;
    };
    let text = found.value.as_str();
    if let Ok(address) = text.parse() {
        return address;
    }
    let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    let port = port.unwrap_or(default.port());
    let instead = if text.starts_with("localhost") {
        format!("a listener takes no names: write \"127.0.0.1:{port}\"")
    } else if let Ok(ip) = text.parse::<IpAddr>() {
        format!("the port is missing: write \"{}\"", SocketAddr::new(ip, default.port()))
    } else {
        format!("write \"ADDRESS:PORT\", for instance \"127.0.0.1:{port}\" or \"0.0.0.0:{port}\"")
    };
    errors.add(&found.place, format!("\"{text}\" is not an address and a port: {instead}"));
    default
}
