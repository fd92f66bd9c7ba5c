//! What is said of requests that may enter and of those that may not.

use super::*;
use crate::admission::key::KeyDigest;
use crate::config;
use crate::snapshot::Ledger;
use crate::snapshot::World;
use crate::snapshot::build;

const KEY: &str = "rw_never-to-be-seen";
const OLD: &str = "rw_was-once-good";

fn snapshot() -> Snapshot {
    let digest = |secret: &str| KeyDigest::of(secret.as_bytes()).to_hex();
    let text = format!(
        "[listen]\naddresses = {{ deny = [\"192.0.2.0/24\"] }}\n\
         [[upstream]]\nname = \"u\"\nendpoints = [{{ url = \"http://127.0.0.1:1\" }}]\n\
         [[model]]\nname = \"m\"\nupstream = \"u\"\ndegrade_to = \"n\"\n\
         [[model]]\nname = \"n\"\nupstream = \"u\"\n\
         [[model]]\nname = \"secret\"\nupstream = \"u\"\n\
         [[tenant]]\nname = \"acme\"\nmodels = [\"m\", \"n\"]\nwhen_full = \"degrade\"\n\
         limits = {{ requests_per_minute = 600, concurrent = 5 }}\n\
         addresses = {{ deny = [\"198.51.100.0/24\"] }}\n\
         keys = [{{ id = \"laptop\", sha256 = \"{}\" }}, {{ id = \"old\", sha256 = \"{}\", expires = 2020-01-01 }}]\n",
        digest(KEY),
        digest(OLD)
    );
    let file = config::parse(&text, "a.toml").unwrap();
    build(&file, &World::default(), &mut Ledger::default(), 1).unwrap()
}

fn asked(model: &str) -> Asked<'_> {
    Asked {
        method: "POST",
        path: "/v1/chat/completions",
        model: Some(model),
        now_unix_ms: 1_790_000_000_000,
        ..Asked::default()
    }
}

fn field(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

#[track_caller]
fn expect(asked: Asked<'_>, status: Option<u16>, says: &[&str]) {
    let explanation = explain(&snapshot(), asked);
    let text = explanation.to_string();
    assert_eq!(explanation.status, status, "{text}");
    for line in says {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let json = serde_json::to_string(&explanation).unwrap();
    for shown in [text, json] {
        assert!(!shown.contains("rw_"), "a credential is in {shown}");
    }
}

#[test]
fn each_step_of_who_may_enter() {
    for (name, value) in [("Authorization", format!("Bearer {KEY}")), ("x-api-key", KEY.to_owned())]
    {
        let fields = field(name, &value);
        let asked = Asked { fields: &fields, ..asked("m") };
        expect(
            asked,
            None,
            &[
                "relayed",
                "listen: address: passed, 127.0.0.1:",
                "listen: key: passed, it is the key laptop",
                "tenant: address: passed, 127.0.0.1",
                "it is asked by the tenant acme, with the key laptop",
                "models of the tenant: passed",
                "limit of the tenant: 600 requests a minute, by token_bucket, 600 at once",
                "limit of the tenant: 5 at once",
                "where a limit is full it goes to the model n",
            ],
        );
    }
}

#[test]
fn each_step_of_who_may_not() {
    expect(asked("m"), Some(401), &["listen: key: refused: credential_missing"]);
    let fields = field("x-api-key", "rw_wrong");
    let wrong = Asked { fields: &fields, ..asked("m") };
    expect(
        wrong,
        Some(401),
        &[
            "listen: key: refused: key_unknown",
            "refused (key_unknown), code invalid_api_key: This API key",
        ],
    );
    let fields = field("x-api-key", OLD);
    expect(Asked { fields: &fields, ..asked("m") }, Some(401), &["key: refused: key_expired"]);
    let before = Asked { fields: &fields, now_unix_ms: 1_000, ..asked("m") };
    expect(before, None, &["with the key old"]);
    let fields = field("x-api-key", KEY);
    for (address, level) in [([192, 0, 2, 7], "listen"), ([198, 51, 100, 7], "tenant")] {
        let asked = Asked { fields: &fields, address: Some(address.into()), ..asked("m") };
        expect(asked, Some(403), &[&format!("{level}: address: refused"), "address_denied"]);
    }
    let other = Asked { fields: &fields, ..asked("secret") };
    expect(other, Some(403), &["models of the tenant: refused: model_denied"]);
}

#[test]
fn as_a_tenant_without_its_credential() {
    let of = |tenant| Asked { tenant: Some(tenant), ..asked("m") };
    expect(of("acme"), None, &["as if a credential had shown", "limit of the tenant: 5 at once"]);
    expect(of("umbrella"), Some(403), &["no tenant is called \"umbrella\""]);
    let address = Some([198, 51, 100, 7].into());
    expect(Asked { address, ..of("acme") }, Some(403), &["tenant: address: refused"]);
}

/// Lists of limits that are never counted and credentials that nobody looks at are said as such.
#[test]
fn what_counts_for_nothing_is_said() {
    let text = "[listen]\nmiddleware = []\n\
         [[upstream]]\nname = \"u\"\nendpoints = [{ url = \"http://127.0.0.1:1\" }]\n\
         [[model]]\nname = \"m\"\nupstream = \"u\"\nlimits = { tokens_per_day = 5 }\n\
         parameters = { top_p = { max = 1 } }\nmiddleware = []\n";
    let file = config::parse(text, "a.toml").unwrap();
    let snapshot = build(&file, &World::default(), &mut Ledger::default(), 1).unwrap();
    let fields = field("authorization", "Bearer rw_x");
    let explanation = explain(&snapshot, Asked { fields: &fields, ..asked("m") });
    let text = explanation.to_string();
    for line in [
        "listen: no credential is asked for",
        "1 limit(s) count for nothing",
        "parameters count for nothing",
        "shown the credential that the client sends",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert_eq!(explanation.relay.unwrap().credential_of, "client");
    assert!(!text.contains("rw_x"), "{text}");
}

/// What the wire would not read is refused as it would refuse it, and nothing that is asked with begins a line.
#[test]
fn heads_are_read_as_the_wire_reads_them() {
    let with = |name: &str, value: &str| field(name, value);
    let many: Vec<_> = (0..101).map(|_| ("a".to_owned(), String::new())).collect();
    for (fields, status) in [
        (with("a", "1\r\nx-api-key: rw_x"), 400),
        (with("a\r\nb", "1"), 400),
        (with("a b", "1"), 400),
        (with("content-length", "x"), 400),
        (with("transfer-encoding", "gzip"), 400),
        (with("expect", "the best"), 417),
        (many, 431),
    ] {
        let explanation = explain(&snapshot(), Asked { fields: &fields, ..asked("m") });
        assert_eq!(explanation.status, Some(status), "{explanation}");
        assert!(explanation.to_string().contains("it cannot be read"), "{explanation}");
        assert!(explanation.code.is_some(), "{explanation}");
    }
    for (method, path) in
        [("POST", "/v1/models HTTP/1.1\r\na: b"), ("PO ST", "/"), ("POST", "/\u{e9}")]
    {
        let explanation = explain(&snapshot(), Asked { method, path, ..asked("m") });
        assert_eq!(explanation.status, Some(400), "{explanation}");
    }
    let key = field("x-api-key", KEY);
    let lower = explain(&snapshot(), Asked { method: "post", fields: &key, ..asked("m") });
    assert_eq!(lower.outcome, "relayed", "{lower}");
}
