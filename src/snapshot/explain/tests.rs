//! What is said of requests that may enter and of those that may not.

mod near;
mod version;

use super::*;
use crate::admission::key::KeyDigest;
use crate::balance::choose::Standing;
use crate::config;
use crate::snapshot::Ledger;
use crate::snapshot::World;
use crate::snapshot::build;
use std::time::Duration;

const KEY: &str = "rw_never-to-be-seen";
const OLD: &str = "rw_was-once-good";

fn snapshot() -> Snapshot {
    let file = config::parse(&snapshot_text(), "a.toml").unwrap();
    build(&file, &World::default(), &mut Ledger::default(), 1).unwrap()
}

fn snapshot_text() -> String {
    let digest = |secret: &str| KeyDigest::of(secret.as_bytes()).to_hex();
    format!(
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
    )
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

/// Endpoints that stand as they are told, by the last digit of their port; 30 ms old for each request in flight.
fn seen(standing: Standing, in_flight: u32) -> Seen {
    let half = Duration::from_millis(u64::from(in_flight) * 30);
    Seen {
        standing,
        left: (standing == Standing::Open).then(|| Duration::from_millis(800)),
        in_flight,
        places: in_flight,
        age: Duration::from_secs(3600),
        pace: (in_flight > 0).then_some(half),
        p50: (in_flight > 0).then_some(half),
        p95: (in_flight > 0).then_some(half * 2),
        p99: (in_flight > 0).then_some(half * 3),
        samples: 1000,
    }
}

/// An upstream with three endpoints; which of them is asked first, and what is said of each.
#[track_caller]
fn candidates(
    of_upstream: &str,
    seen: [Seen; 3],
    expected: [(&str, bool, &str); 3],
) -> Explanation {
    let text = format!(
        "[listen]\nmiddleware = []\n[[upstream]]\nname = \"u\"\n{of_upstream}\n\
         endpoints = [{{ url = \"http://127.0.0.1:1\", weight = 2 }}, {{ url = \"http://127.0.0.1:2\", weight = 2 }}, {{ url = \"http://127.0.0.1:3\" }}]\n\
         deadlines = {{ adaptive = {{ factor = 2.0, min_ms = 10, max_ms = 9000, samples_min = 100 }} }}\n\
         [[model]]\nname = \"m\"\nupstream = \"u\"\nfallback = [\"n\"]\ncontext_fallback = \"n\"\n\
         [[model]]\nname = \"n\"\nupstream = \"u\"\n"
    );
    let is_alone = of_upstream.contains("least_bad");
    let text = if is_alone { text.replacen("fallback = [\"n\"]\n", "", 1) } else { text };
    let file = config::parse(&text, "a.toml").unwrap();
    let snapshot = build(&file, &World::default(), &mut Ledger::default(), 1).unwrap();
    let slots: Vec<_> = snapshot.endpoints.iter().map(|endpoint| endpoint.slot).collect();
    let look = |slot| seen[slots.iter().position(|other| *other == slot).unwrap()];
    let fields = field("x-session", "one");
    let asked = Asked { look: Look(Some(&look)), fields: &fields, ..asked("m") };
    let explanation = explain(&snapshot, asked);
    let relay = explanation.relay.as_ref().unwrap();
    for (choice, (state, is_first, why)) in relay.endpoints.iter().zip(expected) {
        assert_eq!((choice.state, choice.is_first), (state, is_first), "{explanation}");
        assert!(choice.why.contains(why), "{why:?} is not in\n{explanation}");
    }
    explanation
}

#[test]
fn each_candidate_and_why_it_is_chosen_or_not() {
    use Standing::*;
    let wlc = "balance = \"weighted_least_connections\"";
    let three = [seen(Usable, 4), seen(Usable, 2), seen(Open, 0)];
    let explained = candidates(
        wlc,
        three,
        [
            ("usable", false, "Another one has a lower score"),
            ("usable", true, "It has the lowest score"),
            ("open", false, "after too many failures. For another 800 ms."),
        ],
    );
    let relay = explained.relay.as_ref().unwrap();
    let scores: Vec<_> = relay.endpoints.iter().map(|choice| choice.score).collect();
    assert_eq!(scores, [Some(2.25), Some(1.25), Some(0.5)]);
    let deadlines: Vec<_> =
        relay.endpoints.iter().map(|choice| choice.attempt_deadline_ms).collect();
    assert_eq!(deadlines, [Some(720), Some(360), Some(9000)], "p99 x 2, or the longest");
    let text = explained.to_string();
    for line in [
        "-> usable, score 1.250, 2 in flight, each attempt 360 ms: It has the lowest score",
        "  retry       3 attempts on connect, timeout",
        "  hedge       off",
        "  fallback    n (u): the caller may have it, if its limits have room",
        "  too long    n (u): the caller may have it",
        "  attempt     p99 x 2",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }

    candidates(
        "balance = \"weighted_round_robin\"\nmax_in_flight = 4",
        three,
        [
            ("full", false, "max_in_flight"),
            ("usable", false, "Its turn comes in proportion to its weight"),
            ("open", false, "circuit breaker"),
        ],
    );
    candidates(
        "balance = \"peak_ewma\"",
        [seen(Usable, 4), seen(Usable, 2), seen(CredentialBad, 0)],
        [
            ("usable", false, "where the other one that is drawn has a higher score"),
            ("usable", true, "whenever it is one of the two"),
            ("credential_bad", false, "refused the gateway's own credential"),
        ],
    );
    candidates(
        wlc,
        [seen(Usable, 0), seen(Due, 0), seen(Ejected, 0)],
        [
            ("usable", false, "Another one is tried first"),
            ("due", true, "whether it is well again"),
            ("ejected", false, "more often than the others"),
        ],
    );
}

#[test]
fn what_is_done_where_none_is_usable() {
    use Standing::*;
    let down = [seen(Open, 0), seen(Paused, 3), seen(Unhealthy, 0)];
    let least_bad = [
        ("open", false, "For another 800 ms"),
        ("paused", true, "None is usable, and it is the least bad"),
        ("unhealthy", false, "health checks fail"),
    ];
    let explained = candidates("when_all_down = \"least_bad\"", down, least_bad);
    let text = explained.to_string();
    assert!(text.contains("the least bad one is asked, http://127.0.0.1:2/v1"), "{text}");
    assert!(text.contains("too long    n (u): none of its endpoints is usable now"), "{text}");
    let nobody = [("open", false, ""), ("paused", false, ""), ("unhealthy", false, "")];
    let text = candidates("", down, nobody).to_string();
    assert!(text.contains("the next of its fallbacks is asked"), "{text}");
    assert!(text.contains("fallback    n (u): none of its endpoints is usable now"), "{text}");
    let full = [("open", false, ""), ("full", false, "max_in_flight"), ("unhealthy", false, "")];
    let busy = [seen(Open, 0), seen(Usable, 3), seen(Unhealthy, 0)];
    let text = candidates("max_in_flight = 3\nqueue = { wait_ms = 700 }", busy, full).to_string();
    assert!(text.contains("full: it waits for a place, 700 ms at most"), "{text}");
    let nobody = [("open", false, ""), ("paused", false, ""), ("unhealthy", false, "")];
    let text = candidates("when_all_down = \"refuse\"", down, nobody).to_string();
    assert!(text.contains("none of them can be asked now"), "{text}");
}

/// The same key has the same endpoint, and shards would say the same.
#[test]
fn a_key_leads_to_an_endpoint() {
    let by = |by: &str| format!("balance = \"hash\"\nhash = {{ {by} }}");
    let well = [seen(Standing::Usable, 3); 3];
    let any = [("usable", false, ""); 3];
    let home = |of_upstream: &str| {
        let text = format!(
            "[[upstream]]\nname = \"u\"\n{of_upstream}\nendpoints = [{{ url = \"http://127.0.0.1:1\", weight = 2 }}, \
             {{ url = \"http://127.0.0.1:2\", weight = 2 }}, {{ url = \"http://127.0.0.1:3\" }}]\n\
             [[model]]\nname = \"m\"\nupstream = \"u\"\n"
        );
        let file = config::parse(&text, "a.toml").unwrap();
        let snapshot = build(&file, &World::default(), &mut Ledger::default(), 1).unwrap();
        let ring = &snapshot.upstreams[0].hash.as_ref().unwrap().ring;
        ring.home(crate::balance::hash::key(b"one")).unwrap()
    };
    let header = by("by = \"header\", header = \"X-Session\"");
    let home = home(&header);
    let mut expected = any;
    expected.iter_mut().for_each(|one| one.2 = "Another one is nearer");
    expected[home] = ("usable", true, "It is nearest to the request's key");
    let text = candidates(&header, well, expected).to_string();
    assert!(text.contains("the field x-session says which endpoint it belongs to"), "{text}");

    let mut least = well;
    least[2] = seen(Standing::Usable, 0);
    let expected = [any[0], any[1], ("usable", true, "lowest score")];
    let prompt = candidates(&by("by = \"prompt\", prefix_bytes = 64"), least, expected).to_string();
    assert!(prompt.contains("the first 64 bytes of the prompt"), "{prompt}");
    assert!(prompt.contains("is in the body, which is not asked with"), "{prompt}");
    let tenant = candidates(&by("by = \"tenant\""), least, expected).to_string();
    assert!(tenant.contains("the tenant would say which endpoint it belongs to"), "{tenant}");
}

#[test]
fn without_a_gateway_nothing_is_known_of_endpoints() {
    let fields = field("x-api-key", KEY);
    let asked = Asked { fields: &fields, ..asked("m") };
    let explanation = explain(&snapshot(), asked);
    assert!(explanation.to_string().contains("a running gateway says it at /admin/explain"));
    let choice = &explanation.relay.unwrap().endpoints[0];
    assert_eq!((choice.state, choice.in_flight), ("unknown", None));
}

/// Another model is asked only for who may have it.
#[test]
fn a_fallback_that_the_caller_may_not_have() {
    let text = snapshot_text().replace(
        "name = \"m\"\nupstream = \"u\"",
        "name = \"m\"\nupstream = \"u\"\nfallback = [\"secret\", \"n\"]",
    );
    let file = config::parse(&text, "a.toml").unwrap();
    let snapshot = build(&file, &World::default(), &mut Ledger::default(), 1).unwrap();
    let fields = field("x-api-key", KEY);
    let explanation = explain(&snapshot, Asked { fields: &fields, ..asked("m") });
    let chain = explanation.relay.unwrap().onward.fallback;
    let chain: Vec<_> = chain.iter().map(|one| (one.model.as_str(), one.may_be_asked)).collect();
    assert_eq!(chain, [("secret", false), ("n", true)]);
}
