//! One connection, many requests: kept, pipelined, half-closed, slow.

use crate::support::*;

#[test]
fn a_connection_carries_many_requests() {
    let upstream = Answering::with(|asked| ok(asked.text()));
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    for number in 0..20 {
        client.send(chat("m", &format!(",\"user\":\"{number}\"")));
        let answer = client.message();
        assert!(answer.text().contains(&format!("\"user\":\"{number}\"")), "{answer:?}");
        assert_eq!(answer.field("connection"), None);
    }
    assert_eq!(gateway.metric("ringway_connections_accepted_total", &[]), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Answering::with(|asked| ok(asked.text()));
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    let mut all = String::new();
    for number in 0..50 {
        all.push_str(&chat("m", &format!(",\"user\":\"{number}\"")));
        all.push_str(&get("/v1/models"));
        all.push_str(&get("/nothing"));
    }
    client.send(&all);
    for number in 0..50 {
        assert!(client.message().text().contains(&format!("\"user\":\"{number}\"")));
        assert_eq!(client.message().json()["object"], "list");
        assert_eq!(client.message().status(), 404);
    }
    assert!(client.is_silent());
}

/// The bytes of two requests, cut at every place.
#[test]
fn requests_may_be_cut_anywhere() {
    let upstream = Answering::with(|asked| ok(asked.text()));
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    let both =
        format!("{}{}", chat("m", ",\"user\":\"gr\u{fc}\u{df}\""), chat("m", ",\"user\":\"2\""));
    for byte in both.bytes() {
        client.send([byte]);
    }
    assert!(client.message().text().contains("gr\u{fc}\u{df}"));
    assert!(client.message().text().contains("\"2\""));
    for cut in (1..both.len()).step_by(7) {
        client.send(&both.as_bytes()[..cut]);
        client.send(&both.as_bytes()[cut..]);
        assert!(client.message().text().contains("gr\u{fc}\u{df}"));
        assert!(client.message().text().contains("\"2\""));
    }
}

#[test]
fn a_body_may_come_in_chunks() {
    let upstream = Answering::with(|asked| ok(asked.text()));
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n";
    let whole = format!(
        "{head}\r\n5\r\n{{\"mod\r\n0008;a=b;c=\"d\"\r\nel\":\"m\",\r\nC\r\n\"user\":\"xyz\"\r\n1\r\n}}\r\n0\r\n\
         x-trailer: dropped\r\n\r\n"
    );
    let expected = "{\"model\":\"m\",\"user\":\"xyz\"}";
    client.send(&whole);
    assert_eq!(client.message().text(), expected);
    for byte in whole.bytes() {
        client.send([byte]);
    }
    // With the next one right behind.
    client.send(&whole);
    assert_eq!(client.message().text(), expected);
    assert_eq!(client.message().text(), expected);
    for asked in upstream.asked() {
        assert_eq!(asked.field("content-length"), Some("26"));
        assert_eq!(asked.field("transfer-encoding"), None);
        assert_eq!(asked.field("x-trailer"), None);
        assert_eq!(asked.field("trailer"), None);
    }
}

#[test]
fn who_waits_for_a_sign_gets_it() {
    let upstream = Answering::saying("{}");
    let gateway = Setup::one(&upstream.url(), "").start();
    for is_chunked in [false, true] {
        let mut client = gateway.client();
        let whole = chat("m", "").replace("host:", "Expect: 100-Continue\r\nhost:");
        let whole = if is_chunked {
            whole.replace("content-length: 27", "transfer-encoding: chunked")
        } else {
            whole
        };
        let (head, body) = whole.split_once("\r\n\r\n").expect("a head");
        client.send(format!("{head}\r\n\r\n"));
        assert_eq!(client.head().line, "HTTP/1.1 100 Continue");
        if is_chunked {
            client.send(chunk(body));
            client.send("0\r\n\r\n");
        } else {
            client.send(body);
        }
        assert_eq!(client.message().status(), 200);
    }
    // Not needed when the body is there already.
    let mut client = gateway.client();
    client.send(chat("m", "").replace("host:", "expect: 100-continue\r\nhost:"));
    assert_eq!(client.message().status(), 200);
    assert!(upstream.asked().iter().all(|asked| asked.field("expect").is_none()));
}

#[test]
fn who_waits_for_a_sign_in_vain_is_told_why() {
    let upstream = Upstream::start();
    let gateway =
        Setup::one(&upstream.url(), "").listen("limits = { body_bytes_max = 1024 }").start();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nexpect: 100-continue\r\n";
    for (length, path, status) in
        [("5000", "/v1/chat/completions", 413), ("5", "/nothing", 404), ("5", "/v1/models", 405)]
    {
        let mut client = gateway.client();
        let head = head.replace("/v1/chat/completions", path);
        client.send(format!("{head}content-length: {length}\r\n\r\n"));
        let answer = client.message();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.field("connection"), Some("close"));
        client.must_close();
    }
    let mut client = gateway.client();
    client.send("POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nexpect: a-miracle\r\ncontent-length: 2\r\n\r\n{}");
    assert_eq!(client.message().status(), 417);
    assert!(upstream.is_untouched());
}

