//! The bytes of a request: made once per thread, only the stream's number is written into them each time.

use std::fmt::Write as _;

use crate::plan::Plan;
use crate::plan::Request;

/// A request whose stream number can be set.
#[derive(Clone, Debug)]
pub struct Bytes {
    bytes: Vec<u8>,
    stream_at: usize,
}

/// Digits of a stream number.
const STREAM_DIGITS: usize = 16;

impl Bytes {
    /// The request of a plan; `is_slow` is that of a client that reads slowly what comes fast and never ends.
    #[must_use]
    pub fn of(plan: &Plan, host: &str, prefix: &str, is_slow: bool) -> Self {
        let is_stream = plan.request.stream || is_slow;
        let body = body(&plan.request, is_stream);
        let mut head = format!(
            "POST {prefix}{} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nuser-agent: ringway-loadtest\r\n",
            plan.request.path
        );
        for (name, value) in fields(plan, is_slow) {
            let _infallible = write!(head, "{name}: {value}\r\n");
        }
        if plan.new_connections {
            head.push_str("connection: close\r\n");
        }
        head.push_str("x-mock-stream: ");
        let stream_at = head.len();
        let _infallible =
            write!(head, "0000000000000000\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        Self { bytes: head.into_bytes(), stream_at }
    }

    /// The bytes, with this number.
    pub fn with_stream(&mut self, stream: u64) -> &[u8] {
        let text = format!("{stream:016x}");
        self.bytes[self.stream_at..self.stream_at + STREAM_DIGITS].copy_from_slice(text.as_bytes());
        &self.bytes
    }
}

fn fields(plan: &Plan, is_slow: bool) -> Vec<(String, String)> {
    let answer = &plan.answer;
    let mut fields: Vec<(String, String)> =
        plan.request.fields.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut mock = |name: &str, value: String| fields.push((format!("x-mock-{name}"), value));
    if is_slow {
        mock("events", "100000000".to_owned());
        mock("gap-ms", "0".to_owned());
        mock("bytes", "2048".to_owned());
        return fields;
    }
    if let Some(bytes) = answer.bytes {
        mock("bytes", bytes.to_string());
    }
    if let Some(events) = answer.events {
        mock("events", events.to_string());
    }
    if let Some(gap) = answer.gap_ms {
        mock("gap-ms", gap.to_string());
    }
    if let Some(delay) = answer.delay_ms {
        mock("delay-ms", delay.to_string());
    }
    for (name, value) in &answer.mock {
        mock(name, value.clone());
    }
    fields
}

/// A chat of about the size asked for, the model after the messages would be as good as before them.
#[must_use]
pub fn body(request: &Request, is_stream: bool) -> String {
    let model = serde_json::Value::from(request.model.as_str());
    let before = format!(
        "{{\"model\":{model},\"stream\":{is_stream},\"messages\":[{{\"role\":\"user\",\"content\":\""
    );
    let after = "\"}]}";
    let filler = request.body_bytes.saturating_sub(before.len() + after.len());
    let words = "What a user may ask of a model, again and again; ";
    let text: String = words.chars().cycle().take(filler).collect();
    format!("{before}{text}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_size_and_the_number_asked_for() {
        let plan =
            Plan::parse("name = 'x'\nanswer.bytes = 1000\nrequest.body_bytes = 700").unwrap();
        let mut bytes = Bytes::of(&plan, "h", "", false);
        let text = String::from_utf8(bytes.with_stream(0xabc).to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nx-mock-stream: 0000000000000abc\r\n"));
        assert!(
            head.contains("\r\nx-mock-bytes: 1000\r\n") && head.ends_with("content-length: 700")
        );
        assert_eq!(body.len(), 700);
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
}
