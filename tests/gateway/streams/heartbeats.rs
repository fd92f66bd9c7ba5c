//! A client is told that its stream lives while nothing comes, between events and before the first.

use super::model;
use super::stream;
use crate::support::*;

const PING: &str = ": ping\n\n";

#[test]
fn a_quiet_stream_beats_between_events() {
    let upstream = Upstream::start();
    let gateway = Setup::new(model(&upstream.url(), "heartbeat_ms = 1000")).start();
    let mut client = gateway.client();
    client.send(stream(""));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    // Half an event is no place for a heartbeat, but it goes down only once it is whole.
    server.send(chunk("data: one\n\ndata: tw"));
    client.head();
    client.await_content(format!("data: one\n\n{PING}"));
    server.send(chunk("o\n\n"));
    client.await_content("data: two\n\n");
    server.send("0\r\n\r\n");
    assert_eq!(client.chunk(), None);
    assert!(gateway.metric("ringway_heartbeats_total", &[]) >= 1);
}

/// The endpoint thinks; the client has a head and heartbeats, and the answer when it comes.
#[test]
fn a_silent_endpoint_is_waited_for_with_heartbeats() {
    let upstream = Upstream::start();
    let gateway = Setup::new(model(&upstream.url(), "heartbeat_ms = 1000")).start();
    let mut client = gateway.client();
    client.send(stream(""));
    let (mut server, _) = upstream.request();
    let head = client.head();
    assert_eq!(
        (head.status(), head.field("content-type")),
        (200, Some("text/event-stream; charset=utf-8"))
    );
    client.await_content(PING);
    server.send(EVENTS);
    server.send(chunk("data: [DONE]\n\n"));
    server.send("0\r\n\r\n");
    client.await_content("data: [DONE]\n\n");
    assert_eq!(client.chunk(), None);
    // The connection goes on.
    client.send(stream(""));
    server.message();
    client.head();
}

#[test]
fn anthropic_clients_get_a_ping_event() {
    let upstream = Upstream::start();
    let config =
        model(&upstream.url(), "heartbeat_ms = 1000").replace("\"openai\"", "\"anthropic\"");
    let gateway = Setup::new(config).start();
    let mut client = gateway.client();
    client.send(post("/v1/messages", "{\"model\":\"m\",\"stream\":true,\"messages\":[]}"));
    let (_server, _) = upstream.request();
    client.head();
    client.await_content("event: ping\ndata: {\"type\": \"ping\"}\n\n");
}

/// Before the head went down an error keeps its status; after it, it is an event.
#[test]
fn an_error_keeps_its_status_until_the_head_is_out() {
    const ERROR: &str = "HTTP/1.1 429 X\r\ncontent-type: application/json\r\ncontent-length: 23\r\n\r\n{\n\"error\":{\"code\":\"x\"}}";
    let upstream = Upstream::start();
    let gateway = Setup::new(model(&upstream.url(), "commit_after_ms = 5000")).start();
    let mut client = gateway.client();
    client.send(stream(""));
    let (mut server, _) = upstream.request();
    server.send(ERROR);
    assert_eq!(client.message().status(), 429);

    let gateway = Setup::new(model(&upstream.url(), "")).start();
    let mut client = gateway.client();
    client.send(stream(""));
    let (mut server, _) = upstream.request();
    assert_eq!(client.head().status(), 200);
    server.send(ERROR);
    client.await_content("data: { \"error\":{\"code\":\"x\"}}\n\n");
    assert_eq!(client.chunk(), None);
    gateway.await_fault("upstream_status");
}

/// The head is out, and yet the request goes elsewhere without the client's knowing: nothing of an answer went down.
#[test]
fn failover_goes_on_silently_until_the_first_content() {
    for answer in ["", "HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n", "events", "HTTP/1.1 20"] {
        let (bad, good) = (Upstream::start(), Upstream::start());
        let config = model(&bad.url(), "retry = true").replace(
            "endpoints = [",
            &format!(
                "when_all_down = \"least_bad\"\nbreaker = false\nendpoints = [{{ url = \"{}\" }}, ",
                good.url()
            ),
        );
        let gateway = Setup::new(config).start();
        // Whoever is asked first is the bad one.
        let mut client = gateway.client();
        client.send(stream(""));
        let mut asked = None;
        await_true("one of both is asked", || {
            asked = bad.try_request().map(|(server, _)| (server, true));
            if asked.is_none() {
                asked = good.try_request().map(|(server, _)| (server, false));
            }
            asked.as_ref().map(|_| ()).ok_or_else(|| "nobody".to_owned())
        });
        let (mut first, is_bad) = asked.expect("somebody");
        assert_eq!(client.head().status(), 200, "{answer:?}");
        match answer {
            "events" => first.send(EVENTS),
            answer => first.send(answer),
        }
        drop(first);
        let other = if is_bad { &good } else { &bad };
        let (mut second, _) = other.request();
        second.send(EVENTS);
        second.send(chunk("data: late\n\n"));
        client.await_content("data: late\n\n");
        second.send("0\r\n\r\n");
        assert_eq!(client.chunk(), None, "{answer:?}");
        gateway.await_metric("ringway_retries_total", &[("model", "m")], 1);
    }
}

