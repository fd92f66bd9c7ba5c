//! Clients that come back to a stream: a connection of theirs is lent to it, and given back when the stream has ended.
//!
//! A stream belongs to the task of the request that began it. Whoever comes back hands that task its connection, at the
//! stream's *berth*, and waits; the later takes the place of the earlier. A stream that has ended is read from the shelf.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use crate::accept::client::Client;
use crate::accept::incoming::Incoming;
use crate::accept::incoming::Outline;
use crate::admission::Caller;
use crate::balance::hash;
use crate::record::counters::Resumed;
use crate::record::counters::ShardCounter;
use crate::relay::replay::Cursor;
use crate::relay::replay::End;
use crate::relay::replay::Found;
use crate::relay::replay::Missing;
use crate::relay::replay::Rule;
use crate::relay::replay::Shelf;
use crate::relay::replay::StreamId;
use crate::relay::response::Asked;
use crate::relay::response::Joining;
use crate::relay::response::Numbers;
use crate::relay::response::Response;
use crate::ring::clock;
use crate::shard::Shard;
use crate::shard::World;
use crate::shard::look;
use crate::shard::plan::Plan;
use crate::shard::refusal;
use crate::shard::refusal::NoStream;
use crate::shard::refusal::Refusal;
use crate::shard::request::Fate;
use crate::sys::random;
use crate::wire::head::Method;

/// How much of a stream that has ended is sent in one go, in bytes.
const PORTION_BYTES: usize = 64 << 10;

/// Where connections that come back to a stream wait until its task takes them.
#[derive(Default)]
pub(super) struct Berth {
    guest: Cell<Option<Box<Guest>>>,
    waker: Cell<Option<Waker>>,
}

impl Berth {
    /// Ready when a connection waits here.
    pub(super) fn poll_guest(&self, cx: &Context<'_>) -> Poll<()> {
        let guest = self.guest.take();
        let is_there = guest.is_some();
        self.guest.set(guest);
        if is_there {
            return Poll::Ready(());
        }
        let waker = self.waker.take().filter(|waker| waker.will_wake(cx.waker()));
        self.waker.set(Some(waker.unwrap_or_else(|| cx.waker().clone())));
        Poll::Pending
    }

    /// Has whoever is relaying the stream look around.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The connection that waits here.
    pub(super) fn take(&self) -> Option<Box<Guest>> {
        self.guest.take()
    }

    /// A connection waits here from now on. One that has waited before is sent away: then false.
    fn put(&self, guest: Box<Guest>) -> bool {
        let earlier = self.guest.replace(Some(guest));
        self.wake();
        let is_first = earlier.is_none();
        if let Some(earlier) = earlier {
            earlier.give_back(Fate::Cut);
        }
        is_first
    }
}

/// A berth that is known by the name of its stream, as long as this lives.
pub(super) struct Berthed<'s> {
    shard: &'s Shard,
    id: StreamId,
    berth: Rc<Berth>,
}

impl<'s> Berthed<'s> {
    /// A berth for a stream of a new, unguessable name. None where nothing is kept, or nothing random is to be had.
    pub(super) fn open(shard: &'s Shard) -> Option<Self> {
        shard.shelf.as_ref()?;
        let id = StreamId::new(shard.id, random::bytes()?);
        let berth = Rc::new(Berth::default());
        shard.state.with(|own| own.berths.insert(id, Rc::clone(&berth)));
        Some(Self { shard, id, berth })
    }

    /// The berth itself.
    pub(super) fn berth(&self) -> &Berth {
        &self.berth
    }

    /// How the stream's events are numbered and kept.
    pub(super) fn numbers(
        &self,
        world: &World,
        plan: &Plan<'_>,
        caller: &Caller,
    ) -> Option<Numbers> {
        let shelf = Rc::clone(self.shard.shelf.as_ref()?);
        Some(Numbers::new(shelf, self.id, owner(world, caller), rule(world, plan)))
    }
}

