//! The layout of what a shard counts: the cells of the shard itself, and the cells of one lane.

use crate::record::closed::closed;
use crate::record::fault::Fault;
use crate::record::histogram::Histogram;
use crate::record::status::StatusLabel;

/// How many lanes have counters of their own. A snapshot with more is refused; should a lane with a higher number turn up
/// all the same, it counts as a request without a lane.
pub const LANES_MAX: usize = 1024;

closed! {
    /// One number of a shard. `Gauge` in a comment: goes up and down; everything else only rises.
    pub enum ShardCounter {
        /// Gauge: client connections open.
        ConnectionsOpen => "connections_open",
        /// Client connections accepted by this shard's listener.
        ConnectionsAccepted => "connections_accepted",
        /// Client connections accepted here and given to another shard.
        ConnectionsHandedOver => "connections_handed_over",
        /// Client connections closed at once because a bound was reached.
        ConnectionsRefused => "connections_refused",
        /// Gauge: responses being streamed.
        StreamsOpen => "streams_open",
        /// Gauge: requests between receipt and record.
        RequestsOpen => "requests_open",
        /// Gauge: connections to endpoints that serve a request now.
        PoolInUse => "pool_in_use",
        /// Gauge: connections to endpoints that wait for the next request.
        PoolIdle => "pool_idle",
        /// Connections to endpoints opened.
        PoolOpened => "pool_opened",
        /// Requests sent over a connection that had served one before.
        PoolReused => "pool_reused",
        /// Gauge: bytes of bodies and of responses that wait in chunks of this shard.
        HeldBytes => "held_bytes",
        /// Records that did not fit into the queue to control.
        RecordsDropped => "records_dropped",
        /// Assertions that did not hold and were contained to their connection.
        Bugs => "bugs",
        /// Turns of the shard's loop.
        Turns => "turns",
        /// Times the shard waited on purpose to find more work at the next turn.
        Naps => "naps",
        /// Gauge: number of the snapshot that this shard serves; 0 before the first.
        AdoptedSnapshot => "adopted_snapshot",
        /// Gauge: 1 once this shard has been told to drain and takes no new connections.
        Draining => "draining",
        /// Requests that were not HTTP/1.1 as the standard has it, refused and closed.
        MalformedRequests => "malformed_requests",
    }
}

closed! {
    /// Why a connection to an endpoint was closed by us or found closed.
    pub enum Retirement {
        /// It was older than the pool keeps one.
        Age => "age",
        /// It had waited for a request for too long.
        Idle => "idle",
        /// The pool had enough idle ones.
        Full => "full",
        /// The endpoint had closed it, or sent bytes that nobody asked for, while it was idle.
        Stale => "stale",
        /// Its last response cannot be followed by another (`Connection: close`, a body until close).
        NotReusable => "not_reusable",
        /// A fault or a cancelled request left it in the middle of a message.
        Broken => "broken",
        /// Its endpoint is not in the snapshot any more.
        Removed => "removed",
        /// The gateway is shutting down.
        Draining => "draining",
    }
}

closed! {
    /// One number of a lane, beside its statuses, faults and histograms.
    pub enum LaneCounter {
        /// SSE events relayed.
        Events => "events",
        /// Bytes of request bodies sent to endpoints.
        BytesUp => "bytes_up",
        /// Bytes of response bodies sent to clients.
        BytesDown => "bytes_down",
        /// Requests whose client left before the end.
        Cancelled => "cancelled",
        /// Attempts after the first.
        Repeated => "repeated",
    }
}

closed! {
    /// Which cap of a shard was reached when a request was turned away.
    pub enum Cap {
        /// Requests in flight.
        Requests => "requests",
        /// Memory for bodies, and for responses that wait for their clients.
        HeldBytes => "held_bytes",
    }
}

closed! {
    /// Why a connection that must begin with a header of the PROXY protocol was closed.
    pub enum ProxyTrouble {
        /// It came from nobody who is trusted.
        Untrusted => "untrusted",
        /// Its header was wrong, or there was none.
        Malformed => "malformed",
        /// The header did not come in time.
        TooSlow => "too_slow",
    }
}

const RETIREMENTS_AT: usize = ShardCounter::COUNT;
const CAPS_AT: usize = RETIREMENTS_AT + Retirement::COUNT;
const PROXY_TROUBLES_AT: usize = CAPS_AT + Cap::COUNT;

/// How many cells a shard has.
pub const SHARD_CELLS: usize = PROXY_TROUBLES_AT + ProxyTrouble::COUNT;

