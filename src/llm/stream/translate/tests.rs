//! Answers of Ollama as OpenAI's clients read them, bodies of OpenAI's as Ollama takes them; and both at random.

use serde_json::Value;
use serde_json::json;

use super::oracle::all_asked;
use super::oracle::check;
use super::oracle::translate;
use super::*;

const CHAT: Asked = Asked { operation: Operation::Chat, is_stream: true, includes_usage: true };

const LINES: &str = r#"{"model":"m","created_at":"2025-01-01T00:00:00Z","message":{"role":"assistant","content":"","thinking":"hm"},"done":false}
{"message":{"role":"assistant","content":"Gr\u00fc\u00dfe"},"done":false}

{"message":{"role":"assistant","content":"\n😀"},"done":false}
{"message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":1,"prompt_eval_count":26,"eval_count":3}
"#;

fn stream(asked: Asked, lines: &str) -> String {
    check(lines.as_bytes());
    let (out, done) = translate(Format::Ollama, asked, lines.as_bytes(), 5);
    assert_eq!(done, Ok(()), "{lines}");
    String::from_utf8(out).unwrap()
}

fn body(asked: Asked, lines: &str) -> Value {
    serde_json::from_str(&stream(Asked { is_stream: false, ..asked }, lines)).unwrap()
}