impl Drop for Berthed<'_> {
    fn drop(&mut self) {
        self.shard.state.with(|own| own.berths.remove(&self.id));
    }
}

/// How a stream of this plan is kept.
fn rule(world: &World, plan: &Plan<'_>) -> Rule {
    let rule = world.snapshot.model(plan.model).streams.resume.rule;
    Rule {
        window: rule.window,
        bytes_max: rule.bytes_max,
        events_max: rule.events_max,
        age: rule.age,
    }
}

/// Whose stream it is: the same for all that a tenant asks, whatever becomes of the config in between; 0: nobody's.
fn owner(world: &World, caller: &Caller) -> u64 {
    let tenant = caller.tenant.and_then(|tenant| world.snapshot.admission.tenant(tenant));
    tenant.map_or(0, |tenant| hash::key(tenant.name.as_bytes()).max(1))
}

/// Whether the client of this request may come back to its stream.
pub(super) fn is_wanted(
    world: &World,
    plan: &Plan<'_>,
    caller: &Caller,
    request: &Incoming,
) -> bool {
    if !plan.is_stream {
        return false;
    }
    let tenant = caller.tenant.and_then(|tenant| world.snapshot.admission.tenant(tenant));
    let resume = &world.snapshot.model(plan.model).streams.resume;
    let says = tenant.and_then(|tenant| tenant.resume);
    resume.keeps(says, true)
        && (resume.keeps(says, false) || request.with_head(look::asks_to_resume))
}

/// A connection that is lent to a stream.
pub(super) struct Guest {
    pub(super) client: Client,
    pub(super) joining: Joining,
    loan: Rc<Loan>,
}

impl Guest {
    /// Gives the connection back to whom it belongs.
    pub(super) fn give_back(mut self, fate: Fate) {
        self.loan.settle(self.client.take(), Some(fate));
    }
}

impl Drop for Guest {
    /// The stream is over, and has not used this connection: whoever lent it looks again.
    fn drop(&mut self) {
        if !self.client.is_away() {
            self.loan.settle(self.client.take(), None);
        } else {
            self.loan.settle(self.client.take(), Some(Fate::Cut));
        }
    }
}

/// A connection that somebody else has for a while.
#[derive(Default)]
struct Loan {
    back: Cell<Option<(Client, Option<Fate>)>>,
    waker: Cell<Option<Waker>>,
    is_settled: Cell<bool>,
}

