//! What answers say, however they are cut; and the same as a tree of serde_json says.

use super::Meter;
use super::Usage;
use super::oracle;

fn some(input: u64, output: u64) -> Option<Usage> {
    Some(Usage { input, output })
}

/// The usage of an answer; the same at every split in two, and byte by byte.
fn read(feed: fn(&mut Meter, &[u8]), bytes: &[u8]) -> Option<Usage> {
    let mut meter = Meter::default();
    feed(&mut meter, bytes);
    for cut in 0..=bytes.len() {
        let mut parts = Meter::default();
        feed(&mut parts, &bytes[..cut]);
        feed(&mut parts, &bytes[cut..]);
        assert_eq!(parts.usage(), meter.usage(), "at {cut}");
        assert_eq!(parts.is_usage_event(), meter.is_usage_event(), "at {cut}");
    }
    let mut single = Meter::default();
    bytes.chunks(1).for_each(|byte| feed(&mut single, byte));
    assert_eq!(single.usage(), meter.usage());
    meter.usage()
}

fn json(text: &str) -> Option<Usage> {
    let usage = read(Meter::feed_json, text.as_bytes());
    if let Some(expected) = oracle::of_json(text.as_bytes()) {
        assert_eq!(usage, expected, "{text}");
    }
    usage
}

fn events(text: &str) -> Option<Usage> {
    let usage = read(Meter::feed_events, text.as_bytes());
    assert_eq!(read(Meter::feed_events, text.replace('\n', "\r\n").as_bytes()), usage);
    assert_eq!(read(Meter::feed_events, text.replace('\n', "\r").as_bytes()), usage);
    assert_eq!(read(Meter::feed_events, format!("\u{feff}{text}").as_bytes()), usage);
    usage
}

