//! A model server that fails: before its answer, in the middle of it, or by talking nonsense.

use crate::support::*;

fn error_code(answer: &Message) -> String {
    let error = &answer.json()["error"];
    for key in ["message", "type", "param", "code"] {
        assert!(error.get(key).is_some(), "no {key}: {answer:?}");
    }
    assert_eq!(error["type"], "server_error");
    error["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn nobody_listens() {
    let upstream = Upstream::start();
    let url = upstream.url();
    drop(upstream);
    let gateway = Setup::one(&url, "").start();
    let answer = gateway.ask(chat("m", ""));
    assert_eq!((answer.status(), error_code(&answer)), (502, "upstream_error".to_owned()));
    assert_eq!(answer.field("x-should-retry"), Some("false"));
    gateway.await_fault("connect_refused");
    gateway.await_metric("ringway_requests_total", &[("model", "m"), ("status", "502")], 1);
}

#[test]
fn it_closes_without_an_answer() {
    let upstream = Upstream::start();
    let gateway = Setup::once(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    drop(upstream.request());
    let answer = client.message();
    assert_eq!((answer.status(), error_code(&answer)), (502, "upstream_error".to_owned()));
    // A fresh connection died: it may have been served, so it is not asked again.
    assert!(upstream.is_untouched());
    gateway.await_fault("upstream_closed_early");
    // The client's connection is still good.
    client.send(get("/v1/models"));
    assert_eq!(client.message().status(), 200);
}

#[test]
fn it_resets_without_an_answer() {
    let upstream = Upstream::start();
    let gateway = Setup::once(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    upstream.request().0.reset();
    assert_eq!(client.message().status(), 502);
    assert!(upstream.is_untouched());
}

#[test]
fn it_dies_in_its_head() {
    let upstream = Upstream::start();
    let gateway = Setup::once(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    server.send("HTTP/1.1 200 OK\r\ncontent-le");
    drop(server);
    assert_eq!(client.message().status(), 502);
    gateway.await_metric("ringway_faults_total", &[("whose", "upstream")], 1);
}

#[test]
fn a_stream_that_dies_ends_with_an_error_event_and_without_done() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    for is_reset in [false, true] {
        let mut client = gateway.client();
        client.send(chat("m", ",\"stream\":true"));
        let (mut server, _) = upstream.request();
        server.send(EVENTS);
        server.send(chunk("data: one\n\ndata: half an ev"));
        client.head();
        client.await_content("data: one\n\n");
        if is_reset {
            server.reset()
        } else {
            drop(server)
        }
        let mut rest = Vec::new();
        while let Some(chunk) = client.chunk() {
            rest.extend_from_slice(&chunk);
        }
        let rest = String::from_utf8(rest).expect("UTF-8");
        let event = rest.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n"));
        let event: serde_json::Value =
            serde_json::from_str(event.expect("one event")).expect("JSON");
        assert_eq!(event["error"]["code"], "upstream_error");
        assert_eq!(event["error"]["type"], "server_error");
        assert!(!rest.contains("[DONE]") && !rest.contains("half"), "{rest}");
        // Its connection is as good as before.
        client.send(get("/v1/models"));
        assert_eq!(client.message().status(), 200);
    }
    gateway.await_metric("ringway_faults_total", &[("fault", "upstream_truncated")], 2);
    gateway.await_metric("ringway_streams_open", &[], 0);
}

/// What a client has asked meanwhile is answered, whatever has become of the stream before it.
#[test]
fn a_stream_that_dies_takes_no_pipelined_request_with_it() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send([chat("m", ",\"stream\":true"), chat("m", "")].concat());
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    server.send(chunk("data: one\n\n"));
    client.head();
    client.await_content("data: one\n\n");
    drop(server);
    assert!(client.chunk().expect("an event").starts_with(b"data: {\"error\""));
    assert_eq!(client.chunk(), None);
    let (mut server, _) = upstream.request();
    server.send(ok("{}"));
    assert_eq!(client.message().text(), "{}");
}

#[test]
fn a_client_that_keeps_nothing_open_is_told_and_left() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let closing =
        chat("m", ",\"stream\":true").replace("\r\nhost", "\r\nconnection: close\r\nhost");
    for request in [closing.clone(), closing.replace("HTTP/1.1", "HTTP/1.0")] {
        let mut client = gateway.client();
        client.send(request);
        let (mut server, _) = upstream.request();
        server.send(EVENTS);
        server.send(chunk("data: one\n\n"));
        client.head();
        drop(server);
        let rest = String::from_utf8(client.rest().expect("an orderly end")).expect("UTF-8");
        assert!(rest.contains("data: {\"error\"") && !rest.contains("[DONE]"), "{rest}");
    }
}

#[test]
fn anthropic_streams_break_off_in_their_own_words() {
    let upstream = Upstream::start();
    let config = one(&upstream.url(), "").replace("\"openai\"", "\"anthropic\"");
    let gateway = Setup::new(config).start();
    let mut client = gateway.client();
    client.send(post("/v1/messages", "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true}"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    server.send(chunk("event: message_start\ndata: {}\n\n"));
    client.head();
    client.await_content("event: message_start\ndata: {}\n\n");
    drop(server);
    let rest = String::from_utf8(client.chunk().expect("an event")).expect("UTF-8");
    assert!(rest.starts_with("event: error\ndata: {\"type\":\"error\""), "{rest}");
    assert_eq!(client.chunk(), None);
}

/// After `[DONE]` all was said: an error event would only confuse.
#[test]
fn a_stream_that_dies_after_done_is_complete() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    server.send(chunk("data: [DONE]\n\n"));
    client.head();
    client.await_content("data: [DONE]\n\n");
    drop(server);
    assert_eq!(client.chunk(), None);
}

/// Whatever its framing, what was cut must not look whole.
#[test]
fn a_truncated_answer_is_visibly_broken() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    for head in [
        "content-length: 100\r\n\r\n{\"half\":",
        "transfer-encoding: chunked\r\n\r\n8\r\n{\"half\":\r\n",
    ] {
        for version in ["1.1", "1.0"] {
            let mut client = gateway.client();
            client.send(chat("m", "").replace("HTTP/1.1", &format!("HTTP/{version}")));
            let (mut server, _) = upstream.request();
            server.send(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{head}"));
            client.head();
            drop(server);
            client.must_break();
        }
    }
    gateway.await_metric("ringway_faults_total", &[("fault", "upstream_truncated")], 4);
}

#[test]
fn what_is_not_http_is_a_502_and_ends_the_connection() {
    let nonsense: &[&str] = &[
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}}",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\nb: c\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/3 200 OK\r\n\r\n",
    ];
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(17 << 10));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(200));
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20);
    let made = [long.as_str(), &many, &interim];
    for answer in nonsense.iter().chain(&made) {
        let mut client = gateway.client();
        client.send(chat("m", ""));
        let (mut server, _) = upstream.request();
        server.send(answer);
        let got = client.message();
        assert_eq!((got.status(), error_code(&got).as_str()), (502, "upstream_error"), "{answer}");
        server.until_gone();
    }
    let count = (nonsense.len() + made.len()) as u64;
    gateway.await_metric("ringway_faults_total", &[("fault", "upstream_malformed")], count);
}

