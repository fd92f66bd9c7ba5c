//! Connections that are opened before anybody asks, where an upstream wants some to be there always.

use std::rc::Rc;
use std::time::Duration;

use crate::crossing::health::SlotState;
use crate::ring::clock;
use crate::ring::task;
use crate::shard::Shard;
use crate::shard::World;
use crate::shard::attempt;
use crate::units::EndpointId;
use crate::units::SlotId;

/// How long a connection may take that nobody waits for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that are opened for one endpoint at each look.
const OPENED_AT_ONCE_MAX: usize = 16;

/// Opens the connections that are short, where the endpoint is well.
pub(super) fn look_after(shard: &Rc<Shard>) {
    let world = shard.world();
    if !world.is_serving() {
        return;
    }
    let mut wanting = Vec::new();
    for (id, endpoint) in (0..).map(EndpointId).zip(&world.snapshot.endpoints) {
        let limits = World::pool_limits(world.snapshot.upstream(endpoint.upstream));
        if limits.idle_min == 0 || endpoint.addresses.is_empty() {
            continue;
        }
        let short = shard.state.with(|own| own.pool.short(endpoint.slot, limits));
        if short > 0 && is_well(shard, endpoint.slot) {
            wanting.push((id, short.min(OPENED_AT_ONCE_MAX)));
        }
    }
    for (endpoint, count) in wanting {
        for _ in 0..count {
            task::spawn(open(Rc::clone(shard), Rc::clone(&world), endpoint));
        }
    }
}

fn is_well(shard: &Shard, slot: SlotId) -> bool {
    matches!(shard.health.state(slot, clock::recent()), SlotState::Well)
}

async fn open(shard: Rc<Shard>, world: Rc<World>, endpoint: EndpointId) {
    let endpoint = world.snapshot.endpoint(endpoint);
    let deadline = clock::now().after(CONNECT_TIMEOUT);
    // That it cannot be opened is for the requests to find out: nothing hangs on this one.
    let upstream = world.snapshot.upstream(endpoint.upstream);
    if let Ok(link) = attempt::open(&shard, endpoint, upstream, deadline).await {
        link.give_back(upstream);
    }
}
