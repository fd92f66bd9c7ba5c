//! What goes down of a response that is metered, or of which an event stays here: the same however it is cut.

use super::*;

pub(in crate::relay) const ASKED: Asked = Asked {
    method: Method::Post,
    version: Version::Http11,
    is_keep_alive: true,
    dialect: Dialect::OpenAi,
    request_id: RequestId::new(0x0123_4567_89ab_cdef, 0x0123_4567_89ab_cdef),
    fields: None,
    meters_usage: true,
    keeps_events: false,
    drops_usage_event: true,
    may_open: false,
    holds_errors: false,
};

const USAGE: &str = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7}}"#;

/// What went down.
#[derive(Debug, PartialEq)]
struct Down {
    head: String,
    content: String,
    events: u64,
    content_bytes: u64,
    usage: Option<Usage>,
    is_reusable: bool,
}

fn chunked(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn relay<'b>(asked: &Asked, parts: impl Iterator<Item = &'b [u8]>) -> Down {
    let (buffers, mut out) = (Buffers::default(), Vec::new());
    let mut response = Response::new(asked.clone());
    for part in parts {
        response.feed(part, &buffers, &mut out).unwrap();
    }
    assert!(response.is_done());
    let text = String::from_utf8(out).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut content = String::new();
    if head.contains("transfer-encoding: chunked") {
        let mut rest = body;
        while let Some((size, after)) = rest.split_once("\r\n") {
            let (chunk, after) = after.split_at(usize::from_str_radix(size, 16).unwrap());
            content.push_str(chunk);
            rest = after.strip_prefix("\r\n").unwrap();
        }
        assert!(body.ends_with("0\r\n\r\n"));
    } else {
        content.push_str(body);
    }
    assert_eq!(response.content_bytes, content.len() as u64);
    Down {
        head: head.to_owned(),
        content,
        events: response.events,
        content_bytes: response.content_bytes,
        usage: response.usage(),
        is_reusable: response.is_reusable(),
    }
}

/// The same whole, byte by byte, and cut at every byte.
fn relayed(asked: &Asked, head: &str, body: &str) -> Down {
    let bytes = format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}").into_bytes();
    let whole = relay(asked, std::iter::once(bytes.as_slice()));
    assert_eq!(relay(asked, bytes.chunks(1)), whole);
    for cut in 1..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(relay(asked, [first, second].into_iter()), whole, "at {cut}");
    }
    whole
}

const EVENTS: &str = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n";

fn streamed(asked: &Asked, events: &str) -> Down {
    // In chunks that end anywhere.
    let middle = events.floor_char_boundary(events.len() / 2);
    let (first, second) = events.split_at(middle);
    let body = format!("{}{}0\r\n\r\n", chunked(first), chunked(second));
    relayed(asked, EVENTS, &body)
}

#[test]
fn the_usage_event_stays_here_and_nothing_else_does() {
    let before = "data: {\"choices\":[{}],\"usage\":null}\n\n: ping\n\n";
    let around = [
        (format!("data: {USAGE}\n\n"), ""),
        (format!(": note\nid: 7\nevent: x\ndata:{USAGE}\nretry: 1\n\n"), ""),
        (format!("data: {}\n\n", USAGE.replacen(',', ",\ndata: ", 2)), ""),
        (format!("data: {USAGE}\r\n\r\n"), ""),
        (format!("data: {USAGE}\r\r"), ""),
        (format!("data: {USAGE}\n\ndata: {USAGE}\n\n"), ""),
        (format!("data: {USAGE}\n\n\n"), "\n"),
        ("data: {\"choices\":[],\"x\":1}\n\n".to_owned(), "data: {\"choices\":[],\"x\":1}\n\n"),
    ];
    for (event, kept) in around {
        for after in ["data: [DONE]\n\n", "", "data: {\"cut\":", ": more\r\n\r\n"] {
            let down = streamed(&ASKED, &format!("{before}{event}{after}"));
            assert_eq!(down.content, format!("{before}{kept}{after}"), "{event:?}");
            let has_data = after.starts_with("data: [");
            let events = 1 + u64::from(has_data) + u64::from(kept.starts_with("data"));
            assert_eq!(down.events, events);
            let expected = (!kept.starts_with("data")).then_some(Usage { input: 5, output: 7 });
            assert_eq!(down.usage, expected);
        }
    }
}

#[test]
fn a_client_that_asked_gets_the_usage_event() {
    let events = format!("data: {{}}\n\ndata: {USAGE}\n\ndata: [DONE]\n\n");
    let asked = Asked { drops_usage_event: false, ..ASKED };
    let down = streamed(&asked, &events);
    assert_eq!((down.content, down.events), (events.clone(), 3));
    assert_eq!(down.usage, Some(Usage { input: 5, output: 7 }));
    // A stream is metered as soon as it says anything of the kind, wherever that is cut.
    let asked = Asked { meters_usage: false, ..asked };
    assert_eq!(streamed(&asked, &events).usage, Some(Usage { input: 5, output: 7 }));
    let silent = events.replace("usage", "using");
    assert_eq!(streamed(&asked, &silent).usage, None);
}

