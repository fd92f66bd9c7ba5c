//! The stream that a client sees, apart from who sends it and who reads it: opened by the gateway, kept alive between events,
//! joined by another endpoint's answer or by another connection of the client's.

use std::rc::Rc;

use super::Asked;
use super::Frame;
use super::Held;
use super::Response;
use super::rare::Numbers;
use crate::llm::dialect;
use crate::llm::dialect::Dialect;
use crate::llm::dialect::ErrorText;
use crate::relay::replay::Cursor;
use crate::relay::replay::Missing;
use crate::relay::replay::Place;
use crate::relay::replay::Shelf;
use crate::relay::replay::StreamId;
use crate::wire::buffer::Buffers;
use crate::wire::head::ResponseHead;
use crate::wire::head::Version;
use crate::wire::http1::encode;

/// A connection that takes over a stream which has begun.
#[derive(Clone, Copy, Debug)]
pub struct Joining {
    /// The version of its request: HTTP/1.0 gets no chunks.
    pub version: Version,
    /// Whether it goes on after the stream.
    pub is_keep_alive: bool,
    /// How far it is behind.
    pub cursor: Cursor,
}

impl Response {
    /// A stream that has ended, as it is kept at `place`.
    #[must_use]
    pub fn replay(asked: Asked, shelf: Rc<Shelf>, id: StreamId, place: Place) -> Self {
        let mut response = Self::new(asked);
        response.status = 200;
        response.is_open = true;
        response.is_done = true;
        response.number(Numbers::ended(shelf, id, place));
        response
    }

    /// The head of a stream goes down, whatever its endpoint says later: that of the endpoint if it has come, else the
    /// gateway's own.
    pub fn open(&mut self, out: &mut Vec<u8>) {
        if self.is_open {
            return;
        }
        self.is_open = true;
        match self.early.take() {
            Some(head) => out.extend_from_slice(&head.0),
            None => {
                self.status = 200;
                self.open_stream();
                self.write_own_head(out);
                self.say_first(out);
                self.asked.fields = None;
            }
        }
    }

    /// The way down of a stream: it has no length, and its events are numbered.
    pub(super) fn open_stream(&mut self) {
        self.set_frame();
        if let Some(numbers) = self.numbers_mut() {
            numbers.open();
        }
    }

    pub(super) fn set_frame(&mut self) {
        if self.asked.version == Version::Http10 {
            self.is_client_reusable = false;
            self.frame = Frame::Plain;
        } else {
            self.frame = Frame::Chunks;
        }
    }

    /// What is said once on each connection, before its first event. It stands before that without a blank line: see [`beat`].
    ///
    /// [`beat`]: Self::beat
    pub(super) fn say_first(&self, out: &mut Vec<u8>) {
        let Some(after) = self.rare.as_ref().and_then(|rare| rare.reconnect) else { return };
        let start = self.open_chunk(out);
        out.extend_from_slice(b"retry: ");
        out.extend_from_slice(after.span().as_millis().to_string().as_bytes());
        out.push(b'\n');
        self.close_chunk(start, out);
    }

    fn write_own_head(&self, out: &mut Vec<u8>) {
        encode::status_line(out, 200);
        encode::field(out, "content-type", super::head::EVENTS);
        self.write_ours(out);
        if self.frame == Frame::Chunks {
            encode::field(out, "transfer-encoding", b"chunked");
        }
        self.write_connection(out);
        encode::end_of_head(out);
    }

    /// Whether the stream can be told something now: between two events, and before its end.
    #[must_use]
    pub fn may_beat(&self) -> bool {
        self.is_open && !self.is_done && !self.is_split
    }

    /// Appends a sign of life, which no client takes for content. Nothing where it has no place.
    ///
    /// A comment has a line for itself and a blank one behind it, as many clients cut streams there. But some (OpenAI's SDK for
    /// Python, httpx-sse) take every blank line for the end of an event once they have seen an id, or a `retry` before it, and
    /// an event without data for a broken one: there it has no blank line, and stands before the next event.
    pub fn beat(&self, out: &mut Vec<u8>) {
        if !self.may_beat() {
            return;
        }
        let start = self.open_chunk(out);
        out.extend_from_slice(match self.asked.dialect {
            Dialect::OpenAi if self.has_ids_or_retry() => b": ping\n".as_slice(),
            Dialect::OpenAi => b": ping\n\n",
            Dialect::Anthropic => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
        });
        self.close_chunk(start, out);
    }

