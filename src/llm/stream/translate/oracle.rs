//! What a translation must say: the same as the reader finds before it, in JSON that serde_json reads; and of a body that goes
//! up, the same values. Shared by the tests and the fuzz target.

use llm::dialect::Operation;
use llm::stream::Event;
use llm::stream::Format;
use llm::stream::Reader;
use llm::stream::translate::Asked;
use llm::stream::translate::Translator;
use llm::stream::translate::Untranslatable;
use llm::stream::translate::body_up;
use llm::usage::Usage;
use serde_json::Value;
use serde_json::json;
use wire::sse::Scanner;

use super::llm;
use super::wire;

const MODEL: &str = "a \"model\"";
const ID: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
const CREATED_UNIX_S: u64 = 1_700_000_000;

/// What became of an upstream's body that came in steps of so many bytes, and what went down.
pub(crate) fn translate(
    from: Format,
    asked: Asked,
    bytes: &[u8],
    step: usize,
) -> (Vec<u8>, Result<(), Untranslatable>) {
    let mut translator = Translator::new(from, asked, MODEL, ID, CREATED_UNIX_S);
    let mut out = Vec::new();
    for part in bytes.chunks(step.max(1)) {
        if let Err(why) = translator.feed(part, &mut out) {
            return (out, Err(why));
        }
    }
    let finished = translator.finish(&mut out);
    (out, finished)
}

/// What an answer comes to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Whole {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    /// Names and arguments.
    pub(crate) calls: Vec<(String, Value)>,
    pub(crate) reason: String,
    pub(crate) usage: Option<Usage>,
    pub(crate) is_done: bool,
}

impl Whole {
    fn add(&mut self, event: Event<'_>) {
        match event {
            Event::Text { text, .. } => self.text.push_str(&text),
            Event::Reasoning(text) => self.reasoning.push_str(&text),
            Event::Finish { reason, .. } => self.reason = reason.into_owned(),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Done => self.is_done = true,
            Event::Error(_) | Event::ToolCall | Event::Logprobs | Event::Other => {}
        }
    }

    fn add_calls(&mut self, calls: &Value) {
        for call in calls.as_array().into_iter().flatten() {
            let function = &call["function"];
            let arguments = match &function["arguments"] {
                Value::String(text) if !text.is_empty() => {
                    serde_json::from_str(text).unwrap_or(Value::String(text.clone()))
                }
                object @ Value::Object(_) => object.clone(),
                _ => json!({}),
            };
            let name = function["name"].as_str().unwrap_or_default();
            self.calls.push((name.to_owned(), arguments));
        }
    }

    /// What Ollama's lines come to. `None`: they are not what they must be.
    fn of_lines(bytes: &[u8], operation: Operation) -> Option<Self> {
        let mut whole = Self::default();
        let mut reader = Reader::new(Format::Ollama);
        for line in bytes.split(|byte| *byte == b'\n') {
            if whole.is_done || line.trim_ascii().is_empty() {
                continue;
            }
            let tree: Value = serde_json::from_slice(line).ok()?;
            if tree["error"].as_str().is_some_and(|error| !error.is_empty()) {
                return None;
            }
            // Only the line that ends the answer says how many tokens it was.
            whole.usage = None;
            reader.read(line, &mut |event| whole.add(event));
            whole.add_calls(&tree["message"]["tool_calls"]);
        }
        whole.reason = match whole.reason.as_str() {
            _ if !whole.calls.is_empty() => "tool_calls",
            "length" => "length",
            _ => "stop",
        }
        .to_owned();
        if operation == Operation::TextCompletion {
            (whole.reasoning, whole.calls) = (String::new(), Vec::new());
        }
        whole.is_done.then_some(whole)
    }

    /// What events of OpenAI's come to, each of which is checked.
    pub(crate) fn of_events(bytes: &[u8], operation: Operation) -> Self {
        let mut whole = Self::default();
        let mut reader = Reader::new(Format::OpenAi);
        let mut scanner = Scanner::default();
        let mut at = 0;
        while at < bytes.len() {
            assert!(!whole.is_done, "nothing comes behind the end");
            let (length, scan) = scanner.feed_event(&bytes[at..]);
            assert_eq!((scan.boundary, scan.events), (Some(length), 1), "events are whole");
            let event = &bytes[at..at + length];
            at += length;
            reader.read(event, &mut |event| whole.add(event));
            if whole.is_done {
                continue;
            }
            let data = event.strip_prefix(b"data: ").and_then(|data| data.strip_suffix(b"\n\n"));
            let tree: Value = serde_json::from_slice(data.expect("one line")).expect("it is JSON");
            let object = match operation {
                Operation::TextCompletion => "text_completion",
                _ => "chat.completion.chunk",
            };
            check_head(&tree, object);
            whole.add_calls(&tree["choices"][0]["delta"]["tool_calls"]);
        }
        whole
    }

