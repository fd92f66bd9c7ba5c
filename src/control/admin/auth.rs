//! Who may see the admin pages, and who may change things.
//!
//! Health and metrics are open. On loopback all other pages are, too, and changes as long as the config names no token. Elsewhere
//! everything below `/admin/` needs the token of the config, and without one is not answered.

use std::fmt;
use std::net::SocketAddr;

use hyper::Method;
use hyper::Request;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderMap;
use hyper::header::HeaderValue;
use sha2::Digest;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::control::admin::Answer;
use crate::control::admin::text;
use crate::snapshot::AdminToken;

/// What is said where there is no token and should be one.
const NO_TOKEN: &str = "the admin listener is not on loopback and has no token, so nothing below /admin/ is answered: \
                        write [admin] token = { env = \"NAME\" } or { file = \"PATH\" } into the config, or \
                        address = \"127.0.0.1:9090\"\n";
/// What is said where another page of a browser asks for a change.
const FROM_A_PAGE: &str = "a web page of elsewhere asks for this change: nothing is changed\n";

/// Where a connection of the admin listener leads from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// Who asks.
    pub(super) from: SocketAddr,
    /// Where the listener is bound.
    pub(super) at: SocketAddr,
}

/// Who asks, as the history and the log call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    from: SocketAddr,
    has_token: bool,
}

impl fmt::Display for Caller {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.has_token { "with" } else { "without" };
        write!(out, "{} {how} the admin token", self.from.ip())
    }
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// The listener is not on loopback, and nobody has said who may come.
    Unguarded,
    /// No token, or another.
    Unknown,
    /// A page of elsewhere has a browser ask: RFC 6454, section 7.
    FromAPage,
}

/// Who asks, if that one may ask this.
///
/// # Errors
/// Why not.
pub(super) fn check<B>(
    request: &Request<B>,
    ends: Ends,
    token: Option<&AdminToken>,
) -> Result<Caller, Stranger> {
    let has_token = token.is_some_and(|token| shows(request.headers(), token));
    let caller = Caller { from: ends.from, has_token };
    if !request.uri().path().starts_with("/admin/") {
        return Ok(caller);
    }
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD);
    let is_local = ends.at.ip().is_loopback();
    match token {
        _ if has_token => Ok(caller),
        None if !is_local => Err(Stranger::Unguarded),
        Some(_) if is_change || !is_local => Err(Stranger::Unknown),
        // Who sits at this machine may change things; a page that its browser shows may not.
        _ if is_change && request.headers().contains_key(header::ORIGIN) => {
            Err(Stranger::FromAPage)
        }
        _ => Ok(caller),
    }
}

/// Whether `authorization: Bearer TOKEN` (RFC 6750, section 2.1) is there once and has the token. Digests are compared, so that
/// neither the bytes nor their number make a difference in time.
fn shows(fields: &HeaderMap, token: &AdminToken) -> bool {
    let mut values = fields.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, shown)) = value.as_bytes().split_at_checked(b"bearer ".len()) else {
        return false;
    };
    let (shown, token) =
        (Sha256::digest(shown.trim_ascii()), Sha256::digest(token.secret.expose()));
    scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(shown.as_slice().ct_eq(token.as_slice()))
}

