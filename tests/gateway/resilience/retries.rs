//! Another attempt: for what, where, when, and when not.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use super::*;

/// Waits that a test does not notice.
const QUICK: &str =
    "retry = { attempts = 3, backoff = { base_ms = 1, factor = 1.0, max_ms = 1, jitter = false } }";

#[test]
fn an_error_that_another_endpoint_can_hide_is_hidden() {
    for status in [429, 500, 502, 503, 504, 529] {
        let (bad, good) = (saying(status, "", "{\"error\":\"x\"}"), Answering::saying("{}"));
        let config = upstream_of(&[&bad.url(), &good.url()], "breaker = false", "");
        let gateway = Setup::new(config).start();
        let mut client = gateway.client();
        for _ in 0..4 {
            client.send(chat("m", ""));
            assert_eq!(client.message().status(), 200, "{status}");
        }
        assert_eq!((bad.asked().len(), good.asked().len()), (2, 4), "{status}");
        gateway.await_metric("ringway_retries_total", &[("model", "m")], 2);
        gateway.await_metric("ringway_requests_total", &[("model", "m"), ("status", "200")], 4);
        assert_eq!(gateway.metric("ringway_faults_total", &[]), 0);
    }
}

#[test]
fn an_endpoint_that_closes_or_resets_before_its_answer_is_left_for_another() {
    let (bad, good) = (Upstream::start(), Answering::saying("{}"));
    let config = upstream_of(&[&bad.url(), &good.url()], "", "");
    let gateway = Setup::new(config).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    drop(bad.request());
    assert_eq!(client.message().status(), 200);
    client.send(chat("m", ""));
    assert_eq!(client.message().status(), 200);
    client.send(chat("m", ""));
    bad.request().0.reset();
    assert_eq!(client.message().status(), 200);
    gateway.await_metric("ringway_retries_total", &[("model", "m")], 2);
}

#[test]
fn half_a_head_is_not_an_answer() {
    let (bad, good) = (Upstream::start(), Answering::saying("{}"));
    let gateway = Setup::new(upstream_of(&[&bad.url(), &good.url()], "", "")).start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"x\":\"the body goes up twice\""));
    let (mut server, _) = bad.request();
    server.send("HTTP/1.1 200 OK\r\ncontent-ty");
    drop(server);
    assert_eq!(client.message().status(), 200);
    assert!(good.asked()[0].text().contains("the body goes up twice"));
}

/// Many servers send the head of a stream at once, and think then: as long as there is no event, nobody has an answer.
#[test]
fn the_head_of_a_stream_is_not_an_answer() {
    for is_silent in [false, true] {
        let (bad, good) = (Upstream::start(), Answering::saying("{}"));
        let lines = "deadlines = { attempt_ms = 200 }";
        let endpoints = [&*bad.url(), &*good.url()];
        let config = upstream_of(&endpoints, lines, "commit_after_ms = 60000");
        let gateway = Setup::new(config).start();
        let mut client = gateway.client();
        client.send(chat("m", ",\"stream\":true,\"x\":\"twice\""));
        let (mut server, _) = bad.request();
        server.send(EVENTS);
        if is_silent {
            server.until_gone();
        } else {
            drop(server);
        }
        assert_eq!(client.message().text(), "{}");
        assert!(good.asked()[0].text().contains("twice"));
        gateway.await_metric("ringway_retries_total", &[("model", "m")], 1);
    }
}

#[test]
fn it_goes_down_when_it_has_waited() {
    for lines in ["", "commit_after_ms = 0"] {
        let server = Upstream::start();
        let gateway = Setup::new(upstream_of(&[&server.url()], "", lines)).start();
        let mut client = gateway.client();
        client.send(chat("m", ",\"stream\":true"));
        let (mut server, _) = server.request();
        server.send(EVENTS);
        assert_eq!(client.head().status(), 200);
        server.send(chunk("data: 1\n\n"));
        client.await_content("data: 1\n\n");
        server.send("0\r\n\r\n");
        assert_eq!(client.chunk(), None);
    }
}

#[test]
fn an_error_that_breaks_off_is_not_an_answer() {
    let (bad, good) = (Upstream::start(), Answering::saying("{}"));
    let gateway = Setup::new(upstream_of(&[&bad.url(), &good.url()], "", "")).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = bad.request();
    server.send("HTTP/1.1 500 X\r\ncontent-length: 100\r\n\r\n{\"error\":");
    drop(server);
    assert_eq!(client.message().status(), 200);
}

