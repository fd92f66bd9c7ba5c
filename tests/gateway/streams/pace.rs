//! How fast a stream goes: slow readers, tenants that are held back, clients that leave.

use super::model;
use super::stream;
use crate::support::*;

#[test]
fn a_slow_reader_is_dropped_where_that_is_the_policy() {
    let upstream = Upstream::start();
    let lines = "slow_reader = { policy = \"drop_stream\", after_ms = 300 }";
    let gateway = Setup::new(model(&upstream.url(), lines)).start();
    let mut client = gateway.client();
    client.narrow();
    client.send(stream(""));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    let event = chunk(format!("data: {}\n\n", "x".repeat(60_000)));
    while server.is_silent() {
        server.send_what_is_taken(&event);
    }
    gateway.await_fault("client_slow");
    drop(client);
}

/// With a buffer the endpoint is done long before its slow client is.
#[test]
fn a_buffer_takes_what_a_slow_reader_does_not() {
    let upstream = Upstream::start();
    let lines = "slow_reader = { policy = \"buffer\", bytes = 16000000 }";
    let gateway = Setup::new(model(&upstream.url(), lines)).start();
    let mut client = gateway.client();
    client.narrow();
    client.send(stream(""));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    let event = format!("data: {}\n\n", "x".repeat(50_000));
    // More than the sockets hold, and all of it is taken although nobody reads.
    for _ in 0..60 {
        server.send(chunk(&event));
    }
    server.send("0\r\n\r\n");
    client.head();
    let mut got = 0;
    while let Some(chunk) = client.chunk() {
        got += chunk.len();
    }
    assert_eq!(got, 60 * event.len());
}

const HELD_BACK: &str = "\n[[tenant]]\nname = \"slow\"\nthrottle = { events_per_second = 20 }\n\
    keys = [{ id = \"s\", sha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\" }]\n";

/// A burst comes down one by one, unaltered.
#[test]
fn a_tenant_that_is_held_back_gets_its_events_evenly() {
    for (throttle, pieces_min) in [("events_per_second = 20", 10), ("bytes_per_second = 400", 4)] {
        let upstream = Upstream::start();
        let tenant = HELD_BACK.replace("events_per_second = 20", throttle);
        let config = format!("{}{tenant}", model(&upstream.url(), ""));
        let gateway = Setup::new(config).start();
        let mut client = gateway.client();
        client.send(stream("authorization: Bearer test\r\n"));
        let (mut server, _) = upstream.request();
        let events: Vec<String> = (0..12).map(|number| format!("data: {number:04}\n\n")).collect();
        server.send(format!(
            "{}{}0\r\n\r\n",
            String::from_utf8_lossy(EVENTS.as_ref()),
            String::from_utf8(chunk(events.concat())).expect("UTF-8")
        ));
        client.head();
        let (mut pieces, mut all) = (0, Vec::new());
        while let Some(piece) = client.chunk() {
            pieces += 1;
            all.extend_from_slice(&piece);
        }
        assert_eq!(String::from_utf8(all).expect("UTF-8"), events.concat());
        assert!(pieces >= pieces_min, "{throttle}: {pieces} pieces");
    }
}

/// Somebody wants the answer although nobody reads it.
#[test]
fn an_answer_may_outlive_its_client() {
    for request in [stream(""), chat("m", "")] {
        let upstream = Upstream::start();
        let gateway = Setup::new(model(&upstream.url(), "continue_on_disconnect = true")).start();
        let mut client = gateway.client();
        client.send(&request);
        let (mut server, _) = upstream.request();
        client.reset();
        let is_stream = request.contains("stream");
        if is_stream {
            server.send(EVENTS);
            server.send(chunk("data: one\n\n"));
            gateway.await_metric("ringway_streams_away", &[], 1);
            server.send(chunk("data: two\n\n"));
            server.send("0\r\n\r\n");
        } else {
            server.send(ok("{}"));
        }
        let labels = [("model", "m"), ("status", "200")];
        gateway.await_metric("ringway_requests_total", &labels, 1);
        gateway.await_metric("ringway_streams_away", &[], 0);
        gateway.await_metric("ringway_connections_open", &[], 0);
    }
}
