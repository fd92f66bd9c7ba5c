//! The head of a response on its way down: what stays of it, what the gateway says in its place.

use std::io::Write;
use std::time::Duration;

use super::Frame;
use super::Response;
use crate::wire::head::BodyLength;
use crate::wire::head::Method;
use crate::wire::head::ResponseHead;
use crate::wire::head::Version;
use crate::wire::http1::body::Body;
use crate::wire::http1::encode;
use crate::wire::sse::Scanner;

impl Response {
    /// The head goes down, and what it says of the body is known.
    pub(super) fn begin(&mut self, head: &ResponseHead<'_, '_>, out: &mut Vec<u8>) {
        self.status = head.status;
        self.body = Some(Body::new(head.body));
        self.is_reusable = head.is_keep_alive && head.body != BodyLength::UntilClose;
        let is_bodiless = self.asked.method == Method::Head || matches!(head.status, 204 | 304);
        let is_plain = head.fields.get("content-encoding").is_none_or(is_identity);
        if !is_bodiless && is_plain && is_event_stream(head) {
            self.scanner = Some(Scanner::default());
        }
        let is_dropping = self.asked.drops_usage_event && self.is_events();
        if !is_bodiless && is_plain && (self.asked.meters_usage || is_dropping) {
            self.meter = Some(Box::default());
        }
        let length = match head.body {
            BodyLength::Exact(length) if !self.is_events() => Some(length),
            BodyLength::Empty if !is_bodiless && !self.is_events() => Some(0),
            _ => None,
        };
        if !is_bodiless && length.is_none() {
            if self.asked.version == Version::Http10 {
                self.is_client_reusable = false;
            } else {
                self.frame = Frame::Chunks;
            }
        }
        self.write_head(head, length, is_bodiless, out);
        self.asked.fields = None;
        self.timing = None;
    }

    fn write_head(
        &self,
        head: &ResponseHead<'_, '_>,
        length: Option<u64>,
        is_bodiless: bool,
        out: &mut Vec<u8>,
    ) {
        encode::status_line(out, head.status);
        let nominated = encode::nominated(head.fields);
        for field in head.fields.iter() {
            if nominated.contains(field.name) || self.is_replaced(field.name, is_bodiless) {
                continue;
            }
            // The endpoint's own name of the request is worth keeping: its operators ask for it.
            let is_id = field.name.eq_ignore_ascii_case("x-request-id");
            let name = if is_id { "x-upstream-request-id" } else { field.name };
            encode::field(out, name, field.value);
        }
        if self.is_events() {
            encode::field(out, "cache-control", b"no-cache, no-transform");
            encode::field(out, "x-accel-buffering", b"no");
        }
        encode::field(out, "x-request-id", &self.asked.request_id.hex());
        if let Some(fields) = &self.asked.fields {
            out.extend_from_slice(fields);
        }
        if let Some((gateway, endpoint)) = self.timing.as_deref() {
            write_timing(*gateway, *endpoint, out);
        }
        if self.is_exhausted {
            encode::field(out, "x-should-retry", b"false");
        }
        if let Some(length) = length {
            encode::number_field(out, "content-length", length);
        }
        if self.frame == Frame::Chunks {
            encode::field(out, "transfer-encoding", b"chunked");
        }
        self.write_connection(out);
        encode::end_of_head(out);
    }

    fn write_connection(&self, out: &mut Vec<u8>) {
        if !self.is_client_reusable {
            encode::field(out, "connection", b"close");
        } else if self.asked.version == Version::Http10 {
            encode::field(out, "connection", b"keep-alive");
        }
    }

    /// Whether a field of the endpoint stays here: it belongs to its connection, or we write our own.
    fn is_replaced(&self, name: &str, is_bodiless: bool) -> bool {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if self.asked.fields.is_some() && is_limit(name) {
            return true;
        }
        match name.len() {
            // A response to HEAD, or 304, says how long the body would be; 204 must not (RFC 9110 section 8.6).
            14 if is("content-length") => !is_bodiless || self.status == 204,
            14 => self.is_exhausted && is("x-should-retry"),
            13 => (self.is_events() && is("cache-control")) || encode::is_hop_by_hop(name),
            17 => (self.is_events() && is("x-accel-buffering")) || encode::is_hop_by_hop(name),
            _ => encode::is_hop_by_hop(name),
        }
    }
}

/// `server-timing`, in milliseconds (W3C Server Timing).
fn write_timing(gateway: Duration, endpoint: Duration, out: &mut Vec<u8>) {
    let (gateway, endpoint) = (gateway.as_secs_f64() * 1e3, endpoint.as_secs_f64() * 1e3);
    out.extend_from_slice(b"server-timing: ");
    // Writing into memory cannot fail.
    let _infallible = write!(out, "ringway;dur={gateway:.3}, upstream;dur={endpoint:.3}\r\n");
}

fn is_event_stream(head: &ResponseHead<'_, '_>) -> bool {
    let kind = head.fields.get("content-type").unwrap_or_default();
    let name = b"text/event-stream";
    kind.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        && matches!(kind.get(name.len()), None | Some(b';' | b' '))
}

fn is_identity(coding: &[u8]) -> bool {
    coding == b"identity"
}

/// Whether a field says how much may still be asked for.
fn is_limit(name: &str) -> bool {
    const START: &str = "x-ratelimit-";
    name.get(..START.len()).is_some_and(|start| start.eq_ignore_ascii_case(START))
}
