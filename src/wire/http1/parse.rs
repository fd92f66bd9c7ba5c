//! A whole head to spans: one pass of httparse, one pass over the fields, no allocation.

use std::mem::MaybeUninit;

use crate::wire::Malformed;
use crate::wire::head::BodyLength;
use crate::wire::head::Field;
use crate::wire::head::Fields;
use crate::wire::head::Method;
use crate::wire::head::RequestHead;
use crate::wire::head::ResponseHead;
use crate::wire::head::Version;
use crate::wire::http1::diagnose;
use crate::wire::http1::framing::Framing;
use crate::wire::http1::framing::offset;
use crate::wire::http1::target;
use crate::wire::limits::EMPTY_LINES_MAX;
use crate::wire::limits::FIELD_NAME_BYTES_MAX;
use crate::wire::limits::FIELD_VALUE_BYTES_MAX;
use crate::wire::limits::FIELDS_MAX;
use crate::wire::limits::HEAD_BYTES_MAX;
use crate::wire::limits::METHOD_BYTES_MAX;

pub use crate::wire::http1::search::HeadSearch;

/// Room for the fields of one head, on the caller's stack; nothing is written to it before they are found.
pub struct Slots<'b>([MaybeUninit<Field<'b>>; FIELDS_MAX]);

impl Slots<'_> {
    /// Room for [`FIELDS_MAX`] fields.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self([const { MaybeUninit::uninit() }; FIELDS_MAX])
    }
}

impl Default for Slots<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The head of the request with which `bytes` begins; `None` if more bytes are needed. Call it once
/// [`HeadSearch`] has found the end: a head that is not whole costs as much as one that is.
///
/// # Errors
///
/// What is wrong with it, see [`Malformed`]; the connection must be closed after the answer.
pub fn request<'b, 's>(
    bytes: &'b [u8],
    slots: &'s mut Slots<'b>,
) -> Result<Option<RequestHead<'b, 's>>, Malformed> {
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(bytes, &mut slots.0) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return partial(bytes),
        Err(error) => return Err(diagnose::request(bytes, error)),
    };
    let fields: &'s [Field<'b>] = parsed.headers;
    let (Some(method_text), Some(text), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Malformed::RequestLine);
    };
    check_start(bytes, offset(bytes, method_text.as_bytes()))?;
    let head = whole(bytes, length)?;
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let method = Method::from_text(method_text);
    if method == Method::Other {
        check_method(method_text)?;
    }
    let target = target::split(text, method)?;

    let mut framing = Framing::default();
    for field in fields {
        check_field(head, field)?;
        framing.request_field(head, field)?;
    }
    if version == Version::Http11 && framing.host.is_none() {
        return Err(Malformed::HostMissing);
    }
    let body = framing.body(version)?.unwrap_or(BodyLength::Empty);
    Ok(Some(RequestHead {
        bytes: length,
        method,
        method_text,
        path: target.path,
        query: target.query,
        authority: target.authority.or(framing.host).unwrap_or(""),
        version,
        fields: Fields(fields),
        body,
        is_keep_alive: framing.is_keep_alive(version),
        // An HTTP/1.0 client cannot wait for it, and without a body there is nothing to wait for
        // (RFC 9110, section 10.1.1).
        expects_continue: framing.expects_continue
            && version == Version::Http11
            && body != BodyLength::Empty,
    }))
}

