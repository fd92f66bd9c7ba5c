//! Waiting for a turn, at a full limit or at full endpoints: bounded, fair between tenants, until there is room, the time is over, or the client leaves.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use crate::accept::client::Client;
use crate::accept::client::Received;
use crate::accept::incoming::CONTINUE;
use crate::admission;
use crate::admission::queue::Line;
use crate::admission::queue::Priority;
use crate::admission::queue::Ticket;
use crate::record::counters::ShardCounter;
use crate::relay::exchange::Life;
use crate::ring::clock;
use crate::ring::clock::Timer;
use crate::shard::Shard;
use crate::shard::admit;
use crate::shard::admit::Asking;
use crate::shard::admit::Denied;
use crate::shard::grant::Full;
use crate::shard::grant::Grant;
use crate::shard::plan::Plan;
use crate::shard::refusal;
use crate::units::GroupId;
use crate::units::Moment;
use crate::units::TenantId;
use crate::wire::head::Version;

/// How often the first in a line looks whether there is room: what other shards give back is not told to this one.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How often a client that has closed its sending direction is looked at: is it still there?
const HALF_CLOSED_LOOK: Duration = Duration::from_millis(100);

/// How many may wait for a limit, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) waiting_max: u32,
    pub(super) wait: Duration,
}

/// Who wants to wait, and for what.
pub(super) struct Entering {
    pub(super) line: Line,
    pub(super) tenant: Option<TenantId>,
    pub(super) priority: Priority,
    pub(super) line_max: u32,
    /// Where those that wait are counted.
    pub(super) gauge: ShardCounter,
}

/// A place in a line; leaving it when it is dropped, however that happens.
pub(super) struct Place<'s> {
    shard: &'s Shard,
    ticket: Ticket,
    gauge: ShardCounter,
    is_served: bool,
    /// What was given back when it last looked.
    seen: Cell<u64>,
}

impl<'s> Place<'s> {
    pub(super) fn enter(shard: &'s Shard, entering: &Entering) -> Option<Self> {
        let Entering { line, tenant, priority, line_max, gauge } = *entering;
        let line_max = usize::try_from(line_max).unwrap_or(usize::MAX);
        let (ticket, seen) = shard.state.with(|own| {
            let ticket = own.queue.enter(line, tenant, priority, line_max).ok()?;
            Some((ticket, Cell::new(own.given_back)))
        })?;
        shard.page.add(gauge, 1);
        Some(Self { shard, ticket, gauge, is_served: false, seen })
    }

    /// It has got what it waited for.
    pub(super) fn serve(&mut self) {
        self.is_served = true;
    }

    /// Whether it is this one's turn to look; if not, `cx` is woken when it is.
    fn poll_turn(&self, cx: &Context<'_>) -> Turn {
        self.shard.state.with(|own| {
            own.waiting.insert(self.ticket, cx.waker().clone());
            if !own.queue.is_first(&self.ticket) {
                return Turn::Others;
            }
            if self.seen.replace(own.given_back) == own.given_back { Turn::Own } else { Turn::Now }
        })
    }
}

