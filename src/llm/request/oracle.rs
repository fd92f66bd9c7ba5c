//! What serde_json makes of a body, to hold `peek` against; shared by the tests and the fuzz target.

use serde::de::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::Value;

use super::Ask;
use super::Unreadable;
use super::peek;
use super::peek_any;

/// The members of an object in their order, those that are there twice too.
struct Members(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect).map_err(D::Error::custom)
    }
}

const BOUNDS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
const OURS: [&str; 7] =
    ["model", "stream", "stream_options", "user", BOUNDS[0], BOUNDS[1], BOUNDS[2]];

/// What a body asks for; `None` where it must be refused.
#[derive(Debug, PartialEq)]
struct Wish {
    model: Option<String>,
    is_stream: bool,
    include_usage: Option<bool>,
    user: Option<String>,
    /// `None`: not whole as far as serde_json's floats can tell, so either answer is right.
    max_tokens: Option<Option<u64>>,
}

fn is_miscased(key: &str, ours: &str) -> bool {
    let folded: String = key.replace('\u{17f}', "s").replace('\u{212a}', "k");
    key != ours && folded.eq_ignore_ascii_case(ours)
}

/// `None` if a key is there twice or in another case.
fn only<'v>(members: &'v [(String, Value)], name: &str) -> Option<&'v Value> {
    let mut named = members.iter().filter(|(key, _)| key == name);
    let value = named.next().map_or(&Value::Null, |(_, value)| value);
    let is_clear = named.next().is_none() && !members.iter().any(|(key, _)| is_miscased(key, name));
    is_clear.then_some(value)
}

fn flag(value: &Value) -> Option<Option<bool>> {
    if value.is_null() { Some(None) } else { value.as_bool().map(Some) }
}

fn text(value: &Value) -> Option<Option<String>> {
    if value.is_null() { Some(None) } else { value.as_str().map(|text| Some(text.to_owned())) }
}

fn wish(body: &[u8], members: &[(String, Value)]) -> Option<Wish> {
    for name in OURS {
        only(members, name)?;
    }
    let model = text(only(members, "model")?)?;
    if model.is_none() && members.iter().any(|(key, _)| key == "model") {
        return None;
    }
    let include_usage = match only(members, "stream_options")? {
        Value::Null => None,
        Value::Object(_) => {
            #[derive(serde::Deserialize)]
            struct Outer {
                stream_options: Members,
            }
            let outer: Outer = serde_json::from_slice(body).ok()?;
            flag(only(&outer.stream_options.0, "include_usage")?)?
        }
        _ => return None,
    };
    let mut max_tokens = Some(None);
    for name in BOUNDS {
        match only(members, name)? {
            Value::Null => {}
            Value::Number(number) if number.is_f64() => max_tokens = None,
            Value::Number(number) => {
                max_tokens = max_tokens.map(|most: Option<u64>| most.max(number.as_u64()));
            }
            _ => return None,
        }
    }
    Some(Wish {
        model,
        is_stream: flag(only(members, "stream")?)?.unwrap_or(false),
        include_usage,
        user: text(only(members, "user")?)?,
        max_tokens,
    })
}

fn compare(body: &[u8], ask: &Ask<'_>, wish: &Wish) {
    let decoded = |text: &super::Text<'_>| {
        let written = &body[text.span.clone()];
        assert_eq!(written.len(), text.raw.len() + 2);
        assert_eq!(&written[1..written.len() - 1], text.raw.as_bytes());
        assert_eq!(text.has_escapes, text.raw.contains('\\'));
        text.decode().into_owned()
    };
    assert_eq!(ask.model.as_ref().map(decoded), wish.model);
    assert_eq!(ask.user.as_ref().map(decoded), wish.user);
    assert_eq!(ask.is_stream, wish.is_stream);
    assert_eq!(ask.include_usage, wish.include_usage);
    if let Some(max_tokens) = wish.max_tokens {
        assert_eq!(ask.max_tokens, max_tokens);
    }
}

/// Panics if `peek` or `peek_any` makes of `body` anything else than serde_json does. Whether it is an object that
/// may be served.
pub(crate) fn check(body: &[u8]) -> bool {
    let tree = serde_json::from_slice::<Value>(body);
    let found = peek(body);
    let is_json =
        !matches!(found, Err(Unreadable::InvalidJson { .. } | Unreadable::TooDeep { .. }));
    assert_eq!(is_json, tree.is_ok(), "{found:?}, {tree:?}");
    assert_eq!(is_json, peek_any(body).is_ok());
    if let Err(refusal) = found {
        let mut explanation = String::new();
        refusal.explain(&mut explanation);
        assert!(explanation.ends_with('.'), "{explanation}");
        if let Unreadable::InvalidJson { offset, .. } | Unreadable::TooDeep { offset } = refusal {
            assert!(offset <= body.len());
        }
    }
    match tree {
        Err(_) => false,
        Ok(Value::Object(_)) => {
            let members: Members = serde_json::from_slice(body).expect("it was an object");
            match (&found, wish(body, &members.0)) {
                (Ok(ask), Some(wish)) => compare(body, ask, &wish),
                (Err(Unreadable::MaxTokensNotNumber { .. }), Some(wish)) => {
                    assert_eq!(wish.max_tokens, None);
                }
                (Err(_), None) => {}
                (found, wish) => panic!("{found:?} where serde_json says {wish:?}"),
            }
            found.is_ok()
        }
        Ok(_) => {
            assert_eq!(found, Err(Unreadable::NotAnObject));
            false
        }
    }
}
