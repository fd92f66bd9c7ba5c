//! An error that is held: the same as if it had never been, however it was cut; and bounded.

use std::time::Duration;

use super::*;
use crate::relay::response::Asked;
use crate::relay::response::Response;
use crate::relay::response::tests::ASKED;
use crate::wire::head::Version;

const HOLDS: Asked = Asked { holds_errors: true, ..ASKED };

/// One way to answer, and to be asked.
struct Case {
    name: &'static str,
    asked: Asked,
    bytes: Vec<u8>,
    /// The content, as it is judged.
    body: Vec<u8>,
    has_close: bool,
    is_reusable: bool,
}

const ERROR: &str =
    r#"{"error":{"message":"busy"},"usage":{"prompt_tokens":5,"completion_tokens":7}}"#;

fn case(name: &'static str, head: &str, framed: &[u8], body: &[u8]) -> Case {
    let mut bytes = format!("HTTP/1.1 503 Not Now\r\n{head}\r\n").into_bytes();
    bytes.extend_from_slice(framed);
    let body = body.to_vec();
    Case { name, asked: HOLDS, bytes, body, has_close: false, is_reusable: true }
}

fn with_interim_heads(mut case: Case) -> Case {
    let heads = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    case.bytes.splice(0..0, heads.iter().copied());
    case
}

fn cases() -> Vec<Case> {
    let length = format!("content-length: {}\r\ncontent-type: application/json\r\n", ERROR.len());
    let (first, second) = ERROR.split_at(30);
    let chunks = format!(
        "{:x}\r\n{first}\r\n{:x};x=y\r\n{second}\r\n0\r\nx-end: 1\r\n\r\n",
        first.len(),
        second.len()
    );
    let chunked = "Transfer-Encoding: chunked\r\n";
    let events =
        "data: 1\n\ndata: {\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\ndata: cut";
    let streamed = format!("{:x}\r\n{events}\r\n0\r\n\r\n", events.len());
    let zipped = b"\x1f\x8b\x08\0\xff\r\n\r\n0\r\n\r\n";
    let error = ERROR.as_bytes();
    vec![
        case("length", &length, error, error),
        case("chunks", chunked, chunks.as_bytes(), error),
        Case { has_close: true, is_reusable: false, ..case("until close", "", error, error) },
        case("empty", "content-length: 0\r\n", b"", b""),
        case("no chunk", chunked, b"0\r\n\r\n", b""),
        Case { asked: Asked { method: Method::Head, ..HOLDS }, ..case("HEAD", &length, b"", b"") },
        Case {
            asked: Asked { method: Method::Head, ..HOLDS },
            ..case("HEAD, chunked", chunked, b"", b"")
        },
        case("compressed", "content-encoding: gzip\r\ncontent-length: 14\r\n", zipped, zipped),
        case(
            "events",
            "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n",
            streamed.as_bytes(),
            events.as_bytes(),
        ),
        Case {
            asked: Asked {
                keeps_events: true,
                dialect: crate::llm::dialect::Dialect::Anthropic,
                ..HOLDS
            },
            ..case(
                "events that are kept",
                "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n",
                streamed.as_bytes(),
                events.as_bytes(),
            )
        },
    ]
}

/// The same error to several who asked, and from endpoints that say more.
fn more_cases() -> Vec<Case> {
    let length = format!("content-length: {}\r\n", ERROR.len());
    let chunks = format!("{:x}\r\n{ERROR}\r\n0\r\n\r\n", ERROR.len());
    let (chunked, error) = ("Transfer-Encoding: chunked\r\n", ERROR.as_bytes());
    let all = "Retry-After: 7\r\nretry-after-ms: 6500\r\nkeep-alive: 5\r\nx-request-id: theirs\r\nserver: a\r\n\
        x-should-retry: true\r\nx-ratelimit-limit-requests: 9\r\n";
    vec![
        with_interim_heads(case("interim heads", &length, error, error)),
        with_interim_heads(case("interim heads and chunks", chunked, chunks.as_bytes(), error)),
        Case {
            is_reusable: false,
            ..case("close", &format!("{length}connection: close\r\n"), error, error)
        },
        Case {
            asked: Asked { version: Version::Http10, ..HOLDS },
            ..case("chunks for HTTP/1.0", chunked, chunks.as_bytes(), error)
        },
        Case {
            asked: Asked { version: Version::Http10, ..HOLDS },
            ..case("length for HTTP/1.0", &length, error, error)
        },
        Case {
            asked: Asked { is_keep_alive: false, ..HOLDS },
            ..case("the last of its client", &length, error, error)
        },
        Case {
            asked: Asked {
                fields: Some(b"x-ratelimit-limit-requests: 10\r\n".to_vec().into_boxed_slice()),
                ..HOLDS
            },
            ..case("fields", &format!("{length}{all}"), error, error)
        },
    ]
}

