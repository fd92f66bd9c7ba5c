//! What operators see.

mod back;
mod change;

use std::io::Write;
use std::process::Command;
use std::process::Stdio;

use crate::admission::digest;
use crate::support::*;

const SECRET: &str = "sk-never-to-be-seen-0123456789";

/// A gateway with a credential, that has served a bit of everything.
fn busy() -> (Answering, Gateway) {
    let upstream = Answering::with(|asked| {
        if asked.text().contains("\"stream\":true") {
            [EVENTS.as_bytes(), &chunk("data: 1\n\ndata: [DONE]\n\n"), b"0\r\n\r\n"].concat()
        } else {
            ok("{}")
        }
    });
    let lines = "api_key = { env = \"MODEL_SERVER_KEY\" }";
    let gateway = Setup::one(&upstream.url(), lines).variable("MODEL_SERVER_KEY", SECRET).start();
    let mut client = gateway.client();
    for request in [
        chat("m", ""),
        chat("m", ",\"stream\":true").replace("host:", "authorization: Bearer client\r\nhost:"),
        chat("none", ""),
        get("/v1/models"),
        get("/nothing"),
    ] {
        client.send(request);
        client.message();
    }
    client.send("BAD\r\n\r\n");
    client.message();
    gateway.await_metric("ringway_requests_total", &[("model", "m")], 2);
    (upstream, gateway)
}

