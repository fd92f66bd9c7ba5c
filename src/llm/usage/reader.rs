//! A reader of JSON that keeps only counts of tokens. It does not validate: of what is not JSON it may make anything.

use crate::llm::usage::Usage;

/// A key that means something to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Usage,
    Message,
    Response,
    Choices,
    Count(Count),
}

/// A count of tokens: its place in [`Counts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    Prompt,
    Input,
    CacheCreation,
    CacheRead,
    Output,
    Total,
}

/// The keys, each with its bit in a set of candidates.
const NAMES: [(&[u8], Name); 11] = [
    (b"usage", Name::Usage),
    (b"message", Name::Message),
    (b"response", Name::Response),
    (b"choices", Name::Choices),
    (b"prompt_tokens", Name::Count(Count::Prompt)),
    (b"input_tokens", Name::Count(Count::Input)),
    (b"cache_creation_input_tokens", Name::Count(Count::CacheCreation)),
    (b"cache_read_input_tokens", Name::Count(Count::CacheRead)),
    (b"completion_tokens", Name::Count(Count::Output)),
    (b"output_tokens", Name::Count(Count::Output)),
    (b"total_tokens", Name::Count(Count::Total)),
];
/// Those that may stand in the outermost object, in one around a `usage`, and in a `usage`.
const IN_ROOT: u16 = 0b000_0000_1111;
const IN_WRAPPER: u16 = 0b000_0000_0001;
const IN_USAGE: u16 = 0b111_1111_0000;

/// Counts of tokens that were given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    values: [u32; 6],
    /// One bit for each that is there.
    has: u8,
}

impl Counts {
    fn set(&mut self, count: Count, value: u32) {
        if let Some(slot) = self.values.get_mut(count as usize) {
            *slot = value;
            self.has |= 1 << count as u8;
        }
    }

    fn of(&self, count: Count) -> Option<u64> {
        let value = self.values.get(count as usize)?;
        (self.has & (1 << count as u8) != 0).then_some(u64::from(*value))
    }

    /// Takes over what newer counts say.
    fn renew(&mut self, newer: &Self) {
        let places = self.values.iter_mut().zip(&newer.values).enumerate();
        for (_, (slot, value)) in places.filter(|(place, _)| newer.has & (1 << place) != 0) {
            *slot = *value;
        }
        self.has |= newer.has;
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        if self.has == 0 {
            return None;
        }
        let output = self.of(Count::Output);
        let input = self.of(Count::Prompt).or_else(|| {
            // Anthropic's input_tokens are those that no cache knew; its prompt is all three.
            let parts = [Count::Input, Count::CacheCreation, Count::CacheRead];
            parts.into_iter().filter_map(|part| self.of(part)).reduce(|sum, part| sum + part)
        });
        // A server of embeddings or rankings may say the total alone.
        let total = self.of(Count::Total).map(|total| total.saturating_sub(output.unwrap_or(0)));
        Some(Usage { input: input.or(total).unwrap_or(0), output: output.unwrap_or(0) })
    }
}

/// What the next byte is part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Nothing that spans bytes, as far as we care.
    #[default]
    Between,
    /// A string that is no key of ours.
    Text,
    /// A backslash came in such a string.
    TextEscape,
    /// A key of a watched object.
    Key,
    /// A backslash came in such a key.
    KeyEscape,
    /// So many digits of a `\u` in such a key.
    KeyUnicode(u8),
    /// A count.
    Number,
}

/// What `choices` of the outermost object is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Choices {
    #[default]
    None,
    /// Its bracket was the last thing seen.
    Opened,
    Empty,
    Filled,
}

/// What is known of a document between two bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Reader {
    found: Counts,
    /// What the `usage` that is open has said: nothing of it counts before its end.
    staged: Counts,
    /// Arrays and objects that are open.
    depth: u32,
    /// How many of them, from the outermost, are objects on a way that can lead to a count.
    watched: u32,
    /// The depth of the `usage` that is open, or 0.
    usage_depth: u32,
    /// The count that is being read; `None` if it is not made of digits alone.
    number: Option<u32>,
    /// Keys that the current one may still become, and how many bytes of it there were.
    candidates: u16,
    position: u8,
    /// Code of the character that is being read as `\u`.
    unit: u16,
    place: Place,
    /// The last key of the innermost watched object, until its value begins.
    key: Option<Name>,
    /// Whether a string would be a key of the innermost watched object.
    is_at_key: bool,
    choices: Choices,
    /// Whether the outermost object has a `usage` that is an object.
    has_usage: bool,
}

impl Reader {
    pub(super) fn found(&self) -> &Counts {
        &self.found
    }

    /// Whether a whole document has been read that has a `usage`, and `choices` without any.
    pub(super) fn is_usage_alone(&self) -> bool {
        self.depth == 0 && self.has_usage && self.choices == Choices::Empty
    }

