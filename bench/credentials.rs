//! What credentials cost: tokens by algorithm, new and known, and signatures of requests.

use std::hint::black_box;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use ring::signature::EcdsaKeyPair;
use ring::signature::Ed25519KeyPair;
use ring::signature::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use ring::signature::RsaKeyPair;
use ring::signature::RsaPublicKeyComponents;
use ringway::admission::jwks::KeySet;
use ringway::admission::jwt;
use ringway::admission::jwt::Issuer;
use ringway::admission::jwt::TokenMemory;
use ringway::admission::signature;
use ringway::admission::signature::Signers;
use ringway::wire::http1::parse;
use ringway::wire::http1::parse::Slots;

use crate::harness::Harness;

const NOW_UNIX_S: u64 = 1_700_000_000;

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token as identity providers make them, for one algorithm, and the key set that verifies it.
fn token(algorithm: &str, sign: impl Fn(&[u8]) -> Vec<u8>, key: &str) -> (String, Issuer) {
    let header = format!("{{\"alg\":\"{algorithm}\",\"typ\":\"JWT\",\"kid\":\"2026-10\"}}");
    let claims = format!(
        "{{\"iss\":\"https://login.example.com/\",\"sub\":\"auth0|5f7c8ec7c33c6c004bbafe82\",\"aud\":[\"ringway\",\
         \"https://login.example.com/userinfo\"],\"iat\":{NOW_UNIX_S},\"exp\":{},\"azp\":\"client\",\
         \"scope\":\"openid profile email\",\"org_id\":\"org_9ybsU1dN2dKfDkBi\"}}",
        NOW_UNIX_S + 600
    );
    let message = format!("{}.{}", text(header), text(claims));
    let token = format!("{message}.{}", text(sign(message.as_bytes())));
    let set = format!("{{\"keys\":[{{\"kid\":\"2026-10\",{key}}}]}}");
    let (keys, _) = KeySet::parse(set.as_bytes()).expect("it is a key set");
    let issuer = Issuer {
        issuer: Some("https://login.example.com/".into()),
        audience: ["ringway".into()].into(),
        keys,
        leeway_s: 60,
        ..Issuer::default()
    };
    (token, issuer)
}

/// What a token costs that was not seen before, and one that was.
pub(crate) fn tokens(harness: &mut Harness) {
    let random = SystemRandom::new();
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let sign = |message: &[u8]| hmac::sign(&secret, message).as_ref().to_vec();
    let hs256 = token("HS256", sign, &format!("\"kty\":\"oct\",\"k\":\"{}\"", text([7; 32])));
    let rsa = RsaKeyPair::from_pkcs8(include_bytes!("../tests/golden/files/jwt/rsa.pk8"));
    let rsa = rsa.expect("it is a key");
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(rsa.public());
    let sign = |message: &[u8]| {
        let mut signature = vec![0; rsa.public().modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("it signs");
        signature
    };
    let key = format!("\"kty\":\"RSA\",\"n\":\"{}\",\"e\":\"{}\"", text(public.n), text(public.e));
    let rs256 = token("RS256", sign, &key);
    let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("there is chance");
    let pair = EcdsaKeyPair::from_pkcs8(kind, pair.as_ref(), &random).expect("it is a key");
    let sign = |message: &[u8]| pair.sign(&random, message).expect("it signs").as_ref().to_vec();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let key =
        format!("\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"{}\",\"y\":\"{}\"", text(x), text(y));
    let es256 = token("ES256", sign, &key);
    let pair = Ed25519KeyPair::generate_pkcs8(&random).expect("there is chance");
    let pair = Ed25519KeyPair::from_pkcs8(pair.as_ref()).expect("it is a key");
    let sign = |message: &[u8]| pair.sign(message).as_ref().to_vec();
    let x = text(pair.public_key());
    let key = format!("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{x}\"");
    let eddsa = token("EdDSA", sign, &key);
    let mut memory = TokenMemory::new(4096);
    for (name, (token, issuer)) in
        [("HS256", &hs256), ("RS256", &rs256), ("ES256", &es256), ("EdDSA", &eddsa)]
    {
        let issuers = std::slice::from_ref(issuer);
        let verify = |token: &str| {
            jwt::verify(token, issuers, NOW_UNIX_S, |_| None).expect("the token is right")
        };
        harness.run(&format!("token: {name}, not seen before"), || {
            black_box(verify(black_box(token)));
        });
        memory.remember(token, Rc::new(verify(token)), NOW_UNIX_S);
        harness.run(&format!("token: {name}, {} bytes, again", token.len()), || {
            black_box(memory.find(black_box(token), NOW_UNIX_S).expect("it is remembered"));
        });
    }
    let unknown = rs256.0.replace('a', "b");
    harness.run("token: looked up in vain", || {
        black_box(memory.find(black_box(&unknown), NOW_UNIX_S).is_none());
    });
}

/// What a signed request costs, its body left out.
pub(crate) fn signed_request(harness: &mut Harness) {
    let secret = [7; 32];
    let input = format!(
        "(\"@method\" \"@path\" \"content-digest\");created={NOW_UNIX_S};keyid=\"batch\";nonce=\"n1\""
    );
    let digest = format!("sha-256=:{}:", STANDARD.encode([7; 32]));
    let base = format!(
        "\"@method\": POST\n\"@path\": /v1/chat/completions\n\"content-digest\": {digest}\n\"@signature-params\": {input}"
    );
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), base.as_bytes());
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.local\r\ncontent-type: application/json\r\n\
         content-length: 900\r\ncontent-digest: {digest}\r\nsignature-input: s={input}\r\nsignature: s=:{}:\r\n\r\n",
        STANDARD.encode(mac)
    );
    let mut signers = Signers::new(300);
    signers.add("batch", &secret, None).expect("it is the first");
    let mut slots = Slots::new();
    let head = parse::request(request.as_bytes(), &mut slots);
    let head = head.expect("it is well formed").expect("it is whole");
    harness.run("signed request: HMAC-SHA256, RFC 9421", || {
        black_box(
            signature::verify(black_box(&head), &signers, 300, NOW_UNIX_S).expect("it is right"),
        );
    });
}
