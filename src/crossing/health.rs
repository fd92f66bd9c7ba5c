//! The health page: how every endpoint is, one truth for the node.

mod latency;
mod shared;
mod state;
mod stripe;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::balance::breaker;
use crate::balance::verdict::Verdict;
use crate::crossing::health::shared::Noted;
use crate::crossing::health::shared::Shared;
use crate::crossing::health::stripe::Stripe;
use crate::crossing::lines::Lines;
use crate::snapshot::SLOTS_MAX;
use crate::units::Moment;
use crate::units::ShardId;
use crate::units::SlotId;

pub use crate::crossing::health::latency::Live;
pub use crate::crossing::health::latency::Merged;
pub use crate::crossing::health::state::Check;
pub use crate::crossing::health::state::Details;
pub use crate::crossing::health::state::SlotState;
pub use crate::crossing::health::state::Totals;
pub use crate::crossing::health::state::Trouble;

/// The window of an endpoint without a breaker.
const WINDOW: Duration = Duration::from_secs(10);

/// The page as shards and control hold it.
pub type SharedHealth = Arc<Health>;

/// How every endpoint is.
///
/// Of each endpoint there is what all share, and what each shard has counted by itself. Zero memory is an endpoint
/// that is well and idle; what no endpoint of the snapshots has used never becomes memory.
///
/// Nothing here waits. A usual attempt that goes well reads one shared line, which seldom changes, and writes to two lines
/// that only its shard writes to; a shared line is written when something fails, and, where the places of an endpoint are
/// counted, for each attempt.
pub struct Health {
    shared: Lines<Shared<AtomicU64>>,
    shards: Vec<Lines<Stripe>>,
}

/// What shards do. Only the shard itself may call what takes a [`ShardId`] and changes something.
impl Health {
    /// A page on which every endpoint is well and idle.
    #[must_use]
    pub fn new(shards: usize) -> SharedHealth {
        let shards = (0..shards).map(|_| Lines::new(SLOTS_MAX)).collect();
        Arc::new(Self { shared: Lines::new(SLOTS_MAX), shards })
    }

    /// An attempt begins.
    #[inline]
    pub fn begin(&self, shard: ShardId, slot: SlotId) {
        self.stripe(shard, slot).begin();
    }

    /// An endpoint is asked: notes when that was the first time since it appeared.
    #[inline]
    pub fn ask(&self, slot: SlotId, now: Moment) {
        self.shared(slot).ask(now);
    }

    /// An attempt is over: its last byte was relayed, or never will be.
    #[inline]
    pub fn end(&self, shard: ShardId, slot: SlotId) {
        self.stripe(shard, slot).end();
    }

    /// Attempts in flight on all shards. Reads lines that the others are writing to: not for every request.
    #[must_use]
    pub fn in_flight(&self, slot: SlotId) -> u32 {
        self.stripes(slot).fold(0, |sum, stripe| sum.saturating_add(stripe.in_flight()))
    }

    /// Attempts in flight on one shard.
    #[inline]
    #[must_use]
    pub fn in_flight_on(&self, shard: ShardId, slot: SlotId) -> u32 {
        self.stripe(shard, slot).in_flight()
    }

    /// Attempts in flight on all shards but one. Reads lines that the others are writing to: for once a tick.
    #[must_use]
    pub fn others(&self, shard: ShardId, slot: SlotId) -> u32 {
        let others = self.shards.iter().enumerate().filter(|(other, _)| *other != shard.index());
        let counts = others.map(|(_, stripes)| stripes.at(slot.index()).in_flight());
        counts.fold(0, u32::saturating_add)
    }

    /// Takes one of the endpoint's places, of which there are `max` for the node; false: all are taken. To be given back with
    /// [`Self::give_place`].
    #[inline]
    #[must_use]
    pub fn claim_place(&self, slot: SlotId, max: u32) -> bool {
        self.shared(slot).claim_place(max)
    }

