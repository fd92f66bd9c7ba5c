//! Every response the gateway itself writes.

use crate::llm::dialect;
use crate::llm::dialect::Dialect;
use crate::llm::dialect::ErrorText;
use crate::record::Fault;
use crate::wire::http1::encode;

/// What every response of ours says beside its content.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'r> {
    /// The status.
    pub status: u16,
    /// Name of the request, in hexadecimal digits.
    pub request_id: &'r [u8; 32],
    /// Whether the connection goes on.
    pub is_keep_alive: bool,
    /// HTTP/1.0 must be told when the connection goes on.
    pub is_http10: bool,
    /// Whether the request was HEAD: everything but the body is said.
    pub is_head: bool,
    /// Seconds after which the client should try again.
    pub retry_after: Option<u32>,
    /// Whole field lines that say how much the client may still ask for (`x-ratelimit-*`), each with its line end.
    pub fields: &'r [u8],
    /// How a client may say who it is, with 401.
    pub www_authenticate: Option<&'static str>,
    /// Methods that the path takes, with 405.
    pub allow: Option<&'static str>,
    /// The gateway has tried all it may: the client's SDK should not multiply that.
    pub is_exhausted: bool,
}

/// Appends a response with a JSON body.
pub fn json(reply: &Reply<'_>, body: &[u8], out: &mut Vec<u8>) {
    encode::status_line(out, reply.status);
    encode::field(out, "content-type", b"application/json");
    encode::number_field(out, "content-length", body.len() as u64);
    encode::field(out, "x-request-id", reply.request_id);
    if let Some(seconds) = reply.retry_after {
        encode::number_field(out, "retry-after", seconds.into());
    }
    out.extend_from_slice(reply.fields);
    if let Some(challenge) = reply.www_authenticate {
        encode::field(out, "www-authenticate", challenge.as_bytes());
    }
    if let Some(methods) = reply.allow {
        encode::field(out, "allow", methods.as_bytes());
    }
    if reply.is_exhausted {
        encode::field(out, "x-should-retry", b"false");
    }
    if !reply.is_keep_alive {
        encode::field(out, "connection", b"close");
    } else if reply.is_http10 {
        encode::field(out, "connection", b"keep-alive");
    }
    encode::end_of_head(out);
    if !reply.is_head {
        out.extend_from_slice(body);
    }
}

/// Appends a response that has no body and never has one: 204 (RFC 9110 section 15.3.5). A browser's `EventSource` that is
/// answered so does not come back.
pub fn nothing(reply: &Reply<'_>, out: &mut Vec<u8>) {
    encode::status_line(out, reply.status);
    encode::field(out, "x-request-id", reply.request_id);
    if !reply.is_keep_alive {
        encode::field(out, "connection", b"close");
    } else if reply.is_http10 {
        encode::field(out, "connection", b"keep-alive");
    }
    encode::end_of_head(out);
}

/// What a client is told of a fault, as a response of its own or as the last event of a stream.
#[must_use]
pub const fn text_of(fault: Fault) -> ErrorText<'static> {
    ErrorText {
        status: fault.status(),
        message: fault.explain(),
        kind: None,
        param: None,
        code: Some(fault.code()),
    }
}

/// Appends an error response in the dialect of the path.
pub fn error(reply: &Reply<'_>, dialect: Dialect, text: &ErrorText<'_>, out: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(256);
    let id = std::str::from_utf8(reply.request_id).unwrap_or_default();
    dialect::error_body(dialect, text, id, &mut body);
    let status = dialect.status(text.status);
    json(&Reply { status, ..*reply }, &body, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: Reply<'static> = Reply {
        status: 429,
        request_id: b"0123456789abcdef0123456789abcdef",
        is_keep_alive: true,
        is_http10: false,
        is_head: false,
        retry_after: Some(7),
        fields: b"x-ratelimit-limit-requests: 10\r\nx-ratelimit-remaining-requests: 0\r\n",
        www_authenticate: None,
        allow: None,
        is_exhausted: false,
    };

    fn written(reply: &Reply<'_>) -> String {
        let mut out = Vec::new();
        json(reply, b"{}", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn limits_and_challenges_are_said() {
        assert_eq!(
            written(&REPLY),
            "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\
             x-request-id: 0123456789abcdef0123456789abcdef\r\nretry-after: 7\r\n\
             x-ratelimit-limit-requests: 10\r\nx-ratelimit-remaining-requests: 0\r\n\r\n{}"
        );
        let challenge = Some("Bearer realm=\"ringway\"");
        let reply = Reply { status: 401, fields: b"", www_authenticate: challenge, ..REPLY };
        let text = written(&reply);
        assert!(text.contains("\r\nwww-authenticate: Bearer realm=\"ringway\"\r\n"), "{text}");
        assert!(!text.contains("ratelimit"));
    }
}
