//! The response on its way down: bytes from the endpoint in, bytes for the client out. No sockets, no waiting.
//!
//! Content is never altered. A stream of events goes down in whole events, as many as a read brought, so that the
//! gateway can speak between any two of them; an event larger than [`EVENT_BYTES_HELD_MAX`] goes down as it comes.
//! What may stay here is an event that the gateway itself has asked for, that of the usage; and an error, if the
//! request may be sent elsewhere: it is held until somebody has judged it.

use std::time::Duration;

use self::held::Holding;
use crate::accept::incoming::CONTINUE;
use crate::llm::dialect;
use crate::llm::dialect::Dialect;
use crate::llm::usage::Meter;
use crate::llm::usage::Usage;
use crate::record::Fault;
use crate::record::RequestId;
use crate::relay::reply;
use crate::wire::Malformed;
use crate::wire::buffer::Buffer;
use crate::wire::buffer::Buffers;
use crate::wire::head::Method;
use crate::wire::head::Version;
use crate::wire::http1::body::Body;
use crate::wire::http1::encode;
use crate::wire::http1::parse;
use crate::wire::http1::parse::HeadSearch;
use crate::wire::http1::parse::Slots;
use crate::wire::limits;
use crate::wire::sse::Scan;
use crate::wire::sse::Scanner;

mod head;
mod held;

pub use self::held::ERROR_BYTES_HELD_MAX;
pub use self::held::Held;

/// Bytes of an unfinished event that are held back until its end comes.
pub const EVENT_BYTES_HELD_MAX: usize = 16 << 10;

/// What the request says about how its response may look.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its method: HEAD gets no body.
    pub method: Method,
    /// Its version: HTTP/1.0 gets no chunks.
    pub version: Version,
    /// Whether the client's connection goes on after the response.
    pub is_keep_alive: bool,
    /// The shape of error events.
    pub dialect: Dialect,
    /// Name of the request.
    pub request_id: RequestId,
    /// Whole field lines that say how much the client may still ask for (`x-ratelimit-*`), each with its line end. They
    /// stand in for those of the endpoint.
    pub fields: Option<Box<[u8]>>,
    /// Whether the tokens that the response says it was are wanted. Those of a compressed response are not read.
    pub meters_usage: bool,
    /// Whether each event is wanted by itself, as it went down: [`Response::take_seen`] has them.
    pub keeps_events: bool,
    /// Whether the event that says the usage of a stream and nothing else stays here: the client did not ask for it,
    /// the gateway did. One larger than [`EVENT_BYTES_HELD_MAX`] is none.
    pub drops_usage_event: bool,
    /// Whether an error (a status of 400 or more) is held until [`Response::release`], if it is no larger than
    /// [`ERROR_BYTES_HELD_MAX`].
    pub holds_errors: bool,
}

/// Whole events, one after the other.
#[derive(Debug, Default)]
pub struct Seen {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Seen {
    /// The events one by one.
    pub fn events(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, end)| self.bytes.get(start..*end))
    }
}

/// How the body goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    /// The length was announced, or there is no body, or the end of the connection ends it.
    Plain,
    /// In chunks.
    Chunks,
}

/// A head that waits, behind one pointer: an open stream must not pay for the room it takes.
struct Early(Vec<u8>);

/// A response under way.
pub struct Response {
    asked: Asked,
    search: HeadSearch,
    /// An unfinished head, later an unfinished event.
    held: Buffer,
    body: Option<Body>,
    frame: Frame,
    scanner: Option<Scanner>,
    /// In a box: most responses are not metered, and an open stream must not pay for the room it takes.
    meter: Option<Box<Meter>>,
    /// An error that has not gone down. In a box, as it is rare.
    holding: Option<Box<Holding>>,
    /// Events that went down and were not taken yet, where they are wanted.
    seen: Option<Box<Seen>>,
    /// The head of a stream as it goes down, until it does.
    early: Option<Box<Early>>,
    interim_heads: u8,
    /// In a box: it is wanted rarely, and not beyond the head.
    timing: Option<Box<(Duration, Duration)>>,
    /// The client is told that asking again is of no use.
    is_exhausted: bool,
    /// The last event that went down is not whole: it was too large to be held back.
    is_split: bool,
    is_done: bool,
    has_said_done: bool,
    /// The head of a stream went down before any of its content had come.
    is_committed: bool,
    is_reusable: bool,
    is_client_reusable: bool,
    /// Status of the response; 0 before its head.
    pub status: u16,
    /// Events that went down.
    pub events: u64,
    /// Bytes of content that went down.
    pub content_bytes: u64,
}

