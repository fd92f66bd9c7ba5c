//! A client that leaves cancels its request at the model server.

use crate::support::*;

fn await_cancelled(gateway: &Gateway) {
    gateway.await_metric("ringway_requests_cancelled_total", &[("model", "m")], 1);
    gateway.await_fault("client_gone");
    gateway.await_metric("ringway_connections_open", &[], 0);
    gateway.await_metric("ringway_requests_open", &[], 0);
    gateway.await_metric("ringway_upstream_connections", &[("state", "in_use")], 0);
}

#[test]
fn by_a_reset_in_the_middle_of_a_stream() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    server.send(chunk("data: one\n\n"));
    client.head();
    client.await_content("data: one\n\n");
    client.reset();
    // Not one event more is needed.
    server.until_gone();
    await_cancelled(&gateway);
    assert_eq!(gateway.metric("ringway_streams_open", &[]), 0);
}

#[test]
fn by_closing_in_the_middle_of_a_stream() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    server.send(chunk("data: one\n\n"));
    client.head();
    client.await_content("data: one\n\n");
    drop(client);
    // A close looks like a half-close until something is sent: the next event finds out.
    server.send_what_is_taken(chunk("data: two\n\n"));
    server.until_gone();
    await_cancelled(&gateway);
}

#[test]
fn before_the_first_byte() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    drop(client);
    server.until_gone();
    await_cancelled(&gateway);
}

#[test]
fn by_a_reset_before_the_first_byte() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    client.reset();
    server.until_gone();
    await_cancelled(&gateway);
}

#[test]
fn in_the_middle_of_an_answer_that_is_no_stream() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc");
    let head = client.head();
    assert_eq!(head.field("content-length"), Some("1000"));
    assert_eq!(client.take(3), b"abc");
    drop(client);
    server.send_what_is_taken("def");
    server.until_gone();
    await_cancelled(&gateway);
}

/// It asks for the next while the first is served, and leaves: what it has sent ahead must not hide that.
#[test]
fn with_a_pipelined_request_behind() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    client.reset();
    server.until_gone();
    gateway.await_metric("ringway_connections_open", &[], 0);
    assert!(upstream.is_untouched());
}

#[test]
fn while_its_own_request_is_sent() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    let whole = chat("m", "");
    client.send(&whole.as_bytes()[..whole.len() - 3]);
    client.reset();
    gateway.await_metric("ringway_connections_accepted_total", &[], 1);
    gateway.await_metric("ringway_connections_open", &[], 0);
    gateway.await_metric("ringway_requests_open", &[], 0);
    assert!(upstream.is_untouched());
}
