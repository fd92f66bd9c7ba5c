//! Where a stream of events can be taken up again: its last id and its `retry`, read as it passes; and ids put into events.
//!
//! The rules are those of the WHATWG HTML standard, section 9.2.6. An `id` counts once its event ends, whether that has data or
//! not; an empty one takes the last one back; one with a NUL is none. A `retry` counts at once, if it is digits alone.

use std::ops::Range;

use crate::units::Millis;
use crate::wire::sse::field::MARK;
use crate::wire::sse::field::first_line;
use crate::wire::sse::field::value_of;

/// Bytes of the longest id that is kept. What is longer is no place to come back to.
pub const ID_BYTES_MAX: usize = 256;

/// What one stream has said so far about coming back to it.
#[derive(Debug, Default)]
pub struct Origin {
    id: Vec<u8>,
    retry: Option<Millis>,
    /// The last id cannot be sent back: it is too long, or no field of a head can hold it.
    is_unfit: bool,
    /// Something of the stream has come, so that no byte order mark may.
    is_begun: bool,
}

impl Origin {
    /// Takes in one whole event, as the server wrote it. What has no blank line at its end is not whole: its id is none yet.
    pub fn feed_event(&mut self, event: &[u8]) {
        let mut rest = event;
        if !std::mem::replace(&mut self.is_begun, true) {
            rest = rest.strip_prefix(MARK).unwrap_or(rest);
        }
        let mut id = None;
        while let Some((line, end)) = first_line(rest) {
            rest = rest.get(line.len() + end.len()..).unwrap_or_default();
            if line.is_empty() {
                if let Some(id) = id.take() {
                    self.keep(id);
                }
            } else if let Some(value) = value_of(line, b"id") {
                id = if value.contains(&0) { id } else { Some(value) };
            } else if let Some(value) = value_of(line, b"retry") {
                self.retry = digits(value).or(self.retry);
            }
        }
    }

    fn keep(&mut self, id: &[u8]) {
        self.id.clear();
        // RFC 9110 section 5.5: no control characters in a value but the tab.
        let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        self.is_unfit = id.len() > ID_BYTES_MAX || id.iter().any(is_control);
        if !self.is_unfit {
            self.id.extend_from_slice(id);
        }
    }

    /// The id to come back with, as a value of `Last-Event-ID`. `None`: the stream gave none, took it back, or gave one that
    /// is longer than [`ID_BYTES_MAX`] or cannot stand in the head of a request.
    #[must_use]
    pub fn last_id(&self) -> Option<&[u8]> {
        Some(self.id.as_slice()).filter(|id| !id.is_empty() && !self.is_unfit)
    }

    /// How long the server asks to wait before coming back; [`Millis::MAX`] stands for longer waits too.
    #[must_use]
    pub const fn retry(&self) -> Option<Millis> {
        self.retry
    }
}

/// Appends `event`, one whole event with its blank line, as it is numbered: its own `id` lines dropped, and `id`, which must
/// have no line end, on a line before the blank one.
///
/// Its other bytes stay. What has no blank line at its end, and a blank line alone, gets no id.
pub fn with_id(event: &[u8], id: &[u8], out: &mut Vec<u8>) {
    out.reserve(event.len() + id.len() + 6);
    pass_without_ids(event, Some(id), out);
}

/// Appends `event`, one whole event with its blank line, without its `id` lines. Its other bytes stay.
pub fn take_id_lines(event: &[u8], out: &mut Vec<u8>) {
    out.reserve(event.len());
    pass_without_ids(event, None, out);
}

/// Appends `block`, lines up to a blank one that dispatch nothing as they have no data, so that it stands beside the next event: its
/// comments, its `retry` and what nobody knows; without `id`, `event` and the blank line, which some clients take for an event
/// (the decoders of OpenAI's SDK for Python and of httpx-sse, once they have seen an id).
pub fn without_event(block: &[u8], out: &mut Vec<u8>) {
    let mut rest = block;
    while let Some((line, end)) = first_line(rest).filter(|(line, _)| !line.is_empty()) {
        rest = rest.get(line.len() + end.len()..).unwrap_or_default();
        let unmarked = line.strip_prefix(MARK).unwrap_or(line);
        if value_of(unmarked, b"id").is_none() && value_of(unmarked, b"event").is_none() {
            out.extend_from_slice(line);
            out.extend_from_slice(end);
        }
    }
}

fn pass_without_ids(event: &[u8], id: Option<&[u8]>, out: &mut Vec<u8>) {
    let start = out.len();
    let (mut at, mut kept_from) = (0, 0);
    let keep = |span: Range<usize>, out: &mut Vec<u8>| {
        out.extend_from_slice(event.get(span).unwrap_or_default());
    };
    while let Some((line, end)) = event.get(at..).and_then(first_line) {
        let behind = at + line.len() + end.len();
        if line.is_empty() {
            keep(kept_from..at, out);
            kept_from = at;
            if let Some(id) = id.filter(|_| at > 0) {
                out.extend_from_slice(b"id: ");
                out.extend_from_slice(id);
                out.extend_from_slice(end);
            } else if end == b"\n" && out.get(start..).is_some_and(|put| put.ends_with(b"\r")) {
                // The line between the two is gone: they must not become one line end.
                out.push(b'\n');
            }
            break;
        }
        let unmarked = line.strip_prefix(MARK);
        if value_of(unmarked.unwrap_or(line), b"id").is_some() {
            let mark = if unmarked.is_some() { MARK.len() } else { 0 };
            keep(kept_from..at + mark, out);
            kept_from = behind;
            if unmarked.is_some() || event.get(behind..).is_some_and(|rest| rest.starts_with(MARK))
            {
                // A mark is one only at the very start of a stream. An empty comment keeps this place, so that every mark is
                // what it was: the stream's, or part of a field that nobody knows.
                out.push(b':');
                kept_from = at + line.len();
            }
        }
        at = behind;
    }
    keep(kept_from..event.len(), out);
}

/// A number of milliseconds, if it is digits alone; one that is too large is the largest.
fn digits(value: &[u8]) -> Option<Millis> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = value.iter().fold(0_u32, |number, digit| {
        number.saturating_mul(10).saturating_add(u32::from(digit - b'0'))
    });
    Some(Millis(number))
}

#[cfg(test)]
use crate::wire;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod oracle;