    /// How many places at an endpoint are taken.
    #[must_use]
    pub fn places(&self, slot: SlotId) -> u32 {
        self.shared(slot).places()
    }

    /// Gives a place back.
    #[inline]
    pub fn give_place(&self, slot: SlotId) {
        self.shared(slot).give_place();
    }

    /// How the endpoint is.
    #[inline]
    #[must_use]
    pub fn state(&self, slot: SlotId, now: Moment) -> SlotState {
        self.shared(slot).state(now)
    }

    /// Claims the probe of an endpoint that is [`Trouble::Due`]: of all who do, one gets it. It has to be noted as the probe,
    /// or released; one that is not, because its task is gone, is taken for lost after a while.
    #[must_use]
    pub fn claim_probe(&self, slot: SlotId, now: Moment) -> bool {
        self.shared(slot).claim_probe(now)
    }

    /// The probe was not sent, or tells nothing: another one is due.
    pub fn release_probe(&self, slot: SlotId) {
        self.shared(slot).release_probe();
    }

    /// Notes what an attempt says about the endpoint: once for each attempt, as soon as it is known.
    ///
    /// Failures in a row, or too large a share of the attempts within the window, open the breaker for all shards; so does a
    /// refused credential, for longer. A good probe closes it. Without a rule there is no breaker: it is only counted.
    #[inline]
    pub fn note(
        &self,
        shard: ShardId,
        slot: SlotId,
        verdict: Verdict,
        is_probe: bool,
        rule: Option<&breaker::Rule>,
        now: Moment,
    ) {
        let length = rule.map_or(WINDOW, |rule| rule.window);
        self.stripe(shard, slot).count(verdict, length, now);
        let dice = dice(slot, now);
        let noted = Noted { verdict, is_probe, rule, now, dice };
        self.shared(slot).note(noted, |since| self.counted(slot, since, now));
    }

    /// The endpoint said not to come before; the longest of what it says counts, and it is for the caller to bound.
    pub fn pause(&self, slot: SlotId, until: Moment) {
        self.shared(slot).pause(until);
    }

    /// An attempt got its first byte, so long after it began.
    #[inline]
    pub fn first_byte(&self, shard: ShardId, slot: SlotId, after: Duration) {
        self.stripe(shard, slot).first_byte(after);
    }

    /// An answer that is no stream began so long after its request: for [`Self::pace`], where that matters.
    #[inline]
    pub fn answered(&self, shard: ShardId, slot: SlotId, after: Duration, now: Moment) {
        self.stripe(shard, slot).answered(after, now);
    }

    /// How long the endpoint usually takes to its first byte, on the whole node: the median of its streams, or, where there were
    /// none, the mean of its other answers of the last half minute. Reads lines that all shards are writing to: for once a tick.
    #[must_use]
    pub fn pace(&self, slot: SlotId, now: Moment) -> Option<Duration> {
        if let Some(half) = self.live(slot).p50 {
            return Some(half);
        }
        let paces = self.stripes(slot).filter_map(|stripe| stripe.pace_us(now));
        let (sum, count) = paces.fold((0_u64, 0_u64), |(sum, n), us| (sum + u64::from(us), n + 1));
        sum.checked_div(count).map(Duration::from_micros)
    }

    /// How long the endpoint takes to its first byte, as last published by [`Self::merge`].
    #[inline]
    #[must_use]
    pub fn live(&self, slot: SlotId) -> Live {
        self.shared(slot).live()
    }

    /// When it first appeared, or became well again: its breaker closed, its checks passed, its ejection was over (in the
    /// future while it is not). Slow start counts from here. Zero: long ago. A pause is not an illness.
    #[inline]
    #[must_use]
    pub fn since(&self, slot: SlotId) -> Moment {
        self.shared(slot).since()
    }
}

