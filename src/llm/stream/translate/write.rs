//! Chunks and answers as OpenAI writes them.

use crate::llm::dialect::Operation;
use crate::llm::rewrite::quote;
use crate::llm::scan::Text;
use crate::llm::stream::ollama::Arguments;
use crate::llm::stream::ollama::Call;
use crate::llm::stream::translate::Asked;
use crate::llm::usage::Usage;

/// More of an answer. Empty where there is none.
#[derive(Default)]
pub(super) struct Piece<'p> {
    pub(super) text: &'p str,
    pub(super) thinking: &'p str,
    /// Calls of tools as OpenAI writes them, with commas between.
    pub(super) calls: &'p [u8],
    /// An array of JSON.
    pub(super) logprobs: &'p [u8],
}

impl Piece<'_> {
    pub(super) const fn bytes(&self) -> usize {
        self.text.len() + self.thinking.len() + self.calls.len() + self.logprobs.len()
    }
}

/// An answer that is no stream, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Answer {
    text: String,
    thinking: String,
    calls: Vec<u8>,
    /// The items of the arrays, with commas between.
    logprobs: Vec<u8>,
    pub(super) reason: &'static str,
    pub(super) usage: Option<Usage>,
}

impl Answer {
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + self.thinking.len() + self.calls.len() + self.logprobs.len()
    }

    pub(super) fn add(&mut self, piece: &Piece<'_>) {
        self.text.push_str(piece.text);
        self.thinking.push_str(piece.thinking);
        join(piece.calls, &mut self.calls);
        let inside = piece.logprobs.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
        join(inside.unwrap_or_default(), &mut self.logprobs);
    }
}

/// Appends items of an array to others.
fn join(items: &[u8], out: &mut Vec<u8>) {
    if !items.is_empty() && !out.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(items);
}

/// Writes one answer.
#[derive(Debug)]
pub(super) struct Writer {
    asked: Asked,
    id: [u8; 32],
    /// What all chunks begin with: `{"id":..,"object":..,"created":..,"model":..,`.
    begin: Box<[u8]>,
    /// Calls of tools so far.
    calls: u32,
    has_begun: bool,
}

impl Writer {
    pub(super) fn new(asked: Asked, model: &str, id: &[u8; 32], created_unix_s: u64) -> Self {
        let is_text = asked.operation == Operation::TextCompletion;
        let object = match asked.is_stream {
            _ if is_text => "text_completion",
            true => "chat.completion.chunk",
            false => "chat.completion",
        };
        let name = if is_text { "cmpl" } else { "chatcmpl" };
        let id_text = String::from_utf8_lossy(id);
        let mut begin = b"{\"id\":".to_vec();
        quote(&format!("{name}-{id_text}"), &mut begin);
        begin.extend_from_slice(
            format!(",\"object\":\"{object}\",\"created\":{created_unix_s},\"model\":").as_bytes(),
        );
        quote(model, &mut begin);
        begin.push(b',');
        Self { asked, id: *id, begin: begin.into(), calls: 0, has_begun: false }
    }

    fn is_text(&self) -> bool {
        self.asked.operation == Operation::TextCompletion
    }

    /// Whether a tool was called.
    pub(super) const fn has_called(&self) -> bool {
        self.calls > 0
    }

    /// Appends a call to others. Ollama gives it an id only of late: it needs one.
    pub(super) fn call(&mut self, call: &Call<'_>, out: &mut Vec<u8>) {
        join(b"{", out);
        if self.asked.is_stream {
            out.extend_from_slice(format!("\"index\":{},", self.calls).as_bytes());
        }
        out.extend_from_slice(b"\"id\":");
        match &call.id {
            Some(id) => quote(&id.decode(), out),
            None => {
                let id = String::from_utf8_lossy(&self.id);
                quote(&format!("call_{id}_{}", self.calls), out);
            }
        }
        self.calls = self.calls.saturating_add(1);
        out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
        quote(&call.name.as_ref().map(Text::decode).unwrap_or_default(), out);
        out.extend_from_slice(b",\"arguments\":");
        match &call.arguments {
            Arguments::None => quote("{}", out),
            Arguments::Json(json) => quote(json, out),
            Arguments::Text(text) => quote(&text.decode(), out),
        }
        out.extend_from_slice(b"}}");
    }

