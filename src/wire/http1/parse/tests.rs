//! Heads of requests and responses: what is read from them and what is refused.

use super::HeadSearch;
use super::Slots;
use super::request;
use super::response;
use crate::wire::Malformed;
use crate::wire::head::BodyLength;
use crate::wire::head::Method;
use crate::wire::head::Version;

fn refused(text: &str) -> Option<Malformed> {
    request(text.as_bytes(), &mut Slots::new()).err()
}

/// A request with these field lines beside Host.
fn refused_with(lines: &str) -> Option<Malformed> {
    refused(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
}

fn answer(text: &str, asked: Method) -> Result<(u16, BodyLength, bool), Malformed> {
    let mut slots = Slots::new();
    let head = response(text.as_bytes(), &mut slots, asked)?.expect("a whole head");
    assert_eq!(head.bytes, text.len());
    Ok((head.status, head.body, head.is_keep_alive))
}

#[test]
fn a_request_is_read() {
    let text = b"POST /v1/chat?x=1 HTTP/1.1\r\nHost: a.example:80\r\nContent-Length: 5\r\n\
        Expect: 100-Continue\r\nX-Empty:\r\nX-Bytes: \xff \r\n\r\nhello";
    let mut slots = Slots::new();
    let head = request(text, &mut slots).expect("is right").expect("is whole");
    assert_eq!(head.bytes, text.len() - 5);
    assert_eq!((head.method, head.method_text), (Method::Post, "POST"));
    assert_eq!((head.path, head.query, head.authority), ("/v1/chat", Some("x=1"), "a.example:80"));
    assert_eq!((head.version, head.body), (Version::Http11, BodyLength::Exact(5)));
    assert!(head.is_keep_alive && head.expects_continue);
    assert_eq!(head.fields.get("x-bytes"), Some(&b"\xff"[..]));
    assert_eq!(head.fields.get("x-empty"), Some(&b""[..]));
    assert_eq!(HeadSearch::default().end(text), Ok(Some(head.bytes)));
}

#[test]
fn a_request_without_its_end_wants_more() {
    let text = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for length in 0..text.len() {
        assert!(matches!(request(&text[..length], &mut Slots::new()), Ok(None)), "{length}");
    }
    assert!(matches!(request(text, &mut Slots::new()), Ok(Some(head)) if head.bytes == text.len()));
}

#[test]
fn connections_go_on_or_not() {
    let rows = [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: Keep-Alive, Close\r\n", false),
        ("HTTP/1.1", "Connection: x\r\nConnection: y ,close\r\n", false),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: keep-alive\r\n", true),
        ("HTTP/1.0", "Connection: keep-alive, close\r\n", false),
    ];
    for (version, lines, is_keep_alive) in rows {
        let text = format!("GET / {version}\r\nHost: a\r\n{lines}\r\n");
        let mut slots = Slots::new();
        let head = request(text.as_bytes(), &mut slots).expect("is right").expect("is whole");
        assert_eq!(head.is_keep_alive, is_keep_alive, "{text}");
        let text = format!("{version} 200 OK\r\nContent-Length: 1\r\n{lines}\r\n");
        let expected = Ok((200, BodyLength::Exact(1), is_keep_alive));
        assert_eq!(answer(&text, Method::Get), expected, "{text}");
    }
}

#[test]
fn requests_are_refused() {
    use Malformed as M;
    let rows = [
        ("GET / HTTP/1.1\r\n\r\n", M::HostMissing),
        ("GET http://a/ HTTP/1.1\r\n\r\n", M::HostMissing),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", M::Method),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", M::VersionUnknown),
        ("GET / HTTP/2\r\nHost: a\r\n\r\n", M::VersionUnknown),
        ("GET / HTTX/1.1\r\nHost: a\r\n\r\n", M::RequestLine),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", M::RequestLine),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", M::RequestLine),
        ("GET /\r\n\r\n", M::VersionMissing),
        ("GET\r\n\r\n", M::RequestLine),
        ("G@T / HTTP/1.1\r\n\r\n", M::Method),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", M::Target),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", M::BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", M::BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", M::BareLineFeed),
        ("GET / HTTP/1.0\n\r\n", M::BareLineFeed),
        ("\nGET / HTTP/1.0\r\n\r\n", M::BareLineFeed),
        ("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n", M::EmptyLines),
        ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", M::BareCarriageReturn),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", M::CodingInHttp10),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", M::Http2Preface),
    ];
    for (text, why) in rows {
        assert_eq!(refused(text), Some(why), "{text:?}");
    }
}

