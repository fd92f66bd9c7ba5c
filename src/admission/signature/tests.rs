//! The texts of RFC 9421, requests signed here, and what must not pass.

mod draft;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use super::Expected;
use super::Signers;
use super::Unfit;
use super::Verified;
use super::cavage;
use super::is_present;
use super::message;
use super::verify;
use crate::admission::refusal::Refusal;
use crate::units::TenantId;
use crate::wire::head::RequestHead;
use crate::wire::http1::parse;
use crate::wire::http1::parse::Slots;

const SECRET: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
const NOW: u64 = 1_618_884_473;
const WINDOW: u64 = 300;

/// The request of RFC 9421, appendix B.2, with lines added.
fn rfc_request(lines: &str) -> String {
    format!(
        "POST /foo?param=Value&Pet=dog HTTP/1.1\r\nHost: example.com\r\nDate: Tue, 20 Apr 2021 02:07:55 GMT\r\n\
         Content-Type: application/json\r\nContent-Digest: sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+\
         AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:\r\nContent-Length: 18\r\n{lines}\r\n"
    )
}

/// The request of draft-cavage-http-signatures, appendix C, with lines added.
fn draft_request(lines: &str) -> String {
    format!(
        "POST /foo?param=value&pet=dog HTTP/1.1\r\nHost: example.com\r\nDate: Sun, 05 Jan 2014 21:31:40 GMT\r\n\
         Content-Type: application/json\r\nDigest: SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=\r\n\
         Content-Length: 18\r\n{lines}\r\n"
    )
}

fn with_head<T>(text: &str, look: impl FnOnce(&RequestHead<'_, '_>) -> T) -> T {
    let mut slots = Slots::new();
    let head = parse::request(text.as_bytes(), &mut slots).expect("it is well formed");
    look(&head.expect("it is whole"))
}

fn signers() -> Signers {
    let mut signers = Signers::new(WINDOW);
    let secret = STANDARD.decode(SECRET).unwrap();
    signers.add("other", b"0123456789abcdef", None).unwrap();
    signers.add("test-shared-secret", &secret, Some(TenantId(7))).unwrap();
    signers
}

fn check(text: &str, now: u64) -> Result<Verified, Refusal> {
    with_head(text, |head| {
        assert!(is_present(head));
        verify(head, &signers(), WINDOW, now)
    })
}

fn mac(base: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(SECRET).unwrap());
    STANDARD.encode(hmac::sign(&key, base))
}

/// The base of an input over a request.
fn base(request: &str, input: &str) -> Result<String, Refusal> {
    with_head(request, |head| {
        let inputs = message::inputs_of(input).ok_or(Refusal::SignatureMalformed)?;
        let base = message::base(head, message::Scheme::Https, &inputs[0])?;
        Ok(String::from_utf8(base).unwrap())
    })
}

/// Signs as RFC 9421 has it.
fn sign(request: &dyn Fn(&str) -> String, input: &str) -> String {
    let mac = mac(base(&request(""), input).unwrap().as_bytes());
    let label = input.split('=').next().unwrap();
    request(&format!("Signature-Input: {input}\r\nSignature: {label}=:{mac}:\r\n"))
}

const FULL: &str = "a=(\"@method\" \"@target-uri\" \"content-digest\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\";nonce=\"n1\";alg=\"hmac-sha256\"";

/// Signs as the draft has it.
fn sign_draft(headers: &str, more: &str) -> String {
    let parameters =
        format!("keyId=\"test-shared-secret\",algorithm=\"hs2019\",headers=\"{headers}\"{more}");
    let base = with_head(&draft_request(""), |head| {
        let found = cavage::parameters_of(&parameters).unwrap();
        cavage::base(head, &headers.split(' ').collect::<Vec<_>>(), &found).unwrap()
    });
    let mac = mac(&base);
    draft_request(&format!("Authorization: Signature {parameters},signature=\"{mac}\"\r\n"))
}

