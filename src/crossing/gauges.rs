//! A page of counters for each shard: one writer (the shard), any number of readers, no waiting.
//!
//! Invariant: only the shard that owns a page writes to it. Adding is a relaxed load and a relaxed store, which is exact
//! with one writer and costs what an ordinary variable costs.
#![expect(unsafe_code, reason = "the lanes' part is zeroed memory, page by page on first use")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::crossing::lines::Lines;
use crate::crossing::lines::Zeroable;
use crate::record::Record;
use crate::record::counters::LANE_CELLS;
use crate::record::counters::LANES_MAX;
use crate::record::counters::LaneCell;
use crate::record::counters::Row;
use crate::record::counters::SHARD_CELLS;
use crate::record::counters::ShardCell;
use crate::units::LaneId;

/// Row of requests that were refused before a model was known.
const NO_LANE: usize = 0;

/// Cells next to each other.
#[repr(transparent)]
struct Cells<const N: usize>([AtomicU64; N]);

/// Cells that share no cache line with anything else. 128 bytes, because processors fetch lines in pairs.
#[repr(align(128))]
struct Apart<T>(T);

// SAFETY: it is an array of atomic integers.
unsafe impl<const N: usize> Zeroable for Cells<N> {}

impl<const N: usize> Cells<N> {
    fn add(&self, cell: usize, n: u64) {
        let cell = &self.0[cell];
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }
}

impl Row for Cells<LANE_CELLS> {
    #[inline]
    fn add(&self, cell: LaneCell, n: u64) {
        self.add(cell.index(), n);
    }
}

/// A page as its shard and its readers hold it.
pub type SharedPage = Arc<Page>;

/// The counters of one shard.
pub struct Page {
    shard: Box<Apart<Cells<SHARD_CELLS>>>,
    /// Row 0 is the row without a lane, row n + 1 that of lane n. About 1 MB of address space, of which only the rows
    /// of lanes in use become memory. It is mapped by itself, so no other shard's page shares a line with it.
    lanes: Lines<Cells<LANE_CELLS>>,
}

impl Page {
    /// A page of zeroes, to be shared with the readers.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let shard = Box::new(Apart(Cells(std::array::from_fn(|_| AtomicU64::new(0)))));
        Arc::new(Self { shard, lanes: Lines::new(LANES_MAX + 1) })
    }

    /// Adds to one of the shard's own cells. Only the page's shard may call this.
    #[inline]
    pub fn add(&self, cell: impl Into<ShardCell>, n: u64) {
        self.shard.0.add(cell.into().index(), n);
    }

    /// Takes from one of the shard's own cells (a gauge). Only the page's shard may call this.
    #[inline]
    pub fn sub(&self, cell: impl Into<ShardCell>, n: u64) {
        self.shard.0.add(cell.into().index(), n.wrapping_neg());
    }

    /// Sets one of the shard's own cells (a gauge). Only the page's shard may call this.
    #[inline]
    pub fn set(&self, cell: impl Into<ShardCell>, value: u64) {
        self.shard.0.0[cell.into().index()].store(value, Ordering::Relaxed);
    }

    /// Counts a record in its lane's row, and by the reason why it was refused. Only the page's shard may call this.
    #[inline]
    pub fn apply(&self, record: &Record) {
        if let Some(reason) = record.refusal {
            self.add(reason, 1);
        }
        crate::record::apply(record, self.row(record.lane));
    }

    /// Adds to one cell of a lane while its request is under way. Only the page's shard may call this.
    #[inline]
    pub fn add_lane(&self, lane: Option<LaneId>, cell: impl Into<LaneCell>, n: u64) {
        Row::add(self.row(lane), cell.into(), n);
    }

    /// The lane is another one's from now on: its counts begin anew. Only while the page's shard has no snapshot with the old one,
    /// and before it has one with the new one.
    pub fn hand_over(&self, lane: LaneId) {
        self.row(Some(lane)).0.iter().for_each(|cell| cell.store(0, Ordering::Relaxed));
    }

    /// One of the shard's own cells as it is now.
    #[must_use]
    pub fn load(&self, cell: impl Into<ShardCell>) -> u64 {
        self.shard.0.0[cell.into().index()].load(Ordering::Relaxed)
    }

    /// One of the cells of a lane as it is now; `None` is the row of requests without a lane.
    #[must_use]
    pub fn load_lane(&self, lane: Option<LaneId>, cell: impl Into<LaneCell>) -> u64 {
        self.row(lane).0[cell.into().index()].load(Ordering::Relaxed)
    }

    fn row(&self, lane: Option<LaneId>) -> &Cells<LANE_CELLS> {
        let place = lane.map_or(NO_LANE, |lane| lane.index() + 1);
        self.lanes.at(if place <= LANES_MAX { place } else { NO_LANE })
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Page").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Fault;
    use crate::record::counters::LaneCounter;
    use crate::record::counters::Retirement;
    use crate::record::counters::ShardCounter;
    use crate::record::status::StatusLabel;

    #[test]
    fn a_shard_counts_up_and_down() {
        let page = Page::new();
        page.add(ShardCounter::ConnectionsOpen, 3);
        page.sub(ShardCounter::ConnectionsOpen, 1);
        page.add(Retirement::Stale, 1);
        page.set(ShardCounter::AdoptedSnapshot, 7);
        assert_eq!(page.load(ShardCounter::ConnectionsOpen), 2);
        assert_eq!(page.load(Retirement::Stale), 1);
        assert_eq!(page.load(Retirement::Age), 0);
        assert_eq!(page.load(ShardCounter::AdoptedSnapshot), 7);
    }

    #[test]
    fn lanes_are_apart() {
        let page = Page::new();
        let first = Some(LaneId(0));
        let last = Some(LaneId(1023));
        page.apply(&Record { lane: first, status: 200, events: 5, ..Record::default() });
        let fault = Some(Fault::UpstreamReset);
        page.apply(&Record { lane: last, status: 502, fault, ..Record::default() });
        page.apply(&Record { lane: None, status: 404, ..Record::default() });
        assert_eq!(page.load_lane(first, StatusLabel::of(200)), 1);
        assert_eq!(page.load_lane(first, LaneCounter::Events), 5);
        assert_eq!(page.load_lane(last, StatusLabel::of(200)), 0);
        assert_eq!(page.load_lane(last, Fault::UpstreamReset), 1);
        assert_eq!(page.load_lane(None, StatusLabel::of(404)), 1);
        assert_eq!(page.load_lane(None, StatusLabel::of(200)), 0);
    }

    #[test]
    fn a_lane_past_the_last_counts_without_a_lane() {
        let page = Page::new();
        let beyond = u32::try_from(LANES_MAX).expect("small");
        page.add_lane(Some(LaneId(beyond)), LaneCounter::Events, 2);
        page.add_lane(Some(LaneId(u32::MAX)), LaneCounter::Events, 2);
        assert_eq!(page.load_lane(None, LaneCounter::Events), 4);
    }

    #[test]
    fn a_reader_on_another_thread_sees_the_counts_rise() {
        let page = Page::new();
        let writer = Arc::clone(&page);
        let counting = std::thread::spawn(move || {
            for _ in 0..100_000 {
                writer.add(ShardCounter::Turns, 1);
            }
        });
        let mut seen = 0;
        while seen < 100_000 {
            let now = page.load(ShardCounter::Turns);
            assert!(now >= seen);
            seen = now;
        }
        counting.join().expect("the writer ends");
        assert_eq!(seen, 100_000);
    }
}
