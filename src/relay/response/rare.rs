//! What few responses want: their numbers and their replay, the way they are continued, what the embedder's steps see.

use std::rc::Rc;
use std::time::Duration;

use super::Response;
use crate::llm::continuation::Seam;
use crate::llm::continuation::Transcript;
use crate::llm::stream::translate::Translator;
use crate::relay::replay;
use crate::relay::replay::Cursor;
use crate::relay::replay::End;
use crate::relay::replay::EventId;
use crate::relay::replay::Missing;
use crate::relay::replay::Place;
use crate::relay::replay::Shelf;
use crate::relay::replay::StreamId;
use crate::relay::throttle::Throttle;
use crate::units::Millis;
use crate::units::Moment;
use crate::wire::sse::Scan;
use crate::wire::sse::origin::Origin;
use crate::wire::sse::origin::with_id;
use crate::wire::sse::origin::without_event;

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

    pub(super) fn push(&mut self, event: &[u8]) {
        self.bytes.extend_from_slice(event);
        self.ends.push(self.bytes.len());
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// How an answer is translated.
pub(super) struct Translated {
    pub(super) translator: Translator,
    /// Whether into a stream.
    pub(super) is_stream: bool,
}

/// What few responses want.
#[derive(Default)]
pub(super) struct Rare {
    /// Where the time went, for the head.
    pub(super) timing: Option<(Duration, Duration)>,
    /// Events that went down and were not taken yet, where they are wanted.
    pub(super) seen: Option<Seen>,
    /// After how long a client that lost its connection is to come back: said once, at the start of a stream.
    pub(super) reconnect: Option<Millis>,
    /// How a stream's events are numbered and kept.
    pub(super) numbers: Option<Numbers>,
    /// How fast events may go down.
    pub(super) throttle: Option<Throttle>,
    /// What the endpoint says becomes what the client understands.
    pub(super) translator: Option<Translated>,
    /// What was said so far, so that another endpoint can go on from there.
    pub(super) transcript: Option<Transcript>,
    /// Makes the events of another endpoint those of the first one's stream.
    pub(super) seam: Option<Seam>,
    /// Where the endpoint's own stream is, so that it can be resumed there.
    pub(super) origin: Option<Origin>,
    /// The event that ends a stream that failed, where there is a better one than the gateway's own.
    pub(super) last_words: Option<Vec<u8>>,
    /// The status of the error which that event tells.
    pub(super) spoken: u16,
    /// Room for an event that is rewritten.
    pub(super) room: Vec<u8>,
}

impl Rare {
    /// Everybody looks at a whole event, and it goes down.
    pub(super) fn see(&mut self, event: &[u8], scan: &Scan, out: &mut Vec<u8>) {
        if let Some(transcript) = &mut self.transcript {
            transcript.note(event);
        }
        if let Some(origin) = &mut self.origin {
            origin.feed_event(event);
        }
        let start = out.len();
        match &mut self.numbers {
            Some(numbers) => numbers.write(event, scan.events > 0, out),
            None => out.extend_from_slice(event),
        }
        if let Some(seen) = &mut self.seen {
            seen.push(out.get(start..).unwrap_or_default());
        }
    }

    /// Whether events must be whole before anything is made of them.
    pub(super) const fn wants_events(&self) -> bool {
        self.seen.is_some()
            || self.numbers.is_some()
            || self.transcript.is_some()
            || self.seam.is_some()
            || self.origin.is_some()
    }
}

/// How the events of a stream are numbered and kept, so that a client that lost its connection gets what it missed.
pub struct Numbers {
    shelf: Rc<Shelf>,
    id: StreamId,
    owner: u64,
    rule: replay::Rule,
    /// Where its events are kept; none before the first of them, or where there is no room.
    place: Option<Place>,
    /// How far the client is behind what is kept; none: it is not.
    cursor: Option<Cursor>,
    now: Moment,
    is_ended: bool,
}

impl Numbers {
    /// The numbers of a stream that has not begun.
    #[must_use]
    pub const fn new(shelf: Rc<Shelf>, id: StreamId, owner: u64, rule: replay::Rule) -> Self {
        let now = Moment::from_nanos(0);
        Self { shelf, id, owner, rule, place: None, cursor: None, now, is_ended: false }
    }

    /// The numbers of a stream that has ended and is kept at `place`.
    #[must_use]
    pub(super) fn ended(shelf: Rc<Shelf>, id: StreamId, place: Place) -> Self {
        // It is not opened: no rule counts.
        let (window, age) = (Duration::ZERO, Duration::ZERO);
        let rule = replay::Rule { window, bytes_max: 0, events_max: 0, age };
        let mut numbers = Self::new(shelf, id, 0, rule);
        numbers.place = Some(place);
        numbers.is_ended = true;
        numbers
    }

    /// The stream's name.
    #[must_use]
    pub const fn id(&self) -> StreamId {
        self.id
    }

    /// Whether its events are kept.
    pub(super) const fn is_kept(&self) -> bool {
        self.place.is_some()
    }

    /// The stream begins.
    pub(super) fn open(&mut self) {
        if self.place.is_none() {
            self.place = self.shelf.open(self.id, self.owner, self.rule, self.now);
        }
    }

    /// Appends an event with its number, and keeps it.
    pub(super) fn write(&mut self, event: &[u8], is_event: bool, out: &mut Vec<u8>) {
        let Some(place) = self.place else { return out.extend_from_slice(event) };
        let start = out.len();
        if is_event {
            let id = EventId { stream: self.id, seq: self.shelf.next_seq(place) };
            with_id(event, id.text(&mut [0; EventId::TEXT_BYTES_MAX]), out);
        } else {
            // Its id would be one that nobody can come back with.
            without_event(event, out);
        }
        self.shelf.append(place, out.get(start..).unwrap_or_default());
        if is_event {
            self.shelf.end_event(place, self.now);
        }
    }

    /// The client is so far behind.
    pub(super) const fn be_behind(&mut self, cursor: Cursor) {
        self.cursor = Some(cursor);
    }

    /// The client is not behind.
    pub(super) const fn be_level(&mut self) {
        self.cursor = None;
    }

    pub(super) const fn is_behind(&self) -> bool {
        self.cursor.is_some()
    }

    /// Appends at most `bytes_max` of what the client has missed.
    pub(super) fn read(&mut self, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Missing> {
        let (Some(place), Some(cursor)) = (self.place, self.cursor.as_mut()) else { return Ok(()) };
        if self.shelf.read(place, cursor, bytes_max, out)? {
            self.cursor = None;
        }
        Ok(())
    }

    /// Keeps what goes down beside the events.
    fn keep(&self, bytes: &[u8]) {
        if let Some(place) = self.place {
            self.shelf.append(place, bytes);
        }
    }

    /// No more will come.
    fn end(&mut self, end: End) {
        if let Some(place) = self.place
            && !std::mem::replace(&mut self.is_ended, true)
        {
            self.shelf.finish(place, end, self.now);
        }
    }
}

impl Drop for Numbers {
    /// A stream that nobody ended was given up: nobody can come back to it.
    fn drop(&mut self) {
        if let Some(place) = self.place.filter(|_| !self.is_ended) {
            self.shelf.remove(place);
        }
    }
}

impl Response {
    /// Room for what few responses want.
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Has events numbered and kept, if it becomes a stream.
    pub fn number(&mut self, numbers: Numbers) {
        self.rare().numbers = Some(numbers);
    }

    /// Has a client that lost its connection come back after so long.
    pub fn say_reconnect(&mut self, after: Millis) {
        self.rare().reconnect = Some(after);
    }

    /// Has what the endpoint says translated, into a stream or not.
    pub fn translate(&mut self, translator: Translator, is_stream: bool) {
        self.rare().translator = Some(Translated { translator, is_stream });
    }

    /// The time as of now, for those who keep what goes down.
    pub fn note_time(&mut self, now: Moment) {
        if let Some(numbers) = self.numbers_mut() {
            numbers.now = now;
        }
    }

    pub(super) fn numbers(&self) -> Option<&Numbers> {
        self.rare.as_deref()?.numbers.as_ref()
    }

    pub(super) fn numbers_mut(&mut self) -> Option<&mut Numbers> {
        self.rare.as_deref_mut()?.numbers.as_mut()
    }

    /// Has what was said so far noted, so that another endpoint can go on from there.
    pub fn transcribe(&mut self, transcript: Transcript) {
        self.rare().transcript = Some(transcript);
    }

    /// What was said so far, if somebody can go on from there.
    #[must_use]
    pub fn transcript(&self) -> Option<&Transcript> {
        self.rare.as_deref()?.transcript.as_ref()
    }

    /// The events to come are another endpoint's, which goes on from what the transcript has.
    pub fn sew(&mut self) {
        if let Some(rare) = self.rare.as_deref_mut() {
            rare.seam = rare.transcript.as_ref().map(Seam::new);
        }
    }

    /// Has the endpoint's own event ids noted, so that the stream can be resumed there.
    pub fn note_origin(&mut self) {
        self.rare().origin = Some(Origin::default());
    }

    /// Where the endpoint's own stream is.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.rare.as_deref()?.origin.as_ref()
    }

    /// Whether the stream can go on at another connection although something of its content went down.
    #[must_use]
    pub fn may_continue(&self) -> bool {
        let Some(rare) = self.rare.as_deref() else { return false };
        !self.is_done && !self.is_split && (rare.transcript.is_some() || rare.origin.is_some())
    }

    /// The stream whose events are kept: its client may come back.
    #[must_use]
    pub fn kept(&self) -> Option<StreamId> {
        let numbers = self.numbers().filter(|numbers| numbers.is_kept() && !numbers.is_ended)?;
        Some(numbers.id)
    }

    /// Keeps what goes down beside the events.
    pub(super) fn log(&self, bytes: &[u8]) {
        if let Some(numbers) = self.numbers() {
            numbers.keep(bytes);
        }
    }

    /// No more will be kept.
    pub(super) fn end_log(&mut self, end: End) {
        if let Some(numbers) = self.numbers_mut() {
            numbers.end(end);
        }
    }
}
