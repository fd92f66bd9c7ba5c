//! What an event of OpenAI's says: a chunk of a chat or of a text completion, or an event of the Responses API.
//!
//! Servers that follow OpenAI differ in what they call the model's thinking: `reasoning_content` (DeepSeek, SGLang, llama.cpp,
//! older vLLM) or `reasoning` (vLLM, Ollama, OpenRouter); and in how a stream fails: `{"error":{"message":..}}`,
//! `{"error":".."}`, or `{"object":"error","message":..}` (older vLLM, SGLang).

use crate::llm::scan::Flaw;
use crate::llm::scan::Scan;
use crate::llm::scan::Text;
use crate::llm::stream::Each;
use crate::llm::stream::Event;
use crate::llm::stream::json;
use crate::llm::stream::json::is;

/// One of the `choices` of a chunk.
#[derive(Default)]
struct Choice<'b> {
    index: u32,
    delta: Delta<'b>,
    /// Of a text completion.
    text: Option<Text<'b>>,
    has_logprobs: bool,
    finish: Option<Text<'b>>,
}

/// `delta` of a choice.
#[derive(Default)]
struct Delta<'b> {
    content: Option<Text<'b>>,
    /// What is said in the place of content.
    refusal: Option<Text<'b>>,
    reasoning: Option<Text<'b>>,
    reasoning_content: Option<Text<'b>>,
    has_tool_calls: bool,
    has_function_call: bool,
}

/// An `error`, or what stands in for one.
#[derive(Default)]
struct Failure<'b> {
    is_there: bool,
    message: Option<Text<'b>>,
}

/// `response` of an event of the Responses API.
#[derive(Default)]
struct Whole<'b> {
    failure: Failure<'b>,
    incomplete: Option<Text<'b>>,
    has_usage: bool,
}

/// What is in one event.
#[derive(Default)]
pub(super) struct Found<'b> {
    /// The first of the choices, and the others, which are rare.
    first: Option<Choice<'b>>,
    more: Vec<Choice<'b>>,
    failure: Failure<'b>,
    is_error: bool,
    message: Option<Text<'b>>,
    has_usage: bool,
    /// Of the Responses API.
    kind: Option<Text<'b>>,
    delta: Option<Text<'b>>,
    whole: Whole<'b>,
}

