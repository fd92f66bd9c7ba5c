//! The texts of draft-cavage-http-signatures, and requests signed as it has it.

use super::WINDOW;
use super::cavage;
use super::check;
use super::draft_request;
use super::sign_draft;
use super::with_head;
use crate::admission::refusal::Refusal;

#[test]
fn signing_strings_are_those_of_the_draft() {
    let date = "date: Sun, 05 Jan 2014 21:31:40 GMT";
    let target = "(request-target): post /foo?param=value&pet=dog";
    let string = |headers: &str| {
        with_head(&draft_request(""), |head| {
            let text = "created=1402170695,expires=1402170699";
            let found = cavage::parameters_of(text).unwrap();
            let base = cavage::base(head, &headers.split(' ').collect::<Vec<_>>(), &found);
            String::from_utf8(base.unwrap()).unwrap()
        })
    };
    assert_eq!(string("date"), date);
    assert_eq!(
        string("(request-target) host date"),
        format!("{target}\nhost: example.com\n{date}")
    );
    assert_eq!(
        string("(request-target) (created) (expires) host date content-type digest content-length"),
        format!(
            "{target}\n(created): 1402170695\n(expires): 1402170699\nhost: example.com\n{date}\n\
             content-type: application/json\ndigest: SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=\n\
             content-length: 18"
        )
    );
}

#[test]
fn requests_of_the_draft_are_verified() {
    let now = 1_388_957_500;
    let signed = sign_draft("(request-target) host date digest", "");
    let found = check(&signed, now + WINDOW).unwrap();
    assert_eq!((found.signer, found.created_unix_s), (1, now));
    assert!(found.digest.unwrap().is_of(b"{\"hello\": \"world\"}"));
    assert_eq!(check(&signed, now + WINDOW + 1), Err(Refusal::SignatureExpired));
    let created = sign_draft("(request-target) (created) digest", ",created=1402170695");
    assert_eq!(check(&created, 1_402_170_695).unwrap().created_unix_s, 1_402_170_695);
    let over = ",created=1402170695,expires=1402170699";
    let over = sign_draft("(request-target) (created) (expires) digest", over);
    assert!(check(&over, 1_402_170_698).is_ok());
    assert_eq!(check(&over, 1_402_170_699), Err(Refusal::SignatureExpired));
    for headers in ["date", "(request-target) date", "(request-target) digest", "date digest"] {
        let signed = sign_draft(headers, "");
        assert_eq!(check(&signed, now), Err(Refusal::SignatureIncomplete), "{headers}");
    }
    for (from, to, refusal) in [
        ("hs2019", "rsa-sha256", Refusal::SignatureAlgorithm),
        ("keyId=\"test", "keyId=\"toast", Refusal::SignatureKeyUnknown),
        ("headers=", "headers=\"date\",headers=", Refusal::SignatureMalformed),
        ("(request-target) ", "(request-target)  ", Refusal::SignatureMalformed),
        ("(request-target) ", "", Refusal::SignatureWrong),
        ("pet=dog", "pet=cat", Refusal::SignatureWrong),
        ("POST", "PUT", Refusal::SignatureWrong),
        ("21:31:40", "21:31:41", Refusal::SignatureWrong),
        ("Host: example.com", "Host: example.org", Refusal::SignatureWrong),
        ("SHA-256=X", "SHA-256=Y", Refusal::SignatureWrong),
    ] {
        assert_eq!(check(&signed.replace(from, to), now), Err(refusal), "{from}");
    }
}

#[test]
fn parameters_of_the_draft_have_one_form() {
    for wrong in [
        "",
        "a",
        "a=",
        "a=\"",
        "a=\"1\"b=\"2\"",
        "a=1,a=1",
        "a=1,",
        "a=\"\\\"\"",
        "a=x",
        "=1",
        "a =1",
    ] {
        assert!(cavage::parameters_of(wrong).is_none(), "{wrong}");
    }
    assert!(
        cavage::parameters_of("keyId=\"a\", signature=\"b\" ,created=1,opaque=\"x\"").is_some()
    );
}

#[test]
fn dates_are_times() {
    for (text, time) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
        ("Tue, 29 Feb 2000 12:00:00 GMT", Some(951_825_600)),
        ("Wed, 31 Dec 1969 23:59:59 GMT", None),
        ("Sunday, 06-Nov-94 08:49:37 GMT", None),
        ("Sun Nov  6 08:49:37 1994", None),
        ("Sun, 06 Nov 1994 08:49:37 UTC", None),
        ("Sun, 06 Nov 1994 24:49:37 GMT", None),
        ("Sun, 6  Nov 1994 08:49:37 GMT", None),
        ("", None),
    ] {
        assert_eq!(cavage::date_unix_s(text.as_bytes()), time.or(None), "{text}");
    }
}