    fn has_ids_or_retry(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| {
            rare.numbers.is_some() || rare.reconnect.is_some() || rare.origin.is_some()
        })
    }

    /// Whether an answer with this head can go on with a stream that was opened.
    pub(super) fn may_join(&self, head: &ResponseHead<'_, '_>) -> bool {
        let is_plain = head.fields.get("content-encoding").is_none_or(super::head::is_identity);
        let is_translated = self.rare.as_ref().is_some_and(|rare| rare.translator.is_some());
        (200..300).contains(&head.status)
            && is_plain
            && (is_translated || super::head::is_event_stream(head))
    }

    /// The error that is held becomes the last event of the stream that was opened before it came: the endpoint's own words if
    /// they are JSON, as every dialect's are.
    pub fn speak(&mut self, buffers: &Buffers) {
        let Some(holding) = self.holding.take() else { return };
        let held = holding.view(self.asked.method);
        let (words, status) = (self.last_words(&held), held.status);
        self.rare().last_words = Some(words);
        self.rare().spoken = status;
        holding.release(buffers);
    }

    /// The status that the endpoint has answered with, be it told by an event or by the head.
    #[must_use]
    pub fn answered_with(&self) -> u16 {
        let spoken = self.rare.as_deref().map_or(0, |rare| rare.spoken);
        let held = self.holding.as_ref().map(|holding| holding.status());
        held.unwrap_or(if spoken > 0 { spoken } else { self.status })
    }

    fn last_words(&self, held: &Held<'_>) -> Vec<u8> {
        let mut words = Vec::new();
        let is_error = held.status >= 400;
        if is_error && serde_json::from_slice::<serde::de::IgnoredAny>(held.body).is_ok() {
            words.extend_from_slice(match self.asked.dialect {
                Dialect::OpenAi => b"data: ".as_slice(),
                Dialect::Anthropic => b"event: error\ndata: ",
            });
            // Line ends in JSON stand between its parts only: a string has none.
            let line = held.body.iter().map(|byte| match byte {
                b'\r' | b'\n' => b' ',
                byte => *byte,
            });
            words.extend(line);
            words.extend_from_slice(b"\n\n");
            return words;
        }
        let message = if is_error {
            "The model server answered with an error after the stream had begun."
        } else {
            "The model server did not answer with a stream of events, which was asked for."
        };
        let error = ErrorText {
            status: if is_error { held.status } else { 502 },
            message,
            kind: None,
            param: None,
            code: Some("upstream_error"),
        };
        let id = self.asked.request_id.hex();
        let id = std::str::from_utf8(&id).unwrap_or_default();
        dialect::error_event(self.asked.dialect, &error, id, &mut words);
        words
    }

    /// Another connection takes over: it gets a head of its own, and then what it has missed.
    pub fn join(&mut self, joining: Joining, out: &mut Vec<u8>) {
        self.asked.version = joining.version;
        self.asked.is_keep_alive = joining.is_keep_alive;
        self.is_client_reusable = joining.is_keep_alive;
        self.set_frame();
        self.write_own_head(out);
        self.say_first(out);
        if let Some(numbers) = self.numbers_mut() {
            numbers.be_behind(joining.cursor);
        }
    }

    /// Appends the comment that tells a client that it reads on elsewhere, and ends its response.
    pub fn dismiss(&self, out: &mut Vec<u8>) {
        if self.is_split {
            return;
        }
        let start = self.open_chunk(out);
        out.extend_from_slice(b": this stream is read on another connection now\n");
        self.close_chunk(start, out);
        self.close_frame(out);
    }

    /// Nobody is behind any more: the client has left.
    pub fn forget_behind(&mut self) {
        if let Some(numbers) = self.numbers_mut() {
            numbers.be_level();
        }
    }

    /// Whether the client is behind what is kept of its stream.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.numbers().is_some_and(Numbers::is_behind)
    }

    /// Appends at most `bytes_max` of what the client has missed. Once it has caught up, the stream goes on, or ends.
    ///
    /// # Errors
    /// Some of it is not kept any more.
    pub fn catch_up(&mut self, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Missing> {
        let start = self.open_chunk(out);
        let read = self.numbers_mut().map_or(Ok(()), |numbers| numbers.read(bytes_max, out));
        self.close_chunk(start, out);
        read?;
        if self.is_done && !self.is_behind() {
            self.close_frame(out);
        }
        Ok(())
    }
}

impl Response {
    /// Goes on with what went down of an earlier attempt: the stream that the client sees is the same, whoever sends it.
    #[must_use]
    pub fn after(mut self, earlier: &mut Self) -> Self {
        if !earlier.is_open {
            return self;
        }
        self.is_open = true;
        self.frame = earlier.frame;
        self.is_split = earlier.is_split;
        self.has_said_done = earlier.has_said_done;
        self.is_client_reusable = earlier.is_client_reusable;
        self.asked.version = earlier.asked.version;
        self.asked.is_keep_alive = earlier.asked.is_keep_alive;
        self.asked.fields = None;
        self.status = earlier.status;
        self.events = earlier.events;
        self.content_bytes = earlier.content_bytes;
        let translator = self.rare.as_deref_mut().and_then(|rare| rare.translator.take());
        self.rare = earlier.rare.take();
        if let Some(rare) = self.rare.as_deref_mut() {
            rare.translator = None;
            rare.last_words = None;
            rare.spoken = 0;
        }
        if translator.is_some() {
            self.rare().translator = translator;
        }
        self
    }
}