    /// What comes next is another document.
    pub(super) fn end_document(&mut self) {
        *self = Self { found: self.found, ..Self::default() };
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if self.place == Place::Text {
                rest = self.pass_text(rest);
                continue;
            }
            if self.place == Place::Number && self.pass_number(byte) {
                continue;
            }
            rest = after;
            let is_key = self.place == Place::Between
                && byte == b'"'
                && self.is_at_key
                && self.is_in_watched();
            if is_key && let Some(behind) = self.whole_key(after) {
                rest = behind;
                continue;
            }
            match self.place {
                Place::Between => self.between(byte),
                Place::Key => self.in_key(byte),
                Place::TextEscape => self.place = Place::Text,
                Place::KeyEscape => self.in_key_escape(byte),
                Place::KeyUnicode(digits) => self.in_key_unicode(byte, digits),
                Place::Number | Place::Text => {}
            }
        }
    }

    /// Passes a string to its end, or to its next escape; what follows.
    fn pass_text<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let Some(length) = memchr::memchr2(b'"', b'\\', bytes) else { return &[] };
        let is_end = bytes.get(length) == Some(&b'"');
        self.place = if is_end { Place::Between } else { Place::TextEscape };
        bytes.get(length + 1..).unwrap_or_default()
    }

    /// A byte of a count. Whether it is behind it, and must be looked at again.
    fn pass_number(&mut self, byte: u8) -> bool {
        match byte {
            b'0'..=b'9' => {
                let digit = u32::from(byte - b'0');
                self.number =
                    self.number.map(|number| number.saturating_mul(10).saturating_add(digit));
                false
            }
            b'.' | b'e' | b'E' | b'+' | b'-' => {
                self.number = None;
                false
            }
            _ => {
                if let (Some(number), Some(Name::Count(count))) = (self.number, self.key) {
                    self.staged.set(count, number);
                }
                self.key = None;
                self.place = Place::Between;
                true
            }
        }
    }

    fn is_in_watched(&self) -> bool {
        self.depth == self.watched
    }

    fn between(&mut self, byte: u8) {
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            return;
        }
        if self.choices == Choices::Opened {
            self.choices = if byte == b']' { Choices::Empty } else { Choices::Filled };
        }
        match byte {
            b'"' if self.is_at_key && self.is_in_watched() => self.begin_key(),
            b'"' => self.place = Place::Text,
            b'{' | b'[' => self.open(byte == b'{'),
            b'}' | b']' => self.close(),
            b',' if self.is_in_watched() => {
                self.is_at_key = self.watched > 0;
                self.key = None;
            }
            b':' if self.is_in_watched() => self.is_at_key = false,
            b'-' | b'0'..=b'9' if self.is_in_watched() && !self.is_at_key => {
                if let Some(Name::Count(_)) = self.key {
                    self.place = Place::Number;
                    self.number = Some(0);
                    self.pass_number(byte);
                }
            }
            _ => {}
        }
    }

    fn begin_key(&mut self) {
        self.place = Place::Key;
        self.position = 0;
        self.candidates = if self.usage_depth == self.watched {
            IN_USAGE
        } else if self.watched == 1 {
            IN_ROOT
        } else {
            IN_WRAPPER
        };
    }

    /// Reads a key that is here in one piece and without escapes, as most are; what is behind it.
    fn whole_key<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let length = memchr::memchr2(b'"', b'\\', bytes)?;
        let (key, behind) = bytes.split_at_checked(length)?;
        let behind = behind.strip_prefix(b"\"")?;
        self.begin_key();
        self.end_key(|name| name == key);
        Some(behind)
    }

    /// The key is the one of its candidates that `is` says it is.
    fn end_key(&mut self, is: impl Fn(&[u8]) -> bool) {
        let candidates = self.candidates;
        let named = NAMES
            .iter()
            .enumerate()
            .find(|(index, (name, _))| candidates & (1 << index) != 0 && is(name));
        self.key = named.map(|(_, (_, name))| *name);
        self.is_at_key = false;
        self.place = Place::Between;
    }

    fn in_key(&mut self, byte: u8) {
        match byte {
            b'"' => {
                let length = usize::from(self.position);
                self.end_key(|name| name.len() == length);
            }
            b'\\' => self.place = Place::KeyEscape,
            _ => self.narrow(byte),
        }
    }

    /// The key goes on with this byte: which of ours may it still be?
    fn narrow(&mut self, byte: u8) {
        let place = usize::from(self.position);
        for (index, (name, _)) in NAMES.iter().enumerate() {
            if name.get(place) != Some(&byte) {
                self.candidates &= !(1 << index);
            }
        }
        self.position = self.position.saturating_add(1);
    }

    fn in_key_escape(&mut self, byte: u8) {
        if byte == b'u' {
            self.unit = 0;
            self.place = Place::KeyUnicode(0);
        } else {
            // No key of ours has a character that is written so.
            self.candidates = 0;
            self.place = Place::Key;
        }
    }

    fn in_key_unicode(&mut self, byte: u8, digits: u8) {
        let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
        self.unit = (self.unit << 4) | digit.unwrap_or(0);
        if digits < 3 {
            self.place = Place::KeyUnicode(digits + 1);
            return;
        }
        self.place = Place::Key;
        match u8::try_from(self.unit) {
            Ok(byte) if byte.is_ascii() => self.narrow(byte),
            _ => self.candidates = 0,
        }
    }

    fn open(&mut self, is_object: bool) {
        let key = if self.is_in_watched() { self.key.take() } else { None };
        if key == Some(Name::Choices) && self.choices != Choices::Filled {
            self.choices = if is_object { Choices::Filled } else { Choices::Opened };
        }
        let is_way = match key {
            Some(Name::Usage) => true,
            Some(Name::Message | Name::Response) => self.watched == 1,
            _ => self.depth == 0,
        };
        self.depth = self.depth.saturating_add(1);
        if !is_object || !is_way {
            return;
        }
        self.watched = self.depth;
        self.is_at_key = true;
        if key == Some(Name::Usage) {
            self.usage_depth = self.watched;
            self.staged = Counts::default();
        }
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.watched <= self.depth {
            return;
        }
        if self.usage_depth == self.watched {
            self.found.renew(&self.staged);
            self.has_usage |= self.watched == 2;
            self.usage_depth = 0;
        }
        self.watched = self.depth;
        self.is_at_key = false;
        self.key = None;
    }
}
