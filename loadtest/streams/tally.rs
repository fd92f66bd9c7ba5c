//! What clients that leave and come back saw, added up over the threads.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::measure::tally;
use crate::streams::reader::Place;

/// Counts of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// Streams begun.
    pub streams: u64,
    /// Streams of which every event came once, in order, as it was sent.
    pub whole: u64,
    /// Streams left for good.
    pub left: u64,
    /// Streams of which the rest was not kept any more when their client came back, as they were told.
    pub gone: u64,
    /// Streams that were still under way when the run ended.
    pub unfinished: u64,
    /// Streams with something wrong.
    pub failed: u64,
    /// Events that came and were verified.
    pub events: u64,
    /// Events that never came.
    pub lost: u64,
    /// Events that came again.
    pub repeated: u64,
    /// Events with other bytes than were sent.
    pub changed: u64,
    /// Events of another stream.
    pub foreign: u64,
    /// Events with a wrong id, or without one.
    pub misnumbered: u64,
    /// Connections cut by their clients.
    pub cuts: u64,
    /// Of them, before the stream's name was known: nobody can come back to those.
    pub unnamed: u64,
    /// Times that a client came back and read on.
    pub resumed: u64,
    /// Times that a client came back that had it all, and was told so.
    pub nothing_more: u64,
    /// Connections that were left open, and were closed in order when another one read on.
    pub dismissed: u64,
    /// Heartbeats.
    pub beats: u64,
    /// Heartbeats that came too early by more than a hundredth of a second.
    pub beats_early: u64,
    /// Heartbeats that had not come a second after they were due, when something else came.
    pub beats_missed: u64,
    /// Connections made.
    pub connections: u64,
    /// Streams being read when the run ended.
    pub open: u64,
}

/// Everything that one thread saw.
#[derive(Debug)]
pub struct Tally {
    /// Counts.
    pub counts: Counts,
    /// Where connections were cut.
    pub places: BTreeMap<Place, u64>,
    /// How clients left, and how they came back.
    pub ways: BTreeMap<&'static str, u64>,
    /// What went wrong, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Nanoseconds from asking for a stream to its first event.
    pub first: Histogram<u64>,
    /// Nanoseconds from coming back to the head of the response.
    pub back: Histogram<u64>,
    /// Nanoseconds from the writing of an event by the mock to its arrival, on connections that have missed nothing.
    pub relay: Histogram<u64>,
    /// Nanoseconds from when a heartbeat was due until it came.
    pub late: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            places: BTreeMap::new(),
            ways: BTreeMap::new(),
            errors: BTreeMap::new(),
            first: tally::histogram(),
            back: tally::histogram(),
            relay: tally::histogram(),
            late: tally::histogram(),
        }
    }
}

impl Tally {
    /// Notes a failure of a kind.
    pub fn fail(&mut self, kind: impl Into<String>) {
        *self.errors.entry(kind.into()).or_default() += 1;
    }

    /// Notes how a client left or came back.
    pub fn note_way(&mut self, way: &'static str) {
        *self.ways.entry(way).or_default() += 1;
    }

    /// Adds what another thread saw.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.first, &other.first),
            (&mut self.back, &other.back),
            (&mut self.relay, &other.relay),
            (&mut self.late, &other.late),
        ] {
            // Histograms that grow take any other.
            let _infallible = mine.add(theirs);
        }
        self.counts.add(&other.counts);
        for (place, count) in &other.places {
            *self.places.entry(*place).or_default() += count;
        }
        for (way, count) in &other.ways {
            *self.ways.entry(way).or_default() += count;
        }
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.streams, other.streams),
            (&mut self.whole, other.whole),
            (&mut self.left, other.left),
            (&mut self.gone, other.gone),
            (&mut self.unfinished, other.unfinished),
            (&mut self.failed, other.failed),
            (&mut self.events, other.events),
            (&mut self.lost, other.lost),
            (&mut self.repeated, other.repeated),
            (&mut self.changed, other.changed),
            (&mut self.foreign, other.foreign),
            (&mut self.misnumbered, other.misnumbered),
            (&mut self.cuts, other.cuts),
            (&mut self.unnamed, other.unnamed),
            (&mut self.resumed, other.resumed),
            (&mut self.nothing_more, other.nothing_more),
            (&mut self.dismissed, other.dismissed),
            (&mut self.beats, other.beats),
            (&mut self.beats_early, other.beats_early),
            (&mut self.beats_missed, other.beats_missed),
            (&mut self.connections, other.connections),
            (&mut self.open, other.open),
        ] {
            *mine += theirs;
        }
    }

    /// Events that were not as they must be.
    #[must_use]
    pub const fn wrong(&self) -> u64 {
        self.lost + self.repeated + self.changed + self.foreign + self.misnumbered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn threads_add_up() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        other.counts.lost = 2;
        other.counts.open = 3;
        other.fail("x");
        other.note_way("get");
        other.places.insert(Place::IdLine, 4);
        tally::record(&mut other.late, Duration::from_millis(3));
        one.add(&other);
        one.add(&other);
        assert_eq!((one.counts.wrong(), one.counts.open, one.errors["x"]), (4, 6, 2));
        assert_eq!((one.ways["get"], one.places[&Place::IdLine], one.late.len()), (2, 8, 2));
    }
}
