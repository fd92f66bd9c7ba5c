//! A strict reader of JSON (RFC 8259) that validates everything and builds nothing.

mod array;
mod plain;
mod syntax;
mod text;

pub(crate) use crate::llm::scan::plain::plain_length;
pub(crate) use crate::llm::scan::syntax::Flaw;
pub use crate::llm::scan::syntax::Syntax;
pub use crate::llm::scan::text::Text;

/// How many arrays and objects may be open at once; the same bound as serde_json's.
pub const DEPTH_MAX: u32 = 127;

/// A number shorter than this, with an exponent of at most two digits, cannot leave the range of an `f64`.
const TAME_NUMBER_BYTES_MAX: usize = 200;

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
        match scan.next_byte() {
            None => Err(scan.flaw(Syntax::Empty)),
            Some(_) if text.starts_with('\u{feff}') => Err(scan.flaw(Syntax::ByteOrderMark)),
            Some(_) => Ok(scan),
        }
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
    #[inline]
    pub(crate) fn key(&mut self) -> Result<Text<'b>, Flaw> {
        self.begin_key()?;
        let key = self.string()?;
        self.end_key()?;
        Ok(key)
    }

    #[inline]
    fn skip_key(&mut self) -> Result<(), Flaw> {
        self.begin_key()?;
        self.string_end()?;
        self.end_key()
    }

    #[inline]
    fn begin_key(&mut self) -> Result<(), Flaw> {
        match self.next_byte() {
            Some(b'"') => Ok(()),
            Some(_) => Err(self.flaw(Syntax::NoKey)),
            None => Err(self.flaw(Syntax::EndsEarly)),
        }
    }

    #[inline]
    fn end_key(&mut self) -> Result<(), Flaw> {
        match self.next_byte() {
            Some(b':') => self.at += 1,
            Some(_) => return Err(self.flaw(Syntax::NoColon)),
            None => return Err(self.flaw(Syntax::EndsEarly)),
        }
        self.next_byte();
        Ok(())
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
    #[inline]
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
                        self.skip_key()?;
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
                    self.skip_key()?;
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
    #[inline]
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
