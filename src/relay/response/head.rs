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
    /// The head goes down, unless there was one before, and what it says of the body is known.
    pub(super) fn begin(&mut self, head: &ResponseHead<'_, '_>, out: &mut Vec<u8>) {
        self.status = head.status;
        self.body = Some(Body::new(head.body));
        self.is_reusable = head.is_keep_alive && head.body != BodyLength::UntilClose;
        let is_bodiless = self.asked.method == Method::Head || matches!(head.status, 204 | 304);
        let is_plain = head.fields.get("content-encoding").is_none_or(is_identity);
        let is_translated = self.prepare_translator(head);
        if !is_bodiless && is_plain && (is_event_stream(head) || is_translated == Some(true)) {
            self.scanner = Some(Scanner::default());
        }
        let is_events = self.scanner.is_some();
        let is_dropping = self.asked.drops_usage_event && is_events;
        if !is_bodiless && is_plain && (self.asked.meters_usage || is_dropping) {
            self.meter = Some(Box::default());
        }
        if self.is_open {
            return;
        }
        let length = match head.body {
            _ if is_events || is_translated.is_some() => None,
            BodyLength::Exact(length) => Some(length),
            BodyLength::Empty if !is_bodiless => Some(0),
            _ => None,
        };
        if is_events {
            self.open_stream();
        } else if !is_bodiless && length.is_none() {
            self.set_frame();
        }
        self.write_head(head, length, is_bodiless, out);
        if is_events {
            self.say_first(out);
        }
        self.asked.fields = None;
        if let Some(rare) = self.rare.as_deref_mut() {
            rare.timing = None;
        }
    }

    /// Whether this answer is to be translated, and if so, whether into a stream. Errors pass as they came.
    fn prepare_translator(&mut self, head: &ResponseHead<'_, '_>) -> Option<bool> {
        let is_plain = head.fields.get("content-encoding").is_none_or(is_identity);
        let rare = self.rare.as_deref_mut()?;
        if !(200..300).contains(&head.status) || !is_plain {
            rare.translator = None;
        }
        rare.translator.as_ref().map(|translated| translated.is_stream)
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
        if let Some(is_stream) = self.translated() {
            encode::field(
                out,
                "content-type",
                if is_stream { EVENTS } else { b"application/json" },
            );
        }
        self.write_ours(out);
        if let Some((gateway, endpoint)) = self.rare.as_ref().and_then(|rare| rare.timing) {
            write_timing(gateway, endpoint, out);
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

    /// Whether the answer is translated, and if so, whether into a stream.
    fn translated(&self) -> Option<bool> {
        self.rare.as_deref()?.translator.as_ref().map(|translated| translated.is_stream)
    }

    /// What the gateway itself says in every head.
    pub(super) fn write_ours(&self, out: &mut Vec<u8>) {
        if self.is_events() {
            encode::field(out, "cache-control", b"no-cache, no-transform");
            encode::field(out, "x-accel-buffering", b"no");
        }
        encode::field(out, "x-request-id", &self.asked.request_id.hex());
        if let Some(numbers) = self.numbers().filter(|numbers| numbers.is_kept()) {
            encode::field(out, "x-ringway-stream", &numbers.id().text());
        }
        if let Some(fields) = &self.asked.fields {
            out.extend_from_slice(fields);
        }
    }

    pub(super) fn write_connection(&self, out: &mut Vec<u8>) {
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
            12 => self.translated().is_some() && is("content-type"),
            // A response to HEAD, or 304, says how long the body would be; 204 must not (RFC 9110 section 8.6).
            14 if is("content-length") => !is_bodiless || self.status == 204,
            16 => is("x-ringway-stream"),
            14 => self.is_exhausted && is("x-should-retry"),
            13 => (self.is_events() && is("cache-control")) || encode::is_hop_by_hop(name),
            17 => (self.is_events() && is("x-accel-buffering")) || encode::is_hop_by_hop(name),
            _ => encode::is_hop_by_hop(name),
        }
    }
}

/// What a stream of events is called.
pub(super) const EVENTS: &[u8] = b"text/event-stream; charset=utf-8";

/// `server-timing`, in milliseconds (W3C Server Timing).
fn write_timing(gateway: Duration, endpoint: Duration, out: &mut Vec<u8>) {
    let (gateway, endpoint) = (gateway.as_secs_f64() * 1e3, endpoint.as_secs_f64() * 1e3);
    out.extend_from_slice(b"server-timing: ");
    // Writing into memory cannot fail.
    let _infallible = write!(out, "ringway;dur={gateway:.3}, upstream;dur={endpoint:.3}\r\n");
}

pub(super) fn is_event_stream(head: &ResponseHead<'_, '_>) -> bool {
    let kind = head.fields.get("content-type").unwrap_or_default();
    let name = b"text/event-stream";
    kind.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        && matches!(kind.get(name.len()), None | Some(b';' | b' '))
}

pub(super) fn is_identity(coding: &[u8]) -> bool {
    coding == b"identity"
}

/// Whether a field says how much may still be asked for.
fn is_limit(name: &str) -> bool {
    const START: &str = "x-ratelimit-";
    name.get(..START.len()).is_some_and(|start| start.eq_ignore_ascii_case(START))
}