/// What control does, which is one thread; and what anybody may look at.
impl Health {
    /// The slot is another endpoint's from now on: everything is forgotten. Only while no shard has a snapshot with the old one,
    /// and before any has one with the new one.
    pub fn hand_over(&self, slot: SlotId) {
        self.stripes(slot).for_each(Stripe::clear);
        self.shared(slot).clear();
    }

    /// The endpoint is new, or there again after a while: its checks say nothing yet.
    pub fn appear(&self, slot: SlotId, now: Moment) {
        self.shared(slot).appear(now);
    }

    /// When it was first asked since it appeared; none: not yet, or it was there from the start.
    #[must_use]
    pub fn first_asked(&self, slot: SlotId) -> Option<Moment> {
        self.shared(slot).first()
    }

    /// What the endpoint's health checks say.
    pub fn set_check(&self, slot: SlotId, check: Check, now: Moment) {
        self.shared(slot).set_check(check, now);
    }

    /// Leaves the endpoint out until then.
    pub fn eject(&self, slot: SlotId, until: Moment) {
        self.shared(slot).eject(until);
    }

    /// Merges what the shards have measured of the endpoint's first bytes since the last time, and publishes what
    /// [`Self::live`] says from now on, which it also returns. Each second or so.
    pub fn merge(&self, memory: &mut Merged, slot: SlotId, now: Moment) -> Live {
        let counted = stripe::sum_buckets(self.stripes(slot));
        let shared = self.shared(slot);
        shared.publish(memory.of(slot).take(&counted, now));
        shared.live()
    }

    /// Attempts that were good, and that were bad, within the window of its breaker (10 s without one), but none of before it
    /// last became well.
    #[must_use]
    pub fn window(&self, slot: SlotId, now: Moment) -> (u32, u32) {
        self.counted(slot, self.since(slot), now)
    }

    /// What was counted since the process began.
    #[must_use]
    pub fn totals(&self, slot: SlotId) -> Totals {
        let counts = stripe::sum_counts(self.stripes(slot));
        let shared = self.shared(slot);
        Totals {
            attempts: counts.attempts,
            good: counts.good,
            bad: counts.bad,
            throttled: counts.throttled,
            credential_bad: counts.credential_bad,
            neutral: counts.neutral,
            opened: shared.opened(),
            probes: shared.probes(),
        }
    }

    /// Everything that is known of the endpoint now.
    #[must_use]
    pub fn details(&self, slot: SlotId, now: Moment) -> Details {
        let shared = self.shared(slot);
        let breaker = shared.breaker();
        let later = |until: Moment| (until > now).then_some(until);
        Details {
            state: shared.state(now),
            breaker: breaker.state(now),
            opened_in_a_row: breaker.times(),
            failures_in_a_row: shared.failures(),
            check: shared.check(),
            ejected_until: later(shared.ejected()),
            paused_until: later(shared.paused()),
            since: shared.since(),
            in_flight: self.stripes(slot).map(Stripe::in_flight).collect(),
            places: shared.places(),
            window: self.window(slot, now),
            live: shared.live(),
        }
    }

    fn counted(&self, slot: SlotId, since: Moment, now: Moment) -> (u32, u32) {
        self.stripes(slot).fold((0, 0), |sums, stripe| stripe.add_window(sums, since, now))
    }

    #[inline]
    fn shared(&self, slot: SlotId) -> &Shared<AtomicU64> {
        self.shared.at(slot.index())
    }

    #[inline]
    fn stripe(&self, shard: ShardId, slot: SlotId) -> &Stripe {
        self.shards[shard.index()].at(slot.index())
    }

    fn stripes(&self, slot: SlotId) -> impl Iterator<Item = &Stripe> {
        self.shards.iter().map(move |stripes| stripes.at(slot.index()))
    }
}

/// A number that differs between endpoints and moments: by chance enough to keep breakers from closing together.
#[inline]
fn dice(slot: SlotId, now: Moment) -> u64 {
    let mixed = (now.as_nanos() ^ (u64::from(slot.0) << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

impl fmt::Debug for Health {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Health").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
