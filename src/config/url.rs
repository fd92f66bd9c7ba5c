//! The url of an endpoint: scheme, host, port, path prefix, and nothing else.

use std::net::IpAddr;
use std::net::Ipv6Addr;

/// Where an endpoint's requests go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url {
    /// In its plainest form: lower case host, no default port, no slash at the end.
    pub text: String,
    /// Whether it is `https`.
    pub is_https: bool,
    /// A name in lower case or an address without brackets.
    pub host: String,
    /// Given or the scheme's.
    pub port: u16,
    /// The value of the `Host` field.
    pub authority: String,
    /// Goes before the path of every request; empty or `/something` without a slash at the end.
    pub path_prefix: String,
}

impl Url {
    /// Reads a url (RFC 3986; only what an endpoint may have).
    ///
    /// # Errors
    /// A text that says what is wrong and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            format!("\"{text}\" is not a url: write \"http://HOST:PORT\" or \"https://HOST\"")
        })?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(format!("the scheme \"{scheme}\" is not known: write http or https")),
        };
        if rest.contains(['?', '#']) {
            return Err("a url here has no query and no fragment: leave out what begins with \
                        \"?\" or \"#\""
                .to_owned());
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err("a url here has no user and password: write the secret as \
                        api_key = { env = \"NAME\" }"
                .to_owned());
        }
        let (host, port) = split_port(authority)?;
        let default_port = if is_https { 443 } else { 80 };
        let port = match port {
            Some(digits) => port_number(digits)?,
            None => default_port,
        };
        let host = Host::parse(host)?;
        let path_prefix = prefix(path)?;
        let authority = if port == default_port {
            host.bracketed.clone()
        } else {
            format!("{}:{port}", host.bracketed)
        };
        let scheme = if is_https { "https" } else { "http" };
        let text = format!("{scheme}://{authority}{path_prefix}");
        Ok(Self { text, is_https, host: host.bare, port, authority, path_prefix })
    }

    /// The host where it is an address and needs no looking up.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

struct Host {
    bare: String,
    bracketed: String,
}

impl Host {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').unwrap_or(inner);
            let address: Ipv6Addr = inner.parse().map_err(|_| {
                format!("\"{inner}\" is not an IPv6 address: write for instance [2001:db8::1]")
            })?;
            return Ok(Self { bare: address.to_string(), bracketed: format!("[{address}]") });
        }
        if text.is_empty() {
            return Err("the url has no host: write \"http://HOST:PORT\"".to_owned());
        }
        let name = text.to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
        if !name.is_ascii() {
            return Err(format!("the host \"{text}\" is not ASCII: write its xn-- form"));
        }
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err(format!("\"{text}\" is not a host: write a name or an address"));
        }
        let looks_numeric = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if looks_numeric && name.parse::<IpAddr>().is_err() {
            return Err(format!("\"{text}\" is not an IPv4 address: write four numbers up to 255"));
        }
        Ok(Self { bracketed: name.clone(), bare: name })
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), String> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or("the IPv6 address has no \"]\" at its end")?;
        let (host, rest) = authority.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("\"{rest}\" after the IPv6 address: write \":PORT\" or nothing")),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            Err(format!("write an IPv6 address in brackets: [{authority}]"))
        }
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn port_number(digits: &str) -> Result<u16, String> {
    let wrong = || format!("\"{digits}\" is not a port: write a number from 1 to 65535");
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    digits.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)
}

fn prefix(path: &str) -> Result<String, String> {
    let path = path.trim_end_matches('/');
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&b);
    if let Some(bad) = path.chars().find(|c| !u8::try_from(*c).is_ok_and(is_allowed)) {
        return Err(format!("{bad:?} may not be in a path: write it percent-encoded"));
    }
    let has_gap = path.split('/').skip(1).any(|segment| matches!(segment, "" | "." | ".."));
    if has_gap {
        return Err("the path has an empty, \".\" or \"..\" segment: leave it out".to_owned());
    }
    if path.ends_with("/v1") {
        return Err("the path ends in /v1, which the path of every request has already: \
                    leave out the /v1"
            .to_owned());
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn reads_urls() {
        for (text, plain, host, port, authority, prefix) in [
            ("http://a", "http://a", "a", 80, "a", ""),
            (
                "HTTPS://Api.Example.com/",
                "https://api.example.com",
                "api.example.com",
                443,
                "api.example.com",
                "",
            ),
            ("https://a:443/x/y/", "https://a/x/y", "a", 443, "a", "/x/y"),
            ("http://[::1]:8000", "http://[::1]:8000", "::1", 8000, "[::1]:8000", ""),
            (
                "http://10.0.0.1:80/o%20k",
                "http://10.0.0.1/o%20k",
                "10.0.0.1",
                80,
                "10.0.0.1",
                "/o%20k",
            ),
            ("http://my_host.:81", "http://my_host:81", "my_host", 81, "my_host:81", ""),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.text, plain);
            assert_eq!(
                (url.host.as_str(), url.port, url.authority.as_str(), url.path_prefix.as_str()),
                (host, port, authority, prefix)
            );
            assert_eq!(Url::parse(&url.text).unwrap(), url, "the plainest form reads the same");
        }
    }

    #[test]
    fn refuses_what_an_endpoint_may_not_have() {
        for text in [
            "",
            "a",
            "a:80",
            "ftp://a",
            "http://",
            "http://a?b",
            "http://a/#x",
            "http://u:p@a",
            "http://a:0",
            "http://a:65536",
            "http://a:+1",
            "http://a:",
            "http://::1",
            "http://[::1",
            "http://[::1]x",
            "http://[zz]",
            "http://a b",
            "http://a..b",
            "http://1.2.3",
            "http://ä",
            "http://a/b c",
            "http://a/../b",
            "http://a//b",
            "https://api.openai.com/v1",
            "http://a\r\nx: y",
        ] {
            assert!(Url::parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