#[test]
fn a_half_closed_client_gets_its_answers() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    client.send(chat("m", ""));
    client.half_close();
    let (mut server, _) = upstream.request();
    server.send(ok("{\"n\":1}"));
    server.message();
    server.send(ok("{\"n\":2}"));
    assert_eq!(client.final_message().text(), "{\"n\":1}");
    assert_eq!(client.final_message().text(), "{\"n\":2}");
    client.must_close();
    assert_eq!(gateway.metric("ringway_faults_total", &[]), 0);
}

#[test]
fn a_half_closed_client_gets_its_stream() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    client.head();
    client.half_close();
    // To find out whether it is still there, comments may be sent between events.
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        server.send(chunk(&event));
        let mut got = String::new();
        while !got.ends_with(&event) {
            let chunk = client.chunk().expect("an event");
            got.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
        assert_eq!(got.replace(": ping\n\n", ""), event);
    }
    server.send("0\r\n\r\n");
    while let Some(chunk) = client.chunk() {
        assert_eq!(chunk, b": ping\n\n");
    }
    client.must_close();
}

#[test]
fn http10_closes_unless_asked_to_stay() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let old = chat("m", "").replace("HTTP/1.1", "HTTP/1.0").replace("host: gateway\r\n", "");
    let mut client = gateway.client();
    client.send(&old);
    let (mut server, asked) = upstream.request();
    assert_eq!(asked.head.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(asked.field("host"), Some(upstream.address.to_string().as_str()));
    server.send(ok("{}"));
    let answer = client.message();
    assert_eq!((answer.text(), answer.field("connection")), ("{}", Some("close")));
    client.must_close();

    let stays = old.replace("content-type", "Connection: Keep-Alive\r\ncontent-type");
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send(&stays);
        server.message();
        server.send(ok("{}"));
        let answer = client.message();
        assert_eq!((answer.text(), answer.field("connection")), ("{}", Some("keep-alive")));
    }

    // It knows no chunks: what has no length ends with the connection.
    client.send(stays.replace("[]", "[],\"stream\":true").replace("length: 27", "length: 41"));
    server.message();
    server.send(EVENTS);
    server.send(chunk("data: one\n\n"));
    server.send(chunk("data: two\n\n"));
    server.send("0\r\n\r\n");
    let answer = client.message();
    assert_eq!(answer.field("transfer-encoding"), None);
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(answer.text(), "data: one\n\ndata: two\n\n");
}

