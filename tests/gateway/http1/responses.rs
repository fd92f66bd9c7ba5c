//! Answers of model servers, in every framing, as they come down.

use crate::support::*;

/// Gives this answer to a request, and returns what the client got.
fn relay(gateway: &Gateway, upstream: &Upstream, request: &str, answer: &str) -> Message {
    let mut client = gateway.client();
    client.send(request);
    let (mut server, _) = upstream.request();
    server.send(answer);
    server.half_close();
    client.message()
}

#[test]
fn every_framing_comes_down_right() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let request = chat("m", "");
    for (answer, length, coding) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", Some("5"), None),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nt: v\r\n\r\n",
            None,
            Some("chunked"),
        ),
        ("HTTP/1.1 200 OK\r\n\r\nhello", None, Some("chunked")),
        ("HTTP/1.0 200 OK\r\n\r\nhello", None, Some("chunked")),
    ] {
        let got = relay(&gateway, &upstream, &request, answer);
        assert_eq!((got.status(), got.text()), (200, "hello"), "{answer}");
        assert_eq!((got.field("content-length"), got.field("transfer-encoding")), (length, coding));
    }
    let got = relay(&gateway, &upstream, &request, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!((got.text(), got.field("content-length")), ("", Some("0")));
}

#[test]
fn answers_without_a_body_have_none() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    for (answer, status) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", 204),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304),
        ("HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n", 304),
    ] {
        let mut client = gateway.client();
        client.send(chat("m", ""));
        let (mut server, _) = upstream.request();
        server.send(answer);
        let head = client.head();
        assert_eq!(head.status(), status, "{answer}");
        assert_eq!(head.field("transfer-encoding"), None, "{answer}");
        if status == 204 {
            assert_eq!(head.field("content-length"), None, "{answer}");
        }
        // No byte of a body follows: the next answer is the next thing there is.
        client.send(get("/v1/models"));
        assert_eq!(client.message().json()["object"], "list");
        drop(server);
    }
}

#[test]
fn interim_answers_come_before_the_final_one() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
    let answer = format!("{interim}HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{{}}");
    let got = relay(&gateway, &upstream, &chat("m", ""), &answer);
    assert_eq!((got.status(), got.text()), (201, "{}"));
    // Also when cut anywhere.
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    for byte in answer.bytes() {
        server.send([byte]);
    }
    assert_eq!(client.message().text(), "{}");
}

#[test]
fn fields_come_down_but_for_those_of_the_connection() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let answer = "HTTP/1.1 200 OK\r\nServer: Model/1\r\nX-RateLimit-Limit-Tokens: 5\r\nset-cookie: a=b\r\n\
        Set-Cookie: c=d\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\n\
        x-request-id: req_1\r\nproxy-authenticate: Basic\r\nupgrade: h2c\r\ncontent-length: 2\r\n\r\n{}";
    let got = relay(&gateway, &upstream, &chat("m", ""), answer);
    assert_eq!(got.field("server"), Some("Model/1"));
    assert_eq!(got.field("x-ratelimit-limit-tokens"), Some("5"));
    assert_eq!(got.head.fields.iter().filter(|(name, _)| name == "set-cookie").count(), 2);
    assert_eq!(got.field("x-upstream-request-id"), Some("req_1"));
    assert_eq!(got.field("x-request-id").map(str::len), Some(32));
    for gone in ["x-hop", "keep-alive", "proxy-authenticate", "upgrade", "connection"] {
        assert_eq!(got.field(gone), None, "{gone}");
    }
}

#[test]
fn fields_go_up_but_for_those_of_the_connection() {
    let upstream = Answering::saying("{}");
    let gateway = Setup::one(&upstream.url(), "").start();
    let request = chat("m", "").replace(
        "host: gateway\r\n",
        "Host: gateway\r\nConnection: keep-alive, X-Hop, host, content-length\r\nX-Hop: 1\r\nTE: trailers\r\n\
         Keep-Alive: 5\r\nUpgrade: h2c\r\nProxy-Authorization: x\r\nProxy-Connection: y\r\nTrailer: z\r\n\
         Authorization: Bearer mine\r\nOpenAI-Organization: org\r\nX-Request-Id: mine\r\nuser-agent: me/1\r\n",
    );
    assert_eq!(gateway.ask(request).status(), 200);
    let asked = &upstream.asked()[0];
    assert_eq!(asked.field("host"), Some(upstream.address.to_string().as_str()));
    assert_eq!(asked.field("authorization"), Some("Bearer mine"));
    assert_eq!(asked.field("openai-organization"), Some("org"));
    assert_eq!(asked.field("user-agent"), Some("me/1"));
    assert_eq!(asked.field("content-type"), Some("application/json"));
    assert_ne!(asked.field("x-request-id"), Some("mine"));
    let gone = ["connection", "x-hop", "te", "keep-alive", "upgrade", "proxy-authorization"];
    for gone in gone.into_iter().chain(["proxy-connection", "trailer"]) {
        assert_eq!(asked.field(gone), None, "{gone}");
    }
}

#[test]
fn bytes_above_ascii_in_values_pass_unchanged() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", "").replace("host:", "x-name: gr\u{fc}\u{df}\r\nhost:"));
    let (mut server, asked) = upstream.request();
    assert_eq!(asked.field("x-name"), Some("gr\u{fc}\u{df}"));
    server.send("HTTP/1.1 200 OK\r\nx-name: \u{4e16}\r\ncontent-length: 2\r\n\r\n{}");
    assert_eq!(client.message().field("x-name"), Some("\u{4e16}"));
}

#[test]
fn a_large_head_passes_up_to_the_bound() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let value = "v".repeat(15 << 10);
    let answer = format!("HTTP/1.1 200 OK\r\nx: {value}\r\ncontent-length: 2\r\n\r\n{{}}");
    let request = chat("m", "").replace("host:", &format!("y: {value}\r\nhost:"));
    let mut client = gateway.client();
    client.send(request);
    let (mut server, asked) = upstream.request();
    assert_eq!(asked.field("y"), Some(value.as_str()));
    server.send(answer);
    assert_eq!(client.message().field("x"), Some(value.as_str()));
}
