//! Attempts at one request: an endpoint, a connection to it, one exchange; and whether there may be another.

mod copy;
mod full;
mod go_on;
mod hedge;
mod link;
mod near;
mod next;
mod once;
mod onward;
mod pick;
mod seat;
mod watch;

use std::cell::Cell;

use crate::accept::client::Client;
use crate::accept::incoming::Incoming;
use crate::balance::deadline;
use crate::balance::retry::Cause;
use crate::balance::verdict::Verdict;
use crate::record::Fault;
use crate::record::counters::LaneCounter;
use crate::relay::exchange::Deadlines;
use crate::relay::exchange::Exchange;
use crate::relay::exchange::Life;
use crate::relay::exchange::Manners;
use crate::relay::exchange::Progress;
use crate::relay::response::Response;
use crate::ring::clock;
use crate::shard::Shard;
use crate::shard::World;
use crate::shard::request::Fate;
use crate::shard::resume;
use crate::shard::resume::Away;
use crate::shard::resume::Berthed;
use crate::shard::resume::Guest;
use crate::snapshot::Endpoint;
use crate::snapshot::Model;
use crate::snapshot::Upstream;
use crate::units::Millis;
use crate::units::ModelId;
use crate::units::Moment;
use crate::upstream::Link;
use crate::wire::buffer::Buffer;

pub(super) use copy::run_copy;
pub(super) use link::InUse;
pub(super) use link::open;
pub(super) use next::Step;
pub(super) use once::run;
pub(super) use onward::Way;

use go_on::Instead;
use link::Want;
use next::Said;
use pick::Tried;
use pick::Wish;
use seat::Seat;

/// What is known about the attempts at one request.
pub(super) struct Attempts<'w> {
    shard: &'w Shard,
    world: &'w World,
    arrived: Moment,
    deadlines: Deadlines,
    progress: Progress,
    /// The model that the client has asked for.
    asked: ModelId,
    /// The one that is asked for it now.
    model: ModelId,
    /// What requests that belong to the same endpoint have in common, where endpoints are chosen by that; 0: nothing.
    key: u64,
    /// Endpoints of the model's upstream that were tried.
    tried: Tried,
    /// What the error that was held back last says.
    said: Cell<Option<Said>>,
    /// The place in the chain of fallbacks from which the next one is looked for.
    chain_at: u16,
    /// Attempts for the present model.
    count: u8,
    has_turned_larger: bool,
    /// A connection that was used before has failed: only one that is opened for the purpose will do.
    is_fresh_wanted: bool,
    was_reused: bool,
    /// All attempts that there may be were made: the client's SDK should not multiply them.
    is_exhausted: bool,
    /// Where other connections of the client's are expected, if it may come back.
    berthed: Option<Box<Berthed<'w>>>,
    /// The connection that reads the stream now, if not the one that asked for it.
    guest: Option<Box<Guest>>,
    away: Away<'w>,
    /// What goes up in place of what the client has sent.
    instead: Option<Box<Instead>>,
}

impl<'w> Attempts<'w> {
    pub(super) fn new(
        shard: &'w Shard,
        world: &'w World,
        way: &Way<'_>,
        request: &Incoming,
        arrived: Moment,
    ) -> Self {
        let mut attempts = Self::bare(shard, world, way, request, arrived);
        if resume::is_wanted(world, way.plan, way.caller, request) {
            attempts.berthed = Berthed::open(shard).map(Box::new);
        }
        attempts
    }

    /// Of a request that no client comes back to.
    fn bare(
        shard: &'w Shard,
        world: &'w World,
        way: &Way<'_>,
        request: &Incoming,
        arrived: Moment,
    ) -> Self {
        let model = way.plan.model;
        let mut attempts = Self {
            shard,
            world,
            arrived,
            deadlines: deadlines(world, model, arrived),
            progress: Progress::default(),
            asked: model,
            model,
            key: 0,
            tried: Tried::default(),
            said: Cell::new(None),
            chain_at: 0,
            count: 0,
            has_turned_larger: false,
            is_fresh_wanted: false,
            was_reused: false,
            is_exhausted: false,
            berthed: None,
            guest: None,
            away: Away::new(shard),
            instead: None,
        };
        attempts.key = way.key(world, attempts.upstream(), request).unwrap_or(0);
        attempts.earn();
        attempts
    }

    /// Each request allows a share of another attempt.
    fn earn(&self) {
        let (model, now) = (self.model(), clock::recent());
        self.shard.state.with(|own| {
            let budgets = own.budget(model.lane);
            budgets.retries.earn(model.retry.budget, now);
            if let Some(rule) = &model.hedge {
                budgets.hedges.earn(hedge::budget(rule), now);
            }
        });
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The model that the client has asked for.
    pub(super) const fn asked(&self) -> ModelId {
        self.asked
    }

    /// Looks for the next fallback from this place of the chain on.
    pub(super) const fn chain_is_at(&mut self, place: u16) {
        self.chain_at = place;
    }

    /// Begins anew with another model; its time is what is left.
    pub(super) fn turn_to(&mut self, way: &Way<'_>, request: &Incoming) {
        let model = way.plan.model;
        self.model = model;
        self.tried = Tried::default();
        self.count = 0;
        self.is_fresh_wanted = false;
        self.key = way.key(self.world, self.upstream(), request).unwrap_or(0);
        self.instead = None;
        let Deadlines { first_byte, whole, commit_at, .. } = self.deadlines;
        let own = deadlines(self.world, model, self.arrived);
        self.deadlines = Deadlines { first_byte, whole, commit_at, ..own };
        self.earn();
    }

    /// Counts one more attempt for the same model.
    pub(super) fn note_retry(&self) {
        self.shard.page.add_lane(Some(self.model().lane), LaneCounter::Retries, 1);
    }

    fn model(&self) -> &'w Model {
        self.world.snapshot.model(self.model)
    }

