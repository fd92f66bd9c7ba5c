//! The JSON of an endpoint: an object of a file's list, a value in etcd.
//!
//! `{"url": "http://10.0.0.1:8000", "weight": 2, "region": "eu", "zone": "a", "model": "llama-3", "version": "1.2.0",
//! "capacity": 64, "headroom": 16, "drain": false}`; instead of the url `"address": "10.0.0.1:8000"`, which is reached as the
//! source's entry in the config says. All but one of these two may be missing.

use serde_json::Map;
use serde_json::Value;

use crate::config::Discover;
use crate::config::Endpoint;
use crate::config::Traits;
use crate::config::Url;
use crate::config::suggest;

/// The greatest weight, as in the config.
const WEIGHT_MAX: u64 = 1000;
/// The greatest capacity and headroom, as in the config.
const REQUESTS_MAX: u64 = 1_000_000;
/// The longest name of a region, zone, model or version, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// The most endpoints of one list.
pub(in crate::control) const LIST_MAX: usize = 4096;

const KEYS: [&str; 10] = [
    "url", "address", "weight", "region", "zone", "model", "version", "capacity", "headroom",
    "drain",
];

/// An endpoint, with what the source's entry says where it says nothing itself.
///
/// # Errors
/// What is wrong, naming the key, and what to write.
pub(in crate::control) fn read(value: &Value, of: &Discover) -> Result<Endpoint, String> {
    let Value::Object(object) = value else {
        return Err("is no object: write {\"url\": \"http://HOST:PORT\"}".to_owned());
    };
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("unknown key \"{key}\" ({})", suggest(key, &KEYS)));
    }
    let url = match (text(object, "url")?, text(object, "address")?) {
        (Some(url), None) => Url::parse(&url).map_err(|why| format!("url: {why}"))?,
        (None, Some(address)) => at(&address, of).map_err(|why| format!("address: {why}"))?,
        (Some(_), Some(_)) => return Err("has both url and address: leave one out".to_owned()),
        (None, None) => {
            return Err("url is missing: write \"url\": \"http://HOST:PORT\"".to_owned());
        }
    };
    let traits = Traits {
        region: text(object, "region")?,
        zone: text(object, "zone")?,
        model: text(object, "model")?,
        version: text(object, "version")?.filter(|version| !version.contains('@')),
        capacity: number(object, "capacity", REQUESTS_MAX)?,
        headroom: number(object, "headroom", REQUESTS_MAX)?,
        is_draining: truth(object, "drain")?,
    };
    Ok(Endpoint {
        place: of.place.clone(),
        url,
        weight: number(object, "weight", WEIGHT_MAX)?.unwrap_or(of.weight),
        traits: traits.or(&of.traits),
        source: None,
        is_stale: false,
        name: None,
    })
}

/// The url of an address that is reached as the source's entry says.
///
/// # Errors
/// What is wrong with the address.
pub(in crate::control) fn at(address: &str, of: &Discover) -> Result<Url, String> {
    let scheme = if of.is_https { "https" } else { "http" };
    Url::parse(&format!("{scheme}://{address}{}", of.path_prefix))
}

/// All endpoints of a list: an array, or `{"endpoints": [..]}`.
///
/// # Errors
/// What is wrong with the first that is.
pub(in crate::control) fn read_list(text: &[u8], of: &Discover) -> Result<Vec<Endpoint>, String> {
    let value: Value = serde_json::from_slice(text).map_err(|why| format!("is no JSON: {why}"))?;
    let list = match &value {
        Value::Array(list) => list,
        Value::Object(object) => match (object.get("endpoints"), object.len()) {
            (Some(Value::Array(list)), 1) => list,
            _ => {
                return Err(
                    "is an object: it must have \"endpoints\", a list, and nothing else".to_owned()
                );
            }
        },
        _ => return Err("is no list: write [{\"url\": \"http://HOST:PORT\"}]".to_owned()),
    };
    if list.len() > LIST_MAX {
        return Err(format!("has {} endpoints: at most {LIST_MAX}", list.len()));
    }
    let read = |(index, value)| read(value, of).map_err(|why| format!("endpoint {index}: {why}"));
    list.iter().enumerate().map(read).collect()
}

