//! The end: nothing new comes in, what is there finishes, and there is a bound to it.

use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use crate::support::*;

fn await_refusing(gateway: &Gateway) {
    await_true("new connections are refused", || match TcpStream::connect(gateway.listen) {
        Err(_) => Ok(()),
        Ok(_) => Err("taken".to_owned()),
    });
}

#[test]
fn an_idle_gateway_ends_at_once() {
    let upstream = Upstream::start();
    let mut gateway = Setup::one(&upstream.url(), "").start();
    let mut idle = gateway.client();
    idle.send(get("/v1/models"));
    idle.message();
    let mut silent = gateway.client();
    let began = Instant::now();
    gateway.signal("TERM");
    idle.must_close();
    silent.must_close();
    assert_eq!(gateway.await_end().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(gateway.log().contains("drained"), "{}", gateway.log());
}

#[test]
fn a_stream_finishes_and_nothing_new_comes_in() {
    let upstream = Upstream::start();
    let mut gateway = Setup::one(&upstream.url(), "").shards(2).start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    client.head();
    gateway.signal("TERM");
    await_true("readiness fails", || match gateway.page("/readyz").status() {
        503 => Ok(()),
        status => Err(status.to_string()),
    });
    assert!(gateway.page("/readyz").text().contains("shutting down"));
    assert_eq!(gateway.page("/healthz").status(), 200);
    await_refusing(&gateway);
    gateway.await_metric("ringway_draining_shards", &[], 2);
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        server.send(chunk(&event));
        client.await_content(&event);
    }
    server.send("0\r\n\r\n");
    assert_eq!(client.chunk(), None);
    client.must_close();
    assert_eq!(gateway.await_end().code(), Some(0));
}

#[test]
fn a_request_in_flight_is_answered_and_told_that_the_connection_ends() {
    let upstream = Upstream::start();
    let mut gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    gateway.signal("TERM");
    await_refusing(&gateway);
    server.send(ok("{}"));
    assert_eq!(client.message().text(), "{}");
    client.must_close();
    assert_eq!(gateway.await_end().code(), Some(0));
}

/// A request whose head is half there was promised nothing, but nobody has to lose it.
#[test]
fn a_request_that_has_begun_is_served() {
    let upstream = Upstream::start();
    let mut gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    let whole = chat("m", "");
    client.send(&whole.as_bytes()[..whole.len() - 5]);
    gateway.await_metric("ringway_requests_open", &[], 1);
    gateway.signal("TERM");
    await_refusing(&gateway);
    client.send(&whole.as_bytes()[whole.len() - 5..]);
    let (mut server, _) = upstream.request();
    server.send(ok("{}"));
    let answer = client.message();
    assert_eq!((answer.text(), answer.field("connection")), ("{}", Some("close")));
    client.must_close();
    assert_eq!(gateway.await_end().code(), Some(0));
}

#[test]
fn the_deadline_ends_what_does_not_finish() {
    let upstream = Upstream::start();
    let mut gateway =
        Setup::one(&upstream.url(), "").variable("RINGWAY_DRAIN_SECONDS", "1").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    client.head();
    let began = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.await_end().code(), Some(0));
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(900), "{took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    client.until_gone();
    server.until_gone();
    assert!(gateway.log().contains("drain deadline"), "{}", gateway.log());
}

/// A gateway whose drain deadline passes at once, with at most three requests at its endpoint, and an access log.
fn in_a_hurry(upstream: &Upstream) -> Gateway {
    let lines = "max_in_flight = 3\nqueue = { waiting_max = 9, wait_ms = 60000 }";
    let config =
        format!("[access_log]\npath = \"access.jsonl\"\n\n{}", one(&upstream.url(), lines));
    Setup::new(config).variable("RINGWAY_DRAIN_SECONDS", "0").shards(2).start()
}

/// The access log's lines, each as status and fault.
fn written_down(gateway: &Gateway) -> Vec<(u64, String)> {
    let text = std::fs::read_to_string(gateway.folder.join("access.jsonl")).expect("a log");
    let lines = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let fault = line["fault"].as_str().unwrap_or("none").to_owned();
        (line["status"].as_u64().expect("a status"), fault)
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}

/// Whatever a request waits for when the deadline has passed: its client is told, and it is written down.
#[test]
fn what_is_broken_off_is_told_and_written_down() {
    const SAYS: &str = "The gateway is shutting down";
    let upstream = Upstream::start();
    let mut gateway = in_a_hurry(&upstream);
    let mut streaming = gateway.client();
    streaming.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    server.send(chunk("data: 1\n\n"));
    streaming.head();
    streaming.await_content("data: 1\n\n");
    let mut unanswered = gateway.client();
    unanswered.send(chat("m", ""));
    let _silent = upstream.request();
    let mut half = gateway.client();
    half.send(chat("m", ""));
    let (mut halfway, _) = upstream.request();
    halfway.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    half.head();
    half.take(4);
    let mut queued = gateway.client();
    queued.send(chat("m", ""));
    gateway.await_metric("ringway_endpoint_queue_waiting", &[], 1);
    let mut arriving = gateway.client();
    let whole = chat("m", "");
    arriving.send(whole.strip_suffix('}').expect("an object"));
    gateway.await_metric("ringway_requests_open", &[], 5);

    gateway.signal("TERM");
    let last = streaming.chunk().expect("a last event");
    let last = String::from_utf8_lossy(&last);
    assert!(last.starts_with("data: {\"error\":") && last.ends_with("\n\n"), "{last}");
    assert!(last.contains(SAYS) && !last.contains("[DONE]"), "{last}");
    assert_eq!(streaming.chunk(), None, "its framing is whole");
    for mut client in [unanswered, queued, arriving] {
        let answer = client.message();
        assert_eq!(answer.status(), 503, "{}", answer.text());
        assert!(answer.text().contains(SAYS), "{}", answer.text());
        assert!(answer.field("retry-after").is_some());
    }
    half.must_break();
    assert_eq!(gateway.await_end().code(), Some(0));
    let draining = |status| (status, "draining".to_owned());
    let expected = [200, 200, 503, 503, 503].map(draining);
    assert_eq!(written_down(&gateway), expected);
    assert!(gateway.log().contains("drain deadline"), "{}", gateway.log());
}