/// All that can be known of a response from outside.
#[derive(Debug, PartialEq)]
struct Shown {
    down: String,
    status: u16,
    events: u64,
    content_bytes: u64,
    usage: Option<crate::llm::usage::Usage>,
    is_done: bool,
    is_reusable: bool,
    is_client_reusable: bool,
    seen: Vec<Vec<u8>>,
}

fn shown(response: &mut Response, down: &[u8]) -> Shown {
    let seen = response.take_seen();
    let seen = seen.iter().flat_map(|seen| seen.events()).map(<[u8]>::to_vec).collect();
    Shown {
        down: String::from_utf8_lossy(down).into_owned(),
        status: response.status,
        events: response.events,
        content_bytes: response.content_bytes,
        usage: response.usage(),
        is_done: response.is_done(),
        is_reusable: response.is_reusable(),
        is_client_reusable: response.is_client_reusable(),
        seen,
    }
}

/// What goes down if nothing is held.
fn passed(case: &Case) -> Shown {
    let (buffers, mut down) = (Buffers::default(), Vec::new());
    let mut response = Response::new(Asked { holds_errors: false, ..case.asked.clone() });
    response.set_timing(Duration::from_micros(15), Duration::from_millis(3));
    response.feed(&case.bytes, &buffers, &mut down).unwrap();
    if case.has_close {
        response.feed_close(&buffers, &mut down).unwrap();
    }
    shown(&mut response, &down)
}

/// The same, held and then released.
fn released(case: &Case, parts: &mut dyn Iterator<Item = &[u8]>) -> Shown {
    let (buffers, mut down) = (Buffers::default(), Vec::new());
    let mut response = Response::new(case.asked.clone());
    response.set_timing(Duration::from_micros(15), Duration::from_millis(3));
    let mut fed = 0;
    for part in parts {
        response.feed(part, &buffers, &mut down).unwrap();
        fed += part.len();
        let is_whole = fed == case.bytes.len() && !case.has_close;
        assert_eq!(response.is_held(), is_whole, "{}: after {fed}", case.name);
        assert!(!response.has_head() && !response.is_done(), "{}", case.name);
    }
    if case.has_close {
        response.feed_close(&buffers, &mut down).unwrap();
    }
    assert!(down.is_empty() && response.is_holding() && !response.is_untouched(), "{}", case.name);
    assert_eq!((response.status, response.content_bytes), (0, 0));
    let held = response.held().expect("it is whole");
    assert_eq!((held.status, held.body), (503, &*case.body), "{}", case.name);
    // As it would be if it were withheld.
    assert_eq!(response.is_reusable(), case.is_reusable, "{}", case.name);
    response.release(false, &buffers, &mut down);
    assert!(!response.is_holding() && response.held().is_none() && response.has_head());
    assert_eq!(buffers.held(), 0, "{}", case.name);
    shown(&mut response, &down)
}

/// Numbers that look as if they were drawn, the same each time.
fn drawn(seed: &mut u64, end: usize) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*seed >> 33).unwrap() % end
}

#[test]
fn a_released_error_is_what_would_have_gone_down() {
    for case in cases().into_iter().chain(more_cases()) {
        let expected = passed(&case);
        assert!(expected.is_done, "{}", case.name);
        assert_eq!(expected.is_reusable, case.is_reusable, "{}", case.name);
        let bytes = &case.bytes;
        assert_eq!(released(&case, &mut [bytes.as_slice()].into_iter()), expected);
        assert_eq!(released(&case, &mut bytes.chunks(1)), expected);
        for cut in 1..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(released(&case, &mut [first, second].into_iter()), expected, "at {cut}");
        }
        let mut seed = 4;
        for _ in 0..100 {
            let mut parts = Vec::new();
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (part, after) = rest.split_at(1 + drawn(&mut seed, rest.len()));
                parts.push(part);
                rest = after;
            }
            assert_eq!(released(&case, &mut parts.iter().copied()), expected, "{parts:?}");
        }
    }
}

