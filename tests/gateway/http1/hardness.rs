//! Requests that are not sound: refused, the connection closed, and not a byte of them goes on.

use crate::support::*;

/// Sends each of these on a connection of its own, with a sound request right behind that must not be served, and wants
/// this status. The model server must never hear of any of them.
fn refuses(cases: &[(&str, u16)]) {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    for (request, status) in cases {
        let mut client = gateway.client();
        client.send_what_is_taken(request);
        client.send_what_is_taken(get("/v1/models"));
        let answer = client.message();
        let shown: String = request.chars().take(300).collect();
        assert_eq!(answer.status(), *status, "{shown:?} -> {}", answer.text());
        assert_eq!(answer.field("connection"), Some("close"), "{shown:?}");
        assert!(answer.json()["error"]["message"].is_string(), "{shown:?}");
        if *status < 500 {
            assert_eq!(answer.json()["error"]["type"], "invalid_request_error", "{shown:?}");
        }
        let rest = client.until_gone();
        assert_eq!(String::from_utf8_lossy(&rest), "", "{shown:?}");
    }
    assert!(upstream.is_untouched());
    assert_eq!(gateway.metric("ringway_upstream_connections_opened_total", &[]), 0);
    assert_eq!(gateway.metric("ringway_bugs_total", &[]), 0);
    gateway.await_metric("ringway_connections_open", &[], 0);
    // And it serves on.
    assert_eq!(gateway.ask(get("/v1/models")).status(), 200);
}

/// A chat request with these fields and this body.
fn with(fields: &str, body: &str) -> String {
    format!("POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\n{fields}\r\n\r\n{body}")
}

const BODY: &str = "{\"model\":\"m\"}";

fn with_fields(fields: &[&str], status: u16) {
    let requests: Vec<String> = fields.iter().map(|fields| with(fields, BODY)).collect();
    let cases: Vec<(&str, u16)> = requests.iter().map(|text| (text.as_str(), status)).collect();
    refuses(&cases);
}

#[test]
fn two_lengths_and_lengths_that_are_none() {
    with_fields(
        &[
            "content-length: 13\r\ncontent-length: 14",
            "content-length: 13\r\ncontent-length: 13",
            "content-length: 13, 13",
            "content-length: 13, 14",
            "content-length: +13",
            "content-length: -1",
            "content-length: 0xd",
            "content-length: 1 3",
            "content-length:",
            "content-length: 13.0",
            "content-length: 99999999999999999999",
            "content-length: 000000000000000000000000013",
            "content-length: \u{ff11}\u{ff13}",
        ],
        400,
    );
}

#[test]
fn length_and_coding() {
    with_fields(
        &[
            "content-length: 13\r\ntransfer-encoding: chunked",
            "transfer-encoding: chunked\r\ncontent-length: 0",
            "Transfer-Encoding: chunked\r\nContent-Length: 13",
        ],
        400,
    );
}

