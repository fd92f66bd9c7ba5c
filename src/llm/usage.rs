//! How many tokens an answer says it was, read while it passes: no tree, no memory of its own, any split.

mod reader;

use crate::llm::usage::reader::Reader;

/// Tokens of one request, as the server counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What was read: the prompt. What a cache held of it counts too.
    pub input: u64,
    /// What was written.
    pub output: u64,
}

/// Reads the usage of one answer as its bytes pass, either as one JSON document or as a stream of events.
///
/// It looks at `usage` of the outermost object, and at that of its `message` (Anthropic's `message_start`) or
/// `response` (events of the Responses API), nowhere else. There it knows `prompt_tokens`, `completion_tokens`,
/// `input_tokens`, `output_tokens`, `cache_creation_input_tokens`, `cache_read_input_tokens` and `total_tokens`; of
/// each the last one counts, once its `usage` is whole. A count that is not a whole number in digits is none; one
/// beyond `u32::MAX` counts as that.
///
/// Bytes must be as the server wrote them before any coding: a compressed answer cannot be metered.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    reader: Reader,
    line: Line,
    /// Whether the last byte was a carriage return, so that a line feed now would belong to it.
    is_after_return: bool,
    /// Whether the event that ended last says its usage and nothing else.
    is_usage_event: bool,
}

/// What the current line of a stream of events has shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    /// It is the first of the stream: so many bytes of a byte order mark.
    #[default]
    First,
    Mark(u8),
    /// Nothing.
    Start,
    /// So many bytes of `data:`.
    Name(u8),
    /// A data line: the rest is JSON, or `[DONE]`.
    Data,
    /// Another line.
    Other,
}

const NAME: &[u8] = b"data:";
const MARK: &[u8] = b"\xef\xbb\xbf";

impl Meter {
    /// The next bytes of an answer that is one JSON document.
    pub fn feed_json(&mut self, bytes: &[u8]) {
        self.reader.feed(bytes);
    }

    /// The next bytes of an answer that is a stream of events.
    pub fn feed_events(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if std::mem::take(&mut self.is_after_return) && byte == b'\n' {
                rest = after;
                continue;
            }
            if !matches!(self.line, Line::Data | Line::Other) {
                rest = after;
                self.begin_line(byte);
                continue;
            }
            let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let (line, end) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            let is_data = self.line == Line::Data;
            if is_data {
                self.reader.feed(line);
            }
            rest = end;
            if let Some((&byte, after)) = end.split_first() {
                rest = after;
                self.end_line(byte);
                if is_data {
                    // What the next data line brings goes on after a line end.
                    self.reader.feed(b"\n");
                }
            }
        }
    }

    /// A byte of a line of which it is not known yet what it is.
    fn begin_line(&mut self, byte: u8) {
        let is = |text: &[u8], place: u8| text.get(usize::from(place)) == Some(&byte);
        self.line = match self.line {
            Line::First | Line::Start if matches!(byte, b'\n' | b'\r') => {
                self.is_usage_event = self.reader.is_usage_alone();
                self.reader.end_document();
                return self.end_line(byte);
            }
            _ if matches!(byte, b'\n' | b'\r') => return self.end_line(byte),
            Line::First if is(MARK, 0) => Line::Mark(1),
            Line::Mark(1) if is(MARK, 1) => Line::Mark(2),
            Line::Mark(2) if is(MARK, 2) => Line::Start,
            Line::First | Line::Start if is(NAME, 0) => Line::Name(1),
            Line::Name(4) if is(NAME, 4) => Line::Data,
            Line::Name(place) if is(NAME, place) => Line::Name(place + 1),
            _ => Line::Other,
        };
    }

    fn end_line(&mut self, byte: u8) {
        self.is_after_return = byte == b'\r';
        self.line = Line::Start;
    }

    /// Whether the event that ended last is the one a server adds for `include_usage`: no choices (`"choices":[]`),
    /// but a `usage`.
    #[must_use]
    pub const fn is_usage_event(&self) -> bool {
        self.is_usage_event
    }

    /// What the answer has said so far; `None` if nothing. In a stream of Anthropic's the output grows until its end.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.reader.found().usage()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod oracle;
