//! What is kept of streams whose clients may come back: the last events of each, in memory that all streams of a shard share.

mod blocks;
mod id;
mod ring;
mod shelf;

use std::time::Duration;

pub use self::id::EventId;
pub use self::id::StreamId;
pub use self::shelf::Shelf;

/// How a stream is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// How long one that has ended is kept.
    pub window: Duration,
    /// Bytes that are kept of it, at most.
    pub bytes_max: u32,
    /// Events that are kept of it, at most.
    pub events_max: u32,
    /// How long an event is kept.
    pub age: Duration,
}

/// Where a stream is kept. One that is no longer kept has no place: nothing is found there, least of all another stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    index: u32,
    generation: u32,
}

/// How far somebody has read a stream: so many bytes of it since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor(u64);

/// Why a stream cannot be read on from somewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// What follows is not kept any more.
    Forgotten,
    /// It has not got so far.
    Future,
}

/// How a stream has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// With its whole answer.
    Done,
    /// Before that: its last bytes say why.
    Broken,
}

/// A stream that is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// Where.
    pub place: Place,
    /// Whose it is.
    pub owner: u64,
    /// How it has ended, if it has.
    pub is_finished: Option<End>,
}

/// How a shelf stands.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Memory in use, in bytes; never more than the budget.
    pub bytes: usize,
    /// Streams that are kept, those included that have ended.
    pub streams: usize,
    /// Events that have given way to others because the memory of all was used up.
    pub gave_way_events: u64,
    /// Streams of which an event has.
    pub gave_way_streams: u64,
}
