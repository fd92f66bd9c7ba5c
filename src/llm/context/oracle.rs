//! What must hold for any answer: whether a prompt is too long does not depend on what an error is wrapped in or quotes;
//! shared by the tests and the fuzz target.

use super::is_too_long;

/// Longer ones are cut.
const MESSAGE_BYTES: usize = 2048;

/// Any bytes as the body of an error.
pub(crate) fn check(body: &[u8]) {
    let found = is_too_long(400, body);
    for (status, expected) in [(413, found), (422, found), (200, false), (429, false), (500, false)]
    {
        assert_eq!(is_too_long(status, body), expected);
    }
    // Neither space nor the array that Gemini puts around it matter.
    let with = |before: &str, text: &[u8], after: &str| {
        [before.as_bytes(), text, after.as_bytes()].concat()
    };
    assert_eq!(is_too_long(400, &with(" \r\n\t", body, "")), found);
    if body.starts_with(b"{") {
        assert_eq!(is_too_long(400, &with("[", body, "]")), found);
        assert_eq!(is_too_long(400, &with("[\n ", body, "")), found);
    }
    check_wrapped(body, found);
    check_message(body);
}

/// What is JSON can stand in another error, and be quoted by one.
fn check_wrapped(body: &[u8], found: bool) {
    let Ok(tree) = serde_json::from_slice::<serde_json::Value>(body) else { return };
    let Ok(text) = str::from_utf8(body) else { return };
    for key in ["input", "param", "errors", "Message", "codes"] {
        let quoted = serde_json::json!({ key: text, "error": { key: tree, "code": 400 } });
        assert!(!is_too_long(400, quoted.to_string().as_bytes()), "{quoted}");
    }
    if tree.is_object() && found {
        let quoting = text.trim_start().replacen('{', r#"{"input":["prompt", {}], "#, 1);
        assert!(is_too_long(400, quoting.as_bytes()), "{quoting}");
    }
}

/// Any text as a message: where an error has it, and how it is escaped, does not matter.
fn check_message(body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_ascii_start();
    if text.len() > MESSAGE_BYTES {
        return;
    }
    let found = is_too_long(400, serde_json::json!({ "message": text }).to_string().as_bytes());
    let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    for json in [
        serde_json::json!({ "error": text }).to_string(),
        serde_json::json!({ "detail": text, "x": 1 }).to_string(),
        serde_json::json!({ "error": { "x": {}, "message": text } }).to_string(),
        serde_json::json!({ "detail": { "error": { "message": text } } }).to_string(),
        format!(r#"{{"error":{{"message":"{escaped}"}}}}"#),
        format!(r#"{{"\u0065rror":"{}"}}"#, escaped.to_uppercase().replace("\\U", "\\u")),
    ] {
        assert_eq!(is_too_long(400, json.as_bytes()), found, "{json}");
    }
    let capitals = serde_json::json!({ "message": text.to_ascii_uppercase() }).to_string();
    assert_eq!(is_too_long(400, capitals.as_bytes()), found);
    if !text.starts_with(['{', '[']) {
        assert_eq!(is_too_long(400, text.as_bytes()), found);
    }
}