#[test]
fn rfc_9421_b_2_5_is_made_with_the_secret_but_covers_too_little() {
    let input = "sig-b25=(\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\"";
    assert_eq!(
        base(&rfc_request(""), input).unwrap(),
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n\
         \"content-type\": application/json\n\"@signature-params\": (\"date\" \"@authority\" \"content-type\")\
         ;created=1618884473;keyid=\"test-shared-secret\""
    );
    let signed = |mac: &str| {
        rfc_request(&format!("Signature-Input: {input}\r\nSignature: sig-b25=:{mac}:\r\n"))
    };
    let right = signed("pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
    assert_eq!(check(&right, NOW), Err(Refusal::SignatureIncomplete));
    let wrong = signed("qxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
    assert_eq!(check(&wrong, NOW), Err(Refusal::SignatureWrong));
}

#[test]
fn signature_bases_are_those_of_rfc_9421() {
    let digest = "\"content-digest\": sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:\n";
    // Section 2.5.
    let parameters = "(\"@method\" \"@authority\" \"@path\" \"content-digest\" \"content-length\" \"content-type\");created=1618884473;keyid=\"test-key-rsa-pss\"";
    assert_eq!(
        base(&rfc_request(""), &format!("sig1={parameters}")).unwrap(),
        format!(
            "\"@method\": POST\n\"@authority\": example.com\n\"@path\": /foo\n{digest}\"content-length\": 18\n\
             \"content-type\": application/json\n\"@signature-params\": {parameters}"
        )
    );
    // Appendix B.2.1.
    let parameters =
        "();created=1618884473;keyid=\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\"";
    assert_eq!(
        base(&rfc_request(""), &format!("sig-b21={parameters}")).unwrap(),
        format!("\"@signature-params\": {parameters}")
    );
    // Appendix B.2.3.
    let parameters = "(\"date\" \"@method\" \"@path\" \"@query\" \"@authority\" \"content-type\" \"content-digest\" \"content-length\");created=1618884473;keyid=\"test-key-rsa-pss\"";
    assert_eq!(
        base(&rfc_request(""), &format!("sig-b23={parameters}")).unwrap(),
        format!(
            "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\
             \"@query\": ?param=Value&Pet=dog\n\"@authority\": example.com\n\"content-type\": application/json\n\
             {digest}\"content-length\": 18\n\"@signature-params\": {parameters}"
        )
    );
    // Sections 2.1 and 2.2, one by one.
    let request = "POST /path?param=value HTTP/1.1\r\nHost: WWW.example.com:443\r\nX-OWS-Header:   Leading and trailing whitespace.   \r\n\
         Cache-Control: max-age=60\r\nCache-Control:    must-revalidate\r\nX-Empty: \r\nContent-Length: 0\r\n\r\n";
    for (name, value) in [
        ("@method", "POST"),
        ("@target-uri", "https://www.example.com/path?param=value"),
        ("@authority", "www.example.com"),
        ("@scheme", "https"),
        ("@request-target", "/path?param=value"),
        ("@path", "/path"),
        ("@query", "?param=value"),
        ("x-ows-header", "Leading and trailing whitespace."),
        ("cache-control", "max-age=60, must-revalidate"),
        ("x-empty", ""),
    ] {
        let line = format!("\"{name}\": {value}\n\"@signature-params\": (\"{name}\")");
        assert_eq!(base(request, &format!("a=(\"{name}\")")).unwrap(), line);
        // Spaces between are not signed.
        assert_eq!(base(request, &format!("a=(  \"{name}\" )")).unwrap(), line);
    }
    let no_query = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(base(no_query, "a=(\"@query\")").unwrap().starts_with("\"@query\": ?\n"));
    for refused in [
        "(\"@status\")",
        "(\"@query-param\";name=\"a\")",
        "(\"Host\")",
        "(\"host\" \"host\")",
        "(\"host\";sf)",
        "(host)",
        "(\"@signature-params\")",
        "(\"\")",
        "(\"missing\")",
    ] {
        assert!(base(no_query, &format!("a={refused}")).is_err(), "{refused}");
    }
}

#[test]
fn a_signed_request_is_verified() {
    let found = check(&sign(&rfc_request, FULL), NOW + WINDOW).unwrap();
    assert_eq!((found.signer, found.tenant, found.created_unix_s), (1, Some(TenantId(7)), NOW));
    let digest = found.digest.unwrap();
    assert!(matches!(digest, Expected::Sha512(_)));
    assert!(digest.is_of(b"{\"hello\": \"world\"}") && !digest.is_of(b"{\"hello\": \"World\"}"));
    // Another nonce is another signature; the same again is the same.
    let other = check(&sign(&rfc_request, &FULL.replace("n1", "n2")), NOW).unwrap();
    assert_ne!(other.fingerprint, found.fingerprint);
    assert_eq!(check(&sign(&rfc_request, FULL), NOW).unwrap().fingerprint, found.fingerprint);
    // With @authority and a scheme of its own, as something in front may have ended TLS.
    for name in ["@authority", "@scheme"] {
        let input = FULL.replace("\"content-type\"", &format!("\"{name}\""));
        assert!(check(&sign(&rfc_request, &input), NOW).is_ok(), "{name}");
    }
}

#[test]
fn signatures_of_others_do_not_matter() {
    let signed = sign(&rfc_request, FULL);
    let and = |input: &str, signature: &str| {
        signed
            .replace("Signature-Input: ", &format!("Signature-Input: {input}, "))
            .replace("Signature: ", &format!("Signature: {signature}, "))
    };
    assert!(check(&and("p=(\"via\");keyid=\"proxy\"", "p=:AAAA:"), NOW).is_ok());
    assert!(check(&and("p=();created=1", "p=:AAAA:"), NOW).is_ok());
    let two = and("p=();keyid=\"other\"", "p=:AAAA:");
    assert_eq!(check(&two, NOW), Err(Refusal::SignaturesMany));
    let same = and("a=();keyid=\"proxy\"", "b=:AAAA:");
    assert_eq!(check(&same, NOW), Err(Refusal::SignatureMalformed));
    let both =
        signed.replace("Host:", "Authorization: Signature keyId=\"a\",signature=\"AAAA\"\r\nHost:");
    assert_eq!(check(&both, NOW), Err(Refusal::SignaturesMany));
}

#[test]
fn what_is_not_covered_is_refused() {
    for (from, to) in [
        ("\"@method\" ", ""),
        ("\"@target-uri\" ", ""),
        ("\"@target-uri\" ", "\"@path\" "),
        ("\"content-digest\" ", ""),
        (";created=1618884473", ""),
    ] {
        let signed = sign(&rfc_request, &FULL.replace(from, to));
        assert_eq!(check(&signed, NOW), Err(Refusal::SignatureIncomplete), "without {from}");
    }
    for target in ["\"@path\" \"@query\"", "\"@request-target\""] {
        let signed = sign(&rfc_request, &FULL.replace("\"@target-uri\"", target));
        assert!(check(&signed, NOW).is_ok(), "{target}");
    }
    // Without a body there is no need of a digest, and one that is there must be that of nothing.
    let get = |lines: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let input = "a=(\"@method\" \"@path\");created=1618884473;keyid=\"test-shared-secret\"";
    assert_eq!(check(&sign(&get, input), NOW).unwrap().digest, None);
    let digest = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let input = input.replace("@path\"", "@path\" \"content-digest\"");
    let of = |digest: &str| {
        let lines = format!("Content-Digest: sha-256=:{digest}:\r\n");
        sign(&move |more: &str| get(&format!("{lines}{more}")), &input)
    };
    assert_eq!(check(&of(digest), NOW).unwrap().digest, None);
    assert_eq!(check(&of(&digest.replace("47", "48")), NOW), Err(Refusal::DigestWrong));
    assert_eq!(check(&of("AAAA"), NOW), Err(Refusal::DigestMalformed));
}

#[test]
fn the_window_has_two_ends() {
    let signed = sign(&rfc_request, FULL);
    for (now, is_right) in [
        (NOW, true),
        (NOW - WINDOW, true),
        (NOW + WINDOW, true),
        (NOW - WINDOW - 1, false),
        (NOW + WINDOW + 1, false),
        (0, false),
        (u64::MAX, false),
    ] {
        assert_eq!(check(&signed, now).is_ok(), is_right, "{now}");
    }
    let signed = sign(&rfc_request, &FULL.replace(";keyid", ";expires=1618884480;keyid"));
    assert!(check(&signed, 1_618_884_479).is_ok());
    assert_eq!(check(&signed, 1_618_884_480), Err(Refusal::SignatureExpired));
}

#[test]
fn other_algorithms_and_signers_are_refused() {
    let signed = sign(&rfc_request, &FULL.replace("hmac-sha256", "rsa-v1_5-sha256"));
    assert_eq!(check(&signed, NOW), Err(Refusal::SignatureAlgorithm));
    let signed = sign(&rfc_request, &FULL.replace("test-shared", "nobodys"));
    assert_eq!(check(&signed, NOW), Err(Refusal::SignatureKeyUnknown));
    let signed = sign(&rfc_request, &FULL.replace("test-shared-secret", "other"));
    assert_eq!(check(&signed, NOW), Err(Refusal::SignatureWrong));
    let mut signers = signers();
    assert_eq!(signers.add("short", &[7; 15], None), Err(Unfit::SecretTooShort));
    assert_eq!(signers.add("other", &[7; 16], None), Err(Unfit::SameId));
    assert!(!format!("{signers:?}").contains("0123"));
    assert_eq!((signers.len(), signers.id(0)), (2, Some("other")));
}

#[test]
fn structured_fields_have_one_form() {
    for wrong in [
        "a=(\"host\"",
        "a=\"host\"",
        "a=(\"host\"\"date\")",
        "a=();created=01",
        "a=();created=1.0",
        "a=();created=1;created=1",
        "a=();keyid=\"a\\n\"",
        "a=();keyid=\"\u{e9}\"",
        "a=();keyid=:AB:",
        "a=();keyid=?2",
        "A=()",
        "a=(),",
        "a=(),a=()",
        "a=() b=()",
        "=()",
        "",
        "a",
        "a=(\t)",
    ] {
        assert!(message::inputs_of(wrong).is_none(), "{wrong}");
    }
    assert_eq!(message::inputs_of("a=();x;y=?0;z=*t/1 \t,\tb=( \"q\\\"\" 1 )").unwrap().len(), 2);
    let many = (0..9).map(|n| format!("a{n}=()")).collect::<Vec<_>>().join(",");
    assert!(message::inputs_of(&many).is_none());
    let long = format!("a=({})", "\"a\" ".repeat(65));
    assert!(message::inputs_of(&long).is_none());
}

/// Whether a byte may be changed without the signature minding: in what it does not cover, or the case of what has none.
fn is_free(signed: &str, at: usize, bit: u8) -> bool {
    let is_within = |part: &str| {
        let found = signed.find(part).map(|from| from..from + part.len());
        found.is_some_and(|range| range.contains(&at))
    };
    let date = signed.lines().find(|line| line.starts_with("Date: ")).unwrap();
    let is_date_covered = signed.contains("host date");
    let is_uncovered = is_within("HTTP/1.1")
        || is_within("Content-Length: 18")
        || is_within("algorithm=\"hs2019\"")
        || (is_within(date) && !is_date_covered);
    let before = signed.get(..at).unwrap();
    let line = before.rsplit("\r\n").next().unwrap();
    let is_in_name = before.contains("\r\n") && !line.contains(':');
    let has_no_case = is_in_name
        || is_within("example.com")
        || is_within("Authorization: Signature ")
        || is_within("headers=\"(request-target) host date digest content-type\"");
    is_uncovered || (bit == 32 && has_no_case && signed.as_bytes()[at].is_ascii_alphabetic())
}

/// Whatever byte of a signed request is changed: it is refused, or was not covered, and what is found is the same.
#[test]
fn no_covered_byte_can_be_changed() {
    let draft = sign_draft("(request-target) host date digest content-type", "");
    for (signed, now) in [(sign(&rfc_request, FULL), NOW), (draft, 1_388_957_500)] {
        let found = check(&signed, now).unwrap();
        let mut refused = 0;
        for at in 0..signed.len() {
            for bit in [1_u8, 2, 4, 16, 32] {
                let mut changed = signed.clone().into_bytes();
                changed[at] ^= bit;
                let mut slots = Slots::new();
                let Ok(Some(head)) = parse::request(&changed, &mut slots) else { continue };
                match verify(&head, &signers(), WINDOW, now) {
                    Ok(other) => {
                        assert_eq!(other, found);
                        let text = String::from_utf8_lossy(&changed);
                        assert!(is_free(&signed, at, bit), "{at} {bit}: {text}");
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > 1000);
    }
}
