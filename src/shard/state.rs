//! What a shard may change: one door, a closure that cannot wait.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::hash::Hasher;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::Waker;

use crate::admission::Memory;
use crate::admission::queue::Queue;
use crate::admission::queue::Ticket;
use crate::balance::budget::Budget;
use crate::balance::choose::Turn;
use crate::balance::choose::View;
use crate::balance::load::PeakEwma;
use crate::balance::locality::Order;
use crate::record::RequestId;
use crate::relay::replay::StreamId;
use crate::shard::World;
use crate::shard::resume::Berth;
use crate::shard::shadow::Copies;
use crate::snapshot::Snapshot;
use crate::units::LaneId;
use crate::units::Moment;
use crate::units::SlotId;
use crate::upstream::Link;
use crate::upstream::pool::Pool;
use crate::upstream::pool::Retired;
use crate::upstream::sessions::Sessions;

/// The door to a shard's own state.
pub(super) struct State(RefCell<Own>);

/// What only this shard has.
pub(super) struct Own {
    /// The world for requests that begin now.
    pub(super) world: Option<Rc<World>>,
    /// Idle connections to endpoints.
    pub(super) pool: Pool<Link>,
    /// How TLS is spoken to endpoints.
    pub(super) sessions: Sessions,
    /// Whose turn it is at each upstream, by the slot of its first endpoint: that is its own, and stays so from world to world.
    turns: Vec<Turn>,
    /// Client connections, by place.
    pub(super) connections: Vec<Place>,
    /// Places that are free.
    pub(super) free: Vec<usize>,
    /// Tokens that were verified, and the embedder's steps.
    pub(super) memory: Memory,
    /// Calls of the embedder's steps that have panicked.
    pub(super) step_panics: u64,
    /// When subjects that no longer ask are forgotten next.
    pub(super) forget_at: Moment,
    /// Who waits for a limit.
    pub(super) queue: Queue,
    /// How those are woken whose turn it is not yet.
    pub(super) waiting: HashMap<Ticket, Waker>,
    /// How often a place at an endpoint was given back while somebody waited.
    pub(super) given_back: u64,
    /// Where connections that come back to a stream are expected, by stream.
    pub(super) berths: HashMap<StreamId, Rc<Berth>>,
    /// Copies of requests that are under way.
    pub(super) copies: Copies,
    /// Room for what is known of endpoints while one is chosen.
    pub(super) views: Vec<View>,
    /// In which order tiers are asked at each upstream that has some, as with `turns`.
    nearness: Vec<Nearness>,
    /// Room for latencies while tiers are put in order.
    pub(super) measured: Vec<(u8, u32)>,
    /// How long endpoints take to begin their answers, by slot.
    latencies: Vec<PeakEwma>,
    /// What other shards have in flight, by slot.
    others: Vec<Others>,
    /// What may be spent on attempts that nobody asked for, by lane.
    budgets: Vec<Budgets>,
    /// Which generation of each slot and of each lane the above is of.
    slots: Vec<u32>,
    lanes: Vec<u32>,
    /// What choices among equals are made with.
    pub(super) dice: Dice,
    /// Where request ids come from.
    pub(super) ids: Ids,
    /// What to add to the monotonic clock to get milliseconds since 1970.
    pub(super) unix_offset_ms: u64,
}

/// What is known of a client connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nobody's.
    Free,
    /// Between two requests.
    Idle(RawFd),
    /// In a request.
    Busy(RawFd),
}

impl State {
    pub(super) fn new(memory: Memory, queue: Queue) -> Self {
        Self(RefCell::new(Own {
            world: None,
            pool: Pool::default(),
            sessions: Sessions::default(),
            turns: Vec::new(),
            connections: Vec::new(),
            free: Vec::new(),
            memory,
            step_panics: 0,
            forget_at: Moment::default(),
            queue,
            waiting: HashMap::new(),
            given_back: 0,
            berths: HashMap::new(),
            copies: Copies::default(),
            views: Vec::new(),
            nearness: Vec::new(),
            measured: Vec::new(),
            latencies: Vec::new(),
            others: Vec::new(),
            budgets: Vec::new(),
            slots: Vec::new(),
            lanes: Vec::new(),
            dice: Dice::new(),
            ids: Ids::new(),
            unix_offset_ms: 0,
        }))
    }

    /// Works on the state. The closure cannot wait, and must not come back through this door.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Own) -> R) -> R {
        work(&mut self.0.borrow_mut())
    }
}

impl Own {
    /// A moment by the wall clock, in milliseconds since 1970.
    pub(super) const fn unix_ms(&self, moment: Moment) -> u64 {
        self.unix_offset_ms + moment.as_nanos() / 1_000_000
    }

