//! A hedged start: when the first endpoint does not begin to answer, a second is asked as well.

use super::*;

const HEDGE: &str = "hedge = { after_ms = 30, budget_percent = 100 }";
const OPENS_AT_ONCE: &str = "breaker = { consecutive = 1, open_ms = 60000, open_max_ms = 60000 }";

#[test]
fn the_first_to_answer_wins_and_the_other_is_cancelled() {
    let (silent, good) = (Upstream::start(), Answering::saying("{\"from\":2}"));
    let gateway = Setup::new(upstream_of(&[&silent.url(), &good.url()], "", HEDGE)).start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"x\":1"));
    let (mut server, request) = silent.request();
    let answer = client.message();
    assert_eq!((answer.status(), answer.text()), (200, "{\"from\":2}"));
    server.until_gone();
    assert_eq!(good.asked()[0].body, request.body, "the same request");
    gateway.await_metric("ringway_hedges_total", &[("result", "won")], 1);
    // Nothing is held against the one that was slower.
    assert_eq!(gateway.metric("ringway_endpoint_state", &[("state", "usable")]), 2);
    client.send(get("/v1/models"));
    assert_eq!(client.message().status(), 200);
}

#[test]
fn or_the_first_one_does() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let gateway = Setup::new(upstream_of(&[&first.url(), &second.url()], "", HEDGE)).start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut one, _) = first.request();
    let (mut two, _) = second.request();
    one.send(EVENTS);
    one.send(chunk("data: 1\n\n"));
    one.send(chunk("data: [DONE]\n\n"));
    one.send("0\r\n\r\n");
    assert_eq!(client.message().text(), "data: 1\n\ndata: [DONE]\n\n");
    two.until_gone();
    gateway.await_metric("ringway_hedges_total", &[("result", "lost")], 1);
    gateway.await_metric("ringway_requests_open", &[], 0);
}

#[test]
fn never_with_tools_unless_allowed() {
    let tools = ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"pay\"}}]";
    let (silent, other) = (Upstream::start(), Answering::saying("{}"));
    let config = |lines: &str| upstream_of(&[&silent.url(), &other.url()], "", lines);
    let gateway = Setup::new(config(HEDGE)).start();
    let mut client = gateway.client();
    client.send(chat("m", tools));
    let (mut server, _) = silent.request();
    // One that may be hedged is, and is answered: by then the time is over for the first as well.
    let allowed = HEDGE.replace("100 }", "100, with_tools = true }");
    let allowing = Setup::new(config(&allowed)).start();
    assert_eq!(allowing.ask(chat("m", tools)).status(), 200);
    drop(silent.connection());
    assert_eq!(other.asked().len(), 1);
    server.send(ok("{}"));
    assert_eq!(client.message().status(), 200);
    assert_eq!(gateway.metric("ringway_hedges_total", &[]), 0);
}

#[test]
fn hedges_are_a_share_of_the_traffic() {
    let (slow, good) = (Upstream::start(), Answering::saying("{}"));
    let lines = HEDGE.replace("budget_percent = 100", "budget_percent = 1");
    let endpoints = [&*slow.url(), &*good.url()];
    let gateway = Setup::new(upstream_of(&endpoints, "", &lines)).start();
    // Every second request begins at the slow endpoint; what is left of the budget is spent on the first of them.
    for _ in 0..40 {
        let mut client = gateway.client();
        client.send(chat("m", ""));
        let denied = gateway.metric("ringway_hedges_total", &[("result", "denied")]);
        await_true("it is answered, or not hedged", || {
            if !client.is_silent() {
                return Ok(());
            }
            let now = gateway.metric("ringway_hedges_total", &[("result", "denied")]);
            if now > denied { Ok(()) } else { Err("neither".to_owned()) }
        });
        if client.is_silent() {
            return;
        }
        assert_eq!(client.message().status(), 200);
    }
    panic!("every one of them was hedged");
}

#[test]
fn a_client_that_leaves_cancels_both() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let gateway = Setup::new(upstream_of(&[&first.url(), &second.url()], "", HEDGE)).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut one, _) = first.request();
    let (mut two, _) = second.request();
    drop(client);
    one.until_gone();
    two.until_gone();
    gateway.await_fault("client_gone");
}

/// A second endpoint that takes the request and then leaves is no help, and no harm either.
#[test]
fn a_second_one_that_ends_without_a_word_changes_nothing() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let lines = format!("{HEDGE}\n{ONCE}");
    let config = upstream_of(&[&first.url(), &second.url()], OPENS_AT_ONCE, &lines);
    let log = "[access_log]\npath = \"stdout\"\n\n";
    let gateway = Setup::new(format!("{log}{config}")).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut one, _) = first.request();
    drop(second.request());
    gateway.await_metric("ringway_hedges_total", &[("result", "lost")], 1);
    // That is held against it: a request that was tried there alone would have failed.
    gateway.await_metric("ringway_endpoint_state", &[("state", "open")], 1);
    one.send(ok("{\"from\":1}"));
    assert_eq!(client.message().text(), "{\"from\":1}");
    gateway.await_log(&format!("\"endpoint\":\"{}\"", first.url()));
}

