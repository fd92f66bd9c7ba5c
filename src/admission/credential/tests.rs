//! What is read of a head, and what is not.

use super::*;
use crate::wire::http1::parse;
use crate::wire::http1::parse::Slots;

const TOKEN: &str = "eyJh.eyJp.c2ln";

#[track_caller]
fn expect(lines: &str, key: Option<&str>, token: Option<&str>, trouble: Option<Refusal>) {
    for (has_issuers, is_there) in [(true, token), (false, None)] {
        let text = format!("GET / HTTP/1.1\r\nhost: h\r\n{lines}\r\n");
        let mut slots = Slots::new();
        let head = parse::request(text.as_bytes(), &mut slots).unwrap().unwrap();
        let presented = presented(&head, has_issuers);
        assert_eq!(presented.token, is_there, "{lines}");
        if has_issuers {
            assert_eq!(presented.key, key.map(str::as_bytes), "{lines}");
            assert_eq!(presented.trouble, trouble, "{lines}");
        }
    }
}

#[test]
fn the_three_fields_carry_one_credential() {
    expect("", None, None, None);
    for lines in [
        "authorization: Bearer k\r\n",
        "Authorization:bEARER \t k \r\n",
        "x-api-key: k\r\n",
        "API-Key: k\r\n",
        "x-api-key: k\r\napi-key: k\r\nauthorization: bearer k\r\n",
        "x-api-key: k\r\nauthorization: Basic abc\r\n",
    ] {
        expect(lines, Some("k"), None, None);
    }
    expect(&format!("authorization: Bearer {TOKEN}\r\n"), None, Some(TOKEN), None);
    expect(&format!("x-api-key: {TOKEN}\r\n"), None, Some(TOKEN), None);
    expect(
        &format!("x-api-key: k\r\nauthorization: Bearer {TOKEN}\r\n"),
        Some("k"),
        Some(TOKEN),
        None,
    );
    // Other schemes and other names are not ours.
    for lines in [
        "authorization: k\r\n",
        "authorization: Basic k\r\n",
        "x_api_key: k\r\n",
        "x-api-key2: k\r\n",
        "authorization: Bearerk x\r\n",
    ] {
        expect(lines, None, None, None);
    }
}

#[test]
fn what_contradicts_itself_is_trouble() {
    let many = Some(Refusal::CredentialsMany);
    expect("x-api-key: a\r\napi-key: b\r\n", Some("b"), None, many);
    expect("authorization: Bearer a\r\nx-api-key: b\r\n", Some("b"), None, many);
    expect("authorization: Bearer a\r\nauthorization: Bearer a\r\n", Some("a"), None, many);
    expect("authorization: Basic a\r\nauthorization: Bearer a\r\n", Some("a"), None, many);
    expect("x-api-key: a\r\nX-Api-Key: a\r\n", Some("a"), None, many);
    let other = TOKEN.replace("eyJh", "eyJi");
    expect(
        &format!("x-api-key: {TOKEN}\r\nauthorization: Bearer {other}\r\n"),
        None,
        Some(&other),
        many,
    );
}

#[test]
fn what_cannot_be_a_credential_is_trouble() {
    let malformed = Some(Refusal::CredentialMalformed);
    for value in ["", "a b", "a\tb", "caf\u{e9}", "a,b c"] {
        expect(&format!("x-api-key: {value}\r\n"), None, None, malformed);
        expect(&format!("authorization: Bearer {value}\r\n"), None, None, malformed);
    }
    expect("authorization: Bearer\r\n", None, None, malformed);
    let longest = "k".repeat(KEY_BYTES_MAX);
    expect(&format!("x-api-key: {longest}\r\n"), Some(&longest), None, None);
    expect(&format!("x-api-key: {longest}k\r\n"), None, None, malformed);
    let oversized = format!("a.{}.c", "b".repeat(TOKEN_BYTES_MAX));
    expect(&format!("authorization: Bearer {oversized}\r\n"), None, None, malformed);
    // What has the shape of no token is a key, however it looks.
    for value in ["a.b", "a.b.c.d", ".b.c", "a..c", "a.b.c=", "a.b+.c"] {
        expect(&format!("x-api-key: {value}\r\n"), Some(value), None, None);
    }
    expect("x-api-key: a.b.\r\n", None, Some("a.b."), None);
}

#[test]
fn signatures_are_seen_in_both_vocabularies() {
    for (lines, is_signed) in [
        ("authorization: Signature keyId=\"a\"\r\n", true),
        ("signature-input: a=()\r\n", true),
        ("Signature: a=:AA==:\r\n", true),
        ("authorization: Bearer Signature\r\n", false),
        ("x-signature: a\r\n", false),
    ] {
        let text = format!("GET / HTTP/1.1\r\nhost: h\r\n{lines}\r\n");
        let mut slots = Slots::new();
        let head = parse::request(text.as_bytes(), &mut slots).unwrap().unwrap();
        assert_eq!(presented(&head, true).is_signed, is_signed, "{lines}");
    }
}
