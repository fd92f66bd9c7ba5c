//! Events of the server that continues, as the first server would have written them.

use std::borrow::Cow;
use std::ops::Range;

use super::Transcript;
use super::transcript::Marks;
use super::transcript::mark;
use crate::llm::edit;
use crate::llm::edit::Edit;
use crate::llm::scan::Flaw;
use crate::llm::scan::Scan;
use crate::llm::scan::Value;
use crate::llm::stream::json;
use crate::llm::stream::json::is;

/// Where two servers' streams meet.
pub struct Seam {
    marks: Marks,
    /// The client knows who speaks.
    has_role: bool,
    /// Tokens that the first server said, which are part of the second one's prompt.
    tokens: u32,
}

/// What is to be changed in a chunk.
#[derive(Default)]
struct Found<'a> {
    edits: Vec<Edit<'a>>,
    /// `choices[].delta.role`, from its key to what follows its value.
    roles: Vec<Range<usize>>,
    /// Whether it says anything but who speaks.
    says_more: bool,
}

impl Seam {
    /// The place up to which this went down.
    #[must_use]
    pub fn new(transcript: &Transcript) -> Self {
        Self {
            marks: transcript.marks().cloned().unwrap_or_default(),
            has_role: transcript.has_role(),
            tokens: transcript.tokens(),
        }
    }

    /// Appends a whole event of the second stream to `out`, or nothing: what only says again who speaks stays here. What cannot be
    /// read passes as it is.
    pub fn pass(&mut self, event: &[u8], out: &mut Vec<u8>) {
        let Some((start, data)) = data_line(event) else { return out.extend_from_slice(event) };
        let Ok(mut found) = self.look(data) else { return out.extend_from_slice(event) };
        if self.has_role && !found.roles.is_empty() && !found.says_more {
            return;
        }
        if self.has_role {
            found.edits.extend(found.roles.into_iter().map(|span| Edit::new(span, b"")));
        }
        for edit in &mut found.edits {
            edit.span = edit.span.start + start..edit.span.end + start;
        }
        edit::sort(&mut found.edits);
        edit::apply(event, &found.edits, out);
    }

    fn look(&self, data: &[u8]) -> Result<Found<'_>, Flaw> {
        let mut found = Found::default();
        json::document(data, |key, scan| {
            let start = scan.offset();
            if is(key, "choices") {
                return json::items(scan, |scan| look_at_choice(scan, data, &mut found));
            }
            if is(key, "usage") && scan.is_at_object() {
                found.says_more = true;
                return self.look_at_usage(scan, &mut found);
            }
            scan.skip()?;
            if let Some(first) = mark(key).and_then(|place| self.marks[place].as_deref()) {
                found.edits.push(Edit::new(start..scan.offset(), first));
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// What the first server has said is in the second one's prompt: it is part of the answer.
    fn look_at_usage(&self, scan: &mut Scan<'_>, found: &mut Found<'_>) -> Result<(), Flaw> {
        json::members(scan, |key, scan| {
            let start = scan.offset();
            let is_prompt = is(key, "prompt_tokens");
            if !is_prompt && !is(key, "completion_tokens") {
                return scan.skip();
            }
            if let Some(count) = json::count(scan)? {
                let right = if is_prompt {
                    count.saturating_sub(self.tokens)
                } else {
                    count.saturating_add(self.tokens)
                };
                let with = Cow::Owned(right.to_string().into_bytes());
                found.edits.push(Edit { span: start..scan.offset(), with });
            }
            Ok(())
        })
    }
}

fn look_at_choice(scan: &mut Scan<'_>, data: &[u8], found: &mut Found<'_>) -> Result<(), Flaw> {
    json::members(scan, |key, scan| {
        if is(key, "delta") {
            return look_at_delta(scan, data, found);
        }
        let is_finish = is(key, "finish_reason");
        let value = scan.value()?;
        found.says_more |= is_finish && value != Value::Null;
        Ok(())
    })
}

fn look_at_delta(scan: &mut Scan<'_>, data: &[u8], found: &mut Found<'_>) -> Result<(), Flaw> {
    json::members(scan, |key, scan| {
        let is_role = is(key, "role");
        let value = scan.value()?;
        if is_role {
            found.roles.push(member(data, key.span.start, scan.offset()));
        } else {
            let is_empty = match value {
                Value::Null => true,
                Value::Text(text) => text.raw.is_empty(),
                _ => false,
            };
            found.says_more |= !is_empty;
        }
        Ok(())
    })
}

/// A member with the comma that goes with it: the one behind it, or else the one before.
fn member(data: &[u8], start: usize, end: usize) -> Range<usize> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let behind = data.get(end..).unwrap_or_default();
    let spaces = behind.iter().take_while(|byte| is_space(byte)).count();
    if behind.get(spaces) == Some(&b',') {
        return start..end + spaces + 1;
    }
    let before = data.get(..start).unwrap_or_default();
    let spaces = before.iter().rev().take_while(|byte| is_space(byte)).count();
    let comma = start.saturating_sub(spaces + 1);
    if data.get(comma) == Some(&b',') { comma..end } else { start..end }
}

/// The data of an event that has one line of it, and where that begins. One with several is none that a model server writes.
fn data_line(event: &[u8]) -> Option<(usize, &[u8])> {
    let mut found = None;
    let mut at = 0;
    for line in event.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
        let start = at;
        at += line.len();
        let Some(value) = line.strip_prefix(b"data:") else { continue };
        let value = value.strip_suffix(b"\n").or(value.strip_suffix(b"\r")).unwrap_or(value);
        let (skipped, value) = match value.strip_prefix(b" ") {
            Some(value) => (6, value),
            None => (5, value),
        };
        if found.replace((start + skipped, value)).is_some() {
            return None;
        }
    }
    found
}