/// A place among a shard's cells; always below [`SHARD_CELLS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardCell(usize);

impl ShardCell {
    /// The place as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

impl From<ShardCounter> for ShardCell {
    fn from(counter: ShardCounter) -> Self {
        Self(counter.index())
    }
}

impl From<Retirement> for ShardCell {
    fn from(reason: Retirement) -> Self {
        Self(RETIREMENTS_AT + reason.index())
    }
}

impl From<Cap> for ShardCell {
    fn from(cap: Cap) -> Self {
        Self(CAPS_AT + cap.index())
    }
}

impl From<ProxyTrouble> for ShardCell {
    fn from(trouble: ProxyTrouble) -> Self {
        Self(PROXY_TROUBLES_AT + trouble.index())
    }
}

const STATUSES_AT: usize = LaneCounter::COUNT;
const FAULTS_AT: usize = STATUSES_AT + StatusLabel::COUNT;
const HISTOGRAMS_AT: usize = FAULTS_AT + Fault::COUNT;

/// Where the cells of a histogram start, and (for the number of histograms) where they all end.
const fn histogram_at(place: usize) -> usize {
    let mut at = HISTOGRAMS_AT;
    let mut before = 0;
    while before < place {
        at += Histogram::ALL[before].cells();
        before += 1;
    }
    at
}

/// The starts, computed once.
const HISTOGRAM_STARTS: [usize; Histogram::COUNT] = {
    let mut starts = [0; Histogram::COUNT];
    let mut place = 0;
    while place < starts.len() {
        starts[place] = histogram_at(place);
        place += 1;
    }
    starts
};

/// How many cells a lane has.
pub const LANE_CELLS: usize = histogram_at(Histogram::COUNT);

/// A place among a lane's cells; always below [`LANE_CELLS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneCell(usize);

impl LaneCell {
    /// The place as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }

    /// Every cell, in the order of `index()`.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..LANE_CELLS).map(Self)
    }

    /// The cell of bucket `bucket`; a number past the last bucket means the last.
    #[must_use]
    pub fn bucket(histogram: Histogram, bucket: usize) -> Self {
        Self(HISTOGRAM_STARTS[histogram.index()] + bucket.min(histogram.bounds().len()))
    }

    /// The cell of a histogram's sum, in nanoseconds.
    #[must_use]
    pub const fn sum(histogram: Histogram) -> Self {
        Self(HISTOGRAM_STARTS[histogram.index()] + histogram.cells() - 1)
    }
}

impl From<LaneCounter> for LaneCell {
    fn from(counter: LaneCounter) -> Self {
        Self(counter.index())
    }
}

impl From<StatusLabel> for LaneCell {
    fn from(status: StatusLabel) -> Self {
        Self(STATUSES_AT + status.index())
    }
}

impl From<Fault> for LaneCell {
    fn from(fault: Fault) -> Self {
        Self(FAULTS_AT + fault.index())
    }
}

/// The cells of one lane, as the one who counts sees them.
pub trait Row {
    /// Adds `n` to a cell.
    fn add(&self, cell: LaneCell, n: u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lane_cells_are_distinct_and_fill_the_row() {
        let mut cells: Vec<usize> =
            LaneCounter::ALL.iter().map(|&counter| LaneCell::from(counter).index()).collect();
        cells.extend(StatusLabel::all().map(|status| LaneCell::from(status).index()));
        cells.extend(Fault::ALL.iter().map(|&fault| LaneCell::from(fault).index()));
        for &histogram in Histogram::ALL {
            let buckets = 0..=histogram.bounds().len();
            cells.extend(buckets.map(|bucket| LaneCell::bucket(histogram, bucket).index()));
            cells.push(LaneCell::sum(histogram).index());
        }
        assert_eq!(cells, (0..LANE_CELLS).collect::<Vec<_>>());
    }

    #[test]
    fn shard_cells_are_distinct_and_fill_the_page() {
        let counters = ShardCounter::ALL.iter().map(|&counter| ShardCell::from(counter));
        let reasons = Retirement::ALL.iter().map(|&reason| ShardCell::from(reason));
        let caps = Cap::ALL.iter().map(|&cap| ShardCell::from(cap));
        let troubles = ProxyTrouble::ALL.iter().map(|&trouble| ShardCell::from(trouble));
        let all = counters.chain(reasons).chain(caps).chain(troubles);
        let cells: Vec<_> = all.map(ShardCell::index).collect();
        assert_eq!(cells, (0..SHARD_CELLS).collect::<Vec<_>>());
    }
}
