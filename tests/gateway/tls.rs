//! TLS towards model servers: who they are is checked, and nothing else changes.

mod hedging;
mod records;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::support::gateway::fresh_folder;
use crate::support::gateway::fresh_ip;
use crate::support::tls::Authority;
use crate::support::tls::Ending;
use crate::support::tls::Front;
use crate::support::*;

/// A folder with a root certificate in it.
struct Roots(PathBuf);

impl Roots {
    fn of(authority: &Authority) -> Self {
        let roots = Self(fresh_folder(fresh_ip()));
        authority.write(&roots.path());
        roots
    }

    fn path(&self) -> PathBuf {
        self.0.join("roots.pem")
    }

    fn gateway(&self, address: SocketAddr, lines: &str) -> Gateway {
        let ca = format!("ca = \"{}\"\n{lines}", self.path().display());
        Setup::one(&format!("https://localhost:{}", address.port()), &ca).start()
    }
}

impl Drop for Roots {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn answers_and_streams_come_through() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let front = Front::start(&authority, "localhost", upstream.address, Ending::Announced);
    let roots = Roots::of(&authority);
    let gateway = roots.gateway(front.address, "");
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, asked) = upstream.request();
    assert_eq!(asked.field("host"), Some(format!("localhost:{}", front.address.port()).as_str()));
    server.send(ok("{}"));
    assert_eq!(client.message().text(), "{}");
    assert_eq!(front.names(), [Some("localhost".to_owned())]);

    // Each event at once, on the same connection.
    client.send(chat("m", ",\"stream\":true"));
    server.message();
    server.send(EVENTS);
    client.head();
    for number in 0..20 {
        let event = format!("data: {number}\n\n");
        server.send(chunk(&event));
        client.await_content(&event);
    }
    server.send("0\r\n\r\n");
    assert_eq!(client.chunk(), None);
    for number in 0..10 {
        client.send(chat("m", ""));
        server.message();
        server.send(ok(&number.to_string()));
        assert_eq!(client.message().text(), number.to_string());
    }
    assert_eq!(front.handshakes(), 1);
    assert_eq!(gateway.metric("ringway_upstream_connections_reused_total", &[]), 11);
}

#[test]
fn large_bodies_both_ways() {
    let upstream = Answering::with(|asked| ok(asked.text()));
    let authority = Authority::new();
    let front = Front::start(&authority, "localhost", upstream.address, Ending::Announced);
    let roots = Roots::of(&authority);
    let gateway = roots.gateway(front.address, "");
    let mut client = gateway.client();
    for size in [1_000, 16_384, 70_000, 8_000_000] {
        let text: String = (0..size / 10).map(|number| format!("{number:09} ")).collect();
        let body = format!("{{\"model\":\"m\",\"x\":\"{text}\"}}");
        client.send(post("/v1/chat/completions", &body));
        let answer = client.message();
        assert!(answer.body == body.as_bytes(), "{} of {}", answer.body.len(), body.len());
    }
    assert_eq!(front.handshakes(), 1);
}

/// Each shard remembers sessions for itself.
#[test]
fn a_new_connection_goes_on_with_the_session_of_an_earlier_one() {
    const CLOSES: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    let upstream = Answering::with(|_| CLOSES.into());
    let authority = Authority::new();
    let front = Front::start(&authority, "localhost", upstream.address, Ending::Announced);
    let gateway = Roots::of(&authority).gateway(front.address, "");
    for _ in 0..20 {
        assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    }
    assert_eq!(front.handshakes(), 20);
    assert!(front.resumed() >= 18, "{} of 20, on at most two shards", front.resumed());
}

fn is_refused(certificate_name: &str, is_known: bool) {
    let upstream = Upstream::start();
    let (authority, other) = (Authority::new(), Authority::new());
    let front = Front::start(&authority, certificate_name, upstream.address, Ending::Announced);
    let roots = Roots::of(if is_known { &authority } else { &other });
    let gateway = roots.gateway(front.address, "");
    let answer = gateway.ask(chat("m", ""));
    assert_eq!((answer.status(), &answer.json()["error"]["code"]), (502, &"upstream_error".into()));
    gateway.await_fault("tls_failed");
    // Not a byte of the request went to whoever that is.
    assert!(upstream.is_untouched());
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    is_refused("other.example", true);
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    is_refused("localhost", false);
}

/// Without `ca`, the system's roots count, and they do not know ours.
#[test]
fn private_certificates_need_a_root() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let front = Front::start(&authority, "localhost", upstream.address, Ending::Announced);
    let url = format!("https://localhost:{}", front.address.port());
    let gateway = Setup::one(&url, "").start();
    assert_eq!(gateway.ask(chat("m", "")).status(), 502);
    gateway.await_fault("tls_failed");
}

#[test]
fn a_server_that_speaks_no_tls_is_refused() {
    let upstream = Upstream::start();
    let roots = Roots::of(&Authority::new());
    let gateway = roots.gateway(upstream.address, "");
    let mut client = gateway.client();
    client.send(chat("m", ""));
    for _ in 0..3 {
        let mut server = upstream.connection();
        server.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    }
    assert_eq!(client.message().status(), 502);
    gateway.await_fault("tls_failed");
}

#[test]
fn a_server_that_never_shakes_hands_times_out() {
    let upstream = Upstream::start();
    let roots = Roots::of(&Authority::new());
    let gateway = roots.gateway(upstream.address, "deadlines = { connect_ms = 200 }");
    assert_eq!(gateway.ask(chat("m", "")).status(), 504);
    gateway.await_fault("connect_timed_out");
}

/// An end that only the connection below knows of can be anybody's doing: it must not pass for the end of an answer.
#[test]
fn an_end_that_was_not_announced_is_no_end() {
    for (ending, is_whole) in [(Ending::Announced, true), (Ending::Cut, false)] {
        let upstream = Upstream::start();
        let authority = Authority::new();
        let front = Front::start(&authority, "localhost", upstream.address, ending);
        let roots = Roots::of(&authority);
        let gateway = roots.gateway(front.address, "");
        let mut client = gateway.client();
        client.send(chat("m", ""));
        let (mut server, _) = upstream.request();
        server.send("HTTP/1.1 200 OK\r\n\r\nhalf");
        let head = client.head();
        drop(server);
        if is_whole {
            assert_eq!(client.body(&head), b"half");
        } else {
            client.must_break();
            gateway.await_fault("upstream_truncated");
        }
    }
}

#[test]
fn an_idle_session_that_was_closed_is_not_used() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let front = Front::start(&authority, "localhost", upstream.address, Ending::Announced);
    let roots = Roots::of(&authority);
    let gateway = roots.gateway(front.address, "");
    let mut client = gateway.client();
    for number in 0..3 {
        client.send(chat("m", ""));
        let (mut server, _) = upstream.request();
        server.send(ok(&number.to_string()));
        assert_eq!(client.message().text(), number.to_string());
        drop(server);
        let labels = [("state", "idle")];
        gateway.await_metric("ringway_upstream_connections", &labels, 0);
    }
    assert_eq!(gateway.metric("ringway_faults_total", &[]), 0);
}

#[test]
fn a_client_that_leaves_cancels() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let front = Front::start(&authority, "localhost", upstream.address, Ending::Announced);
    let roots = Roots::of(&authority);
    let gateway = roots.gateway(front.address, "");
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    client.head();
    client.reset();
    server.until_gone();
    gateway.await_fault("client_gone");
}
