//! The question of `/admin/explain`: read from the query, answered by what the shards would decide.

use std::net::IpAddr;

use crate::cli::header;
use crate::control::state::unix_ms;
use crate::snapshot::Asked;
use crate::snapshot::Explanation;
use crate::snapshot::Look;
use crate::snapshot::Seen;
use crate::snapshot::Snapshot;
use crate::snapshot::explain;
use crate::units::SlotId;

/// A request that nobody has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) model: Option<String>,
    /// Names and values; a field may be there several times.
    pub(super) fields: Vec<(String, String)>,
    pub(super) address: Option<IpAddr>,
    /// The tenant that a credential is taken to have shown.
    pub(super) tenant: Option<String>,
    /// The answer is to be JSON, not text.
    pub(super) is_json: bool,
}

/// Reads `model=..&path=..&method=..&header=NAME:VALUE&address=..&tenant=..&format=..`; without them the path is `/v1/chat/completions`, the method POST and the
/// format text.
pub(super) fn question(query: &str) -> Result<Question, String> {
    let mut question = Question {
        method: "POST".into(),
        path: "/v1/chat/completions".into(),
        model: None,
        fields: Vec::new(),
        address: None,
        tenant: None,
        is_json: false,
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value).ok_or_else(|| {
            format!("{key}: what it is set to is not percent-encoded UTF-8; write % as %25\n")
        })?;
        match key {
            "method" => question.method = value.to_ascii_uppercase(),
            "path" => question.path = value,
            "model" => question.model = Some(value),
            "tenant" => question.tenant = Some(value),
            "header" => {
                // It may be a credential, so it is not repeated.
                let wrong = |_| "header: write NAME:VALUE\n".to_owned();
                question.fields.push(header(&value).map_err(wrong)?);
            }
            "address" => {
                let address =
                    value.parse().map_err(|_| "address: write an IP address\n".to_owned())?;
                question.address = Some(address);
            }
            "format" if matches!(value.as_str(), "text" | "json") => {
                question.is_json = value == "json";
            }
            "format" => return Err("format: there are: text, json\n".to_owned()),
            other => {
                return Err(format!(
                    "there is no parameter \"{other}\"; there are: model, path, method, header, address, tenant, format\n"
                ));
            }
        }
    }
    Ok(question)
}

impl Question {
    /// What would happen, and why; `look` says how endpoints are now.
    pub(super) fn answer(&self, snapshot: &Snapshot, look: &dyn Fn(SlotId) -> Seen) -> Explanation {
        let asked = Asked {
            method: &self.method,
            path: &self.path,
            model: self.model.as_deref(),
            fields: &self.fields,
            address: self.address,
            tenant: self.tenant.as_deref(),
            now_unix_ms: unix_ms(),
            look: Look(Some(look)),
        };
        explain(snapshot, asked)
    }
}

/// Percent-decodes; `+` is a space. None if it is not whole or not UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                let [high, low] = digits else { return None };
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                rest = after;
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read() {
        let expected = Question {
            method: "GET".into(),
            path: "/v1/models/a b".into(),
            model: Some("x/\u{e9}@1".into()),
            fields: vec![("x-api-key".into(), "a b".into()), ("x".into(), "1".into())],
            address: Some([192, 0, 2, 1].into()),
            tenant: Some("acme".into()),
            is_json: true,
        };
        assert_eq!(
            question(
                "method=get&path=%2Fv1%2fmodels/a+b&model=x%2F%C3%A9%401&header=x-api-key:+a+b&header=x:1\
                 &address=192.0.2.1&tenant=acme&format=json"
            ),
            Ok(expected)
        );
        assert_eq!(question("").unwrap().path, "/v1/chat/completions");
    }

    #[test]
    fn what_is_not_a_question_is_said() {
        assert!(question("modle=x").unwrap_err().contains("there are: model, path, method"));
        for query in [
            "model=%",
            "model=%4",
            "model=%zz",
            "model=%ff",
            "path=%+1",
            "format=xml",
            "header=rw_x",
            "address=x",
        ] {
            assert!(question(query).is_err(), "{query}");
        }
    }
}
