//! How many tokens an answer says it was, read while it passes: no tree, no memory of its own, any split.

mod quiet;
mod reader;
mod tally;

use crate::llm::usage::quiet::quiet_length;
use crate::llm::usage::reader::Reader;
use crate::llm::usage::tally::Tally;

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
///
/// It is cheap enough for every stream: whole events in which no `usage` can be are not read. Of those it only counts what text
/// they have, for when nobody says how many tokens it was.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    reader: Reader,
    line: Line,
    /// Whether the last byte was a carriage return, so that a line feed now would belong to it.
    is_after_return: bool,
    /// Whether the event that ended last says its usage and nothing else.
    is_usage_event: bool,
    /// Whether a line of an event that has not ended has been seen.
    is_inside: bool,
    /// Whether one of its lines was a data line.
    has_data: bool,
    tally: Tally,
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

    /// One whole JSON document of an answer that is several of them: the data of an event.
    pub(crate) fn feed_document(&mut self, document: &[u8]) {
        self.reader.feed(document);
        self.reader.end_document();
    }

    /// The next bytes of an answer that is a stream of events.
    pub fn feed_events(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        // So many bytes of the rest are known to end no event that need not be read.
        let mut known = 0_usize;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.is_after_return) && first == b'\n' {
                rest = rest.get(1..).unwrap_or_default();
                known = known.saturating_sub(1);
                continue;
            }
            if known == 0 && self.is_between() {
                let (quiet, looked) = quiet_length(rest);
                let (events, after) = rest.split_at_checked(quiet).unwrap_or((rest, &[]));
                if quiet > 0 {
                    self.tally.add(events);
                    self.line = Line::Start;
                    self.is_usage_event = false;
                }
                rest = after;
                known = (looked - quiet).max(1);
                continue;
            }
            let after = self.feed_event(rest);
            known = known.saturating_sub(rest.len() - after.len());
            rest = after;
        }
    }

    /// Whether nothing of an event has come.
    const fn is_between(&self) -> bool {
        !self.is_inside && matches!(self.line, Line::First | Line::Start)
    }

    /// Reads bytes up to the end of an event, if it is in them; what follows.
    fn feed_event<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if std::mem::take(&mut self.is_after_return) && byte == b'\n' {
                rest = after;
                continue;
            }
            if !matches!(self.line, Line::Data | Line::Other) {
                rest = after;
                if self.begin_line(byte) {
                    break;
                }
                continue;
            }
            let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let (line, end) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            let is_data = self.line == Line::Data;
            if is_data {
                self.has_data = true;
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
        rest
    }

    /// A byte of a line of which it is not known yet what it is. Whether it ends an event.
    fn begin_line(&mut self, byte: u8) -> bool {
        let is = |text: &[u8], place: u8| text.get(usize::from(place)) == Some(&byte);
        self.line = match self.line {
            Line::First | Line::Start if matches!(byte, b'\n' | b'\r') => {
                self.end_event();
                self.end_line(byte);
                return true;
            }
            _ if matches!(byte, b'\n' | b'\r') => {
                self.end_line(byte);
                return false;
            }
            Line::First if is(MARK, 0) => Line::Mark(1),
            Line::Mark(1) if is(MARK, 1) => Line::Mark(2),
            Line::Mark(2) if is(MARK, 2) => Line::Start,
            Line::First | Line::Start if is(NAME, 0) => Line::Name(1),
            Line::Name(4) if is(NAME, 4) => Line::Data,
            Line::Name(place) if is(NAME, place) => Line::Name(place + 1),
            _ => Line::Other,
        };
        self.is_inside = true;
        false
    }

    fn end_event(&mut self) {
        self.is_usage_event = self.reader.is_usage_alone();
        if std::mem::take(&mut self.has_data) && !self.is_usage_event {
            self.tally.add_unseen();
        }
        self.reader.end_document();
        self.is_inside = false;
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

    /// Tokens of what a stream has said so far, for when it does not say how many they are: one for each event that has text,
    /// or one for each 4 bytes of that where it is more. An event that came in parts counts as one token. What models think and
    /// what they call tools with counts too.
    #[must_use]
    pub const fn estimate(&self) -> u64 {
        self.tally.tokens()
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