impl<'b> Found<'b> {
    pub(super) fn read(data: &'b [u8]) -> Result<Self, Flaw> {
        let mut found = Self::default();
        json::document(data, |key, scan| {
            if is(key, "choices") {
                found.read_choices(scan)?;
            } else if is(key, "usage") {
                found.has_usage = scan.is_at_object();
                scan.skip()?;
            } else if is(key, "error") {
                found.failure = Failure::read(scan)?;
            } else if is(key, "type") {
                found.kind = json::text(scan)?;
            } else if is(key, "delta") {
                found.delta = json::text(scan)?;
            } else if is(key, "response") {
                found.whole = Whole::read(scan)?;
            } else if is(key, "object") {
                found.is_error = json::text(scan)?.is_some_and(|object| is(&object, "error"));
            } else if is(key, "message") {
                found.message = json::text(scan)?;
            } else {
                scan.skip()?;
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn read_choices(&mut self, scan: &mut Scan<'b>) -> Result<(), Flaw> {
        self.first = None;
        self.more.clear();
        json::items(scan, |scan| {
            let choice = Choice::read(scan)?;
            match &mut self.first {
                None => self.first = Some(choice),
                Some(_) => self.more.push(choice),
            }
            Ok(())
        })
    }

    /// Tells what was found; `usage` says what the stream was so far, this event included.
    pub(super) fn tell(self, usage: &mut dyn FnMut() -> Option<Event<'static>>, tell: Each<'_>) {
        for choice in self.first.iter().chain(&self.more) {
            choice.tell(tell);
        }
        let kind = self.kind.as_ref().map(Text::decode).unwrap_or_default();
        if let Some(delta) = &self.delta {
            match &*kind {
                "response.output_text.delta" | "response.refusal.delta" => {
                    tell(Event::Text { choice: 0, text: delta.decode() });
                }
                "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
                    tell(Event::Reasoning(delta.decode()));
                }
                "response.function_call_arguments.delta"
                | "response.custom_tool_call_input.delta"
                | "response.mcp_call_arguments.delta" => tell(Event::ToolCall),
                _ => {}
            }
        }
        let is_completed = kind == "response.completed";
        if is_completed {
            tell(Event::Finish { choice: 0, reason: "completed".into() });
        } else if kind == "response.incomplete" {
            let reason = self.whole.incomplete.as_ref().map(Text::decode);
            tell(Event::Finish { choice: 0, reason: reason.unwrap_or("incomplete".into()) });
        }
        if (self.has_usage || self.whole.has_usage)
            && let Some(usage) = usage()
        {
            tell(usage);
        }
        if is_completed || kind == "response.incomplete" {
            tell(Event::Done);
        }
        let said =
            |message: &Option<Text<'b>>| message.as_ref().map(Text::decode).unwrap_or_default();
        if self.failure.is_there {
            tell(Event::Error(said(&self.failure.message)));
        } else if kind == "response.failed" {
            tell(Event::Error(said(&self.whole.failure.message)));
        } else if self.is_error || kind == "error" {
            tell(Event::Error(said(&self.message)));
        }
    }
}

impl<'b> Choice<'b> {
    fn read(scan: &mut Scan<'b>) -> Result<Self, Flaw> {
        let mut choice = Self::default();
        json::members(scan, |key, scan| {
            if is(key, "delta") {
                choice.delta = Delta::read(scan)?;
            } else if is(key, "index") {
                choice.index = json::count(scan)?.unwrap_or(0);
            } else if is(key, "finish_reason") {
                choice.finish = json::text(scan)?;
            } else if is(key, "logprobs") {
                choice.has_logprobs = json::is_something(scan)?;
            } else if is(key, "text") {
                choice.text = json::text(scan)?;
            } else {
                scan.skip()?;
            }
            Ok(())
        })?;
        Ok(choice)
    }

    fn tell(&self, tell: Each<'_>) {
        let delta = &self.delta;
        if let Some(reasoning) = delta.reasoning_content.as_ref().or(delta.reasoning.as_ref()) {
            tell(Event::Reasoning(reasoning.decode()));
        }
        let text = delta.content.as_ref().or(delta.refusal.as_ref()).or(self.text.as_ref());
        if let Some(text) = text {
            tell(Event::Text { choice: self.index, text: text.decode() });
        }
        if delta.has_tool_calls || delta.has_function_call {
            tell(Event::ToolCall);
        }
        if self.has_logprobs {
            tell(Event::Logprobs);
        }
        if let Some(finish) = &self.finish {
            tell(Event::Finish { choice: self.index, reason: finish.decode() });
        }
    }
}

impl<'b> Delta<'b> {
    fn read(scan: &mut Scan<'b>) -> Result<Self, Flaw> {
        let mut delta = Self::default();
        json::members(scan, |key, scan| {
            if is(key, "content") {
                delta.content = json::text(scan)?;
            } else if is(key, "refusal") {
                delta.refusal = json::text(scan)?;
            } else if is(key, "reasoning") {
                delta.reasoning = json::text(scan)?;
            } else if is(key, "reasoning_content") {
                delta.reasoning_content = json::text(scan)?;
            } else if is(key, "tool_calls") {
                delta.has_tool_calls = json::is_something(scan)?;
            } else if is(key, "function_call") {
                delta.has_function_call = json::is_something(scan)?;
            } else {
                scan.skip()?;
            }
            Ok(())
        })?;
        Ok(delta)
    }
}

impl<'b> Failure<'b> {
    fn read(scan: &mut Scan<'b>) -> Result<Self, Flaw> {
        if scan.is_at_object() {
            let message = json::text_in(scan, "message")?;
            return Ok(Self { is_there: true, message });
        }
        let message = json::text(scan)?;
        Ok(Self { is_there: message.is_some(), message })
    }
}

impl<'b> Whole<'b> {
    fn read(scan: &mut Scan<'b>) -> Result<Self, Flaw> {
        let mut whole = Self::default();
        json::members(scan, |key, scan| {
            if is(key, "usage") {
                whole.has_usage = scan.is_at_object();
                scan.skip()?;
            } else if is(key, "error") {
                whole.failure = Failure::read(scan)?;
            } else if is(key, "incomplete_details") {
                whole.incomplete = json::text_in(scan, "reason")?;
            } else {
                scan.skip()?;
            }
            Ok(())
        })?;
        Ok(whole)
    }
}
