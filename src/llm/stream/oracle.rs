//! What a tree of serde_json says of a stream, to hold the reader against; shared by the tests and the fuzz target.

use std::borrow::Cow;

use llm::stream::Event;
use llm::stream::Format;
use llm::stream::Reader;
use llm::usage::Meter;
use llm::usage::Usage;
use serde_json::Value;
use wire::sse::Scanner;

use super::llm;
use super::wire;

/// What a piece says, with nothing borrowed.
pub(crate) fn read(reader: &mut Reader, piece: &[u8]) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    reader.read(piece, &mut |event| events.push(owned(event)));
    events
}

fn owned(event: Event<'_>) -> Event<'static> {
    let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    match event {
        Event::Text { choice, text } => Event::Text { choice, text: own(text) },
        Event::Reasoning(text) => Event::Reasoning(own(text)),
        Event::Finish { choice, reason } => Event::Finish { choice, reason: own(reason) },
        Event::Error(text) => Event::Error(own(text)),
        Event::ToolCall => Event::ToolCall,
        Event::Logprobs => Event::Logprobs,
        Event::Usage(usage) => Event::Usage(usage),
        Event::Done => Event::Done,
        Event::Other => Event::Other,
    }
}

/// The whole events (and other runs of lines) of a stream.
pub(crate) fn events_of(bytes: &[u8]) -> Vec<&[u8]> {
    let mut scanner = Scanner::default();
    let (mut events, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (length, scan) = scanner.feed_event(&bytes[at..]);
        if scan.boundary.is_none() {
            break;
        }
        events.push(&bytes[at..at + length]);
        at += length;
    }
    events
}

/// The data of one event, line by line.
fn data_of(event: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> = event.to_vec();
    let (mut lines, mut line, mut at) = (Vec::new(), Vec::new(), 0);
    while at < text.len() {
        match text[at] {
            b'\r' | b'\n' => {
                at += usize::from(text[at..].starts_with(b"\r\n"));
                lines.push(std::mem::take(&mut line));
            }
            byte => line.push(byte),
        }
        at += 1;
    }
    let data: Vec<&[u8]> = lines
        .iter()
        .filter_map(|line| match line.strip_prefix(b"data".as_slice()) {
            Some([]) => Some(&b""[..]),
            Some([b':', b' ', value @ ..] | [b':', value @ ..]) => Some(value),
            _ => None,
        })
        .collect();
    (!data.is_empty()).then(|| data.join(&b'\n'))
}

fn text(value: &Value) -> Option<Cow<'static, str>> {
    value.as_str().filter(|text| !text.is_empty()).map(|text| Cow::Owned(text.to_owned()))
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    }
}

fn count(value: &Value) -> Option<u32> {
    value.as_u64().map(|count| u32::try_from(count).unwrap_or(u32::MAX))
}

/// Whether a number is in it that is too large for a tree to tell how it was written.
fn is_unclear(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number >= 1e19),
        Value::Array(items) => items.iter().any(is_unclear),
        Value::Object(members) => members.values().any(is_unclear),
        _ => false,
    }
}

fn openai(tree: &Value, usage: &mut dyn FnMut() -> Option<Usage>, out: &mut Vec<Event<'static>>) {
    for choice in tree["choices"].as_array().into_iter().flatten() {
        let delta = &choice["delta"];
        let index = count(&choice["index"]).unwrap_or(0);
        let reasoning = text(&delta["reasoning_content"]).or(text(&delta["reasoning"]));
        out.extend(reasoning.map(Event::Reasoning));
        let said = text(&delta["content"]).or(text(&delta["refusal"])).or(text(&choice["text"]));
        out.extend(said.map(|text| Event::Text { choice: index, text }));
        if is_something(&delta["tool_calls"]) || is_something(&delta["function_call"]) {
            out.push(Event::ToolCall);
        }
        if is_something(&choice["logprobs"]) {
            out.push(Event::Logprobs);
        }
        let finish = text(&choice["finish_reason"]);
        out.extend(finish.map(|reason| Event::Finish { choice: index, reason }));
    }
    let kind = tree["type"].as_str().unwrap_or_default();
    if let Some(delta) = text(&tree["delta"]) {
        if ["response.output_text.delta", "response.refusal.delta"].contains(&kind) {
            out.push(Event::Text { choice: 0, text: delta });
        } else if ["text", "summary_text"]
            .iter()
            .any(|part| kind == format!("response.reasoning_{part}.delta"))
        {
            out.push(Event::Reasoning(delta));
        } else if ["function_call_arguments", "custom_tool_call_input", "mcp_call_arguments"]
            .iter()
            .any(|call| kind == format!("response.{call}.delta"))
        {
            out.push(Event::ToolCall);
        }
    }
    let response = &tree["response"];
    let is_end = ["response.completed", "response.incomplete"].contains(&kind);
    if is_end {
        let why = text(&response["incomplete_details"]["reason"]);
        let reason = if kind == "response.completed" { None } else { why };
        let default = kind.replace("response.", "").into();
        out.push(Event::Finish { choice: 0, reason: reason.unwrap_or(default) });
    }
    if tree["usage"].is_object() || response["usage"].is_object() {
        out.extend(usage().map(Event::Usage));
    }
    if is_end {
        out.push(Event::Done);
    }
    let message = |value: &Value| text(&value["message"]).unwrap_or_default();
    let of = |error: &Value| text(error).unwrap_or(message(error));
    if tree["error"].is_object() || text(&tree["error"]).is_some() {
        out.push(Event::Error(of(&tree["error"])));
    } else if kind == "response.failed" {
        out.push(Event::Error(of(&response["error"])));
    } else if kind == "error" || tree["object"] == "error" {
        out.push(Event::Error(message(tree)));
    }
}

