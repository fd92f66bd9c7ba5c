//! A shard at a cap turns the next request away on its head; what is in flight goes on.

use crate::support::*;

fn assert_overloaded(message: &Message) {
    assert_eq!(message.status(), 503);
    assert_eq!(message.field("retry-after"), Some("1"));
    assert_eq!(message.json()["error"]["code"], "overloaded");
    assert_eq!(message.json()["error"]["type"], "server_error");
}

#[test]
fn requests_in_flight_are_capped_and_streams_go_on() {
    let upstream = Upstream::start();
    let setup = Setup::one(&upstream.url(), "").variable("RINGWAY_REQUESTS_MAX", "2");
    let gateway = setup.start();
    let mut streaming = gateway.client();
    streaming.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    server.send(chunk("data: one\n\n"));
    streaming.head();
    streaming.await_content("data: one\n\n");
    let mut waiting = gateway.client();
    waiting.send(chat("m", ""));
    let (mut slow, _) = upstream.request();

    // Its body is there: the connection goes on, and what is asked on it next.
    let mut third = gateway.client();
    for round in 1..=3 {
        third.send(chat("m", ""));
        let refused = third.message();
        assert_overloaded(&refused);
        assert_eq!(refused.field("connection"), None);
        gateway.await_metric("ringway_overload_total", &[("reason", "requests")], round);
        server.send(chunk("data: more\n\n"));
        streaming.await_content("data: more\n\n");
    }
    // In the words of who asks.
    third.send(post("/v1/messages", "{\"model\":\"m\",\"messages\":[]}"));
    let refused = third.message();
    assert_eq!((refused.status(), refused.field("retry-after")), (529, Some("1")));
    assert_eq!(refused.json()["error"]["type"], "overloaded_error");

    // One that ends makes room.
    slow.send(ok("{}"));
    assert_eq!(waiting.message().status(), 200);
    gateway.await_metric("ringway_requests_open", &[], 1);
    third.send(chat("m", ""));
    // (The connection to the endpoint is kept.)
    slow.message();
    slow.send(ok("{}"));
    assert_eq!(third.message().status(), 200);

    server.send(chunk("data: [DONE]\n\n"));
    server.send("0\r\n\r\n");
    streaming.await_content("data: [DONE]\n\n");
    assert_eq!(streaming.chunk(), None);
    assert_eq!(gateway.metric("ringway_overload_total", &[]), 4);
    assert_eq!(gateway.metric("ringway_requests_total", &[("status", "503")]), 3);
    gateway.await_metric("ringway_requests_open", &[], 0);
}

#[test]
fn a_body_that_has_no_room_is_not_waited_for() {
    let upstream = Upstream::start();
    let setup = Setup::one(&upstream.url(), "").variable("RINGWAY_REQUESTS_MAX", "1");
    let gateway = setup.start();
    let mut first = gateway.client();
    first.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    for framing in [
        "content-length: 100",
        "content-length: 100\r\nexpect: 100-continue",
        "transfer-encoding: chunked",
    ] {
        let mut client = gateway.client();
        client.send(format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n"));
        let refused = client.message();
        assert_overloaded(&refused);
        assert_eq!(refused.field("connection"), Some("close"));
        client.must_close();
    }
    // What is nowhere is nowhere.
    assert_eq!(gateway.ask(get("/nowhere")).status(), 404);
    server.send(ok("{}"));
    assert_eq!(first.message().status(), 200);
    assert!(upstream.is_untouched());
}

#[test]
fn held_memory_is_capped() {
    let upstream = Answering::saying("{}");
    let setup =
        Setup::one(&upstream.url(), "").variable("RINGWAY_HELD_BYTES_MAX", (256 << 10).to_string());
    let gateway = setup.start();
    let body = format!("{{\"model\":\"m\",\"user\":\"{}\"}}", "x".repeat(200_000));
    let request = post("/v1/chat/completions", &body);
    let (begun, rest) = request.split_at(140_000);
    let mut large = gateway.client();
    large.send(begun);
    // Memory is taken in powers of two: now all there is, held by a body that is still to be whole.
    gateway.await_metric("ringway_held_bytes", &[], 256 << 10);
    assert_overloaded(&gateway.ask(chat("m", "")));
    assert_eq!(gateway.metric("ringway_overload_total", &[("reason", "held_bytes")]), 1);
    gateway.await_metric("ringway_connections_open", &[], 1);
    large.send(rest);
    assert_eq!(large.message().status(), 200);
    assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    // What says that it is larger than there is room for is refused on its head.
    let mut huge = gateway.client();
    huge.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\n\r\n");
    assert_overloaded(&huge.message());
    huge.must_close();
    assert_eq!(gateway.metric("ringway_overload_total", &[("reason", "held_bytes")]), 2);
}

#[test]
fn a_body_that_does_not_say_how_long_it_is_grows_no_further() {
    let upstream = Answering::saying("{}");
    let setup =
        Setup::one(&upstream.url(), "").variable("RINGWAY_HELD_BYTES_MAX", (256 << 10).to_string());
    let gateway = setup.start();
    for (path, status) in [("/v1/chat/completions", 503), ("/v1/messages", 529)] {
        let mut client = gateway.client();
        client
            .send(format!("POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"));
        let part = chunk("x".repeat(10_000));
        for _ in 0..60 {
            client.send_what_is_taken(&part);
        }
        let refused = client.message();
        assert_eq!((refused.status(), refused.field("retry-after")), (status, Some("1")));
    }
    assert_eq!(gateway.metric("ringway_overload_total", &[("reason", "held_bytes")]), 2);
    gateway.await_metric("ringway_held_bytes", &[], 0);
    assert_eq!(gateway.ask(chat("m", "")).status(), 200);
}

#[test]
fn a_chunk_that_is_too_much_is_refused_at_its_size() {
    let upstream = Answering::saying("{}");
    let gateway =
        Setup::one(&upstream.url(), "").listen("limits = { body_bytes_max = 1024 }").start();
    let fits = format!("400\r\n{}\r\n1;", "x".repeat(1024));
    for begun in ["401", "ffffffffffffffff", &fits] {
        let mut client = gateway.client();
        let head =
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
        client.send(format!("{head}{begun}"));
        assert!(client.is_silent());
        client.send("\r\n");
        assert_eq!(client.message().status(), 413);
    }
}
