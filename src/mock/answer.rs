//! The JSON around the words of an answer, in the shape of each API.

use std::fmt::Write as _;

use super::ask::Shape;

/// When every model answered: a constant, so that answers are alike.
const CREATED: u64 = 1_760_000_000;

/// A string as JSON, with its quotes.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A string as the inside of a JSON string.
pub(super) fn escaped(text: &str) -> String {
    let quoted = quoted(text);
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// What stands before and after the words in one event of a stream.
pub(super) fn event(shape: Shape, model: &str) -> (String, String) {
    let model = quoted(model);
    match shape {
        Shape::Completion => (
            format!(
                "data: {{\"id\":\"cmpl-mock\",\"object\":\"text_completion\",\"created\":{CREATED},\"model\":{model},\
                 \"choices\":[{{\"index\":0,\"text\":\""
            ),
            "\",\"logprobs\":null,\"finish_reason\":null}]}\n\n".to_owned(),
        ),
        Shape::Responses => (
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_mock\",\
             \"output_index\":0,\"content_index\":0,\"delta\":\""
                .to_owned(),
            "\"}\n\n".to_owned(),
        ),
        Shape::Messages => (
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
             \"delta\":{\"type\":\"text_delta\",\"text\":\""
                .to_owned(),
            "\"}}\n\n".to_owned(),
        ),
        Shape::Chat | Shape::Embeddings | Shape::Invoke => (
            format!("{}\"delta\":{{\"content\":\"", chat_head(&model)),
            "\"},\"finish_reason\":null}]}\n\n".to_owned(),
        ),
    }
}

fn chat_head(quoted_model: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":{CREATED},\
         \"model\":{quoted_model},\"choices\":[{{\"index\":0,"
    )
}

/// Events before the first words.
pub(super) fn opening(shape: Shape, model: &str, out: &mut String) {
    let model = quoted(model);
    match shape {
        Shape::Chat => {
            out.push_str(&chat_head(&model));
            out.push_str(
                "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
            );
        }
        Shape::Responses => named(
            out,
            "response.created",
            &format!(
                "\"response\":{{\"id\":\"resp_mock\",\"object\":\"response\",\"created_at\":{CREATED},\
                 \"status\":\"in_progress\",\"model\":{model},\"output\":[]}}"
            ),
        ),
        Shape::Messages => {
            named(
                out,
                "message_start",
                &format!(
                    "\"message\":{{\"id\":\"msg_mock\",\"type\":\"message\",\"role\":\"assistant\",\"model\":{model},\
                     \"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\
                     \"usage\":{{\"input_tokens\":1,\"output_tokens\":1}}}}"
                ),
            );
            let block = "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}";
            named(out, "content_block_start", block);
        }
        Shape::Completion | Shape::Embeddings | Shape::Invoke => {}
    }
}

/// Events after the last words, the end mark of the API included.
pub(super) fn closing(
    shape: Shape,
    model: &str,
    usage: Usage,
    include_usage: bool,
    out: &mut String,
) {
    let name = quoted(model);
    match shape {
        Shape::Responses => named(
            out,
            "response.completed",
            &format!(
                "\"response\":{{\"id\":\"resp_mock\",\"object\":\"response\",\"created_at\":{CREATED},\
                 \"status\":\"completed\",\"model\":{name},\"output\":[],\
                 \"usage\":{{\"input_tokens\":{},\"output_tokens\":{},\"total_tokens\":{}}}}}",
                usage.input,
                usage.output,
                usage.input + usage.output
            ),
        ),
        Shape::Messages => {
            named(out, "content_block_stop", "\"index\":0");
            named(
                out,
                "message_delta",
                &format!(
                    "\"delta\":{{\"stop_reason\":\"end_turn\",\"stop_sequence\":null}},\
                     \"usage\":{{\"output_tokens\":{}}}",
                    usage.output
                ),
            );
            out.push_str("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
        }
        Shape::Completion => {
            let (before, _) = event(shape, model);
            out.push_str(&before);
            out.push_str("\",\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
        }
        Shape::Chat | Shape::Embeddings | Shape::Invoke => {
            out.push_str(&chat_head(&name));
            out.push_str("\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
            if include_usage {
                let _infallible = write!(
                    out,
                    "data: {{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":{CREATED},\
                     \"model\":{name},\"choices\":[],\"usage\":{}}}\n\n",
                    usage.json()
                );
            }
            out.push_str("data: [DONE]\n\n");
        }
    }
}

fn named(out: &mut String, name: &str, fields: &str) {
    let _infallible = write!(out, "event: {name}\ndata: {{\"type\":\"{name}\",{fields}}}\n\n");
}

/// What stands before and after the words in a whole answer.
pub(super) fn whole(shape: Shape, model: &str, usage: Usage) -> (String, String) {
    let model = quoted(model);
    match shape {
        Shape::Completion => (
            format!(
                "{{\"id\":\"cmpl-mock\",\"object\":\"text_completion\",\"created\":{CREATED},\"model\":{model},\
                 \"choices\":[{{\"index\":0,\"text\":\""
            ),
            format!(
                "\",\"logprobs\":null,\"finish_reason\":\"stop\"}}],\"usage\":{}}}",
                usage.json()
            ),
        ),
        Shape::Responses => (
            format!(
                "{{\"id\":\"resp_mock\",\"object\":\"response\",\"created_at\":{CREATED},\"status\":\"completed\",\
                 \"model\":{model},\"output\":[{{\"type\":\"message\",\"id\":\"msg_mock\",\"status\":\"completed\",\
                 \"role\":\"assistant\",\"content\":[{{\"type\":\"output_text\",\"annotations\":[],\"text\":\""
            ),
            format!(
                "\"}}]}}],\"usage\":{{\"input_tokens\":{},\"output_tokens\":{},\"total_tokens\":{}}}}}",
                usage.input,
                usage.output,
                usage.input + usage.output
            ),
        ),
        Shape::Messages => (
            format!(
                "{{\"id\":\"msg_mock\",\"type\":\"message\",\"role\":\"assistant\",\"model\":{model},\
                 \"content\":[{{\"type\":\"text\",\"text\":\""
            ),
            format!(
                "\"}}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\
                 \"usage\":{{\"input_tokens\":{},\"output_tokens\":{}}}}}",
                usage.input, usage.output
            ),
        ),
        Shape::Embeddings => (
            format!(
                "{{\"object\":\"list\",\"model\":{model},\"data\":[{{\"object\":\"embedding\",\"index\":0,\
                 \"embedding\":[0.25,-0.5,0.125,1.0]}}],\
                 \"usage\":{{\"prompt_tokens\":{0},\"total_tokens\":{0}}},\"note\":\"",
                usage.input
            ),
            "\"}".to_owned(),
        ),
        Shape::Chat | Shape::Invoke => (
            format!(
                "{{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\",\"created\":{CREATED},\"model\":{model},\
                 \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\""
            ),
            format!(
                "\"}},\"logprobs\":null,\"finish_reason\":\"stop\"}}],\"usage\":{}}}",
                usage.json()
            ),
        ),
    }
}

/// An error in the shape of the API.
pub(super) fn error(shape: Shape, status: u16, message: &str) -> String {
    let message = quoted(message);
    let kind = match status {
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    if shape == Shape::Messages {
        let kind = if status >= 500 { "api_error" } else { kind };
        return format!(
            "{{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":{message}}}}}"
        );
    }
    format!(
        "{{\"error\":{{\"message\":{message},\"type\":\"{kind}\",\"param\":null,\"code\":null}}}}"
    )
}

