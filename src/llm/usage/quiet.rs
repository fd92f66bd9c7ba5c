//! Which events of a stream cannot say how many tokens it was, seen without reading them.

/// Bytes that are looked at together.
const BLOCK: usize = 32;
/// The longest sign, less one: what has to be there behind a block to see the signs that begin in it.
const BEYOND: usize = 2;

/// Length of the whole events at the start of `bytes`, and of what follows them in which no key `usage` is, but for such as
/// are `null`. `bytes` begins between two events.
///
/// A key is seen as it is written, quote included; where one of its letters could be written as an escape, that counts as
/// one. So whatever is said, it is said behind these bytes.
pub(super) fn quiet_length(bytes: &[u8]) -> (usize, usize) {
    let known = first_usage(bytes);
    let quiet = whole_events(bytes.get(..known).unwrap_or(bytes));
    (quiet, known)
}

/// Where the first key is that may be `usage`.
fn first_usage(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        if has_sign(block)
            && let Some(found) = (at..at + BLOCK).find(|place| is_usage(bytes, *place))
        {
            return found;
        }
        at += BLOCK;
    }
    // What is left is shorter than a block; of one that reaches back to what has been looked at, it is the end.
    if bytes.last_chunk().is_some_and(|block| !has_sign(block)) {
        return bytes.len();
    }
    (at..bytes.len()).find(|place| is_usage(bytes, *place)).unwrap_or(bytes.len())
}

/// Whether `ge"` or `\u0` begins in the block; written so that it compiles to a few vector instructions.
#[inline]
fn has_sign(block: &[u8; BLOCK + BEYOND]) -> bool {
    let mut found = 0;
    for place in 0..BLOCK {
        let (first, second, third) = (block[place], block[place + 1], block[place + 2]);
        found |= u8::from(first == b'g') & u8::from(second == b'e') & u8::from(third == b'"');
        found |= u8::from(first == b'\\') & u8::from(second == b'u') & u8::from(third == b'0');
    }
    found != 0
}

/// Whether at `at` are the last letters of a key that is `usage` and not `null`, or a small letter as an escape.
fn is_usage(bytes: &[u8], at: usize) -> bool {
    let Some(rest) = bytes.get(at..) else { return false };
    if let Some(digits) = rest.strip_prefix(b"\\u00") {
        return matches!(digits.first(), Some(b'6' | b'7'));
    }
    let Some(behind) = rest.strip_prefix(b"ge\"") else { return false };
    let is_named = bytes.get(..at).is_some_and(|before| before.ends_with(b"\"usa"));
    is_named && !is_null(behind)
}

/// Whether what follows a key makes it `null`, and another member or the end follows that.
fn is_null(behind: &[u8]) -> bool {
    let value = behind.strip_prefix(b":").map(|rest| rest.strip_prefix(b" ").unwrap_or(rest));
    let after = value.and_then(|value| value.strip_prefix(b"null"));
    matches!(after.and_then(<[u8]>::first), Some(b',' | b'}'))
}

/// Length of the events at the start of `bytes` that are whole: up to the last blank line. It may miss one that ends with a
/// bare carriage return.
fn whole_events(bytes: &[u8]) -> usize {
    if bytes.ends_with(b"\n\n") {
        return bytes.len();
    }
    let mut end = bytes.len();
    while let Some(at) = bytes.get(..end).and_then(|bytes| memchr::memrchr(b'\n', bytes)) {
        let before = bytes.get(..at).unwrap_or_default();
        let before = before.strip_suffix(b"\r").unwrap_or(before);
        if before.is_empty() || before.ends_with(b"\n") {
            return at + 1;
        }
        end = at;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_seen_wherever_they_are() {
        for (text, is_seen) in [
            (r#""usage":{}"#, true),
            (r#""usage" : null,"#, true),
            (r#""usage":null"#, true),
            (r#""usage":nul"#, true),
            (r#""usage":null{"#, true),
            (r#""usage""#, true),
            (r#""us\u0061ge":1"#, true),
            (r#""\u0075"#, true),
            (r#""usage":null,"#, false),
            (r#""usage": null}"#, false),
            (r#"\"usage\":{}"#, false),
            (r#""xusage":{}"#, false),
            (r#""sage":"page""#, false),
            (r#""Usage":{}"#, false),
            (r#""\u00e9\u0041\u2076""#, false),
            ("usag", false),
        ] {
            for before in 0..100_usize {
                for after in [0, 1, 2, 31, 50] {
                    let bytes = format!("{:before$}{text}{:after$}", "", "");
                    let found = first_usage(bytes.as_bytes());
                    let place = before..before + text.len();
                    assert_eq!(place.contains(&found), is_seen, "{bytes}");
                    assert!(is_seen || found == bytes.len(), "{bytes}");
                }
            }
        }
    }

    #[test]
    fn the_last_blank_line_ends_what_is_whole() {
        for (text, expected) in [
            ("", 0),
            ("data: a", 0),
            ("data: a\n", 0),
            ("data: a\n\n", 9),
            ("data: a\n\ndata: b\n", 9),
            ("data: a\r\n\r\ndata: b\r\n", 11),
            ("data: a\n\r\nx", 10),
            ("\n", 1),
            ("\r\ndata", 2),
            ("data: a\r\ndata: b\r\n", 0),
            ("data: a\n\n\ndata: b\n\nda", 19),
        ] {
            assert_eq!(whole_events(text.as_bytes()), expected, "{text:?}");
        }
    }
}
