//! A hedged start: the same request to a second endpoint when the first does not begin to answer; the first to answer wins.

use std::future::poll_fn;
use std::task::Poll;

use crate::accept::client::Client;
use crate::accept::incoming::Incoming;
use crate::balance::budget;
use crate::balance::hedge;
use crate::balance::hedge::After;
use crate::balance::verdict;
use crate::balance::verdict::Verdict;
use crate::llm::features;
use crate::record::Fault;
use crate::record::counters::HedgeResult;
use crate::relay::exchange::Ahead;
use crate::relay::response::Response;
use crate::ring::clock;
use crate::shard::attempt::Attempts;
use crate::shard::attempt::InUse;
use crate::shard::attempt::Way;
use crate::shard::attempt::link;
use crate::shard::attempt::next;
use crate::shard::attempt::once::Attempt;
use crate::shard::attempt::pick;
use crate::shard::attempt::seat::Seat;
use crate::shard::entry::Entry;
use crate::shard::waiting;
use crate::snapshot::Endpoint;
use crate::units::Moment;

/// When a second endpoint is asked as well; [`Moment::NEVER`]: not at all.
pub(super) fn begins_at(
    attempts: &Attempts<'_>,
    way: &Way<'_>,
    request: &Incoming,
    attempt: &Attempt<'_>,
) -> Moment {
    let Some(rule) = attempts.model().hedge.as_ref() else { return Moment::NEVER };
    let is_measured = way.plan.is_stream || matches!(rule.after, After::Fixed(_));
    if !is_measured || (!rule.may_have_tools && features::has_tools(request.body())) {
        return Moment::NEVER;
    }
    let live = attempts.shard.health.live(attempt.endpoint.slot);
    let after = hedge::after(rule, live.p95, live.samples);
    after.map_or(Moment::NEVER, |after| attempt.began.after(after))
}

/// Asks a second endpoint, and waits until one of the two has something to say. The second attempt, if that was it; the
/// other one is given up by whoever drops it.
///
/// # Errors
/// The client has left, or the time for the first byte is over.
pub(super) async fn race<'w>(
    attempts: &mut Attempts<'w>,
    way: &Way<'_>,
    first: &mut Attempt<'w>,
    (client, request, response): (&mut Client, &mut Incoming, &mut Response),
    entry: &mut Entry<'_>,
) -> Result<Option<Attempt<'w>>, Fault> {
    let shard = attempts.shard;
    let Some((endpoint, mut seat)) = another(attempts, first) else {
        shard.page.add(HedgeResult::Denied, 1);
        return Ok(None);
    };
    entry.hedged();
    entry.attempted(endpoint.slot);
    let life = (&mut *client, &mut *response);
    let ended = match connected(attempts, first, (endpoint, &mut seat), life).await {
        Ok(Some(link)) => {
            let met = (client, request, response);
            second(attempts, way, first, (endpoint, seat, link), met, entry).await
        }
        Ok(None) => Ok(None),
        Err(fault) => Err(fault),
    };
    let has_won = matches!(ended, Ok(Some(_)));
    shard.page.add(if has_won { HedgeResult::Won } else { HedgeResult::Lost }, 1);
    ended
}

/// A connection to the second endpoint, unless the first one answers before.
async fn connected<'w>(
    attempts: &mut Attempts<'w>,
    first: &mut Attempt<'w>,
    (endpoint, seat): (&'w Endpoint, &mut Seat<'w>),
    (client, response): (&mut Client, &mut Response),
) -> Result<Option<InUse<'w>>, Fault> {
    let (shard, want) = (attempts.shard, attempts.want(endpoint, clock::now()));
    if let Some(link) = link::pooled(shard, want) {
        return Ok(Some(link));
    }
    let mut opening = std::pin::pin!(link::open(shard, endpoint, want.upstream, want.deadline));
    let opened = poll_fn(|cx| {
        if first.link.link().poll_word(cx).is_ready() {
            return Poll::Ready(None);
        }
        opening.as_mut().poll(cx).map(Some)
    });
    let life = attempts.life(response);
    match waiting::unless_gone(client, shard, life, opened).await {
        Err(waiting::Gone) => Err(shard.gone()),
        Ok(None) => Ok(None),
        Ok(Some(Ok(link))) => Ok(Some(link)),
        // One that cannot be reached is no help, and no harm: the first may still answer.
        Ok(Some(Err(fault))) => {
            attempts.note(seat, next::verdict(&Err(fault), 0, false));
            Ok(None)
        }
    }
}

