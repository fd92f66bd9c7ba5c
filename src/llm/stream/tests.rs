//! Streams as servers write them; and the same as a tree of serde_json says, for thousands of documents made at random.

use super::oracle::check;
use super::oracle::events_of;
use super::oracle::read;
use super::*;

fn text(text: &str) -> Event<'_> {
    Event::Text { choice: 0, text: text.into() }
}

fn finish(reason: &str) -> Event<'_> {
    Event::Finish { choice: 0, reason: reason.into() }
}

const fn usage(input: u64, output: u64) -> Event<'static> {
    Event::Usage(Usage { input, output })
}

/// What a stream says, less what is nothing; the same with every kind of line end.
#[track_caller]
fn expect(format: Format, stream: &str, expected: &[Event<'_>]) {
    for end in ["\n", "\r\n", "\r"] {
        let stream = stream.replace('\n', end);
        let mut reader = Reader::new(format);
        let events: Vec<Event<'_>> = events_of(stream.as_bytes())
            .into_iter()
            .flat_map(|event| read(&mut reader, event))
            .filter(|event| *event != Event::Other)
            .collect();
        assert_eq!(events, expected, "{stream}");
        check(stream.as_bytes());
    }
}

/// The same of documents, each the data of an event of OpenAI's.
#[track_caller]
fn expect_chunks(documents: &[&str], expected: &[Event<'_>]) {
    let stream: String = documents.iter().map(|document| format!("data: {document}\n\n")).collect();
    expect(Format::OpenAi, &stream, expected);
}

#[test]
fn a_chat_is_read() {
    expect_chunks(
        &[
            r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}"#,
            r#"{"id":"c","choices":[{"index":0,"delta":{"content":"Gr\u00fc\u00dfe \ud83d\ude00\n"},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"content":"b"},"index":2},{"index":1,"delta":{"content":"c"},"finish_reason":"length"}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7}}"#,
            "[DONE]",
        ],
        &[
            text("Grüße \u{1f600}\n"),
            Event::Text { choice: 2, text: "b".into() },
            Event::Text { choice: 1, text: "c".into() },
            Event::Finish { choice: 1, reason: "length".into() },
            finish("stop"),
            usage(5, 7),
            Event::Done,
        ],
    );
}

#[test]
fn what_is_beside_the_text_is_read() {
    expect_chunks(
        &[
            r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
            r#"{"choices":[{"delta":{"content":"a","reasoning":"so"}}]}"#,
            r#"{"choices":[{"delta":{"refusal":"no"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":""}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[],"function_call":{"name":"f"}}}]}"#,
            r#"{"choices":[{"logprobs":{"content":[]},"delta":{"content":"b"}}]}"#,
            r#"{"choices":[{"text":"t","index":0,"logprobs":null,"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"content":7},"index":"x","finish_reason":3}]}"#,
            r#"{"choices":{"delta":{"content":"x"}}}"#,
        ],
        &[
            Event::Reasoning("hm".into()),
            Event::Reasoning("so".into()),
            text("a"),
            text("no"),
            Event::ToolCall,
            Event::ToolCall,
            text("b"),
            Event::Logprobs,
            text("t"),
        ],
    );
}

#[test]
fn a_stream_that_fails_says_why() {
    expect_chunks(
        &[
            r#"{"error":{"message":"too \"long\"","type":"x"}}"#,
            r#"{"error":"gone"}"#,
            r#"{"object":"error","message":"old","code":500}"#,
            r#"{"error":{}}"#,
            r#"{"error":null,"choices":[]}"#,
            r#"{"error":""}"#,
        ],
        &[
            Event::Error("too \"long\"".into()),
            Event::Error("gone".into()),
            Event::Error("old".into()),
            Event::Error("".into()),
        ],
    );
}

#[test]
fn the_responses_api_is_read() {
    let stream = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"usage\":null}}\n\n\
        event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n\
        data: {\"delta\":\"x\",\"type\":\"response.reasoning_summary_text.delta\"}\n\n\
        data: {\"type\":\"response.function_call_arguments.delta\",\"delta\":\"{\"}\n\n\
        data: {\"type\":\"response.output_text.done\",\"text\":\"Hi\"}\n\n\
        data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}}\n\n";
    expect(
        Format::OpenAi,
        stream,
        &[
            text("Hi"),
            Event::Reasoning("x".into()),
            Event::ToolCall,
            finish("completed"),
            usage(3, 4),
            Event::Done,
        ],
    );
    expect_chunks(
        &[
            r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}}"#,
            r#"{"type":"response.failed","response":{"error":{"code":"x","message":"m"}}}"#,
            r#"{"type":"error","code":"x","message":"n","param":null}"#,
        ],
        &[
            finish("max_output_tokens"),
            Event::Done,
            Event::Error("m".into()),
            Event::Error("n".into()),
        ],
    );
}