#[test]
fn bad_chunks_break_the_answer() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    server.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}");
    client.head();
    server.send("XX-2\r\n\r\n");
    client.must_break();
    server.until_gone();
    gateway.await_fault("upstream_malformed");
}

#[test]
fn an_endpoint_that_is_down_is_skipped_when_nothing_was_sent() {
    let (dead, alive) = (Upstream::start(), Answering::saying("{}"));
    let gone = dead.url();
    drop(dead);
    let endpoints =
        format!("endpoints = [{{ url = \"{gone}\" }}, {{ url = \"{}\" }}]", alive.url());
    let config = one("x", "");
    let config = config.replace("endpoints = [{ url = \"x\" }]", &endpoints);
    let gateway = Setup::new(config).start();
    for _ in 0..6 {
        assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    }
    assert_eq!(alive.asked().len(), 6);
    assert!(gateway.metric("ringway_requests_repeated_total", &[("model", "m")]) >= 2);
    gateway.await_metric("ringway_requests_total", &[("model", "m"), ("status", "200")], 6);
}

#[test]
fn weights_are_kept() {
    let (often, rarely) = (Answering::saying("{}"), Answering::saying("{}"));
    let endpoints = format!(
        "balance = \"weighted_round_robin\"\nendpoints = [{{ url = \"{}\", weight = 3 }}, {{ url = \"{}\", weight = 1 }}]",
        often.url(),
        rarely.url()
    );
    let config = one("x", "").replace("endpoints = [{ url = \"x\" }]", &endpoints);
    let gateway = Setup::new(config).start();
    let mut client = gateway.client();
    for _ in 0..20 {
        client.send(chat("m", ""));
        assert_eq!(client.message().status(), 200);
    }
    assert_eq!((often.asked().len(), rarely.asked().len()), (15, 5));
}

#[test]
fn an_error_of_the_model_server_is_passed_on() {
    let upstream = Answering::with(|_| {
        b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 13\r\n\r\n{\"error\":\"x\"}".to_vec()
    });
    let gateway = Setup::one(&upstream.url(), "").start();
    let answer = gateway.ask(chat("m", ""));
    assert_eq!((answer.status(), answer.text()), (429, "{\"error\":\"x\"}"));
    assert_eq!(answer.field("retry-after"), Some("7"));
    assert_eq!(upstream.asked().len(), 1);
    gateway.await_metric("ringway_requests_total", &[("model", "m"), ("status", "429")], 1);
    assert_eq!(gateway.metric("ringway_faults_total", &[]), 0);
}

#[test]
fn all_endpoints_are_down() {
    let endpoints =
        "endpoints = [{ url = \"http://127.0.0.1:1\" }, { url = \"http://127.0.0.2:1\" }]";
    let config = one("x", "").replace("endpoints = [{ url = \"x\" }]", endpoints);
    let gateway = Setup::new(config).start();
    let answer = gateway.ask(chat("m", ""));
    assert_eq!((answer.status(), error_code(&answer)), (502, "upstream_error".to_owned()));
    gateway.await_fault("connect_refused");
    gateway.await_metric("ringway_requests_total", &[("model", "m")], 1);
}

/// A name that leads nowhere is no reason not to start: others may be fine.
#[test]
fn a_name_without_an_address() {
    let gateway = Setup::one("http://nowhere.invalid", "").start();
    let answer = gateway.ask(chat("m", ""));
    assert_eq!((answer.status(), error_code(&answer)), (503, "overloaded".to_owned()));
    assert!(answer.field("retry-after").is_some());
    gateway.await_fault("no_endpoint");
}