#[test]
fn what_is_no_error_is_not_held() {
    for status in [200, 204, 299, 304, 399] {
        let bytes = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
        let (buffers, mut down) = (Buffers::default(), Vec::new());
        let mut response = Response::new(HOLDS);
        response.feed(bytes.as_bytes(), &buffers, &mut down).unwrap();
        assert!(response.has_head() && response.is_done() && !response.is_holding());
        assert!(down.starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
        response.release(true, &buffers, &mut down);
        assert!(!down.windows(7).any(|part| part == b"x-shoul"), "nothing was held");
    }
}

fn told(bytes: &str, is_exhausted: bool) -> String {
    let (buffers, mut down) = (Buffers::default(), Vec::new());
    let mut response = Response::new(HOLDS);
    response.feed(bytes.as_bytes(), &buffers, &mut down).unwrap();
    response.release(is_exhausted, &buffers, &mut down);
    String::from_utf8(down).unwrap()
}

#[test]
fn an_exhausted_gateway_says_so_and_the_endpoint_does_not_contradict_it() {
    for theirs in
        ["", "X-Should-Retry: true\r\n", "x-should-retry: false\r\nx-should-retry: true\r\n"]
    {
        let bytes = format!("HTTP/1.1 529 X\r\n{theirs}content-length: 2\r\n\r\n{{}}");
        let plain = told(&bytes, false);
        assert!(plain.contains(theirs), "{plain}");
        let ours = told(&bytes, true);
        assert_eq!(ours.to_lowercase().matches("x-should-retry").count(), 1, "{ours}");
        assert!(ours.contains("\r\nx-should-retry: false\r\n") && ours.ends_with("\r\n\r\n{}"));
        let without = |text: &str| {
            let lines = text.split_inclusive("\r\n");
            let kept = lines.filter(|line| !line.to_lowercase().starts_with("x-should-retry"));
            kept.collect::<String>()
        };
        assert_eq!(without(&ours), without(&plain));
    }
}

#[test]
fn when_to_ask_again_is_there_to_be_judged() {
    let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
    for (fields, retry_after, retry_after_ms) in [
        ("", None, None),
        ("Retry-After: 7\r\n", Some(&b"7"[..]), None),
        ("retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n", Some(&date[..]), None),
        ("Retry-After-Ms: 1500\r\nretry-after:  2 \r\n", Some(b"2"), Some(&b"1500"[..])),
    ] {
        let (buffers, mut down) = (Buffers::default(), Vec::new());
        let mut response = Response::new(HOLDS);
        let bytes = format!("HTTP/1.1 429 X\r\n{fields}content-length: 2\r\n\r\n{{}}");
        response.feed(bytes.as_bytes(), &buffers, &mut down).unwrap();
        let expected = Held { status: 429, retry_after, retry_after_ms, body: b"{}" };
        assert_eq!(response.held(), Some(expected));
    }
}

/// Head and content of what went down.
fn content(down: &[u8]) -> (String, Vec<u8>) {
    let end = down.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
    let (head, mut rest) = down.split_at(end);
    let head = String::from_utf8(head.to_vec()).unwrap();
    if !head.contains("transfer-encoding: chunked") {
        return (head, rest.to_vec());
    }
    let (mut body, mut content) = (Body::new(BodyLength::Chunked), Vec::new());
    while !rest.is_empty() {
        let piece = body.next(rest).unwrap();
        content.extend_from_slice(&rest[piece.body]);
        rest = &rest[piece.consumed..];
    }
    assert!(body.is_end());
    (head, content)
}

#[test]
fn an_error_larger_than_may_be_held_goes_down() {
    const MAX: usize = ERROR_BYTES_HELD_MAX;
    for bytes in [MAX - 1, MAX, MAX + 1, MAX * 3] {
        let body: Vec<u8> = (0..bytes).map(|at| b'a' + u8::try_from(at % 23).unwrap()).collect();
        let mut chunked = Vec::new();
        for part in body.chunks(40_000) {
            crate::wire::http1::encode::chunk(&mut chunked, part);
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        let length = format!("content-length: {bytes}\r\n");
        for case in [
            case("length", &length, &body, &body),
            case("chunks", "transfer-encoding: chunked\r\n", &chunked, &body),
            Case { has_close: true, is_reusable: false, ..case("until close", "", &body, &body) },
        ] {
            for step in [case.bytes.len(), 1000, 16 << 10, 64 << 10, MAX + 70] {
                let (buffers, mut down) = (Buffers::default(), Vec::new());
                let mut response = Response::new(case.asked.clone());
                for part in case.bytes.chunks(step) {
                    response.feed(part, &buffers, &mut down).unwrap();
                    assert!(buffers.held() <= MAX * 2, "{}", buffers.held());
                }
                if case.has_close {
                    response.feed_close(&buffers, &mut down).unwrap();
                }
                let is_held = bytes <= MAX;
                assert_eq!(response.is_held(), is_held, "{} of {bytes} by {step}", case.name);
                assert_eq!(down.is_empty(), is_held);
                response.release(false, &buffers, &mut down);
                let expected = passed(&case);
                let (head, whole) = content(&down);
                assert!(expected.down.replace(TIMING, "").starts_with(&head), "{head}");
                assert!(whole == body, "{} of {bytes} by {step}", case.name);
                assert_eq!(response.content_bytes, bytes as u64);
                assert!(response.is_done() && response.is_client_reusable());
                assert_eq!(response.is_reusable(), case.is_reusable);
                assert_eq!(buffers.held(), 0);
            }
        }
    }
}

const TIMING: &str = "server-timing: ringway;dur=0.015, upstream;dur=3.000\r\n";

#[test]
fn what_breaks_while_it_is_held_leaves_no_trace() {
    let chunked = "HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    let exact = "HTTP/1.1 500 X\r\ncontent-length: 9\r\n\r\nhalf";
    for bytes in [chunked, exact] {
        for step in [1, 7, 100] {
            let (buffers, mut down) = (Buffers::default(), Vec::new());
            let mut response = Response::new(HOLDS);
            for part in bytes.as_bytes().chunks(step) {
                response.feed(part, &buffers, &mut down).unwrap();
            }
            assert_eq!(response.feed_close(&buffers, &mut down), Err(Malformed::Truncated.into()));
            assert!(down.is_empty() && response.held().is_none() && response.is_holding());
            assert!(!response.has_head() && !response.is_untouched() && !response.is_reusable());
            assert!(!response.feed_fault(
                crate::record::Fault::UpstreamTruncated,
                &buffers,
                &mut down
            ));
            assert!(down.is_empty());
            drop(response);
            assert_eq!(buffers.held(), 0);
        }
    }
    let (buffers, mut down) = (Buffers::default(), Vec::new());
    let mut response = Response::new(HOLDS);
    let bytes = format!("{chunked}zz\r\n");
    assert!(response.feed(bytes.as_bytes(), &buffers, &mut down).is_err());
    assert!(down.is_empty() && response.held().is_none() && !response.is_reusable());
}

#[test]
fn bytes_after_the_end_make_the_connection_unusable() {
    let bytes = "HTTP/1.1 500 X\r\ncontent-length: 4\r\n\r\nhalfHTTP/1.1 200 OK\r\n";
    for cut in 1..bytes.len() {
        for is_released in [false, true] {
            let (buffers, mut down) = (Buffers::default(), Vec::new());
            let mut response = Response::new(HOLDS);
            let (first, second) = bytes.as_bytes().split_at(cut);
            response.feed(first, &buffers, &mut down).unwrap();
            response.feed(second, &buffers, &mut down).unwrap();
            assert_eq!(response.held().unwrap().body, b"half");
            if is_released {
                response.release(false, &buffers, &mut down);
                assert!(down.ends_with(b"\r\n\r\nhalf") && response.is_client_reusable());
            }
            assert!(!response.is_reusable(), "at {cut}");
        }
    }
}
