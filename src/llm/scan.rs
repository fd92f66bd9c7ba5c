//! A strict reader of JSON (RFC 8259) that validates everything and builds nothing.

use std::borrow::Cow;
use std::ops::Range;

/// How many arrays and objects may be open at once; the same bound as serde_json's.
pub const DEPTH_MAX: u32 = 127;

/// A number shorter than this, with an exponent of at most two digits, cannot leave the range of an `f64`.
const TAME_NUMBER_BYTES_MAX: usize = 200;

/// What is wrong with a document at some byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// Nothing but white space.
    Empty,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// The document ends before its value does.
    EndsEarly,
    /// Something that cannot begin a value.
    NoValue,
    /// A member of an object that does not begin with a string.
    NoKey,
    /// A key without its colon.
    NoColon,
    /// A member of an object that is followed by neither a comma nor a brace.
    NoCommaOrBrace,
    /// An element of an array that is followed by neither a comma nor a bracket.
    NoCommaOrBracket,
    /// A control character as itself inside a string.
    ControlCharacter,
    /// A backslash that begins no escape.
    BadEscape,
    /// Half of a surrogate pair.
    LoneSurrogate,
    /// A number that is not written as JSON wants it.
    BadNumber,
    /// A number greater than an `f64` can hold.
    NumberTooLarge,
    /// Something after the end of the value.
    TrailingText,
    /// More than [`DEPTH_MAX`] arrays and objects inside each other.
    TooDeep,
}

impl Syntax {
    /// What is wrong, as the end of a sentence, with what to write instead.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Empty => "the body is empty; send a JSON object",
            Self::NotUtf8 => "these bytes are not UTF-8; encode the body as UTF-8",
            Self::EndsEarly => {
                "the body ends in the middle of a value; check that it was sent whole and that every string, array and object is closed"
            }
            Self::NoValue => {
                "a value was expected here: a string in double quotes, a number, true, false, null, an array or an object"
            }
            Self::NoKey => {
                "a key in double quotes was expected here (the last member takes no comma after it)"
            }
            Self::NoColon => "a colon was expected here, between key and value",
            Self::NoCommaOrBrace => "a comma or \"}\" was expected here",
            Self::NoCommaOrBracket => "a comma or \"]\" was expected here",
            Self::ControlCharacter => {
                "control characters must be escaped inside strings; write a line end as \\n and a tab as \\t"
            }
            Self::BadEscape => {
                "this is no escape; write a backslash as \\\\ and other characters as they are or as \\u and four hexadecimal digits"
            }
            Self::LoneSurrogate => {
                "this is half of a surrogate pair; write both halves, or the character itself"
            }
            Self::BadNumber => {
                "this is no JSON number; write digits without leading zeros or a plus sign, and digits on both sides of a decimal point"
            }
            Self::NumberTooLarge => {
                "this number is out of range; write one between -1.7e308 and 1.7e308"
            }
            Self::TrailingText => "the JSON value has ended before this; send exactly one value",
            Self::TooDeep => {
                "arrays and objects are nested too deeply; at most 127 levels are allowed"
            }
        }
    }
}

/// Where a document stopped being JSON, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Bytes from the start of the document.
    pub(crate) offset: usize,
    /// What is wrong there.
    pub(crate) what: Syntax,
}

/// A string as it stands in a body, not yet decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'b> {
    /// Where it is in the body, quotes included.
    pub span: Range<usize>,
    /// The text between the quotes, as written.
    pub raw: &'b str,
    /// Whether `raw` has escapes, so that it differs from what it means.
    pub has_escapes: bool,
}

impl<'b> Text<'b> {
    /// What the text means. Allocates only where there are escapes.
    #[must_use]
    pub fn decode(&self) -> Cow<'b, str> {
        if self.has_escapes { Cow::Owned(self.chars().collect()) } else { Cow::Borrowed(self.raw) }
    }

    /// The characters of what the text means.
    pub(crate) fn chars(&self) -> Chars<'b> {
        Chars { rest: self.raw }
    }
}