/// What the client has done wrong is not held against the endpoint, however late it is told.
#[test]
fn an_error_that_comes_as_an_event_counts_as_what_it_is() {
    let upstream = Upstream::start();
    let gateway = Setup::new(model(&upstream.url(), "")).start();
    let mut client = gateway.client();
    for _ in 0..7 {
        client.send(stream(""));
        let (mut server, _) = upstream.request();
        client.head();
        server.send("HTTP/1.1 400 X\r\ncontent-length: 2\r\n\r\n{}");
        client.await_content("data: {}\n\n");
        assert_eq!(client.chunk(), None);
    }
    let usable = [("upstream", "u"), ("state", "usable")];
    assert_eq!(gateway.metric("ringway_endpoint_state", &usable), 1);
    assert_eq!(gateway.metric("ringway_endpoint_attempts_total", &[("result", "bad")]), 0);
}

/// Nobody knows what a model server says that is asked for anything at all.
#[test]
fn a_stream_of_anything_is_waited_for() {
    let upstream = Upstream::start();
    let gateway = Setup::new(model(&upstream.url(), "")).start();
    let mut client = gateway.client();
    client.send(post("/v1/models/m/invoke", "{\"stream\":true}"));
    let (mut server, _) = upstream.request();
    // Longer than commit_after_ms.
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(client.is_silent());
    server.send(ok("{}"));
    assert_eq!(client.message().text(), "{}");
}

#[test]
fn what_is_no_stream_cannot_go_on_with_one() {
    let upstream = Upstream::start();
    let gateway = Setup::new(model(&upstream.url(), "")).start();
    let mut client = gateway.client();
    client.send(stream(""));
    let (mut server, _) = upstream.request();
    client.head();
    server.send(ok("{\"choices\":[]}"));
    let event = String::from_utf8(client.chunk().expect("an error event")).expect("UTF-8");
    assert!(
        event.starts_with("data: {\"error\"") && event.contains("did not answer with a stream"),
        "{event}"
    );
    assert_eq!(client.chunk(), None);
}

#[test]
fn who_loses_the_connection_is_told_when_to_come_back() {
    let upstream = Upstream::start();
    let gateway = Setup::new(model(&upstream.url(), "reconnect_ms = 1500")).start();
    let mut client = gateway.client();
    client.send(stream(""));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    server.send(chunk("data: one\n\n"));
    client.head();
    client.await_content("retry: 1500\ndata: one\n\n");
    server.send(chunk("data: two\n\n"));
    client.await_content("data: two\n\n");
}

/// Whoever stands in line for a place at an endpoint has a head and heartbeats meanwhile.
#[test]
fn a_stream_that_waits_for_a_place_is_kept_alive() {
    let upstream = Upstream::start();
    let config = model(&upstream.url(), "heartbeat_ms = 1000");
    let config = config.replacen(
        "[[model]]",
        "max_in_flight = 1\nqueue = { waiting_max = 10, wait_ms = 60000 }\n[[model]]",
        1,
    );
    let gateway = Setup::new(config).start();
    let mut first = gateway.client();
    first.send(stream(""));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    server.send(chunk("data: one\n\n"));
    first.head();
    first.await_content("data: one\n\n");
    let mut second = gateway.client();
    second.send(stream(""));
    assert_eq!(second.head().status(), 200);
    second.await_content(PING);
    server.send(chunk("data: [DONE]\n\n"));
    server.send("0\r\n\r\n");
    assert_eq!(rest_of(&mut first), "data: [DONE]\n\n");
    server.message();
    server.send(EVENTS);
    server.send(chunk("data: [DONE]\n\n"));
    server.send("0\r\n\r\n");
    assert_eq!(rest_of(&mut second), "data: [DONE]\n\n");
}

/// An interim head has no place in a response that has begun, not even while another attempt is waited for.
#[test]
fn a_half_closed_client_gets_no_interim_head_in_its_stream() {
    let upstream = Upstream::start();
    let lines = "heartbeat_ms = 1000\nretry = { attempts = 2, on = [\"500\"], backoff = { fixed_ms = 1500 } }";
    let gateway = Setup::new(model(&upstream.url(), lines)).start();
    let mut client = gateway.client();
    client.send(stream(""));
    let (mut server, _) = upstream.request();
    assert_eq!(client.head().status(), 200);
    server.send("HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
    gateway.await_metric("ringway_retries_total", &[], 1);
    client.half_close();
    server.message();
    server.send(EVENTS);
    server.send(chunk("data: [DONE]\n\n"));
    server.send("0\r\n\r\n");
    assert_eq!(rest_of(&mut client), "data: [DONE]\n\n");
}

/// What still comes, without heartbeats.
fn rest_of(client: &mut Connection) -> String {
    let mut content = String::new();
    while let Some(chunk) = client.chunk() {
        content.push_str(&String::from_utf8_lossy(&chunk));
    }
    content.replace(PING, "")
}