#[test]
fn an_event_too_large_to_be_held_is_no_usage_event() {
    for (extra, is_dropped) in [(0, true), (1, false), (70_000, false)] {
        let empty = format!("data: {{\"pad\":\"\",{}\n\n", &USAGE.replacen('{', "", 1));
        let pad = "x".repeat(EVENT_BYTES_HELD_MAX - empty.len() + extra);
        let event = empty.replacen("\"\"", &format!("\"{pad}\""), 1);
        let events = format!("data: 1\n\n{event}data: [DONE]\n\n");
        let bytes = format!("HTTP/1.1 200 OK\r\n{EVENTS}\r\n{}0\r\n\r\n", chunked(&events));
        for size in [bytes.len(), 1, 1000, 16 << 10, 40_000] {
            let down = relay(&ASKED, bytes.as_bytes().chunks(size));
            let expected = if is_dropped { "data: 1\n\ndata: [DONE]\n\n" } else { &events };
            assert_eq!(down.content.len(), expected.len(), "{extra} in parts of {size}");
            assert_eq!(down.content, expected);
            assert_eq!(down.usage, Some(Usage { input: 5, output: 7 }));
        }
    }
}

#[test]
fn a_json_answer_is_metered_and_passes_as_it_came() {
    let body = USAGE;
    let head = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    let down = relayed(&ASKED, &head, body);
    assert_eq!(down.content, body);
    assert_eq!((down.usage, down.is_reusable), (Some(Usage { input: 5, output: 7 }), true));
    let coded = format!("{head}content-encoding: gzip\r\n");
    assert_eq!(relayed(&ASKED, &coded, body).usage, None);
    let events = format!("data: {USAGE}\n\n");
    let coded = format!("{EVENTS}content-encoding: gzip\r\n");
    let down = relayed(&ASKED, &coded, &format!("{}0\r\n\r\n", chunked(&events)));
    assert_eq!((down.usage, down.content), (None, events));
}

#[test]
fn our_limits_stand_in_for_those_of_the_endpoint() {
    let head = "X-RateLimit-Limit-Requests: 9\r\nx-ratelimit-reset: 1\r\nx-ratelimits: 2\r\nretry-after: 3\r\n\
        content-length: 0\r\n";
    let ours = b"x-ratelimit-limit-requests: 10\r\nx-ratelimit-reset-requests: 6m0s\r\n";
    let fields = Some(ours.to_vec().into_boxed_slice());
    let down = relayed(&Asked { fields, ..ASKED }, head, "");
    assert!(down.head.contains(str::from_utf8(ours).unwrap().trim_end()), "{}", down.head);
    let lines: Vec<&str> = down.head.lines().filter(|line| line.contains("-reset: ")).collect();
    assert!(lines.is_empty() && !down.head.contains(": 9"), "{}", down.head);
    assert!(down.head.contains("x-ratelimits: 2") && down.head.contains("retry-after: 3"));
    let down = relayed(&ASKED, head, "");
    assert!(down.head.contains("X-RateLimit-Limit-Requests: 9\r\nx-ratelimit-reset: 1"));
}

#[test]
fn the_head_of_a_stream_waits_for_its_first_content() {
    const HEAD: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let (buffers, mut out) = (Buffers::default(), Vec::new());
    let begun = || {
        let (mut response, mut out) = (Response::new(ASKED), Vec::new());
        for part in [HEAD, b"d\r\ndata", b": 1\n"] {
            response.feed(part, &buffers, &mut out).unwrap();
            assert!(response.is_early() && out.is_empty());
        }
        response
    };
    // Content brings it along, in front.
    let mut response = begun();
    response.feed(b"\ndata", &buffers, &mut out).unwrap();
    let text = String::from_utf8(out.clone()).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.ends_with("9\r\ndata: 1\n\n\r\n"), "{text}");
    assert!(!response.is_early());
    // Where nothing of it went down, there is nothing to add to, and nothing is left of it.
    for end in [Ok(()), Err(())] {
        let mut response = begun();
        out.clear();
        response.probe(&mut out);
        assert_eq!(out, CONTINUE);
        out.clear();
        match end {
            Ok(()) => assert!(response.feed_close(&buffers, &mut out).is_err()),
            Err(()) => assert!(!response.feed_fault(Fault::GapTimedOut, &buffers, &mut out)),
        }
        assert!(out.is_empty());
    }
    // Or it goes by itself, and what comes next goes as it comes.
    let mut response = begun();
    out.clear();
    response.open(&mut out);
    assert!(out.ends_with(b"\r\n\r\n") && !response.is_early());
    out.clear();
    response.feed(b"\nd", &buffers, &mut out).unwrap();
    assert!(out.ends_with(b"data: 1\n\n\r\n") && !out.starts_with(b"HTTP"));
    out.clear();
    // A stream without content is a head and an end.
    let mut response = Response::new(ASKED);
    response.feed(HEAD, &buffers, &mut out).unwrap();
    response.feed(b"0\r\n\r\n", &buffers, &mut out).unwrap();
    assert!(
        response.is_done() && out.starts_with(b"HTTP/1.1 200") && out.ends_with(b"\r\n0\r\n\r\n")
    );
    // Or ends with its connection.
    let mut response = Response::new(ASKED);
    out.clear();
    let until_close = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    response.feed(until_close, &buffers, &mut out).unwrap();
    assert!(out.is_empty());
    response.feed_close(&buffers, &mut out).unwrap();
    assert!(
        response.is_done() && out.starts_with(b"HTTP/1.1 200") && out.ends_with(b"\r\n0\r\n\r\n")
    );
}

#[test]
fn what_is_rare_costs_an_open_stream_little() {
    assert!(size_of::<Response>() <= 208, "{}", size_of::<Response>());
}
