//! Tokens signed here: what they must say to pass, and that no changed one does.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use ring::signature::EcdsaKeyPair;
use ring::signature::Ed25519KeyPair;
use ring::signature::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use ring::signature::RSA_PSS_SHA256;
use ring::signature::RsaKeyPair;

use super::ClaimNames;
use super::Claims;
use super::Issuer;
use super::has_shape;
use super::verify;
use crate::admission::jwks::Algorithm;
use crate::admission::jwks::KeySet;
use crate::admission::refusal::Refusal;
use crate::units::ModelId;
use crate::units::TenantId;

const SECRET: &[u8] = &[7; 64];
const NOW: u64 = 1_700_000_000;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn hs256(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    format!("{message}.{}", encode(hmac::sign(&key, message.as_bytes())))
}

fn issuer() -> Issuer {
    Issuer { keys: KeySet::secret(SECRET, &[]).unwrap(), leeway_s: 60, ..Issuer::default() }
}

fn model(name: &str) -> Option<ModelId> {
    ["a", "b"].iter().position(|known| *known == name).map(|at| ModelId(u32::try_from(at).unwrap()))
}

fn check(issuer: &Issuer, claims: &str) -> Result<Claims, Refusal> {
    let token = hs256(r#"{"alg":"HS256","typ":"JWT"}"#, claims);
    verify(&token, std::slice::from_ref(issuer), NOW, model)
}

#[test]
fn times_are_kept_with_leeway() {
    for (claims, expected) in [
        (r#"{"exp":1700000001}"#, None),
        (r#"{"exp":1699999941}"#, None),
        (r#"{"exp":1699999940}"#, Some(Refusal::TokenExpired)),
        (r#"{"exp":0}"#, Some(Refusal::TokenExpired)),
        (r#"{"exp":1700000001.5}"#, None),
        ("{}", Some(Refusal::TokenClaims)),
        (r#"{"exp":"1700000001"}"#, Some(Refusal::TokenClaims)),
        (r#"{"exp":null}"#, Some(Refusal::TokenClaims)),
        (r#"{"exp":-1}"#, Some(Refusal::TokenClaims)),
        (r#"{"exp":1e308}"#, Some(Refusal::TokenClaims)),
        (r#"{"exp":18446744073709551615}"#, None),
        (r#"{"exp":1700000001,"nbf":1700000060}"#, None),
        (r#"{"exp":1700000001,"nbf":1700000061}"#, Some(Refusal::TokenEarly)),
        (r#"{"exp":1700000001,"nbf":"0"}"#, Some(Refusal::TokenClaims)),
        (r#"{"exp":1700000001,"iat":1700000061}"#, Some(Refusal::TokenEarly)),
        (r#"{"exp":1700000001,"iat":true}"#, Some(Refusal::TokenClaims)),
        (r#"{"exp":1700000001,"exp":1700000002}"#, Some(Refusal::TokenMalformed)),
        (r#"{"exp":1700000001,"\u0065xp":1700000002}"#, Some(Refusal::TokenMalformed)),
        (r#"["exp"]"#, Some(Refusal::TokenMalformed)),
    ] {
        assert_eq!(check(&issuer(), claims).err(), expected, "{claims}");
    }
}

#[test]
fn audiences_and_issuers_are_compared_exactly() {
    let mut issuer = issuer();
    issuer.audience = ["ringway".into(), "other".into()].into();
    issuer.issuer = Some("https://login.example.com/".into());
    let told = |iss: &str, aud: &str| {
        check(&issuer, &format!("{{\"exp\":1700000001,\"iss\":{iss},\"aud\":{aud}}}")).err()
    };
    let right = "\"https://login.example.com/\"";
    for aud in ["\"ringway\"", "[\"x\",\"other\"]"] {
        assert_eq!(told(right, aud), None);
    }
    for aud in ["\"Ringway\"", "[]", "\"\"", "[\"x\"]"] {
        assert_eq!(told(right, aud), Some(Refusal::TokenAudience), "{aud}");
    }
    assert_eq!(told(right, "[\"ringway\",1]"), Some(Refusal::TokenClaims));
    assert_eq!(told("\"https://login.example.com\"", "\"ringway\""), Some(Refusal::TokenIssuer));
    assert_eq!(told("[\"https://login.example.com/\"]", "\"ringway\""), Some(Refusal::TokenClaims));
    assert_eq!(check(&issuer, "{\"exp\":1700000001}").err(), Some(Refusal::TokenIssuer));
}

#[test]
fn headers_are_strict() {
    let claims = r#"{"exp":1700000001}"#;
    let told = |header: &str| {
        let token = hs256(header, claims);
        verify(&token, &[issuer()], NOW, model).err()
    };
    for header in [
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"HS256","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","typ":"application/JWT"}"#,
        r#"{"alg":"HS256","kid":"any: the secret has none"}"#,
        r#"{"alg":"HS256","jku":"https://evil.example/","jwk":{"kty":"oct","k":"AAAA"}}"#,
    ] {
        assert_eq!(told(header), None, "{header}");
    }
    for (header, refusal) in [
        (r#"{"alg":"none"}"#, Refusal::TokenAlgorithm),
        (r#"{"alg":"None"}"#, Refusal::TokenAlgorithm),
        (r#"{"alg":""}"#, Refusal::TokenAlgorithm),
        (r#"{"alg":"hs256"}"#, Refusal::TokenAlgorithm),
        (r#"{"alg":"HS384"}"#, Refusal::TokenKeyUnknown),
        (r#"{"alg":"RS256"}"#, Refusal::TokenKeyUnknown),
        (r#"{"alg":["HS256"]}"#, Refusal::TokenMalformed),
        (r#"{}"#, Refusal::TokenMalformed),
        (r#"{"alg":"HS256","alg":"HS256"}"#, Refusal::TokenMalformed),
        (r#"{"alg":"none","alg":"HS256"}"#, Refusal::TokenMalformed),
        (r#"{"alg":"HS256","crit":["exp"]}"#, Refusal::TokenMalformed),
        (r#"{"alg":"HS256","crit":[]}"#, Refusal::TokenMalformed),
        (r#"{"alg":"HS256","b64":true}"#, Refusal::TokenMalformed),
        (r#"{"alg":"HS256","typ":"logout+jwt"}"#, Refusal::TokenMalformed),
        (r#"{"alg":"HS256","typ":1}"#, Refusal::TokenMalformed),
    ] {
        assert_eq!(told(header), Some(refusal), "{header}");
    }
}

#[test]
fn what_is_cut_or_too_long_is_refused() {
    let token = hs256(r#"{"alg":"HS256"}"#, r#"{"exp":1700000001}"#);
    let told = |token: &str| verify(token, &[issuer()], NOW, model).err();
    assert_eq!(told(&token), None);
    for end in 0..token.len() {
        assert!(told(token.get(..end).unwrap()).is_some(), "{end}");
    }
    for more in ["=", ".", "A", "\n", " "] {
        assert!(
            told(&format!("{token}{more}")).is_some() && told(&format!("{more}{token}")).is_some()
        );
    }
    let long = format!("{{\"exp\":1700000001,\"x\":\"{}\"}}", "x".repeat(super::TOKEN_BYTES_MAX));
    assert_eq!(told(&hs256(r#"{"alg":"HS256"}"#, &long)), Some(Refusal::CredentialMalformed));
    let long = format!("{{\"alg\":\"HS256\",\"x\":\"{}\"}}", "x".repeat(super::HEADER_BYTES_MAX));
    assert_eq!(told(&hs256(&long, "{\"exp\":1700000001}")), Some(Refusal::CredentialMalformed));
    let deep = format!("{{\"exp\":1700000001,\"x\":{}}}", "[".repeat(4000));
    assert_eq!(told(&hs256(r#"{"alg":"HS256"}"#, &deep)), Some(Refusal::TokenMalformed));
}

#[test]
fn claims_are_mapped() {
    let mut issuer = issuer();
    issuer.tenants = HashMap::from([("acme".into(), TenantId(3)), ("b".into(), TenantId(4))]);
    issuer.claims = ClaimNames {
        tenant: Some("org.id".into()),
        user: Some("https://example.com/user".into()),
        models: Some("models".into()),
        requests_per_minute: Some("limits.rpm".into()),
        tokens_per_minute: Some("limits.tpm".into()),
        concurrent: Some("limits.streams".into()),
    };
    let all = r#"{"exp":1700000001,"org":{"id":"acme"},"https://example.com/user":"u1","models":["a","nonesuch"],"limits":{"rpm":60,"tpm":99999999999}}"#;
    let claims = check(&issuer, all).unwrap();
    assert_eq!((claims.tenant, &*claims.user, claims.issuer), (Some(TenantId(3)), "u1", 0));
    let models = claims.models.unwrap();
    assert!(models.contains(ModelId(0)) && !models.contains(ModelId(1)));
    assert!(claims.rules[0].is_some() && claims.rules[1].is_some() && claims.rules[2].is_none());
    assert_eq!(claims.expires_unix_s, 1_700_000_061);
    // The same whenever it is asked; another for whatever it is made of.
    let subject = |claims: &str| check(&issuer, claims).unwrap().subject;
    assert_eq!(subject(all), claims.subject);
    for (from, to) in [("u1", "u2"), ("acme", "b"), ("60", "61"), ("\"rpm\":60,", "")] {
        assert_ne!(subject(&all.replacen(from, to, 1)), claims.subject, "{from}");
    }
    for (from, to, refusal) in [
        ("acme", "nobody", Refusal::TenantUnknown),
        ("\"acme\"", "7", Refusal::TokenClaims),
        ("{\"id\":\"acme\"}", "7", Refusal::TenantUnknown),
        ("\"u1\"", "\"u\\n1\"", Refusal::TokenClaims),
        ("\"u1\"", "{}", Refusal::TokenClaims),
        ("60", "0", Refusal::TokenClaims),
        ("60", "-1", Refusal::TokenClaims),
        ("60", "1.5", Refusal::TokenClaims),
        ("60", "\"60\"", Refusal::TokenClaims),
        ("\"nonesuch\"", "1", Refusal::TokenClaims),
    ] {
        assert_eq!(check(&issuer, &all.replacen(from, to, 1)).err(), Some(refusal), "{from} {to}");
    }
    // A tenant of the issuer's own is not looked for in the token.
    issuer.tenant = Some(TenantId(9));
    assert_eq!(check(&issuer, r#"{"exp":1700000001}"#).unwrap().tenant, Some(TenantId(9)));
    let unnamed = check(&issuer, r#"{"exp":1700000001,"models":[]}"#).unwrap();
    assert!(unnamed.user.is_empty() && unnamed.models.unwrap().models().is_empty());
}

#[test]
fn of_several_issuers_the_right_one_is_found() {
    let with = |name: Option<&str>, secret: &[u8], audience: &str| Issuer {
        issuer: name.map(Into::into),
        audience: [audience.into()].into(),
        keys: KeySet::secret(secret, &[]).unwrap(),
        ..Issuer::default()
    };
    let issuers = [
        with(Some("a"), &[1; 32], "x"),
        with(Some("b"), SECRET, "x"),
        with(Some("b"), SECRET, "y"),
        with(None, SECRET, "z"),
    ];
    let told = |iss: &str, aud: &str| {
        let claims = format!("{{\"exp\":1700000001,\"iss\":\"{iss}\",\"aud\":\"{aud}\"}}");
        let token = hs256(r#"{"alg":"HS256"}"#, &claims);
        verify(&token, &issuers, NOW, model).map(|claims| claims.issuer)
    };
    assert_eq!(told("b", "x"), Ok(1));
    assert_eq!(told("b", "y"), Ok(2));
    assert_eq!(told("c", "z"), Ok(3));
    assert_eq!(told("a", "x"), Err(Refusal::TokenAudience));
    let claims = r#"{"exp":1700000001,"iss":"c"}"#;
    let token = hs256(r#"{"alg":"HS256"}"#, claims);
    assert_eq!(verify(&token, &issuers[..3], NOW, model).err(), Some(Refusal::TokenIssuer));
}

/// One token for each kind of key, and the set that verifies it.
fn of_all_kinds() -> Vec<(String, KeySet)> {
    let random = SystemRandom::new();
    let claims = encode(r#"{"exp":1700000001,"sub":"someone"}"#);
    let message = |name: &str| format!("{}.{claims}", encode(format!("{{\"alg\":\"{name}\"}}")));
    let signed = |message: String, sign: &[u8], key: String| {
        let set = format!("{{\"keys\":[{key}]}}");
        let (set, skipped) = KeySet::parse(set.as_bytes()).unwrap();
        assert!(skipped.is_empty(), "{skipped:?}");
        (format!("{message}.{}", encode(sign)), set)
    };
    let mut all = vec![(
        hs256(r#"{"alg":"HS256"}"#, r#"{"exp":1700000001}"#),
        KeySet::secret(SECRET, &[]).unwrap(),
    )];
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let text = message("EdDSA");
    let x = encode(pair.public_key());
    let key = format!("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{x}\"}}");
    all.push(signed(text.clone(), pair.sign(text.as_bytes()).as_ref(), key));
    let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap();
    let text = message("ES256");
    let point = pair.public_key().as_ref();
    let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
    let key = format!("{{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"{x}\",\"y\":\"{y}\"}}");
    let sign = pair.sign(&random, text.as_bytes()).unwrap();
    all.push(signed(text, sign.as_ref(), key));
    let pkcs8 = include_bytes!("../../../tests/golden/files/jwt/rsa.pk8");
    let pair = RsaKeyPair::from_pkcs8(pkcs8).unwrap();
    let public = ring::signature::RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
    let key = format!(
        "{{\"kty\":\"RSA\",\"n\":\"{}\",\"e\":\"{}\"}}",
        encode(&public.n),
        encode(&public.e)
    );
    let kinds: [(&str, &'static dyn ring::signature::RsaEncoding); 2] =
        [("RS256", &RSA_PKCS1_SHA256), ("PS256", &RSA_PSS_SHA256)];
    for (name, kind) in kinds {
        let text = message(name);
        let mut sign = vec![0; pair.public().modulus_len()];
        pair.sign(kind, &random, text.as_bytes(), &mut sign).unwrap();
        all.push(signed(text, &sign, key.clone()));
    }
    all
}

#[test]
fn no_bit_of_a_token_can_be_changed() {
    for (token, keys) in of_all_kinds() {
        let issuer = [Issuer { keys, leeway_s: 60, ..Issuer::default() }];
        assert_eq!(verify(&token, &issuer, NOW, model).err(), None, "{token}");
        for at in 0..token.len() {
            for bit in [1_u8, 4, 32] {
                let mut changed = token.clone().into_bytes();
                changed[at] ^= bit;
                let Ok(changed) = String::from_utf8(changed) else { continue };
                assert!(verify(&changed, &issuer, NOW, model).is_err(), "{changed}");
            }
        }
    }
}

/// Public keys are not secrets: an HMAC made with one, in any of its forms, is no signature.
#[test]
fn keys_are_not_taken_for_others() {
    let all = of_all_kinds();
    for (token, _) in &all {
        for (other, keys) in &all {
            let issuer = [Issuer { keys: keys.clone(), leeway_s: 60, ..Issuer::default() }];
            let is_own = token == other;
            let is_rsa = |token: &str| {
                [encode("{\"alg\":\"RS256\"}"), encode("{\"alg\":\"PS256\"}")]
                    .iter()
                    .any(|header| token.starts_with(header.as_str()))
            };
            let is_right = is_own || (is_rsa(token) && is_rsa(other));
            assert_eq!(verify(token, &issuer, NOW, model).is_ok(), is_right, "{token} {other}");
        }
    }
    let (_, rsa) = all.last().unwrap();
    let token = hs256(r#"{"alg":"HS256"}"#, r#"{"exp":1700000001}"#);
    let issuer = Issuer { keys: rsa.clone(), ..Issuer::default() };
    assert_eq!(verify(&token, &[issuer], NOW, model).err(), Some(Refusal::TokenKeyUnknown));
    // What the config allows narrows what the keys can.
    let (token, keys) = all.last().unwrap();
    let algorithms = [Algorithm::Rs256].into();
    let issuer = Issuer { keys: keys.clone(), algorithms, ..Issuer::default() };
    assert_eq!(verify(token, &[issuer], NOW, model).err(), Some(Refusal::TokenAlgorithm));
}

#[test]
fn tokens_have_a_shape() {
    for (text, is_token) in [
        ("a.b.c", true),
        ("a.b.", true),
        ("a.b", false),
        ("a..c", false),
        (".b.c", false),
        ("a.b.c.d", false),
        ("a.b.c.d.e", false),
        ("a.b.c=", false),
        ("rw_abc", false),
        ("", false),
    ] {
        assert_eq!(has_shape(text.as_bytes()), is_token, "{text}");
    }
}

#[test]
fn public_keys_in_pem_are_read() {
    let rsa = KeySet::pem(include_bytes!("../../../tests/golden/files/jwt/rsa.pem")).unwrap();
    let issuer = [Issuer { keys: rsa, leeway_s: 60, ..Issuer::default() }];
    let all = of_all_kinds();
    let right = all.iter().filter(|(token, _)| verify(token, &issuer, NOW, model).is_ok());
    // By RS256 and by PS256.
    assert_eq!(right.count(), 2);
    let others = include_str!("../../../tests/golden/files/jwt/others.pem");
    let read: Vec<String> = others
        .split_inclusive("-----END PUBLIC KEY-----\n")
        .map(|text| match KeySet::pem(text.as_bytes()) {
            Ok(keys) => format!("{keys:?}"),
            Err(why) => why.explain().chars().take(12).collect(),
        })
        .collect();
    let expected = [
        "[(None, [EdDsa])]",
        "[(None, [Es256])]",
        "[(None, [Es384])]",
        "no public ke",
        "no public ke",
    ];
    assert_eq!(read, expected);
}
