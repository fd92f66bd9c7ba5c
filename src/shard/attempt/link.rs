//! A connection for one attempt: the one used last that is still good, or a fresh one; given back or closed.

use std::net::SocketAddr;

use crate::accept::client::Client;
use crate::record::Fault;
use crate::record::counters::Retirement;
use crate::record::counters::ShardCounter;
use crate::relay::exchange::Life;
use crate::ring::clock;
use crate::ring::stream::Dial;
use crate::shard::Shard;
use crate::shard::World;
use crate::shard::entry::Entry;
use crate::shard::waiting;
use crate::snapshot::Endpoint;
use crate::snapshot::Upstream;
use crate::units::Moment;
use crate::units::SlotId;
use crate::upstream::Link;
use crate::upstream::connect;
use crate::upstream::connect::Failure;
use crate::upstream::connect::Tls;
use crate::upstream::pool::Retired;

/// What a connection is wanted for.
#[derive(Clone, Copy)]
pub(super) struct Want<'w> {
    pub(super) endpoint: &'w Endpoint,
    pub(super) upstream: &'w Upstream,
    /// When it must be there, if it is opened.
    pub(super) deadline: Moment,
    /// Only one that was not used before will do.
    pub(super) is_fresh: bool,
}

/// The connection used last on which nothing has happened since.
pub(super) fn pooled<'s>(shard: &'s Shard, want: Want<'_>) -> Option<InUse<'s>> {
    if want.is_fresh {
        return None;
    }
    let (slot, limits) = (want.endpoint.slot, World::pool_limits(want.upstream));
    loop {
        let mut link = shard.state.with(|own| {
            let retire = |_, reason| shard.note_retired(reason);
            own.pool.take(slot, limits, clock::recent(), retire)
        })?;
        if link.is_quiet() {
            shard.page.add(ShardCounter::PoolReused, 1);
            link.is_reused = true;
            return Some(InUse::new(Place::taken(shard, slot), link));
        }
        drop(Place::taken(shard, slot));
        shard.note_retired(Retired::Broken);
    }
}

/// Opens a connection, unless the client leaves before.
pub(super) async fn opened<'s>(
    shard: &'s Shard,
    want: Want<'_>,
    (client, life): (&mut Client, Life<'_>),
    entry: &mut Entry<'_>,
) -> Result<InUse<'s>, Fault> {
    let began = clock::now();
    let opening = open(shard, want.endpoint, want.upstream, want.deadline);
    let opened = waiting::unless_gone(client, shard, life, opening).await;
    let link = opened.unwrap_or_else(|waiting::Gone| Err(shard.gone()))?;
    entry.connected(began);
    Ok(link)
}

/// Opens a connection.
pub(in crate::shard) async fn open<'s>(
    shard: &'s Shard,
    endpoint: &Endpoint,
    upstream: &Upstream,
    deadline: Moment,
) -> Result<InUse<'s>, Fault> {
    let place = Place::open(shard, endpoint.slot, upstream);
    let tls = endpoint.tls.as_ref().map(|tls| Tls {
        config: shard.state.with(|own| own.sessions.own(&tls.config)),
        server_name: &tls.server_name,
    });
    let dial = Dial { receive_bytes: shard.socket_bytes, ..Dial::default() };
    let addresses: &[SocketAddr] = &endpoint.addresses;
    match connect::open(addresses, tls.as_ref(), dial, deadline).await {
        Ok(link) => {
            shard.page.add(ShardCounter::PoolOpened, 1);
            Ok(InUse::new(place, link))
        }
        Err(Failure::NoAddress) => Err(Fault::NoEndpoint),
        Err(Failure::TimedOut) => Err(Fault::ConnectTimedOut),
        Err(Failure::Tls(_)) => Err(Fault::TlsFailed),
        Err(Failure::Refused(error)) => Err(match error.kind() {
            std::io::ErrorKind::ConnectionRefused => Fault::ConnectRefused,
            _ => Fault::ConnectFailed,
        }),
    }
}

/// A connection's place in the pool's count of those in use, from before it is opened until it is gone or given back.
struct Place<'s> {
    shard: &'s Shard,
    slot: SlotId,
    is_left: bool,
    /// What it is closed for, if it is not given back.
    fate: Retirement,
}

impl<'s> Place<'s> {
    /// The place of a connection that was taken from the pool.
    const fn taken(shard: &'s Shard, slot: SlotId) -> Self {
        Self { shard, slot, is_left: false, fate: Retirement::Broken }
    }

    /// A place for a connection that is going to be opened.
    fn open(shard: &'s Shard, slot: SlotId, upstream: &Upstream) -> Self {
        let limits = World::pool_limits(upstream);
        let retire = |_, reason| shard.note_retired(reason);
        shard.state.with(|own| own.pool.opened(slot, limits, retire));
        Self { shard, slot, is_left: false, fate: Retirement::Broken }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.is_left {
            self.shard.state.with(|own| own.pool.closed(self.slot));
        }
    }
}

/// A connection that serves a request. If it is dropped instead of given back, it was left in the middle of a
/// message, and is closed.
pub(in crate::shard) struct InUse<'s> {
    place: Place<'s>,
    link: Option<Link>,
}

impl<'s> InUse<'s> {
    fn new(place: Place<'s>, link: Link) -> Self {
        place.shard.page.add(ShardCounter::PoolInUse, 1);
        Self { place, link: Some(link) }
    }

    pub(super) fn link(&mut self) -> &mut Link {
        self.link.as_mut().expect("the link is there until it is given back")
    }

    /// Whether it was used before.
    pub(super) fn is_reused(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_reused)
    }

    pub(in crate::shard) fn give_back(mut self, upstream: &Upstream) {
        let Some(mut link) = self.link.take() else { return };
        // The wait that this begins is what tells, when it is taken again, whether something has happened meanwhile: one
        // that only began then would know nothing before the end of the turn.
        if !link.is_quiet() {
            self.place.fate = Retirement::Stale;
            self.link = Some(link);
            return;
        }
        link.set_deadline(Moment::NEVER);
        let (opened, limits, now) = (link.opened, World::pool_limits(upstream), clock::recent());
        let Place { shard, slot, .. } = self.place;
        self.place.is_left = true;
        let given = shard.state.with(|own| own.pool.give(slot, link, opened, limits, now));
        if let Err((_, reason)) = given {
            shard.note_retired(reason);
        }
    }

    pub(super) fn retire(mut self, reason: Retirement) {
        self.place.fate = reason;
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        let page = &self.place.shard.page;
        page.sub(ShardCounter::PoolInUse, 1);
        if self.link.is_some() {
            page.add(self.place.fate, 1);
        }
    }
}
