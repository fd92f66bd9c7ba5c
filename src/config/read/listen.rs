//! `[listen]`: where clients come in, and `[admin]`, where operators do.

use crate::config::check;
use crate::config::cidr;
use crate::config::error::Place;
use crate::config::file::Admin;
use crate::config::file::Limits;
use crate::config::file::Listen;
use crate::config::section::Errors;
use crate::config::section::Section;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::time::Duration;

const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

pub(super) fn listen(section: Option<Section<'_>>, errors: &mut Errors<'_>) -> Listen {
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

pub(super) fn admin(section: Option<Section<'_>>, errors: &mut Errors<'_>) -> Admin {
    let Some(section) = section else {
        return Admin { address: ADMIN_DEFAULT };
    };
    section.refuse_unknown(&["address"], &[], errors);
    Admin { address: address(&section, ADMIN_DEFAULT, errors) }
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
