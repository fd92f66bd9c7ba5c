//! What a request says that counts when its answer is continued.

use std::ops::Range;

use super::Why;
use crate::llm::scan::Flaw;
use crate::llm::scan::Scan;
use crate::llm::scan::Value;
use crate::llm::stream::json;
use crate::llm::stream::json::is;

/// A request for a chat, as far as it counts.
#[derive(Debug, Default)]
pub(super) struct Ask {
    /// Why its answer can never be continued.
    pub(super) why: Option<Why>,
    /// Just behind the brace that opens it.
    pub(super) members: usize,
    /// Just before the bracket that closes `messages`, and whether a message is there.
    pub(super) messages: Option<(usize, bool)>,
    /// Values of `max_tokens` and `max_completion_tokens`, and where they stand.
    pub(super) maxima: Vec<(u32, Range<usize>)>,
    /// Values of `continue_final_message` and `add_generation_prompt`.
    pub(super) flags: Vec<(Flag, Range<usize>)>,
}

/// What tells a server to continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    Continue,
    Prompt,
}

/// Members that say that the answer has a structure (vLLM, SGLang, llama.cpp).
const STRUCTURES: &[&str] = &[
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "structured_outputs",
    "grammar",
    "json_schema",
    "regex",
    "ebnf",
];

impl Ask {
    pub(super) fn read(body: &[u8]) -> Result<Self, Flaw> {
        let mut ask = Self::default();
        json::document(body, |key, scan| {
            if ask.members == 0 {
                // The first key: what is put in goes before it.
                ask.members = key.span.start;
            }
            let start = scan.offset();
            if is(key, "messages") {
                return ask.read_messages(scan);
            }
            let why = if is(key, "tools") || is(key, "functions") {
                json::is_something(scan)?.then_some(Why::ToolCalls)
            } else if is(key, "logprobs") || is(key, "top_logprobs") {
                (!matches!(scan.value()?, Value::Flag(false) | Value::Null | Value::Number("0")))
                    .then_some(Why::Logprobs)
            } else if is(key, "n") {
                json::count(scan)?.filter(|count| *count > 1).map(|_| Why::SeveralChoices)
            } else if is(key, "response_format") {
                let kind = json::text_in(scan, "type")?;
                kind.filter(|kind| kind.raw != "text").map(|_| Why::Structured)
            } else if STRUCTURES.iter().any(|name| is(key, name)) {
                json::is_something(scan)?.then_some(Why::Structured)
            } else if is(key, "max_tokens") || is(key, "max_completion_tokens") {
                let most = json::count(scan)?;
                ask.maxima.extend(most.map(|most| (most, start..scan.offset())));
                None
            } else if is(key, "continue_final_message") {
                let why = json::flag(scan)?.then_some(Why::Continues);
                ask.flags.push((Flag::Continue, start..scan.offset()));
                why
            } else if is(key, "add_generation_prompt") {
                scan.skip()?;
                ask.flags.push((Flag::Prompt, start..scan.offset()));
                None
            } else {
                scan.skip()?;
                None
            };
            ask.why = ask.why.or(why);
            Ok(())
        })?;
        Ok(ask)
    }

    fn read_messages(&mut self, scan: &mut Scan<'_>) -> Result<(), Flaw> {
        let mut has_message = false;
        let is_array = scan.is_at_array();
        json::items(scan, |scan| {
            has_message = true;
            scan.skip()
        })?;
        // The bracket has just been passed.
        self.messages = is_array.then(|| (scan.offset().saturating_sub(1), has_message));
        Ok(())
    }
}
