//! One attempt: an endpoint that may be asked, a connection to it, and the exchange.

use std::cell::Cell;

use crate::accept::client::Client;
use crate::accept::incoming::Incoming;
use crate::admission::queue::Line;
use crate::balance::verdict;
use crate::balance::verdict::Verdict;
use crate::record::Fault;
use crate::record::counters::Retirement;
use crate::relay::exchange::Ended;
use crate::relay::exchange::Exchange;
use crate::relay::response::Response;
use crate::relay::upload::Upload;
use crate::ring::clock;
use crate::shard::attempt::Attempts;
use crate::shard::attempt::full;
use crate::shard::attempt::hedge;
use crate::shard::attempt::link;
use crate::shard::attempt::link::InUse;
use crate::shard::attempt::manners;
use crate::shard::attempt::next;
use crate::shard::attempt::onward::Way;
use crate::shard::attempt::pick;
use crate::shard::attempt::pick::Unpicked;
use crate::shard::attempt::seat::Seat;
use crate::shard::attempt::watch::Watch;
use crate::shard::entry::Entry;
use crate::shard::resume::Berthed;
use crate::snapshot::Endpoint;
use crate::units::Moment;

/// One attempt under way: a seat at an endpoint, a connection to it, and how far the request has gone up on that.
pub(super) struct Attempt<'w> {
    pub(super) endpoint: &'w Endpoint,
    pub(super) seat: Seat<'w>,
    pub(super) link: InUse<'w>,
    pub(super) upload: Upload,
    pub(super) began: Moment,
}

/// Tries once: an endpoint that may be asked, a connection to it, and the exchange.
#[expect(clippy::manual_async_fn, reason = "it would keep its arguments twice, in every stream")]
pub(in crate::shard) fn run<'a>(
    attempts: &'a mut Attempts<'_>,
    way: &'a Way<'_>,
    client: &'a mut Client,
    request: &'a mut Incoming,
    response: &'a mut Response,
    entry: &'a mut Entry<'_>,
) -> impl Future<Output = Result<Ended, Fault>> {
    async move {
        let seated = match seated(attempts) {
            Ok(seated) => seated,
            Err(Unpicked::Down) => return Err(Fault::NoEndpoint),
            // Boxed: that they are full is rare, and an open stream must not pay for the room the wait takes.
            Err(Unpicked::Full) => {
                let met = (&mut *client, &mut *response);
                Box::pin(full::for_place(attempts, way.caller, met, entry)).await?
            }
        };
        attempts.count = attempts.count.saturating_add(1);
        let mut attempt = begin(attempts, way, seated, (client, request, response), entry).await?;
        attempts.deadlines.attempt = attempts.deadline_at(way, attempt.endpoint, attempt.began);
        attempts.deadlines.hedge_at = hedge::begins_at(attempts, way, request, &attempt);
        loop {
            let met = (&mut *client, &mut *request, &mut *response);
            let ended = exchange(attempts, way, &mut attempt, met, entry).await;
            match ended {
                Ok(Ended::HedgeDue) => {}
                Ok(Ended::Joined) => {
                    attempts.welcome(client, response, entry);
                    continue;
                }
                _ => return conclude(attempts, way, attempt, response, ended),
            }
            attempts.deadlines.hedge_at = Moment::NEVER;
            let met = (&mut *client, &mut *request, &mut *response);
            let raced = Box::pin(hedge::race(attempts, way, &mut attempt, met, entry)).await;
            let fault = match raced {
                Ok(rival) => {
                    attempt = rival.unwrap_or(attempt);
                    None
                }
                Err(fault) => Some(fault),
            };
            entry.goes_on(attempt.endpoint.slot, attempt.began);
            if let Some(fault) = fault {
                return conclude(attempts, way, attempt, response, Err(fault));
            }
        }
    }
}

/// An endpoint and a seat there, unless others wait for one.
pub(super) fn seated<'w>(
    attempts: &mut Attempts<'w>,
) -> Result<(&'w Endpoint, Seat<'w>), Unpicked> {
    let (shard, wish) = (attempts.shard, attempts.wish());
    let line = Line::Endpoints(attempts.upstream().group);
    if shard.state.with(|own| own.queue.waiting_for(line)) > 0 {
        return Err(Unpicked::Full);
    }
    pick::pick(shard, wish, &mut attempts.tried)
}

