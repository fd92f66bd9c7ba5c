//! Structured fields (RFC 8941), as much of them as signatures use: dictionaries, inner lists, parameters. What is read
//! is kept as it is written, and is refused where it could be written otherwise: so text is its own canonical form.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A value without its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bare<'t> {
    /// What is between the quotes, escapes not resolved.
    Text(&'t str),
    Token(&'t str),
    Integer(i64, &'t str),
    /// What is between the colons.
    Bytes(&'t str),
    Bool(bool),
}

impl<'t> Bare<'t> {
    /// The text, escapes resolved.
    pub(super) fn text(self) -> Option<Cow<'t, str>> {
        let Self::Text(raw) = self else { return None };
        if !raw.contains('\\') {
            return Some(Cow::Borrowed(raw));
        }
        let mut text = String::with_capacity(raw.len());
        let mut is_escaped = false;
        for c in raw.chars() {
            is_escaped = c == '\\' && !is_escaped;
            if !is_escaped {
                text.push(c);
            }
        }
        Some(Cow::Owned(text))
    }

    /// The whole number, if it is one and not negative.
    pub(super) fn count(self) -> Option<u64> {
        match self {
            Self::Integer(number, _) => number.try_into().ok(),
            _ => None,
        }
    }

    /// The bytes.
    pub(super) fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Bytes(text) => STANDARD.decode(text).ok(),
            _ => None,
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Text(raw) => {
                out.push(b'"');
                out.extend_from_slice(raw.as_bytes());
                out.push(b'"');
            }
            Self::Token(text) | Self::Integer(_, text) => out.extend_from_slice(text.as_bytes()),
            Self::Bytes(text) => {
                out.push(b':');
                out.extend_from_slice(text.as_bytes());
                out.push(b':');
            }
            Self::Bool(is_true) => out.extend_from_slice(if is_true { b"?1" } else { b"?0" }),
        }
    }
}

/// Parameters in their order, each name once.
pub(super) type Parameters<'t> = Vec<(&'t str, Bare<'t>)>;

/// Writes parameters as they are signed.
pub(super) fn write_parameters(parameters: &Parameters<'_>, out: &mut Vec<u8>) {
    for (name, value) in parameters {
        out.push(b';');
        out.extend_from_slice(name.as_bytes());
        if *value != Bare::Bool(true) {
            out.push(b'=');
            value.write(out);
        }
    }
}

/// An item of an inner list.
pub(super) type Item<'t> = (Bare<'t>, Parameters<'t>);

/// Most parameters of one thing.
const PARAMETERS_MAX: usize = 16;

/// Reads a field's value from left to right. Each method takes what it is called for, or says that it is not there.
pub(super) struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { rest: text.trim_matches(' ') }
    }

    fn take(&mut self, what: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(what)?;
        Some(())
    }

    fn take_while(&mut self, is_in: impl Fn(u8) -> bool) -> &'t str {
        let end = self.rest.bytes().position(|byte| !is_in(byte)).unwrap_or(self.rest.len());
        // All bytes before it are of one byte each if `is_in` takes only ASCII.
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or(("", self.rest));
        self.rest = rest;
        taken
    }

    /// A key: of a member or a parameter.
    pub(super) fn key(&mut self) -> Option<&'t str> {
        self.rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '*').then_some(())?;
        Some(self.take_while(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
        }))
    }

    /// `=` and a bare value.
    pub(super) fn value(&mut self) -> Option<Bare<'t>> {
        self.take('=')?;
        self.bare()
    }

    /// `=` and an inner list.
    pub(super) fn list(&mut self, most: usize) -> Option<Vec<Item<'t>>> {
        self.take('=')?;
        self.take('(')?;
        let mut items = Vec::new();
        loop {
            let spaces = self.take_while(|byte| byte == b' ');
            if self.take(')').is_some() {
                return Some(items);
            }
            if items.len() >= most || (!items.is_empty() && spaces.is_empty()) {
                return None;
            }
            items.push((self.bare()?, self.parameters()?));
        }
    }

    /// The parameters of what was read last.
    pub(super) fn parameters(&mut self) -> Option<Parameters<'t>> {
        let mut found = Parameters::new();
        while self.take(';').is_some() {
            self.take_while(|byte| byte == b' ');
            let name = self.key()?;
            let value = if self.rest.starts_with('=') { self.value()? } else { Bare::Bool(true) };
            if found.len() >= PARAMETERS_MAX || found.iter().any(|(other, _)| *other == name) {
                return None;
            }
            found.push((name, value));
        }
        Some(found)
    }

    /// Whether there is another member; `None` if there is something else.
    pub(super) fn comma(&mut self) -> Option<bool> {
        let is_space = |byte: u8| byte == b' ' || byte == b'\t';
        self.take_while(is_space);
        if self.rest.is_empty() {
            return Some(false);
        }
        self.take(',')?;
        self.take_while(is_space);
        (!self.rest.is_empty()).then_some(true)
    }

    fn bare(&mut self) -> Option<Bare<'t>> {
        match self.rest.bytes().next()? {
            b'"' => self.quoted(),
            b':' => {
                self.take(':')?;
                let text = self.take_while(|byte| byte != b':' && byte.is_ascii_graphic());
                self.take(':')?;
                // What is not canonical is refused.
                STANDARD.decode(text).ok().map(|_| Bare::Bytes(text))
            }
            b'?' => {
                self.take('?')?;
                if self.take('1').is_some() {
                    return Some(Bare::Bool(true));
                }
                self.take('0').map(|()| Bare::Bool(false))
            }
            byte if byte == b'-' || byte.is_ascii_digit() => self.integer(),
            byte if byte == b'*' || byte.is_ascii_alphabetic() => {
                let is_in =
                    |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
                Some(Bare::Token(self.take_while(is_in)))
            }
            _ => None,
        }
    }

    fn quoted(&mut self) -> Option<Bare<'t>> {
        self.take('"')?;
        let mut bytes = self.rest.bytes().enumerate();
        let end = loop {
            match bytes.next()? {
                (end, b'"') => break end,
                (_, b'\\') => {
                    bytes.next().filter(|(_, byte)| matches!(byte, b'"' | b'\\'))?;
                }
                (_, byte) if byte == b' ' || byte.is_ascii_graphic() => {}
                _ => return None,
            }
        };
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        self.take('"').map(|()| Bare::Text(text))
    }

    /// A whole number in its only form. (Those with a point are in no parameter of a signature.)
    fn integer(&mut self) -> Option<Bare<'t>> {
        const DIGITS_MAX: usize = 15;
        let text = self.take_while(|byte| byte == b'-' || byte.is_ascii_digit());
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_canonical = text == "0" || !digits.starts_with('0');
        let is_over = !self.rest.starts_with('.');
        let number = text.parse().ok().filter(|_| is_canonical && is_over)?;
        (digits.len() <= DIGITS_MAX).then_some(Bare::Integer(number, text))
    }
}
