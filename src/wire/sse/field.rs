//! The fields of one whole event.

use std::borrow::Cow;

/// A byte order mark, which may stand at the very start of a stream.
pub const MARK: &[u8] = b"\xef\xbb\xbf";

/// The data of one whole event: the values of its `data` lines, with a line feed between two of them. `None` if it has no
/// such line, or no blank line to end it: then a browser would not dispatch it. Allocates only for several lines.
#[must_use]
pub fn data(event: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut data: Option<Cow<'_, [u8]>> = None;
    let mut rest = event;
    while let Some((line, end)) = first_line(rest) {
        if line.is_empty() {
            return data;
        }
        rest = rest.get(line.len() + end.len()..).unwrap_or_default();
        let Some(value) = value_of(line, b"data") else { continue };
        match &mut data {
            None => data = Some(Cow::Borrowed(value)),
            Some(data) => {
                let data = data.to_mut();
                data.push(b'\n');
                data.extend_from_slice(value);
            }
        }
    }
    None
}

/// The first line and its end; `None` if it has none.
#[inline]
pub(super) fn first_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = match bytes.first()? {
        b'\n' | b'\r' => 0,
        _ => memchr::memchr2(b'\n', b'\r', bytes)?,
    };
    let (line, rest) = bytes.split_at_checked(length)?;
    let end = if rest.starts_with(b"\r\n") { 2 } else { 1 };
    Some((line, rest.get(..end)?))
}

/// The value of a line, if it is one of this field.
#[inline]
pub(super) fn value_of<'l>(line: &'l [u8], field: &[u8]) -> Option<&'l [u8]> {
    let rest = line.strip_prefix(field)?;
    match rest.split_first() {
        None => Some(rest),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_an_event_is_that_of_its_lines() {
        for (event, expected) in [
            ("data: a\n\n", Some("a")),
            ("data:a\r\n\r\n", Some("a")),
            ("data:  a\r\r", Some(" a")),
            ("data\n\n", Some("")),
            ("data\ndata\n\n", Some("\n")),
            (": x\ndata: a\nid: 1\ndata: b\n\n", Some("a\nb")),
            ("event: a\ndatas: b\n data: c\nDATA: d\n\n", None),
            ("data: a\n", None),
            ("data: a", None),
            ("\n", None),
            ("", None),
        ] {
            let data = data(event.as_bytes());
            assert_eq!(data.as_deref(), expected.map(str::as_bytes), "{event:?}");
        }
        assert!(matches!(data(b"data: a\n\n"), Some(Cow::Borrowed(_))));
    }
}