#[test]
fn answers_of_all_operations_are_read() {
    let rows = [
        (
            r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hi","usage":{"prompt_tokens":99}}}],
            "usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":
            {"cached_tokens":7,"prompt_tokens":1},"completion_tokens_details":{"output_tokens":5,"list":[{"prompt_tokens":3}]}}}"#,
            some(19, 10),
        ),
        (r#"{"object":"list","data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}"#, some(8, 0)),
        (r#"{"results":[],"usage":{"total_tokens":12}}"#, some(12, 0)),
        (
            r#"{"object":"response","output":[],"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":0},
            "output_tokens":87,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":123}}"#,
            some(36, 87),
        ),
        (
            r#"{"type":"message","usage":{"input_tokens":3,"cache_creation_input_tokens":20,"cache_read_input_tokens":
            400,"output_tokens":5,"server_tool_use":{"web_search_requests":1}}}"#,
            some(423, 5),
        ),
        (
            r#"{"usage":{"prompt_tokens":423,"completion_tokens":5,"cache_read_input_tokens":400}}"#,
            some(423, 5),
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(json(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_usage_counts_nothing() {
    for text in [
        "",
        "{}",
        "[]",
        "null",
        r#"[{"usage":{"prompt_tokens":1}}]"#,
        r#"{"usage":null}"#,
        r#"{"usage":[{"prompt_tokens":1}]}"#,
        r#"{"usage":"{\"prompt_tokens\":1}"}"#,
        r#"{"usage":{}}"#,
        r#"{"usage":{"prompt_tokens":null,"completion_tokens":"3","total_tokens":1.5}}"#,
        r#"{"usage":{"prompt_tokens":-1,"completion_tokens":1e3}}"#,
        r#"{"usage":{"details":{"prompt_tokens":1}}}"#,
        r#"{"usage":{"prompt_token":1,"prompt_tokens_":1,"Prompt_tokens":1}}"#,
        r#"{"data":{"usage":{"prompt_tokens":1}}}"#,
        r#"{"message":{"message":{"usage":{"prompt_tokens":1}}}}"#,
        r#"{"message":[{"usage":{"prompt_tokens":1}}]}"#,
        r#"{"x":"usage","y":{"prompt_tokens":1}}"#,
        r#"{"content":"\"usage\":{\"prompt_tokens\":1}"}"#,
        r#"{"content":"\\","text":"{\"usage\":{\"prompt_tokens\":1}}"}"#,
        r#"{"usage":{"prompt_tokens":12"#,
        r#"{"usage":{"prompt_tokens":12,"#,
    ] {
        assert_eq!(json(text), None, "{text}");
    }
}

#[test]
fn odd_ways_to_write_it_are_read() {
    assert_eq!(json(r#"{ "usage" : { "prompt_tokens" : 12 , "x" : [ ] } }"#), some(12, 0));
    assert_eq!(json(r#"{"us\u0061ge":{"\u0070rompt_tokens":12}}"#), some(12, 0));
    assert_eq!(json(r#"{"usage\u0000":{"prompt_tokens":12},"us\nage":{"prompt_tokens":1}}"#), None);
    assert_eq!(json(r#"{"usage":{"prompt_tokens":99999999999}}"#), some(u32::MAX.into(), 0));
    assert_eq!(json(r#"{"usage":{"output_tokens":1,"output_tokens":2}}"#), some(0, 2));
    assert_eq!(json(r#"{"usage":{"output_tokens":1},"usage":null}"#), some(0, 1));
    let nested =
        format!(r#"{{"x":{}{},"usage":{{"prompt_tokens":5}}}}"#, "[".repeat(90), "]".repeat(90));
    assert_eq!(json(&nested), some(5, 0));
}

#[test]
fn streams_of_all_operations_are_read() {
    let chat = "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":{\"}}],\"usage\":null}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":12}}\n\n\
        data: [DONE]\n\n";
    assert_eq!(events(chat), some(5, 7));
    let anthropic = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[],\
        \"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":90,\"output_tokens\":1}}}\n\n\
        event: ping\ndata: {\"type\": \"ping\"}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":15}}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":42}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    assert_eq!(events(anthropic), some(100, 42));
    let responses = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"usage\":null}}\n\n\
        event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"usage\":\
        {\"input_tokens\":1}}],\"usage\":{\"input_tokens\":37,\"output_tokens\":11}}}\n\n";
    assert_eq!(events(responses), some(37, 11));
}

#[test]
fn only_data_lines_of_one_event_are_one_document() {
    let usage = r#"{"usage":{"prompt_tokens":5}}"#;
    for (text, expected) in [
        (format!("id: {usage}\n\n"), None),
        (format!(": {usage}\n\n"), None),
        (format!("datas: {usage}\n\n"), None),
        (format!("data:{usage}\n\n"), some(5, 0)),
        (
            "data: {\"usage\":\ndata: {\"prompt_tokens\":5\nid: 1\ndata: }}\n\n".to_owned(),
            some(5, 0),
        ),
        ("data: {\"usage\":\nid: 1\n: {\ndata: {\"prompt_tokens\":5}}\n\n".to_owned(), some(5, 0)),
        ("data: {\"usage\":\n\ndata: {\"prompt_tokens\":5}}\n\n".to_owned(), None),
        (format!("data: {{\"a\":[\n\ndata: {usage}\n\n"), some(5, 0)),
        (format!("data: {{\"a\":\"\n\ndata: {usage}\n\n"), some(5, 0)),
    ] {
        assert_eq!(events(&text), expected, "{text}");
    }
}

#[test]
fn the_event_of_usage_alone_is_known() {
    let usage = r#""usage":{"prompt_tokens":5}"#;
    for (data, expected) in [
        (format!(r#"{{"choices":[],{usage}}}"#), true),
        (format!(r#"{{{usage},"id":"x","choices" : [ ] }}"#), true),
        (format!(r#"{{"choices":[{{}}],{usage}}}"#), false),
        (format!(r#"{{"choices":["]"],{usage}}}"#), false),
        (format!(r#"{{"choices":[[]],{usage}}}"#), false),
        (format!(r#"{{"choices":null,{usage}}}"#), false),
        (format!(r#"{{"choices":[{{}}],"choices":[],{usage}}}"#), false),
        (format!(r#"{{{usage}}}"#), false),
        (r#"{"choices":[],"usage":null}"#.to_owned(), false),
        (r#"{"choices":[],"prompt_filter_results":[]}"#.to_owned(), false),
        (format!(r#"{{"choices":[],"message":{{{usage}}}}}"#), false),
        (format!(r#"{{"choices":[],{usage}"#), false),
        ("[DONE]".to_owned(), false),
    ] {
        let text = format!(": note\nid: 7\ndata: {data}\n\n");
        let mut meter = Meter::default();
        meter.feed_events(text.as_bytes());
        assert_eq!(meter.is_usage_event(), expected, "{data}");
        read(Meter::feed_events, text.as_bytes());
        meter.feed_events(b"data: {}\n\n");
        assert!(!meter.is_usage_event());
    }
}

#[test]
fn documents_at_random_are_read_as_serde_json_reads_them() {
    let mut seed = 7_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        grow(&mut seed, 0, &mut text);
        let mut meter = Meter::default();
        let cut = below(&mut seed, text.len() + 1);
        meter.feed_json(&text.as_bytes()[..cut]);
        meter.feed_json(&text.as_bytes()[cut..]);
        let expected = oracle::of_json(text.as_bytes()).expect("it is JSON");
        assert_eq!(meter.usage(), expected, "{text}");
        oracle::check(format!("data: {text}\n\n").as_bytes());
    }
}

#[test]
fn streams_at_random_are_read_however_they_are_cut() {
    const EVENTS: [&str; 16] = [
        r#"{"choices":[{"delta":{"content":"a b"}}]}"#,
        r#"{"choices":[{"delta":{"content":"a b"}}],"usage":null}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7}}"#,
        r#"{"usage" : {"prompt_tokens":6}}"#,
        r#"{"us\u0061ge":{"prompt_tokens":8}}"#,
        r#"{"usage":null,"message":{"usage":{"output_tokens":9}}}"#,
        r#"{"content":"\"usage\":{\"prompt_tokens\":1}"}"#,
        r#"{"content":"usage"}"#,
        r#"{"content":"\u00e9\u0075"}"#,
        "[DONE]",
        "",
        "{\ndata: \"usage\":\ndata: {\"prompt_tokens\":3}}",
        "{\nid: 7\ndata: }",
        "1\n: comment",
        r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        r#"{"usage":null{"prompt_tokens":4}"#,
    ];
    let mut seed = 13_u64;
    for _ in 0..800 {
        let mut text = String::new();
        for _ in 0..below(&mut seed, 8) {
            let event = EVENTS[below(&mut seed, EVENTS.len())];
            let begin = ["data: ", "data:", "event: x\ndata: ", ": "][below(&mut seed, 4)];
            text.push_str(&format!("{begin}{event}\n\n"));
        }
        let end = ["\n", "\n", "\r\n", "\r"][below(&mut seed, 4)];
        let text = text.replace('\n', end);
        let rest = &text.as_bytes()[below(&mut seed, text.len() / 4 + 1)..];
        for stream in [text.as_bytes(), rest] {
            oracle::check(stream);
            read(Meter::feed_events, &stream[..stream.len().min(200)]);
        }
    }
}

#[test]
fn what_nobody_has_counted_is_estimated() {
    let chat =
        |text: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#);
    let rows: [(&[String], u64); 9] = [
        (&[], 0),
        (&[chat(""), "[DONE]".to_owned(), "{}".to_owned(), chat("")], 0),
        (&[chat("a"), chat(" b"), chat("c")], 3),
        (&[chat("sixteen letters!"), chat("and eight")], 7),
        (&[chat(r#"\"\n\u00e9\ud83d\ude00\u4e2d\u0041"#)], 3),
        (&[r#"{"choices":[{"text":"12345678"}]}"#.to_owned()], 2),
        (
            &[
                r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"12345"}}"#.to_owned(),
                r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"123"}}"#.to_owned(),
                r#"{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{\"a"}}"#.to_owned(),
            ],
            3,
        ),
        (
            &[
                r#"{"type":"response.output_text.delta","delta":"12345"}"#.to_owned(),
                r#"{"type":"response.output_text.done","text":"12345"}"#.to_owned(),
            ],
            2,
        ),
        (
            &[r#"{"choices": [{"delta": {"tool_calls": [{"function": {"name": "f", "arguments": "{1234567"}}]}}]}"#.to_owned()],
            2,
        ),
    ];
    for (documents, expected) in rows {
        let stream: String = documents.iter().map(|data| format!("data: {data}\n\n")).collect();
        for end in ["\n", "\r\n"] {
            let mut meter = Meter::default();
            meter.feed_events(stream.replace('\n', end).as_bytes());
            assert_eq!(meter.estimate(), expected, "{stream}");
            assert_eq!(meter.usage(), None);
        }
    }
}

#[test]
fn an_event_in_parts_is_one_token() {
    let event = b"data: {\"choices\":[{\"delta\":{\"content\":\"twelve bytes\"}}]}\n\n";
    for cut in 1..event.len() {
        let mut meter = Meter::default();
        meter.feed_events(&event[..cut]);
        meter.feed_events(&event[cut..]);
        assert_eq!(meter.estimate(), 1, "{cut}");
        meter.feed_events(event);
        assert_eq!(meter.estimate(), 3, "{cut}");
    }
}

fn below(seed: &mut u64, bound: usize) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    usize::try_from((*seed >> 20) % bound as u64).unwrap()
}

fn grow(seed: &mut u64, depth: usize, out: &mut String) {
    const KEYS: [&str; 14] = [
        "usage",
        "usage",
        "message",
        "response",
        "choices",
        "prompt_tokens",
        "input_tokens",
        "output_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "completion_tokens",
        "us\\u0061ge",
        "other",
        "",
    ];
    const SCALARS: [&str; 12] = [
        "1",
        "20",
        "3.0",
        "-4",
        "1e2",
        "null",
        "true",
        "\"usage\"",
        "\"\\\"\"",
        "4294967296",
        "{}",
        "[]",
    ];
    let kind = if depth == 0 { 0 } else { below(seed, 3 + depth) };
    if kind > 1 {
        out.push_str(SCALARS[below(seed, SCALARS.len())]);
        return;
    }
    out.push_str(if kind == 0 { "{" } else { "[ " });
    for index in 0..below(seed, 5) {
        if index > 0 {
            out.push_str(if below(seed, 2) == 0 { "," } else { " ,\n" });
        }
        if kind == 0 {
            out.push_str(&format!("\"{}\":", KEYS[below(seed, KEYS.len())]));
        }
        grow(seed, depth + 1, out);
    }
    out.push_str(if kind == 0 { "}" } else { "]" });
}

#[test]
fn the_state_is_small() {
    assert!(size_of::<Meter>() <= 128, "{}", size_of::<Meter>());
}
