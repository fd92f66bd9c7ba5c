//! JSON of credentials and key sets as a tree in which no member can be there twice.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

/// The members of an object, each name once.
pub(super) type Members = BTreeMap<String, Json>;

/// A value. Two readers that pick different ones of two members with the same name would see different claims, so
/// such text is no value (RFC 7515 and 7519, section 4).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Self>),
    Object(Members),
}

impl Json {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The texts of a list, or the one text; `None` if there is anything else.
    pub(super) fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => Some(vec![text]),
            Self::List(list) => list.iter().map(Self::text).collect(),
            _ => None,
        }
    }

    /// A point in time in whole seconds since 1970 (RFC 7519: NumericDate, which may have a fraction).
    pub(super) fn unix_s(&self) -> Option<u64> {
        let Self::Number(number) = self else { return None };
        let exact = number.as_u64();
        exact.or_else(|| number.as_f64().and_then(whole_seconds))
    }
}

/// Cuts the fraction off; `None` for what is before 1970 or beyond what a clock will ever show.
fn whole_seconds(seconds: f64) -> Option<u64> {
    /// 2^53: up to here every whole number has a double of its own.
    const MAX: f64 = 9_007_199_254_740_992.0;
    if !(0.0..=MAX).contains(&seconds) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in range")]
    Some(seconds as u64)
}

/// Reads the text of an object.
///
/// # Errors
/// What serde_json says of it, also where a member is there twice.
pub(super) fn members(text: &[u8]) -> Result<Members, serde_json::Error> {
    match serde_json::from_slice(text)? {
        Json::Object(members) => Ok(members),
        _ => Err(serde_json::Error::custom("it is not an object")),
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Members::new();
        while let Some((name, value)) = members.next_entry::<String, Json>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is there twice"));
            }
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::Json;
    use super::members;

    #[test]
    fn a_member_is_there_once() {
        assert!(members(br#"{"a":1,"b":{"a":1}}"#).is_ok());
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"b":{"a":1,"a":2}}"#,
            r#"{"b":[{"a":1,"a":2}]}"#,
            "[]",
            "1",
            "",
            "{}{}",
            "{\"a\":1",
            "{\"a\":\"\u{1}\"}",
        ] {
            assert!(members(text.as_bytes()).is_err(), "{text}");
        }
        assert!(members(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn times_are_whole_seconds() {
        let time = |text: &str| members(text.as_bytes()).unwrap()["t"].unix_s();
        assert_eq!(time(r#"{"t":1300819380}"#), Some(1_300_819_380));
        assert_eq!(time(r#"{"t":1300819380.9}"#), Some(1_300_819_380));
        assert_eq!(time(r#"{"t":1e9}"#), Some(1_000_000_000));
        for wrong in ["-1", "1e300", "\"1\"", "null", "true", "[1]"] {
            assert_eq!(time(&format!("{{\"t\":{wrong}}}")), None, "{wrong}");
        }
    }

    #[test]
    fn texts_are_all_texts() {
        let texts = |text: &str| members(text.as_bytes()).unwrap()["t"].texts().map(|t| t.len());
        assert_eq!(texts(r#"{"t":"a"}"#), Some(1));
        assert_eq!(texts(r#"{"t":["a","b"]}"#), Some(2));
        assert_eq!(texts(r#"{"t":["a",1]}"#), None);
        assert_eq!(Json::Null.texts(), None);
    }
}