#[test]
fn fields_are_refused() {
    use Malformed as M;
    let rows = [
        ("Host: a\r\n", M::HostRepeated),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", M::LengthRepeated),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", M::LengthRepeated),
        ("Content-Length: 5, 5\r\n", M::LengthInvalid),
        ("Content-Length:\r\n", M::LengthInvalid),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", M::LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", M::LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", M::CodingRepeated),
        ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", M::CodingInvalid),
        ("Transfer-Encoding: gzip, chunked\r\n", M::CodingUnknown),
        ("Transfer-Encoding: \tchunked\r\n", M::CodingInvalid),
        ("Transfer-Encoding: chunked\t \r\n", M::CodingInvalid),
        ("Transfer-Encoding : chunked\r\n", M::FieldName),
        ("X\t: b\r\n", M::FieldName),
        (": b\r\n", M::FieldName),
        ("X\r\n", M::FieldName),
        ("X: a\r\n b\r\n", M::FieldFolded),
        (" X: a\r\n", M::FieldFolded),
        ("X: a\0b\r\n", M::FieldValue),
        ("X: a\x7f\r\n", M::FieldValue),
        ("X(: a\r\n", M::FieldName),
        ("X\u{e9}: a\r\n", M::FieldName),
        ("Expect: 200-ok\r\n", M::Expectation),
    ];
    for (lines, why) in rows {
        assert_eq!(refused_with(lines), Some(why), "{lines:?}");
    }
    let many = "X: a\r\n".repeat(100);
    assert_eq!(refused_with(&many), Some(M::TooManyFields));
    assert_eq!(refused_with(&"X: a\r\n".repeat(99)), None);
    assert_eq!(refused_with(&format!("{}: a\r\n", "X".repeat(257))), Some(M::FieldNameTooLong));
    let value = "a".repeat(16 * 1024 + 1);
    assert_eq!(refused_with(&format!("X: {value}\r\n")), Some(M::FieldValueTooLong));
}

#[test]
fn responses_are_read() {
    use BodyLength as B;
    let rows = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Ok((200, B::Exact(3), true))),
        ("HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", Ok((200, B::Chunked, true))),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", Ok((200, B::Empty, true))),
        ("HTTP/1.1 200 OK\r\n\r\n", Ok((200, B::UntilClose, false))),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", Ok((200, B::UntilClose, false))),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", Ok((204, B::Empty, true))),
        ("HTTP/1.1 304 x\r\nTransfer-Encoding: gzip\r\n\r\n", Ok((304, B::Empty, true))),
        ("HTTP/1.1 100 Continue\r\n\r\n", Ok((100, B::Empty, true))),
        ("HTTP/1.1 103 x\r\nContent-Length: 3\r\n\r\n", Ok((103, B::Empty, true))),
        ("HTTP/1.1 101 x\r\n\r\n", Err(Malformed::SwitchedProtocols)),
        ("HTTP/1.1 099 x\r\n\r\n", Err(Malformed::StatusLine)),
        ("HTTP/1.1 600 x\r\n\r\n", Err(Malformed::StatusLine)),
        ("HTTP/1.1 20 x\r\n\r\n", Err(Malformed::StatusLine)),
        ("HTTP/2 200\r\n\r\n", Err(Malformed::VersionUnknown)),
        ("ICY 200 OK\r\n\r\n", Err(Malformed::StatusLine)),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", Err(Malformed::EmptyLines)),
        ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", Err(Malformed::FieldFolded)),
        ("HTTP/1.1 200 OK\r\nX : a\r\n\r\n", Err(Malformed::FieldName)),
        ("HTTP/1.1 200 OK\nX: a\r\n\r\n", Err(Malformed::BareLineFeed)),
    ];
    for (text, expected) in rows {
        assert_eq!(answer(text, Method::Get), expected, "{text:?}");
    }
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(answer(both, Method::Get), Err(Malformed::LengthAndCoding));
    assert_eq!(answer(both, Method::Head), Ok((200, BodyLength::Empty, true)));
    assert_eq!(answer(both, Method::Connect), Ok((200, BodyLength::Empty, true)));
}
