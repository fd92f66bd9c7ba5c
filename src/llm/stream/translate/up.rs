//! Bodies of OpenAI's as Ollama takes them.
//!
//! As Ollama's own imitation of OpenAI does it (github.com/ollama/ollama, openai/openai.go), but for two things: what the request
//! leaves open is left to the model's own file, and what Ollama cannot do is refused where the answer would be another one.
//! Values pass as they stand, so that numbers and the order of keys (of a tool's parameters, say) stay what they were.

use std::ops::Range;

use crate::llm::dialect::Operation;
use crate::llm::rewrite::quote;
use crate::llm::scan::Flaw;
use crate::llm::scan::Scan;
use crate::llm::scan::Text;
use crate::llm::stream::json;
use crate::llm::stream::json::is;
use crate::llm::stream::translate::Untranslatable;
use crate::llm::stream::translate::messages;

/// Keys that are options there, each under the name that it has there.
const OPTIONS: [(&str, &str); 10] = [
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("seed", "seed"),
    ("frequency_penalty", "frequency_penalty"),
    ("presence_penalty", "presence_penalty"),
    // No keys of OpenAI's, but its servers take them.
    ("top_k", "top_k"),
    ("min_p", "min_p"),
    ("repeat_penalty", "repeat_penalty"),
    // Behind one another, the newer one last.
    ("max_tokens", "num_predict"),
    ("max_completion_tokens", "num_predict"),
];

/// Keys that are the same there.
const SAME: [&str; 7] =
    ["model", "tools", "keep_alive", "think", "logprobs", "top_logprobs", "suffix"];

/// Where Ollama takes requests of this operation. What it takes at OpenAI's own paths goes there.
#[must_use]
pub const fn path_up(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "/api/chat",
        Operation::TextCompletion => "/api/generate",
        other => other.path(),
    }
}

