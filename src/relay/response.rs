//! The response on its way down: bytes from the endpoint in, bytes for the client out. No sockets, no waiting.
//!
//! Content is never altered. A stream of events goes down in whole events, as many as a read brought, so that the
//! gateway can speak between any two of them; an event larger than [`EVENT_BYTES_HELD_MAX`] goes down as it comes.
//! What may stay here is an event that the gateway itself has asked for, that of the usage; and an error, if the
//! request may be sent elsewhere: it is held until somebody has judged it.
//!
//! The head of a stream may go down before any endpoint has answered ([`Response::open`]). What comes then joins that
//! stream: its head stays here, and what is not a stream of events becomes an error event.

use std::time::Duration;

use self::frame::Frame;
use self::held::Holding;
use self::rare::Rare;
use crate::accept::incoming::CONTINUE;
use crate::llm::dialect;
use crate::llm::dialect::Dialect;
use crate::llm::usage::Meter;
use crate::llm::usage::Usage;
use crate::record::Fault;
use crate::record::RequestId;
use crate::relay::replay::End;
use crate::relay::reply;
use crate::wire::Malformed;
use crate::wire::buffer::Buffer;
use crate::wire::buffer::Buffers;
use crate::wire::head::Method;
use crate::wire::head::Version;
use crate::wire::http1::body::Body;
use crate::wire::http1::parse;
use crate::wire::http1::parse::HeadSearch;
use crate::wire::http1::parse::Slots;
use crate::wire::limits;
use crate::wire::sse::Scanner;

mod events;
mod frame;
mod head;
mod held;
mod join;
mod pace;
mod rare;

pub use self::held::ERROR_BYTES_HELD_MAX;
pub use self::held::Held;
pub use self::join::Joining;
pub use self::pace::Fed;
pub use self::rare::Numbers;
pub use self::rare::Seen;

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
    /// Whether a stream was asked for: its head may go down before the endpoint has answered.
    pub may_open: bool,
    /// Whether an error (a status of 400 or more) is held until [`Response::release`], if it is no larger than
    /// [`ERROR_BYTES_HELD_MAX`].
    pub holds_errors: bool,
}

/// What an endpoint's answer may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is not HTTP as it must be.
    Malformed(Malformed),
    /// A stream has begun, and this does not go on with it.
    NotAStream,
    /// It does not say what it should in the format it should have.
    Untranslatable,
}

