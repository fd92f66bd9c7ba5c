//! What a body asks for: the few keys of its JSON that decide where it goes and what it may cost.

mod unreadable;

use std::cmp::Ordering;
use std::ops::Range;

use crate::llm::scan::Flaw;
use crate::llm::scan::Scan;
use crate::llm::scan::Value;

pub use crate::llm::request::unreadable::Unreadable;
pub use crate::llm::scan::DEPTH_MAX;
pub use crate::llm::scan::Syntax;
pub use crate::llm::scan::Text;

/// What a body asks for. Keys that are absent or `null` read as absent, except `model`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask<'b> {
    /// `model`.
    pub model: Option<Text<'b>>,
    /// `stream`.
    pub is_stream: bool,
    /// The greatest of `max_tokens`, `max_completion_tokens` and `max_output_tokens`. A negative number,
    /// which some servers take for "no bound", reads as absent.
    pub max_tokens: Option<u64>,
    /// `stream_options.include_usage`.
    pub include_usage: Option<bool>,
    /// `user`.
    pub user: Option<Text<'b>>,
    /// Where things stand that may be changed on the way up.
    pub places: Places,
}

/// Where in a body things stand that may be changed on the way up: offsets from its start, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Just after the brace that opens the outermost object.
    pub members: usize,
    /// The value of `stream_options`, if it is there: an object or `null`.
    pub stream_options: Option<Range<usize>>,
    /// Whether that is `null`.
    pub is_options_null: bool,
    /// Whether that is an object without members.
    pub is_options_empty: bool,
    /// The value of `stream_options.include_usage`, if it is there: true, false or `null`.
    pub include_usage: Option<Range<usize>>,
}

impl<'b> Ask<'b> {
    /// The model, where one must be named.
    ///
    /// # Errors
    ///
    /// [`Unreadable::ModelMissing`] if the body names none.
    pub fn named_model(&self) -> Result<&Text<'b>, Unreadable> {
        self.model.as_ref().ok_or(Unreadable::ModelMissing)
    }
}

/// Reads what `body` asks for. Validates all of it in one pass and allocates nothing.
///
/// A body is valid JSON here exactly if serde_json reads it as a `Value`; beyond that it must be an object in which
/// the keys of [`Ask`] have their types and are there once, in lower case. Only keys of the outermost object count.
/// Keys are compared as they read when decoded, so that no escape hides one.
///
/// # Errors
///
/// The first thing that is wrong; what is not JSON comes before everything else.
pub fn peek(body: &[u8]) -> Result<Ask<'_>, Unreadable> {
    let found = find(body)?;
    match found.objection {
        None => Ok(found.ask),
        Some(objection) => Err(objection),
    }
}

/// Reads `body` where the path already says where it goes: any JSON will do, and keys of another type than
/// [`Ask`] knows are not ours to judge, so they read as absent.
///
/// # Errors
///
/// [`Unreadable::InvalidJson`] or [`Unreadable::TooDeep`].
pub fn peek_any(body: &[u8]) -> Result<Ask<'_>, Unreadable> {
    Ok(find(body)?.ask)
}

/// The keys we read, as bits of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Model,
    Stream,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    StreamOptions,
    User,
}

impl Key {
    const ALL: [Self; 7] = [
        Self::Model,
        Self::Stream,
        Self::MaxTokens,
        Self::MaxCompletionTokens,
        Self::MaxOutputTokens,
        Self::StreamOptions,
        Self::User,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Stream => "stream",
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::MaxOutputTokens => "max_output_tokens",
            Self::StreamOptions => "stream_options",
            Self::User => "user",
        }
    }
}

const INCLUDE_USAGE: &str = "include_usage";

/// What has been found so far.
#[derive(Default)]
struct Finding<'b> {
    ask: Ask<'b>,
    /// One bit for each [`Key`] met.
    seen: u8,
    /// The first reason, other than syntax, to refuse the body.
    objection: Option<Unreadable>,
}

fn find(body: &[u8]) -> Result<Finding<'_>, Flaw> {
    let mut scan = Scan::new(body)?;
    let mut found = Finding::default();
    if scan.is_at_object() {
        found.ask.places.members = scan.offset() + 1;
        let mut has_member = scan.enter_object()?;
        while has_member {
            let key = scan.key()?;
            match found.recognise(&key) {
                Some(key) => found.take(key, &mut scan)?,
                None => scan.skip()?,
            }
            has_member = scan.has_more_members()?;
        }
    } else {
        scan.skip()?;
        found.object_to(Unreadable::NotAnObject);
    }
    scan.finish()?;
    Ok(found)
}

impl<'b> Finding<'b> {
    fn object_to(&mut self, objection: Unreadable) {
        self.objection.get_or_insert(objection);
    }

