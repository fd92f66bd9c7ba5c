//! Streams of events: at once, and as they came.

use crate::support::*;

/// A client with a stream open, and the model server's end of it.
fn stream(upstream: &Upstream, gateway: &Gateway) -> (Connection, Connection) {
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    let head = client.head();
    assert_eq!(head.status(), 200);
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    assert_eq!(head.field("transfer-encoding"), Some("chunked"));
    (client, server)
}

#[test]
fn each_event_is_there_before_the_next_is_sent() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let (mut client, mut server) = stream(&upstream, &gateway);
    for number in 0..20 {
        let event = format!("data: {{\"number\":{number}}}\n\n");
        server.send(chunk(&event));
        client.await_content(&event);
    }
    server.send(chunk("data: [DONE]\n\n"));
    server.send("0\r\n\r\n");
    client.await_content("data: [DONE]\n\n");
    assert_eq!(client.chunk(), None);
    gateway.await_metric("ringway_requests_total", &[("model", "m"), ("status", "200")], 1);
    assert!(gateway.metric("ringway_stream_events_total", &[("model", "m")]) >= 20);
    assert_eq!(gateway.metric("ringway_streams_open", &[]), 0);
    assert_eq!(gateway.metric("ringway_faults_total", &[]), 0);
}

#[test]
fn the_head_says_what_streams_need() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, asked) = upstream.request();
    assert_eq!(asked.field("accept-encoding"), None);
    server.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
         cache-control: max-age=60\r\nContent-Length: 11\r\n\r\ndata: one\n\n",
    );
    let head = client.head();
    assert_eq!(head.field("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(head.field("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(head.field("x-accel-buffering"), Some("no"));
    assert_eq!(head.field("x-request-id").map(str::len), Some(32));
    assert_eq!(client.body(&head), b"data: one\n\n");
}

#[test]
fn many_events_in_one_write_stay_as_they_are() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let (mut client, mut server) = stream(&upstream, &gateway);
    let events: String = (0..500).map(|n| format!("data: {{\"n\":{n}}}\n\n")).collect();
    let mut bytes = chunk(&events);
    bytes.extend_from_slice(b"0\r\n\r\n");
    server.send(bytes);
    client.await_content(&events);
    assert_eq!(client.chunk(), None);
    gateway.await_metric("ringway_stream_events_total", &[("model", "m")], 500);
}

/// Cut at every byte, which is also inside chunk heads, line ends and UTF-8 characters.
#[test]
fn events_cut_anywhere_arrive_whole() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let (mut client, mut server) = stream(&upstream, &gateway);
    let events = [
        "data: {\"text\":\"gr\u{fc}\u{df} dich \u{1f600}\u{4e16}\"}\n\n",
        ": a comment\n\n",
        "event: ping\r\ndata: crlf\r\n\r\n",
        "data: cr\r\rdata: two\rdata: lines\r\r",
        "id: 7\nretry: 100\ndata\n\n",
    ];
    for event in events {
        // One chunk cut on the wire, then the same bytes as one chunk each.
        for byte in chunk(event) {
            server.send([byte]);
        }
        client.await_content(event);
        for byte in event.bytes() {
            server.send(chunk([byte]));
        }
        client.await_content(event);
    }
    server.send("0\r\n\r\n");
    assert_eq!(client.chunk(), None);
}

#[test]
fn an_event_goes_down_whole() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let (mut client, mut server) = stream(&upstream, &gateway);
    server.send(chunk("data: one\n\nda"));
    client.await_content("data: one\n\n");
    server.send(chunk("ta: two\n"));
    server.send(chunk("\n"));
    client.await_content("data: two\n\n");
}

#[test]
fn an_event_without_its_blank_line_is_not_lost_at_the_end() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let (mut client, mut server) = stream(&upstream, &gateway);
    server.send(chunk("data: one\n\ndata: unfinished"));
    server.send("0\r\n\r\n");
    client.await_content("data: one\n\ndata: unfinished");
    assert_eq!(client.chunk(), None);
}

#[test]
fn an_event_larger_than_every_buffer_passes() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let (mut client, mut server) = stream(&upstream, &gateway);
    let event = format!("data: {}\n\n", "0123456789abcdef".repeat(20_000));
    assert!(event.len() > 3 * (64 << 10));
    let sent = event.clone();
    let sending = std::thread::spawn(move || {
        server.send(chunk(&sent));
        server.send(chunk("data: next\n\n"));
        server.send("0\r\n\r\n");
        server
    });
    client.await_content(format!("{event}data: next\n\n"));
    assert_eq!(client.chunk(), None);
    sending.join().expect("sent");
    gateway.await_metric("ringway_stream_events_total", &[("model", "m")], 2);
}

#[test]
fn a_stream_that_ends_with_its_connection_ends_in_order() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send("HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: one\n\n");
    client.head();
    client.await_content("data: one\n\n");
    server.send("data: two\n\n");
    client.await_content("data: two\n\n");
    drop(server);
    assert_eq!(client.chunk(), None);
    assert_eq!(gateway.metric("ringway_faults_total", &[]), 0);
}