#[test]
fn once_a_byte_went_down_nothing_is_repeated() {
    let (bad, good) = (Upstream::start(), Answering::saying("{}"));
    let gateway = Setup::new(upstream_of(&[&bad.url(), &good.url()], "", "")).start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = bad.request();
    server.send(EVENTS);
    server.send(chunk("data: {\"n\":1}\n\n"));
    assert_eq!(client.head().status(), 200);
    client.await_content("data: {\"n\":1}\n\n");
    server.reset();
    let rest = String::from_utf8(client.chunk().expect("an event")).expect("UTF-8");
    assert!(rest.contains("upstream_error") && !rest.contains("[DONE]"), "{rest}");
    assert_eq!(client.chunk(), None);
    assert_eq!(good.asked(), []);
    gateway.await_fault("upstream_truncated");
}

#[test]
fn what_the_client_has_done_wrong_is_not_repeated() {
    for status in [400, 404, 413, 422] {
        let (bad, other) = (saying(status, "", "{\"error\":\"x\"}"), Answering::saying("{}"));
        let gateway = Setup::new(upstream_of(&[&bad.url(), &other.url()], "", "")).start();
        let answer = gateway.ask(chat("m", ""));
        assert_eq!((answer.status(), answer.text()), (status, "{\"error\":\"x\"}"));
        assert_eq!(answer.field("x-should-retry"), None);
        assert_eq!(other.asked(), []);
    }
}

#[test]
fn where_nothing_helps_the_last_answer_goes_down_and_nobody_multiplies_it() {
    let bad = saying(503, "x-of: the-server\r\n", "{\"error\":\"busy\"}");
    let config = upstream_of(&[&bad.url()], "breaker = false", QUICK);
    let gateway = Setup::new(config).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let answer = client.message();
    assert_eq!((answer.status(), answer.text()), (503, "{\"error\":\"busy\"}"));
    assert_eq!(answer.field("x-of"), Some("the-server"));
    assert_eq!(answer.field("x-should-retry"), Some("false"));
    assert_eq!(bad.asked().len(), 3);
    let denied = [("reason", "attempts_used")];
    gateway.await_metric("ringway_retries_denied_total", &denied, 1);
    // Both connections are still good.
    client.send(get("/v1/models"));
    assert_eq!(client.message().status(), 200);
    assert_eq!(gateway.metric("ringway_upstream_connections_opened_total", &[]), 1);
}

#[test]
fn retry_after_is_waited_for() {
    for field in ["retry-after-ms: 40\r\n", "retry-after: 0\r\n"] {
        let is_first = AtomicBool::new(true);
        let server = Answering::with(move |_| {
            let is_first = is_first.swap(false, Ordering::Relaxed);
            if is_first { answer(429, field, "{}") } else { ok("{}") }
        });
        let gateway = Setup::new(upstream_of(&[&server.url()], "breaker = false", QUICK)).start();
        let began = Instant::now();
        assert_eq!(gateway.ask(chat("m", "")).status(), 200, "{field}");
        assert_eq!(server.asked().len(), 2);
        assert!(field.contains(": 0") || began.elapsed() >= Duration::from_millis(40));
    }
}

#[test]
fn a_retry_after_beyond_the_cap_is_left_to_the_client() {
    let server = saying(429, "retry-after: 3600\r\n", "{\"error\":\"quota\"}");
    let gateway = Setup::new(upstream_of(&[&server.url()], "", "")).start();
    let answer = gateway.ask(chat("m", ""));
    assert_eq!((answer.status(), answer.field("retry-after")), (429, Some("3600")));
    assert_eq!(answer.field("x-should-retry"), None, "the client may well come again, by then");
    assert_eq!(server.asked().len(), 1);
    gateway.await_metric("ringway_retries_denied_total", &[("reason", "no_time")], 1);
}

#[test]
fn an_endpoint_that_asks_for_a_pause_gets_it() {
    let (busy, good) = (saying(429, "retry-after: 3\r\n", "{}"), Answering::saying("{}"));
    let gateway = Setup::new(upstream_of(&[&busy.url(), &good.url()], "", "")).start();
    for _ in 0..6 {
        assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    }
    assert_eq!((busy.asked().len(), good.asked().len()), (1, 6));
    let paused = [("upstream", "u"), ("state", "paused")];
    assert_eq!(gateway.metric("ringway_endpoint_state", &paused), 1);
}

