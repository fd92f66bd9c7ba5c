//! Waiting for a place at an upstream all of whose endpoints are full: bounded, high priority first, fair between tenants.

use crate::accept::client::Client;
use crate::admission::Caller;
use crate::admission::queue::Line;
use crate::record::Fault;
use crate::record::counters::QueueResult;
use crate::record::counters::ShardCounter;
use crate::relay::response::Response;
use crate::ring::clock;
use crate::ring::clock::Timer;
use crate::shard::Shard;
use crate::shard::World;
use crate::shard::attempt::Attempts;
use crate::shard::attempt::pick;
use crate::shard::attempt::pick::Unpicked;
use crate::shard::attempt::pick::Wish;
use crate::shard::attempt::seat::Seat;
use crate::shard::entry::Entry;
use crate::shard::waiting;
use crate::shard::waiting::Entering;
use crate::shard::waiting::Place;
use crate::shard::waiting::Woken;
use crate::snapshot::Endpoint;

/// Waits until one of the endpoints has a place, and takes it.
pub(super) async fn for_place<'w>(
    attempts: &mut Attempts<'w>,
    caller: &Caller,
    (client, response): (&mut Client, &mut Response),
    entry: &mut Entry<'_>,
) -> Result<(&'w Endpoint, Seat<'w>), Fault> {
    let began = clock::now();
    let seated = seated(attempts, caller, client, response).await;
    entry.waited(clock::now().since(began));
    seated
}

async fn seated<'w>(
    attempts: &mut Attempts<'w>,
    caller: &Caller,
    client: &mut Client,
    response: &mut Response,
) -> Result<(&'w Endpoint, Seat<'w>), Fault> {
    let (shard, wish) = (attempts.shard, attempts.wish());
    let snapshot = &wish.world.snapshot;
    let rule = snapshot.upstream(wish.upstream).queue;
    let tenant = caller.tenant.and_then(|tenant| snapshot.admission.tenant(tenant));
    let entering = Entering {
        line: Line::Endpoints(snapshot.upstream(wish.upstream).group),
        tenant: caller.tenant,
        priority: tenant.map(|tenant| tenant.priority).unwrap_or_default(),
        line_max: rule.waiting_max,
        gauge: ShardCounter::EndpointQueueWaiting,
    };
    let count = |result: QueueResult| shard.page.add(result, 1);
    let Some(mut place) = Place::enter(shard, &entering) else {
        count(QueueResult::Full);
        return Err(Fault::EndpointsFull);
    };
    let _counted = WaitsForConnection::count(shard, wish);
    let deadline = clock::now().after(rule.wait).min(attempts.deadlines.first_byte);
    let timer = Timer::new();
    loop {
        let life = Some(attempts.life(response));
        match waiting::turn(&place, client, false, life, (&timer, deadline)).await {
            Woken::Turn => {}
            Woken::Gone => {
                count(QueueResult::Gone);
                return Err(shard.gone());
            }
            Woken::Late => {
                count(QueueResult::TimedOut);
                return Err(Fault::EndpointWaitTimedOut);
            }
        }
        match pick::pick(shard, wish, &mut attempts.tried) {
            Ok(picked) => {
                place.serve();
                count(QueueResult::Served);
                return Ok(picked);
            }
            Err(Unpicked::Full) => {}
            Err(Unpicked::Down) => return Err(Fault::NoEndpoint),
        }
    }
}

/// One that waits because there may be no more connections, as long as it does.
struct WaitsForConnection<'s>(&'s Shard);

impl<'s> WaitsForConnection<'s> {
    fn count(shard: &'s Shard, wish: Wish<'_>) -> Option<Self> {
        let snapshot = &wish.world.snapshot;
        let upstream = snapshot.upstream(wish.upstream);
        let limits = World::pool_limits(upstream);
        let is_full = shard.state.with(|own| {
            let slots = upstream.endpoints.iter().map(|id| snapshot.endpoint(*id).slot);
            slots.into_iter().any(|slot| own.pool.is_full(slot, limits))
        });
        is_full.then(|| {
            shard.page.add(ShardCounter::PoolWaiting, 1);
            Self(shard)
        })
    }
}

impl Drop for WaitsForConnection<'_> {
    fn drop(&mut self) {
        self.0.page.sub(ShardCounter::PoolWaiting, 1);
    }
}