impl From<Malformed> for Unfit {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
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
    /// The head of a stream as it goes down, until it does.
    early: Option<Box<Early>>,
    /// What few responses want. In a box: the others must not pay for it.
    rare: Option<Box<Rare>>,
    interim_heads: u8,
    /// The client is told that asking again is of no use.
    is_exhausted: bool,
    /// The last event that went down is not whole: it was too large to be held back.
    is_split: bool,
    is_done: bool,
    has_said_done: bool,
    /// The head of a stream went down, of whichever endpoint or the gateway's own.
    is_open: bool,
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
        let mut response = Self {
            is_client_reusable: asked.is_keep_alive,
            asked,
            search: HeadSearch::for_response(),
            held: Buffer::default(),
            body: None,
            frame: Frame::Plain,
            scanner: None,
            meter: None,
            holding: None,
            early: None,
            rare: None,
            interim_heads: 0,
            is_exhausted: false,
            is_split: false,
            is_done: false,
            has_said_done: false,
            is_open: false,
            is_reusable: false,
            status: 0,
            events: 0,
            content_bytes: 0,
        };
        if response.asked.keeps_events {
            response.rare().seen = Some(Seen::default());
        }
        response
    }

    /// Name of the request.
    #[must_use]
    pub const fn request_id(&self) -> RequestId {
        self.asked.request_id
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

    /// Whether the head of a stream went down: whatever comes now comes as an event.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether the head of a stream may go down now, although nothing of its content has come.
    #[must_use]
    pub const fn may_open(&self) -> bool {
        let is_begun = self.is_open || self.is_past_head() && self.early.is_none();
        !is_begun && (self.asked.may_open || self.early.is_some())
    }

    /// Whether the request cannot be sent again, where something `has_answered` its client: a stream of which nothing but its
    /// head went down may come from anybody; one that can be continued needs its request to the end.
    #[must_use]
    pub fn is_final(&self, has_answered: bool) -> bool {
        has_answered && !(self.is_open && self.content_bytes == 0) && !self.may_continue()
    }

    /// Whether it is a stream of events.
    #[must_use]
    pub const fn is_events(&self) -> bool {
        self.scanner.is_some() || self.is_open
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
        let seen = self.rare.as_deref_mut()?.seen.as_mut()?;
        (!seen.is_empty()).then(|| std::mem::take(seen))
    }

    /// Has the head say where the time went: in the gateway until the request had gone up, and at the endpoint.
    pub fn set_timing(&mut self, gateway: Duration, endpoint: Duration) {
        self.rare().timing = Some((gateway, endpoint));
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
    ) -> Result<(), Unfit> {
        let start = out.len();
        if let Some(head) = self.early.take() {
            out.extend_from_slice(&head.0);
        }
        let fed = self.feed_any(bytes, buffers, out);
        if self.scanner.is_some() && !self.is_open {
            if self.content_bytes == 0 && !self.is_done {
                self.early = Some(Box::new(Early(out.split_off(start))));
            } else {
                self.is_open = true;
            }
        }
        fed
    }

    fn feed_any(
        &mut self,
        bytes: &[u8],
        buffers: &Buffers,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
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
    pub fn feed_close(&mut self, buffers: &Buffers, out: &mut Vec<u8>) -> Result<(), Unfit> {
        self.is_reusable = false;
        if let Some(holding) = &mut self.holding {
            return Ok(holding.feed_close()?);
        }
        let Some(body) = &mut self.body else { return Err(Malformed::Truncated.into()) };
        body.at_close()?;
        if let Some(head) = self.early.take() {
            out.extend_from_slice(&head.0);
            self.is_open = true;
        }
        self.finish(buffers, out)
    }

    /// Appends what tells the client that the response broke off, and says whether there is such a thing: only a
    /// stream of events has a place for it. Everything else must be cut. A stream in chunks ends with that as one that was
    /// not broken off, and another response may follow.
    pub fn feed_fault(&mut self, fault: Fault, buffers: &Buffers, out: &mut Vec<u8>) -> bool {
        buffers.release(&mut self.held);
        self.is_reusable = false;
        if !self.is_open || self.is_done || !self.is_at_boundary() {
            self.end_log(End::Broken);
            self.is_client_reusable = false;
            return false;
        }
        let words = if self.has_said_done { Vec::new() } else { self.words_of(fault) };
        self.log(&words);
        self.end_log(End::Broken);
        if self.is_behind() {
            // It would come before what the client has missed: whoever comes back finds it where it belongs.
            self.is_client_reusable = false;
            return false;
        }
        let start = self.open_chunk(out);
        out.extend_from_slice(&words);
        self.close_chunk(start, out);
        self.close_frame(out);
        self.is_done |= self.frame == Frame::Chunks;
        true
    }

    /// The event that ends a stream in which this went wrong: the endpoint's own words, where it has said any.
    fn words_of(&mut self, fault: Fault) -> Vec<u8> {
        if let Some(words) = self.rare.as_deref_mut().and_then(|rare| rare.last_words.take()) {
            return words;
        }
        let mut words = Vec::new();
        let id = self.asked.request_id.hex();
        let id = std::str::from_utf8(&id).unwrap_or_default();
        dialect::error_event(self.asked.dialect, &reply::text_of(fault), id, &mut words);
        words
    }

    /// Appends what a client reads over and a client that is gone answers with a reset: an interim head, or a comment
    /// between two events. Nothing, where neither has a place.
    pub fn probe(&self, out: &mut Vec<u8>) {
        if self.is_open {
            self.beat(out);
        } else if (!self.has_head() || self.is_early()) && self.asked.version == Version::Http11 {
            out.extend_from_slice(CONTINUE);
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
    ) -> Result<usize, Unfit> {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if self.search.end(rest)?.is_none() {
                return Ok(used);
            }
            let mut slots = Slots::new();
            let Some(head) = parse::response(rest, &mut slots, self.asked.method)? else {
                return Err(Malformed::BareLineFeed.into());
            };
            used += head.bytes;
            self.search = HeadSearch::for_response();
            let is_out_of_place = self.is_open && head.status >= 200 && !self.may_join(&head);
            if (self.asked.holds_errors || self.is_open) && held::is_keepable(&head)
                || is_out_of_place
            {
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
                return Err(Malformed::SwitchedProtocols.into());
            }
        }
    }

    fn feed_body(
        &mut self,
        bytes: &[u8],
        buffers: &Buffers,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        let Some(mut body) = self.body else { return Ok(()) };
        let start = self.open_chunk(out);
        let mut rest = bytes;
        let mut fed: Result<(), Unfit> = Ok(());
        while !body.is_end() && !rest.is_empty() {
            match body.next(rest) {
                Ok(piece) => {
                    let content = rest.get(piece.body).unwrap_or_default();
                    rest = rest.get(piece.consumed..).unwrap_or_default();
                    if let Err(unfit) = self.pass(content, buffers, out) {
                        fed = Err(unfit);
                        break;
                    }
                }
                Err(malformed) => {
                    fed = Err(malformed.into());
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
            self.finish(buffers, out)?;
        }
        Ok(())
    }

    /// The end of the body goes down: what was held back of an event that nobody finished, and the last chunk.
    fn finish(&mut self, buffers: &Buffers, out: &mut Vec<u8>) -> Result<(), Unfit> {
        self.pass_rest(buffers, out)?;
        self.is_done = true;
        if !self.held.is_empty() {
            let start = self.open_chunk(out);
            self.content_bytes += self.held.len() as u64;
            out.extend_from_slice(self.held.filled());
            self.log(self.held.filled());
            self.close_chunk(start, out);
            buffers.release(&mut self.held);
        }
        self.end_log(End::Done);
        if !self.is_behind() {
            self.close_frame(out);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(in crate::relay) mod tests;
