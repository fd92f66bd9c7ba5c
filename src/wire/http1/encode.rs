//! Heads and chunks to bytes, appended to the caller's buffer; and which fields stop at a hop.

use crate::wire::head::Fields;
use crate::wire::head::is_same_name;
use crate::wire::http1::framing::list;

/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Room a chunk takes beside its content: the size in hexadecimal and two line ends.
pub const CHUNK_ROOM: usize = 16 + 4;

/// `METHOD target HTTP/1.1`. Both must be free of spaces and line ends, as those of a parsed head are.
pub fn request_line(out: &mut Vec<u8>, method: &str, path: &str, query: Option<&str>) {
    debug_assert!(is_one_line(method.as_bytes()) && is_one_line(path.as_bytes()));
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(path.as_bytes());
    if let Some(query) = query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// `HTTP/1.1 status reason`.
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    number(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The phrase that belongs to a status; of an unknown one, what its class means.
#[must_use]
pub const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        529 => "Overloaded",
        _ => match status / 100 {
            1 => "Interim",
            2 => "Success",
            3 => "Redirection",
            4 => "Client Error",
            _ => "Server Error",
        },
    }
}

/// `name: value`. A line end in either would let its author write fields of his own: both come
/// from parsed heads or from checked configuration.
#[inline]
pub fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    debug_assert!(is_one_line(name.as_bytes()) && is_one_line(value), "a line end in a field");
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// `name: value` with a decimal number.
pub fn number_field(out: &mut Vec<u8>, name: &str, value: u64) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    number(out, value);
    out.extend_from_slice(b"\r\n");
}

/// The blank line after the fields.
pub fn end_of_head(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// One chunk with its content; without content nothing is written, for an empty chunk would end the body.
pub fn chunk(out: &mut Vec<u8>, content: &[u8]) {
    if content.is_empty() {
        return;
    }
    out.reserve(content.len() + CHUNK_ROOM);
    chunk_head(out, content.len());
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n");
}

/// The size of a chunk of `length` bytes, more than none. After the content the caller writes `\r\n`.
pub fn chunk_head(out: &mut Vec<u8>, length: usize) {
    debug_assert!(length > 0, "an empty chunk ends the body");
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (length >> (place * 4)) & 0xf;
        out.push(b"0123456789abcdef".get(digit).copied().unwrap_or(b'0'));
    }
    out.extend_from_slice(b"\r\n");
}

/// A decimal number.
pub fn number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 20];
    let mut rest = value;
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        let [low, ..] = (rest % 10).to_le_bytes();
        *place = b'0' + low;
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

fn is_one_line(text: &[u8]) -> bool {
    memchr::memchr3(b'\r', b'\n', 0, text).is_none()
}

/// Whether a field is for the next hop alone and is never passed on (RFC 9110, section 7.6.1).
#[must_use]
pub fn is_hop_by_hop(name: &str) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 => is("te"),
        7 => is("trailer") || is("upgrade"),
        10 => is("connection") || is("keep-alive"),
        16 => is("proxy-connection"),
        17 => is("transfer-encoding"),
        18 => is("proxy-authenticate"),
        19 => is("proxy-authorization"),
        _ => false,
    }
}

/// Fields that a sender cannot have taken out by naming them in Connection: to lose one of them on
/// the way would change what the message means or who it is from.
const NEVER_NOMINATED: [&str; 16] = [
    "accept",
    "api-key",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "forwarded",
    "host",
    "transfer-encoding",
    "via",
    "x-api-key",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
];

/// The names that the Connection fields of a head nominate as meant for the next hop alone.
#[derive(Clone, Copy, Debug)]
pub struct Nominated<'b, 's> {
    fields: Fields<'b, 's>,
    /// Whether there is any name; mostly there is none, and then nothing is searched.
    has_any: bool,
}

/// The names nominated in these fields.
#[must_use]
pub fn nominated<'b, 's>(fields: Fields<'b, 's>) -> Nominated<'b, 's> {
    let has_any = connections(fields)
        .any(|value| list(value).any(|name| !name.is_empty() && !is_option(name)));
    Nominated { fields, has_any }
}