/// The head of the response with which `bytes` begins, to a request of method `asked`; `None` if more
/// bytes are needed. Interim heads (1xx) are returned too.
///
/// # Errors
///
/// What is wrong with it, see [`Malformed`]; the connection must be closed, the client gets a 502.
pub fn response<'b, 's>(
    bytes: &'b [u8],
    slots: &'s mut Slots<'b>,
    asked: Method,
) -> Result<Option<ResponseHead<'b, 's>>, Malformed> {
    let mut parsed = httparse::Response::new(&mut []);
    let length = match httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        bytes,
        &mut slots.0,
    ) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return partial(bytes),
        Err(error) => return Err(diagnose::response(bytes, error)),
    };
    let fields: &'s [Field<'b>] = parsed.headers;
    let (Some(status), Some(minor)) = (parsed.code, parsed.version) else {
        return Err(Malformed::StatusLine);
    };
    if !bytes.starts_with(b"HTTP/") {
        return Err(Malformed::EmptyLines);
    }
    let head = whole(bytes, length)?;
    if !(100..=599).contains(&status) {
        return Err(Malformed::StatusLine);
    }
    if status == 101 {
        return Err(Malformed::SwitchedProtocols);
    }
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };

    let has_body = may_have_body(status, asked);
    let mut framing = Framing::default();
    for field in fields {
        check_field(head, field)?;
        if has_body {
            framing.message_field(head, field)?;
        } else {
            framing.connection_field(field)?;
        }
    }
    let body = if has_body {
        framing.body(version)?.unwrap_or(BodyLength::UntilClose)
    } else {
        BodyLength::Empty
    };
    Ok(Some(ResponseHead {
        bytes: length,
        status,
        version,
        fields: Fields(fields),
        body,
        is_keep_alive: body != BodyLength::UntilClose && framing.is_keep_alive(version),
    }))
}

/// Whether a response can have a body at all (RFC 9112, section 6.3, rules 1 and 2).
const fn may_have_body(status: u16, asked: Method) -> bool {
    let is_tunnel = matches!(asked, Method::Connect) && status >= 200 && status < 300;
    !matches!(asked, Method::Head) && status >= 200 && status != 204 && status != 304 && !is_tunnel
}

/// A head that has not ended may already be too long.
fn partial<T>(bytes: &[u8]) -> Result<Option<T>, Malformed> {
    if bytes.len() >= HEAD_BYTES_MAX { Err(Malformed::HeadTooLong) } else { Ok(None) }
}

/// The bytes of a head that the parser found complete; its last two lines must have ended with CRLF.
#[inline]
fn whole(bytes: &[u8], length: usize) -> Result<&[u8], Malformed> {
    if length > HEAD_BYTES_MAX {
        return Err(Malformed::HeadTooLong);
    }
    match bytes.get(..length) {
        Some(head) if head.ends_with(b"\r\n\r\n") => Ok(head),
        _ => Err(Malformed::BareLineFeed),
    }
}

/// Bounds of one field. Line ends are checked here too, for the parser takes bare line feeds: a name
/// begins right after the line end before it, so that no search is needed.
#[inline]
fn check_field(head: &[u8], field: &Field<'_>) -> Result<(), Malformed> {
    let start = offset(head, field.name.as_bytes());
    if head.get(start.wrapping_sub(2)..start) != Some(b"\r\n") {
        return Err(Malformed::BareLineFeed);
    }
    if field.name.len() > FIELD_NAME_BYTES_MAX {
        return Err(Malformed::FieldNameTooLong);
    }
    if field.value.len() > FIELD_VALUE_BYTES_MAX {
        return Err(Malformed::FieldValueTooLong);
    }
    Ok(())
}

/// Empty lines before a request are overlooked (RFC 9112, section 2.2) if they are few and end rightly.
#[inline]
fn check_start(bytes: &[u8], start: usize) -> Result<(), Malformed> {
    if start == 0 {
        return Ok(());
    }
    let lines = bytes.get(..start).unwrap_or_default();
    if start > 2 * usize::from(EMPTY_LINES_MAX) {
        return Err(Malformed::EmptyLines);
    }
    if lines.chunks(2).any(|line| line != b"\r\n") {
        return Err(Malformed::BareLineFeed);
    }
    Ok(())
}

/// A method that we do not know must at least look like one: methods are written in capitals.
#[cold]
fn check_method(text: &str) -> Result<(), Malformed> {
    if text.len() > METHOD_BYTES_MAX || text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(Malformed::Method);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