impl Response {
    /// A response of which nothing has come yet.
    #[must_use]
    pub fn new(asked: Asked) -> Self {
        Self {
            is_client_reusable: asked.is_keep_alive,
            seen: asked.keeps_events.then(Box::default),
            asked,
            search: HeadSearch::for_response(),
            held: Buffer::default(),
            body: None,
            frame: Frame::Plain,
            scanner: None,
            meter: None,
            holding: None,
            early: None,
            interim_heads: 0,
            timing: None,
            is_exhausted: false,
            is_split: false,
            is_done: false,
            has_said_done: false,
            is_committed: false,
            is_reusable: false,
            status: 0,
            events: 0,
            content_bytes: 0,
        }
    }

    /// Whether the whole response has come.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.is_done
    }

    /// Whether the head has come and goes down: the point of no return.
    #[must_use]
    pub const fn has_head(&self) -> bool {
        self.body.is_some()
    }

    /// Whether nothing of a response has come, not even of its head.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        !self.is_past_head() && self.held.is_empty() && self.interim_heads == 0
    }

    /// Whether its head has come, but none of its content: the head waits here.
    #[must_use]
    pub const fn is_early(&self) -> bool {
        self.early.is_some()
    }

    /// Sends on the head of a stream that has waited for its content.
    pub fn commit(&mut self, out: &mut Vec<u8>) {
        if let Some(head) = self.early.take() {
            out.extend_from_slice(&head.0);
            self.is_committed = true;
        }
    }

    /// Whether it is a stream of events.
    #[must_use]
    pub const fn is_events(&self) -> bool {
        self.scanner.is_some()
    }

    /// Whether the endpoint's connection can carry another request.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        match &self.holding {
            Some(holding) => holding.is_reusable(),
            None => self.is_done && self.is_reusable,
        }
    }

    /// Whether the client's connection can carry another request.
    #[must_use]
    pub const fn is_client_reusable(&self) -> bool {
        self.is_done && self.is_client_reusable
    }

    /// The tokens that the response has said it was so far; `None` if it has said nothing, is compressed, or is not
    /// metered. A stream that broke off may have said less than went down.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.meter.as_ref()?.usage()
    }

    /// The events that went down since this was asked last, where they are wanted. One larger than
    /// [`EVENT_BYTES_HELD_MAX`] is not among them.
    pub fn take_seen(&mut self) -> Option<Seen> {
        self.seen.as_deref_mut().filter(|seen| !seen.ends.is_empty()).map(std::mem::take)
    }

    /// Has the head say where the time went: in the gateway until the request had gone up, and at the endpoint.
    pub fn set_timing(&mut self, gateway: Duration, endpoint: Duration) {
        self.timing = Some(Box::new((gateway, endpoint)));
    }

    /// Takes bytes from the endpoint and appends what goes down to `out`. The head of a stream waits for the first of its
    /// content: until then another endpoint may still be asked in this one's place.
    ///
    /// # Errors
    /// They are not HTTP as it must be.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        buffers: &Buffers,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let start = out.len();
        if let Some(head) = self.early.take() {
            out.extend_from_slice(&head.0);
        }
        let fed = self.feed_any(bytes, buffers, out);
        let is_waiting = self.content_bytes == 0 && !self.is_done && !self.is_committed;
        if self.is_events() && is_waiting {
            self.early = Some(Box::new(Early(out.split_off(start))));
        }
        fed
    }

    fn feed_any(
        &mut self,
        bytes: &[u8],
        buffers: &Buffers,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        if self.is_past_head() {
            return self.feed_content(bytes, buffers, out);
        }
        if self.held.is_empty() {
            let used = self.feed_head(bytes, buffers, out)?;
            let rest = bytes.get(used..).unwrap_or_default();
            if self.is_past_head() {
                return self.feed_content(rest, buffers, out);
            }
            buffers.append(&mut self.held, rest);
            return Ok(());
        }
        buffers.append(&mut self.held, bytes);
        let mut held = std::mem::take(&mut self.held);
        let used = self.feed_head(held.filled(), buffers, out)?;
        held.consume(used);
        if !self.is_past_head() {
            self.held = held;
            return Ok(());
        }
        let fed = self.feed_content(held.filled(), buffers, out);
        buffers.release(&mut held);
        fed
    }

    /// Whether the head has come, whatever becomes of it.
    const fn is_past_head(&self) -> bool {
        self.body.is_some() || self.holding.is_some()
    }

    /// Takes the end of the endpoint's connection.
    ///
    /// # Errors
    /// The response was not complete.
    pub fn feed_close(&mut self, buffers: &Buffers, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.is_reusable = false;
        if let Some(holding) = &mut self.holding {
            return holding.feed_close();
        }
        let Some(body) = &mut self.body else { return Err(Malformed::Truncated) };
        body.at_close()?;
        if let Some(head) = self.early.take() {
            out.extend_from_slice(&head.0);
        }
        self.finish(buffers, out);
        Ok(())
    }

    /// Appends what tells the client that the response broke off, and says whether there is such a thing: only a
    /// stream of events has a place for it. Everything else must be cut. A stream in chunks ends with that as one that was
    /// not broken off, and another response may follow.
    pub fn feed_fault(&mut self, fault: Fault, buffers: &Buffers, out: &mut Vec<u8>) -> bool {
        buffers.release(&mut self.held);
        self.is_reusable = false;
        if !self.is_events() || self.is_early() || self.is_done || !self.is_at_boundary() {
            self.is_client_reusable = false;
            return false;
        }
        if !self.has_said_done {
            let error = reply::text_of(fault);
            let id = self.asked.request_id.hex();
            let id = std::str::from_utf8(&id).unwrap_or_default();
            let start = self.open_chunk(out);
            dialect::error_event(self.asked.dialect, &error, id, out);
            self.close_chunk(start, out);
        }
        if self.frame == Frame::Chunks {
            out.extend_from_slice(encode::LAST_CHUNK);
            self.is_done = true;
        }
        true
    }

    /// Appends what a client reads over and a client that is gone answers with a reset: an interim head, or a comment
    /// between two events. Nothing, where neither has a place.
    pub fn probe(&self, out: &mut Vec<u8>) {
        if !self.has_head() || self.is_early() {
            if self.asked.version == Version::Http11 {
                out.extend_from_slice(CONTINUE);
            }
        } else if self.is_events() && self.is_at_boundary() && !self.is_done {
            let start = self.open_chunk(out);
            out.extend_from_slice(b": ping\n\n");
            self.close_chunk(start, out);
        }
    }

    /// What went down so far ends between two events: true unless a very large event was let through in parts.
    fn is_at_boundary(&self) -> bool {
        !self.is_split
    }

    /// Looks for heads in `bytes`; interim ones are dropped. Returns how many bytes it used up.
    fn feed_head(
        &mut self,
        bytes: &[u8],
        buffers: &Buffers,
        out: &mut Vec<u8>,
    ) -> Result<usize, Malformed> {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if self.search.end(rest)?.is_none() {
                return Ok(used);
            }
            let mut slots = Slots::new();
            let Some(head) = parse::response(rest, &mut slots, self.asked.method)? else {
                return Err(Malformed::BareLineFeed);
            };
            used += head.bytes;
            self.search = HeadSearch::for_response();
            if self.asked.holds_errors && held::is_keepable(&head) {
                let bytes = rest.get(..head.bytes).unwrap_or_default();
                self.holding = Some(Box::new(Holding::begin(bytes, &head, buffers)));
                return Ok(used);
            }
            if head.status >= 200 {
                self.begin(&head, out);
                return Ok(used);
            }
            self.interim_heads += 1;
            if head.status == 101 || usize::from(self.interim_heads) > limits::INTERIM_HEADS_MAX {
                return Err(Malformed::SwitchedProtocols);
            }
        }
    }

    fn feed_body(
        &mut self,
        bytes: &[u8],
        buffers: &Buffers,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let Some(mut body) = self.body else { return Ok(()) };
        let start = self.open_chunk(out);
        let mut rest = bytes;
        let mut fed = Ok(());
        while !body.is_end() && !rest.is_empty() {
            match body.next(rest) {
                Ok(piece) => {
                    let content = rest.get(piece.body).unwrap_or_default();
                    self.pass(content, buffers, out);
                    rest = rest.get(piece.consumed..).unwrap_or_default();
                }
                Err(malformed) => {
                    fed = Err(malformed);
                    break;
                }
            }
        }
        self.body = Some(body);
        // What was right before the flaw goes down: the events in it are whole.
        self.close_chunk(start, out);
        fed?;
        if body.is_end() && !self.is_done {
            // Bytes after the end belong to no request: this connection cannot be trusted with another.
            self.is_reusable &= rest.is_empty();
            self.finish(buffers, out);
        }
        Ok(())
    }

    /// Content goes down, whole events at a time.
    fn pass(&mut self, content: &[u8], buffers: &Buffers, out: &mut Vec<u8>) {
        let Some(scanner) = &mut self.scanner else {
            if let Some(meter) = &mut self.meter {
                meter.feed_json(content);
            }
            self.content_bytes += content.len() as u64;
            out.extend_from_slice(content);
            return;
        };
        if self.asked.drops_usage_event || self.asked.keeps_events {
            return self.pass_each(content, buffers, out);
        }
        let scan = scanner.feed(content);
        if let Some(meter) = &mut self.meter {
            meter.feed_events(content);
        }
        self.note(&scan);
        let (whole, begun) =
            content.split_at_checked(scan.boundary.unwrap_or(0)).unwrap_or((content, &[]));
        self.pass_parts(whole, begun, buffers, out);
    }

    /// Events go down one by one, but for that of the usage where it is not wanted.
    fn pass_each(&mut self, content: &[u8], buffers: &Buffers, out: &mut Vec<u8>) {
        let mut rest = content;
        while let Some(scanner) = &mut self.scanner
            && !rest.is_empty()
        {
            let (length, scan) = scanner.feed_event(rest);
            let (event, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            rest = after;
            let is_usage = self.meter.as_mut().is_some_and(|meter| {
                meter.feed_events(event);
                meter.is_usage_event()
            });
            if scan.boundary.is_none() {
                self.pass_parts(&[], event, buffers, out);
                continue;
            }
            // One too large to be held goes down, whether it came in parts or at once.
            let is_held = !self.is_split && self.held.len() + event.len() <= EVENT_BYTES_HELD_MAX;
            if is_held && is_usage && self.asked.drops_usage_event {
                buffers.release(&mut self.held);
            } else {
                if let Some(seen) = self.seen.as_deref_mut().filter(|_| is_held) {
                    seen.bytes.extend_from_slice(self.held.filled());
                    seen.bytes.extend_from_slice(event);
                    seen.ends.push(seen.bytes.len());
                }
                self.note(&scan);
                self.pass_parts(event, &[], buffers, out);
            }
        }
    }

    fn note(&mut self, scan: &Scan) {
        self.events += u64::from(scan.events);
        self.has_said_done |= scan.is_done;
    }

    /// The whole events go down, with what was held of the first of them; what of another one has begun is held.
    fn pass_parts(&mut self, whole: &[u8], begun: &[u8], buffers: &Buffers, out: &mut Vec<u8>) {
        let before = out.len();
        if !whole.is_empty() {
            self.is_split = false;
            out.extend_from_slice(self.held.filled());
            buffers.release(&mut self.held);
            out.extend_from_slice(whole);
        }
        if !begun.is_empty() {
            if self.held.len() + begun.len() > EVENT_BYTES_HELD_MAX {
                out.extend_from_slice(self.held.filled());
                buffers.release(&mut self.held);
                out.extend_from_slice(begun);
                self.is_split = true;
            } else {
                buffers.append(&mut self.held, begun);
            }
        }
        self.content_bytes += (out.len() - before) as u64;
    }

    /// The end of the body goes down: what was held back of an event that nobody finished, and the last chunk.
    fn finish(&mut self, buffers: &Buffers, out: &mut Vec<u8>) {
        self.is_done = true;
        if !self.held.is_empty() {
            let start = self.open_chunk(out);
            self.content_bytes += self.held.len() as u64;
            out.extend_from_slice(self.held.filled());
            self.close_chunk(start, out);
            buffers.release(&mut self.held);
        }
        if self.frame == Frame::Chunks {
            out.extend_from_slice(encode::LAST_CHUNK);
        }
    }

    /// Leaves room for the head of a chunk, whose size is known once its content is there.
    fn open_chunk(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        if self.frame == Frame::Chunks {
            out.extend_from_slice(CHUNK_HEAD);
        }
        start
    }

    fn close_chunk(&self, start: usize, out: &mut Vec<u8>) {
        if self.frame != Frame::Chunks {
            return;
        }
        let mut size = out.len() - start - CHUNK_HEAD.len();
        if size == 0 {
            out.truncate(start);
            return;
        }
        for digit in out.iter_mut().skip(start).take(CHUNK_DIGITS).rev() {
            *digit = b"0123456789abcdef"[size & 15];
            size >>= 4;
        }
        debug_assert_eq!(size, 0, "a chunk holds one read and one held event");
        out.extend_from_slice(b"\r\n");
    }
}

/// The head of a chunk before its size is filled in. Leading zeros are legal (RFC 9112 section 7.1).
const CHUNK_HEAD: &[u8] = b"000000\r\n";
const CHUNK_DIGITS: usize = CHUNK_HEAD.len() - 2;

#[cfg(test)]
pub(in crate::relay) mod tests;