#[test]
fn close_is_obeyed() {
    let upstream = Answering::saying("{}");
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", "").replace("host:", "connection: x, Close\r\nx: y\r\nhost:"));
    let answer = client.message();
    assert_eq!((answer.status(), answer.field("connection")), (200, Some("close")));
    client.must_close();
    let asked = &upstream.asked()[0];
    assert_eq!((asked.field("connection"), asked.field("x")), (None, None));
}

#[test]
fn a_slow_head_is_given_up_with_408() {
    let upstream = Upstream::start();
    let gateway =
        Setup::one(&upstream.url(), "").listen("limits = { head_timeout_ms = 200 }").start();
    let mut client = gateway.client();
    client.send("POST /v1/chat/completions HTTP/1.1\r\nhost");
    let answer = client.message();
    assert_eq!(answer.status(), 408);
    assert_eq!(answer.field("connection"), Some("close"));
    client.must_close();
    // A byte now and then does not help: the deadline counts from the first.
    let mut client = gateway.client();
    let sending = {
        let stream = client.stream().try_clone().expect("a socket");
        std::thread::spawn(move || {
            for _ in 0..50 {
                std::thread::sleep(std::time::Duration::from_millis(20));
                if std::io::Write::write_all(&mut &stream, b"x").is_err() {
                    return;
                }
            }
        })
    };
    assert_eq!(client.message().status(), 408);
    drop(client);
    sending.join().expect("no panic");
    assert!(upstream.is_untouched());
}

#[test]
fn a_slow_body_is_given_up_with_408() {
    let upstream = Upstream::start();
    let gateway =
        Setup::one(&upstream.url(), "").listen("limits = { body_timeout_ms = 200 }").start();
    let mut client = gateway.client();
    let whole = chat("m", "");
    client.send(&whole.as_bytes()[..whole.len() - 1]);
    assert_eq!(client.message().status(), 408);
    client.must_close();
    assert!(upstream.is_untouched());
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let upstream = Answering::saying("{}");
    let gateway =
        Setup::one(&upstream.url(), "").listen("limits = { idle_timeout_ms = 200 }").start();
    let mut client = gateway.client();
    client.must_close();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    client.message();
    client.must_close();
}

/// Far more than is read ahead: the rest waits in the client's own hands until the first answer is there.
#[test]
fn a_long_pipeline_waits_for_its_turn() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"user\":\"first\""));
    let (mut server, _) = upstream.request();
    let padding = "x".repeat(20_000);
    let requests: String =
        (0..50).map(|number| chat("m", &format!(",\"user\":\"{number}{padding}\""))).collect();
    let sending = client.stream().try_clone().expect("a socket");
    let sending = std::thread::spawn(move || {
        std::io::Write::write_all(&mut &sending, requests.as_bytes()).expect("it is taken in time");
    });
    gateway.await_metric("ringway_requests_open", &[], 1);
    assert!(server.is_silent(), "one after the other");
    server.send(ok("first"));
    assert_eq!(client.message().text(), "first");
    for number in 0..50 {
        let asked = server.message();
        assert!(asked.text().contains(&format!("\"user\":\"{number}x")), "{number}");
        server.send(ok(&number.to_string()));
        assert_eq!(client.message().text(), number.to_string());
    }
    sending.join().expect("no panic");
}

/// As `nc` does: everything at once, and then the end.
#[test]
fn a_client_that_says_all_at_once_gets_its_answer() {
    let upstream = Answering::saying("{}");
    let gateway = Setup::one(&upstream.url(), "").start();
    for request in [
        "GET /v1/models HTTP/1.0\r\n\r\n".to_owned(),
        get("/v1/models"),
        get("/nothing"),
        chat("m", ""),
        chat("none", ""),
        "BAD\r\n\r\n".to_owned(),
    ] {
        let mut client = gateway.client();
        client.send(&request);
        client.half_close();
        let answer = client.final_message();
        assert!(answer.json().is_object(), "{request}: {answer:?}");
        client.must_close();
    }
}
