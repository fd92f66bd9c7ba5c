//! Who is the client? The PROXY protocol and `x-forwarded-for`, from proxies that are trusted and from others.

use std::fs;
use std::io::Read;
use std::net::TcpStream;

use crate::support::*;

const TRUSTING: &str = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]";
const V1: &str = "PROXY TCP4 198.51.100.7 192.0.2.2 56324 443\r\n";

/// Version 2, TCP over IPv6 from 2001:db8::7, with a TLV behind the addresses.
fn v2() -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x29".to_vec();
    bytes.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    bytes.extend([0; 16]);
    bytes.extend([0xdc, 4, 1, 0xbb, 4, 0, 2, 1, 2]);
    bytes
}

/// Version 2 of a proxy that asks on its own behalf.
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn setup(upstream: &Answering, listen: &str) -> Setup {
    let log = "[access_log]\npath = \"access.jsonl\"\n\n";
    Setup::new(format!("{log}{}", one(&upstream.url(), ""))).listen(listen)
}

/// The clients in the access log, once it has this many lines.
fn clients(gateway: &Gateway, count: usize) -> Vec<String> {
    let path = gateway.folder.join("access.jsonl");
    let mut clients = Vec::new();
    await_true("the access log is written", || {
        let log = fs::read_to_string(&path).unwrap_or_default();
        let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
        clients = lines
            .map(|line: serde_json::Value| line["client"].as_str().unwrap_or("none").to_owned())
            .collect();
        if clients.len() == count { Ok(()) } else { Err(log) }
    });
    clients
}

#[test]
fn the_header_says_who_the_client_is() {
    let upstream = Answering::saying("{}");
    let gateway = setup(&upstream, TRUSTING).start();
    for header in [V1.as_bytes().to_vec(), v2(), V2_LOCAL.to_vec()] {
        let mut client = gateway.client();
        // In one piece with the first request, and once for all the requests of the connection.
        client.send([&header, chat("m", "").as_bytes()].concat());
        assert_eq!(client.message().status(), 200);
        client.send(chat("m", ""));
        assert_eq!(client.message().status(), 200);
    }
    let seen = clients(&gateway, 6);
    let one = ["198.51.100.7", "2001:db8::7", "127.0.0.1"];
    assert_eq!(seen, one.iter().flat_map(|one| [*one; 2]).collect::<Vec<_>>());
    assert_eq!(upstream.asked().len(), 6);
    assert_eq!(gateway.metric("ringway_proxy_headers_refused_total", &[]), 0);
}

#[test]
fn the_header_may_come_byte_by_byte() {
    let upstream = Answering::saying("{}");
    let gateway = setup(&upstream, TRUSTING).start();
    for header in [V1.as_bytes().to_vec(), v2()] {
        let mut client = gateway.client();
        for byte in [&header, chat("m", "").as_bytes()].concat() {
            client.send([byte]);
        }
        assert_eq!(client.message().status(), 200);
    }
    assert_eq!(clients(&gateway, 2), ["198.51.100.7", "2001:db8::7"]);
}

#[test]
fn without_a_right_header_the_connection_is_cut() {
    let upstream = Answering::saying("{}");
    let gateway = setup(&upstream, TRUSTING).start();
    let wrong: [&[u8]; 5] = [
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PROXY TCP4 198.51.100.7 ::1 1 2\r\nGET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PROXY TCP4 198.51.100.7 192.0.2.2 56324 443\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
    ];
    for (count, bytes) in wrong.into_iter().enumerate() {
        let mut client = gateway.client();
        client.send(bytes);
        assert_eq!(client.until_gone(), b"");
        let labels = [("reason", "malformed")];
        gateway.await_metric("ringway_proxy_headers_refused_total", &labels, count as u64 + 1);
    }
    // Who only asks whether somebody listens does nothing wrong.
    drop(gateway.client());
    gateway.await_metric("ringway_connections_open", &[], 0);
    assert_eq!(gateway.metric("ringway_proxy_headers_refused_total", &[]), 5);
    assert!(upstream.asked().is_empty());
}

#[test]
fn a_header_that_does_not_come_in_time_is_not_waited_for() {
    let upstream = Answering::saying("{}");
    let slow = format!("{TRUSTING}\nlimits = {{ head_timeout_ms = 300 }}");
    let gateway = setup(&upstream, &slow).start();
    for begun in [&b""[..], b"PROXY TCP4 198.51"] {
        let mut client = gateway.client();
        client.send(begun);
        assert_eq!(client.until_gone(), b"");
    }
    let labels = [("reason", "too_slow")];
    assert_eq!(gateway.metric("ringway_proxy_headers_refused_total", &labels), 2);
}

#[test]
fn a_header_of_a_stranger_is_not_read() {
    let upstream = Answering::saying("{}");
    let elsewhere = "proxy_protocol = true\ntrusted_proxies = [\"192.0.2.0/24\"]";
    let gateway = setup(&upstream, elsewhere).start();
    // It is cut before it has said anything: sometimes before it knows that it is connected.
    if let Ok(stream) = TcpStream::connect(gateway.listen) {
        let mut room = [0; 1];
        assert!(!matches!((&stream).read(&mut room), Ok(1)));
    }
    let labels = [("reason", "untrusted")];
    gateway.await_metric("ringway_proxy_headers_refused_total", &labels, 1);
}

fn chat_for(forwarded: &str) -> String {
    chat("m", "").replacen("\r\n", &format!("\r\n{forwarded}\r\n"), 1)
}

#[test]
fn a_trusted_proxy_may_name_the_client_in_a_field() {
    let upstream = Answering::saying("{}");
    let gateway = setup(&upstream, "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]").start();
    let mut client = gateway.client();
    for forwarded in [
        "x-forwarded-for: 203.0.113.9, 198.51.100.7, 10.0.0.3",
        "x-forwarded-for: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.8",
        "x-forwarded-for: not-an-address",
        "x-other: y",
    ] {
        client.send(chat_for(forwarded));
        assert_eq!(client.message().status(), 200);
    }
    assert_eq!(clients(&gateway, 4), ["198.51.100.7", "198.51.100.8", "127.0.0.1", "127.0.0.1"]);
}

#[test]
fn a_stranger_may_not() {
    let upstream = Answering::saying("{}");
    for listen in ["", "trusted_proxies = [\"10.0.0.0/8\"]"] {
        let gateway = setup(&upstream, listen).start();
        assert_eq!(gateway.ask(chat_for("x-forwarded-for: 198.51.100.7")).status(), 200);
        // What is no HTTP has a client as well.
        assert_eq!(gateway.ask("nonsense\r\n\r\n").status(), 400);
        assert_eq!(clients(&gateway, 2), ["127.0.0.1", "127.0.0.1"]);
    }
}

/// A shard that is handed a connection asks the kernel where it comes from.
#[test]
fn a_client_that_was_handed_over_is_known() {
    let upstream = Answering::saying("{}");
    let gateway = setup(&upstream, "").shards(2).start();
    let mut clients_open: Vec<_> = (0..200).map(|_| gateway.client()).collect();
    for client in &mut clients_open {
        client.send(chat("m", ""));
        assert_eq!(client.message().status(), 200);
    }
    assert!(clients(&gateway, 200).iter().all(|client| client == "127.0.0.1"));
}
