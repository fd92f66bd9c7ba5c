//! TLS towards model servers: who they are is checked, and nothing else changes.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::support::gateway::fresh_folder;
use crate::support::gateway::fresh_ip;
use crate::support::tls::Authority;
use crate::support::tls::Ending;
use crate::support::tls::Front;
use crate::support::tls::Terminal;
use crate::support::*;

const RETIRED: &str = "ringway_upstream_connections_retired_total";

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

/// The tickets of a session that was just opened are not the first byte of an answer.
#[test]
fn a_hedge_is_not_won_by_tickets() {
    let authority = Authority::new();
    let roots = Roots::of(&authority);
    let (first, second) = (Upstream::start(), Upstream::start());
    let fronts = [&first, &second]
        .map(|plain| Front::start(&authority, "localhost", plain.address, Ending::Announced));
    let urls = fronts.each_ref().map(|front| format!("https://localhost:{}", front.address.port()));
    let ca = format!("ca = \"{}\"", roots.path().display());
    let config = one(&urls[0], &ca).replace(
        &format!("\"{}\" }}", urls[0]),
        &format!("\"{}\" }}, {{ url = \"{}\" }}", urls[0], urls[1]),
    );
    let hedge = "hedge = { after_ms = 30, budget_percent = 100 }\nretry = false\n";
    let gateway = Setup::new(format!("{config}{hedge}")).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut one, _) = first.request();
    let (mut two, _) = second.request();
    // By now the tickets have come.
    std::thread::sleep(std::time::Duration::from_millis(50));
    one.send(ok("{\"from\":1}"));
    assert_eq!(client.message().text(), "{\"from\":1}");
    two.until_gone();
    gateway.await_metric("ringway_hedges_total", &[("result", "lost")], 1);
}