#[test]
fn a_message_of_anthropic_is_read() {
    let stream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
        event: ping\ndata: {\"type\": \"ping\"}\n\n\
        data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n\
        data: {\"type\":\"content_block_delta\",\"delta\":{\"thinking\":\"hm\",\"type\":\"thinking_delta\"}}\n\n\
        data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"signature_delta\",\"signature\":\"x\"}}\n\n\
        data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"input\":{}}}\n\n\
        data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\"}}\n\n\
        data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":89}}\n\n\
        data: {\"type\":\"message_stop\"}\n\n\
        event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    expect(
        Format::Anthropic,
        stream,
        &[
            usage(25, 1),
            text("Hello"),
            Event::Reasoning("hm".into()),
            Event::ToolCall,
            Event::ToolCall,
            finish("tool_use"),
            usage(25, 89),
            Event::Done,
            Event::Error("Overloaded".into()),
        ],
    );
}

#[test]
fn lines_of_ollama_are_read() {
    let lines = [
        r#"{"model":"llama3.2","created_at":"2025-01-01T00:00:00Z","message":{"role":"assistant","content":"The"},"done":false}"#,
        r#"{"message":{"content":"","thinking":"hm"},"done":false,"logprobs":[{"token":"a"}]}"#,
        r#"{"message":{"content":"","tool_calls":[{"function":{"name":"f","arguments":{}}}]},"done":false}"#,
        r#"{"message":{"content":""},"done":true,"done_reason":"length","prompt_eval_count":26,"eval_count":298}"#,
        r#"{"response":"Hi","done":true,"context":[1,2,3]}"#,
        r#"{"error":"model runner stopped"}"#,
        "",
        "nonsense",
    ];
    let mut reader = Reader::new(Format::Ollama);
    let events: Vec<Event<'_>> =
        lines.iter().flat_map(|line| read(&mut reader, line.as_bytes())).collect();
    let expected = [
        text("The"),
        Event::Reasoning("hm".into()),
        Event::Logprobs,
        Event::ToolCall,
        finish("length"),
        usage(26, 298),
        Event::Done,
        text("Hi"),
        finish("stop"),
        Event::Done,
        Event::Error("model runner stopped".into()),
        Event::Other,
        Event::Other,
    ];
    assert_eq!(events, expected);
    check(lines.join("\n").as_bytes());
}

#[test]
fn what_is_not_whole_says_nothing() {
    for event in [
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]} x\n\n",
        "data: [DONE]\ndata: x\n\n",
        "data: [DONE] \n\n",
        ": [DONE]\n\n",
        "\n",
        "",
    ] {
        let mut reader = Reader::new(Format::OpenAi);
        assert_eq!(read(&mut reader, event.as_bytes()), [Event::Other], "{event:?}");
    }
    let several =
        "\u{feff}data: {\"choices\":\ndata: [{\"delta\":\nid: 1\ndata: {\"content\":\"a\"}}]}\n\n";
    expect(Format::OpenAi, several, &[text("a")]);
    expect(Format::OpenAi, "data: 1\n\n\u{feff}data: [DONE]\n\n", &[]);
}

#[test]
fn text_is_read_as_it_comes() {
    let mut reader = Reader::new(Format::Text);
    assert_eq!(read(&mut reader, b"caf\xc3"), [text("caf")]);
    assert_eq!(read(&mut reader, b"\xa9\n"), [text("é\n")]);
    assert_eq!(read(&mut reader, b""), [Event::Other]);
}

#[test]
fn documents_at_random_are_read_as_serde_json_reads_them() {
    let mut seed = 11_u64;
    for _ in 0..10_000 {
        let mut text = String::new();
        grow(&mut seed, 0, &mut text);
        check(format!("{text}\ndata: {text}\n\n").as_bytes());
    }
}

fn below(seed: &mut u64, bound: usize) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    usize::try_from((*seed >> 20) % bound as u64).unwrap()
}

const KEYS: [&str; 30] = [
    "choices",
    "choices",
    "delta",
    "delta",
    "content",
    "content",
    "text",
    "index",
    "finish_reason",
    "logprobs",
    "reasoning",
    "reasoning_content",
    "refusal",
    "tool_calls",
    "function_call",
    "usage",
    "prompt_tokens",
    "type",
    "type",
    "response",
    "error",
    "message",
    "object",
    "thinking",
    "stop_reason",
    "content_block",
    "done",
    "eval_count",
    "incomplete_details",
    "c\\u006fntent",
];
const SCALARS: [&str; 24] = [
    "1",
    "20",
    "3.0",
    "-4",
    "null",
    "true",
    "\"\"",
    "\"a\\\"\\u00e9\"",
    "\"é\"",
    "\"error\"",
    "4294967296",
    "{}",
    "[]",
    "\"response.output_text.delta\"",
    "\"response.completed\"",
    "\"response.incomplete\"",
    "\"response.failed\"",
    "\"response.reasoning_text.delta\"",
    "\"content_block_start\"",
    "\"content_block_delta\"",
    "\"text_delta\"",
    "\"thinking_delta\"",
    "\"message_delta\"",
    "\"tool_use\"",
];

fn grow(seed: &mut u64, depth: usize, out: &mut String) {
    let kind = if depth == 0 { 0 } else { below(seed, 2 + depth) };
    if kind > 1 {
        out.push_str(SCALARS[below(seed, SCALARS.len())]);
        return;
    }
    out.push_str(if kind == 0 { "{" } else { "[ " });
    for index in 0..below(seed, 5) {
        if index > 0 {
            out.push_str(if below(seed, 2) == 0 { "," } else { " , " });
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
    assert!(size_of::<Reader>() <= 120, "{}", size_of::<Reader>());
}
