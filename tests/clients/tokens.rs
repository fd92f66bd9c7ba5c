//! Tokens and signed requests made by others: PyJWT and jose, http-message-signatures and http-signature. Each must pass as
//! it is, and not with a bit changed.

use std::collections::HashMap;
use std::process::Command;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringway::admission::Refusal;
use ringway::admission::jwks::KeySet;
use ringway::admission::jwt;
use ringway::admission::jwt::ClaimNames;
use ringway::admission::jwt::Issuer;
use ringway::admission::signature;
use ringway::admission::signature::Signers;
use ringway::units::TenantId;
use ringway::wire::http1::parse;
use ringway::wire::http1::parse::Slots;
use serde_json::Value;

use crate::gateway::here;
use crate::needs::need;
use crate::process::bounded;
use crate::process::succeed;

const ALL: [&str; 12] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "EdDSA",
];

fn now_unix_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn check(command: &mut Command) {
    let said = succeed(command.env("PYTHONDONTWRITEBYTECODE", "1"));
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut algorithms: Vec<&str> =
        lines.iter().filter_map(|line| line["algorithm"].as_str()).collect();
    algorithms.retain(|name| ALL.contains(name));
    assert_eq!(algorithms.len(), ALL.len(), "{algorithms:?}");
    assert!(lines.iter().filter(|line| line["kind"] == "request").count() >= 2);
    for line in &lines {
        match line["kind"].as_str().unwrap() {
            "token" => check_token(line),
            _ => check_request(line),
        }
    }
}

fn check_token(line: &Value) {
    let (keys, skipped) = KeySet::parse(line["jwks"].to_string().as_bytes()).unwrap();
    assert!(skipped.is_empty(), "{line}: {skipped:?}");
    let issuer = [Issuer {
        issuer: Some("https://login.example.com/".into()),
        audience: ["ringway".into()].into(),
        keys,
        leeway_s: 5,
        claims: ClaimNames {
            tenant: Some("org.id".into()),
            requests_per_minute: Some("rpm".into()),
            ..ClaimNames::default()
        },
        tenants: HashMap::from([("acme".into(), TenantId(1))]),
        ..Issuer::default()
    }];
    let token = line["token"].as_str().unwrap();
    let verify = |token: &str, now| jwt::verify(token, &issuer, now, |_| None);
    let claims = verify(token, now_unix_s()).unwrap_or_else(|why| panic!("{why:?}: {line}"));
    assert_eq!((claims.tenant, &*claims.user), (Some(TenantId(1)), "someone"));
    assert!(claims.rules[0].is_some());
    assert_eq!(verify(token, now_unix_s() + 900).err(), Some(Refusal::TokenExpired));
    for at in (0..token.len()).step_by(5) {
        let mut changed = token.to_owned().into_bytes();
        changed[at] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        assert!(verify(&changed, now_unix_s()).is_err(), "{line} at {at}");
    }
}

fn check_request(line: &Value) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut request = format!("{} {} HTTP/1.1\r\n", text(&line["method"]), text(&line["target"]));
    for field in line["fields"].as_array().unwrap() {
        request.push_str(&format!("{}: {}\r\n", text(&field[0]), text(&field[1])));
    }
    request.push_str("\r\n");
    let secret = STANDARD.decode(text(&line["secret"])).unwrap();
    let mut signers = Signers::new(300);
    signers.add("client", &secret, Some(TenantId(1))).unwrap();
    let verify = |request: &str, now| {
        let mut slots = Slots::new();
        let head = parse::request(request.as_bytes(), &mut slots).unwrap().unwrap();
        assert!(signature::is_present(&head));
        signature::verify(&head, &signers, 300, now)
    };
    let found = verify(&request, now_unix_s()).unwrap_or_else(|why| panic!("{why:?}: {request}"));
    let body = text(&line["body"]);
    assert!(found.digest.unwrap().is_of(body.as_bytes()));
    assert!(!found.digest.unwrap().is_of(body.to_uppercase().as_bytes()));
    for (from, to) in [("a=b", "a=c"), ("POST", "PUT"), ("application/json", "text/plain")] {
        let changed = request.replacen(from, to, 1);
        assert_eq!(verify(&changed, now_unix_s()).err(), Some(Refusal::SignatureWrong), "{from}");
    }
    assert_eq!(verify(&request, now_unix_s() + 600).err(), Some(Refusal::SignatureExpired));
}

#[test]
fn tokens_and_signatures_made_with_python() {
    let python = need!("target/clients-venv/bin/python");
    check(bounded(60, python).arg(here().join("python/tokens.py")));
}

#[test]
fn tokens_and_signatures_made_with_node() {
    let (node, packages) = (need!("node"), need!("target/clients-node/stamp"));
    let packages = packages.parent().unwrap().to_owned();
    check(bounded(60, node).arg(here().join("node/tokens.mjs")).env("NODE_PACKAGES", packages));
}
