//! What a line of Ollama's says: of `/api/chat` or of `/api/generate` (github.com/ollama/ollama, docs/api.md and api/types.go).

use std::ops::Range;

use crate::llm::scan::Flaw;
use crate::llm::scan::Scan;
use crate::llm::scan::Text;
use crate::llm::stream::Each;
use crate::llm::stream::Event;
use crate::llm::stream::json;
use crate::llm::stream::json::is;
use crate::llm::usage::Usage;

/// What is in one line.
#[derive(Default)]
pub(super) struct Line<'b> {
    bytes: &'b [u8],
    /// `message.content`, or `response`.
    pub(super) text: Option<Text<'b>>,
    /// `message.thinking`, or `thinking`.
    pub(super) thinking: Option<Text<'b>>,
    tool_calls: Option<Range<usize>>,
    logprobs: Option<Range<usize>>,
    pub(super) is_done: bool,
    pub(super) done_reason: Option<Text<'b>>,
    input: Option<u32>,
    output: Option<u32>,
    pub(super) error: Option<Text<'b>>,
}

/// A call of a tool.
#[derive(Default)]
pub(super) struct Call<'b> {
    pub(super) id: Option<Text<'b>>,
    pub(super) name: Option<Text<'b>>,
    pub(super) arguments: Arguments<'b>,
}

/// What a tool is called with.
#[derive(Default)]
pub(super) enum Arguments<'b> {
    #[default]
    None,
    /// JSON as it stands.
    Json(&'b str),
    /// JSON in a string.
    Text(Text<'b>),
}

impl<'b> Line<'b> {
    /// Reads one line. What is JSON but no object says nothing.
    pub(super) fn read(bytes: &'b [u8]) -> Result<Self, Flaw> {
        let mut line = Self { bytes, ..Self::default() };
        let mut response = None;
        let mut thinking = None;
        json::document(bytes, |key, scan| {
            if is(key, "message") {
                (line.text, line.thinking, line.tool_calls) = (None, None, None);
                line.read_message(scan)?;
            } else if is(key, "response") {
                response = json::text(scan)?;
            } else if is(key, "thinking") {
                thinking = json::text(scan)?;
            } else if is(key, "done") {
                line.is_done = json::flag(scan)?;
            } else if is(key, "done_reason") {
                line.done_reason = json::text(scan)?;
            } else if is(key, "prompt_eval_count") {
                line.input = json::count(scan)?;
            } else if is(key, "eval_count") {
                line.output = json::count(scan)?;
            } else if is(key, "logprobs") {
                line.logprobs = filled_array(scan)?;
            } else if is(key, "error") {
                line.error = json::text(scan)?;
            } else {
                scan.skip()?;
            }
            Ok(())
        })?;
        line.text = line.text.or(response);
        line.thinking = line.thinking.or(thinking);
        Ok(line)
    }

    fn read_message(&mut self, scan: &mut Scan<'b>) -> Result<(), Flaw> {
        json::members(scan, |key, scan| {
            if is(key, "content") {
                self.text = json::text(scan)?;
            } else if is(key, "thinking") {
                self.thinking = json::text(scan)?;
            } else if is(key, "tool_calls") {
                self.tool_calls = filled_array(scan)?;
            } else {
                scan.skip()?;
            }
            Ok(())
        })
    }

    /// The tokens, if the line says how many; a prompt that a cache held may not be among them.
    pub(super) fn usage(&self) -> Option<Usage> {
        let (input, output) = (self.input.unwrap_or(0).into(), self.output.unwrap_or(0).into());
        (self.input.is_some() || self.output.is_some()).then_some(Usage { input, output })
    }

    /// The log probabilities as they stand, an array.
    pub(super) fn logprobs(&self) -> Option<&'b [u8]> {
        self.bytes.get(self.logprobs.clone()?)
    }

    /// The calls of tools, one after the other.
    pub(super) fn calls(&self, mut each: impl FnMut(&Call<'b>)) -> Result<(), Flaw> {
        let Some(bytes) = self.tool_calls.clone().and_then(|span| self.bytes.get(span)) else {
            return Ok(());
        };
        let mut scan = Scan::new(bytes)?;
        json::items(&mut scan, |scan| {
            each(&Call::read(bytes, scan)?);
            Ok(())
        })
    }

    pub(super) fn has_calls(&self) -> bool {
        self.tool_calls.is_some()
    }

    /// Tells what the line says. Of one that fails, nothing else.
    pub(super) fn tell(&self, tell: Each<'_>) {
        if let Some(error) = &self.error {
            return tell(Event::Error(error.decode()));
        }
        if let Some(thinking) = &self.thinking {
            tell(Event::Reasoning(thinking.decode()));
        }
        if let Some(text) = &self.text {
            tell(Event::Text { choice: 0, text: text.decode() });
        }
        if self.has_calls() {
            tell(Event::ToolCall);
        }
        if self.logprobs.is_some() {
            tell(Event::Logprobs);
        }
        if self.is_done {
            let reason = self.done_reason.as_ref().map(Text::decode);
            tell(Event::Finish { choice: 0, reason: reason.unwrap_or("stop".into()) });
        }
        if let Some(usage) = self.usage() {
            tell(Event::Usage(usage));
        }
        if self.is_done {
            tell(Event::Done);
        }
    }
}

impl<'b> Call<'b> {
    /// Reads the call that begins here; `bytes` is what `scan` reads.
    pub(super) fn read(bytes: &'b [u8], scan: &mut Scan<'b>) -> Result<Self, Flaw> {
        let mut call = Self::default();
        json::members(scan, |key, scan| {
            if is(key, "id") {
                call.id = json::text(scan)?;
            } else if is(key, "function") {
                (call.name, call.arguments) = (None, Arguments::None);
                json::members(scan, |key, scan| call.read_function(key, bytes, scan))?;
            } else {
                scan.skip()?;
            }
            Ok(())
        })?;
        Ok(call)
    }

    fn read_function(
        &mut self,
        key: &Text<'b>,
        bytes: &'b [u8],
        scan: &mut Scan<'b>,
    ) -> Result<(), Flaw> {
        if is(key, "name") {
            self.name = json::text(scan)?;
        } else if is(key, "arguments") {
            let start = scan.offset();
            let text = json::text(scan)?;
            let json = bytes.get(start..scan.offset()).and_then(|json| str::from_utf8(json).ok());
            self.arguments = match (text, json) {
                (Some(text), _) => Arguments::Text(text),
                (None, Some(json)) if json.starts_with('{') => Arguments::Json(json),
                _ => Arguments::None,
            };
        } else {
            scan.skip()?;
        }
        Ok(())
    }
}

/// Passes over a value: where it is, if it is an array with something in it.
fn filled_array(scan: &mut Scan<'_>) -> Result<Option<Range<usize>>, Flaw> {
    let start = scan.offset();
    let is_array = scan.is_at_array();
    let is_filled = json::is_something(scan)? && is_array;
    Ok(is_filled.then(|| start..scan.offset()))
}
