//! What is asked for: paths, preconditions and bodies, all bounded, and what is wrong with them by name.

use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::LengthLimitError;
use http_body_util::Limited;
use hyper::HeaderMap;
use hyper::Method;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header;
use serde_json::Map;
use serde_json::Value as Json;
use tokio::time;

use super::Refused;
use super::document::Kind;
use super::document::Name;
use super::table::EndpointChange;
use crate::config;
use crate::config::Url;
use crate::config::suggest;
use crate::control::admin::explain::decode;

/// The longest body, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;
/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What can be changed, or looked at before that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `/admin/upstreams/{u}/endpoints`
    Endpoints(String),
    /// `/admin/models/{m}`, `/admin/tenants/{t}`
    Item(Name),
    /// `/admin/tenants/{t}/keys`
    Keys(Name),
    /// `/admin/tenants/{t}/keys/{id}`
    Key(Name, String),
}

impl Place {
    /// None: nothing of this kind is at `path`.
    pub(super) fn of(path: &str) -> Option<Self> {
        let (kind, rest) = path.strip_prefix("/admin/")?.split_once('/')?;
        let name = |text: &str| decode_path(text).filter(|name| !name.is_empty());
        match kind {
            "upstreams" => Some(Self::Endpoints(name(rest.strip_suffix("/endpoints")?)?)),
            // Names of models may have slashes of their own.
            "models" => Some(Self::Item(Name::new(Kind::Model, &name(rest)?))),
            "tenants" => {
                let mut parts = rest.split('/');
                let tenant = Name::new(Kind::Tenant, &name(parts.next()?)?);
                match (parts.next(), parts.next(), parts.next()) {
                    (None, ..) => Some(Self::Item(tenant)),
                    (Some("keys"), None, _) => Some(Self::Keys(tenant)),
                    (Some("keys"), Some(id), None) => Some(Self::Key(tenant, name(id)?)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The methods that are allowed there.
    pub(super) const fn methods(&self) -> &'static str {
        match self {
            Self::Endpoints(_) => "GET, HEAD, PATCH",
            Self::Item(_) => "GET, HEAD, PUT, DELETE",
            Self::Keys(_) => "GET, HEAD, POST",
            Self::Key(..) => "DELETE",
        }
    }

    /// Whether this method is.
    pub(super) fn allows(&self, method: &Method) -> bool {
        self.methods().split(", ").any(|allowed| allowed == method.as_str())
    }
}

/// As [`decode`], but a `+` is a plus.
fn decode_path(text: &str) -> Option<String> {
    decode(&text.replace('+', "%2B"))
}

/// Which registry is asked for a new model or tenant: `?registry=NAME`.
pub(super) fn registry(query: &str) -> Result<Option<String>, Refused> {
    let mut found = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("registry", name)) => found = decode(name),
            _ => {
                let key = pair.split('=').next().unwrap_or_default();
                let why = format!("there is no parameter \"{key}\"; there is: registry");
                return Err(Refused::new(StatusCode::BAD_REQUEST, why));
            }
        }
    }
    Ok(found)
}

/// Whether `If-Match` (RFC 9110, section 13.1.1) lets a change be made while `number` is served.
pub(super) fn may_change(fields: &HeaderMap, number: u64) -> Result<(), Refused> {
    let mut tags = fields.get_all(header::IF_MATCH).iter().peekable();
    if tags.peek().is_none() {
        return Ok(());
    }
    let tags = tags.filter_map(|field| field.to_str().ok());
    let mut tags = tags.flat_map(|field| field.split(',')).map(str::trim);
    let number = number.to_string();
    if tags.any(|tag| tag == "*" || tag.trim_matches('"') == number) {
        return Ok(());
    }
    let why = format!(
        "snapshot {number} is served by now: look again, and ask with if-match: \"{number}\""
    );
    Err(Refused::new(StatusCode::PRECONDITION_FAILED, why))
}

/// The fields of a body.
pub(super) async fn body(fields: &HeaderMap, body: Incoming) -> Result<Map<String, Json>, Refused> {
    let kind = fields.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    // A page of another site can have a browser send forms and texts, but not this.
    if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
        let why = "the body must be JSON: send content-type: application/json".to_owned();
        return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    let collecting = Limited::new(body, BODY_BYTES_MAX).collect();
    let Ok(collected) = time::timeout(BODY_TIMEOUT, collecting).await else {
        let why = format!("the body has not come within {BODY_TIMEOUT:?}");
        return Err(Refused::new(StatusCode::REQUEST_TIMEOUT, why));
    };
    let bytes = collected.map_err(|why| {
        if why.downcast_ref::<LengthLimitError>().is_some() {
            let why = format!("the body is longer than {BODY_BYTES_MAX} bytes");
            return Refused::new(StatusCode::PAYLOAD_TOO_LARGE, why);
        }
        Refused::new(StatusCode::BAD_REQUEST, format!("the body broke off: {why}"))
    })?;
    object(&bytes.to_bytes())
}

fn object(bytes: &[u8]) -> Result<Map<String, Json>, Refused> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(bytes) {
        Ok(Json::Object(fields)) => Ok(fields),
        Ok(_) => Err(field("the body must be an object: {\"NAME\": VALUE, ..}".to_owned())),
        Err(why) => Err(field(format!("the body is no JSON: {why}"))),
    }
}

