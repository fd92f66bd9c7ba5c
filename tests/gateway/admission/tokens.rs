//! JSON Web Tokens: who signed them, what they claim, and what that opens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
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
        format!("{text}.{}A", &signature[..signature.len() - 1]),
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
    // What the issuer publishes; a symmetric key would be an odd thing to publish, but signs without a key pair.
    let keys = std::sync::Arc::new(std::sync::Mutex::new(jwks("one", SECRET)));
    let published = std::sync::Arc::clone(&keys);
    let issuer = Answering::with(move |_| ok(&published.lock().expect("whole").clone()));
    let upstream = Answering::saying("{}");
    let text = world(
        &upstream.url(),
        &format!(
            "[[jwt]]\nissuer = \"i\"\naudience = [\"a\"]\njwks = {{ url = \"{}/keys\", refresh_s = 1 }}\nalgorithms = [\"HS256\"]\ntenant = \"acme\"\n\n[[tenant]]\nname = \"acme\"\n",
            issuer.url()
        ),
    );
    let gateway = Setup::new(text).start();
    let token = |kid: &str| {
        let claims = json!({ "iss": "i", "aud": "a", "sub": "s", "exp": 4_102_444_800_u64 });
        sign(&json!({ "alg": "HS256", "kid": kid }), &claims)
    };
    let becomes = |kid: &str, status: u16| {
        await_true(&format!("{kid} is answered with {status}"), || {
            let got = gateway.ask(bearing(&token(kid), &chat("m", ""))).status();
            if got == status { Ok(()) } else { Err(format!("it is {got}")) }
        });
    };
    becomes("one", 200);
    becomes("two", 401);
    *keys.lock().expect("whole") = jwks("two", SECRET);
    becomes("two", 200);
    becomes("one", 401);
    *keys.lock().expect("whole") = "not JSON".to_owned();
    gateway.await_metric("ringway_jwks_fetches_total", &[("outcome", "failed")], 1);
    becomes("two", 200);
}

fn jwks(kid: &str, secret: &str) -> String {
    let k = URL_SAFE_NO_PAD.encode(secret);
    json!({ "keys": [{ "kty": "oct", "kid": kid, "alg": "HS256", "k": k }] }).to_string()
}