fn text(object: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Err(format!("{key}: may not be empty")),
        Some(Value::String(text)) if text.len() > NAME_BYTES_MAX => {
            Err(format!("{key}: is {} bytes long: at most {NAME_BYTES_MAX}", text.len()))
        }
        Some(Value::String(text)) if text.chars().any(char::is_control) => {
            Err(format!("{key}: has a control character in it: leave it out"))
        }
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{key}: write a string")),
    }
}

fn number(object: &Map<String, Value>, key: &str, most: u64) -> Result<Option<u32>, String> {
    let wanted = || format!("{key}: write a whole number from 0 to {most}");
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_u64().filter(|number| *number <= most).ok_or_else(wanted)?;
            u32::try_from(number).map(Some).map_err(|_| wanted())
        }
    }
}

fn truth(object: &Map<String, Value>, key: &str) -> Result<bool, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(truth)) => Ok(*truth),
        Some(_) => Err(format!("{key}: write true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn discover() -> Discover {
        let text = "[[upstream]]\nname = \"u\"\ndiscover = { etcd = \"/a/\", https = true, path_prefix = \"/v\", weight = 3, region = \"eu\", capacity = 9 }\n[[model]]\nname = \"m\"\nupstream = \"u\"\n";
        let (file, errors) = config::read(text, "ringway.toml");
        assert_eq!(errors, []);
        file.upstreams[0].discover[0].clone()
    }

    #[test]
    fn what_is_not_said_is_as_the_entry_says() {
        let all = r#"{"url": "http://a:1", "weight": 0, "region": "us", "zone": "b", "model": "m", "version": "1.0", "capacity": 5, "headroom": 2, "drain": true}"#;
        let endpoint = read(&serde_json::from_str(all).unwrap(), &discover()).unwrap();
        let traits = &endpoint.traits;
        assert_eq!((endpoint.url.text.as_str(), endpoint.weight), ("http://a:1", 0));
        assert_eq!((traits.region.as_deref(), traits.zone.as_deref()), (Some("us"), Some("b")));
        assert_eq!((traits.model.as_deref(), traits.version.as_deref()), (Some("m"), Some("1.0")));
        assert_eq!(
            (traits.capacity, traits.headroom, traits.is_draining),
            (Some(5), Some(2), true)
        );
        let list = br#"{"endpoints": [{"address": "10.0.0.1:80"}]}"#;
        let list = read_list(list, &discover()).unwrap();
        assert_eq!((list[0].url.text.as_str(), list[0].weight), ("https://10.0.0.1:80/v", 3));
        assert_eq!(
            (list[0].traits.region.as_deref(), list[0].traits.capacity),
            (Some("eu"), Some(9))
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("{}", "is an object: it must have"),
            ("1", "is no list"),
            ("[1]", "endpoint 0: is no object"),
            ("[{}]", "endpoint 0: url is missing"),
            (r#"[{"url": "http://a"}, {"url": "a"}]"#, "endpoint 1: url: \"a\" is not a url"),
            (r#"[{"url": "http://a", "address": "a:1"}]"#, "has both"),
            (r#"[{"address": "a:b"}]"#, "address: "),
            (
                r#"[{"url": "http://a", "wieght": 1}]"#,
                "unknown key \"wieght\" (did you mean \"weight\"?)",
            ),
            (
                r#"[{"url": "http://a", "weight": 1001}]"#,
                "weight: write a whole number from 0 to 1000",
            ),
            (r#"[{"url": "http://a", "weight": "1"}]"#, "weight: write"),
            (r#"[{"url": "http://a", "zone": 1}]"#, "zone: write a string"),
            (r#"[{"url": "http://a", "zone": ""}]"#, "zone: may not be empty"),
            (r#"[{"url": "http://a", "drain": 1}]"#, "drain: write true or false"),
            ("[", "is no JSON"),
        ] {
            let why = read_list(text.as_bytes(), &discover()).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}