#[test]
fn attempts_are_a_share_of_the_traffic() {
    let server = saying(500, "", "{}");
    let config = upstream_of(&[&server.url()], "breaker = false", QUICK);
    let gateway = Setup::new(config).start();
    let mut client = gateway.client();
    for _ in 0..300 {
        client.send(chat("m", ""));
        assert_eq!(client.message().status(), 500);
    }
    let asked = server.asked().len();
    // A fifth of the traffic, and those that are always allowed.
    assert!((300 + 40..300 + 60 + 110).contains(&asked), "{asked}");
    assert!(gateway.metric("ringway_retries_denied_total", &[("reason", "no_budget")]) > 150);
}

#[test]
fn a_client_that_leaves_ends_the_wait() {
    let server = saying(429, "retry-after: 4\r\n", "{}");
    let gateway = Setup::new(upstream_of(&[&server.url()], "breaker = false", "")).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    await_asked(&server);
    drop(client);
    gateway.await_metric("ringway_requests_open", &[], 0);
    assert_eq!(server.asked().len(), 1);
    gateway.await_fault("client_gone");
}

/// What a model server may have begun to work on is not repeated unasked.
#[test]
fn unless_it_is_asked_for_only_what_was_never_sent_is_repeated() {
    let dead = Upstream::start();
    let gone = dead.url();
    drop(dead);
    let (bad, good) = (saying(500, "", "{}"), Answering::saying("{}"));
    let config = |first: &str| {
        upstream_of(&[first, &good.url()], "breaker = false", "").replace("retry = true", "")
    };
    let gateway = Setup::new(config(&gone)).start();
    for _ in 0..4 {
        assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    }
    let gateway = Setup::new(config(&bad.url())).start();
    let mut client = gateway.client();
    for status in [500, 200, 500, 200] {
        client.send(chat("m", ""));
        assert_eq!(client.message().status(), status);
    }
    assert_eq!(bad.asked().len(), 2);
    let broken = Upstream::start();
    let gateway = Setup::new(config(&broken.url())).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    drop(broken.request());
    assert_eq!(client.message().status(), 502);
}

#[test]
fn without_retries_there_is_one_attempt() {
    let (bad, good) = (saying(500, "", "{}"), Answering::saying("{}"));
    let gateway = Setup::new(upstream_of(&[&bad.url(), &good.url()], "", ONCE)).start();
    assert_eq!(gateway.ask(chat("m", "")).status(), 500);
    assert_eq!(good.asked(), []);
}

#[test]
fn an_attempt_has_a_deadline_of_its_own() {
    let (silent, good) = (Upstream::start(), Answering::saying("{}"));
    let config = upstream_of(&[&silent.url(), &good.url()], "deadlines = { attempt_ms = 50 }", "");
    let gateway = Setup::new(config).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = silent.request();
    assert_eq!(client.message().status(), 200);
    server.until_gone();
    gateway.await_metric("ringway_retries_total", &[("model", "m")], 1);
}

/// What is learnt of streams says nothing about answers that come whole.
#[test]
fn an_adaptive_deadline_is_for_streams() {
    let (first, good) = (Upstream::start(), Answering::saying("{}"));
    let adaptive =
        "deadlines = { adaptive = { factor = 2.0, min_ms = 50, max_ms = 60, samples_min = 1 } }";
    let gateway = Setup::new(upstream_of(&[&first.url(), &good.url()], adaptive, "")).start();
    let mut whole = gateway.client();
    whole.send(chat("m", ""));
    let (mut slow, _) = first.request();
    // Its turn is the other's, then the first's again, whose time passes meanwhile: as much as the whole answer had.
    assert_eq!(gateway.ask(chat("m", ",\"stream\":true")).status(), 200);
    let mut streamed = gateway.client();
    streamed.send(chat("m", ",\"stream\":true"));
    let (mut silent, _) = first.request();
    assert_eq!(streamed.message().status(), 200);
    silent.until_gone();
    slow.send(ok("{\"whole\":1}"));
    assert_eq!(whole.message().text(), "{\"whole\":1}");
}

#[test]
fn an_error_too_large_to_be_held_goes_down_as_it_is() {
    let text = "x".repeat(200 << 10);
    let (bad, good) = (saying(500, "", &text), Answering::saying("{}"));
    let gateway = Setup::new(upstream_of(&[&bad.url(), &good.url()], "", "")).start();
    let answer = gateway.ask(chat("m", ""));
    assert_eq!((answer.status(), answer.text().len()), (500, text.len()));
    assert_eq!(good.asked(), []);
}
