//! What else a body may tell about where it is best sent: how its prompt begins, whether it has tools, whose it is.
//!
//! Bodies come here that [`peek`](crate::llm::request::peek) has let pass, so nothing is read beyond what the answer needs.

use crate::llm::request::Likeness;
use crate::llm::request::likeness;
use crate::llm::scan::Flaw;
use crate::llm::scan::Scan;
use crate::llm::scan::Syntax;
use crate::llm::scan::Text;
use crate::llm::scan::Value;

/// The keys whose values are what a model server reads before it answers.
const PROMPTS: [&str; 5] = ["messages", "system", "prompt", "input", "instructions"];

/// Bytes that are looked at first for keys in front of the prompt.
const WINDOW_BYTES: usize = 512;

/// A number for the beginning of the prompt: for the first `bytes` bytes of the values of `system`, `messages`, `prompt`,
/// `input` and `instructions` of the outermost object, as written, in the order in which they stand in `body`. `None`: none
/// is there, or `body` is not JSON in front of them.
///
/// The same beginning has the same number in all processes and versions. Reads about as far as the beginning goes, and
/// allocates nothing.
#[must_use]
pub fn prompt_fingerprint(body: &[u8], bytes: usize) -> Option<u64> {
    let mut window = bytes.saturating_add(WINDOW_BYTES);
    loop {
        // Most of a long body is not needed: not even to know that it is UTF-8.
        let part = part(body, window);
        match prompt_in(part, bytes) {
            Ok(found) => return found,
            Err(Flaw { what: Syntax::EndsEarly | Syntax::Empty, .. })
                if part.len() < body.len() =>
            {
                window = window.saturating_mul(4);
            }
            Err(_) => return None,
        }
    }
}

/// The first `length` bytes, less those of a character that has not ended.
fn part(body: &[u8], length: usize) -> &[u8] {
    let is_inside = |at: usize| body.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    // Behind more than three of such bytes there is no character anyway.
    let end = (length.saturating_sub(3)..=length).rev().find(|at| !is_inside(*at));
    body.get(..end.unwrap_or(length)).unwrap_or(body)
}

/// The same where `part` may have been cut at its end.
fn prompt_in(part: &[u8], bytes: usize) -> Result<Option<u64>, Flaw> {
    let mut sum = Fingerprint::default();
    let mut left = bytes;
    let mut is_there = false;
    let full = find(&mut Scan::new(part)?, |key, scan| {
        if !PROMPTS.iter().any(|name| is(key, name)) {
            return scan.skip().map(|()| None);
        }
        let start = scan.offset();
        let end = match scan.skip() {
            Ok(()) => scan.offset(),
            // What follows is not ours to read.
            Err(flaw) if flaw.offset.saturating_sub(start) >= left => flaw.offset,
            Err(flaw) => return Err(flaw),
        };
        let value = part.get(start..end).unwrap_or_default();
        let value = value.get(..left).unwrap_or(value);
        is_there = true;
        left -= value.len();
        sum.add(value);
        Ok((left == 0).then_some(()))
    })?;
    Ok((full.is_some() || is_there).then(|| sum.finish()))
}

/// Whether the outermost object has a `tools` or `functions`, in whatever case, that is an array with something in it.
///
/// Who asks means to send the request twice, so a body that cannot be read counts as having some.
#[must_use]
pub fn has_tools(body: &[u8]) -> bool {
    !matches!(find_tools(body), Ok(None))
}

fn find_tools(body: &[u8]) -> Result<Option<()>, Flaw> {
    let mut scan = Scan::new(body)?;
    let found = find(&mut scan, |key, scan| {
        let start = scan.offset();
        scan.skip()?;
        let value = body.get(start..scan.offset()).unwrap_or_default();
        let may_be = |name| likeness(key, name) != Likeness::None;
        let is_some = (may_be("tools") || may_be("functions")) && is_filled_array(value);
        Ok(is_some.then_some(()))
    })?;
    match found {
        None => scan.finish().map(|()| None),
        found => Ok(found),
    }
}

fn is_filled_array(value: &[u8]) -> bool {
    let inside = value.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    inside.is_some_and(|inside| !inside.trim_ascii().is_empty())
}

/// A number for the string `user` of the outermost object, or for `user_id` in its `metadata`: for whichever stands first in
/// `body`, decoded. `None`: neither is there, or `body` is not JSON in front of them.
///
/// The same user has the same number in all processes and versions. Allocates nothing.
#[must_use]
pub fn user(body: &[u8]) -> Option<u64> {
    let text = |scan: &mut Scan<'_>| match scan.value()? {
        Value::Text(text) => Ok(Some(of_text(&text))),
        _ => Ok(None),
    };
    let mut scan = Scan::new(body).ok()?;
    let found = find(&mut scan, |key, scan| {
        if is(key, "user") {
            return text(scan);
        }
        if is(key, "metadata") && scan.is_at_object() {
            return find(scan, |key, scan| match is(key, "user_id") {
                true => text(scan),
                false => scan.skip().map(|()| None),
            });
        }
        scan.skip().map(|()| None)
    });
    found.ok().flatten()
}

/// What `look` makes of the first member of which it makes something, in the object that begins here. `look` passes over
/// the value of the key that it is given. `None` also where no object begins.
fn find<'b, T>(
    scan: &mut Scan<'b>,
    mut look: impl FnMut(&Text<'b>, &mut Scan<'b>) -> Result<Option<T>, Flaw>,
) -> Result<Option<T>, Flaw> {
    if !scan.is_at_object() {
        return scan.skip().map(|()| None);
    }
    let mut has_member = scan.enter_object()?;
    while has_member {
        let key = scan.key()?;
        if let Some(found) = look(&key, scan)? {
            return Ok(Some(found));
        }
        has_member = scan.has_more_members()?;
    }
    Ok(None)
}

fn is(key: &Text<'_>, name: &str) -> bool {
    likeness(key, name) == Likeness::Same
}

fn of_text(text: &Text<'_>) -> u64 {
    let mut sum = Fingerprint::default();
    if text.has_escapes {
        text.chars().for_each(|letter| sum.add(letter.encode_utf8(&mut [0; 4]).as_bytes()));
    } else {
        sum.add(text.raw.as_bytes());
    }
    sum.finish()
}

/// A number for bytes that come in parts; how they are cut makes no difference.
///
/// Eight bytes at a time, since it is on the path. Whoever looks for two texts with the same number will find them, and
/// gains nothing: they are sent to the same endpoint.
#[derive(Default)]
struct Fingerprint {
    sum: u64,
    /// The bytes behind the last whole word, the first lowest.
    word: u64,
    length: u64,
}

impl Fingerprint {
    fn add(&mut self, bytes: &[u8]) {
        let begun = usize::try_from(self.length % 8).unwrap_or(0);
        let (rest, bytes) = bytes.split_at(bytes.len().min((8 - begun) % 8));
        rest.iter().for_each(|&byte| self.add_byte(byte));
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.sum = step(self.sum, u64::from_le_bytes(*word));
            self.length += 8;
        }
        rest.iter().for_each(|&byte| self.add_byte(byte));
    }

    fn add_byte(&mut self, byte: u8) {
        self.word |= u64::from(byte) << (8 * (self.length % 8));
        self.length += 1;
        if self.length.is_multiple_of(8) {
            self.sum = step(self.sum, self.word);
            self.word = 0;
        }
    }

    fn finish(&self) -> u64 {
        step(step(self.sum, self.word), self.length)
    }
}

/// For the same word different sums stay different, and for the same sum different words.
const fn step(sum: u64, word: u64) -> u64 {
    let product = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 32)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod oracle;
