//! What exactly is wrong with a head: cold code, run after the parser has already said no.

use crate::wire::Malformed;

/// The first lines of another protocol, recognised before the head has ended.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Looks at a whole first line (without its line end) while the rest of the head may still be on its
/// way, so that a sender that will never send one is answered at once.
pub(super) fn first_line_early(line: &[u8], is_response: bool) -> Result<(), Malformed> {
    if is_response {
        return if line.starts_with(b"HTTP/") { Ok(()) } else { Err(Malformed::StatusLine) };
    }
    if line == HTTP2_PREFACE {
        return Err(Malformed::Http2Preface);
    }
    let last = memchr::memrchr(b' ', line).and_then(|space| line.get(space + 1..));
    match last {
        Some(word) if word.starts_with(b"HTTP/") => Ok(()),
        _ => Err(request_line(line)),
    }
}

/// Why `head`, which the parser refused with `error`, is not the head of a request.
#[cold]
pub(super) fn request(head: &[u8], error: httparse::Error) -> Malformed {
    if error == httparse::Error::TooManyHeaders {
        return Malformed::TooManyFields;
    }
    lines(head, request_line, is_request_line)
}

/// Why `head`, which the parser refused with `error`, is not the head of a response.
#[cold]
pub(super) fn response(head: &[u8], error: httparse::Error) -> Malformed {
    if error == httparse::Error::TooManyHeaders {
        return Malformed::TooManyFields;
    }
    lines(head, status_line, is_status_line)
}

/// Goes through the lines of a head until one is wrong.
fn lines(
    head: &[u8],
    blame_first: fn(&[u8]) -> Malformed,
    is_first: fn(&[u8]) -> bool,
) -> Malformed {
    let mut has_first = false;
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else { break };
        let Some(line) = line.strip_suffix(b"\r") else {
            return Malformed::BareLineFeed;
        };
        if line.contains(&b'\r') {
            return Malformed::BareCarriageReturn;
        }
        if has_first {
            if line.is_empty() {
                break;
            }
            if let Some(wrong) = field_line(line) {
                return wrong;
            }
        } else if !line.is_empty() {
            if !is_first(line) {
                return blame_first(line);
            }
            has_first = true;
        }
    }
    // Nothing above is wrong, and yet the parser refused it: name the part that it looks at most closely.
    Malformed::FieldValue
}

/// What is wrong with a field line, if we see anything.
fn field_line(line: &[u8]) -> Option<Malformed> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Some(Malformed::FieldFolded);
    }
    let colon = memchr::memchr(b':', line).unwrap_or_default();
    let (name, value) = line.split_at_checked(colon)?;
    if name.is_empty() || !name.iter().all(|&byte| is_token_byte(byte)) {
        return Some(Malformed::FieldName);
    }
    if value.iter().any(|&byte| is_control(byte)) {
        return Some(Malformed::FieldValue);
    }
    None
}

/// What is wrong with a request line.
fn request_line(line: &[u8]) -> Malformed {
    if line == HTTP2_PREFACE {
        return Malformed::Http2Preface;
    }
    let mut words = line.split(|&byte| byte == b' ');
    let method = words.next().unwrap_or_default();
    let target = words.next();
    let version = words.next();
    if method.is_empty() || !method.iter().all(|&byte| is_token_byte(byte)) {
        return Malformed::Method;
    }
    match (target, version, words.next()) {
        (Some(target), None, _) if !target.is_empty() => Malformed::VersionMissing,
        (Some(target), Some(version), None) if !target.is_empty() => {
            if !target.iter().all(u8::is_ascii_graphic) {
                Malformed::Target
            } else if is_version(version) {
                Malformed::VersionUnknown
            } else {
                Malformed::RequestLine
            }
        }
        _ => Malformed::RequestLine,
    }
}

/// Whether the three parts are there and have the right shape.
fn is_request_line(line: &[u8]) -> bool {
    let mut words = line.split(|&byte| byte == b' ');
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    let version = words.next().unwrap_or_default();
    !method.is_empty()
        && method.iter().all(|&byte| is_token_byte(byte))
        && !target.is_empty()
        && target.iter().all(u8::is_ascii_graphic)
        && matches!(version, b"HTTP/1.0" | b"HTTP/1.1")
        && words.next().is_none()
}

/// What is wrong with a status line.
fn status_line(line: &[u8]) -> Malformed {
    match line.split(|&byte| byte == b' ').next() {
        Some(version) if is_version(version) && !is_spoken(version) => Malformed::VersionUnknown,
        _ => Malformed::StatusLine,
    }
}

/// Whether version and status are there and have the right shape.
fn is_status_line(line: &[u8]) -> bool {
    let mut words = line.splitn(3, |&byte| byte == b' ');
    words.next().is_some_and(is_spoken)
        && words.next().is_some_and(|code| code.len() == 3 && code.iter().all(u8::is_ascii_digit))
        && !words.next().unwrap_or_default().iter().any(|&byte| is_control(byte))
}

fn is_spoken(version: &[u8]) -> bool {
    matches!(version, b"HTTP/1.0" | b"HTTP/1.1")
}

/// Whether it is a version at all: `HTTP/` and numbers.
fn is_version(word: &[u8]) -> bool {
    word.strip_prefix(b"HTTP/").is_some_and(|number| {
        !number.is_empty()
            && number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
            && number.first().is_some_and(u8::is_ascii_digit)
    })
}

/// A control character other than the tab.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// A byte of a token (RFC 9110, section 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
