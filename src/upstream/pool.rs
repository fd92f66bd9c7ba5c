//! Connections of one shard, by endpoint: those in use are counted, idle ones are kept. The last one given back is the first one
//! taken, and how many are kept follows what was needed of late.

use std::time::Duration;

use crate::units::Moment;
use crate::units::SlotId;

/// What is kept of one endpoint's connections, on each shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are there even where nobody has asked for a while, those in use included; never more idle ones
    /// than `idle_max`.
    pub idle_min: usize,
    /// Idle connections, at most.
    pub idle_max: usize,
    /// How long one may be idle.
    pub idle: Duration,
    /// How old one may get.
    pub age: Duration,
    /// Connections, idle ones and those being opened included, at most; `None`: any number.
    pub connections_max: Option<u32>,
}

impl Limits {
    fn connections_max(&self) -> usize {
        self.connections_max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX))
    }
}

/// Why a connection was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retired {
    /// It was idle for too long.
    Idle,
    /// It has reached its age.
    Age,
    /// There are enough without it.
    Surplus,
    /// The endpoint closed it or sent what nobody asked for.
    Broken,
    /// Its endpoint is not in the snapshot any more.
    Removed,
}

/// Connections of type `C`: the idle ones, and how many are in use.
///
/// A connection is counted as in use from [`take`](Self::take) or [`opened`](Self::opened) until [`give`](Self::give)
/// or [`closed`](Self::closed): exactly one of these two follows each of those.
pub struct Pool<C> {
    shelves: Vec<Shelf<C>>,
    idle: usize,
    swept: Moment,
}

/// The connections to one endpoint.
struct Shelf<C> {
    /// Those that wait for a request, the one given back last at the end.
    idle: Vec<Idle<C>>,
    /// How many serve a request or are being opened.
    in_use: u32,
    /// Most that were in use at once since the last sweep.
    peak: u32,
    /// What is needed: the peaks of all sweeps so far, each fading with its age. In parts of [`ONE`].
    demand: u64,
}

struct Idle<C> {
    connection: C,
    opened: Moment,
    since: Moment,
}

impl<C> Default for Pool<C> {
    fn default() -> Self {
        Self { shelves: Vec::new(), idle: 0, swept: Moment::default() }
    }
}

impl<C> Pool<C> {
    /// Takes the connection that was given back last and has not outlived its limits: it is in use from now on.
    /// Those found to have outlived them are handed to `retire`.
    pub fn take(
        &mut self,
        slot: SlotId,
        limits: Limits,
        now: Moment,
        mut retire: impl FnMut(C, Retired),
    ) -> Option<C> {
        let shelf = self.shelves.get_mut(slot.index())?;
        while let Some(idle) = shelf.idle.pop() {
            self.idle -= 1;
            match outlived(&idle, limits, now) {
                None => {
                    shelf.begin();
                    return Some(idle.connection);
                }
                Some(reason) => retire(idle.connection, reason),
            }
        }
        None
    }

    /// Counts a connection that is going to be opened: it is in use from now on, before it is there. Where the endpoint
    /// may have no more, the idle one that was not used for longest makes room. Whether all are in use is for
    /// [`is_full`](Self::is_full) to say, before.
    pub fn opened(&mut self, slot: SlotId, limits: Limits, retire: impl FnOnce(C, Retired)) {
        let Some(shelf) = shelf(&mut self.shelves, slot) else { return };
        if !shelf.idle.is_empty() && shelf.count() >= limits.connections_max() {
            self.idle -= 1;
            retire(shelf.idle.remove(0).connection, Retired::Surplus);
        }
        shelf.begin();
    }

    /// A connection that was in use is gone, or could not be opened.
    pub fn closed(&mut self, slot: SlotId) {
        if let Some(shelf) = self.shelves.get_mut(slot.index()) {
            shelf.end();
        }
    }

    /// Gives a connection back that was opened at `opened`: it is no longer in use, whether it is kept or not.
    ///
    /// # Errors
    /// The connection and why it is not kept.
    pub fn give(
        &mut self,
        slot: SlotId,
        connection: C,
        opened: Moment,
        limits: Limits,
        now: Moment,
    ) -> Result<(), (C, Retired)> {
        let Some(shelf) = shelf(&mut self.shelves, slot) else {
            return Err((connection, Retired::Surplus));
        };
        shelf.end();
        if now.since(opened) >= limits.age {
            return Err((connection, Retired::Age));
        }
        if shelf.idle.len() >= limits.idle_max || shelf.count() >= limits.connections_max() {
            return Err((connection, Retired::Surplus));
        }
        shelf.idle.push(Idle { connection, opened, since: now });
        self.idle += 1;
        Ok(())
    }

    /// Whether as many connections are in use as there may be: none can be opened, and none is idle.
    #[must_use]
    pub fn is_full(&self, slot: SlotId, limits: Limits) -> bool {
        self.in_use(slot) >= limits.connections_max()
    }

    /// How many connections are to be opened now, so that `idle_min` are there: each is to be counted by
    /// [`opened`](Self::opened) before that, and given once it is there.
    #[must_use]
    pub fn short(&self, slot: SlotId, limits: Limits) -> usize {
        let wanted = limits.idle_min.min(limits.idle_max).min(limits.connections_max());
        wanted.saturating_sub(self.shelves.get(slot.index()).map_or(0, Shelf::count))
    }

