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

/// What a case must come to where it is not what the vectors say, and why.
fn differs(key: &Value, comment: &str, token: &str) -> Option<bool> {
    match comment {
        // We have no ES512.
        _ if key["crv"] == "P-521" => Some(false),
        // The key says that it is for PS256, the token that it is by PS384: keys are bound to what they say.
        "Figure20" if key["alg"] == "PS256" => Some(false),
        // Taken as valid by the vectors; but what is not base64url is no token (RFC 7515, section 2).
        "InvalidCharacterInsertedInHeader" | "InvalidCharacterInsertedInPayload" => Some(false),
        // The padding that these are named after is not in them: byte for byte they are the token of `ValidMac`.
        "invalidBase64Padding" | "invalidBase64PaddingInPayload" => Some(!token.contains('=')),
        _ => None,
    }
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
        let expected = differs(key, comment, token).unwrap_or(case[2] == "valid");
        let opened = jwt::open(token, &set(key), &[]);
        if opened.is_ok() != expected {
            wrong.push(format!("{comment}: {opened:?}, not {}\n  {key}\n  {token}", case[2]));
        }
    }
    assert!(wrong.is_empty(), "{} cases\n{}", wrong.len(), wrong.join("\n"));
}