#[test]
fn health() {
    let (_upstream, gateway) = busy();
    for path in ["/healthz", "/livez", "/readyz"] {
        let page = gateway.page(path);
        assert_eq!((page.status(), page.text()), (200, "ok\n"), "{path}");
    }
    let unknown = gateway.page("/nothing");
    assert_eq!(unknown.status(), 404);
    assert!(unknown.text().contains("/metrics"), "it says what there is: {}", unknown.text());
    let mut client = Connection::to(gateway.admin);
    client.send(post("/metrics", ""));
    let answer = client.message();
    assert_eq!((answer.status(), answer.field("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn metrics_say_what_happened() {
    let (_upstream, gateway) = busy();
    let page = gateway.page("/metrics");
    assert!(page.field("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let sum = |name: &str, labels: &[(&str, &str)]| gateway.metric(name, labels);
    let of_m = [("model", "m"), ("upstream", "u")];
    assert_eq!(sum("ringway_requests_total", &[("status", "200"), of_m[0], of_m[1]]), 2);
    assert_eq!(sum("ringway_requests_total", &[("status", "404")]), 2);
    assert_eq!(sum("ringway_requests_malformed_total", &[]), 1);
    assert_eq!(sum("ringway_upstream_connections_opened_total", &[]), 1);
    assert_eq!(sum("ringway_upstream_connections_reused_total", &[]), 1);
    assert!(sum("ringway_stream_events_total", &of_m) >= 1);
    assert!(sum("ringway_bytes_total", &[("direction", "up"), of_m[0]]) > 20);
    assert!(sum("ringway_bytes_total", &[("direction", "down"), of_m[0]]) > 20);
    for histogram in [
        "gen_ai_server_request_duration_seconds",
        "gen_ai_server_time_to_first_token_seconds",
        "ringway_request_overhead_seconds",
    ] {
        assert!(page.text().contains(&format!("{histogram}_bucket{{")), "{histogram}");
        assert!(page.text().contains(&format!("# TYPE {histogram} histogram")), "{histogram}");
        assert!(sum(&format!("{histogram}_count"), &of_m) >= 1, "{histogram}");
    }
    for name in ["ringway_streams_open", "ringway_requests_open", "ringway_bugs_total"] {
        assert_eq!(sum(name, &[]), 0, "{name}");
    }
}

#[test]
fn promtool_is_content() {
    let (_upstream, gateway) = busy();
    let page = gateway.page("/metrics");
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    // Not every machine has it; where it is, it must have nothing to say.
    let Ok(mut promtool) = promtool else { return };
    promtool.stdin.take().expect("piped").write_all(&page.body).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn explain_says_where_a_request_would_go() {
    let (upstream, gateway) = busy();
    let page = gateway.page("/admin/explain?model=m");
    let url = format!("{}/v1/chat/completions", upstream.url());
    assert!(page.text().contains(&url), "{}", page.text());
    let page = gateway.page("/admin/explain?model=m&format=json");
    let json = page.json();
    assert_eq!((&json["outcome"], &json["relay"]["upstream"]), (&"relayed".into(), &"u".into()));
    assert_eq!(json["relay"]["endpoints"][0]["url"], url.as_str());
    let page = gateway.page("/admin/explain?model=none&format=json");
    assert_eq!((&page.json()["outcome"], &page.json()["status"]), (&"refused".into(), &404.into()));
    let page = gateway.page("/admin/explain?path=/v1/models&method=GET&format=json");
    assert_eq!(page.json()["outcome"], "answered");
    assert_eq!(gateway.page("/admin/explain?modle=m").status(), 400);
}

/// What is said of a request is what happens to it; what it shows to get in is not said.
#[test]
fn explain_says_who_may_enter() {
    const KEY: &str = "rw_never-to-be-seen";
    let upstream = Answering::saying("{}");
    let tenant = format!(
        "[[tenant]]\nname = \"acme\"\nkeys = [{{ id = \"laptop\", sha256 = \"{}\" }}]\n\
         addresses = {{ deny = [\"192.0.2.0/24\"] }}\nlimits = {{ requests_per_minute = 60 }}\n\
         upstream_keys = {{ u = {{ env = \"ACME_KEY\" }} }}\n",
        digest(KEY)
    );
    let config = format!("{}\n{tenant}", one(&upstream.url(), ""));
    let gateway = Setup::new(config).variable("ACME_KEY", SECRET).start();
    let ask = |more: &str| {
        let page = gateway.page(&format!("/admin/explain?model=m{more}"));
        let text = page.text().to_owned();
        for secret in ["never-to-be-seen", "sk-never"] {
            assert!(!text.contains(secret), "{more}: {text}");
        }
        (page.status(), text)
    };
    let key = format!("&header=Authorization%3A+Bearer%20{KEY}");
    for (more, says) in [
        (
            key.as_str(),
            &["relayed", "the key laptop", "60 requests a minute", "x-ringway-tenant: acme"][..],
        ),
        (&key, &["the upstream is shown the tenant's own credential", "authorization: ***"]),
        (&format!("{key}x"), &["refused with 401", "key_unknown", "code invalid_api_key"]),
        (&format!("{key}&header=api-key:{KEY}x"), &["refused with 400", "credentials_many"]),
        (&format!("{key}&address=192.0.2.7"), &["refused with 403", "tenant: address: refused"]),
        ("", &["refused with 401", "credential_missing"]),
        ("&tenant=acme", &["relayed", "taken to have passed", "60 requests a minute"]),
        (&format!("&header=content-length:{KEY}"), &["refused with 400", "it cannot be read"]),
    ] {
        let (status, text) = ask(more);
        assert_eq!(status, 200, "{text}");
        assert!(says.iter().all(|words| text.contains(words)), "{says:?}: {text}");
    }
    let json = gateway.page(&format!("/admin/explain?model=m&format=json{key}x")).json();
    assert_eq!((&json["status"], &json["code"]), (&401.into(), &"invalid_api_key".into()));
    for more in
        [format!("&header={KEY}"), format!("&header=a%0D%0Ab:{KEY}"), format!("&header=%{KEY}")]
    {
        assert_eq!(ask(&more).0, 400, "{more}");
    }
    // The same, not only asked.
    for (secret, status) in [(KEY, 200), ("rw_never-to-be-seenx", 401)] {
        let field = format!("authorization: Bearer {secret}\r\nhost:");
        let answer = gateway.ask(chat("m", "").replacen("host:", &field, 1));
        assert_eq!(answer.status(), status, "{}", answer.text());
    }
}

#[test]
fn the_snapshot_is_shown() {
    let (upstream, gateway) = busy();
    let page = gateway.page("/admin/snapshot");
    let json = page.json();
    assert_eq!((&json["phase"], &json["is_ready"]), (&"serving".into(), &true.into()));
    assert_eq!(json["shards"][0]["adopted_snapshot"], 1);
    assert!(page.text().contains(&upstream.url()), "{}", page.text());
}

/// It goes up, and nowhere else.
#[test]
fn secrets_are_never_shown() {
    let (upstream, gateway) = busy();
    for asked in upstream.asked() {
        assert_eq!(asked.field("authorization"), Some(format!("Bearer {SECRET}").as_str()));
    }
    let pages = [
        "/metrics",
        "/admin/snapshot",
        "/admin/explain?model=m",
        "/admin/explain?model=m&format=json",
    ];
    for path in pages {
        let page = gateway.page(path);
        assert_eq!(page.status(), 200, "{path}");
        assert!(!page.text().contains("sk-never"), "{path}: {}", page.text());
    }
    assert!(!gateway.log().contains("sk-never"), "{}", gateway.log());
    // Nor in what clients are told when it fails.
    drop(upstream);
}

#[test]
fn the_access_log_has_a_line_for_every_request() {
    let upstream = Answering::saying("{}");
    let config = format!("[access_log]\npath = \"access.jsonl\"\n\n{}", one(&upstream.url(), ""));
    let gateway = Setup::new(config).start();
    let mut client = gateway.client();
    for _ in 0..5 {
        client.send(chat("m", ""));
        client.message();
    }
    let path = gateway.folder.join("access.jsonl");
    await_true("five lines", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if text.lines().count() == 5 { Ok(()) } else { Err(text) }
    });
    for line in std::fs::read_to_string(&path).expect("a file").lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&line["status"], &line["model"]), (&200.into(), &"m".into()), "{line}");
    }
}
