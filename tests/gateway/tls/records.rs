//! Whatever records the other side sends, and when: session tickets, new keys, an end that was announced, and bad ones.

use super::*;
use crate::support::tls::Terminal;

const RETIRED: &str = "ringway_upstream_connections_retired_total";

/// A model server that speaks TLS, a gateway before it, and who vouches for it.
fn terminal(lines: &str) -> (Terminal, Gateway, Roots) {
    let authority = Authority::new();
    let terminal = Terminal::start(&authority);
    let roots = Roots::of(&authority);
    let gateway = roots.gateway(terminal.address, lines);
    (terminal, gateway, roots)
}

/// Session tickets come after the handshake: they are no reason not to use a connection that nobody has used yet.
#[test]
fn tickets_do_not_end_a_connection_that_was_opened_early() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let front = Front::start(&authority, "localhost", upstream.address, Ending::Announced);
    let roots = Roots::of(&authority);
    let gateway = roots.gateway(front.address, "pool = { idle_min = 1 }");
    let mut server = upstream.connection();
    gateway.await_metric("ringway_upstream_connections", &[("state", "idle")], 1);
    // Longer than it takes to look at those that are idle, twice.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    assert_eq!((front.handshakes(), gateway.metric(RETIRED, &[])), (1, 0));
    let mut client = gateway.client();
    client.send(chat("m", ""));
    server.message();
    server.send(ok("{}"));
    assert_eq!(client.message().text(), "{}");
    assert_eq!(gateway.metric("ringway_upstream_connections_reused_total", &[]), 1);
}

#[test]
fn new_keys_do_not_end_an_idle_session() {
    let (terminal, gateway, _roots) = terminal("");
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let mut server = terminal.request();
    server.put(ok("1")).send();
    assert_eq!(client.message().text(), "1");
    for number in 2..5 {
        server.put_new_keys().send();
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        client.send(chat("m", ""));
        server.request();
        let text = number.to_string();
        server.put(ok(&text)).send();
        assert_eq!(client.message().text(), text);
    }
    assert_eq!(gateway.metric(RETIRED, &[]), 0);
}

/// The answer ends where the server says so, whether or not it closes the connection as well.
#[test]
fn an_end_that_was_announced_with_the_last_content_is_one() {
    let (terminal, gateway, _roots) = terminal("");
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let mut server = terminal.request();
    server.put("HTTP/1.1 200 OK\r\n\r\nwhole").put_end().send();
    assert_eq!(client.message().text(), "whole");
}

/// Nothing follows the announcement; a server that sends something nevertheless does not stop the gateway.
#[test]
fn what_follows_an_announced_end_is_nothing() {
    let (terminal, gateway, _roots) = terminal("");
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let mut server = terminal.request();
    server.put("HTTP/1.1 200 OK\r\n\r\nwhole").put_end().put_bytes(&[23; 12_000]).send();
    assert_eq!(client.message().text(), "whole");
    assert_eq!(gateway.ask(get("/v1/models")).status(), 200);
}

/// A large record and small ones behind it: more content than rustls takes in at once.
#[test]
fn records_of_all_sizes_come_through() {
    let (terminal, gateway, _roots) = terminal("");
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let mut server = terminal.request();
    let parts: Vec<String> = [100, 12_000, 16_384, 1, 16_384]
        .into_iter()
        .chain([100; 400])
        .cycle()
        .take(4_000)
        .enumerate()
        .map(|(number, size)| format!("{number:size$}"))
        .collect();
    let length: usize = parts.iter().map(String::len).sum();
    server.put(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"));
    for part in &parts {
        server.put(part);
    }
    server.send();
    assert!(client.message().text() == parts.concat());
}

/// Content that came before something is wrong goes down, and what is wrong is found at once.
#[test]
fn a_bad_record_breaks_off_what_came_before_it() {
    let (terminal, gateway, _roots) = terminal("");
    let bad = [&[23, 3, 3, 0, 40][..], &[7; 40]].concat();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let mut server = terminal.request();
    server.put("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").put_bytes(&bad).send();
    client.head();
    assert_eq!(client.take(4), b"half");
    client.must_break();
    gateway.await_fault("upstream_truncated");
    // A whole answer is one, whatever follows.
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let mut other = terminal.request();
    other.put(ok("whole")).put_bytes(&bad).send();
    assert_eq!(client.message().text(), "whole");
}

/// The client is looked after while a connection is opened as well: one that left is noticed, one that has only said all it
/// has to say is not.
#[test]
fn a_client_that_leaves_during_a_handshake() {
    let (terminal, gateway, _roots) = terminal("deadlines = { connect_ms = 60000 }");
    let mut client = gateway.client();
    client.send(chat("m", ""));
    client.half_close();
    assert_eq!(client.message().status(), 100);
    let mut server = terminal.request();
    server.put(ok("{}")).send();
    assert_eq!(client.message().status(), 200);
    drop(server);
    gateway.await_metric("ringway_upstream_connections", &[("state", "idle")], 0);

    let mut client = gateway.client();
    client.send(chat("m", ""));
    let server = terminal.connection();
    drop(client);
    gateway.await_fault("client_gone");
    Connection::new(server).until_gone();
}

/// A server that answers before it has the whole request and then cuts the connection, to a client that reads slowly: there
/// is nothing left to send, and nothing to do before the client reads.
#[test]
fn what_is_not_taken_any_more_is_not_tried_again_and_again() {
    let (terminal, gateway, _roots) = terminal("");
    let mut client = gateway.client();
    client.narrow();
    client.send(post(
        "/v1/chat/completions",
        &format!("{{\"model\":\"m\",\"x\":\"{}\"}}", "x".repeat(9_000_000)),
    ));
    let mut server = terminal.session();
    let part = "y".repeat(16 << 10);
    server.put("HTTP/1.1 200 OK\r\n\r\n");
    for _ in 0..600 {
        server.put(&part);
    }
    server.send_what_is_taken();
    server.reset();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let before = gateway.metric("ringway_shard_turns_total", &[]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    let turns = gateway.metric("ringway_shard_turns_total", &[]) - before;
    assert!(turns < 500, "{turns}");
}
