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
    /// Fields that say on whose behalf the request goes up (tenant, key, user). One whose value could not stand in a
    /// head is left out. A client's own fields of these names never go up.
    pub identity: &'a [(&'a str, &'a [u8])],
    /// Names of fields that a client may not send, in any case and with `_` for `-`.
    pub stripped: &'a [&'a str],
    /// Whether the client has shown a credential of the gateway's: none may go up, whatever the upstream wants.
    pub is_credential_ours: bool,
    /// Whether the body goes up otherwise than it came: then what the client says of its digest does not hold.
    pub is_edited: bool,
    /// Whether a stream of events was asked for: it must not be compressed, since its events are counted.
    pub is_stream: bool,
    /// Whether the usage that the response says is wanted: it must not be compressed either, and the endpoint is told.
    pub meters_usage: bool,
    /// Behind which event of its stream the endpoint is to go on; empty: it begins. A client's own such field never goes up
    /// then.
    pub last_event_id: &'a [u8],
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
        let is_kept = !is_replaced(field.name, onward) && !is_stripped(field.name, onward);
        if is_kept && !nominated.contains(field.name) {
            encode::field(out, field.name, field.value);
        }
    }
    if let Some(credential) = onward.credential {
        out.extend_from_slice(credential);
    }
    for (name, value) in onward.identity {
        if memchr::memchr3(b'\r', b'\n', 0, value).is_none() {
            encode::field(out, name, value);
        }
    }
    if onward.meters_usage {
        encode::field(out, "accept-encoding", b"identity");
    }
    if !onward.last_event_id.is_empty() {
        encode::field(out, "last-event-id", onward.last_event_id);
    }
    encode::field(out, "x-request-id", onward.request_id);
    encode::number_field(out, "content-length", onward.body_bytes as u64);
    encode::end_of_head(out);
}

/// Whether a client's field stays here: it belongs to this connection, or we write our own.
fn is_replaced(name: &str, onward: &Onward<'_>) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    let is_credential_replaced = onward.credential.is_some() || onward.is_credential_ours;
    match name.len() {
        4 => is("host"),
        6 => is("expect") || (onward.is_edited && is("digest")),
        12 => is("x-request-id"),
        11 => onward.is_edited && is("content-md5"),
        14 => is("content-length") || (onward.is_edited && is("content-digest")),
        13 if !onward.last_event_id.is_empty() && is("last-event-id") => true,
        16 if is("x-ringway-resume") => true,
        7 | 9 | 13 if is_credential_replaced => {
            is("api-key")
                || is("x-api-key")
                || is("authorization")
                || (onward.is_credential_ours && is("signature"))
                || encode::is_hop_by_hop(name)
        }
        15 if onward.is_credential_ours && is("signature-input") => true,
        15 => {
            ((onward.is_stream || onward.meters_usage) && is("accept-encoding"))
                || encode::is_hop_by_hop(name)
        }
        _ => encode::is_hop_by_hop(name),
    }
}

/// Whether a client may not send this field: it says, or could be taken to say, who the client is.
fn is_stripped(name: &str, onward: &Onward<'_>) -> bool {
    let identity = onward.identity.iter().map(|(ours, _)| *ours);
    let mut names = onward.stripped.iter().copied().chain(identity);
    names.any(|ours| is_alike(name, ours))
}

/// Whether two names may mean the same: many servers turn both `-` and `_` into one.
fn is_alike(name: &str, ours: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == ours.len() && name.bytes().map(fold).eq(ours.bytes().map(fold))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http1::parse;
    use crate::wire::http1::parse::Slots;

    const ONWARD: Onward<'static> = Onward {
        path_prefix: "/base",
        path: "/v1/x",
        host: "up",
        credential: None,
        request_id: b"id",
        identity: &[],
        stripped: &[],
        is_credential_ours: false,
        is_edited: false,
        is_stream: false,
        meters_usage: false,
        last_event_id: b"",
        body_bytes: 2,
    };

    /// The fields that go up, without those that are always there.
    fn sent(fields: &str, onward: &Onward<'_>) -> Vec<String> {
        let text = format!("POST /v1/x?q HTTP/1.1\r\nhost: gateway\r\n{fields}\r\n");
        let mut slots = Slots::new();
        let head = parse::request(text.as_bytes(), &mut slots).unwrap().unwrap();
        let mut out = Vec::new();
        encode(&head, onward, &mut out);
        let text = String::from_utf8(out).unwrap();
        let rest = text.strip_prefix("POST /base/v1/x?q HTTP/1.1\r\nhost: up\r\n").unwrap();
        let rest = rest.strip_suffix("x-request-id: id\r\ncontent-length: 2\r\n\r\n").unwrap();
        rest.split_terminator("\r\n").map(str::to_owned).collect()
    }

    const CREDENTIALS: &str = "Authorization: Bearer a\r\nX-API-Key: b\r\napi-key: c\r\nSignature: d\r\n\
        Signature-Input: e\r\naccept: f\r\nAccept-Encoding: gzip\r\n";

    #[test]
    fn our_credentials_never_go_up() {
        assert_eq!(sent(CREDENTIALS, &ONWARD).len(), 7);
        let ours = Onward { is_credential_ours: true, ..ONWARD };
        assert_eq!(sent(CREDENTIALS, &ours), ["accept: f", "Accept-Encoding: gzip"]);
        let credential = Some(b"authorization: Bearer up\r\n".as_slice());
        let replaced = Onward { credential, ..ours };
        let expected = ["accept: f", "Accept-Encoding: gzip", "authorization: Bearer up"];
        assert_eq!(sent(CREDENTIALS, &replaced), expected);
        let passed = Onward { credential, ..ONWARD };
        assert_eq!(
            sent(CREDENTIALS, &passed),
            [&["Signature: d", "Signature-Input: e"], &expected[..]].concat()
        );
    }

    #[test]
    fn what_is_metered_is_not_compressed() {
        let fields = "accept-encoding: gzip\r\n";
        let metered = Onward { meters_usage: true, ..ONWARD };
        assert_eq!(sent(fields, &metered), ["accept-encoding: identity"]);
        assert_eq!(sent("", &metered), ["accept-encoding: identity"]);
        assert!(sent(fields, &Onward { is_stream: true, ..ONWARD }).is_empty());
    }

    #[test]
    fn a_client_cannot_say_who_it_is() {
        let stripped = ["x-ringway-user"];
        let identity = [
            ("x-ringway-tenant", b"acme".as_slice()),
            ("x-ringway-key", b"one\r\nx-ringway-user: root"),
            ("x-ringway-none", b"a\0"),
        ];
        let onward = Onward { identity: &identity, stripped: &stripped, ..ONWARD };
        let fields = "X-Ringway-Tenant: evil\r\nx_ringway_tenant: evil\r\nX-RINGWAY_user: root\r\n\
            x-ringway-key: 2\r\nx-ringway-users: kept\r\n";
        assert_eq!(sent(fields, &onward), ["x-ringway-users: kept", "x-ringway-tenant: acme"]);
        assert_eq!(sent(fields, &ONWARD).len(), 5);
    }
}
