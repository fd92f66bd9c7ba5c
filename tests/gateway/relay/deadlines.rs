//! Each deadline ends what it is there to end, and is counted under its own name.

use std::net::TcpListener;

use crate::support::*;

#[test]
fn the_first_byte() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "deadlines = { first_byte_ms = 150 }").start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    let answer = client.message();
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.json()["error"]["code"], "upstream_timeout");
    server.until_gone();
    assert!(upstream.is_untouched(), "it is not asked again");
    gateway.await_fault("first_byte_timed_out");
}

#[test]
fn the_gap_in_a_stream() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "deadlines = { gap_ms = 200 }").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    server.send(chunk("data: one\n\n"));
    client.head();
    client.await_content("data: one\n\n");
    let event = String::from_utf8(client.chunk().expect("an error event")).expect("UTF-8");
    assert!(event.starts_with("data: {\"error\":"), "{event}");
    assert!(event.contains("upstream_timeout"), "{event}");
    assert_eq!(client.chunk(), None);
    server.until_gone();
    gateway.await_fault("gap_timed_out");
}

#[test]
fn the_gap_in_an_answer() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "deadlines = { gap_ms = 200 }").start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    client.head();
    client.must_break();
    server.until_gone();
    gateway.await_fault("gap_timed_out");
}

/// Events come often enough, and yet it is too long.
#[test]
fn the_whole() {
    let upstream = Upstream::start();
    let gateway =
        Setup::one(&upstream.url(), "deadlines = { gap_ms = 400, whole_ms = 600 }").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    client.head();
    let sending = std::thread::spawn(move || {
        while server.is_silent() {
            server.send_what_is_taken(chunk("data: one\n\n"));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let mut last = Vec::new();
    while let Some(chunk) = client.chunk() {
        last = chunk;
    }
    let last = String::from_utf8(last).expect("UTF-8");
    assert!(last.contains("upstream_timeout"), "{last}");
    sending.join().expect("no panic");
    gateway.await_fault("whole_timed_out");
}

/// A listener whose queue is full answers nothing, as a host that is down does.
#[test]
fn connecting() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let socket = socket2::SockRef::from(&listener);
    socket.listen(0).expect("a socket");
    let address = listener.local_addr().expect("an address");
    let mut waiting = Vec::new();
    // The queue takes a few although it was told to take none.
    let patience = std::time::Duration::from_millis(300);
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, patience) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue does not fill up");
    }
    let url = format!("http://{address}");
    let gateway = Setup::one(&url, "deadlines = { connect_ms = 200 }").start();
    let answer = gateway.ask(chat("m", ""));
    assert_eq!(answer.status(), 504);
    gateway.await_fault("connect_timed_out");
}

/// The model's own deadlines go before those of its upstream.
#[test]
fn of_a_model() {
    let upstream = Upstream::start();
    let config = one(&upstream.url(), "deadlines = { first_byte_ms = 60000 }");
    let gateway = Setup::new(format!("{config}deadlines = {{ first_byte_ms = 150 }}\n")).start();
    assert_eq!(gateway.ask(chat("m", "")).status(), 504);
    gateway.await_fault("first_byte_timed_out");
}

/// An interim response is not an answer.
#[test]
fn an_interim_response_does_not_count_as_the_first_byte_for_ever() {
    let upstream = Upstream::start();
    let gateway =
        Setup::one(&upstream.url(), "deadlines = { first_byte_ms = 200, gap_ms = 300 }").start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    server.send("HTTP/1.1 102 Processing\r\n\r\n");
    assert_eq!(client.message().status(), 504);
    server.until_gone();
}