#[test]
fn nor_does_a_first_one_once_a_second_is_asked() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let lines = format!("{HEDGE}\n{ONCE}");
    let config = upstream_of(&[&first.url(), &second.url()], OPENS_AT_ONCE, &lines);
    let gateway = Setup::new(config).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (one, _) = first.request();
    let (mut two, _) = second.request();
    drop(one);
    gateway.await_metric("ringway_hedges_total", &[("result", "won")], 1);
    gateway.await_metric("ringway_endpoint_state", &[("state", "open")], 1);
    two.send(ok("{\"from\":2}"));
    assert_eq!(client.message().text(), "{\"from\":2}");
}

/// An error that comes quickly is no answer, as long as the other one may have one.
#[test]
fn an_error_does_not_win() {
    const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    for is_second in [true, false] {
        let (first, second) = (Upstream::start(), Upstream::start());
        let lines = format!("{HEDGE}\nretry = false");
        let config = upstream_of(&[&first.url(), &second.url()], OPENS_AT_ONCE, &lines);
        let gateway = Setup::new(config).start();
        let mut client = gateway.client();
        client.send(chat("m", ""));
        let ((mut one, _), (mut two, _)) = (first.request(), second.request());
        let (busy, good) = if is_second { (&mut two, &mut one) } else { (&mut one, &mut two) };
        busy.send(BUSY);
        // It is held against it.
        gateway.await_metric("ringway_endpoint_state", &[("state", "open")], 1);
        busy.until_gone();
        assert!(client.is_silent());
        good.send(ok("{}"));
        assert_eq!(client.message().status(), 200);
        let result = if is_second { "lost" } else { "won" };
        gateway.await_metric("ringway_hedges_total", &[("result", result)], 1);
    }
}

/// Of two errors one is told.
#[test]
fn two_errors_are_an_error() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let lines = format!("{HEDGE}\nretry = false");
    let gateway = Setup::new(upstream_of(&[&first.url(), &second.url()], "", &lines)).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let ((mut one, _), (mut two, _)) = (first.request(), second.request());
    for server in [&mut one, &mut two] {
        server.send_what_is_taken("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
    }
    assert_eq!(client.message().status(), 503);
}

#[test]
fn a_second_one_that_cannot_be_reached_is_left_alone_from_then_on() {
    let first = Upstream::start();
    let config = upstream_of(&[&first.url(), "http://127.0.0.1:1"], OPENS_AT_ONCE, HEDGE);
    let gateway = Setup::new(config).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = first.request();
    gateway.await_metric("ringway_endpoint_state", &[("state", "open")], 1);
    server.send(ok("{}"));
    assert_eq!(client.message().status(), 200);
}

#[test]
fn a_hedge_is_denied_where_nobody_else_is_there() {
    let only = Upstream::start();
    let gateway = Setup::new(upstream_of(&[&only.url()], "", HEDGE)).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = only.request();
    gateway.await_metric("ringway_hedges_total", &[("result", "denied")], 1);
    server.send(ok("{}"));
    assert_eq!(client.message().status(), 200);
}

/// An endpoint that is usually quick may not take long; the one that was asked first may, although both are asked now.
#[test]
fn a_second_one_does_not_shorten_the_time_of_the_first() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let adaptive =
        "deadlines = { adaptive = { factor = 2.0, min_ms = 50, max_ms = 20000, samples_min = 1 } }";
    let lines = format!("{HEDGE}\n{ONCE}");
    let config = upstream_of(&[&first.url(), &second.url()], adaptive, &lines);
    let gateway = Setup::new(config).start();
    let stream = chat("m", ",\"stream\":true");
    let said = [EVENTS.as_bytes(), &chunk("data: [DONE]\n\n"), b"0\r\n\r\n"].concat();
    // The second one is quick, and that is known of it.
    let mut client = gateway.client();
    client.send(&stream);
    let (mut one, _) = first.request();
    let (mut two, _) = second.request();
    two.send(&said);
    assert_eq!(client.message().status(), 200);
    one.until_gone();
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    client.send(&stream);
    two.message();
    two.send(&said);
    assert_eq!(client.message().status(), 200);
    // Now it is not, and nor is the first.
    client.send(&stream);
    let (mut one, _) = first.request();
    two.message();
    std::thread::sleep(std::time::Duration::from_millis(400));
    one.send(&said);
    assert_eq!(client.message().status(), 200);
}
