//! Copies of requests: another version of the model is asked too, and what it answers is thrown away.
//!
//! A copy is a task of its own. It takes no place in a line, nothing of any limit and nothing of what the shard may have in flight; the
//! request that it was made of waits for its memory to be copied, and for nothing else.

use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use crate::accept;
use crate::accept::client::Client;
use crate::accept::incoming::Incoming;
use crate::admission;
use crate::admission::Caller;
use crate::admission::Late;
use crate::record::RequestId;
use crate::record::ShadowResult;
use crate::relay::response::Asked;
use crate::relay::response::Response;
use crate::ring::task;
use crate::shard::Shard;
use crate::shard::World;
use crate::shard::attempt;
use crate::shard::attempt::Attempts;
use crate::shard::attempt::Way;
use crate::shard::entry::Entry;
use crate::shard::plan::Plan;
use crate::wire::head::Method;
use crate::wire::head::Version;

/// Copies that a shard has under way at most; of more requests none is made.
const COPIES_MAX: usize = 64;
/// Turns in which copies may end before nobody waits for them any more: one is enough for one that is woken.
const ENDING_TURNS: usize = 8;

/// Who is to be woken, by the places of the copies that are under way.
#[derive(Default)]
pub(super) struct Copies(Vec<Option<Waker>>);

/// Has a request copied, if its model has a shadow and the dice say so. A copy that cannot be made is counted, and that is all.
#[inline]
pub(super) fn cast(
    shard: &Shard,
    world: &World,
    plan: &Plan<'_>,
    caller: &Caller,
    request: &Incoming,
    entry: &Entry<'_>,
) {
    let Some(shadow) = world.snapshot.model(plan.model).shadow else { return };
    if shadow.is_drawn(shard.state.with(|own| own.dice.roll())) {
        begin(shard, world, plan.copied(&world.snapshot, shadow.model), caller, request, entry);
    }
}

#[cold]
fn begin(
    shard: &Shard,
    world: &World,
    plan: Plan<'static>,
    caller: &Caller,
    request: &Incoming,
    entry: &Entry<'_>,
) {
    // Half of the memory is for those who are answered.
    let bytes = accept::held_bytes(&shard.buffers).saturating_add(request.body().len());
    let has_room = bytes <= shard.caps.held_bytes_max / 2;
    let place = if has_room { Place::take(shard) } else { None };
    let (Some(place), Some(world), Some(address)) = (place, world.me.upgrade(), entry.client())
    else {
        return shard.page.add(ShadowResult::Skipped, 1);
    };
    let copy = Copy {
        world,
        plan,
        caller: caller.of_copy(),
        request: request.with_body(&shard.buffers, request.body()),
        id: entry.request_id(),
        address,
    };
    task::spawn(run(place, copy));
}

/// The copy of a request.
struct Copy {
    world: Rc<World>,
    plan: Plan<'static>,
    caller: Caller,
    request: Incoming,
    id: RequestId,
    address: IpAddr,
}

/// A copy's place among those that are under way.
struct Place {
    shard: Rc<Shard>,
    index: usize,
}

impl Place {
    /// A place, if there is one and the shard is to go on.
    fn take(shard: &Shard) -> Option<Self> {
        let shard = shard.me.upgrade()?;
        if !shard.world().is_serving() {
            return None;
        }
        let index = shard.state.with(|own| {
            let Copies(wakers) = &mut own.copies;
            let free = wakers.iter().position(Option::is_none).unwrap_or(wakers.len());
            let waker = Some(Waker::noop().clone());
            match wakers.get_mut(free) {
                Some(place) => *place = waker,
                None if free < COPIES_MAX => wakers.push(waker),
                None => return None,
            }
            Some(free)
        })?;
        Some(Self { shard, index })
    }

    /// Whether the shard drains; if not, the task is woken when it does.
    fn is_over(&self, cx: &Context<'_>) -> bool {
        self.shard.state.with(|own| {
            if let Some(Some(waker)) = own.copies.0.get_mut(self.index) {
                waker.clone_from(cx.waker());
            }
        });
        !self.shard.world().is_serving()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shard.state.with(|own| {
            if let Some(place) = own.copies.0.get_mut(self.index) {
                *place = None;
            }
        });
    }
}

impl Shard {
    /// Ends all copies: the shard drains. That is told only when they have been written down.
    pub(super) async fn end_copies(&self) {
        for _ in 0..ENDING_TURNS {
            let wakers: Vec<Waker> =
                self.state.with(|own| own.copies.0.iter().flatten().cloned().collect());
            if wakers.is_empty() {
                return;
            }
            wakers.iter().for_each(Waker::wake_by_ref);
            task::yield_now().await;
        }
    }
}

/// Asks, unless the shard drains before the answer has come.
async fn run(place: Place, mut copy: Copy) {
    let shard = &*place.shard;
    let result = {
        let mut asking = std::pin::pin!(ask(shard, &mut copy));
        poll_fn(|cx| {
            if place.is_over(cx) {
                return Poll::Ready(ShadowResult::Cancelled);
            }
            asking.as_mut().poll(cx)
        })
        .await
    };
    shard.page.add(result, 1);
    copy.request.release(&shard.buffers);
}

async fn ask(shard: &Shard, copy: &mut Copy) -> ShadowResult {
    let Copy { world, plan, caller, request, id, address } = copy;
    let Some(plan) = fitted(world, plan, caller, request) else { return ShadowResult::Skipped };
    let way = Way { plan: &plan, caller };
    let mut response = Response::new(Asked {
        method: Method::Post,
        version: Version::Http11,
        is_keep_alive: true,
        dialect: plan.dialect,
        request_id: *id,
        fields: None,
        meters_usage: false,
        keeps_events: false,
        drops_usage_event: false,
        may_open: false,
        holds_errors: false,
    });
    let Some(mut attempts) = Attempts::of_copy(shard, world, &way, request, &mut response) else {
        return ShadowResult::Skipped;
    };
    let mut entry = Entry::copy(shard, (*id, *address), &world.snapshot, caller, &plan);
    let mut nobody = Client::away(*address);
    let met = (&mut nobody, request, &mut response);
    let outcome = attempt::run_copy(&mut attempts, &way, met, &mut entry).await;
    entry.answered(&response, attempts.progress(), &outcome);
    match outcome {
        Err(_) => ShadowResult::Failed,
        Ok(()) if response.status >= 400 => ShadowResult::Refused,
        Ok(()) => ShadowResult::Answered,
    }
}

/// The plan with the body as the version wants it; none: it cannot be made so.
fn fitted<'w>(
    world: &'w World,
    plan: &Plan<'static>,
    caller: &Caller,
    request: &Incoming,
) -> Option<Plan<'w>> {
    let snapshot = &world.snapshot;
    let mut plan: Plan<'w> = plan.copied(snapshot, plan.model);
    if admission::late(&snapshot.admission, caller, plan.model).any(|it| it == Late::Normalize) {
        plan.normalize(snapshot, request.body()).ok()?;
    }
    plan.close_edits(snapshot);
    Some(plan)
}
