//! Endpoints come and go: what is in flight goes on, and who stays does not notice.

use super::*;

/// A model server that answers with this status, whatever it is asked.
fn failing() -> Answering {
    let text = b"HTTP/1.1 500 X\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    Answering::with(|_| text.to_vec())
}

/// An endpoint's sample.
fn of(gateway: &Gateway, name: &str, endpoint: &str, more: &[(&str, &str)]) -> u64 {
    gateway.metric(name, &[&[("endpoint", endpoint)], more].concat())
}

#[test]
fn a_stream_on_an_endpoint_that_is_removed_goes_on_to_its_end() {
    let (first, second) = (Upstream::start(), Answering::saying("2"));
    let found = Found::with(&[first.url()]);
    let gateway = Setup::new(found.config("")).shards(2).start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = first.request();
    server.send(EVENTS);
    server.send(chunk("data: one\n\n"));
    client.head();
    client.await_content("data: one\n\n");

    found.name(&[second.url()]);
    gateway.await_metric("ringway_publish_seconds_count", &[], 1);
    for _ in 0..3 {
        assert_eq!(gateway.ask(chat("m", "")).text(), "2", "nobody is sent to the old one");
    }
    assert!(first.is_untouched());
    server.send(chunk("data: two\n\n"));
    client.await_content("data: two\n\n");
    server.send(chunk("data: [DONE]\n\n"));
    client.await_content("data: [DONE]\n\n");
    server.send("0\r\n\r\n");
    assert_eq!(client.chunk(), None);
    // Its connection belongs to nobody any more; the client's goes on.
    server.until_gone();
    client.send(chat("m", ""));
    assert_eq!(client.message().text(), "2");
    gateway.await_metric("ringway_requests_total", &[("model", "m"), ("status", "200")], 5);
    assert_eq!(gateway.metric("ringway_faults_total", &[]), 0);
    await_true("the old world is let go", || {
        let held = gateway.metric("ringway_snapshots_held", &[]);
        if held == 1 { Ok(()) } else { Err(format!("{held} are held")) }
    });
}

/// What is known of endpoints that stay stays known: counts, open breakers, connections.
#[test]
fn who_stays_does_not_notice() {
    let (kept, bad, third) = (Upstream::start(), failing(), Answering::saying("3"));
    let found = Found::with(&[kept.url(), bad.url()]);
    let breaker = "breaker = { consecutive = 1, open_ms = 60000, open_max_ms = 60000 }";
    let gateway = Setup::new(found.config(breaker) + "retry = true\n").start();
    let mut client = gateway.client();
    // The first is asked, and the other until its breaker is open.
    client.send(chat("m", ""));
    let (mut server, _) = kept.request();
    server.send(ok("1"));
    assert_eq!(client.message().text(), "1");
    while bad.asked().is_empty() {
        client.send(chat("m", ""));
        server.message();
        server.send(ok("1"));
        assert_eq!(client.message().text(), "1");
    }
    let open = || of(&gateway, "ringway_endpoint_state", &bad.url(), &[("state", "open")]);
    assert_eq!(open(), 1, "{}", gateway.page("/metrics").text());
    let attempts = || of(&gateway, "ringway_endpoint_attempts_total", &kept.url(), &[]);
    let before = attempts();

    found.name(&[bad.url(), third.url(), kept.url()]);
    gateway.await_metric("ringway_publish_seconds_count", &[], 1);
    assert_eq!((open(), attempts()), (1, before));
    found.name(&[bad.url(), kept.url()]);
    gateway.await_metric("ringway_publish_seconds_count", &[], 2);
    assert_eq!((open(), attempts()), (1, before));
    client.send(chat("m", ""));
    server.message();
    server.send(ok("still here"));
    assert_eq!(client.message().text(), "still here");
    assert!(kept.is_untouched(), "the connection is the one from before");
    assert_eq!((bad.asked().len(), attempts()), (1, before + 1));
}

