//! What serde_json and a plain walk make of a body, to hold the features against; shared by the tests and the fuzz target.

use serde::de::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::Value;

use super::has_tools;
use super::prompt_fingerprint;
use super::user;

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

/// The values of an object's members as written; `text` is known to be an object.
fn written(text: &str) -> Vec<&str> {
    let mut values = Vec::new();
    let mut start = None;
    let mut depth = 0;
    let mut is_in_string = false;
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if is_in_string {
            is_in_string = byte != b'"' || is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            continue;
        }
        if depth == 1 && (byte == b',' || byte == b'}') {
            values.extend(start.take().and_then(|start| text.get(start..at)).map(str::trim));
        }
        match byte {
            b'"' => is_in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b':' if depth == 1 => start = Some(at + 1),
            _ => {}
        }
    }
    values
}

/// The fingerprint, all at once.
fn fingerprint(bytes: &[u8]) -> u64 {
    let step = |sum: u64, word: u64| {
        let product = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ (product >> 32)
    };
    let whole = bytes.len() / 8 + 1;
    let mut padded = bytes.to_vec();
    padded.resize(whole * 8, 0);
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    step(padded.chunks(8).map(word).fold(0, step), bytes.len() as u64)
}

fn is_like(key: &str, name: &str) -> bool {
    key.replace('\u{17f}', "s").replace('\u{212a}', "k").eq_ignore_ascii_case(name)
}

fn user_of(members: &[(String, Value)], written: &[&str]) -> Option<u64> {
    members.iter().zip(written).find_map(|((key, value), written)| match (key.as_str(), value) {
        ("user", Value::String(user)) => Some(fingerprint(user.as_bytes())),
        ("metadata", Value::Object(_)) => {
            let inner: Members = serde_json::from_str(written).expect("it was an object");
            inner.0.iter().find_map(|(key, value)| match (key.as_str(), value) {
                ("user_id", Value::String(user)) => Some(fingerprint(user.as_bytes())),
                _ => None,
            })
        }
        _ => None,
    })
}

/// Panics if anything else is made of `body` than serde_json makes of it. Whether it is an object.
pub(crate) fn check(body: &[u8]) -> bool {
    let found = |bytes| prompt_fingerprint(body, bytes);
    let Ok(tree) = serde_json::from_slice::<Value>(body) else {
        // Of what is not JSON anything may be made, but no panic, and tools rather than none.
        std::hint::black_box(([0, 1, 9, usize::MAX].map(found), user(body)));
        assert!(has_tools(body));
        return false;
    };
    let Value::Object(_) = tree else {
        assert_eq!((found(0), found(8), user(body)), (None, None, None));
        assert!(!has_tools(body));
        return false;
    };
    let Members(members) = serde_json::from_slice(body).expect("it was an object");
    let written = written(str::from_utf8(body).expect("it was JSON"));
    assert_eq!(members.len(), written.len());
    let mut prompt = Vec::new();
    let mut is_there = false;
    let names = ["system", "messages", "prompt", "input", "instructions"];
    for ((key, value), written) in members.iter().zip(&written) {
        assert_eq!(serde_json::from_str::<Value>(written).ok().as_ref(), Some(value));
        if names.contains(&key.as_str()) {
            is_there = true;
            prompt.extend_from_slice(written.as_bytes());
        }
    }
    let some = [0, 1, 7, 8, 9, 64, 1024, prompt.len(), prompt.len() / 2, usize::MAX];
    for bytes in some {
        let expected = is_there.then(|| fingerprint(&prompt[..bytes.min(prompt.len())]));
        assert_eq!(found(bytes), expected, "{bytes} bytes");
    }
    let is_tool = |(key, value): &(String, Value)| {
        (is_like(key, "tools") || is_like(key, "functions"))
            && value.as_array().is_some_and(|tools| !tools.is_empty())
    };
    // What is behind the first tool is not read, so it need not be all.
    assert_eq!(has_tools(body), members.iter().any(is_tool));
    assert_eq!(user(body), user_of(&members, &written));
    true
}