/// The characters of a validated string, its escapes resolved.
pub(crate) struct Chars<'b> {
    rest: &'b str,
}

impl Chars<'_> {
    fn hex(&mut self) -> u32 {
        let (digits, rest) = self.rest.split_at_checked(4).unwrap_or((self.rest, ""));
        self.rest = rest;
        u32::from_str_radix(digits, 16).unwrap_or(0)
    }

    fn unicode(&mut self) -> char {
        let mut code = self.hex();
        if (0xd800..0xdc00).contains(&code) {
            self.rest = self.rest.strip_prefix("\\u").unwrap_or("");
            let low = self.hex().wrapping_sub(0xdc00) & 0x3ff;
            code = 0x1_0000 + ((code - 0xd800) << 10) + low;
        }
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    }
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let first = chars.next()?;
        if first != '\\' {
            self.rest = chars.as_str();
            return Some(first);
        }
        let escape = chars.next()?;
        self.rest = chars.as_str();
        Some(match escape {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => self.unicode(),
            itself => itself,
        })
    }
}

/// A value that was passed over; arrays and objects keep nothing.
#[derive(Debug, PartialEq)]
pub(crate) enum Value<'b> {
    Text(Text<'b>),
    Flag(bool),
    Number(&'b str),
    Null,
    Compound,
}

/// The place up to which a document has been read, and what is open there.
#[derive(Debug)]
pub(crate) struct Scan<'b> {
    text: &'b str,
    bytes: &'b [u8],
    at: usize,
    depth: u32,
    /// One bit for each open array or object, the innermost lowest: whether it is an array.
    arrays: u128,
}

impl<'b> Scan<'b> {
    /// At the first byte of the document's value.
    pub(crate) fn new(body: &'b [u8]) -> Result<Self, Flaw> {
        let text = str::from_utf8(body)
            .map_err(|error| Flaw { offset: error.valid_up_to(), what: Syntax::NotUtf8 })?;
        let mut scan = Self { text, bytes: body, at: 0, depth: 0, arrays: 0 };
        if scan.next_byte().is_none() {
            return Err(scan.flaw(Syntax::Empty));
        }
        Ok(scan)
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// Nothing but white space may follow.
    pub(crate) fn finish(mut self) -> Result<(), Flaw> {
        match self.next_byte() {
            None => Ok(()),
            Some(_) => Err(self.flaw(Syntax::TrailingText)),
        }
    }

    /// Whether an object begins here.
    pub(crate) fn is_at_object(&self) -> bool {
        self.byte() == Some(b'{')
    }

    /// Enters the object that begins here. Whether it has a member; if not, it has been left again.
    pub(crate) fn enter_object(&mut self) -> Result<bool, Flaw> {
        self.open(false)?;
        if self.next_byte() == Some(b'}') {
            self.close();
            return Ok(false);
        }
        Ok(true)
    }

    /// The next key; its value begins where the scan then is.
    pub(crate) fn key(&mut self) -> Result<Text<'b>, Flaw> {
        match self.next_byte() {
            Some(b'"') => {}
            Some(_) => return Err(self.flaw(Syntax::NoKey)),
            None => return Err(self.flaw(Syntax::EndsEarly)),
        }
        let key = self.string()?;
        match self.next_byte() {
            Some(b':') => self.at += 1,
            Some(_) => return Err(self.flaw(Syntax::NoColon)),
            None => return Err(self.flaw(Syntax::EndsEarly)),
        }
        self.next_byte();
        Ok(key)
    }

