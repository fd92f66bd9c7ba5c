//! Tokens of others: the examples of the RFCs and Wycheproof's vectors, each with its own key.

use std::path::Path;

use ringway::admission::jwks::KeySet;
use ringway::admission::jwt;
use serde_json::Value;
use serde_json::json;

fn read(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/files/jwt");
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

fn set(key: &Value) -> KeySet {
    KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap().0
}

#[test]
fn examples_of_the_rfcs() {
    for case in read("rfc.json").as_array().unwrap() {
        let [title, key, token, result] = case.as_array().unwrap().as_slice() else {
            panic!("{case}");
        };
        let opened = jwt::open(token.as_str().unwrap(), &set(key), &[]);
        assert_eq!(opened.is_ok(), result == "valid", "{title}: {opened:?}");
    }
}

/// What is valid but not for us, by what the vectors say of it.
fn is_not_for_us(key: &Value, comment: &str) -> Option<&'static str> {
    if key["crv"] == "P-521" {
        return Some("we have no ES512");
    }
    let _ = comment;
    None
}

#[test]
fn wycheproof() {
    let all = read("wycheproof.json");
    let keys = all["keys"].as_array().unwrap();
    let cases = all["cases"].as_array().unwrap();
    assert!(cases.len() > 400);
    let mut wrong = Vec::new();
    for case in cases {
        let key = &keys[usize::try_from(case[0].as_u64().unwrap()).unwrap()];
        let (token, comment) = (case[1].as_str().unwrap(), case[3].as_str().unwrap());
        let expected = case[2] == "valid" && is_not_for_us(key, comment).is_none();
        let opened = jwt::open(token, &set(key), &[]);
        if opened.is_ok() != expected {
            wrong.push(format!("{comment}: {opened:?}, not {}\n  {key}\n  {token}", case[2]));
        }
    }
    assert!(wrong.is_empty(), "{} cases\n{}", wrong.len(), wrong.join("\n"));
}
