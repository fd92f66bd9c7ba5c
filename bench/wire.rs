//! What bytes cost: heads, chunks, events, and the way of an event through a response.

mod harness;

use std::hint::black_box;

use harness::Harness;
use ringway::llm::dialect::Dialect;
use ringway::llm::dialect::Operation;
use ringway::llm::stream::Format;
use ringway::llm::stream::Reader;
use ringway::llm::stream::translate;
use ringway::llm::stream::translate::Translator;
use ringway::llm::usage::Meter;
use ringway::record::RequestId;
use ringway::relay::onward;
use ringway::relay::onward::Onward;
use ringway::relay::response::Asked;
use ringway::relay::response::Response;
use ringway::wire::buffer::Buffers;
use ringway::wire::head::BodyLength;
use ringway::wire::head::Method;
use ringway::wire::head::Version;
use ringway::wire::http1::body::Body;
use ringway::wire::http1::encode;
use ringway::wire::http1::parse;
use ringway::wire::http1::parse::HeadSearch;
use ringway::wire::http1::parse::Slots;
use ringway::wire::sse::Scanner;
use ringway::wire::sse::origin::with_id;

const CURL: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
User-Agent: curl/8.5.0\r\nAccept: */*\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n";

const SDK: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.example.com\r\n\
Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nAccept: application/json\r\n\
Content-Type: application/json\r\nUser-Agent: OpenAI/Python 1.97.1\r\nX-Stainless-Lang: python\r\n\
X-Stainless-Package-Version: 1.97.1\r\nX-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\n\
X-Stainless-Runtime: CPython\r\nX-Stainless-Runtime-Version: 3.11.7\r\n\
Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\nX-Stainless-Async: false\r\n\
X-Stainless-Retry-Count: 0\r\nX-Stainless-Read-Timeout: 600\r\nContent-Length: 500\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nServer: uvicorn\r\n\
Content-Type: application/json\r\nContent-Length: 1024\r\nX-Request-Id: req_0123456789abcdef\r\n\r\n";

const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nServer: uvicorn\r\n\
Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";

const EVENT: &[u8] = b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\
\"model\":\"demo\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"}}]}\n\n";

/// The same from servers that say at each event that they have no usage to say yet.
const EVENT_OF_NO_USAGE: &[u8] = b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\
\"model\":\"demo\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"}}],\"usage\":null}\n\n";

const EVENT_OF_USAGE: &[u8] = b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\
\"model\":\"demo\",\"choices\":[],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,\"total_tokens\":29}}\n\n";

fn main() {
    let mut harness = Harness::from_args();
    heads(&mut harness);
    bodies(&mut harness);
    meters(&mut harness);
    streams(&mut harness);
    relayed(&mut harness);
    harness.finish();
}

fn heads(harness: &mut Harness) {
    for (name, head) in [("curl, 5 fields", CURL), ("SDK, 17 fields", SDK)] {
        harness.run(&format!("request head: {name}"), || {
            let mut search = HeadSearch::default();
            black_box(search.end(black_box(head)).expect("it is well formed"));
            let mut slots = Slots::new();
            black_box(parse::request(head, &mut slots).expect("it is well formed"));
        });
    }
    harness.run("response head: 5 fields", || {
        let mut search = HeadSearch::for_response();
        black_box(search.end(black_box(ANSWER)).expect("it is well formed"));
        let mut slots = Slots::new();
        black_box(parse::response(ANSWER, &mut slots, Method::Post).expect("it is well formed"));
    });
    let mut out = Vec::with_capacity(4 << 10);
    let mut slots = Slots::new();
    let head = parse::request(SDK, &mut slots).expect("it is well formed").expect("it is whole");
    let onward = Onward {
        path_prefix: "",
        path: "/v1/chat/completions",
        host: "127.0.0.1:9001",
        credential: None,
        request_id: b"0123456789abcdef0123456789abcdef",
        identity: &[],
        stripped: &[],
        is_credential_ours: false,
        is_edited: false,
        is_stream: false,
        meters_usage: false,
        last_event_id: b"",
        body_bytes: 500,
    };
    harness.run("encode: the SDK's head, onward", || {
        out.clear();
        onward::encode(black_box(&head), &onward, &mut out);
    });
    harness.run("encode: a chunk of 139 bytes", || {
        out.clear();
        encode::chunk(&mut out, black_box(EVENT));
    });
}

/// Events as a server writes them: each in a chunk of its own.
fn chunked_events(count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    (0..count).for_each(|_| encode::chunk(&mut bytes, EVENT));
    bytes
}

fn bodies(harness: &mut Harness) {
    let one = chunked_events(1);
    let mut body = Body::new(BodyLength::Chunked);
    harness.run("chunked: one event of 139 bytes", || decode(&mut body, black_box(&one)));
    let many = chunked_events(400);
    let mut body = Body::new(BodyLength::Chunked);
    harness.run("chunked: 400 events, 57 KB", || decode(&mut body, black_box(&many)));
    let mut large = Vec::new();
    encode::chunk(&mut large, &vec![b'x'; 64 << 10]);
    let mut body = Body::new(BodyLength::Chunked);
    harness.run("chunked: one chunk of 64 KB", || decode(&mut body, black_box(&large)));
    let mut scanner = Scanner::default();
    harness.run("SSE scan: one event of 139 bytes", || {
        black_box(scanner.feed(black_box(EVENT)));
    });
    let many = EVENT.repeat(400);
    harness.run("SSE scan: 400 events, 56 KB", || {
        black_box(scanner.feed(black_box(&many)));
    });
}

fn decode(body: &mut Body, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let piece = body.next(rest).expect("it is well formed");
        black_box(&rest[piece.body]);
        rest = &rest[piece.consumed..];
    }
}

/// How many tokens it was, read as it passes.
fn meters(harness: &mut Harness) {
    let mut meter = Meter::default();
    for (name, event) in [
        ("one event of 139 bytes", EVENT),
        ("one event, its usage null", EVENT_OF_NO_USAGE),
        ("one event of usage", EVENT_OF_USAGE),
    ] {
        harness.run(&format!("meter: {name}"), || meter.feed_events(black_box(event)));
    }
    let (first, second) = EVENT.split_at(EVENT.len() / 2);
    harness.run("meter: one event in two reads", || {
        meter.feed_events(black_box(first));
        meter.feed_events(black_box(second));
    });
    let many = EVENT.repeat(400);
    harness.run("meter: 400 events, 56 KB", || meter.feed_events(black_box(&many)));
    black_box(meter.usage());
}

/// Events as pieces of a model's stream.
fn streams(harness: &mut Harness) {
    let mut out = Vec::with_capacity(4 << 10);
    let id = b"0001000102030405060708090a0b0c0d0e0f.1234567";
    harness.run("stream: an id put into one event", || {
        out.clear();
        with_id(black_box(EVENT), id, &mut out);
    });
    let mut reader = Reader::new(Format::OpenAi);
    harness.run("stream: one event read", || {
        reader.read(black_box(EVENT), &mut |event| drop(black_box(event)));
    });
    let asked =
        translate::Asked { operation: Operation::Chat, is_stream: true, includes_usage: true };
    let mut translator = Translator::new(Format::Ollama, asked, "demo", &[b'0'; 32], 0);
    let line = b"{\"model\":\"demo\",\"created_at\":\"2026-11-22T12:00:00.000000Z\",\
        \"message\":{\"role\":\"assistant\",\"content\":\" token\"},\"done\":false}\n";
    harness.run("stream: one line of Ollama's translated", || {
        out.clear();
        translator.feed(black_box(line), &mut out).expect("it is well formed");
    });
}

/// What a response does with bytes between the two sockets.
fn relayed(harness: &mut Harness) {
    let buffers = Buffers::default();
    let mut out = Vec::with_capacity(256 << 10);
    let asked = Asked {
        method: Method::Post,
        version: Version::Http11,
        is_keep_alive: true,
        dialect: Dialect::OpenAi,
        request_id: RequestId::new(0x0123_4567_89ab_cdef, 0x0123_4567_89ab_cdef),
        fields: None,
        meters_usage: false,
        keeps_events: false,
        drops_usage_event: false,
        may_open: false,
        holds_errors: false,
    };
    let whole = [ANSWER, &[b'x'; 1024]].concat();
    harness.run("response: head and 1 KB, not streamed", || {
        out.clear();
        let mut response = Response::new(asked.clone());
        response.feed(black_box(&whole), &buffers, &mut out).expect("it is well formed");
        assert!(response.is_done());
    });
    let mut response = Response::new(asked.clone());
    response.feed(STREAM, &buffers, &mut out).expect("it is well formed");
    let one = chunked_events(1);
    harness.run("response: one event of 139 bytes", || {
        out.clear();
        response.feed(black_box(&one), &buffers, &mut out).expect("it is well formed");
    });
    let (first, second) = one.split_at(one.len() / 2);
    harness.run("response: one event in two reads", || {
        out.clear();
        response.feed(black_box(first), &buffers, &mut out).expect("it is well formed");
        response.feed(black_box(second), &buffers, &mut out).expect("it is well formed");
    });
    let many = chunked_events(400);
    harness.run("response: 400 events, 57 KB, in one read", || {
        out.clear();
        response.feed(black_box(&many), &buffers, &mut out).expect("it is well formed");
    });
    let asked = Asked { meters_usage: true, ..asked };
    let mut response = Response::new(asked.clone());
    response.feed(STREAM, &buffers, &mut out).expect("it is well formed");
    harness.run("response: one event of 139 bytes, metered", || {
        out.clear();
        response.feed(black_box(&one), &buffers, &mut out).expect("it is well formed");
    });
    let mut response = Response::new(Asked { drops_usage_event: true, ..asked });
    response.feed(STREAM, &buffers, &mut out).expect("it is well formed");
    harness.run("response: one event of 139 bytes, that of the usage taken out", || {
        out.clear();
        response.feed(black_box(&one), &buffers, &mut out).expect("it is well formed");
    });
}
