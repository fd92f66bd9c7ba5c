//! A string as it stands in a document, and what it means.

use std::borrow::Cow;
use std::ops::Range;

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