impl Stranger {
    /// Why, in a word for the log.
    pub(super) const fn why(self) -> &'static str {
        match self {
            Self::Unguarded => "no token is configured",
            Self::Unknown => "no token, or a wrong one",
            Self::FromAPage => "a page of elsewhere asks",
        }
    }

    pub(super) fn answer(self) -> Answer {
        match self {
            Self::Unguarded => text(StatusCode::FORBIDDEN, NO_TOKEN.to_owned()),
            Self::FromAPage => text(StatusCode::FORBIDDEN, FROM_A_PAGE.to_owned()),
            Self::Unknown => {
                let why = "show the admin token: authorization: Bearer TOKEN\n";
                let mut answer = text(StatusCode::UNAUTHORIZED, why.to_owned());
                let how = HeaderValue::from_static("Bearer realm=\"ringway admin\"");
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, how);
                answer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Secret;

    const LOCAL: &str = "127.0.0.1:9090";
    const OPEN: &str = "0.0.0.0:9090";

    fn ask(
        method: &str,
        path: &str,
        at: &str,
        token: Option<&str>,
        fields: &[(&str, &str)],
    ) -> Result<bool, Stranger> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let ends = Ends { from: "192.0.2.1:4242".parse().unwrap(), at: at.parse().unwrap() };
        let token = token.map(|token| AdminToken {
            secret: Secret::new(token.as_bytes().to_vec()),
            from: "env T".to_owned(),
        });
        let caller = check(&request.body(()).unwrap(), ends, token.as_ref())?;
        Ok(caller.has_token)
    }

    #[test]
    fn health_and_metrics_are_open_everywhere() {
        for path in ["/healthz", "/livez", "/readyz", "/metrics", "/nothing"] {
            for at in [LOCAL, OPEN, "[::]:9090"] {
                for token in [None, Some("t")] {
                    assert_eq!(ask("GET", path, at, token, &[]), Ok(false), "{path} {at}");
                }
            }
        }
    }

    #[test]
    fn elsewhere_than_on_loopback_every_page_needs_the_token() {
        let right = [("authorization", "Bearer t")];
        for at in [OPEN, "192.0.2.7:9090", "[::]:9090", "[2001:db8::1]:9090"] {
            for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
                let ask = |token, fields| ask(method, "/admin/snapshot", at, token, fields);
                assert_eq!(ask(None, &[]), Err(Stranger::Unguarded), "{method} {at}");
                assert_eq!(ask(None, &right), Err(Stranger::Unguarded), "{method} {at}");
                assert_eq!(ask(Some("t"), &[]), Err(Stranger::Unknown), "{method} {at}");
                assert_eq!(ask(Some("t"), &right), Ok(true), "{method} {at}");
            }
        }
    }

    #[test]
    fn on_loopback_changes_need_the_token_where_there_is_one() {
        let right = [("authorization", "bearer t")];
        for at in [LOCAL, "[::1]:9090", "127.9.9.9:1"] {
            assert_eq!(ask("GET", "/admin/snapshot", at, Some("t"), &[]), Ok(false));
            assert_eq!(ask("HEAD", "/admin/snapshot", at, None, &[]), Ok(false));
            for method in ["POST", "PUT", "DELETE", "PATCH", "X"] {
                let ask = |token, fields| ask(method, "/admin/rollback?to=1", at, token, fields);
                assert_eq!(ask(None, &[]), Ok(false), "{method}");
                assert_eq!(ask(Some("t"), &[]), Err(Stranger::Unknown), "{method}");
                assert_eq!(ask(Some("t"), &right), Ok(true), "{method}");
            }
        }
    }

    #[test]
    fn only_the_token_itself_is_the_token() {
        let ask =
            |fields: &[(&str, &str)]| ask("GET", "/admin/snapshot", OPEN, Some("secret"), fields);
        for value in ["Bearer secret", "bearer  secret", "BEARER secret "] {
            assert_eq!(ask(&[("authorization", value)]), Ok(true), "{value}");
        }
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer secre",
            "Bearer secrets",
            "Basic secret",
            "secret",
            "Bearersecret",
            "Bearer Secret",
        ] {
            assert_eq!(ask(&[("authorization", value)]), Err(Stranger::Unknown), "{value}");
        }
        let twice = [("authorization", "Bearer secret"), ("authorization", "Bearer other")];
        assert_eq!(ask(&twice), Err(Stranger::Unknown));
        assert_eq!(ask(&[("x-token", "secret")]), Err(Stranger::Unknown));
    }

    /// It sends what it likes to loopback, too, but cannot leave out whose page it is.
    #[test]
    fn pages_of_elsewhere_change_nothing() {
        let origin = [("origin", "https://elsewhere.example")];
        let ask = |method, fields| ask(method, "/admin/rollback?to=1", LOCAL, None, fields);
        assert_eq!(ask("POST", &origin), Err(Stranger::FromAPage));
        assert_eq!(ask("GET", &origin), Ok(false));
    }

    #[test]
    fn callers_are_called_by_address_and_never_by_token() {
        let caller = Caller { from: "[2001:db8::1]:4242".parse().unwrap(), has_token: true };
        assert_eq!(caller.to_string(), "2001:db8::1 with the admin token");
        let caller = Caller { has_token: false, ..caller };
        assert_eq!(caller.to_string(), "2001:db8::1 without the admin token");
    }
}
