//! The whole story on streams as vLLM, SGLang and llama.cpp write them, cut behind every event.

use serde_json::Value;
use serde_json::json;

use super::*;

const REQUEST: &str =
    r#"{"model":"m","messages":[{"role":"user","content":"[]\"}"}],"stream":true,"max_tokens":50}"#;

fn event(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

fn chunk(server: &str, delta: &Value, finish: Option<&str>) -> Value {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    let mut chunk = json!({"id": format!("chatcmpl-{server}"), "object": "chat.completion.chunk",
        "created": if server == "a" { 1 } else { 2 }, "model": format!("served-{server}"), "choices": [choice]});
    if server == "a" {
        chunk["system_fingerprint"] = json!("b-1");
    } else {
        chunk["system_fingerprint"] = json!("b-2");
    }
    chunk
}

/// A stream of these words as one of the servers writes it.
fn stream(server: &str, style: &str, words: &[&str], prompt: u32) -> Vec<String> {
    let mut events = Vec::new();
    match style {
        "vllm" | "sglang" => {
            events.push(event(&chunk(server, &json!({"role": "assistant", "content": ""}), None)));
        }
        _ => {
            events.push(event(&chunk(server, &json!({"role": "assistant", "content": null}), None)))
        }
    }
    for word in words {
        let delta = if style == "sglang" {
            json!({"role": "assistant", "content": word})
        } else {
            json!({"content": word})
        };
        events.push(event(&chunk(server, &delta, None)));
    }
    events.push(event(&chunk(server, &json!({}), Some("stop"))));
    let mut last = chunk(server, &json!({}), None);
    last["choices"] = json!([]);
    let said = words.len();
    last["usage"] = json!({"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt as usize + said});
    events.push(event(&last));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

const WORDS: [&str; 6] = ["Hé", "llo \"", "wor", "ld\n", "\u{1f600}", "."];

/// What a client makes of a stream: the text, the roles, the marks, the usage.
fn read(events: &[String]) -> (String, usize, Vec<Value>, Option<Value>) {
    let (mut text, mut roles, mut marks, mut usage) = (String::new(), 0, Vec::new(), None);
    for event in events {
        let data = event.strip_prefix("data: ").unwrap().trim_end();
        if data == "[DONE]" {
            continue;
        }
        let chunk: Value = serde_json::from_str(data).unwrap();
        marks.push(json!([
            chunk["id"],
            chunk["created"],
            chunk["model"],
            chunk["system_fingerprint"]
        ]));
        let delta = &chunk["choices"][0]["delta"];
        text.push_str(delta["content"].as_str().unwrap_or(""));
        roles += usize::from(delta.get("role").is_some());
        if chunk["usage"].is_object() {
            usage = Some(chunk["usage"].clone());
        }
    }
    marks.dedup();
    (text, roles, marks, usage)
}

#[test]
fn a_stream_cut_behind_any_event_goes_on_as_if_it_had_not_been() {
    for style in ["vllm", "sglang", "llama.cpp"] {
        let first = stream("a", style, &WORDS, 10);
        let (whole, _, marks, usage) = read(&first);
        for cut in 0..=WORDS.len() + 1 {
            let mut transcript = Transcript::new(REQUEST.as_bytes(), 1 << 10);
            let mut down: Vec<String> = first[..cut].to_vec();
            for event in &down {
                transcript.note(event.as_bytes());
            }
            assert_eq!(transcript.may_continue(), Ok(()));
            let mut body = Vec::new();
            assert!(transcript.body(REQUEST.as_bytes(), &mut body));
            let said = cut.saturating_sub(1);
            let body: Value = serde_json::from_slice(&body).unwrap();
            if said == 0 {
                assert_eq!(body, serde_json::from_str::<Value>(REQUEST).unwrap());
            } else {
                assert_eq!(
                    body["messages"][1],
                    json!({"role": "assistant", "content": WORDS[..said].concat()})
                );
                assert_eq!(
                    (&body["continue_final_message"], &body["add_generation_prompt"]),
                    (&json!(true), &json!(false))
                );
                assert_eq!(body["max_tokens"], 50 - transcript.tokens());
            }
            let prompt = 10 + transcript.tokens();
            let second = stream("b", style, &WORDS[said..], prompt);
            let mut seam = Seam::new(&transcript);
            for event in second {
                let mut out = Vec::new();
                seam.pass(event.as_bytes(), &mut out);
                let out = String::from_utf8(out).unwrap();
                if !out.is_empty() {
                    down.push(out);
                }
            }
            let (text, roles, all, counted) = read(&down);
            assert_eq!(text, whole, "{style}, cut behind {cut}");
            if cut > 0 {
                assert_eq!(all, marks, "{style}, cut behind {cut}");
                assert_eq!(roles, read(&first[..cut]).1, "{style}, cut behind {cut}");
            }
            assert_eq!(down.last().unwrap(), "data: [DONE]\n\n");
            let (counted, usage) = (counted.unwrap(), usage.clone().unwrap());
            assert_eq!(counted["prompt_tokens"], usage["prompt_tokens"]);
            let sum = |usage: &Value| {
                usage["prompt_tokens"].as_u64().unwrap()
                    + usage["completion_tokens"].as_u64().unwrap()
            };
            assert_eq!(sum(&counted), counted["total_tokens"].as_u64().unwrap());
        }
    }
}

#[test]
fn what_cannot_be_cut_in_two_is_not_continued() {
    let rows = [
        (r#""tools":[{}]"#, Why::ToolCalls),
        (r#""functions":[{}]"#, Why::ToolCalls),
        (r#""logprobs":true"#, Why::Logprobs),
        (r#""top_logprobs":3"#, Why::Logprobs),
        (r#""n":2"#, Why::SeveralChoices),
        (r#""response_format":{"type":"json_object"}"#, Why::Structured),
        (r#""guided_json":{"type":"object"}"#, Why::Structured),
        (r#""continue_final_message":true"#, Why::Continues),
    ];
    for (member, why) in rows {
        let request = format!("{{{member},{}", REQUEST.trim_start_matches('{'));
        assert_eq!(Transcript::new(request.as_bytes(), 99).may_continue(), Err(why), "{member}");
    }
    for member in [
        r#""tools":[]"#,
        r#""logprobs":false"#,
        r#""top_logprobs":0"#,
        r#""n":1"#,
        r#""response_format":{"type":"text"}"#,
        r#""continue_final_message":false"#,
    ] {
        let request = format!("{{{member},{}", REQUEST.trim_start_matches('{'));
        assert_eq!(Transcript::new(request.as_bytes(), 99).may_continue(), Ok(()), "{member}");
    }
    assert_eq!(Transcript::new(b"{", 99).may_continue(), Err(Why::Unreadable));
    let events = [
        (json!({"tool_calls": [{"index": 0}]}), Why::ToolCalls),
        (json!({"reasoning_content": "hm"}), Why::Reasoning),
        (json!({"content": "x".repeat(100)}), Why::TooLong),
    ];
    for (delta, why) in events {
        let mut transcript = Transcript::new(REQUEST.as_bytes(), 99);
        transcript.note(event(&chunk("a", &delta, None)).as_bytes());
        assert_eq!(transcript.may_continue(), Err(why));
        assert!(!transcript.body(REQUEST.as_bytes(), &mut Vec::new()));
    }
    let mut transcript = Transcript::new(REQUEST.as_bytes(), 99);
    transcript.note(event(&chunk("a", &json!({}), Some("stop"))).as_bytes());
    assert_eq!(transcript.may_continue(), Err(Why::Finished));
}

#[test]
fn no_more_tokens_are_asked_for_than_are_left() {
    let request = REQUEST.replace("50", "2");
    let mut transcript = Transcript::new(request.as_bytes(), 99);
    for word in ["a", "b"] {
        transcript.note(event(&chunk("a", &json!({"content": word}), None)).as_bytes());
    }
    assert!(!transcript.body(request.as_bytes(), &mut Vec::new()));
}

#[test]
fn what_cannot_be_read_passes_a_seam_as_it_is() {
    let mut seam = Seam::new(&Transcript::new(REQUEST.as_bytes(), 9));
    for event in
        ["", ": x\n\n", "data: {\n\n", "data: 1\ndata: 2\n\n", "data: [DONE]\r\n\r\n", "id: 1\n\n"]
    {
        let mut out = Vec::new();
        seam.pass(event.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), event);
    }
}
