//! The question of `/admin/explain`: read from the query, answered by what the shards would decide.

use crate::snapshot::Asked;
use crate::snapshot::Explanation;
use crate::snapshot::Snapshot;
use crate::snapshot::explain;

/// A request that nobody has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) model: Option<String>,
    /// The answer is to be JSON, not text.
    pub(super) is_json: bool,
}

/// Reads `model=..&path=..&method=..&format=..`; without them the path is `/v1/chat/completions`, the method POST and the
/// format text.
pub(super) fn question(query: &str) -> Result<Question, String> {
    let mut question = Question {
        method: "POST".into(),
        path: "/v1/chat/completions".into(),
        model: None,
        is_json: false,
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value).ok_or_else(|| {
            format!("{key}: \"{value}\" is not percent-encoded UTF-8; write % as %25\n")
        })?;
        match key {
            "method" => question.method = value.to_ascii_uppercase(),
            "path" => question.path = value,
            "model" => question.model = Some(value),
            "format" if matches!(value.as_str(), "text" | "json") => {
                question.is_json = value == "json";
            }
            "format" => return Err("format: there are: text, json\n".to_owned()),
            other => {
                return Err(format!(
                    "there is no parameter \"{other}\"; there are: model, path, method, format\n"
                ));
            }
        }
    }
    Ok(question)
}

impl Question {
    /// What would happen, and why.
    pub(super) fn answer(&self, snapshot: &Snapshot) -> Explanation {
        let asked = Asked { method: &self.method, path: &self.path, model: self.model.as_deref() };
        explain(snapshot, asked)
    }
}

/// Percent-decodes; `+` is a space. None if it is not whole or not UTF-8.
fn decode(text: &str) -> Option<String> {
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
            is_json: true,
        };
        assert_eq!(
            question("method=get&path=%2Fv1%2fmodels/a+b&model=x%2F%C3%A9%401&format=json"),
            Ok(expected)
        );
        assert_eq!(question("").unwrap().path, "/v1/chat/completions");
    }

    #[test]
    fn what_is_not_a_question_is_said() {
        assert!(question("modle=x").unwrap_err().contains("there are: model, path, method"));
        for query in ["model=%", "model=%4", "model=%zz", "model=%ff", "path=%+1", "format=xml"] {
            assert!(question(query).is_err(), "{query}");
        }
    }
}
