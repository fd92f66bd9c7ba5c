//! Requests signed by HMAC, in both vocabularies; each signature opens once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use super::*;

const SECRET: &str = "a secret that signs";
const TENANT: &str = "[signature]\nwindow_s = 60\n\n[[tenant]]\nname = \"acme\"\nsignatures = [{ id = \"batch\", secret = { env = \"ACME_SECRET\" } }]\n";
const BODY: &str = "{\"model\":\"m\",\"messages\":[]}";

fn gateway(upstream: &Answering, shards: usize) -> Gateway {
    Setup::new(world(&upstream.url(), TENANT))
        .variable("ACME_SECRET", SECRET)
        .shards(shards)
        .start()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn mac(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

fn body_digest(body: &str) -> String {
    STANDARD.encode(Sha256::digest(body))
}

/// RFC 9421: the fields of a signed request.
fn modern(created: u64, nonce: &str, body: &str) -> String {
    let digest = format!("sha-256=:{}:", body_digest(body));
    let parameters = format!(
        "(\"@method\" \"@path\" \"content-digest\");created={created};keyid=\"batch\";alg=\"hmac-sha256\";nonce=\"{nonce}\""
    );
    let base = format!(
        "\"@method\": POST\n\"@path\": /v1/chat/completions\n\"content-digest\": {digest}\n\"@signature-params\": {parameters}"
    );
    format!(
        "content-digest: {digest}\r\nsignature-input: sig1={parameters}\r\nsignature: sig1=:{}:\r\n",
        mac(&base)
    )
}

/// draft-cavage-http-signatures-12: the fields of a signed request.
fn cavage(created: u64, body: &str) -> String {
    let digest = format!("SHA-256={}", body_digest(body));
    let text = format!(
        "(request-target): post /v1/chat/completions\n(created): {created}\ndigest: {digest}"
    );
    format!(
        "digest: {digest}\r\nauthorization: Signature keyId=\"batch\",algorithm=\"hs2019\",created={created},headers=\"(request-target) (created) digest\",signature=\"{}\"\r\n",
        mac(&text)
    )
}

fn signed(fields: &str) -> String {
    with_fields(&post("/v1/chat/completions", BODY), fields)
}

#[test]
fn both_vocabularies_open_and_end_here() {
    let upstream = Answering::saying("{}");
    let gateway = gateway(&upstream, 1);
    for fields in [modern(now(), "n-1", BODY), cavage(now(), BODY)] {
        let answer = gateway.ask(signed(&fields));
        assert_eq!(answer.status(), 200, "{fields}: {}", answer.text());
        let asked = upstream.asked().pop().expect("a request");
        assert_eq!(asked.field("x-ringway-tenant"), Some("acme"));
        for name in ["authorization", "signature", "signature-input"] {
            assert_eq!(asked.field(name), None);
        }
    }
}

#[test]
fn a_signature_opens_once_on_the_whole_node() {
    let upstream = Answering::saying("{}");
    let gateway = gateway(&upstream, 2);
    for fields in [modern(now(), "once", BODY), cavage(now(), BODY)] {
        let request = signed(&fields);
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let (address, request) = (gateway.listen, request.clone());
                std::thread::spawn(move || {
                    let mut client = Connection::to(address);
                    client.send(request);
                    client.message().status()
                })
            })
            .collect();
        let statuses: Vec<u16> =
            asking.into_iter().map(|thread| thread.join().expect("a client")).collect();
        let opened = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(opened, 1, "{statuses:?}");
    }
    gateway.await_metric("ringway_refusals_total", &[("reason", "signature_replayed")], 14);
}

#[test]
fn what_was_not_signed_does_not_open() {
    let upstream = Answering::saying("{}");
    let gateway = gateway(&upstream, 1);
    let good = modern(now(), "a", BODY);
    for fields in [
        String::new(),
        modern(now() - 3600, "b", BODY),
        modern(now() + 3600, "c", BODY),
        modern(now(), "d", "{\"model\":\"cheap\"}"),
        good.replace("nonce=\"a\"", "nonce=\"e\""),
        good.replace("keyid=\"batch\"", "keyid=\"other\""),
        good.replace("\"@path\" ", ""),
        good.replace("signature: sig1=:", "signature: sig1=:AAAA"),
        cavage(now() - 3600, BODY),
        cavage(now(), "another body"),
        cavage(now(), BODY).replace("hs2019", "none"),
    ] {
        let answer = gateway.ask(signed(&fields));
        assert!(matches!(answer.status(), 400 | 401), "{fields}: {}", answer.text());
    }
    assert_eq!(upstream.asked(), []);
}

#[test]
fn a_signed_body_may_come_in_chunks() {
    let upstream = Answering::saying("{}");
    let gateway = gateway(&upstream, 1);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n{}\r\n",
        modern(now(), "chunks", BODY)
    );
    let mut client = gateway.client();
    client.send(head);
    for piece in BODY.as_bytes().chunks(7) {
        client.send(chunk(piece));
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.message().status(), 200);
    assert_eq!(upstream.asked().pop().expect("a request").text(), BODY);
}