    /// After a member of an object: whether another follows; if not, the object has been left.
    pub(crate) fn has_more_members(&mut self) -> Result<bool, Flaw> {
        match self.next_byte() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(b'}') => {
                self.close();
                Ok(false)
            }
            Some(_) => Err(self.flaw(Syntax::NoCommaOrBrace)),
            None => Err(self.flaw(Syntax::EndsEarly)),
        }
    }

    /// Reads the value that begins here.
    pub(crate) fn value(&mut self) -> Result<Value<'b>, Flaw> {
        match self.byte() {
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b'{' | b'[') => {
                self.skip()?;
                Ok(Value::Compound)
            }
            Some(b't') => self.literal("true").map(|()| Value::Flag(true)),
            Some(b'f') => self.literal("false").map(|()| Value::Flag(false)),
            Some(b'n') => self.literal("null").map(|()| Value::Null),
            Some(b'-' | b'0'..=b'9') => {
                let start = self.at;
                self.number()?;
                Ok(Value::Number(self.text.get(start..self.at).unwrap_or("")))
            }
            Some(_) => Err(self.flaw(Syntax::NoValue)),
            None => Err(self.flaw(Syntax::EndsEarly)),
        }
    }

    /// Passes over the value that begins here.
    pub(crate) fn skip(&mut self) -> Result<(), Flaw> {
        let outside = self.depth;
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.string_end()?;
                }
                Some(b'{') => {
                    if self.enter_object()? {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.open(true)?;
                    if self.next_byte() != Some(b']') {
                        continue;
                    }
                    self.close();
                }
                _ => {
                    self.value()?;
                }
            }
            if !self.has_another(outside)? {
                return Ok(());
            }
        }
    }

    /// After a value: closes what ends here, down to `outside` open ones; whether another value follows.
    fn has_another(&mut self, outside: u32) -> Result<bool, Flaw> {
        while self.depth > outside {
            if self.arrays & 1 == 0 {
                if self.has_more_members()? {
                    self.key()?;
                    return Ok(true);
                }
                continue;
            }
            match self.next_byte() {
                Some(b',') => {
                    self.at += 1;
                    self.next_byte();
                    return Ok(true);
                }
                Some(b']') => self.close(),
                Some(_) => return Err(self.flaw(Syntax::NoCommaOrBracket)),
                None => return Err(self.flaw(Syntax::EndsEarly)),
            }
        }
        Ok(false)
    }

    fn open(&mut self, is_array: bool) -> Result<(), Flaw> {
        if self.depth == DEPTH_MAX {
            return Err(self.flaw(Syntax::TooDeep));
        }
        self.depth += 1;
        self.arrays = (self.arrays << 1) | u128::from(is_array);
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.arrays >>= 1;
        self.at += 1;
    }

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is not white space, without passing it.
    fn next_byte(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    #[cold]
    fn flaw(&self, what: Syntax) -> Flaw {
        Flaw { offset: self.at, what }
    }

    fn literal(&mut self, word: &str) -> Result<(), Flaw> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        let is_cut = word.as_bytes().starts_with(rest);
        Err(self.flaw(if is_cut { Syntax::EndsEarly } else { Syntax::NoValue }))
    }

    /// The string whose opening quote is here.
    fn string(&mut self) -> Result<Text<'b>, Flaw> {
        let start = self.at;
        let has_escapes = self.string_end()?;
        let raw = self.text.get(start + 1..self.at - 1).unwrap_or("");
        Ok(Text { span: start..self.at, raw, has_escapes })
    }

    /// Passes the string whose opening quote is here; whether there were escapes.
    fn string_end(&mut self) -> Result<bool, Flaw> {
        self.at += 1;
        let mut has_escapes = false;
        loop {
            self.at += plain_length(self.bytes.get(self.at..).unwrap_or_default());
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(has_escapes);
                }
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.flaw(Syntax::ControlCharacter)),
                None => return Err(self.flaw(Syntax::EndsEarly)),
            }
        }
    }

    /// Passes the escape whose backslash is here.
    fn escape(&mut self) -> Result<(), Flaw> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => self.unicode_escape(),
            Some(_) => Err(self.flaw(Syntax::BadEscape)),
            None => Err(Flaw { offset: self.bytes.len(), what: Syntax::EndsEarly }),
        }
    }

    fn unicode_escape(&mut self) -> Result<(), Flaw> {
        let high = self.code_unit(self.at)?;
        match high {
            0xdc00..=0xdfff => return Err(self.flaw(Syntax::LoneSurrogate)),
            0xd800..=0xdbff => {
                let rest = self.bytes.get(self.at + 6..).unwrap_or_default();
                if rest.is_empty() || rest == b"\\" {
                    return Err(Flaw { offset: self.bytes.len(), what: Syntax::EndsEarly });
                }
                let is_pair = rest.starts_with(b"\\u")
                    && (0xdc00..=0xdfff).contains(&self.code_unit(self.at + 6)?);
                if !is_pair {
                    return Err(self.flaw(Syntax::LoneSurrogate));
                }
                self.at += 12;
            }
            _ => self.at += 6,
        }
        Ok(())
    }

    /// The four hexadecimal digits after the `\u` at `offset`.
    fn code_unit(&self, offset: usize) -> Result<u32, Flaw> {
        let mut unit = 0;
        for index in offset + 2..offset + 6 {
            let Some(&byte) = self.bytes.get(index) else {
                return Err(Flaw { offset: self.bytes.len(), what: Syntax::EndsEarly });
            };
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(Flaw { offset, what: Syntax::BadEscape });
            };
            unit = unit * 16 + digit;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
            if self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
                return Err(self.flaw(Syntax::BadNumber));
            }
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let mut exponent_digits = 0;
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            exponent_digits = self.digits()?;
        }
        if exponent_digits > 2 || self.at - start > TAME_NUMBER_BYTES_MAX {
            return self.check_range(start);
        }
        Ok(())
    }

    /// Rare, so it is left to serde_json: then both draw the line at the same number.
    #[cold]
    fn check_range(&self, start: usize) -> Result<(), Flaw> {
        let number = self.bytes.get(start..self.at).unwrap_or_default();
        match serde_json::from_slice::<f64>(number) {
            Ok(_) => Ok(()),
            Err(_) => Err(Flaw { offset: start, what: Syntax::NumberTooLarge }),
        }
    }

    /// One digit or more; how many.
    fn digits(&mut self) -> Result<usize, Flaw> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        match (self.at - start, self.byte()) {
            (0, None) => Err(self.flaw(Syntax::EndsEarly)),
            (0, Some(_)) => Err(self.flaw(Syntax::BadNumber)),
            (count, _) => Ok(count),
        }
    }
}

