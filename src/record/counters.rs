//! The layout of what a shard counts: the cells of the shard itself, and the cells of one lane.

use crate::record::Chosen;
use crate::record::ShadowResult;
use crate::record::closed::closed;
use crate::record::fault::Fault;
use crate::record::histogram::Histogram;
use crate::record::refusal::Reason;
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
        /// Gauge: requests that wait for their turn at a limit.
        QueueWaiting => "queue_waiting",
        /// Gauge: requests that wait because every endpoint has as many in flight as it may.
        EndpointQueueWaiting => "endpoint_queue_waiting",
        /// Gauge: connections to endpoints that serve a request now.
        PoolInUse => "pool_in_use",
        /// Gauge: connections to endpoints that wait for the next request.
        PoolIdle => "pool_idle",
        /// Gauge: requests that wait for a connection, because their endpoint has as many as it may.
        PoolWaiting => "pool_waiting",
        /// Connections to endpoints opened.
        PoolOpened => "pool_opened",
        /// Requests sent over a connection that had served one before.
        PoolReused => "pool_reused",
        /// Connections to endpoints that a request held for too long without a byte moving.
        PoolLeaks => "pool_leaks",
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
        /// Gauge: when it was adopted, in nanoseconds of the clock; 0 before the first.
        AdoptedAt => "adopted_at",
        /// Gauge: 1 once this shard has been told to drain and takes no new connections.
        Draining => "draining",
        /// Requests that were not HTTP/1.1 as the standard has it, refused and closed.
        MalformedRequests => "malformed_requests",
        /// Gauge: bytes of streams that are kept for clients that may come back.
        ReplayBytes => "replay_bytes",
        /// Gauge: how many bytes of streams may be kept.
        ReplayBudget => "replay_budget",
        /// Gauge: streams that are kept for clients that may come back.
        ReplayStreams => "replay_streams",
        /// Streams whose events gave way to others because the shard keeps only so many bytes.
        ReplayGaveWay => "replay_gave_way",
        /// Gauge: streams that go on without a client.
        StreamsAway => "streams_away",
        /// Heartbeats sent.
        Heartbeats => "heartbeats",
        /// Times a stream was held back because it was faster than its tenant's may be.
        Throttled => "throttled",
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
        /// Attempts that the model's policy allowed after one that failed.
        Retries => "retries",
        /// Requests that another model of this one's fallback chain was asked for.
        FellBack => "fell_back",
        /// Requests that were too long for this model, so that the one with more room was asked.
        ContextFallbacks => "context_fallbacks",
        /// Requests whose tokens we have estimated.
        Estimated => "estimated",
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
    /// Why a request that had failed was not sent again, in the words of the balance.
    pub enum RetryDenied {
        /// What went wrong is not on the model's list.
        NotRepeatable => "not_repeatable",
        /// It was tried as often as the model allows.
        AttemptsUsed => "attempts_used",
        /// There was no time left to wait for another attempt.
        NoTime => "no_time",
        /// Too many requests were being repeated already.
        NoBudget => "no_budget",
    }
}

closed! {
    /// What came of asking a second endpoint because the first was slow to answer.
    pub enum HedgeResult {
        /// The second answered first.
        Won => "won",
        /// The first answered first after all.
        Lost => "lost",
        /// The second was not asked: too many requests were asked twice already, or nobody else was there.
        Denied => "denied",
    }
}

closed! {
    /// What came of waiting for a place at an endpoint.
    pub enum QueueResult {
        /// It had its turn.
        Served => "served",
        /// As many waited as may.
        Full => "full",
        /// It waited as long as it may.
        TimedOut => "timed_out",
        /// Its client left.
        Gone => "gone",
    }
}

closed! {
    /// What came of a client's coming back for the rest of a stream.
    pub enum Resumed {
        /// It was still going on.
        Live => "live",
        /// It had ended, and all of it was there.
        Finished => "finished",
        /// What it had missed was not kept any more: 410.
        Gone => "gone",
        /// There is no such stream, or not of this tenant: 404.
        Unknown => "unknown",
        /// A client read it already, and was closed for the one that came later.
        Displaced => "displaced",
    }
}