#[test]
fn codings_that_are_not_plainly_chunked() {
    with_fields(
        &[
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "transfer-encoding: chunked, chunked",
            "transfer-encoding: chunked, gzip",
            "transfer-encoding: xchunked",
            "transfer-encoding: chunkedx",
            "transfer-encoding: chunked;q=1",
            "transfer-encoding: \"chunked\"",
            "transfer-encoding : chunked",
            "transfer-encoding\t: chunked",
            " transfer-encoding: chunked",
            "transfer-encoding:",
            "transfer-encoding: ,chunked",
            "transfer-encoding: chun\u{212a}ed",
            "x: y\r\n transfer-encoding: chunked",
            "x: y\r\n\ttransfer-encoding: chunked",
            "transfer-encoding: \u{b}chunked",
        ],
        400,
    );
    with_fields(&["transfer-encoding: gzip, chunked"], 501);
    refuses(&[(
        "POST /v1/chat/completions HTTP/1.0\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    )]);
}

#[test]
fn line_ends_names_and_values_that_are_none() {
    with_fields(
        &[
            "x: y\nz: a",
            "x: y\rz: a",
            "x: y\r\r\nz: a",
            "x\u{0}: y",
            "x: y\u{0}",
            "x: y\u{1}",
            "x: y\u{7f}",
            ": y",
            "x y: z",
            "x(y): z",
            "x",
            "x: y\r\n folded",
            "\u{e9}: y",
        ],
        400,
    );
    refuses(&[
        ("GET /v1/models HTTP/1.1\nhost: g\n\n", 400),
        ("GET /v1/models HTTP/1.1\r\nhost: g\r\n\n", 400),
        ("GET /v1/models HTTP/1.1\nhost: g\r\n\r\n", 400),
    ]);
}

#[test]
fn hosts() {
    refuses(&[
        ("GET /v1/models HTTP/1.1\r\n\r\n", 400),
        ("GET /v1/models HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        ("GET /v1/models HTTP/1.1\r\nhost: a, b\r\n\r\n", 400),
        ("GET /v1/models HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
        ("GET /v1/models HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
        ("GET /v1/models HTTP/1.1\r\nhost: a@b\r\n\r\n", 400),
        ("GET /v1/models HTTP/1.1\r\nhost: a:port\r\n\r\n", 400),
    ]);
}

#[test]
fn first_lines() {
    let long = format!("GET /{} HTTP/1.1\r\nhost: g\r\n\r\n", "a".repeat(9 << 10));
    refuses(&[
        ("GET /v1/models\r\n\r\n", 400),
        ("GET  /v1/models HTTP/1.1\r\nhost: g\r\n\r\n", 400),
        ("GET /v1/models  HTTP/1.1\r\nhost: g\r\n\r\n", 400),
        ("GET /v1/models HTTP/1.1 \r\nhost: g\r\n\r\n", 400),
        (" GET /v1/models HTTP/1.1\r\nhost: g\r\n\r\n", 400),
        ("get /v1/models HTTP/1.1\r\nhost: g\r\n\r\n", 400),
        ("G\u{0}T /v1/models HTTP/1.1\r\nhost: g\r\n\r\n", 400),
        ("GET /v1/mo\u{e9}dels HTTP/1.1\r\nhost: g\r\n\r\n", 400),
        ("GET /v1/models#x HTTP/1.1\r\nhost: g\r\n\r\n", 400),
        ("GET v1/models HTTP/1.1\r\nhost: g\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nhost: g\r\n\r\n", 400),
        ("GET /v1/models HTTP/2.0\r\nhost: g\r\n\r\n", 505),
        ("GET /v1/models HTTP/1.2\r\nhost: g\r\n\r\n", 505),
        ("GET /v1/models http/1.1\r\nhost: g\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (&long, 414),
    ]);
}

#[test]
fn heads_that_are_too_large() {
    let name = format!("{}: x", "n".repeat(300));
    let value = format!("x: {}", "v".repeat(17 << 10));
    let many = "x: y\r\n".repeat(101);
    let all = format!("x: {}\r\n", "v".repeat(8 << 10)).repeat(5);
    let fields = [name.as_str(), &value, many.trim_end(), all.trim_end()];
    with_fields(&fields, 431);
    // One that never ends, byte by byte in large pieces.
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send_what_is_taken("GET /v1/models HTTP/1.1\r\nhost: g\r\n");
    for _ in 0..40 {
        client.send_what_is_taken(format!("x: {}\r\n", "y".repeat(1000)));
    }
    assert_eq!(client.message().status(), 431);
}

#[test]
fn chunks_that_are_none() {
    let bodies = [
        "\r\n{}\r\n0\r\n\r\n",
        "+d\r\n{\"model\":\"m\"}\r\n0\r\n\r\n",
        "-d\r\n{\"model\":\"m\"}\r\n0\r\n\r\n",
        "0xd\r\n{\"model\":\"m\"}\r\n0\r\n\r\n",
        " d\r\n{\"model\":\"m\"}\r\n0\r\n\r\n",
        "d \r\n{\"model\":\"m\"}\r\n0\r\n\r\n",
        "g\r\n{\"model\":\"m\"}\r\n0\r\n\r\n",
        "0000000000000000d\r\n{\"model\":\"m\"}\r\n0\r\n\r\n",
        "d\n{\"model\":\"m\"}\r\n0\r\n\r\n",
        "d\r{\"model\":\"m\"}\r\n0\r\n\r\n",
        "d\r\n{\"model\":\"m\"}\n0\r\n\r\n",
        "d\r\n{\"model\":\"m\"}x\r\n0\r\n\r\n",
        "d\r\n{\"model\":\"m\"}\rx0\r\n\r\n",
        "d\r\n{\"model\":\"m\"}\r\n0\r\n\n",
        "d\r\n{\"model\":\"m\"}\r\n0\r\nbad trailer\r\n\r\n",
        "d;a=\u{0}b\r\n{\"model\":\"m\"}\r\n0\r\n\r\n",
        "d;a=b\n{\"model\":\"m\"}\r\n0\r\n\r\n",
    ];
    let long = format!("d;{}\r\n{BODY}\r\n0\r\n\r\n", "x".repeat(5 << 10));
    let trailer = format!("d\r\n{BODY}\r\n0\r\nx: {}\r\n\r\n", "x".repeat(9 << 10));
    let requests: Vec<String> =
        bodies.iter().map(|body| with("transfer-encoding: chunked", body)).collect();
    let cases: Vec<(&str, u16)> = requests.iter().map(|text| (text.as_str(), 400)).collect();
    refuses(&cases);
    let upstream = Upstream::start();
    let gateway =
        Setup::one(&upstream.url(), "").listen("limits = { body_timeout_ms = 300 }").start();
    for body in [long, trailer] {
        let answer = gateway.ask(with("transfer-encoding: chunked", &body));
        assert!(matches!(answer.status(), 400 | 431), "{answer:?}");
    }
    assert!(upstream.is_untouched());
    // A size that no memory holds: nothing is set aside for it, nor waited for.
    let answer = gateway.ask(with("transfer-encoding: chunked", "FFFFFFFFFFFFFFFF\r\n{}"));
    assert_eq!(answer.status(), 413);
    assert_eq!(gateway.metric("ringway_bugs_total", &[]), 0);
}

#[test]
fn what_is_no_http_at_all() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0, 0, 0];
    let noise: [&[u8]; 4] =
        [&hello, b"\0\0\0\0\0\0\0\0", b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n", b"\xff\xfe\r\n\r\n"];
    for bytes in noise {
        let mut client = gateway.client();
        client.send(bytes);
        client.half_close();
        let said = client.until_gone();
        let said = String::from_utf8_lossy(&said);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{bytes:?}: {said}");
    }
    assert!(upstream.is_untouched());
    assert_eq!(gateway.metric("ringway_bugs_total", &[]), 0);
}

/// The classic: two readings of the same bytes, of which the second holds a second request.
#[test]
fn nothing_is_smuggled() {
    let upstream = Answering::saying("{}");
    let gateway = Setup::one(&upstream.url(), "").start();
    let inner = "POST /v1/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 5\r\n\r\nsmugg";
    for outer in [
        with("content-length: 13\r\ntransfer-encoding: chunked", &format!("0\r\n\r\n{inner}")),
        with("transfer-encoding: chunked", &format!("0\r\nx: y\n\r\n{inner}")),
        with("transfer-encoding: chunked", &format!("1\n\r\n0\r\n\r\n{inner}")),
        with("content-length: 13, 5", &format!("{BODY}{inner}")),
    ] {
        let mut client = gateway.client();
        client.send_what_is_taken(&outer);
        assert_eq!(client.message().status(), 400, "{outer}");
        assert_eq!(client.until_gone(), b"", "{outer}");
    }
    assert!(upstream.asked().is_empty());
    // As a body it is only a body, whatever it looks like.
    let answer = gateway.ask(post("/v1/models/m/invoke", &format!("{inner:?}")));
    assert_eq!(answer.status(), 200);
    assert_eq!(upstream.asked().len(), 1);
}

#[test]
fn a_few_empty_lines_before_a_request_are_forgiven() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    assert_eq!(gateway.ask(format!("\r\n\r\n{}", get("/v1/models"))).status(), 200);
    let absolute = "GET http://else.where/v1/models HTTP/1.1\r\nhost: g\r\n\r\n";
    assert_eq!(gateway.ask(absolute).status(), 200);
}