/// Length of the run of bytes at the start of `bytes` that mean themselves inside a string.
fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    let mut rest = bytes;
    for _ in 0..4 {
        let Some((word, after)) = rest.split_first_chunk::<8>() else { break };
        let stops = stops_in(u64::from_le_bytes(*word));
        if stops != 0 {
            return length + (stops.trailing_zeros() / 8) as usize;
        }
        length += 8;
        rest = after;
    }
    let (blocks, _) = rest.as_chunks::<32>();
    for block in blocks {
        if has_stop(block) {
            break;
        }
        length += 32;
    }
    let rest = bytes.get(length..).unwrap_or_default();
    let (words, tail) = rest.as_chunks::<8>();
    for word in words {
        let stops = stops_in(u64::from_le_bytes(*word));
        if stops != 0 {
            return length + (stops.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length + tail.iter().take_while(|&&byte| !is_stop(byte)).count()
}

const fn is_stop(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// Whether any of the bytes is a stop; written so that it compiles to vector instructions.
fn has_stop(block: &[u8; 32]) -> bool {
    block.iter().fold(0, |found, &byte| {
        found | u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20)
    }) != 0
}

/// The high bit of each byte that is a stop; above the lowest one there may be false ones.
const fn stops_in(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let quotes = word ^ (ONES * 0x22);
    let backslashes = word ^ (ONES * 0x5c);
    let stops = (quotes.wrapping_sub(ONES) & !quotes)
        | (backslashes.wrapping_sub(ONES) & !backslashes)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    stops & HIGHS
}