/// Connects, and sends as much of the request as fits.
pub(super) fn begin<'a, 'w>(
    attempts: &'a mut Attempts<'w>,
    way: &'a Way<'_>,
    (endpoint, mut seat): (&'w Endpoint, Seat<'w>),
    (client, request, response): (&'a mut Client, &'a Incoming, &'a mut Response),
    entry: &'a mut Entry<'_>,
) -> impl Future<Output = Result<Attempt<'w>, Fault>> {
    let began = clock::now();
    attempts.progress.begin();
    entry.begins(endpoint.slot, began);
    let want = attempts.want(endpoint, began);
    let pooled = link::pooled(attempts.shard, want);
    async move {
        let link = match pooled {
            Some(link) => Ok(link),
            // Boxed: a connection is opened rarely, and an open stream must not pay for the room it takes.
            None => {
                let (shard, life) = (attempts.shard, attempts.life(response));
                Box::pin(link::opened(shard, want, (client, life), entry)).await
            }
        };
        let begun = link.and_then(|mut link| {
            attempts.was_reused = link.is_reused();
            let upload = way.upload(attempts, endpoint, link.link(), request, &entry.id())?;
            Ok((link, upload))
        });
        let (link, upload) = begun.inspect_err(|fault| {
            attempts.note(&mut seat, next::verdict(&Err(*fault), 0, false));
        })?;
        Ok(Attempt { endpoint, seat, link, upload, began })
    }
}

/// The exchange itself.
pub(super) fn exchange<'a>(
    attempts: &'a mut Attempts<'_>,
    way: &'a Way<'_>,
    attempt: &'a mut Attempt<'_>,
    (client, request, response): (&'a mut Client, &'a mut Incoming, &'a mut Response),
    entry: &'a Entry<'_>,
) -> impl Future<Output = Result<Ended, Fault>> {
    attempts.said.set(None);
    let name = way.plan.name_edit(&attempts.world.snapshot);
    let is_rewritten = attempts.is_rewritten();
    let (has_fallback, arrived) = (attempts.has_fallback(), attempts.arrived_if_told());
    let has_repeated = attempts.has_repeated();
    let (shard, manners) = (attempts.shard, manners(attempts.world, attempts.model));
    let request = match attempts.instead.as_deref_mut().and_then(|it| it.request.as_mut()) {
        Some(instead) => instead,
        None => request,
    };
    let Attempt { endpoint, seat, link, upload, began } = attempt;
    let watch = Watch {
        world: attempts.world,
        way,
        entry,
        endpoint,
        has_fallback,
        has_repeated,
        said: &attempts.said,
        has_told_head: Cell::new(false),
        first: Cell::new(Some((seat, *began))),
        berth: attempts.berthed.as_deref().map(Berthed::berth),
        away: &attempts.away,
    };
    let reader = match attempts.guest.as_deref_mut() {
        Some(guest) => &mut guest.client,
        None => client,
    };
    let mut exchange = Exchange {
        client: reader,
        manners,
        link: link.link(),
        buffers: &shard.buffers,
        deadlines: &attempts.deadlines,
        arrived,
        progress: &mut attempts.progress,
        response,
        observer: watch,
    };
    // An async fn would keep its arguments beside all this.
    async move {
        let edits = if is_rewritten { &[] } else { way.edits(&name) };
        exchange.run(upload, request, edits).await
    }
}

/// Ends an attempt: what it says of the endpoint, and what becomes of its connection.
pub(super) fn conclude(
    attempts: &mut Attempts<'_>,
    way: &Way<'_>,
    attempt: Attempt<'_>,
    response: &Response,
    ended: Result<Ended, Fault>,
) -> Result<Ended, Fault> {
    let Attempt { mut seat, link, .. } = attempt;
    let is_ours = way.is_credential_ours(attempts.world, attempts.model().upstream);
    let status = response.answered_with();
    let verdict = match ended {
        Err(fault) if attempts.is_stale(fault) => Verdict::Neutral,
        // What it has answered counts, not that this had to be told by an event.
        Err(Fault::UpstreamStatus) => verdict::of_status(status, is_ours),
        _ => next::verdict(&ended, status, is_ours),
    };
    attempts.note(&mut seat, verdict);
    if ended == Ok(Ended::Withheld)
        && let Some(wait) = attempts.said.get().and_then(|said| said.retry_after)
    {
        let wait = wait.span().min(attempts.model().retry.retry_after_max);
        attempts.shard.health.pause(seat.slot(), clock::now().after(wait));
    }
    if ended.is_ok() {
        // An answer that came before all of the request was sent: the rest must not be taken for the next request.
        if response.is_reusable() && attempts.progress.sent_up.is_some() {
            link.give_back(attempts.upstream());
        } else {
            link.retire(Retirement::NotReusable);
        }
    }
    ended
}
