//! Between two attempts: the wait before the next one, or another model.

use std::time::Duration;

use crate::accept::client::Client;
use crate::record::Fault;
use crate::record::counters::Continued;
use crate::record::counters::LaneCounter;
use crate::relay::response::Response;
use crate::ring::clock;
use crate::shard::admit::Asking;
use crate::shard::attempt::Attempts;
use crate::shard::attempt::Step;
use crate::shard::attempt::Way;
use crate::shard::entry::Entry;
use crate::shard::grant::Grant;
use crate::shard::plan::Plan;
use crate::shard::waiting;
use crate::units::ModelId;

/// Does what comes before the next attempt. False: there is none after all.
///
/// # Errors
/// The client has left meanwhile.
pub(super) async fn take<'w>(
    step: Step,
    attempts: &mut Attempts<'w>,
    asking: &Asking<'_, 'w>,
    grant: &mut Grant<'_>,
    plan: &mut Plan<'w>,
    (client, response): (&mut Client, &mut Response),
    entry: &mut Entry<'_>,
) -> Result<bool, Fault> {
    let lane = asking.world.snapshot.model(plan.model).lane;
    match step {
        Step::Again(wait) => {
            attempts.note_retry();
            if wait > Duration::ZERO {
                let until = clock::now().after(wait);
                let paused = waiting::pause(asking.shard, client, attempts.life(response), until);
                paused.await.map_err(|waiting::Gone| asking.shard.gone())?;
            }
            Ok(true)
        }
        Step::GoOn { wait, is_elsewhere } => {
            attempts.note_retry();
            entry.went_on();
            if wait > Duration::ZERO {
                clock::sleep(wait).await;
            }
            let how = if is_elsewhere { Continued::ElsewhereOk } else { Continued::ReconnectedOk };
            asking.shard.page.add(how, 1);
            Ok(true)
        }
        Step::ToLarger(model) => {
            let has_turned = turn_to(model, attempts, asking, grant, plan);
            if has_turned {
                asking.shard.page.add_lane(Some(lane), LaneCounter::ContextFallbacks, 1);
                entry.turned(lane, asking.world.snapshot.model(model).lane);
            }
            Ok(has_turned)
        }
        Step::FallBack(from) => {
            let chain = &asking.world.snapshot.model(attempts.asked()).fallback;
            for (place, model) in (0_u16..).zip(chain).skip(from.into()) {
                attempts.chain_is_at(place + 1);
                if turn_to(*model, attempts, asking, grant, plan) {
                    asking.shard.page.add_lane(Some(lane), LaneCounter::FellBack, 1);
                    entry.turned(lane, asking.world.snapshot.model(*model).lane);
                    return Ok(true);
                }
            }
            attempts.give_up_chain();
            Ok(false)
        }
    }
}

/// Goes to another model, if the caller may have it and its limits have room.
fn turn_to<'w>(
    model: ModelId,
    attempts: &mut Attempts<'w>,
    asking: &Asking<'_, 'w>,
    grant: &mut Grant<'_>,
    plan: &mut Plan<'w>,
) -> bool {
    if model == plan.model {
        return false;
    }
    let Some(turned) = asking.turned(grant, plan, model) else { return false };
    *plan = turned;
    attempts.turn_to(&Way { plan, caller: &grant.caller }, asking.request);
    true
}