fn anthropic(
    tree: &Value,
    usage: &mut dyn FnMut() -> Option<Usage>,
    out: &mut Vec<Event<'static>>,
) {
    let kind = tree["type"].as_str().unwrap_or_default();
    let part = match kind {
        "content_block_start" => &tree["content_block"],
        "content_block_delta" => &tree["delta"],
        _ => &Value::Null,
    };
    match part["type"].as_str().unwrap_or_default() {
        "text" | "text_delta" => {
            out.extend(text(&part["text"]).map(|text| Event::Text { choice: 0, text }));
        }
        "thinking" | "thinking_delta" => {
            out.extend(text(&part["thinking"]).map(Event::Reasoning));
        }
        "tool_use" | "server_tool_use" | "mcp_tool_use" | "input_json_delta" => {
            out.push(Event::ToolCall);
        }
        _ => {}
    }
    if kind == "message_delta" {
        let reason = text(&tree["delta"]["stop_reason"]);
        out.extend(reason.map(|reason| Event::Finish { choice: 0, reason }));
    }
    if tree["usage"].is_object() || tree["message"]["usage"].is_object() {
        out.extend(usage().map(Event::Usage));
    }
    if kind == "message_stop" {
        out.push(Event::Done);
    } else if kind == "error" {
        out.push(Event::Error(text(&tree["error"]["message"]).unwrap_or_default()));
    }
}

fn ollama(tree: &Value, out: &mut Vec<Event<'static>>) {
    if let Some(error) = text(&tree["error"]) {
        return out.push(Event::Error(error));
    }
    let message = &tree["message"];
    let thinking = text(&message["thinking"]).or(text(&tree["thinking"]));
    out.extend(thinking.map(Event::Reasoning));
    let said = text(&message["content"]).or(text(&tree["response"]));
    out.extend(said.map(|text| Event::Text { choice: 0, text }));
    if message["tool_calls"].is_array() && is_something(&message["tool_calls"]) {
        out.push(Event::ToolCall);
    }
    if tree["logprobs"].is_array() && is_something(&tree["logprobs"]) {
        out.push(Event::Logprobs);
    }
    let is_done = tree["done"] == true;
    if is_done {
        let reason = text(&tree["done_reason"]).unwrap_or("stop".into());
        out.push(Event::Finish { choice: 0, reason });
    }
    let counts = [count(&tree["prompt_eval_count"]), count(&tree["eval_count"])];
    if counts != [None, None] {
        let [input, output] = counts.map(|count| count.unwrap_or(0).into());
        out.push(Event::Usage(Usage { input, output }));
    }
    if is_done {
        out.push(Event::Done);
    }
}

/// Panics if the reader makes of `bytes` anything else than a tree does, whatever they are written in.
pub(crate) fn check(bytes: &[u8]) {
    for format in [Format::OpenAi, Format::Anthropic] {
        check_events(format, bytes);
    }
    let mut reader = Reader::new(Format::Ollama);
    for line in bytes.split(|byte| *byte == b'\n') {
        let found = read(&mut reader, line);
        let Ok(tree) = serde_json::from_slice::<Value>(line) else {
            assert_eq!(found, [Event::Other], "{}", String::from_utf8_lossy(line));
            continue;
        };
        let mut expected = Vec::new();
        ollama(&tree, &mut expected);
        compare(&tree, found, expected);
    }
    let mut reader = Reader::new(Format::Text);
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        for event in read(&mut reader, piece) {
            match event {
                Event::Text { text: more, .. } => text.push_str(&more),
                other => assert_eq!(other, Event::Other),
            }
        }
    }
    assert!(String::from_utf8_lossy(bytes).starts_with(&text));
}

fn check_events(format: Format, bytes: &[u8]) {
    let mut reader = Reader::new(format);
    let mut meter = Meter::default();
    for (index, event) in events_of(bytes).into_iter().enumerate() {
        let found = read(&mut reader, event);
        let event = match event.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if index == 0 => rest,
            _ => event,
        };
        let Some(data) = data_of(event) else {
            assert_eq!(found, [Event::Other]);
            continue;
        };
        if data == b"[DONE]" && format == Format::OpenAi {
            assert_eq!(found, [Event::Done]);
            continue;
        }
        let Ok(tree) = serde_json::from_slice::<Value>(&data) else {
            assert_eq!(found, [Event::Other], "{}", String::from_utf8_lossy(&data));
            continue;
        };
        let mut usage = || {
            meter.feed_events(b"\n\n");
            meter.feed_events(event);
            meter.usage()
        };
        let mut expected = Vec::new();
        match format {
            Format::Anthropic => anthropic(&tree, &mut usage, &mut expected),
            _ => openai(&tree, &mut usage, &mut expected),
        }
        compare(&tree, found, expected);
    }
}

fn compare(tree: &Value, found: Vec<Event<'static>>, mut expected: Vec<Event<'static>>) {
    if expected.is_empty() {
        expected.push(Event::Other);
    }
    if !is_unclear(tree) {
        assert_eq!(found, expected, "{tree}");
    }
}
