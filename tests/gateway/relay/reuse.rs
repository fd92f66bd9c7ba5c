//! Connections to model servers: kept, used again, checked before that, and given up in time.

use crate::support::*;

fn ask_and_answer(client: &mut Connection, server: &mut Connection, text: &str) {
    client.send(chat("m", ""));
    server.message();
    server.send(ok(text));
    assert_eq!(client.message().text(), text);
}

fn first(gateway: &Gateway, upstream: &Upstream, text: &str) -> (Connection, Connection) {
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    server.send(ok(text));
    assert_eq!(client.message().text(), text);
    (client, server)
}

#[test]
fn one_connection_serves_many_requests() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let (mut client, mut server) = first(&gateway, &upstream, "0");
    for number in 1..10 {
        ask_and_answer(&mut client, &mut server, &number.to_string());
    }
    // Also those of other clients.
    let mut other = gateway.client();
    ask_and_answer(&mut other, &mut server, "other");
    assert!(upstream.is_untouched());
    assert_eq!(gateway.metric("ringway_upstream_connections_opened_total", &[]), 1);
    assert_eq!(gateway.metric("ringway_upstream_connections_reused_total", &[]), 10);
}

#[test]
fn the_last_one_used_is_the_first_one_used_again() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let (mut a, mut b) = (gateway.client(), gateway.client());
    a.send(chat("m", ""));
    let (mut first, _) = upstream.request();
    b.send(chat("m", ""));
    let (mut second, _) = upstream.request();
    second.send(ok("second"));
    assert_eq!(b.message().text(), "second");
    first.send(ok("first"));
    assert_eq!(a.message().text(), "first");
    // Now `first` was used last.
    ask_and_answer(&mut b, &mut first, "again");
    assert!(second.is_silent());
}

#[test]
fn a_connection_that_was_closed_while_idle_is_not_used() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let (mut client, server) = first(&gateway, &upstream, "1");
    drop(server);
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    server.send(ok("2"));
    assert_eq!(client.message().text(), "2");
    assert_eq!(gateway.metric("ringway_faults_total", &[]), 0);
}

/// The reused connection dies with the request on it and not a byte of an answer: once more, on a fresh one.
#[test]
fn a_request_is_repeated_once_if_a_reused_connection_dies() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let (mut client, mut server) = first(&gateway, &upstream, "1");
    client.send(chat("m", ",\"user\":\"x\""));
    let asked = server.message();
    drop(server);
    let (mut server, again) = upstream.request();
    // The same bytes, but for the name of the request, which is the same as well.
    assert_eq!(asked, again);
    server.send(ok("2"));
    assert_eq!(client.message().text(), "2");
    gateway.await_metric("ringway_requests_repeated_total", &[("model", "m")], 1);
    assert_eq!(gateway.metric("ringway_faults_total", &[]), 0);
}

#[test]
fn and_not_twice() {
    let upstream = Upstream::start();
    let gateway = Setup::once(&upstream.url(), "").start();
    let (mut client, mut server) = first(&gateway, &upstream, "1");
    client.send(chat("m", ""));
    server.message();
    server.reset();
    drop(upstream.request());
    assert_eq!(client.message().status(), 502);
    assert!(upstream.is_untouched());
}

#[test]
fn and_not_after_a_byte_of_an_answer() {
    let upstream = Upstream::start();
    let gateway = Setup::once(&upstream.url(), "").start();
    let (mut client, mut server) = first(&gateway, &upstream, "1");
    client.send(chat("m", ""));
    server.message();
    server.send("H");
    drop(server);
    assert_eq!(client.message().status(), 502);
    assert!(upstream.is_untouched());
}

/// Whatever follows an answer belongs to nobody, least of all to the next client.
#[test]
fn bytes_after_an_answer_never_reach_the_next_client() {
    let poison = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    // In the same write.
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    server.send([ok("1").as_slice(), poison.as_bytes()].concat());
    assert_eq!(client.message().text(), "1");
    server.until_gone();
    // Later, when the connection is idle.
    let (_, mut server) = first(&gateway, &upstream, "2");
    server.send(poison);
    server.until_gone();
    let (_client, _server) = first(&gateway, &upstream, "3");
}

/// An idle connection is watched from the moment it is idle, not only when somebody looks around.
#[test]
fn what_has_happened_on_an_idle_connection_is_known_when_it_is_taken() {
    let given_up = "HTTP/1.1 408 Request Timeout\r\ncontent-length: 4\r\n\r\nlate";
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    for number in 0..8 {
        let (mut client, mut server) = first(&gateway, &upstream, "1");
        let server = if number % 2 == 0 {
            server.send(given_up);
            Some(server)
        } else {
            drop(server);
            None
        };
        std::thread::sleep(std::time::Duration::from_millis(50));
        client.send(chat("m", ""));
        let (mut next, _) = upstream.request();
        next.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n2");
        assert_eq!(client.message().text(), "2");
        drop(server);
    }
    assert_eq!(gateway.metric("ringway_requests_repeated_total", &[]), 0);
    let labels = [("reason", "stale")];
    assert_eq!(gateway.metric("ringway_upstream_connections_retired_total", &labels), 8);
}

#[test]
fn a_connection_is_not_used_again_if_its_answer_says_so() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    for head in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    ] {
        let mut client = gateway.client();
        client.send(chat("m", ""));
        let (mut server, _) = upstream.request();
        server.send(head);
        let answer = client.message();
        assert_eq!(answer.text(), "{}");
        // That it closes is between the gateway and the server.
        assert_eq!(answer.field("connection"), None);
        server.until_gone();
        client.send(get("/v1/models"));
        assert_eq!(client.message().status(), 200);
    }
}

#[test]
fn age_and_idleness_end_it() {
    let upstream = Upstream::start();
    for (limit, reason) in [("idle_ms = 100", "idle"), ("age_ms = 100", "age")] {
        let gateway = Setup::one(&upstream.url(), &format!("pool = {{ {limit} }}")).start();
        let (_client, mut server) = first(&gateway, &upstream, "1");
        server.until_gone();
        let labels = [("reason", reason)];
        gateway.await_metric("ringway_upstream_connections_retired_total", &labels, 1);
        gateway.await_metric("ringway_upstream_connections", &[("state", "idle")], 0);
    }
}

#[test]
fn no_more_are_kept_than_allowed() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "pool = { idle_max = 1 }").start();
    let (mut a, mut b) = (gateway.client(), gateway.client());
    a.send(chat("m", ""));
    let (mut first, _) = upstream.request();
    b.send(chat("m", ""));
    let (mut second, _) = upstream.request();
    first.send(ok("{}"));
    a.message();
    second.send(ok("{}"));
    b.message();
    second.until_gone();
    assert!(first.is_silent());
    gateway.await_metric("ringway_upstream_connections_retired_total", &[("reason", "full")], 1);
}