    /// Which of our keys this is, if any; the second of a kind and look-alikes are objected to.
    fn recognise(&mut self, key: &Text<'b>) -> Option<Key> {
        let offset = key.span.start;
        for ours in Key::ALL {
            match likeness(key, ours.name()) {
                Likeness::None => {}
                Likeness::Miscased => {
                    self.object_to(Unreadable::MiscasedKey { name: ours.name(), offset });
                    return None;
                }
                Likeness::Same => {
                    let bit = 1 << ours as u8;
                    if self.seen & bit != 0 {
                        self.object_to(Unreadable::DuplicateKey { name: ours.name(), offset });
                        return None;
                    }
                    self.seen |= bit;
                    return Some(ours);
                }
            }
        }
        None
    }

    /// Reads the value of `key`, which begins where `scan` is.
    fn take(&mut self, key: Key, scan: &mut Scan<'b>) -> Result<(), Flaw> {
        let offset = scan.offset();
        if key == Key::StreamOptions && scan.is_at_object() {
            return self.take_stream_options(scan);
        }
        match (key, scan.value()?) {
            (Key::Model, Value::Text(text)) => self.ask.model = Some(text),
            (Key::Model, _) => self.object_to(Unreadable::ModelNotString { offset }),
            (Key::StreamOptions, Value::Null) => {
                self.ask.places.stream_options = Some(offset..scan.offset());
                self.ask.places.is_options_null = true;
            }
            (_, Value::Null) => {}
            (Key::Stream, Value::Flag(flag)) => self.ask.is_stream = flag,
            (Key::Stream, _) => self.object_to(Unreadable::StreamNotBoolean { offset }),
            (Key::StreamOptions, _) => {
                self.object_to(Unreadable::StreamOptionsNotObject { offset });
            }
            (Key::User, Value::Text(text)) => self.ask.user = Some(text),
            (Key::User, _) => self.object_to(Unreadable::UserNotString { offset }),
            (Key::MaxTokens | Key::MaxCompletionTokens | Key::MaxOutputTokens, value) => {
                match token_bound(&value) {
                    Some(bound) => self.ask.max_tokens = self.ask.max_tokens.max(bound),
                    None => {
                        let name = key.name();
                        self.object_to(Unreadable::MaxTokensNotNumber { name, offset });
                    }
                }
            }
        }
        Ok(())
    }

    fn take_stream_options(&mut self, scan: &mut Scan<'b>) -> Result<(), Flaw> {
        let mut is_seen = false;
        let start = scan.offset();
        let mut has_member = scan.enter_object()?;
        self.ask.places.is_options_empty = !has_member;
        while has_member {
            let key = scan.key()?;
            let offset = scan.offset();
            let value = scan.value()?;
            match likeness(&key, INCLUDE_USAGE) {
                Likeness::None => {}
                Likeness::Miscased => self.object_to(Unreadable::MiscasedKey {
                    name: INCLUDE_USAGE,
                    offset: key.span.start,
                }),
                Likeness::Same if is_seen => self.object_to(Unreadable::DuplicateKey {
                    name: INCLUDE_USAGE,
                    offset: key.span.start,
                }),
                Likeness::Same => {
                    is_seen = true;
                    let span = offset..scan.offset();
                    match value {
                        Value::Flag(flag) => {
                            self.ask.include_usage = Some(flag);
                            self.ask.places.include_usage = Some(span);
                        }
                        Value::Null => self.ask.places.include_usage = Some(span),
                        _ => self.object_to(Unreadable::IncludeUsageNotBoolean { offset }),
                    }
                }
            }
            has_member = scan.has_more_members()?;
        }
        self.ask.places.stream_options = Some(start..scan.offset());
        Ok(())
    }
}

/// `Some(None)` for a negative number, `None` for what is not a whole number that fits.
fn token_bound(value: &Value<'_>) -> Option<Option<u64>> {
    let Value::Number(text) = *value else { return None };
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    // Python writes the float 100.0 so, and servers take it for 100.
    let digits = match digits.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
        Some(_) => return None,
        None => digits,
    };
    let bound = digits.parse::<u64>().ok()?;
    Some((sign > 0).then_some(bound))
}

/// How a key compares to one of ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    Same,
    Miscased,
    None,
}

#[inline]
pub(crate) fn likeness(key: &Text<'_>, name: &str) -> Likeness {
    // Most keys are settled by their length: what else means one of ours, by escapes or by letters that fold to
    // ASCII, is longer.
    match key.raw.len().cmp(&name.len()) {
        Ordering::Less => Likeness::None,
        Ordering::Equal if key.raw == name => Likeness::Same,
        Ordering::Equal if key.raw.eq_ignore_ascii_case(name) => Likeness::Miscased,
        Ordering::Equal => Likeness::None,
        Ordering::Greater if key.has_escapes || !key.raw.is_ascii() => likeness_decoded(key, name),
        Ordering::Greater => Likeness::None,
    }
}

#[cold]
fn likeness_decoded(key: &Text<'_>, name: &str) -> Likeness {
    if key.chars().eq(name.chars()) {
        Likeness::Same
    } else if key.chars().map(fold).eq(name.chars()) {
        Likeness::Miscased
    } else {
        Likeness::None
    }
}

/// Lower case as servers fold it that ignore case: the long s and the Kelvin sign are s and k.
const fn fold(letter: char) -> char {
    match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod differential;