impl Loan {
    fn settle(&self, client: Client, fate: Option<Fate>) {
        if self.is_settled.replace(true) {
            return;
        }
        self.back.set(Some((client, fate)));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<(Client, Option<Fate>)> {
        match self.back.take() {
            Some(back) => Poll::Ready(back),
            None => {
                self.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

/// A stream that goes on without its client is counted, as long as this says so.
pub(super) struct Away<'s> {
    shard: &'s Shard,
    is_away: Cell<bool>,
}

impl<'s> Away<'s> {
    pub(super) const fn new(shard: &'s Shard) -> Self {
        Self { shard, is_away: Cell::new(false) }
    }

    /// The client has left, or is there again.
    pub(super) fn set(&self, is_away: bool) {
        match (self.is_away.replace(is_away), is_away) {
            (false, true) => self.shard.page.add(ShardCounter::StreamsAway, 1),
            (true, false) => self.shard.page.sub(ShardCounter::StreamsAway, 1),
            _ => {}
        }
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// Who comes back, and to what.
pub(super) struct Return<'r> {
    pub(super) shard: &'r Shard,
    pub(super) world: &'r World,
    pub(super) outline: &'r Outline,
    pub(super) caller: &'r Caller,
    /// Whether its connection goes on after the stream.
    pub(super) is_keep_alive: bool,
}

/// What a client that comes back gets.
pub(super) enum Answer {
    /// It was served.
    Served(Fate),
    /// It has missed nothing, and nothing will come.
    NothingMore,
}

impl Return<'_> {
    /// Serves a client that comes back to a stream.
    pub(super) async fn serve(
        &self,
        request: &Incoming,
        client: &mut Client,
        asked: &Asked,
    ) -> Result<Answer, Box<Refusal>> {
        loop {
            let (shelf, stream, found, cursor) = self.find(request)?;
            let joining = Joining {
                version: self.outline.version,
                is_keep_alive: self.is_keep_alive,
                cursor,
            };
            if found.is_finished.is_some() {
                self.count(Resumed::Finished);
                return Ok(self.replay(&shelf, stream, found, joining, client, asked).await);
            }
            let berth = self.shard.state.with(|own| own.berths.get(&stream).cloned());
            let Some(berth) = berth else { return Err(self.refuse(NoStream::Gone)) };
            self.count(Resumed::Live);
            let loan = Rc::new(Loan::default());
            let guest = Guest { client: client.take(), joining, loan: Rc::clone(&loan) };
            if !berth.put(Box::new(guest)) {
                self.count(Resumed::Displaced);
            }
            drop(berth);
            let (back, fate) = poll_fn(|cx| loan.poll(cx)).await;
            *client = back;
            match fate {
                Some(fate) => return Ok(Answer::Served(fate)),
                None if client.is_away() => return Ok(Answer::Served(Fate::Cut)),
                // The stream has ended before it took the connection.
                None => {}
            }
        }
    }

    fn find(
        &self,
        request: &Incoming,
    ) -> Result<(Rc<Shelf>, StreamId, Found, Cursor), Box<Refusal>> {
        let event = look::resumed_by(request).ok_or_else(|| self.refuse(NoStream::Unknown))?;
        let shelf = self.shard.shelf.as_ref().ok_or_else(|| self.refuse(NoStream::Gone))?;
        let found =
            shelf.find(event.stream, clock::recent()).ok_or_else(|| self.refuse(NoStream::Gone))?;
        if found.owner != owner(self.world, self.caller) {
            return Err(self.refuse(NoStream::Unknown));
        }
        let cursor = shelf.after(found.place, event.seq).map_err(|missing| {
            self.refuse(match missing {
                Missing::Forgotten => NoStream::Gone,
                Missing::Future => NoStream::Future,
            })
        })?;
        Ok((Rc::clone(shelf), event.stream, found, cursor))
    }

    fn refuse(&self, why: NoStream) -> Box<Refusal> {
        self.count(match why {
            NoStream::Gone => Resumed::Gone,
            NoStream::Unknown | NoStream::Future => Resumed::Unknown,
        });
        refusal::no_stream(why)
    }

    fn count(&self, result: Resumed) {
        self.shard.page.add(result, 1);
    }

    /// Sends what is kept of a stream that has ended.
    async fn replay(
        &self,
        shelf: &Rc<Shelf>,
        id: StreamId,
        found: Found,
        joining: Joining,
        client: &mut Client,
        asked: &Asked,
    ) -> Answer {
        let mut none = Vec::new();
        let mut cursor = joining.cursor;
        if found.is_finished == Some(End::Done)
            && shelf.read(found.place, &mut cursor, 1, &mut none) == Ok(true)
            && none.is_empty()
        {
            return Answer::NothingMore;
        }
        let mut response = Response::replay(asked.clone(), Rc::clone(shelf), id, found.place);
        let mut out = Vec::new();
        response.join(joining, &mut out);
        while response.is_behind() {
            if response.catch_up(PORTION_BYTES, &mut out).is_err() {
                return Answer::Served(Fate::Cut);
            }
            if client.send_all(&out, self.shard.write_deadline()).await.is_err() {
                return Answer::Served(Fate::Cut);
            }
            out.clear();
        }
        let is_reusable = response.is_client_reusable() && self.outline.method != Method::Head;
        Answer::Served(if is_reusable { Fate::KeepAlive } else { Fate::Linger })
    }
}
