//! Where to listen, as the file writes it: an address and a port, never a name.

use crate::config::section::Errors;
use crate::config::section::Section;
use std::net::IpAddr;
use std::net::SocketAddr;

/// The `address` of a table that is about a listener.
pub(crate) fn address(
    section: &Section<'_>,
    default: SocketAddr,
    errors: &mut Errors<'_>,
) -> SocketAddr {
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