/// A stream that goes on without its client is broken off as well.
#[test]
fn a_stream_whose_client_may_come_back_is_written_down() {
    let upstream = Upstream::start();
    let mut gateway = in_a_hurry(&upstream);
    let mut client = gateway.client();
    let asks = chat("m", ",\"stream\":true").replacen("\r\n", "\r\nx-ringway-resume: true\r\n", 1);
    client.send(asks);
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    server.send(chunk("data: 1\n\n"));
    client.head();
    client.reset();
    gateway.await_metric("ringway_streams_away", &[], 1);
    gateway.signal("TERM");
    assert_eq!(gateway.await_end().code(), Some(0));
    assert_eq!(written_down(&gateway), [(200, "draining".to_owned())]);
    server.until_gone();
}

#[test]
fn a_second_signal_ends_at_once() {
    let upstream = Upstream::start();
    let mut gateway =
        Setup::one(&upstream.url(), "").variable("RINGWAY_DRAIN_SECONDS", "3600").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    client.head();
    gateway.signal("TERM");
    await_refusing(&gateway);
    assert!(server.is_silent() && client.is_silent(), "the first signal cuts nothing");
    gateway.signal("TERM");
    gateway.await_end();
    client.until_gone();
    server.until_gone();
}

#[test]
fn an_interrupt_drains_as_well() {
    let upstream = Upstream::start();
    let mut gateway = Setup::one(&upstream.url(), "").start();
    gateway.signal("INT");
    assert_eq!(gateway.await_end().code(), Some(0));
}

/// Under load: every request that was let in is answered.
#[test]
fn nothing_that_was_let_in_is_lost() {
    let upstream = Answering::saying("{}");
    let mut gateway = Setup::one(&upstream.url(), "").shards(2).start();
    let listen = gateway.listen;
    let asking: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let Ok(stream) = TcpStream::connect(listen) else { return 0 };
                let mut client = Connection::new(stream);
                let mut answered = 0;
                loop {
                    client.send_what_is_taken(chat("m", ""));
                    // Closed between two requests: the one just sent was not let in.
                    if !client.has_more() {
                        return answered;
                    }
                    let answer = client.final_message();
                    assert_eq!((answer.status(), answer.text()), (200, "{}"));
                    answered += 1;
                    if answer.field("connection") == Some("close") {
                        client.until_gone();
                        return answered;
                    }
                }
            })
        })
        .collect();
    gateway.await_metric("ringway_connections_open", &[], 8);
    await_true("they are served", || {
        let count = gateway.metric("ringway_requests_total", &[("status", "200")]);
        if count > 100 { Ok(()) } else { Err(count.to_string()) }
    });
    gateway.signal("TERM");
    let answered: u32 = asking.into_iter().map(|asking| asking.join().expect("no panic")).sum();
    assert!(answered > 100, "{answered}");
    assert_eq!(gateway.await_end().code(), Some(0));
}

/// What a slow reader has not read yet is a request in flight as well.
#[test]
fn a_slow_reader_gets_everything() {
    let upstream = Upstream::start();
    let mut gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    let block = "0123456789abcdef".repeat(4096);
    let answer = ok(&block.repeat(512));
    let pouring = std::thread::spawn(move || server.send_what_is_taken(answer));
    let head = client.head();
    assert_eq!(client.take(block.len()), block.as_bytes());
    gateway.signal("TERM");
    await_refusing(&gateway);
    for number in 1..512 {
        assert!(client.take(block.len()) == block.as_bytes(), "block {number}");
    }
    // It was promised to stay before the drain began; now it does not.
    assert_eq!(head.field("connection"), None);
    client.must_close();
    pouring.join().expect("no panic");
    assert_eq!(gateway.await_end().code(), Some(0));
}

/// The old world ends, the new one begins at the same address, and only connections notice.
#[test]
fn another_one_can_start_at_the_same_address_meanwhile() {
    let upstream = Upstream::start();
    let mut old = Setup::one(&upstream.url(), "").start();
    let mut client = old.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    client.head();
    old.signal("TERM");
    await_refusing(&old);
    // The port is free although a stream of the old one is still open on it.
    let listener = std::net::TcpListener::bind(old.listen).expect("the port is free");
    drop(listener);
    server.send(chunk("data: 1\n\n"));
    server.send("0\r\n\r\n");
    client.await_content("data: 1\n\n");
    assert_eq!(client.chunk(), None);
    assert_eq!(old.await_end().code(), Some(0));
}
