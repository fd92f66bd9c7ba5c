//! Large answers and slow readers: bounded memory, and nobody waits for anybody else.

use std::io::Read;
use std::io::Write;
use std::thread;

use crate::support::*;

/// A pattern that shows lost, doubled or exchanged blocks.
fn pattern(block: usize) -> Vec<u8> {
    let value = |byte: usize| (block * 31 + byte * 7 + byte / 251) % 256;
    (0..64 << 10).map(|byte| u8::try_from(value(byte)).expect("below 256")).collect()
}

const BLOCKS: usize = 1024;

/// Sends 64 MiB, then tells how it went.
fn pour(mut server: Connection) -> thread::JoinHandle<std::io::Result<Connection>> {
    thread::spawn(move || {
        let length = BLOCKS * (64 << 10);
        server.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"));
        for block in 0..BLOCKS {
            let mut stream = server.stream();
            stream.write_all(&pattern(block))?;
        }
        Ok(server)
    })
}

#[test]
fn a_large_answer_passes_in_little_memory() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let before = gateway.memory_kib("VmRSS");
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (server, _) = upstream.request();
    let pouring = pour(server);
    client.head();
    for block in 0..BLOCKS {
        assert!(client.take(64 << 10) == pattern(block), "block {block} is not as it was sent");
    }
    pouring.join().expect("no panic").expect("all was taken");
    let peak = gateway.memory_kib("VmHWM");
    assert!(peak < before + (8 << 10), "{before} KiB before, {peak} KiB at most");
}

#[test]
fn a_slow_reader_stops_its_own_upstream_and_nobody_else() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let before = gateway.memory_kib("VmRSS");
    let mut slow = gateway.client();
    slow.send(chat("m", ""));
    let (server, _) = upstream.request();
    let pouring = pour(server);
    slow.head();

    // Others are served meanwhile, on the same shard.
    for number in 0..10 {
        let mut client = gateway.client();
        client.send(chat("m", ",\"stream\":true"));
        let (mut server, _) = upstream.request();
        server.send(EVENTS);
        client.head();
        let event = format!("data: {number}\n\n");
        server.send(chunk(&event));
        client.await_content(&event);
        drop(client);
        server.send_what_is_taken(chunk(&event));
    }
    assert!(!pouring.is_finished(), "64 MiB went somewhere although nobody reads");
    let now = gateway.memory_kib("VmRSS");
    assert!(now < before + (8 << 10), "{before} KiB before, {now} KiB with a slow reader");

    // It goes on where it stopped.
    for block in 0..BLOCKS {
        assert!(slow.take(64 << 10) == pattern(block), "block {block} is not as it was sent");
    }
    pouring.join().expect("no panic").expect("all was taken");
}

#[test]
fn a_client_that_never_reads_is_given_up() {
    let upstream = Upstream::start();
    let gateway =
        Setup::one(&upstream.url(), "").listen("limits = { write_timeout_ms = 300 }").start();
    let mut client = gateway.client();
    client.narrow();
    client.send(chat("m", ""));
    let (server, _) = upstream.request();
    let pouring = pour(server);
    assert!(pouring.join().expect("no panic").is_err(), "the gateway stops reading and leaves");
    gateway.await_fault("client_slow");
    gateway.await_metric("ringway_connections_open", &[], 0);
}

/// A large request goes up while the model server is in no hurry to read it.
#[test]
fn a_large_request_goes_up_whole() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let text = "0123456789abcdef".repeat(500_000);
    let body = format!("{{\"model\":\"m\",\"messages\":\"{text}\"}}");
    let mut client = gateway.client();
    client.send(post("/v1/chat/completions", &body));
    let mut server = upstream.connection();
    let asked = server.message();
    assert!(asked.body == body.as_bytes(), "the body is as it was sent");
    server.send(ok("{}"));
    assert_eq!(client.message().text(), "{}");
}

/// A model server that answers before it has read the request (401, 413) has said what there is to say; what is left
/// of the request must not be taken for the next one.
#[test]
fn an_early_answer_comes_through_and_its_connection_is_not_used_again() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let body = format!("{{\"model\":\"m\",\"messages\":\"{}\"}}", "x".repeat(8 << 20));
    let mut client = gateway.client();
    client.send(post("/v1/chat/completions", &body));
    let mut server = upstream.connection();
    server.head();
    server.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\n{}");
    let answer = client.message();
    assert_eq!((answer.status(), answer.text()), (413, "{}"));
    let mut next = gateway.client();
    next.send(chat("m", ""));
    let (mut fresh, asked) = upstream.request();
    assert_eq!(asked.head.line, "POST /v1/chat/completions HTTP/1.1");
    fresh.send(ok("{\"n\":2}"));
    assert_eq!(next.message().text(), "{\"n\":2}");
}

/// The same, and the model server closes at once with most of the request unread: the reset that follows must not
/// hide the answer, if the system still has it.
#[test]
fn an_early_answer_before_a_close_comes_through() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let body = format!("{{\"model\":\"m\",\"messages\":\"{}\"}}", "x".repeat(8 << 20));
    let mut client = gateway.client();
    client.send(post("/v1/chat/completions", &body));
    let mut server = upstream.connection();
    server.head();
    server
        .send("HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}");
    server.half_close();
    let answer = client.message();
    assert_eq!((answer.status(), answer.text()), (413, "{}"));
    server.until_gone();
}