closed! {
    /// What came of a stream that broke off behind the first of its content, where it may be continued.
    pub enum Continued {
        /// Another endpoint has gone on.
        ElsewhereOk => "elsewhere",
        /// The same upstream has gone on where it was told that the stream had ended.
        ReconnectedOk => "reconnected",
        /// It could not be continued: the client was told.
        Refused => "refused",
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
const RETRIES_DENIED_AT: usize = PROXY_TROUBLES_AT + ProxyTrouble::COUNT;
const HEDGES_AT: usize = RETRIES_DENIED_AT + RetryDenied::COUNT;
const QUEUE_RESULTS_AT: usize = HEDGES_AT + HedgeResult::COUNT;
const RESUMED_AT: usize = QUEUE_RESULTS_AT + QueueResult::COUNT;
const CONTINUED_AT: usize = RESUMED_AT + Resumed::COUNT;
const SHADOWS_AT: usize = CONTINUED_AT + Continued::COUNT;
const REFUSALS_AT: usize = SHADOWS_AT + ShadowResult::COUNT;

/// How many cells a shard has.
pub const SHARD_CELLS: usize = REFUSALS_AT + Reason::COUNT;

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

impl From<RetryDenied> for ShardCell {
    fn from(why: RetryDenied) -> Self {
        Self(RETRIES_DENIED_AT + why.index())
    }
}

impl From<HedgeResult> for ShardCell {
    fn from(result: HedgeResult) -> Self {
        Self(HEDGES_AT + result.index())
    }
}

impl From<QueueResult> for ShardCell {
    fn from(result: QueueResult) -> Self {
        Self(QUEUE_RESULTS_AT + result.index())
    }
}

impl From<Resumed> for ShardCell {
    fn from(result: Resumed) -> Self {
        Self(RESUMED_AT + result.index())
    }
}

impl From<Continued> for ShardCell {
    fn from(how: Continued) -> Self {
        Self(CONTINUED_AT + how.index())
    }
}

impl From<ShadowResult> for ShardCell {
    fn from(result: ShadowResult) -> Self {
        Self(SHADOWS_AT + result.index())
    }
}

impl From<Reason> for ShardCell {
    fn from(reason: Reason) -> Self {
        Self(REFUSALS_AT + reason.index())
    }
}

const STATUSES_AT: usize = LaneCounter::COUNT;
const FAULTS_AT: usize = STATUSES_AT + StatusLabel::COUNT;
const CHOSEN_AT: usize = FAULTS_AT + Fault::COUNT;
const HISTOGRAMS_AT: usize = CHOSEN_AT + Chosen::COUNT;

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

    /// The cell of a histogram's sum, in nanoseconds or tokens.
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

impl From<Chosen> for LaneCell {
    fn from(why: Chosen) -> Self {
        Self(CHOSEN_AT + why.index())
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
        cells.extend(Chosen::ALL.iter().map(|&why| LaneCell::from(why).index()));
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
        let denied = RetryDenied::ALL.iter().map(|&why| ShardCell::from(why));
        let hedges = HedgeResult::ALL.iter().map(|&result| ShardCell::from(result));
        let queued = QueueResult::ALL.iter().map(|&result| ShardCell::from(result));
        let resumed = Resumed::ALL.iter().map(|&result| ShardCell::from(result));
        let continued = Continued::ALL.iter().map(|&how| ShardCell::from(how));
        let shadows = ShadowResult::ALL.iter().map(|&result| ShardCell::from(result));
        let refusals = Reason::all().map(ShardCell::from);
        let all = counters.chain(reasons).chain(caps).chain(troubles);
        let all = all.chain(denied).chain(hedges).chain(queued);
        let all = all.chain(resumed).chain(continued).chain(shadows).chain(refusals);
        let cells: Vec<_> = all.map(ShardCell::index).collect();
        assert_eq!(cells, (0..SHARD_CELLS).collect::<Vec<_>>());
    }
}
