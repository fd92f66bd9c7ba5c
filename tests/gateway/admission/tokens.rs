//! JSON Web Tokens: who signed them, what they claim, and what that opens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use ring::signature::KeyPair;
use serde_json::Value;
use serde_json::json;

use super::*;

const SECRET: &str = "a-secret-of-at-least-32-bytes-here";

const ISSUER: &str = r#"
[[jwt]]
issuer = "https://login.example.com/"
audience = ["ringway"]
secret = { env = "JWT_SECRET" }
algorithms = ["HS256"]
claims = { tenant = "org.id", user = "sub", models = "models", requests_per_minute = "rpm" }

[[tenant]]
name = "acme"
"#;

fn gateway(upstream: &Answering, more: &str) -> Gateway {
    let text = world(&upstream.url(), &format!("{ISSUER}\n{more}"));
    Setup::new(text).variable("JWT_SECRET", SECRET).start()
}

fn sign(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes())))
}

fn claims() -> Value {
    json!({
        "iss": "https://login.example.com/", "aud": ["other", "ringway"], "sub": "u-1",
        "exp": 4_102_444_800_u64, "org": { "id": "acme" },
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn hs256() -> Value {
    json!({ "alg": "HS256", "typ": "JWT" })
}

#[test]
fn a_token_opens_and_names_tenant_and_user() {
    let upstream = Answering::saying("{}");
    let gateway = gateway(&upstream, "");
    let token = sign(&hs256(), &claims());
    for _ in 0..3 {
        let answer = gateway.ask(bearing(&token, &chat("m", "")));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let asked = upstream.asked().pop().expect("a request");
        assert_eq!(asked.field("x-ringway-tenant"), Some("acme"));
        assert_eq!(asked.field("x-ringway-user"), Some("u-1"));
        assert_eq!(asked.field("authorization"), None);
    }
}

#[test]
fn tokens_that_are_not_right_are_refused() {
    let upstream = Answering::saying("{}");
    let gateway = gateway(&upstream, "");
    let good = sign(&hs256(), &claims());
    let (text, signature) = good.rsplit_once('.').expect("three parts");
    let none = URL_SAFE_NO_PAD.encode(json!({ "alg": "none" }).to_string());
    let payload = text.split_once('.').expect("two parts").1;
    for token in [
        sign(&hs256(), &with("exp", json!(1_600_000_000))),
        sign(&hs256(), &with("nbf", json!(4_102_444_000_u64))),
        sign(&hs256(), &with("iss", json!("https://login.example.com"))),
        sign(&hs256(), &with("aud", json!("another"))),
        sign(&hs256(), &with("org", json!({ "id": "nobody" }))),
        sign(&hs256(), &with("org", json!(null))),
        sign(&json!({ "alg": "HS512" }), &claims()),
        sign(&json!({ "alg": "RS256" }), &claims()),
        sign(&json!({ "alg": "HS256", "crit": ["x"], "x": 1 }), &claims()),
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{text}.{}A", signature.get(1..).unwrap_or_default()),
        text.to_owned() + ".",
        format!("{good}.{good}"),
    ] {
        let answer = gateway.ask(bearing(&token, &chat("m", "")));
        assert!(matches!(answer.status(), 401 | 403), "{token}: {}", answer.text());
        assert!(!answer.text().contains(&token));
    }
    assert_eq!(upstream.asked(), []);
}

#[test]
fn claims_bound_models_and_requests() {
    let upstream = Answering::saying("{}");
    let gateway = gateway(&upstream, "");
    let token = sign(&hs256(), &with("models", json!(["cheap"])));
    assert_eq!(gateway.ask(bearing(&token, &chat("m", ""))).status(), 403);
    assert_eq!(gateway.ask(bearing(&token, &chat("cheap", ""))).status(), 200);
    // Two requests a minute for this user, whatever else the token says; another user has its own.
    let token = |user: &str, number: u32| {
        let mut claims = with("rpm", json!(2));
        claims["sub"] = json!(user);
        claims["jti"] = json!(number);
        sign(&hs256(), &claims)
    };
    let statuses = |user: &str| {
        [1, 2, 3].map(|n| gateway.ask(bearing(&token(user, n), &chat("m", ""))).status())
    };
    assert_eq!(statuses("u-2"), [200, 200, 429]);
    assert_eq!(statuses("u-3"), [200, 200, 429]);
}

#[test]
fn a_key_or_a_token_will_do_and_both_may_be_asked_for() {
    let upstream = Answering::saying("{}");
    let keyed = format!("keys = [{{ id = \"alice\", sha256 = \"{}\" }}]\n", digest(ALICE));
    let gateway = gateway(&upstream, &(keyed + &zeta("")));
    let token = sign(&hs256(), &claims());
    assert_eq!(gateway.ask(bearing(&token, &chat("m", ""))).status(), 200);
    assert_eq!(gateway.ask(bearing(ALICE, &chat("m", ""))).status(), 200);
    assert_eq!(gateway.ask(bearing("rw_nobody", &chat("m", ""))).status(), 401);
}

#[test]
fn an_address_for_keys_is_fetched_and_followed() {
    let pair = key_pair();
    let keys = std::sync::Arc::new(std::sync::Mutex::new(key_set("one", &pair)));
    let published = std::sync::Arc::clone(&keys);
    let issuer = Answering::with(move |_| ok(&published.lock().expect("whole").clone()));
    let upstream = Answering::saying("{}");
    let more = format!(
        "[[jwt]]\nissuer = \"i\"\naudience = [\"a\"]\njwks = {{ url = \"{}/keys\", refresh_s = 10 }}\n\
         tenant = \"acme\"\n\n[[tenant]]\nname = \"acme\"\n",
        issuer.url()
    );
    let gateway = Setup::new(world(&upstream.url(), &more)).start();
    let token = |kid: &str| {
        let header = json!({ "alg": "EdDSA", "kid": kid });
        let claims = json!({ "iss": "i", "aud": "a", "sub": "s", "exp": 4_102_444_800_u64 });
        signed_by(&pair, &header, &claims)
    };
    let status = |kid: &str| gateway.ask(bearing(&token(kid), &chat("m", ""))).status();
    let becomes = |kid: &str, wanted: u16| {
        await_true(&format!("{kid} is answered with {wanted}"), || match status(kid) {
            got if got == wanted => Ok(()),
            got => Err(format!("it is {got}")),
        });
    };
    becomes("one", 200);
    assert_eq!(status("two"), 401);
    *keys.lock().expect("whole") = key_set("two", &pair);
    becomes("two", 200);
    becomes("one", 401);
    *keys.lock().expect("whole") = "not JSON".to_owned();
    await_true("a failed fetch is counted", || {
        // A key that is not known has the keys fetched again.
        assert_eq!(status("three"), 401);
        match gateway.metric("ringway_jwks_failures_total", &[]) {
            0 => Err("none yet".to_owned()),
            _ => Ok(()),
        }
    });
    assert_eq!(status("two"), 200, "the last good keys are kept");
}

fn key_pair() -> Ed25519KeyPair {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
    Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("a key pair")
}

fn key_set(kid: &str, pair: &Ed25519KeyPair) -> String {
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x }] }).to_string()
}

fn signed_by(pair: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(pair.sign(text.as_bytes())))
}
