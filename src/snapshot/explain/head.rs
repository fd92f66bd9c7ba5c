//! The head of a request that nobody has sent: written as its sender would have, and read as the wire reads every head.

use std::net::SocketAddr;

use crate::snapshot::explain::Asked;
use crate::wire::Malformed;
use crate::wire::head::RequestHead;
use crate::wire::head::is_same_name;
use crate::wire::http1::encode;
use crate::wire::http1::parse;
use crate::wire::http1::parse::Slots;

/// Methods whose requests have a body, so far as we are asked.
const WITH_BODY: [&str; 3] = ["POST", "PUT", "PATCH"];

impl Asked<'_> {
    /// Whether a field of this name is asked with.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(other, _)| is_same_name(other, name))
    }
}

/// The bytes of the head. Where nothing else is said it is sent to `listen`, and a method that brings a body brings one:
/// what is asked of signatures depends on it.
///
/// # Errors
/// What would end a line, and so begin another than was asked for.
pub(super) fn write(asked: &Asked<'_>, listen: SocketAddr) -> Result<Vec<u8>, Malformed> {
    let is_line = |text: &str| !text.contains(['\r', '\n', '\0']);
    let is_word = |text: &str| is_line(text) && !text.contains(' ');
    if !is_word(asked.method) {
        return Err(Malformed::Method);
    }
    if !is_word(asked.path) {
        return Err(Malformed::Target);
    }
    let method = asked.method.to_ascii_uppercase();
    let mut head = Vec::new();
    encode::request_line(&mut head, &method, asked.path, None);
    for (name, value) in asked.fields {
        if !is_line(name) || !is_line(value) {
            return Err(Malformed::FieldValue);
        }
        encode::field(&mut head, name, value.as_bytes());
    }
    if !asked.has("host") {
        encode::field(&mut head, "host", listen.to_string().as_bytes());
    }
    let has_length = asked.has("content-length") || asked.has("transfer-encoding");
    if WITH_BODY.contains(&method.as_str()) && !has_length {
        encode::number_field(&mut head, "content-length", 1);
    }
    encode::end_of_head(&mut head);
    Ok(head)
}

/// The head that these bytes are.
///
/// # Errors
/// What is wrong with them.
pub(super) fn read<'b, 's>(
    bytes: &'b [u8],
    slots: &'s mut Slots<'b>,
) -> Result<RequestHead<'b, 's>, Malformed> {
    let head = parse::request(bytes, slots)?.ok_or(Malformed::HeadTooLong)?;
    // Whatever was asked for, it is one head.
    if head.bytes == bytes.len() { Ok(head) } else { Err(Malformed::RequestLine) }
}
