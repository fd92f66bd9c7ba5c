//! Where requests go.

use std::net::SocketAddr;

/// An HTTP server by address, or several alike of which connections take one in turn.
#[derive(Clone, Debug, Default)]
pub struct Destination {
    /// Addresses, at least one.
    pub addresses: Vec<SocketAddr>,
    /// Path before the request's own.
    pub prefix: String,
}

impl Destination {
    /// Reads `http://127.0.0.1:8080/prefix`; names are not resolved.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").unwrap_or(url);
        let (address, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let address =
            address.parse().map_err(|_| format!("{url:?} is not like http://127.0.0.1:8080"))?;
        let prefix = prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Ok(Self { addresses: vec![address], prefix })
    }
}
