//! The target of a request in its four forms (RFC 9112, section 3.2), and what a host may look like.

use crate::wire::Malformed;
use crate::wire::head::Method;
use crate::wire::limits::TARGET_BYTES_MAX;

/// A request's target, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'b> {
    /// Begins with `/`; `*` or empty where the method allows that.
    pub(super) path: &'b str,
    pub(super) query: Option<&'b str>,
    /// Of the absolute and the authority form.
    pub(super) authority: Option<&'b str>,
}

/// Takes a request's target apart.
pub(super) fn split(target: &str, method: Method) -> Result<Target<'_>, Malformed> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(Malformed::TargetTooLong);
    }
    check_bytes(target.as_bytes())?;
    if target.starts_with('/') {
        if method == Method::Connect {
            return Err(Malformed::TargetForm);
        }
        let (path, query) = split_query(target);
        return Ok(Target { path, query, authority: None });
    }
    match method {
        Method::Connect => authority_form(target),
        Method::Options if target == "*" => {
            Ok(Target { path: target, query: None, authority: None })
        }
        _ => absolute_form(target, method),
    }
}

/// Path and query.
fn split_query(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// `host:port`, of CONNECT alone.
fn authority_form(target: &str) -> Result<Target<'_>, Malformed> {
    if !is_authority(target.as_bytes()) || !target.contains(':') {
        return Err(Malformed::TargetForm);
    }
    Ok(Target { path: "", query: None, authority: Some(target) })
}

/// `http://host/path?query`, as clients of a forward proxy write it.
fn absolute_form(target: &str, method: Method) -> Result<Target<'_>, Malformed> {
    let (scheme, rest) = target.split_once("://").ok_or(Malformed::TargetForm)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Malformed::TargetForm);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end).ok_or(Malformed::Target)?;
    if authority.is_empty() || !is_authority(authority.as_bytes()) {
        return Err(Malformed::HostInvalid);
    }
    let (path, query) = split_query(rest);
    let path = match path {
        "" if method == Method::Options && query.is_none() => "*",
        "" => "/",
        path => path,
    };
    Ok(Target { path, query, authority: Some(authority) })
}

/// Refuses what no target may hold: bytes that are not ASCII, characters that no URI has, fragments,
/// percent-escapes that are broken or stand for NUL.
fn check_bytes(target: &[u8]) -> Result<(), Malformed> {
    let mut has_percent = false;
    for &byte in target {
        match byte {
            b'%' => has_percent = true,
            b'#' => return Err(Malformed::TargetFragment),
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                return Err(Malformed::Target);
            }
            b'!'..=b'~' => {}
            _ => return Err(Malformed::Target),
        }
    }
    if has_percent { check_escapes(target) } else { Ok(()) }
}

/// Every `%` is followed by two hexadecimal digits that are not both zero.
fn check_escapes(target: &[u8]) -> Result<(), Malformed> {
    for percent in memchr::memchr_iter(b'%', target) {
        match target.get(percent + 1..percent + 3) {
            Some(b"00") | None => return Err(Malformed::Target),
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {}
            Some(_) => return Err(Malformed::Target),
        }
    }
    Ok(())
}

/// Whether `text` is a host with an optional port (RFC 3986, section 3.2.2), or empty; never with a
/// user, a comma or a zone.
pub(super) fn is_authority(text: &[u8]) -> bool {
    let (is_host, port) = if let Some(rest) = text.strip_prefix(b"[") {
        let Some(close) = memchr::memchr(b']', rest) else { return false };
        let (address, rest) = rest.split_at_checked(close).unwrap_or_default();
        let port = rest.get(1..).unwrap_or_default();
        let is_address =
            address.iter().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(byte))
                && address.contains(&b':');
        if !port.is_empty() && port.first() != Some(&b':') {
            return false;
        }
        (is_address, port.get(1..).unwrap_or_default())
    } else {
        let end = text.iter().position(|&byte| !is_name_byte(byte)).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end).unwrap_or_default();
        match rest.split_first() {
            None => (true, rest),
            Some((b':', port)) => (!name.is_empty(), port),
            Some(_) => (false, rest),
        }
    };
    is_host && port.len() <= 5 && port.iter().all(u8::is_ascii_digit)
}

/// A byte of a registered name, without the comma (which joins repeated fields).
fn is_name_byte(byte: u8) -> bool {
    matches!(
        byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$'
            | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'='
    )
}

#[cfg(test)]
mod tests {
    use super::Target;
    use super::is_authority;
    use super::split;
    use crate::wire::Malformed;
    use crate::wire::head::Method;

    fn target<'b>(path: &'b str, query: Option<&'b str>, authority: Option<&'b str>) -> Target<'b> {
        Target { path, query, authority }
    }

    #[test]
    fn the_four_forms() {
        let rows = [
            (Method::Get, "/", Ok(target("/", None, None))),
            (Method::Get, "/a?b?c", Ok(target("/a", Some("b?c"), None))),
            (Method::Get, "/?", Ok(target("/", Some(""), None))),
            (Method::Get, "//a/../b", Ok(target("//a/../b", None, None))),
            (Method::Get, "/%2e%2E", Ok(target("/%2e%2E", None, None))),
            (Method::Get, "http://a:1/b?c", Ok(target("/b", Some("c"), Some("a:1")))),
            (Method::Get, "HTTPS://a", Ok(target("/", None, Some("a")))),
            (Method::Get, "http://a?q", Ok(target("/", Some("q"), Some("a")))),
            (Method::Options, "http://a", Ok(target("*", None, Some("a")))),
            (Method::Options, "*", Ok(target("*", None, None))),
            (Method::Connect, "a:443", Ok(target("", None, Some("a:443")))),
            (Method::Get, "*", Err(Malformed::TargetForm)),
            (Method::Get, "a:443", Err(Malformed::TargetForm)),
            (Method::Get, "a/b", Err(Malformed::TargetForm)),
            (Method::Get, "ftp://a/b", Err(Malformed::TargetForm)),
            (Method::Connect, "/", Err(Malformed::TargetForm)),
            (Method::Connect, "a", Err(Malformed::TargetForm)),
            (Method::Get, "http:///b", Err(Malformed::HostInvalid)),
            (Method::Get, "http://u@a/b", Err(Malformed::HostInvalid)),
            (Method::Get, "/a#b", Err(Malformed::TargetFragment)),
            (Method::Get, "/%", Err(Malformed::Target)),
            (Method::Get, "/%0", Err(Malformed::Target)),
            (Method::Get, "/%zz", Err(Malformed::Target)),
            (Method::Get, "/%00", Err(Malformed::Target)),
            (Method::Get, "/\u{e9}", Err(Malformed::Target)),
            (Method::Get, "/\"", Err(Malformed::Target)),
        ];
        for (method, text, expected) in rows {
            assert_eq!(split(text, method), expected, "{method:?} {text}");
        }
    }

    #[test]
    fn hosts() {
        for good in
            ["", "a", "a:", "a.b-c:80", "127.0.0.1:65535", "[::1]", "[::1]:8080", "%41", "a_b"]
        {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "a,b",
            "a b",
            "u@a",
            "a:b",
            "a:1:2",
            "a:123456",
            ":80",
            "[::1",
            "::1",
            "[::1]80",
            "[]",
            "[a]",
            "[::1%eth0]",
            "a/b",
            "a\t",
            "a#b",
            "a?b",
            "\u{e9}",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }
}