    /// Appends the events of a piece, the role before the first. Nothing, where it is empty.
    pub(super) fn piece(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        if piece.bytes() == 0 {
            return;
        }
        self.begin(out);
        if self.is_text() {
            // There is no place for thinking.
            if !piece.text.is_empty() {
                self.open(out);
                out.extend_from_slice(b"\"text\":");
                quote(piece.text, out);
                self.close(None, b"", out);
            }
            return;
        }
        self.open(out);
        out.extend_from_slice(b"\"delta\":{");
        let start = out.len();
        member("reasoning", piece.thinking, start, out);
        member("content", piece.text, start, out);
        if !piece.calls.is_empty() {
            separate(start, out);
            out.extend_from_slice(b"\"tool_calls\":[");
            out.extend_from_slice(piece.calls);
            out.push(b']');
        }
        out.push(b'}');
        self.close(None, piece.logprobs, out);
    }

    /// Appends the last events of a stream.
    pub(super) fn end(&mut self, reason: &str, usage: Option<Usage>, out: &mut Vec<u8>) {
        self.begin(out);
        self.open(out);
        let nothing: &[u8] = if self.is_text() { b"\"text\":\"\"" } else { b"\"delta\":{}" };
        out.extend_from_slice(nothing);
        self.close(Some(reason), b"", out);
        if let Some(usage) = usage.filter(|_| self.asked.includes_usage) {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(&self.begin);
            out.extend_from_slice(b"\"choices\":[],");
            write_usage(usage, out);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// The role comes before all else.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_begun, true) || self.is_text() {
            return;
        }
        self.open(out);
        out.extend_from_slice(b"\"delta\":{\"role\":\"assistant\",\"content\":\"\"}");
        self.close(None, b"", out);
    }

    fn open(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&self.begin);
        out.extend_from_slice(b"\"choices\":[{\"index\":0,");
    }

    fn close(&self, reason: Option<&str>, logprobs: &[u8], out: &mut Vec<u8>) {
        write_end_of_choice(reason, logprobs, out);
        if self.asked.includes_usage {
            // OpenAI: "all other chunks will also include a usage field, but with a null value".
            out.extend_from_slice(b",\"usage\":null");
        }
        out.extend_from_slice(b"}\n\n");
    }

    /// Appends the body of an answer that is no stream.
    pub(super) fn answer(&self, answer: &Answer, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.begin);
        out.extend_from_slice(b"\"choices\":[{\"index\":0,");
        if self.is_text() {
            out.extend_from_slice(b"\"text\":");
            quote(&answer.text, out);
        } else {
            out.extend_from_slice(b"\"message\":{\"role\":\"assistant\",\"content\":");
            if answer.text.is_empty() && !answer.calls.is_empty() {
                out.extend_from_slice(b"null");
            } else {
                quote(&answer.text, out);
            }
            member("reasoning", &answer.thinking, 0, out);
            if !answer.calls.is_empty() {
                out.extend_from_slice(b",\"tool_calls\":[");
                out.extend_from_slice(&answer.calls);
                out.push(b']');
            }
            out.push(b'}');
        }
        let mut logprobs = Vec::new();
        if !answer.logprobs.is_empty() && !self.is_text() {
            logprobs = [b"[", answer.logprobs.as_slice(), b"]"].concat();
        }
        write_end_of_choice(Some(answer.reason), &logprobs, out);
        if let Some(usage) = answer.usage {
            out.push(b',');
            write_usage(usage, out);
        }
        out.push(b'}');
    }
}

/// A comma, unless nothing has been written since `start`.
fn separate(start: usize, out: &mut Vec<u8>) {
    if out.len() > start {
        out.push(b',');
    }
}

fn member(name: &str, text: &str, start: usize, out: &mut Vec<u8>) {
    if text.is_empty() {
        return;
    }
    separate(start, out);
    quote(name, out);
    out.push(b':');
    quote(text, out);
}

fn write_end_of_choice(reason: Option<&str>, logprobs: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"logprobs\":");
    if logprobs.is_empty() {
        out.extend_from_slice(b"null");
    } else {
        out.extend_from_slice(b"{\"content\":");
        // In JSON these are white space, in an event they would end a line.
        out.extend(logprobs.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')));
        out.push(b'}');
    }
    out.extend_from_slice(b",\"finish_reason\":");
    match reason {
        Some(reason) => quote(reason, out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b"}]");
}

fn write_usage(usage: Usage, out: &mut Vec<u8>) {
    let Usage { input, output } = usage;
    let total = input.saturating_add(output);
    out.extend_from_slice(
        format!(
            "\"usage\":{{\"prompt_tokens\":{input},\"completion_tokens\":{output},\"total_tokens\":{total}}}"
        )
        .as_bytes(),
    );
}