/// The list of models.
pub(super) fn models(names: &[String]) -> String {
    let rows: Vec<String> = names
        .iter()
        .map(|name| {
            format!(
                "{{\"id\":{},\"object\":\"model\",\"created\":{CREATED},\"owned_by\":\"mock\"}}",
                quoted(name)
            )
        })
        .collect();
    format!("{{\"object\":\"list\",\"data\":[{}]}}", rows.join(","))
}

/// How much was read and said, in tokens: about four bytes of prompt, one word or event of answer each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) input: usize,
    pub(super) output: usize,
}

impl Usage {
    fn json(self) -> String {
        format!(
            "{{\"prompt_tokens\":{},\"completion_tokens\":{},\"total_tokens\":{}}}",
            self.input,
            self.output,
            self.input + self.output
        )
    }
}

/// What the demo says, word by word (each with the space before it).
pub(super) fn friendly(prompt: &str) -> Vec<String> {
    let mut text = "Hello! I am the demo model that is built into Ringway. I know nothing, but I answer at once, one \
                    word after the other, the way a real model streams."
        .to_owned();
    let said: Vec<&str> = prompt.split_whitespace().collect();
    if !said.is_empty() {
        let mut echo: String = said.join(" ").chars().take(PROMPT_CHARS_MAX).collect();
        if echo.chars().count() == PROMPT_CHARS_MAX {
            echo.push('\u{2026}');
        }
        let _infallible = write!(text, " You said: \u{201c}{echo}\u{201d}.");
    }
    text.push_str(" Put a real model behind me in ringway.toml, and it will answer in my place.");
    let words = text.split(' ').enumerate();
    words.map(|(at, word)| if at == 0 { word.to_owned() } else { format!(" {word}") }).collect()
}

const PROMPT_CHARS_MAX: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [Shape; 5] =
        [Shape::Chat, Shape::Completion, Shape::Responses, Shape::Messages, Shape::Embeddings];

    #[test]
    fn every_event_and_body_is_json() {
        for shape in SHAPES {
            let (before, after) = whole(shape, "a \"b\"", Usage::default());
            let body = format!("{before}{}{after}", escaped("x \"y\" \n"));
            serde_json::from_str::<serde_json::Value>(&body)
                .unwrap_or_else(|e| panic!("{e}: {body}"));
            let mut text = String::new();
            opening(shape, "a \"b\"", &mut text);
            let (before, after) = event(shape, "a \"b\"");
            text.push_str(&format!("{before}word{after}"));
            closing(shape, "a \"b\"", Usage::default(), true, &mut text);
            for line in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
                if line != "[DONE]" {
                    serde_json::from_str::<serde_json::Value>(line)
                        .unwrap_or_else(|e| panic!("{e}: {line}"));
                }
            }
            serde_json::from_str::<serde_json::Value>(&error(shape, 429, "a \"b\"")).unwrap();
        }
        serde_json::from_str::<serde_json::Value>(&models(&["a".to_owned()])).unwrap();
    }

    #[test]
    fn the_friendly_answer_repeats_a_shortened_prompt() {
        let said = friendly(&"long \n".repeat(1000)).concat();
        assert!(said.contains("You said: \u{201c}long long") && said.len() < 500);
        assert!(!friendly("").concat().contains("You said"));
    }
}
