//! The request as it goes up: what differs between the head we got and the one we send.

use crate::wire::head::RequestHead;
use crate::wire::http1::encode;

/// What the gateway itself puts into the head.
pub struct Onward<'a> {
    /// Path of the endpoint's address, before the path of the request.
    pub path_prefix: &'a str,
    /// Path to ask for, as it goes on the wire.
    pub path: &'a str,
    /// Value of `host`.
    pub host: &'a str,
    /// The upstream's own credential: whole field lines, which replace those of the client.
    pub credential: Option<&'a [u8]>,
    /// Name of the request.
    pub request_id: &'a [u8],
    /// Whether a stream of events was asked for: it must not be compressed, since its events are counted.
    pub is_stream: bool,
    /// Length of the body.
    pub body_bytes: usize,
}

/// Appends the head that goes up to `out`.
pub fn encode(head: &RequestHead<'_, '_>, onward: &Onward<'_>, out: &mut Vec<u8>) {
    for part in [head.method_text, " ", onward.path_prefix, onward.path] {
        out.extend_from_slice(part.as_bytes());
    }
    if let Some(query) = head.query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    encode::field(out, "host", onward.host.as_bytes());
    let nominated = encode::nominated(head.fields);
    for field in head.fields.iter() {
        if !is_replaced(field.name, onward) && !nominated.contains(field.name) {
            encode::field(out, field.name, field.value);
        }
    }
    if let Some(credential) = onward.credential {
        out.extend_from_slice(credential);
    }
    encode::field(out, "x-request-id", onward.request_id);
    encode::number_field(out, "content-length", onward.body_bytes as u64);
    encode::end_of_head(out);
}

/// Whether a client's field stays here: it belongs to this connection, or we write our own.
fn is_replaced(name: &str, onward: &Onward<'_>) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    match name.len() {
        4 => is("host"),
        6 => is("expect"),
        12 => is("x-request-id"),
        14 => is("content-length"),
        7 | 9 | 13 if onward.credential.is_some() => {
            is("api-key") || is("x-api-key") || is("authorization") || encode::is_hop_by_hop(name)
        }
        15 => (onward.is_stream && is("accept-encoding")) || encode::is_hop_by_hop(name),
        _ => encode::is_hop_by_hop(name),
    }
}