    /// Whose turn it is at the upstream that has its first endpoint in this slot.
    pub(super) fn turn(&mut self, first: SlotId) -> &mut Turn {
        at(&mut self.turns, first.index())
    }

    /// In which order tiers are asked at the upstream that has its first endpoint in this slot.
    pub(super) fn nearness(&mut self, first: SlotId) -> &mut Nearness {
        at(&mut self.nearness, first.index())
    }

    /// How long an endpoint takes to begin its answers.
    pub(super) fn latency(&mut self, slot: SlotId) -> &mut PeakEwma {
        at(&mut self.latencies, slot.index())
    }

    /// What other shards have in flight at an endpoint.
    pub(super) fn others(&mut self, slot: SlotId) -> &mut Others {
        at(&mut self.others, slot.index())
    }

    /// What may be spent on attempts for this model that nobody asked for.
    pub(super) fn budget(&mut self, lane: LaneId) -> &mut Budgets {
        at(&mut self.budgets, lane.index())
    }

    /// Begins anew with endpoints and models whose numbers were others' before.
    pub(super) fn welcome(&mut self, snapshot: &Snapshot, mut retire: impl FnMut(Retired)) {
        for endpoint in &snapshot.endpoints {
            let slot = endpoint.slot;
            if replace(&mut self.slots, slot.index(), endpoint.generation) {
                self.pool.hand_over(slot, |_, reason| retire(reason));
                *self.turn(slot) = Turn::default();
                *self.nearness(slot) = Nearness::default();
                *self.latency(slot) = PeakEwma::default();
                *self.others(slot) = Others::default();
            }
        }
        for model in &snapshot.models {
            if replace(&mut self.lanes, model.lane.index(), model.lane_generation) {
                *self.budget(model.lane) = Budgets::default();
            }
        }
    }

    /// A place for a new connection.
    pub(super) fn enter(&mut self, place: Place) -> usize {
        if let Some(index) = self.free.pop() {
            self.connections[index] = place;
            return index;
        }
        self.connections.push(place);
        self.connections.len() - 1
    }

    /// Gives a connection's place back.
    pub(super) fn leave(&mut self, index: usize) {
        self.connections[index] = Place::Free;
        self.free.push(index);
    }
}

/// The entry at a place of a list that grows as needed.
fn at<T: Default>(list: &mut Vec<T>, index: usize) -> &mut T {
    if list.len() <= index {
        list.resize_with(index + 1, T::default);
    }
    &mut list[index]
}

/// Whether that was another generation before.
fn replace(generations: &mut Vec<u32>, index: usize, generation: u32) -> bool {
    std::mem::replace(at(generations, index), generation) != generation
}

/// Requests that other shards have in flight at an endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Others {
    pub(super) count: u32,
    /// Nanoseconds of the clock until which that is taken to be so.
    pub(super) good_until: u64,
}

/// In which order the tiers of an upstream are asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Nearness {
    pub(super) order: Order,
    /// The number of the snapshot whose tiers they are.
    pub(super) of: u64,
    /// Nanoseconds of the clock until which that is taken to be the order.
    pub(super) good_until: u64,
}

/// What may be spent on attempts that nobody asked for.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    pub(super) retries: Budget,
    pub(super) hedges: Budget,
}

/// Numbers like random ones (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    fn new() -> Self {
        Self(random())
    }

    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
}

/// The system's randomness: the keys of the standard library's hasher are that, without a system call of ours.
fn random() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

/// Request ids: unique, and spread like random numbers so that they can be sampled by prefix.
pub(super) struct Ids {
    high: u64,
    low: u64,
}

impl Ids {
    fn new() -> Self {
        Self { high: random(), low: random() }
    }

    pub(super) fn next(&mut self) -> RequestId {
        self.high = self.high.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.low = self.low.wrapping_add(0xd1b5_4a32_d192_ed03);
        RequestId::new(mix(self.high), mix(self.low))
    }
}

/// Spreads a count over all bits (the finaliser of SplitMix64).
const fn mix(count: u64) -> u64 {
    let mixed = (count ^ (count >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again() {
        let state = State::new(Memory::new(1), Queue::new(1));
        state.with(|own| {
            let (a, b) = (own.enter(Place::Idle(1)), own.enter(Place::Idle(2)));
            own.leave(a);
            assert_eq!(own.enter(Place::Busy(3)), a);
            assert_ne!(a, b);
            assert_eq!(own.connections.len(), 2);
        });
    }

    #[test]
    fn ids_differ() {
        let mut ids = Ids::new();
        let many: std::collections::HashSet<_> = (0..10_000).map(|_| ids.next()).collect();
        assert_eq!(many.len(), 10_000);
    }
}
