//! What an event of Anthropic's Messages API says (platform.claude.com/docs, "Streaming messages").

use crate::llm::scan::Flaw;
use crate::llm::scan::Scan;
use crate::llm::scan::Text;
use crate::llm::stream::Each;
use crate::llm::stream::Event;
use crate::llm::stream::json;
use crate::llm::stream::json::is;

/// `delta`, `content_block` or `error` of an event.
#[derive(Default)]
struct Part<'b> {
    kind: Option<Text<'b>>,
    text: Option<Text<'b>>,
    thinking: Option<Text<'b>>,
    stop_reason: Option<Text<'b>>,
    message: Option<Text<'b>>,
}

/// What is in one event.
#[derive(Default)]
pub(super) struct Found<'b> {
    kind: Option<Text<'b>>,
    delta: Part<'b>,
    block: Part<'b>,
    error: Part<'b>,
    has_usage: bool,
    message_has_usage: bool,
}

impl<'b> Found<'b> {
    pub(super) fn read(data: &'b [u8]) -> Result<Self, Flaw> {
        let mut found = Self::default();
        json::document(data, |key, scan| {
            if is(key, "type") {
                found.kind = json::text(scan)?;
            } else if is(key, "delta") {
                found.delta = Part::read(scan)?;
            } else if is(key, "content_block") {
                found.block = Part::read(scan)?;
            } else if is(key, "error") {
                found.error = Part::read(scan)?;
            } else if is(key, "usage") {
                found.has_usage = scan.is_at_object();
                scan.skip()?;
            } else if is(key, "message") {
                found.message_has_usage = json::has_object(scan, "usage")?;
            } else {
                scan.skip()?;
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Tells what was found; `usage` says what the stream was so far, this event included.
    pub(super) fn tell(self, usage: &mut dyn FnMut() -> Option<Event<'static>>, tell: Each<'_>) {
        let kind = self.kind.as_ref().map(Text::decode).unwrap_or_default();
        match &*kind {
            "content_block_start" => self.block.tell(tell),
            "content_block_delta" => self.delta.tell(tell),
            "message_delta" => {
                if let Some(reason) = &self.delta.stop_reason {
                    tell(Event::Finish { choice: 0, reason: reason.decode() });
                }
            }
            _ => {}
        }
        if (self.has_usage || self.message_has_usage)
            && let Some(usage) = usage()
        {
            tell(usage);
        }
        match &*kind {
            "message_stop" => tell(Event::Done),
            "error" => {
                let message = self.error.message.as_ref().map(Text::decode);
                tell(Event::Error(message.unwrap_or_default()));
            }
            _ => {}
        }
    }
}

impl<'b> Part<'b> {
    fn read(scan: &mut Scan<'b>) -> Result<Self, Flaw> {
        let mut part = Self::default();
        json::members(scan, |key, scan| {
            if is(key, "type") {
                part.kind = json::text(scan)?;
            } else if is(key, "text") {
                part.text = json::text(scan)?;
            } else if is(key, "thinking") {
                part.thinking = json::text(scan)?;
            } else if is(key, "stop_reason") {
                part.stop_reason = json::text(scan)?;
            } else if is(key, "message") {
                part.message = json::text(scan)?;
            } else {
                scan.skip()?;
            }
            Ok(())
        })?;
        Ok(part)
    }

    /// Tells what a block of content begins with, or goes on with.
    fn tell(&self, tell: Each<'_>) {
        let kind = self.kind.as_ref().map(Text::decode).unwrap_or_default();
        match (&*kind, &self.text, &self.thinking) {
            ("text" | "text_delta", Some(text), _) => {
                tell(Event::Text { choice: 0, text: text.decode() });
            }
            ("thinking" | "thinking_delta", _, Some(thinking)) => {
                tell(Event::Reasoning(thinking.decode()));
            }
            ("tool_use" | "server_tool_use" | "mcp_tool_use" | "input_json_delta", ..) => {
                tell(Event::ToolCall);
            }
            _ => {}
        }
    }
}