    fn upstream(&self) -> &'w Upstream {
        self.world.snapshot.upstream(self.model().upstream)
    }

    fn wish(&self) -> Wish<'w> {
        Wish {
            world: self.world,
            upstream: self.model().upstream,
            key: Some(self.key).filter(|key| *key != 0),
            has_fallback: self.has_fallback(),
        }
    }

    /// An error that was held back for the sake of another attempt goes down after all; but for one that is about our own
    /// credential, which is nothing to the client.
    pub(super) async fn pass_on(
        &mut self,
        client: &mut Client,
        response: &mut Response,
    ) -> Result<(), Fault> {
        if self.said.get().is_some_and(|said| said.cause == Cause::Credential) {
            return Err(Fault::CredentialRefused);
        }
        if response.is_open() {
            response.speak(&self.shard.buffers);
            return Err(Fault::UpstreamStatus);
        }
        let mut out = Vec::new();
        response.release(self.is_exhausted, &self.shard.buffers, &mut out);
        self.progress.has_answered = true;
        self.progress.first_content = Some(clock::now());
        match client.send_all(&out, self.shard.write_deadline()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Fault::ClientGone),
        }
    }

    /// Tells a client that has a part of its response already that there will be no more.
    pub(super) async fn break_off(
        &mut self,
        client: &mut Client,
        response: &mut Response,
        fault: Fault,
    ) -> Fate {
        if matches!(fault, Fault::ClientGone | Fault::ClientSlow) {
            return Fate::Cut;
        }
        let mut last = Buffer::default();
        let is_told = self.shard.buffers.with_scratch(|_, out| {
            let is_told = response.feed_fault(fault, &self.shard.buffers, out);
            self.shard.buffers.append(&mut last, out);
            is_told
        });
        let shard = self.shard;
        let sent = self.reader(client).send_all(last.filled(), shard.write_deadline()).await;
        shard.buffers.release(&mut last);
        match sent {
            Ok(()) if is_told && response.is_client_reusable() => Fate::KeepAlive,
            Ok(()) if is_told => Fate::Linger,
            _ => Fate::Cut,
        }
    }

    /// What the client sees while nothing is under way.
    pub(super) fn life<'l>(&'l mut self, response: &'l mut Response) -> Life<'l> {
        Life {
            response,
            commit_at: self.deadlines.commit_at,
            manners: manners(self.world, self.model),
            buffers: &self.shard.buffers,
            progress: &mut self.progress,
        }
    }

    /// When the request had arrived, if the client is to be told where its time went.
    fn arrived_if_told(&self) -> Option<Moment> {
        self.world.snapshot.listen.server_timing.then_some(self.arrived)
    }

    /// Both ends of an exchange of which nobody is told.
    fn silent_exchange<'e>(
        &'e mut self,
        client: &'e mut Client,
        link: &'e mut Link,
        response: &'e mut Response,
    ) -> Exchange<'e, ()> {
        Exchange {
            client,
            link,
            buffers: &self.shard.buffers,
            deadlines: &self.deadlines,
            manners: manners(self.world, self.model),
            arrived: self.arrived_if_told(),
            progress: &mut self.progress,
            response,
            observer: (),
        }
    }

    /// The connection that is wanted for an attempt that begins now.
    fn want(&self, endpoint: &'w Endpoint, began: Moment) -> Want<'w> {
        let connect = began.after(self.model().deadlines.connect);
        let deadline = connect.min(self.deadlines.first_byte);
        let is_fresh = self.is_fresh_wanted;
        Want { endpoint, upstream: self.upstream(), deadline, is_fresh }
    }

    /// Tells the node what an attempt says of its endpoint.
    fn note(&self, seat: &mut Seat<'_>, verdict: Verdict) {
        seat.note(verdict, self.upstream().breaker.as_ref(), clock::now());
    }

    /// The deadline of an attempt at this endpoint that begins now, to its first byte.
    fn deadline_at(&self, way: &Way<'_>, endpoint: &Endpoint, began: Moment) -> Moment {
        let waits = &self.model().deadlines;
        // What is learnt is how long streams take to begin; an answer that comes whole takes as long as it is.
        let adaptive = waits.adaptive.as_ref().filter(|_| way.plan.is_stream);
        let (p99, samples) = if adaptive.is_some() {
            let live = self.shard.health.live(endpoint.slot);
            (live.p99, live.samples)
        } else {
            (None, 0)
        };
        deadline::attempt(waits.attempt, adaptive, p99, samples)
            .map_or(Moment::NEVER, |wait| began.after(wait))
    }
}

fn manners(world: &World, model: ModelId) -> &Manners {
    &world.manners[model.index()]
}

fn deadlines(world: &World, model: ModelId, arrived: Moment) -> Deadlines {
    let snapshot = &world.snapshot;
    let model = snapshot.model(model);
    Deadlines {
        first_byte: arrived.after(model.deadlines.first_byte),
        whole: arrived.after(model.deadlines.whole),
        attempt: Moment::NEVER,
        hedge_at: Moment::NEVER,
        gap: Millis::of(model.deadlines.gap),
        commit_at: arrived.after(model.streams.commit_after),
        write: Millis::of(snapshot.listen.write_timeout),
        leak: Millis::of(snapshot.upstream(model.upstream).pool.leak),
    }
}