impl Nominated<'_, '_> {
    /// Whether the field called `name` must not be passed on because Connection names it.
    #[inline]
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.has_any && self.names(name)
    }

    #[cold]
    fn names(&self, name: &str) -> bool {
        connections(self.fields).flat_map(list).any(|one| one.eq_ignore_ascii_case(name.as_bytes()))
            && !NEVER_NOMINATED.iter().any(|never| is_same_name(never, name))
    }
}

/// The values of the Connection fields.
fn connections<'b>(fields: Fields<'b, '_>) -> impl Iterator<Item = &'b [u8]> {
    fields.iter().filter(|field| is_same_name(field.name, "connection")).map(|field| field.value)
}

/// A word in Connection that is not the name of a field.
fn is_option(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"keep-alive") || word.eq_ignore_ascii_case(b"close")
}

#[cfg(test)]
mod tests {
    use super::LAST_CHUNK;
    use super::chunk;
    use super::end_of_head;
    use super::field;
    use super::is_hop_by_hop;
    use super::nominated;
    use super::number;
    use super::number_field;
    use super::request_line;
    use super::status_line;
    use crate::wire::head::Field;
    use crate::wire::head::Fields;
    use crate::wire::head::Method;
    use crate::wire::http1::body::Body;
    use crate::wire::http1::parse::Slots;
    use crate::wire::http1::parse::request;
    use crate::wire::http1::parse::response;

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Vec::new();
        status_line(&mut out, 429);
        field(&mut out, "Retry-After", b"5");
        number_field(&mut out, "Content-Length", 0);
        end_of_head(&mut out);
        let text = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&out), text);
        let mut slots = Slots::new();
        let head = response(&out, &mut slots, Method::Post).expect("right").expect("whole");
        assert_eq!((head.status, head.fields.get("retry-after")), (429, Some(&b"5"[..])));

        let mut out = Vec::new();
        request_line(&mut out, "POST", "/a", Some("b=c"));
        field(&mut out, "Host", b"x");
        end_of_head(&mut out);
        let mut slots = Slots::new();
        let head = request(&out, &mut slots).expect("right").expect("whole");
        assert_eq!((head.path, head.query, head.authority), ("/a", Some("b=c"), "x"));
    }

    #[test]
    fn chunks_of_all_sizes_are_read_back() {
        let content = vec![b'x'; 70_000];
        for length in [0, 1, 15, 16, 17, 255, 256, 4095, 4096, 65_535, 65_536, 70_000] {
            let mut out = Vec::new();
            chunk(&mut out, &content[..length]);
            out.extend_from_slice(LAST_CHUNK);
            let mut body = Body::new(crate::wire::head::BodyLength::Chunked);
            let piece = body.next(&out).expect("is right");
            assert_eq!((piece.consumed, piece.body.len(), piece.is_end), (out.len(), length, true));
        }
    }

    #[test]
    fn numbers() {
        for value in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX] {
            let mut out = Vec::new();
            number(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }

    #[test]
    fn fields_of_one_hop() {
        for name in ["Connection", "TE", "keep-alive", "Transfer-Encoding", "Upgrade", "trailer"] {
            assert!(is_hop_by_hop(name), "{name}");
        }
        for name in ["Host", "Content-Length", "X-TE", "Content-Type", ""] {
            assert!(!is_hop_by_hop(name), "{name}");
        }
    }

    #[test]
    fn connection_nominates_but_not_what_the_message_needs() {
        let lines = [
            Field { name: "Connection", value: b"close, X-Trace,,Host ,authorization" },
            Field { name: "connection", value: b"x-other" },
        ];
        let names = nominated(Fields(&lines));
        assert!(names.contains("x-trace") && names.contains("X-Other"));
        assert!(!names.contains("host") && !names.contains("Authorization"));
        assert!(!names.contains("x-third"));
        let lines = [Field { name: "Connection", value: b"keep-alive" }];
        assert!(!nominated(Fields(&lines)).contains("keep-alive"));
    }
}
