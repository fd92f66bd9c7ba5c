//! Near endpoints before far ones: what is left to choose from where an upstream has tiers.

use crate::balance::choose::View;
use crate::balance::locality;
use crate::balance::locality::Order;
use crate::balance::locality::Reach;
use crate::balance::locality::Tiers;
use crate::shard::Shard;
use crate::shard::attempt::pick::Wish;
use crate::shard::state::Own;
use crate::snapshot::Upstream;
use crate::units::Moment;

/// For how long an order of tiers is taken to be as it was. Control publishes what was measured once a second.
const ORDER_FOR_NANOS: u64 = 250_000_000;

/// Leaves in `views` only those usable that are near enough for the request.
pub(super) fn narrow(
    shard: &Shard,
    wish: Wish<'_>,
    own: &mut Own,
    views: &mut [View],
    now: Moment,
) -> Reach {
    let upstream = wish.world.snapshot.upstream(wish.upstream);
    let Some(tiers) = &upstream.tiers else { return Reach::ALL };
    if !tiers.is_measured() {
        return locality::narrow(tiers, &Order::default(), views, 0);
    }
    let order = order(shard, wish, own, (upstream, tiers), now);
    let dice = if order.has_unmeasured() { own.dice.roll() } else { 0 };
    locality::narrow(tiers, &order, views, dice)
}

/// The order in which tiers are asked, as it was found a moment ago or is found now.
fn order(
    shard: &Shard,
    wish: Wish<'_>,
    own: &mut Own,
    (upstream, tiers): (&Upstream, &Tiers),
    now: Moment,
) -> Order {
    let snapshot = &wish.world.snapshot;
    let Some(first) = upstream.endpoints.first() else { return Order::default() };
    let first = snapshot.endpoint(*first).slot;
    let mut nearness = *own.nearness(first);
    let is_same = nearness.of == snapshot.number;
    if is_same && now.as_nanos() < nearness.good_until {
        return nearness.order;
    }
    if !is_same {
        nearness.order = Order::default();
    }
    let mut room = std::mem::take(&mut own.measured);
    let medians = tiers.medians(&mut room, |index| {
        let slot = snapshot.endpoint(upstream.endpoints[index]).slot;
        let pace = shard.health.pace(slot, now);
        pace.map_or(0, |pace| u32::try_from(pace.as_micros()).unwrap_or(u32::MAX))
    });
    own.measured = room;
    nearness.order.sort(tiers, &medians);
    nearness.of = snapshot.number;
    nearness.good_until = now.as_nanos() + ORDER_FOR_NANOS;
    *own.nearness(first) = nearness;
    nearness.order
}
