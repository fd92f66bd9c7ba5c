//! Which endpoint is asked: what is known of each, the choice among them, and a seat there.

use crate::balance::choose;
use crate::balance::choose::Standing;
use crate::balance::choose::Strategy;
use crate::balance::choose::View;
use crate::balance::load;
use crate::balance::locality::Reach;
use crate::balance::locality::Tiers;
use crate::ring::clock;
use crate::shard::Shard;
use crate::shard::World;
use crate::shard::attempt::near;
use crate::shard::attempt::seat::Seat;
use crate::shard::state::Own;
use crate::snapshot::AllDown;
use crate::snapshot::Endpoint;
use crate::snapshot::Upstream;
use crate::units::Moment;
use crate::units::SlotId;
use crate::units::UpstreamId;

/// Weights of the config in the hundredths that the balance counts in.
const WEIGHT_UNIT: u32 = 100;

/// Endpoints of one upstream that a request was sent to: one bit for each of the first 64. Those after them are never
/// marked, and may be chosen twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tried(u64);

impl Tried {
    fn has(self, index: usize) -> bool {
        index < 64 && self.0 & (1 << index) != 0
    }

    fn mark(&mut self, index: usize) {
        self.0 |= 1_u64.checked_shl(u32::try_from(index).unwrap_or(64)).unwrap_or(0);
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Why no endpoint was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unpicked {
    /// None is well, or none has an address.
    Down,
    /// Those that are well have no place left.
    Full,
}

/// Who is to be asked, and by what endpoints are told apart.
#[derive(Clone, Copy)]
pub(super) struct Wish<'w> {
    pub(super) world: &'w World,
    pub(super) upstream: UpstreamId,
    /// What requests that belong to the same endpoint have in common.
    pub(super) key: Option<u64>,
    /// Whether there is another model to ask, which comes before an endpoint that is not well.
    pub(super) has_fallback: bool,
}

/// Chooses an endpoint and takes a seat there.
pub(super) fn pick<'s, 'w>(
    shard: &'s Shard,
    wish: Wish<'w>,
    tried: &mut Tried,
) -> Result<(&'w Endpoint, Seat<'s>), Unpicked> {
    let now = clock::recent();
    shard.state.with(|own| {
        let mut views = std::mem::take(&mut own.views);
        let picked = Picking { shard, wish, own, now, reach: Reach::ALL }.pick(&mut views, tried);
        own.views = views;
        picked
    })
}

/// Whether an endpoint that was not tried yet could be asked now.
pub(super) fn has_untried(shard: &Shard, wish: Wish<'_>, tried: Tried) -> bool {
    let now = clock::recent();
    shard.state.with(|own| {
        let mut views = std::mem::take(&mut own.views);
        Picking { shard, wish, own, now, reach: Reach::ALL }.look(&mut views, tried);
        let is_good = |view: &View| matches!(view.standing, Standing::Usable | Standing::Due);
        let has = views.iter().any(is_good);
        own.views = views;
        has
    })
}

/// For how long the counts of other shards are taken to be as they were.
const OTHERS_FOR_NANOS: u64 = 20_000_000;

struct Picking<'p, 's, 'w> {
    shard: &'s Shard,
    wish: Wish<'w>,
    own: &'p mut Own,
    now: Moment,
    /// How far the request may look, where endpoints have tiers.
    reach: Reach,
}