    fn of_body(bytes: &[u8], operation: Operation) -> Self {
        let tree: Value = serde_json::from_slice(bytes).expect("it is JSON");
        let is_chat = operation != Operation::TextCompletion;
        check_head(&tree, if is_chat { "chat.completion" } else { "text_completion" });
        let choice = &tree["choices"][0];
        let message = &choice["message"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut whole = Self {
            text: text(if is_chat { &message["content"] } else { &choice["text"] }),
            reasoning: text(&message["reasoning"]),
            reason: text(&choice["finish_reason"]),
            is_done: true,
            ..Self::default()
        };
        whole.add_calls(&message["tool_calls"]);
        let count = |name: &str| tree["usage"][name].as_u64();
        if let (Some(input), Some(output)) = (count("prompt_tokens"), count("completion_tokens")) {
            assert_eq!(count("total_tokens"), Some(input + output));
            whole.usage = Some(Usage { input, output });
        }
        whole
    }
}

fn check_head(tree: &Value, object: &str) {
    assert_eq!(tree["object"], object);
    assert_eq!(tree["model"], MODEL);
    assert_eq!(tree["created"], CREATED_UNIX_S);
    let id = tree["id"].as_str().unwrap_or_default();
    assert!(id.ends_with("-0123456789abcdef0123456789abcdef"), "{id}");
}

/// All that can be asked for.
pub(crate) fn all_asked() -> impl Iterator<Item = Asked> {
    let operations = [Operation::Chat, Operation::TextCompletion].into_iter();
    operations.flat_map(|operation| {
        [(false, false), (true, false), (true, true)].map(|(is_stream, includes_usage)| Asked {
            operation,
            is_stream,
            includes_usage,
        })
    })
}

/// Panics if of `bytes`, as a body of an upstream, anything else goes down than is in it, or if it matters how it is cut; or if
/// as a body of a client anything else goes up.
pub(crate) fn check(bytes: &[u8]) {
    check_up(bytes);
    for asked in all_asked() {
        check_down(asked, bytes);
    }
}

fn check_down(asked: Asked, bytes: &[u8]) {
    let read = |bytes: &[u8]| match asked.is_stream {
        true => Whole::of_events(bytes, asked.operation),
        false => Whole::of_body(bytes, asked.operation),
    };
    let (out, done) = translate(Format::Ollama, asked, bytes, bytes.len());
    for step in [1, 2, 7] {
        assert_eq!(translate(Format::Ollama, asked, bytes, step), (out.clone(), done.clone()));
    }
    let expected = Whole::of_lines(bytes, asked.operation);
    assert_eq!(done.is_ok(), expected.is_some(), "{done:?}");
    if let Some(mut expected) = expected {
        if asked.is_stream && !asked.includes_usage {
            expected.usage = None;
        }
        assert_eq!(read(&out), expected);
    } else if asked.is_stream {
        assert!(!Whole::of_events(&out, asked.operation).is_done, "it never looks complete");
    } else {
        assert!(out.is_empty());
    }
    for step in [bytes.len(), 1, 3] {
        let (out, done) = translate(Format::Text, asked, bytes, step);
        assert_eq!(done, Ok(()));
        let expected = Whole {
            text: String::from_utf8_lossy(bytes).into_owned(),
            reason: "stop".to_owned(),
            is_done: true,
            ..Whole::default()
        };
        assert_eq!(read(&out), expected, "in steps of {step}");
    }
}

fn check_up(body: &[u8]) {
    for operation in [Operation::Chat, Operation::TextCompletion] {
        let mut out = b"kept".to_vec();
        let result = body_up(operation, body, &mut out);
        let Ok(tree) = serde_json::from_slice::<Value>(body) else {
            assert_eq!(result, Err(Untranslatable::NotItsFormat));
            assert_eq!(out, b"kept");
            continue;
        };
        if let Err(why) = result {
            assert!(matches!(why, Untranslatable::Asks(_)), "{why:?}");
            assert_eq!(out, b"kept");
            continue;
        }
        let up: Value = serde_json::from_slice(&out[4..]).expect("it is JSON");
        assert_eq!(up["stream"], tree["stream"] == true);
        for key in ["model", "keep_alive", "logprobs", "top_logprobs", "suffix"] {
            assert_eq!(up[key], tree[key], "{key}");
        }
        let has_tools = tree["tool_choice"] != "none";
        assert_eq!(up["tools"], if has_tools { tree["tools"].clone() } else { Value::Null });
        for key in ["temperature", "top_p", "seed", "presence_penalty", "frequency_penalty"] {
            assert_eq!(up["options"][key], tree[key], "{key}");
        }
        let most = match &tree["max_completion_tokens"] {
            Value::Null => &tree["max_tokens"],
            newer => newer,
        };
        assert_eq!(up["options"]["num_predict"], *most);
        if operation == Operation::Chat {
            check_messages(&tree["messages"], &up["messages"]);
        }
    }
}

fn check_messages(messages: &Value, up: &Value) {
    let messages = messages.as_array().map(Vec::as_slice).unwrap_or_default();
    let up = up.as_array().expect("they are an array");
    assert_eq!(up.len(), messages.len());
    for (message, up) in messages.iter().zip(up) {
        let role =
            if message["role"] == "developer" { "system".into() } else { message["role"].clone() };
        assert_eq!(up["role"], role);
        let expected = match &message["content"] {
            Value::Array(parts) => {
                let texts = parts.iter().filter(|part| part["type"] == "text");
                let texts =
                    texts.filter_map(|part| part["text"].as_str().filter(|text| !text.is_empty()));
                texts.collect::<Vec<&str>>().join("\n")
            }
            content => content.as_str().unwrap_or_default().to_owned(),
        };
        assert_eq!(up["content"], expected);
        let (mut calls, mut calls_up) = (Whole::default(), Whole::default());
        calls.add_calls(&message["tool_calls"]);
        calls_up.add_calls(&up["tool_calls"]);
        assert_eq!(calls_up.calls, calls.calls);
    }
}