/// The request goes up to the second endpoint; the attempt there, if it has something to say before the first one.
async fn second<'w>(
    attempts: &mut Attempts<'w>,
    way: &Way<'_>,
    first: &mut Attempt<'w>,
    (endpoint, mut seat, mut link): (&'w Endpoint, Seat<'w>, InUse<'w>),
    (client, request, response): (&mut Client, &mut Incoming, &mut Response),
    entry: &Entry<'_>,
) -> Result<Option<Attempt<'w>>, Fault> {
    let began = clock::now();
    let Ok(upload) = way.upload(attempts, endpoint, link.link(), request, &entry.id()) else {
        attempts.note(&mut seat, of_one_that_ended(&link));
        return Ok(None);
    };
    let is_reused = link.is_reused();
    let mut second = Attempt { endpoint, seat, link, upload, began };
    let until = attempts.deadline_at(way, endpoint, began);
    let before = attempts.deadlines.attempt;
    // Neither takes from the time of the other.
    attempts.deadlines.attempt = before.max(until);
    let name = way.plan.name_edit(&attempts.world.snapshot);
    let Attempt { link, upload, .. } = &mut second;
    let mut exchange = attempts.silent_exchange(client, link.link(), response);
    let ahead = exchange.race(upload, request, way.edits(&name), first.link.link()).await;
    let has_won = match ahead {
        Ok(Ahead::Link) => true,
        Ok(Ahead::LinkAlone(status)) => {
            attempts.note(&mut first.seat, of_the_other(status, &first.link));
            true
        }
        Ok(Ahead::Rival) => false,
        Ok(Ahead::RivalAlone(status)) => {
            attempts.note(&mut second.seat, of_the_other(status, &second.link));
            false
        }
        Err(fault) => {
            if fault == Fault::AttemptTimedOut {
                attempts.note(&mut second.seat, Verdict::Bad);
            }
            return Err(fault);
        }
    };
    attempts.deadlines.attempt = if has_won { until } else { before };
    if !has_won {
        return Ok(None);
    }
    attempts.was_reused = is_reused;
    Ok(Some(second))
}

/// What it says of an endpoint that it has begun an error of this status, or none and has ended.
fn of_the_other(status: Option<u16>, link: &InUse<'_>) -> Verdict {
    status.map_or_else(|| of_one_that_ended(link), |status| verdict::of_status(status, false))
}

/// What it says of an endpoint that a connection to it has ended without a word.
fn of_one_that_ended(link: &InUse<'_>) -> Verdict {
    if link.is_reused() { Verdict::Neutral } else { Verdict::Bad }
}

/// Whether one more request may be hedged, of those there are.
fn may_spend(attempts: &Attempts<'_>) -> bool {
    let model = attempts.model();
    let Some(rule) = &model.hedge else { return false };
    let now = clock::recent();
    attempts.shard.state.with(|own| own.budget(model.lane).hedges.take(budget(rule), now))
}

/// How many requests may be hedged: a share of them, and no more however few there are.
pub(super) const fn budget(rule: &hedge::Rule) -> budget::Rule {
    budget::Rule { percent: rule.budget_percent, min_per_second: 0 }
}

/// A seat at an endpoint that was not tried yet, if there is one, and one more request may be hedged.
fn another<'w>(
    attempts: &mut Attempts<'w>,
    first: &Attempt<'w>,
) -> Option<(&'w Endpoint, Seat<'w>)> {
    let (shard, wish) = (attempts.shard, attempts.wish());
    if !pick::has_untried(shard, wish, attempts.tried) || !may_spend(attempts) {
        return None;
    }
    let picked = pick::pick(shard, wish, &mut attempts.tried).ok();
    // Another shard may have been quicker: then it is the first one's turn again.
    picked.filter(|(endpoint, _)| endpoint.slot != first.endpoint.slot)
}