#[test]
fn an_upstream_without_endpoints_says_so() {
    let server = Answering::saying("1");
    let found = Found::with(&[]);
    let gateway = Setup::new(found.config("")).start();
    let answer = gateway.ask(chat("m", ""));
    assert_eq!(answer.status(), 503);
    assert!(answer.text().contains("No model server is available for this model"), "{answer:?}");
    assert!(answer.field("retry-after").is_some(), "{answer:?}");
    gateway.await_fault("no_endpoint");
    let explained = gateway.page("/admin/explain?model=m");
    assert!(
        explained.text().contains("it has no endpoint now: it would fail with 503"),
        "{}",
        explained.text()
    );
    // And once there is one, it is asked.
    found.name(&[server.url()]);
    await_served(&gateway, 1);
    assert_eq!(gateway.ask(chat("m", "")).text(), "1");
}

/// A source that says suddenly that nobody is there is not believed at once.
#[test]
fn as_many_as_there_must_be_are_kept() {
    let (first, second) = (Answering::saying("1"), Answering::saying("2"));
    let found = Found::with(&[first.url(), second.url()]);
    let gateway = Setup::new(found.config("minimum_healthy = 2")).start();
    found.name(&[second.url()]);
    gateway.await_metric("ringway_source_stale_endpoints", &[("upstream", "u")], 1);
    await_served(&gateway, 2);
    found.name(&[]);
    gateway.await_metric("ringway_source_stale_endpoints", &[("upstream", "u")], 2);
    await_served(&gateway, 2);
    assert_eq!(gateway.metric("ringway_source_up", &[("upstream", "u")]), 1);
    for _ in 0..4 {
        assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    }
    gateway.await_log("what was there is kept");
    // Others in their place: those are believed.
    found.name(&[first.url(), "http://127.0.0.1:1".to_owned()]);
    gateway.await_metric("ringway_source_stale_endpoints", &[("upstream", "u")], 0);
    await_served(&gateway, 2);
    assert_eq!(of(&gateway, "ringway_endpoint_state", &second.url(), &[]), 0);
}

#[test]
fn a_file_that_cannot_be_read_takes_nobody_away() {
    let server = Answering::saying("1");
    let found = Found::with(&[server.url()]);
    let gateway = Setup::new(found.config("")).start();
    let up = || gateway.metric("ringway_source_up", &[("upstream", "u")]);
    assert_eq!(up(), 1);
    for (turn, garbage) in (1..).zip(["[{\"url\": \"http://127.0.0.1:", "[{\"ulr\": 1}]"]) {
        found.write(garbage);
        gateway.await_metric("ringway_source_failures_total", &[("upstream", "u")], turn);
        assert_eq!(up(), 0);
        assert_eq!(gateway.ask(chat("m", "")).text(), "1");
    }
    gateway.await_log("a source cannot be asked");
    await_found(&gateway, 1);
    gateway.await_metric("ringway_source_stale_endpoints", &[("upstream", "u")], 1);
    found.name(&[server.url(), "http://127.0.0.1:1".to_owned()]);
    await_served(&gateway, 2);
    gateway.await_metric("ringway_source_stale_endpoints", &[("upstream", "u")], 0);
    assert_eq!(up(), 1);
    gateway.await_log("a source can be asked again");
}

/// What a file names is asked with the rest of what the upstream says; the file itself can say more.
#[test]
fn an_endpoint_that_drains_is_not_asked_and_comes_back() {
    let (first, second) = (Answering::saying("1"), Answering::saying("2"));
    let found = Found::with(&[first.url(), second.url()]);
    let gateway = Setup::new(found.config("")).start();
    let drain = |drains: bool| {
        let (one, other) = (first.url(), second.url());
        found.write(&format!("{{\"endpoints\": [{{\"url\": \"{one}\", \"drain\": {drains}}}, {{\"url\": \"{other}\"}}]}}"));
    };
    drain(true);
    gateway.await_metric("ringway_publish_seconds_count", &[], 1);
    let before = first.asked().len();
    for _ in 0..6 {
        assert_eq!(gateway.ask(chat("m", "")).text(), "2");
    }
    assert_eq!(first.asked().len(), before);
    drain(false);
    gateway.await_metric("ringway_publish_seconds_count", &[], 2);
    let texts: Vec<String> = (0..6).map(|_| gateway.ask(chat("m", "")).text().to_owned()).collect();
    assert!(texts.iter().any(|text| text == "1"), "{texts:?}");
}