#[test]
fn a_stream_is_what_openai_would_have_sent() {
    let head = r#"{"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","created":1700000000,"model":"a \"model\"","#;
    let chunk = |delta: &str, reason: &str| {
        format!(
            "data: {head}\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{reason}}}],\"usage\":null}}\n\n"
        )
    };
    let expected = [
        chunk(r#"{"role":"assistant","content":""}"#, "null"),
        chunk(r#"{"reasoning":"hm"}"#, "null"),
        chunk(r#"{"content":"Grüße"}"#, "null"),
        chunk(r#"{"content":"\n😀"}"#, "null"),
        chunk("{}", "\"stop\""),
        format!(
            "data: {head}\"choices\":[],\"usage\":{{\"prompt_tokens\":26,\"completion_tokens\":3,\"total_tokens\":29}}}}\n\n"
        ),
        "data: [DONE]\n\n".to_owned(),
    ];
    assert_eq!(stream(CHAT, LINES), expected.concat());
    let unasked = stream(Asked { includes_usage: false, ..CHAT }, LINES);
    assert!(!unasked.contains("usage"));
}

#[test]
fn an_answer_is_one_body() {
    let answer = body(CHAT, LINES);
    let message = json!({"role": "assistant", "content": "Grüße\n😀", "reasoning": "hm"});
    assert_eq!(
        answer["choices"],
        json!([{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}])
    );
    assert_eq!(
        answer["usage"],
        json!({"prompt_tokens": 26, "completion_tokens": 3, "total_tokens": 29})
    );
    // A server that was asked for no stream answers with all of it in one line, without an end.
    let whole =
        r#"{"message":{"content":"all"},"done":true,"done_reason":"length","eval_count":1}"#;
    let answer = body(CHAT, whole);
    assert_eq!(answer["choices"][0]["message"]["content"], "all");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert!(stream(CHAT, whole).contains("\"length\""));
}

#[test]
fn calls_of_tools_are_theirs() {
    let lines = r#"{"message":{"content":"","tool_calls":[{"function":{"name":"f","arguments":{"b":1.50,"a":"ü"}}}]},"done":false}
{"message":{"content":"","tool_calls":[{"id":"call_x","function":{"index":1,"name":"g","arguments":"{}"}},{"function":{"name":"h"}}]},"done":false}
{"message":{"content":""},"done":true,"done_reason":"stop"}"#;
    let answer = body(CHAT, lines);
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let expected = json!([
        call("call_0123456789abcdef0123456789abcdef_0", "f", "{\"b\":1.50,\"a\":\"ü\"}"),
        call("call_x", "g", "{}"),
        call("call_0123456789abcdef0123456789abcdef_2", "h", "{}"),
    ]);
    assert_eq!(answer["choices"][0]["message"]["tool_calls"], expected);
    assert_eq!(answer["choices"][0]["message"]["content"], Value::Null);
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    assert!(answer.get("usage").is_none(), "nobody has said it");
    let events = stream(CHAT, lines);
    assert!(events.contains(r#""tool_calls":[{"index":0,"id":"call_0"#), "{events}");
    assert!(events.contains(r#""tool_calls":[{"index":1,"id":"call_x","#), "{events}");
    assert!(
        events.contains(r#",{"index":2,"id":"#)
            && events.contains(r#""finish_reason":"tool_calls""#)
    );
    assert!(!events.contains("prompt_tokens"));
}

#[test]
fn log_probabilities_stay_as_they_are() {
    let lines = "{\"message\":{\"content\":\"a\"},\"logprobs\":[{\"token\":\"a\",\r \"logprob\":-0.10}],\"done\":false}\n\
        {\"message\":{\"content\":\"b\"},\"logprobs\":[{\"token\":\"b\",\"logprob\":-1}],\"done\":true}";
    let events = stream(CHAT, lines);
    assert!(
        events.contains(r#""logprobs":{"content":[{"token":"a", "logprob":-0.10}]},"#),
        "{events}"
    );
    let answer = body(CHAT, lines);
    let expected =
        json!({"content": [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -1}]});
    assert_eq!(answer["choices"][0]["logprobs"], expected);
}

#[test]
fn text_completions_have_texts() {
    let lines = r#"{"response":"a\n","done":false}
{"response":"b","thinking":"hm","done":false}
{"response":"","done":true,"done_reason":"stop","context":[1,2],"prompt_eval_count":1,"eval_count":2}"#;
    let asked = Asked { operation: Operation::TextCompletion, ..CHAT };
    let events = stream(asked, lines);
    assert!(events.starts_with(
        r#"data: {"id":"cmpl-0123456789abcdef0123456789abcdef","object":"text_completion","#
    ));
    assert!(
        events.contains(
            r#""choices":[{"index":0,"text":"a\n","logprobs":null,"finish_reason":null}]"#
        )
    );
    assert_eq!(events.matches("data: ").count(), 5);
    let answer = body(asked, lines);
    assert_eq!(answer["choices"][0]["text"], "a\nb");
    assert_eq!(answer["usage"]["total_tokens"], 3);
}

#[test]
fn what_goes_wrong_never_looks_complete() {
    let said = r#"{"message":{"content":"a"},"done":false}
{"error":"an \"error\" was encountered"}"#;
    let cut = r#"{"message":{"content":"a"},"done":false}"#;
    let other = "{\"message\":{\"content\":\"a\"},\"done\":false}\n<html>";
    for (lines, expected) in [
        (said, Untranslatable::Said("an \"error\" was encountered".into())),
        (cut, Untranslatable::EndsEarly),
        ("", Untranslatable::EndsEarly),
        (other, Untranslatable::NotItsFormat),
    ] {
        check(lines.as_bytes());
        for asked in all_asked() {
            let (out, done) = translate(Format::Ollama, asked, lines.as_bytes(), 9);
            assert_eq!(done, Err(expected.clone()), "{lines}");
            assert!(!String::from_utf8_lossy(&out).contains("[DONE]"));
            assert!(asked.is_stream || out.is_empty());
        }
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let mut translator = Translator::new(Format::Ollama, CHAT, "m", &[b'0'; 32], 0);
    let mut out = Vec::new();
    let part = vec![b' '; LINE_BYTES_MAX / 2];
    translator.feed(&part, &mut out).unwrap();
    translator.feed(&part, &mut out).unwrap();
    assert_eq!(translator.feed(b" ", &mut out), Err(Untranslatable::TooLong));
    let asked = Asked { is_stream: false, ..CHAT };
    let mut translator = Translator::new(Format::Text, asked, "m", &[b'0'; 32], 0);
    let part = vec![b'x'; ANSWER_BYTES_MAX];
    translator.feed(&part, &mut out).unwrap();
    assert_eq!(translator.feed(b"x", &mut out), Err(Untranslatable::TooLong));
    // A line that is here in one piece has no need of room.
    let mut translator = Translator::new(Format::Ollama, CHAT, "m", &[b'0'; 32], 0);
    let long = format!("{{\"done\":true,\"context\":\"{}\"}}\n", "x".repeat(2 * LINE_BYTES_MAX));
    translator.feed(long.as_bytes(), &mut out).unwrap();
    assert!(out.ends_with(b"data: [DONE]\n\n"));
}

#[test]
fn text_is_told_as_it_comes() {
    let mut translator = Translator::new(Format::Text, CHAT, "m", &[b'0'; 32], 0);
    let mut out = Vec::new();
    let mut told = |bytes: &[u8], translator: &mut Translator| {
        out.clear();
        translator.feed(bytes, &mut out).unwrap();
        let text = String::from_utf8(out.clone()).unwrap();
        (text.matches("data: ").count(), text)
    };
    assert_eq!(told(b"", &mut translator).0, 0);
    let (count, text) = told(b"caf\xc3", &mut translator);
    assert_eq!(count, 2, "the role comes first");
    assert!(text.contains(r#"{"content":"caf"}"#));
    let (count, text) = told(b"\xa9\n", &mut translator);
    assert_eq!(count, 1);
    assert!(text.contains(r#"{"content":"é\n"}"#));
    assert_eq!(told(b"\xe2\x82", &mut translator).0, 0);
    let mut out = Vec::new();
    translator.finish(&mut out).unwrap();
    let text = String::from_utf8(out.clone()).unwrap();
    assert!(text.contains("\u{fffd}") && text.ends_with("data: [DONE]\n\n"));
    assert!(!text.contains("prompt_tokens"), "nobody has said it");
    translator.finish(&mut out).unwrap();
    assert_eq!(out, text.as_bytes(), "it ends once");
}

#[test]
fn what_is_openais_passes() {
    for format in [Format::OpenAi, Format::Anthropic] {
        let (out, done) = translate(format, CHAT, b"data: \xff\n", 1);
        assert_eq!((out.as_slice(), done), (b"data: \xff\n".as_slice(), Ok(())));
    }
}

#[track_caller]
fn up(operation: Operation, body: Value) -> Value {
    let body = body.to_string();
    check(body.as_bytes());
    let mut out = Vec::new();
    body_up(operation, body.as_bytes(), &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn a_chat_goes_up_as_ollama_takes_it() {
    let body = json!({
        "model": "llama3.2", "stream": true, "stream_options": {"include_usage": true}, "temperature": 0.5, "top_p": 0.9,
        "seed": 7, "stop": "x", "max_tokens": 5, "frequency_penalty": 1, "user": "u", "logit_bias": {}, "n": 1,
        "response_format": {"type": "json_object"}, "reasoning_effort": "minimal", "logprobs": true, "top_logprobs": 2,
        "messages": [{"role": "developer", "content": "be brief"}, {"role": "user", "content": "hi"}],
    });
    let expected = json!({
        "model": "llama3.2", "stream": true, "format": "json", "think": "low", "logprobs": true, "top_logprobs": 2,
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "options": {"temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["x"], "num_predict": 5, "frequency_penalty": 1},
    });
    assert_eq!(up(Operation::Chat, body), expected);
    let least = up(Operation::Chat, json!({"model": "m", "messages": [], "temperature": null}));
    assert_eq!(least, json!({"model": "m", "stream": false, "messages": [], "options": {}}));
    let schema = json!({"type": "object", "properties": {"b": {}, "a": {}}});
    let body = json!({
        "messages": [], "stop": ["a", "b"], "max_tokens": 1, "max_completion_tokens": 2, "reasoning_effort": "none",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        "tools": [{"type": "function"}], "tool_choice": "none",
    });
    let expected = json!({
        "stream": false, "messages": [], "options": {"num_predict": 2, "stop": ["a", "b"]}, "think": false, "format": schema,
    });
    assert_eq!(up(Operation::Chat, body), expected);
}

#[test]
fn numbers_and_the_order_of_keys_stay() {
    let body = br#"{"tools":[{"z":1,"a":1.50}],"messages":[{"role":"user","content":"a\u00e9"}],"temperature":1.0}"#;
    let mut out = Vec::new();
    body_up(Operation::Chat, body, &mut out).unwrap();
    let expected = r#"{"stream":false,"tools":[{"z":1,"a":1.50}],"messages":[{"role":"user","content":"a\u00e9"}],"options":{"temperature":1.0}}"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn messages_have_one_text_and_images_beside_it() {
    let body = json!({"messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "what \"is\""},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            {"type": "text", "text": "this"},
            {"type": "image_url", "image_url": "data:;base64,aG8="},
        ]},
        {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c2", "name": "h", "content": "2"},
        {"role": "tool", "tool_call_id": "c3", "content": ""},
    ]});
    let expected = json!([
        {"role": "user", "content": "what \"is\"\nthis", "images": ["aGk=", "aG8="]},
        {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [
            {"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}},
            {"id": "c2", "function": {"name": "g", "arguments": {}}},
        ]},
        {"role": "tool", "content": "1", "tool_call_id": "c1", "tool_name": "f"},
        {"role": "tool", "content": "2", "tool_call_id": "c2", "tool_name": "h"},
        {"role": "tool", "content": "", "tool_call_id": "c3"},
    ]);
    assert_eq!(up(Operation::Chat, body)["messages"], expected);
    let slashes = br#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image\/png;base64,a\/b="}}]}]}"#;
    let mut out = Vec::new();
    body_up(Operation::Chat, slashes, &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().contains(r#""images":["a/b="]"#));
}

#[test]
fn a_text_completion_goes_up() {
    let body =
        json!({"model": "m", "prompt": "say", "suffix": "end", "stream": false, "max_tokens": 3});
    let expected = json!({"model": "m", "prompt": "say", "suffix": "end", "stream": false, "options": {"num_predict": 3}});
    assert_eq!(up(Operation::TextCompletion, body), expected);
    assert_eq!(up(Operation::TextCompletion, json!({"prompt": ["one"]}))["prompt"], "one");
}

#[test]
fn what_ollama_does_not_have_is_refused() {
    let message = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}});
    let call = json!({"function": {"name": "f", "arguments": "[]"}});
    for (operation, body, key) in [
        (Operation::Chat, json!({"messages": [], "n": 2}), "n"),
        (Operation::Chat, json!({}), "messages"),
        (Operation::Chat, json!([]), "messages"),
        (
            Operation::Chat,
            json!({"messages": [], "reasoning_effort": "utmost"}),
            "reasoning_effort",
        ),
        (Operation::Chat, json!({"messages": [{}]}), "role"),
        (Operation::Chat, message(json!([image])), "image_url"),
        (Operation::Chat, message(json!([{"type": "input_audio"}])), "content"),
        (
            Operation::Chat,
            json!({"messages": [{"role": "assistant", "tool_calls": [call]}]}),
            "arguments",
        ),
        (Operation::TextCompletion, json!({"prompt": ["a", "b"]}), "prompt"),
        (Operation::TextCompletion, json!({"prompt": [1, 2]}), "prompt"),
        (Operation::TextCompletion, json!({"prompt": "a", "logprobs": 1}), "logprobs"),
    ] {
        let text = body.to_string();
        check(text.as_bytes());
        let mut out = Vec::new();
        let result = body_up(operation, text.as_bytes(), &mut out);
        assert_eq!(result, Err(Untranslatable::Asks(key)), "{text}");
    }
    assert_eq!(body_up(Operation::Chat, b"{", &mut Vec::new()), Err(Untranslatable::NotItsFormat));
}

#[test]
fn what_ollama_takes_at_openais_paths_stays() {
    let mut out = Vec::new();
    body_up(Operation::Embeddings, b"{\"input\":1}", &mut out).unwrap();
    assert_eq!(out, b"{\"input\":1}");
    assert_eq!(path_up(Operation::Embeddings), "/v1/embeddings");
    assert_eq!(path_up(Operation::Chat), "/api/chat");
    assert_eq!(path_up(Operation::TextCompletion), "/api/generate");
}

#[test]
fn lines_and_bodies_at_random_say_the_same() {
    const LINES: [&str; 12] = [
        r#"{"message":{"content":"a"},"done":false}"#,
        r#"{"message":{"content":"\u00e9\"","thinking":"t"}}"#,
        r#"{"response":"b😀"}"#,
        r#"{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"x":[1,{}]}}}]}}"#,
        r#"{"message":{"tool_calls":[{"id":"i","function":{"name":"f","arguments":"{}"}},3]}}"#,
        r#"{"message":{"content":"b"},"done":true,"done_reason":"length","eval_count":4}"#,
        r#"{"done":true,"prompt_eval_count":1,"message":{"content":null}}"#,
        r#"{"message":3,"logprobs":[{"token":"b"}]}"#,
        r#"{"error":"no"}"#,
        "{",
        " ",
        "[]",
    ];
    let mut seed = 3_u64;
    let mut below = |bound: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from((seed >> 20) % bound as u64).unwrap()
    };
    for _ in 0..500 {
        let lines: Vec<&str> = (0..below(6)).map(|_| LINES[below(LINES.len())]).collect();
        check(lines.join(if below(2) == 0 { "\n" } else { "\r\n" }).as_bytes());
    }
}