/// Whose turn it is to look.
enum Turn {
    /// Somebody's who came before.
    Others,
    /// This one's, from time to time.
    Own,
    /// This one's, and something was given back.
    Now,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shard.page.sub(self.gauge, 1);
        let next: Option<Waker> = self.shard.state.with(|own| {
            own.queue.leave(&self.ticket, self.is_served);
            own.waiting.remove(&self.ticket);
            own.queue.next_after(&self.ticket).and_then(|next| own.waiting.remove(&next))
        });
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

/// Somebody has given back a place at an endpoint: whoever is first in the line there looks at once.
pub(super) fn wake_first(shard: &Shard, group: GroupId) {
    let first = shard.state.with(|own| {
        if own.queue.waiting() == 0 {
            return None;
        }
        own.given_back += 1;
        let first = own.queue.first(Line::Endpoints(group))?;
        own.waiting.remove(&first)
    });
    if let Some(waker) = first {
        waker.wake();
    }
}

/// The client has left, or the gateway ends: [`Shard::gone`] says which.
pub(super) struct Gone;

/// Waits until `until`.
pub(super) async fn pause(
    shard: &Shard,
    client: &mut Client,
    mut life: Life<'_>,
    until: Moment,
) -> Result<(), Gone> {
    let timer = Timer::new();
    poll_fn(|cx| {
        if is_gone(client, shard, Probe::Life(&life), cx) {
            return Poll::Ready(Err(Gone));
        }
        let now = clock::now();
        if now >= until {
            return Poll::Ready(Ok(()));
        }
        let look = if client.is_half_closed() { now.after(HALF_CLOSED_LOOK) } else { until };
        timer.set(until.min(look).min(show(shard, &mut life, client, now)));
        if timer.poll_due(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

/// Waits until the request is let in.
pub(super) async fn for_turn<'w>(
    asking: &Asking<'_, 'w>,
    grant: &mut Grant<'_>,
    plan: &mut Plan<'w>,
    client: &mut Client,
    full: Full,
    bounds: Bounds,
) -> Result<(), Denied> {
    let dialect = plan.dialect;
    let refused = |why| {
        let mut refusal = refusal::not_admitted(why, None).spoken(dialect);
        admit::tell_limit(&mut refusal, &full);
        Denied::Refused(refusal)
    };
    let entering = Entering {
        line: Line::Limit(full.limit.id),
        tenant: grant.caller.tenant,
        priority: admit::priority(asking.world, &grant.caller),
        line_max: bounds.waiting_max,
        gauge: ShardCounter::QueueWaiting,
    };
    let Some(mut place) = Place::enter(asking.shard, &entering) else {
        return Err(refused(admission::Refusal::QueueFull));
    };
    let may_probe = asking.request.with_head(|head| head.version == Version::Http11);
    let deadline = clock::now().after(bounds.wait);
    let timer = Timer::new();
    loop {
        match turn(&place, client, may_probe, None, (&timer, deadline)).await {
            Woken::Turn => {}
            Woken::Gone => return Err(Denied::Gone),
            Woken::Late => return Err(refused(admission::Refusal::QueueTimedOut)),
        }
        let tried = asking.try_admit(grant, plan).map_err(|refusal| refusal.spoken(dialect))?;
        if tried.is_ok() {
            place.serve();
            return Ok(());
        }
    }
}

/// Why a wait has ended.
pub(super) enum Woken {
    Turn,
    Gone,
    Late,
}

/// Waits until it is this one's turn, and then a moment.
pub(super) async fn turn(
    place: &Place<'_>,
    client: &mut Client,
    may_probe: bool,
    mut life: Option<Life<'_>>,
    (timer, deadline): (&Timer, Moment),
) -> Woken {
    let mut look_at = None;
    poll_fn(|cx| {
        let probe = life.as_ref().map_or(Probe::Head(may_probe), Probe::Life);
        if is_gone(client, place.shard, probe, cx) {
            return Poll::Ready(Woken::Gone);
        }
        let now = clock::now();
        if now >= deadline {
            return Poll::Ready(Woken::Late);
        }
        let mut wake_at = deadline;
        if let Some(life) = &mut life {
            wake_at = wake_at.min(show(place.shard, life, client, now));
        }
        match place.poll_turn(cx) {
            Turn::Others => {}
            Turn::Now => return Poll::Ready(Woken::Turn),
            Turn::Own => {
                let look_at = *look_at.get_or_insert_with(|| now.after(LOOK_EVERY));
                if now >= look_at {
                    return Poll::Ready(Woken::Turn);
                }
                wake_at = wake_at.min(look_at);
            }
        }
        if client.is_half_closed() {
            wake_at = wake_at.min(now.after(HALF_CLOSED_LOOK));
        }
        timer.set(wake_at);
        if timer.poll_due(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

/// Does this work to its end, unless the client leaves before.
pub(super) async fn unless_gone<T>(
    client: &mut Client,
    shard: &Shard,
    mut life: Life<'_>,
    work: impl Future<Output = T>,
) -> Result<T, Gone> {
    let mut work = std::pin::pin!(work);
    let timer = Timer::new();
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        if is_gone(client, shard, Probe::Life(&life), cx) {
            return Poll::Ready(Err(Gone));
        }
        let now = clock::now();
        let mut wake_at = show(shard, &mut life, client, now);
        if client.is_half_closed() {
            wake_at = wake_at.min(now.after(HALF_CLOSED_LOOK));
        }
        if wake_at < Moment::NEVER {
            timer.set(wake_at);
            if timer.poll_due(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    })
    .await
}

/// Shows what is due of a stream's life, and says when the next is.
fn show(shard: &Shard, life: &mut Life<'_>, client: &mut Client, now: Moment) -> Moment {
    if now >= life.due(client) && life.show(client, now) {
        shard.page.add(ShardCounter::Heartbeats, 1);
    }
    life.due(client)
}

/// What finds out whether a client that has closed its sending direction is still there: it reads over it, or answers it with
/// a reset.
#[derive(Clone, Copy)]
pub(super) enum Probe<'l> {
    /// An interim head, if the client knows such.
    Head(bool),
    /// What fits a response that may have begun.
    Life(&'l Life<'l>),
}

/// Whether the client has left, or the gateway ends.
pub(super) fn is_gone(
    client: &mut Client,
    shard: &Shard,
    probe: Probe<'_>,
    cx: &mut Context<'_>,
) -> bool {
    if shard.is_ending.get() {
        return true;
    }
    while client.poll_input(cx).is_ready() {
        match (client.receive(&shard.buffers), probe) {
            (Received::Gone, _) => return true,
            (Received::End, Probe::Head(true)) => client.post(CONTINUE),
            (Received::End, Probe::Life(life)) => life.probe(client),
            (Received::End | Received::Nothing | Received::Bytes(_), _) => {}
        }
    }
    client.is_half_closed() && client.is_gone()
}