impl<'s, 'w> Picking<'_, 's, 'w> {
    fn upstream(&self) -> &'w Upstream {
        self.wish.world.snapshot.upstream(self.wish.upstream)
    }

    fn pick(
        &mut self,
        views: &mut Vec<View>,
        tried: &mut Tried,
    ) -> Result<(&'w Endpoint, Seat<'s>), Unpicked> {
        self.look(views, *tried);
        loop {
            let Some((index, is_probe)) = self.choose(views) else {
                if !tried.is_empty() && views.iter().any(|view| view.standing == Standing::Tried) {
                    // Everybody else was asked, or is not well: back to those that failed.
                    *tried = Tried::default();
                    self.look(views, *tried);
                    continue;
                }
                let is_full = views.iter().any(|view| view.standing == Standing::Full);
                return Err(if is_full { Unpicked::Full } else { Unpicked::Down });
            };
            if let Some(seat) = self.sit_down(index, is_probe) {
                tried.mark(index);
                return Ok((self.endpoint(index), seat));
            }
            // Another shard was quicker.
            if let Some(view) = views.get_mut(index) {
                view.standing = Standing::Full;
            }
            self.narrow(views);
        }
    }

    /// The index of the endpoint to ask, and whether that is to find out if it is well again.
    fn choose(&mut self, views: &[View]) -> Option<(usize, bool)> {
        let upstream = self.upstream();
        let due = (0..views.len()).find(|index| {
            views[*index].standing == Standing::Due && self.is_in_reach(upstream, *index)
        });
        if let Some(index) = due
            && self.shard.health.claim_probe(self.endpoint(index).slot, self.now)
        {
            return Some((index, true));
        }
        let ring = upstream.hash.as_ref().map(|hash| &hash.ring);
        let dice = self.own.dice.roll();
        let first = *upstream.endpoints.first()?;
        let first = self.wish.world.snapshot.endpoint(first).slot;
        let turn = self.own.turn(first);
        let chosen = turn.choose(upstream.strategy, views, ring, self.wish.key, dice);
        if let Some(index) = chosen {
            return Some((index, false));
        }
        // Where somebody is well but full, that is waited for. Where those that are well have failed this very request, one
        // that was left alone may do better by now: it comes before them.
        let is_any_full = views.iter().any(|view| view.standing == Standing::Full);
        let may_be_bad = upstream.all_down == AllDown::LeastBad && !self.wish.has_fallback;
        if !may_be_bad || is_any_full {
            return None;
        }
        choose::least_bad(views).map(|index| (index, false))
    }

    fn sit_down(&self, index: usize, is_probe: bool) -> Option<Seat<'s>> {
        let (upstream, slot) = (self.upstream(), self.endpoint(index).slot);
        let max = upstream.places_max(index);
        // Of one that is resorted to this was not looked at before.
        let is_full = self.own.pool.is_full(slot, World::pool_limits(upstream));
        if is_full || max.is_some_and(|max| !self.shard.health.claim_place(slot, max)) {
            if is_probe {
                self.shard.health.release_probe(slot);
            }
            return None;
        }
        self.shard.health.ask(slot, self.now);
        Some(Seat::take(self.shard, (upstream.group, slot), max.is_some(), is_probe))
    }

    fn endpoint(&self, index: usize) -> &'w Endpoint {
        let snapshot = &self.wish.world.snapshot;
        snapshot.endpoint(self.upstream().endpoints[index])
    }

    /// Looks at every endpoint.
    fn look(&mut self, views: &mut Vec<View>, tried: Tried) {
        views.clear();
        let upstream = self.upstream();
        for index in 0..upstream.endpoints.len() {
            let view = self.view(upstream, index, tried);
            views.push(view);
        }
        self.narrow(views);
    }

    /// Leaves near ones usable, where endpoints have tiers.
    fn narrow(&mut self, views: &mut [View]) {
        if self.upstream().tiers.is_some() {
            self.reach = near::narrow(self.shard, self.wish, self.own, views, self.now);
        }
    }

    fn is_in_reach(&self, upstream: &Upstream, index: usize) -> bool {
        upstream.tiers.as_ref().is_none_or(|tiers| self.reach.has(tiers, index))
    }

    fn view(&mut self, upstream: &Upstream, index: usize, tried: Tried) -> View {
        let endpoint = self.endpoint(index);
        let weight = upstream.weights.get(index).copied().unwrap_or(0) * WEIGHT_UNIT;
        let load = self.load(upstream, endpoint);
        let standing = self.standing(upstream, (index, endpoint), weight, tried.has(index));
        let weight = if upstream.slow_start.is_zero() {
            weight
        } else {
            let age = self.now.since(self.shard.health.since(endpoint.slot));
            load::slow_start(weight, age, upstream.slow_start)
        };
        let latency_us = match upstream.strategy {
            Strategy::PeakEwma => self.own.latency(endpoint.slot).value(self.now),
            _ => 0,
        };
        View { weight, load, latency_us, standing }
    }

    /// Requests that the endpoint serves: this shard's as of now, the others' as of a moment ago.
    fn load(&mut self, upstream: &Upstream, endpoint: &Endpoint) -> u32 {
        let is_in_turn =
            matches!(upstream.strategy, Strategy::RoundRobin | Strategy::WeightedRoundRobin);
        if is_in_turn && !upstream.tiers.as_ref().is_some_and(Tiers::has_capacity) {
            return 0;
        }
        let (health, id, slot) = (&self.shard.health, self.shard.id, endpoint.slot);
        let own = health.in_flight_on(id, slot);
        if self.shard.pages.len() == 1 {
            return own;
        }
        let now = self.now;
        let others = self.own.others(slot);
        if now.as_nanos() >= others.good_until {
            others.count = health.others(id, slot);
            others.good_until = now.as_nanos() + OTHERS_FOR_NANOS;
        }
        own.saturating_add(others.count)
    }

    fn standing(
        &self,
        upstream: &Upstream,
        (index, endpoint): (usize, &Endpoint),
        weight: u32,
        is_tried: bool,
    ) -> Standing {
        if endpoint.addresses.is_empty() {
            return Standing::NoAddress;
        }
        if weight == 0 {
            return Standing::Weightless;
        }
        let (health, slot) = (&self.shard.health, endpoint.slot);
        let standing = health.state(slot, self.now).standing();
        if is_tried {
            return Standing::Tried;
        }
        // Nobody can find out how one is that has no place.
        let is_wanted = matches!(standing, Standing::Usable | Standing::Due);
        if is_wanted && self.is_full(upstream, index, slot) { Standing::Full } else { standing }
    }

    /// Whether the endpoint has no place left, or this shard no connection to it.
    fn is_full(&self, upstream: &Upstream, index: usize, slot: SlotId) -> bool {
        upstream.places_max(index).is_some_and(|max| self.shard.health.places(slot) >= max)
            || self.own.pool.is_full(slot, World::pool_limits(upstream))
    }
}