/// Appends the OpenAI body `body` as Ollama takes it at [`path_up`].
///
/// # Errors
///
/// [`Untranslatable::Asks`]: Ollama does not have what it asks for, or cannot read it. [`Untranslatable::NotItsFormat`]: it is
/// no JSON.
pub fn body_up(operation: Operation, body: &[u8], out: &mut Vec<u8>) -> Result<(), Untranslatable> {
    if !matches!(operation, Operation::Chat | Operation::TextCompletion) {
        out.extend_from_slice(body);
        return Ok(());
    }
    let asking = Asking::read(body).map_err(|_| Untranslatable::NotItsFormat)?;
    asking.refuse(operation)?;
    let start = out.len();
    let written = asking.write(operation, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// What is in a body.
#[derive(Default)]
struct Asking<'b> {
    body: &'b [u8],
    options: [Option<Range<usize>>; OPTIONS.len()],
    same: [Option<Range<usize>>; SAME.len()],
    messages: Option<Range<usize>>,
    prompt: Option<Range<usize>>,
    stop: Option<Range<usize>>,
    is_stream: bool,
    several: bool,
    has_no_tools: bool,
    format: Option<Range<usize>>,
    is_any_json: bool,
    effort: Option<Text<'b>>,
}

/// Passes over a value: where it is, unless it is `null`.
fn span(scan: &mut Scan<'_>, body: &[u8]) -> Result<Option<Range<usize>>, Flaw> {
    let start = scan.offset();
    scan.skip()?;
    let span = start..scan.offset();
    Ok(Some(span).filter(|span| body.get(span.clone()) != Some(b"null")))
}

impl<'b> Asking<'b> {
    fn read(body: &'b [u8]) -> Result<Self, Flaw> {
        let mut asking = Self { body, ..Self::default() };
        json::document(body, |key, scan| {
            let known =
                OPTIONS.iter().zip(&mut asking.options).find(|((name, _), _)| is(key, name));
            if let Some((_, slot)) = known {
                *slot = span(scan, body)?;
                return Ok(());
            }
            if let Some((_, slot)) =
                SAME.iter().zip(&mut asking.same).find(|(name, _)| is(key, name))
            {
                *slot = span(scan, body)?;
                return Ok(());
            }
            asking.read_other(key, scan)
        })?;
        Ok(asking)
    }

    fn read_other(&mut self, key: &Text<'b>, scan: &mut Scan<'b>) -> Result<(), Flaw> {
        if is(key, "messages") {
            self.messages = span(scan, self.body)?;
        } else if is(key, "prompt") {
            self.prompt = span(scan, self.body)?;
        } else if is(key, "stop") {
            self.stop = span(scan, self.body)?;
        } else if is(key, "stream") {
            self.is_stream = json::flag(scan)?;
        } else if is(key, "n") {
            self.several = json::count(scan)?.is_some_and(|count| count > 1);
        } else if is(key, "tool_choice") {
            self.has_no_tools = json::text(scan)?.is_some_and(|choice| is(&choice, "none"));
        } else if is(key, "reasoning_effort") {
            self.effort = json::text(scan)?;
        } else if is(key, "response_format") {
            (self.format, self.is_any_json) = (None, false);
            json::members(scan, |key, scan| self.read_format(key, scan))?;
        } else {
            scan.skip()?;
        }
        Ok(())
    }

    fn read_format(&mut self, key: &Text<'b>, scan: &mut Scan<'b>) -> Result<(), Flaw> {
        if is(key, "type") {
            self.is_any_json = json::text(scan)?.is_some_and(|kind| is(&kind, "json_object"));
        } else if is(key, "json_schema") {
            json::members(scan, |key, scan| {
                if is(key, "schema") {
                    self.format = span(scan, self.body)?;
                } else {
                    scan.skip()?;
                }
                Ok(())
            })?;
        } else {
            scan.skip()?;
        }
        Ok(())
    }

    fn at(&self, span: &Range<usize>) -> &'b [u8] {
        self.body.get(span.clone()).unwrap_or_default()
    }

    /// Refuses what would be answered with something else.
    fn refuse(&self, operation: Operation) -> Result<(), Untranslatable> {
        if self.several {
            return Err(Untranslatable::Asks("n"));
        }
        let logprobs = SAME.iter().zip(&self.same).find(|(name, _)| **name == "logprobs");
        let has_logprobs = logprobs.is_some_and(|(_, span)| span.is_some());
        // The numbers of a text completion have another form there.
        if operation == Operation::TextCompletion && has_logprobs {
            return Err(Untranslatable::Asks("logprobs"));
        }
        Ok(())
    }

    fn write(&self, operation: Operation, out: &mut Vec<u8>) -> Result<(), Untranslatable> {
        // It streams unless it is told not to.
        out.extend_from_slice(if self.is_stream {
            b"{\"stream\":true"
        } else {
            b"{\"stream\":false"
        });
        for (name, span) in SAME.iter().zip(&self.same) {
            let is_dropped = self.has_no_tools && *name == "tools";
            if let Some(span) = span.as_ref().filter(|_| !is_dropped) {
                put(name, self.at(span), out);
            }
        }
        if let Some(effort) = &self.effort {
            match &*effort.decode() {
                "none" => put("think", b"false", out),
                "minimal" | "low" => put("think", b"\"low\"", out),
                "medium" => put("think", b"\"medium\"", out),
                "high" | "xhigh" => put("think", b"\"high\"", out),
                _ => return Err(Untranslatable::Asks("reasoning_effort")),
            }
        }
        match &self.format {
            Some(schema) => put("format", self.at(schema), out),
            None if self.is_any_json => put("format", b"\"json\"", out),
            None => {}
        }
        if operation == Operation::Chat {
            let messages = self.messages.as_ref().ok_or(Untranslatable::Asks("messages"))?;
            out.extend_from_slice(b",\"messages\":");
            messages::write(self.at(messages), out)?;
        } else {
            let prompt = self.prompt.as_ref().and_then(|span| only_text(self.at(span)));
            put("prompt", prompt.ok_or(Untranslatable::Asks("prompt"))?, out);
        }
        self.write_options(out);
        out.push(b'}');
        Ok(())
    }

    fn write_options(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"options\":{");
        let start = out.len();
        let options = OPTIONS.iter().zip(&self.options);
        let mut options: Vec<(&str, &[u8])> = options
            .filter_map(|((_, name), span)| Some((*name, self.at(span.as_ref()?))))
            .collect();
        // Of two under one name the newer counts.
        let has_newer =
            |at: usize| options.get(at + 1).map(|(name, _)| *name) == Some("num_predict");
        if let Some(at) = options.iter().position(|(name, _)| *name == "num_predict")
            && has_newer(at)
        {
            options.remove(at);
        }
        for (name, value) in options {
            put(name, value, out);
        }
        if let Some(stop) = self.stop.as_ref().map(|span| self.at(span)) {
            let is_one = stop.starts_with(b"\"");
            put("stop", &if is_one { [b"[", stop, b"]"].concat() } else { stop.to_vec() }, out);
        }
        if out.get(start) == Some(&b',') {
            out.remove(start);
        }
        out.push(b'}');
    }
}

/// Appends a member behind others; `value` is JSON.
fn put(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.push(b',');
    quote(name, out);
    out.push(b':');
    out.extend_from_slice(value);
}

/// The string that `value` is, or that is alone in it.
fn only_text(value: &[u8]) -> Option<&[u8]> {
    if value.starts_with(b"\"") {
        return Some(value);
    }
    let mut scan = Scan::new(value).ok()?;
    let (mut found, mut count) = (None, 0);
    json::items(&mut scan, |scan| {
        count += 1;
        found = span(scan, value)?;
        Ok(())
    })
    .ok()?;
    let text = value.get(found.filter(|_| count == 1)?)?;
    text.starts_with(b"\"").then_some(text)
}