/// An interim response while the body is still going up must not make the gateway forget the rest of the body.
#[test]
fn an_interim_response_does_not_cut_the_request() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let body = format!("{{\"model\":\"m\",\"messages\":\"{}\"}}", "x".repeat(8 << 20));
    let mut client = gateway.client();
    client.send(post("/v1/chat/completions", &body));
    let mut server = upstream.connection();
    let head = server.head();
    server.send("HTTP/1.1 102 Processing\r\n\r\n");
    let got = server.body(&head);
    assert!(got == body.as_bytes(), "the body is as it was sent");
    server.send(ok("{}"));
    assert_eq!(client.message().text(), "{}");
}

#[test]
fn many_streams_at_once_are_not_mixed_up() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").shards(2).start();
    let mut pairs = Vec::new();
    for number in 0..100 {
        let mut client = gateway.client();
        client.send(chat("m", &format!(",\"stream\":true,\"user\":\"{number}\"")));
        let (mut server, asked) = upstream.request();
        assert!(asked.text().contains(&format!("\"user\":\"{number}\"")), "{asked:?}");
        server.send(EVENTS);
        client.head();
        pairs.push((client, server));
    }
    gateway.await_metric("ringway_streams_open", &[], 100);
    for round in 0..5 {
        for (number, (_, server)) in pairs.iter_mut().enumerate() {
            server.send(chunk(format!("data: {number}/{round}\n\n")));
        }
        for (number, (client, _)) in pairs.iter_mut().enumerate() {
            client.await_content(format!("data: {number}/{round}\n\n"));
        }
    }
    for (client, server) in &mut pairs {
        server.send("0\r\n\r\n");
        assert_eq!(client.chunk(), None);
    }
    gateway.await_metric("ringway_streams_open", &[], 0);
    gateway.await_metric("ringway_stream_events_total", &[], 500);
}

/// Half-closed and slow: the answer is in the gateway's hands only as far as the sockets take it, and must not be cut
/// when the gateway is done with it.
#[test]
fn a_half_closed_slow_reader_gets_everything() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.narrow();
    client.send(chat("m", ""));
    client.half_close();
    let (mut server, _) = upstream.request();
    let body = "0123456789abcdef".repeat(20_000);
    server.send(ok(&body));
    // The gateway has passed it on to the system, which holds most of it.
    gateway.await_metric("ringway_requests_total", &[("model", "m"), ("status", "200")], 1);
    let answer = client.final_message();
    assert!(answer.body == body.as_bytes(), "{} of {} bytes", answer.body.len(), body.len());
    let mut end = [0];
    assert_eq!(client.stream().read(&mut end).expect("an orderly end"), 0);
}

/// The connection closes after the answer, but not before all of it was read.
#[test]
fn a_closing_slow_reader_gets_everything() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let mut client = gateway.client();
        client.send(
            chat("m", "").replace("HTTP/1.1", version).replace("host", "connection: close\r\nhost"),
        );
        let (server, _) = upstream.request();
        let pouring = pour(server);
        let head = client.head();
        assert_eq!(head.field("connection"), Some("close"));
        for block in 0..BLOCKS {
            if block % 64 == 0 {
                thread::sleep(std::time::Duration::from_millis(5));
            }
            assert!(client.take(64 << 10) == pattern(block), "block {block} is not as it was sent");
        }
        pouring.join().expect("no panic").expect("all was taken");
        client.must_close();
    }
}

/// Many events wait for a slow reader when the model server dies: all of them come, in order, and then the error.
#[test]
fn what_waits_for_a_slow_reader_comes_before_the_error() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    let event = |number: usize| format!("data: {number:08} {}\n\n", "x".repeat(1000));
    const EVENTS_SENT: usize = 20_000;
    let pouring = thread::spawn(move || {
        server.send(EVENTS);
        for number in 0..EVENTS_SENT {
            server.send(chunk(event(number)));
        }
    });
    client.head();
    let mut content = Vec::new();
    let mut number = 0;
    while let Some(chunk) = client.chunk() {
        content.extend_from_slice(&chunk);
        let whole = event(number).len();
        let mut used = 0;
        while content.len() - used >= whole && number < EVENTS_SENT {
            assert!(content[used..].starts_with(event(number).as_bytes()), "event {number}");
            (used, number) = (used + whole, number + 1);
        }
        content.drain(..used);
    }
    assert_eq!(number, EVENTS_SENT);
    let error = String::from_utf8(content).expect("UTF-8");
    assert!(error.starts_with("data: {\"error\":") && error.ends_with("\n\n"), "{error}");
    pouring.join().expect("no panic");
    gateway.await_fault("upstream_truncated");
}

#[test]
fn a_slow_reader_that_leaves_cancels() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.narrow();
    client.send(chat("m", ""));
    let (server, _) = upstream.request();
    let pouring = pour(server);
    client.head();
    client.reset();
    assert!(pouring.join().expect("no panic").is_err(), "the gateway leaves as well");
    gateway.await_fault("client_gone");
    gateway.await_metric("ringway_connections_open", &[], 0);
    gateway.await_metric("ringway_held_bytes", &[], 0);
}
