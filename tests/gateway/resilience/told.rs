//! What is written down of requests that took more than one attempt: who has answered, and what it has cost.

use std::fs;

use super::*;
use crate::admission::ALICE;
use crate::admission::acme;
use crate::admission::bearing;

const LOG: &str = "[access_log]\npath = \"access.jsonl\"\n\n";

/// The lines of the access log, once there are so many.
fn lines(gateway: &Gateway, count: usize) -> Vec<serde_json::Value> {
    let path = gateway.folder.join("access.jsonl");
    let mut lines = Vec::new();
    await_true("the access log is written", || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        lines = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if lines.len() == count { Ok(()) } else { Err(text) }
    });
    lines
}

/// The second endpoint was asked last, and has answered nothing.
#[test]
fn the_endpoint_that_has_answered_is_the_one_that_is_told() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let hedge = "hedge = { after_ms = 30, budget_percent = 100 }";
    let config = upstream_of(&[&first.url(), &second.url()], "", hedge);
    let gateway = Setup::new(format!("{LOG}{config}")).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut one, _) = first.request();
    let (_two, _) = second.request();
    one.send(ok("{}"));
    assert_eq!(client.message().status(), 200);
    let line = &lines(&gateway, 1)[0];
    assert_eq!((&line["endpoint"], &line["hedged"]), (&first.url().into(), &true.into()));
}

/// What an attempt that failed has taken, and the wait after it, is not what the gateway adds.
#[test]
fn the_gateways_own_time_is_without_the_attempts_that_failed() {
    let upstream = Upstream::start();
    let own = "deadlines = { attempt_ms = 150 }\nbreaker = false";
    let config = upstream_of(&[&upstream.url()], own, "");
    let gateway = Setup::new(format!("{LOG}{config}")).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    upstream.request().0.until_gone();
    let (mut server, _) = upstream.request();
    server.send(answer(429, "retry-after-ms: 150\r\n", "{}"));
    server.message();
    server.send(ok("{}"));
    assert_eq!(client.message().status(), 200);
    let line = &lines(&gateway, 1)[0];
    assert_eq!(line["attempts"], 3);
    let overhead = line["overhead_us"].as_f64().expect("a number");
    assert!(overhead < 100_000.0, "{line}");
}

/// The first endpoint has said that it failed, and nobody was there after it.
#[test]
fn a_request_that_failed_costs_no_tokens() {
    let dead = Upstream::start();
    let (bad, gone) = (saying(500, "", "{}"), dead.url());
    drop(dead);
    let limits = "limits = { tokens_per_day = 100000, algorithm = \"fixed_window\" }";
    let config = upstream_of(&[&bad.url(), &gone], "breaker = false", "retry = { attempts = 2 }");
    let gateway = Setup::new(format!("{config}\n{}", acme(limits))).start();
    let long = format!(",\"max_tokens\":10,\"user\":\"{}\"", "x".repeat(40_000));
    let mut client = gateway.client();
    let mut left = Vec::new();
    for _ in 0..2 {
        client.send(bearing(ALICE, &chat("m", &long)));
        let answer = client.message();
        // From one that says so to one that is not there, and the other way round the next time.
        assert!([500, 502].contains(&answer.status()), "{}", answer.text());
        left.push(answer.field("x-ratelimit-remaining-tokens").map(str::to_owned));
    }
    assert!(left[0].is_some() && left[0] == left[1], "{left:?}");
}
