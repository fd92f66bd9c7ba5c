//! Fields that an embedder's steps want sent on to the model server.

use crate::wire::head::is_same_name;

/// Fields that can be added to one request.
const FIELDS_MAX: usize = 32;
/// Bytes of all their names and values.
const BYTES_MAX: usize = 8 << 10;

/// What says where a message ends and whose connection it is stays the gateway's.
const OURS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that steps want sent on to the model server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added(Vec<(Box<str>, Box<[u8]>)>);

/// Why a field was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAField {
    /// The name is not one of a field, or of one that only the gateway writes.
    Name,
    /// The value has a byte that no value has.
    Value,
    /// There are too many already, or they are too long.
    TooMany,
}

impl Added {
    /// Adds a field; one of the same name that was added before is replaced.
    ///
    /// # Errors
    /// It cannot be sent; nothing is changed.
    pub fn add(&mut self, name: &str, value: &[u8]) -> Result<(), NotAField> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_ours = OURS.iter().any(|ours| is_same_name(ours, name));
        if name.is_empty() || is_ours || !name.bytes().all(is_name) {
            return Err(NotAField::Name);
        }
        if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7F) {
            return Err(NotAField::Value);
        }
        let others = || self.0.iter().filter(|(other, _)| !is_same_name(other, name));
        let bytes: usize = others().map(|(name, value)| name.len() + value.len()).sum();
        if others().count() >= FIELDS_MAX || bytes + name.len() + value.len() > BYTES_MAX {
            return Err(NotAField::TooMany);
        }
        self.0.retain(|(other, _)| !is_same_name(other, name));
        self.0.push((name.into(), value.into()));
        Ok(())
    }

    /// The fields, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_sent_is_added() {
        let mut added = Added::default();
        assert_eq!(added.add("x-plan", b"gold"), Ok(()));
        assert_eq!(added.add("X-Plan", b"a\tb \xE9"), Ok(()));
        for name in ["", "a b", "a:", "a\r\n", "é", "Content-Length", "transfer-encoding", "HOST"]
        {
            assert_eq!(added.add(name, b"x"), Err(NotAField::Name), "{name}");
        }
        for value in [&b"a\r\nb: c"[..], b"\n", b"\0", b"\x7F"] {
            assert_eq!(added.add("x", value), Err(NotAField::Value));
        }
        assert_eq!(added.iter().collect::<Vec<_>>(), [("X-Plan", &b"a\tb \xE9"[..])]);
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut added = Added::default();
        assert_eq!(added.add("x", &[b'a'; BYTES_MAX]), Err(NotAField::TooMany));
        for number in 0..FIELDS_MAX {
            assert_eq!(added.add(&format!("x-{number}"), b""), Ok(()));
        }
        assert_eq!(added.add("y", b""), Err(NotAField::TooMany));
        assert_eq!(added.add("x-0", &[b'a'; 7 << 10]), Ok(()));
        assert_eq!(added.add("x-1", &[b'a'; 2 << 10]), Err(NotAField::TooMany));
        assert_eq!(added.iter().count(), FIELDS_MAX);
    }
}
