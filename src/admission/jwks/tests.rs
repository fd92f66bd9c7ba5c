//! Which keys of a set are used, and with what.

use super::Algorithm;
use super::Asked;
use super::KEY_SET_BYTES_MAX;
use super::KEYS_MAX;
use super::KEYS_TRIED_MAX;
use super::KeySet;
use super::Why;

const SECRET: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";

fn read(keys: &str) -> (KeySet, Vec<&'static str>) {
    let (set, skipped) = KeySet::parse(format!("{{\"keys\":[{keys}]}}").as_bytes()).unwrap();
    (set, skipped.into_iter().map(|skipped| skipped.why).collect())
}

fn oct(secret: &str, more: &str) -> String {
    format!("{{\"kty\":\"oct\",\"k\":\"{secret}\"{more}}}")
}

#[test]
fn what_cannot_be_used_is_left_out_and_named() {
    let x = "A".repeat(43);
    let n = format!("{}w", "_".repeat(341));
    for (key, why) in [
        (oct(SECRET, ""), None),
        (oct(SECRET, ",\"alg\":\"HS256\",\"use\":\"sig\",\"key_ops\":[\"sign\",\"verify\"]"), None),
        (oct(SECRET, ",\"use\":\"enc\""), Some("it is not for signatures")),
        (oct(SECRET, ",\"key_ops\":[\"sign\"]"), Some("it is not for verifying")),
        (oct(SECRET, ",\"alg\":\"HS512\""), Some("its algorithm is not one of such a key")),
        (oct(SECRET, ",\"alg\":\"RS256\""), Some("its algorithm is not one of such a key")),
        (oct(SECRET, ",\"alg\":\"none\""), Some("its algorithm is not known")),
        (oct(SECRET, ",\"kid\":1"), Some("it is malformed")),
        (oct("AAAA", ""), Some("its secret is too short")),
        (oct("A+==", ""), Some("it is malformed")),
        ("{\"k\":\"AAAA\"}".to_owned(), Some("it has no kind")),
        ("{\"kty\":\"AKP\"}".to_owned(), Some("its kind is not known")),
        ("1".to_owned(), Some("it is not an object")),
        (format!("{{\"kty\":\"RSA\",\"n\":\"{n}\",\"e\":\"AQAB\"}}"), None),
        (
            format!("{{\"kty\":\"RSA\",\"n\":\"{n}\",\"e\":\"AQAB\",\"alg\":\"HS256\"}}"),
            Some("its algorithm is not one of such a key"),
        ),
        (
            format!("{{\"kty\":\"RSA\",\"n\":\"{}\",\"e\":\"AQAB\"}}", n.get(..168).unwrap()),
            Some("its modulus has not 2048 to 8192 bits"),
        ),
        (format!("{{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"{x}\",\"y\":\"{x}\"}}"), None),
        (
            format!("{{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"{x}\",\"y\":\"{x}\"}}"),
            Some("its length is wrong"),
        ),
        (
            format!("{{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"{x}\",\"y\":\"{x}\"}}"),
            Some("its curve is not known"),
        ),
        (format!("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{x}\"}}"), None),
        (
            format!("{{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"{x}\"}}"),
            Some("its curve is not known"),
        ),
    ] {
        let (set, skipped) = read(&key);
        assert_eq!(
            (set.len(), skipped),
            (usize::from(why.is_none()), why.into_iter().collect()),
            "{key}"
        );
    }
}

#[test]
fn what_is_no_set_is_refused() {
    let parse = |text: &str| KeySet::parse(text.as_bytes()).err();
    assert_eq!(parse("{\"keys\":[]}"), None);
    assert_eq!(parse("[]"), Some(Why::NotJson));
    assert_eq!(parse("{\"keys\":{}}"), Some(Why::NoKeys));
    assert_eq!(parse("{\"keys\":[{\"kty\":\"oct\",\"kty\":\"RSA\"}]}"), Some(Why::NotJson));
    assert_eq!(parse(&" ".repeat(KEY_SET_BYTES_MAX + 1)), Some(Why::TooLong));
    let many = format!("{{\"keys\":[1{}]}}", ",1".repeat(KEYS_MAX));
    assert_eq!(parse(&many), Some(Why::TooManyKeys));
    assert_eq!(KeySet::secret(&[0; 31], &[]).err(), Some(Why::SecretTooShort));
    assert_eq!(KeySet::secret(&[0; 63], &[Algorithm::Hs512]).err(), Some(Why::SecretTooShort));
    assert_eq!(KeySet::secret(&[0; 64], &[Algorithm::Rs256]).err(), Some(Why::WrongKind));
    assert_eq!(KeySet::pem(b"-----BEGIN PUBLIC KEY-----\n").err(), Some(Why::NotPem));
    let set = KeySet::secret(&[7; 64], &[]).unwrap();
    assert!(!format!("{set:?}").contains('7'));
}

#[test]
fn keys_are_found_by_id_and_few_are_tried() {
    let right = oct(SECRET, ",\"kid\":\"right\"");
    let other = |kid: &str| oct(&SECRET.replace('w', "x"), &format!(",\"kid\":\"{kid}\""));
    let message = "a.b";
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[7; 32]);
    let sign = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        ring::hmac::sign(&key, message.as_bytes()),
    );
    let is_signed = |set: &KeySet, kid| {
        set.is_signed(Asked { algorithm: Algorithm::Hs256, kid }, message, &sign)
    };
    let (set, _) = read(&[other("a"), right.clone(), other("b")].join(","));
    assert_eq!(set.kids().collect::<Vec<_>>(), ["a", "right", "b"]);
    assert_eq!(is_signed(&set, Some("right")), Some(true));
    assert_eq!(is_signed(&set, Some("a")), Some(false));
    assert_eq!(is_signed(&set, Some("c")), None);
    assert_eq!(is_signed(&set, None), Some(true));
    // Behind as many others as may be tried, and one more.
    for (others, expected) in [(KEYS_TRIED_MAX - 1, true), (KEYS_TRIED_MAX, false)] {
        let mut keys = vec![other("a"); others];
        keys.push(right.clone());
        assert_eq!(is_signed(&read(&keys.join(",")).0, None), Some(expected), "{others}");
    }
}