/// `{"url": .., "weight": .., "drain": ..}`
pub(super) fn endpoint(fields: &Map<String, Json>) -> Result<(Url, EndpointChange), Refused> {
    refuse_unknown(fields, &["url", "weight", "drain"])?;
    let url = fields.get("url").and_then(Json::as_str);
    let url = url.ok_or_else(|| field("url: is needed: which endpoint, as it is listed".into()))?;
    let url = Url::parse(url).map_err(|why| field(format!("url: {why}")))?;
    let weight = match fields.get("weight") {
        None => None,
        Some(weight) => {
            let weight = weight.as_u64().and_then(|weight| u32::try_from(weight).ok());
            let wrong = || field("weight: write a whole number from 0 to 1000".to_owned());
            Some(weight.filter(|weight| *weight <= 1000).ok_or_else(wrong)?)
        }
    };
    let drain = match fields.get("drain") {
        None => None,
        Some(Json::Bool(drain)) => Some(*drain),
        Some(_) => return Err(field("drain: write true or false".to_owned())),
    };
    if weight.is_none() && drain.is_none() {
        return Err(field("weight: this or drain is needed".to_owned()));
    }
    Ok((url, EndpointChange { weight, drain }))
}

/// `{"id": .., "expires": .., "models": .., "limits": ..}`, all optional: what the config says of a key beside its digest.
pub(super) fn key(fields: Map<String, Json>) -> Result<Map<String, Json>, Refused> {
    refuse_unknown(&fields, &["id", "expires", "models", "limits"])?;
    for name in ["id", "expires"] {
        match fields.get(name) {
            None => {}
            Some(Json::String(text)) => {
                let check = match name {
                    "id" => config::fits_label(text).map_err(str::to_owned),
                    _ => config::parse_date(text).map(drop),
                };
                check.map_err(|why| field(format!("{name}: {why}")))?;
            }
            Some(_) => return Err(field(format!("{name}: write a text"))),
        }
    }
    Ok(fields)
}

fn refuse_unknown(fields: &Map<String, Json>, known: &[&str]) -> Result<(), Refused> {
    let unknown = fields.keys().filter(|name| !known.contains(&name.as_str()));
    let said: Vec<String> =
        unknown.map(|name| format!("{name}: is not known: {}", suggest(name, known))).collect();
    if said.is_empty() { Ok(()) } else { Err(field(said.join("\n"))) }
}

fn field(why: String) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use serde_json::json;

    #[test]
    fn paths_are_read() {
        let model = |text: &str| Some(Place::Item(Name::new(Kind::Model, text)));
        let acme = || Name::new(Kind::Tenant, "acme");
        for (path, expected) in [
            ("/admin/upstreams/a%2Fb/endpoints", Some(Place::Endpoints("a/b".into()))),
            ("/admin/models/org/llama%403", model("org/llama@3")),
            ("/admin/models/a+b", model("a+b")),
            ("/admin/tenants/acme", Some(Place::Item(acme()))),
            ("/admin/tenants/acme/keys", Some(Place::Keys(acme()))),
            ("/admin/tenants/acme/keys/ci", Some(Place::Key(acme(), "ci".into()))),
            ("/admin/tenants/acme/keys/ci/x", None),
            ("/admin/tenants/acme/key", None),
            ("/admin/tenants/", None),
            ("/admin/models/%zz", None),
            ("/admin/upstreams/u", None),
            ("/admin/snapshot", None),
            ("/metrics", None),
        ] {
            assert_eq!(Place::of(path), expected, "{path}");
        }
        let keys = Place::of("/admin/tenants/acme/keys").unwrap();
        assert!(keys.allows(&Method::POST) && !keys.allows(&Method::DELETE));
    }

    #[test]
    fn a_change_may_depend_on_the_snapshot() {
        for (field, is_allowed) in [
            ("\"7\"", true),
            ("7", true),
            ("\"6\", \"7\"", true),
            ("*", true),
            ("\"6\"", false),
            ("x", false),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(header::IF_MATCH, HeaderValue::from_static(field));
            assert_eq!(may_change(&fields, 7).is_ok(), is_allowed, "{field}");
        }
        assert!(may_change(&HeaderMap::new(), 7).is_ok());
    }

    #[test]
    fn bodies_are_read_and_what_is_wrong_is_named() {
        let read = |json: Json| endpoint(json.as_object().unwrap()).map_err(|it| it.errors);
        let (url, change) = read(json!({"url": "http://A:80/", "drain": true})).unwrap();
        assert_eq!(
            (url.text.as_str(), change.weight, change.drain),
            ("http://a", None, Some(true))
        );
        for (json, says) in [
            (
                json!({"url": "http://a", "wieght": 1}),
                "wieght: is not known: did you mean \"weight\"?",
            ),
            (json!({"weight": 1}), "url: is needed"),
            (json!({"url": "a", "weight": 1}), "url: \"a\" is not a url"),
            (json!({"url": "http://a", "weight": 1001}), "weight: write a whole number"),
            (json!({"url": "http://a", "weight": 0.5}), "weight: write a whole number"),
            (json!({"url": "http://a", "drain": 1}), "drain: write true or false"),
            (json!({"url": "http://a"}), "weight: this or drain is needed"),
        ] {
            let errors = read(json).unwrap_err();
            assert!(errors[0].starts_with(says), "{errors:?}");
        }
        let wrong = key(json!({"id": "a b"}).as_object().unwrap().clone()).unwrap_err();
        assert!(wrong.errors[0].starts_with("id: "), "{:?}", wrong.errors);
        let wrong = key(json!({"expires": "soon"}).as_object().unwrap().clone()).unwrap_err();
        assert!(wrong.errors[0].starts_with("expires: "), "{:?}", wrong.errors);
        assert!(object(b"[1]").is_err() && object(b"{").is_err());
        assert_eq!(object(b" \n").unwrap(), Map::new());
    }

    #[test]
    fn a_registry_may_be_named() {
        assert_eq!(registry("").unwrap(), None);
        assert_eq!(registry("registry=fl%20eet").unwrap(), Some("fl eet".to_owned()));
        assert!(registry("regstry=x").unwrap_err().errors[0].contains("there is: registry"));
    }
}