    /// Retires what has outlived its limits or is not alive any more, and of the rest, longest unused first, what was
    /// not needed of late: see [`Limits`] for the least and the most that are kept. `limits` knows an endpoint's
    /// limits, or that it is gone.
    ///
    /// What is needed is the most that were in use at once, a peak that fades over about half the time that a connection
    /// may be idle: after a busy spell the pool shrinks bit by bit, and a short pause costs it next to nothing.
    pub fn sweep(
        &mut self,
        now: Moment,
        limits: impl Fn(SlotId) -> Option<Limits>,
        mut is_alive: impl FnMut(&mut C) -> bool,
        mut retire: impl FnMut(C, Retired),
    ) {
        let elapsed = now.since(self.swept);
        self.swept = now;
        for (slot, shelf) in (0_u32..).map(SlotId).zip(&mut self.shelves) {
            let Some(kept_by) = limits(slot) else {
                self.idle -= shelf.idle.len();
                shelf.idle.drain(..).for_each(|idle| retire(idle.connection, Retired::Removed));
                (shelf.peak, shelf.demand) = (shelf.in_use, 0);
                continue;
            };
            let worn = shelf.idle.extract_if(.., |idle| {
                outlived(idle, kept_by, now).is_some() || !is_alive(&mut idle.connection)
            });
            for idle in worn {
                self.idle -= 1;
                let reason = outlived(&idle, kept_by, now).unwrap_or(Retired::Broken);
                retire(idle.connection, reason);
            }
            shelf.look_back(elapsed, kept_by);
            let surplus = shelf.idle.len().saturating_sub(shelf.kept(kept_by));
            self.idle -= surplus;
            let surplus = shelf.idle.drain(..surplus);
            surplus.for_each(|idle| retire(idle.connection, Retired::Surplus));
        }
    }

    /// The slot is another endpoint's from now on: idle connections are retired. Those in use are none of the old one's by then.
    pub fn hand_over(&mut self, slot: SlotId, mut retire: impl FnMut(C, Retired)) {
        let Some(shelf) = self.shelves.get_mut(slot.index()) else { return };
        self.idle -= shelf.idle.len();
        shelf.idle.drain(..).for_each(|idle| retire(idle.connection, Retired::Removed));
        (shelf.peak, shelf.demand) = (shelf.in_use, 0);
    }

    /// How many connections are idle, to all endpoints.
    #[must_use]
    pub const fn idle(&self) -> usize {
        self.idle
    }

    /// How many connections to an endpoint are in use, those being opened included.
    #[must_use]
    pub fn in_use(&self, slot: SlotId) -> usize {
        self.shelves.get(slot.index()).map_or(0, Shelf::in_use)
    }
}

/// The shelf of an endpoint, which is made if there is none yet. There is none only where memory could not address it.
fn shelf<C>(shelves: &mut Vec<Shelf<C>>, slot: SlotId) -> Option<&mut Shelf<C>> {
    if shelves.len() <= slot.index() {
        shelves.resize_with(slot.index() + 1, Shelf::default);
    }
    shelves.get_mut(slot.index())
}

fn outlived<C>(idle: &Idle<C>, limits: Limits, now: Moment) -> Option<Retired> {
    if now.since(idle.opened) >= limits.age {
        return Some(Retired::Age);
    }
    (now.since(idle.since) >= limits.idle).then_some(Retired::Idle)
}

impl<C> Default for Shelf<C> {
    fn default() -> Self {
        Self { idle: Vec::new(), in_use: 0, peak: 0, demand: 0 }
    }
}

/// What one connection counts in a shelf's `demand`: as much as leaves room for any number of them.
const ONE: u64 = 1 << 32;

impl<C> Shelf<C> {
    fn begin(&mut self) {
        self.in_use = self.in_use.saturating_add(1);
        self.peak = self.peak.max(self.in_use);
    }

    /// No assertion that there is one: this is where requests end, those that end by a bug included.
    fn end(&mut self) {
        self.in_use = self.in_use.saturating_sub(1);
    }

    fn in_use(&self) -> usize {
        usize::try_from(self.in_use).unwrap_or(usize::MAX)
    }

    fn count(&self) -> usize {
        self.in_use().saturating_add(self.idle.len())
    }

    /// Brings the demand up to date: what it was has faded for so long, and a new peak may stand above that.
    fn look_back(&mut self, elapsed: Duration, limits: Limits) {
        let fading = (limits.idle / 2).as_nanos().max(1);
        let lost = u128::from(self.demand) * elapsed.as_nanos().min(fading);
        // Rounded up, so that it does not stop short of zero.
        let lost = u64::try_from(lost.div_ceil(fading)).unwrap_or(u64::MAX);
        self.demand = self.demand.saturating_sub(lost).max(u64::from(self.peak) * ONE);
        self.peak = self.in_use;
    }

    /// How many idle ones are kept.
    fn kept(&self, limits: Limits) -> usize {
        let needed = usize::try_from(self.demand.div_ceil(ONE)).unwrap_or(usize::MAX);
        let all = needed.max(limits.idle_min).min(limits.connections_max());
        all.saturating_sub(self.in_use()).min(limits.idle_max)
    }
}

#[cfg(test)]
mod tests;
