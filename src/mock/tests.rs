//! The mock as a client sees it, over real connections.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use super::Handle;
use super::Options;
use super::content;

fn start() -> Handle {
    super::spawn(Options::new("127.0.0.1:0".parse().unwrap())).unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn ask(path: &str, fields: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: mock\r\n{fields}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends a request that asks for the connection's end and reads all that comes.
fn whole(address: SocketAddr, path: &str, fields: &str, body: &str) -> String {
    let mut stream = connect(address);
    let fields = format!("{fields}connection: close\r\n");
    stream.write_all(ask(path, &fields, body).as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn stats(address: SocketAddr) -> serde_json::Value {
    let mut stream = connect(address);
    stream.write_all(b"GET /mock/stats HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn sealed_events(answer: &str) -> Vec<u32> {
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    body.split_inclusive("\n\n")
        .filter(|event| event.contains('\u{b6}'))
        .map(|event| content::check(event.as_bytes()).unwrap().number)
        .collect()
}

#[test]
fn every_api_has_its_friendly_answer_and_stream() {
    let mock = start();
    for (path, end) in [
        ("/v1/chat/completions", "data: [DONE]"),
        ("/v1/completions", "data: [DONE]"),
        ("/v1/responses", "response.completed"),
        ("/v1/messages", "message_stop"),
    ] {
        let body =
            r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"ping"}]}"#;
        let answer = whole(mock.address, path, "x-mock-gap-ms: 0\r\n", body);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(end), "{answer}");
        let answer = whole(mock.address, path, "", &body.replace("true", "false"));
        let json = answer.split_once("\r\n\r\n").unwrap().1;
        serde_json::from_str::<serde_json::Value>(json).unwrap();
    }
    let echo = whole(mock.address, "/v1/models/m/invoke", "", r#"{"x":[1]}"#);
    assert!(echo.ends_with(r#"{"model":"m","echo":{"x":[1]}}"#), "{echo}");
    assert_eq!(stats(mock.address)["models"]["demo"], 8);
    mock.stop().unwrap();
}

#[test]
fn sealed_streams_are_whole_in_every_framing_and_cut() {
    let mock = start();
    let body = r#"{"model":"demo","stream":true,"stream_options":{"include_usage":true}}"#;
    for fields in ["", "x-mock-batch: 3\r\n", "x-mock-dribble: 97\r\n", "x-mock-split: 7\r\n"] {
        for framing in ["close", "length"] {
            let fields = format!(
                "x-mock-events: 10\r\nx-mock-gap-ms: 0.5\r\nx-mock-framing: {framing}\r\n{fields}"
            );
            let answer = whole(mock.address, "/v1/chat/completions", &fields, body);
            assert_eq!(sealed_events(&answer), (0..10).collect::<Vec<_>>(), "{fields}");
            assert!(answer.contains("\"usage\":{") && answer.ends_with("data: [DONE]\n\n"));
        }
    }
    mock.stop().unwrap();
}

#[test]
fn a_whole_answer_has_the_size_asked_for_on_a_kept_connection() {
    let mock = start();
    let mut stream = connect(mock.address);
    for _ in 0..3 {
        let fields = "x-mock-bytes: 1024\r\nx-mock-stream: ab\r\n";
        stream.write_all(ask("/v1/chat/completions", fields, "{}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(String::from_utf8_lossy(&answer).contains("content-length: 1024"));
        let mut body = vec![0; 1024];
        stream.read_exact(&mut body).unwrap();
        assert_eq!(content::check(&body).unwrap().stream, 0xab);
        serde_json::from_slice::<serde_json::Value>(&body).unwrap();
    }
    mock.stop().unwrap();
}

#[test]
fn faults_come_as_asked() {
    let mock = start();
    let path = "/v1/chat/completions";
    let body = r#"{"stream":true}"#;
    let busy = whole(mock.address, path, "x-mock-status: 429\r\nx-mock-retry-after: 7\r\n", body);
    assert!(busy.starts_with("HTTP/1.1 429 ") && busy.contains("\r\nretry-after: 7\r\n"), "{busy}");
    assert_eq!(whole(mock.address, path, "x-mock-hangup: close\r\n", body), "");
    let cut =
        "x-mock-events: 9\r\nx-mock-gap-ms: 0\r\nx-mock-cut-after: 2\r\nx-mock-framing: close\r\n";
    let answer = whole(mock.address, path, cut, body);
    assert_eq!(sealed_events(&answer), [0, 1]);
    assert!(!answer.contains("[DONE]"));
    let mut stream = connect(mock.address);
    let reset = "x-mock-events: 9\r\nx-mock-gap-ms: 0\r\nx-mock-reset-after: 2\r\n";
    stream.write_all(ask(path, reset, body).as_bytes()).unwrap();
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    mock.stop().unwrap();
}

#[test]
fn a_client_that_leaves_is_noticed_within_an_event() {
    let mock = start();
    let mut stream = connect(mock.address);
    let fields = "x-mock-events: 9\r\nx-mock-gap-ms: 60000\r\n";
    stream.write_all(ask("/v1/messages", fields, r#"{"stream":true}"#).as_bytes()).unwrap();
    let mut some = [0; 10];
    stream.read_exact(&mut some).unwrap();
    assert_eq!(stats(mock.address)["streams_open"], 1);
    drop(stream);
    let patience = Instant::now() + Duration::from_secs(5);
    while stats(mock.address)["streams_open"] != 0 {
        assert!(Instant::now() < patience);
    }
    assert_eq!(stats(mock.address)["cancelled"], 1);
    mock.stop().unwrap();
}

/// Tells the mock something.
fn tell(address: SocketAddr, path: &str) -> String {
    whole(address, path, "", "")
}

#[test]
fn a_fault_is_switched_for_every_answer_and_back() {
    let mock = start();
    let (path, body) = ("/v1/chat/completions", "{}");
    let asked = "x-mock-status: 201\r\nx-mock-delay-ms: 9000\r\n";
    let set = "/mock/behaviour?x-mock-status=503&x-mock-delay-ms=0&x-mock-retry-after=2";
    assert!(tell(mock.address, set).starts_with("HTTP/1.1 200 "));
    let answer = whole(mock.address, path, asked, body);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 2\r\n"));
    let wrong = tell(mock.address, "/mock/behaviour?x-mock-satus=1");
    assert!(wrong.starts_with("HTTP/1.1 400 ") && wrong.contains("x-mock-satus"), "{wrong}");
    tell(mock.address, "/mock/behaviour");
    assert!(whole(mock.address, path, "", body).starts_with("HTTP/1.1 200 "));
    mock.stop().unwrap();
}

#[test]
fn a_closed_door_refuses_and_opens_again() {
    let control: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let free = std::net::TcpListener::bind(control).unwrap().local_addr().unwrap();
    let mut options = Options::new(control);
    options.control = Some(free);
    let mock = super::spawn(options).unwrap();
    let mut kept = connect(mock.address);
    for _ in 0..2 {
        assert!(tell(free, "/mock/listener?closed").starts_with("HTTP/1.1 200 "));
        let refused = TcpStream::connect(mock.address).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(tell(free, "/mock/listener?open").starts_with("HTTP/1.1 200 "));
        assert!(tell(mock.address, "/health").starts_with("HTTP/1.1 200 "));
    }
    tell(free, "/mock/listener?closed");
    kept.write_all(ask("/v1/completions", "", "{}").as_bytes()).unwrap();
    let error = kept.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(tell(free, "/mock/listener?ajar").starts_with("HTTP/1.1 400 "));
    mock.stop().unwrap();
}

#[test]
fn a_silent_door_takes_nobody_and_answers_nothing() {
    let mock = start();
    let mut kept = connect(mock.address);
    let mut control = connect(mock.address);
    control.write_all(ask("/mock/listener?silent", "", "").as_bytes()).unwrap();
    control.read_exact(&mut [0; 12]).unwrap();
    let short = Duration::from_millis(100);
    kept.write_all(ask("/v1/completions", "", "{}").as_bytes()).unwrap();
    kept.set_read_timeout(Some(short)).unwrap();
    assert_eq!(kept.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    // One or two find room in the queue; who comes then finds nobody.
    let silent: Vec<_> = (0..4).map(|_| TcpStream::connect_timeout(&mock.address, short)).collect();
    assert!(silent.iter().any(Result::is_err), "{silent:?}");
    control.write_all(ask("/mock/listener?open", "connection: close\r\n", "").as_bytes()).unwrap();
    control.read_to_end(&mut Vec::new()).unwrap();
    assert!(tell(mock.address, "/health").starts_with("HTTP/1.1 200 "));
    mock.stop().unwrap();
}
