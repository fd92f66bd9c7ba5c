//! The life of a client connection: one request after the other, until one side has had enough.

use std::net::IpAddr;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use crate::accept::client::Client;
use crate::accept::incoming;
use crate::accept::incoming::Trouble;
use crate::accept::incoming::Unproxied;
use crate::record::counters::ProxyTrouble;
use crate::record::counters::ShardCounter;
use crate::ring::clock;
use crate::ring::stream::Stream;
use crate::shard::Shard;
use crate::shard::admit;
use crate::shard::request;
use crate::shard::request::Fate;
use crate::shard::state::Place;
use crate::units::ShardId;

/// How long a client may go on sending what nobody reads, after its connection was closed from our side.
const LINGER: Duration = Duration::from_secs(2);
/// How much of that is read, in bytes: closing with bytes unread would reset the connection, and the client could
/// lose the response.
const LINGER_BYTES_MAX: usize = 1 << 20;

/// A connection that counts as open, from the moment it was taken: many are taken in one turn, before any of them is
/// served, and the bound and the evening out between shards go by that count.
pub(super) struct Open(Rc<Shard>);

impl Open {
    /// One more.
    pub(super) fn count(shard: &Rc<Shard>) -> Self {
        shard.page.add(ShardCounter::ConnectionsOpen, 1);
        Self(Rc::clone(shard))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.page.sub(ShardCounter::ConnectionsOpen, 1);
    }
}

/// Serves a client until its connection ends. What it `has_sent` is known where another shard has looked at it before; then
/// it has been introduced there, too.
///
/// An async fn would keep its arguments twice, beside every open stream.
pub(super) fn serve(
    open: Open,
    stream: Stream,
    address: IpAddr,
    has_sent: &[u8],
) -> impl Future<Output = ()> + use<> {
    let mut client = Client::new(stream, address);
    let must_introduce = has_sent.is_empty() && open.0.world().snapshot.listen.proxy_protocol;
    open.0.buffers.append(&mut client.input, has_sent);
    async move {
        let shard = &open.0;
        let fate = talk(shard, &mut client, must_introduce).await;
        shard.buffers.release(&mut client.input);
        let Some(stream) = client.into_stream() else { return };
        match fate {
            Fate::Linger => Box::pin(linger(stream, shard)).await,
            Fate::KeepAlive | Fate::Moved => {}
            Fate::Close => Box::pin(close(stream, shard)).await,
            // The response is not complete: a reset cannot be taken for its end, whatever its framing.
            Fate::Cut => stream.reset(),
        }
    }
}

/// Serves one request after the other.
#[expect(clippy::manual_async_fn, reason = "it would keep its arguments twice, in every stream")]
fn talk(shard: &Shard, client: &mut Client, must_introduce: bool) -> impl Future<Output = Fate> {
    async move {
        let Some(fd) = client.descriptor() else { return Fate::Cut };
        let presence = Presence::enter(shard, fd);
        if must_introduce && Box::pin(introduce(client, shard)).await.is_none() {
            return Fate::Cut;
        }
        loop {
            let world = shard.world();
            presence.set_idle(true);
            if !world.is_serving() && client.input.is_empty() {
                return Fate::Linger;
            }
            let peer = client.address;
            let mut head = incoming::head(client, &shard.buffers, world.limits(), |head| {
                // A world that was published while the head was waited for counts for this request already.
                admit::look(shard, head, peer)
            })
            .await;
            presence.set_idle(false);
            let fate = match &mut head {
                Ok((_, knock)) if let Some(owner) = knock.elsewhere(shard) => {
                    let is_handed = handed(shard, owner, client);
                    return if is_handed { Fate::Moved } else { Fate::Cut };
                }
                Ok((outline, knock)) => request::serve(shard, client, outline, knock).await,
                // In order: what the client was sent before may still be on its way, and a reset would cut it.
                Err(Trouble::Closed) => return Fate::Linger,
                Err(Trouble::Gone) => return Fate::Cut,
                Err(trouble) => Box::pin(request::reject(shard, client, &world, trouble)).await,
            };
            if fate != Fate::KeepAlive {
                return fate;
            }
        }
    }
}

/// Hands a connection, with what it has sent, to the shard that has the stream it comes back to. False: that takes no more.
fn handed(shard: &Shard, owner: ShardId, client: &Client) -> bool {
    let Some(outbox) = shard.outboxes.get(owner.index()) else { return false };
    let Some(fd) = client.descriptor() else { return false };
    let is_sent = outbox.try_lend(fd, client.address, client.input.filled());
    if is_sent {
        shard.page.add(ShardCounter::ConnectionsHandedOver, 1);
    }
    is_sent
}

/// Has a proxy say who the client is. Without that, or from a proxy that nobody trusts, nothing is known of the
/// connection, not even that it speaks HTTP: it is cut, and `None`.
async fn introduce(client: &mut Client, shard: &Shard) -> Option<()> {
    let world = shard.world();
    let trouble = if world.snapshot.listen.trusted_proxies.contains(client.address) {
        match incoming::proxied(client, &shard.buffers, world.limits()).await {
            Ok(()) => return Some(()),
            Err(Unproxied::Gone) => return None,
            Err(Unproxied::Wrong(_)) => ProxyTrouble::Malformed,
            Err(Unproxied::TooSlow) => ProxyTrouble::TooSlow,
        }
    } else {
        ProxyTrouble::Untrusted
    };
    shard.page.add(trouble, 1);
    None
}

/// Closes at once, when the client has been sent everything.
async fn close(mut stream: Stream, shard: &Shard) {
    if stream.drained(shard.write_deadline()).await.is_err() {
        stream.reset();
    }
}

/// Closes our direction, then reads and drops what the client still sends until it has closed its own.
async fn linger(mut stream: Stream, shard: &Shard) {
    if stream.drained(shard.write_deadline()).await.is_err() {
        return stream.reset();
    }
    stream.close_send();
    let deadline = clock::now().after(LINGER);
    let mut dropped = 0;
    while dropped < LINGER_BYTES_MAX {
        let got = shard.buffers.with_scratch(|scratch, _| stream.try_recv(scratch));
        match got {
            Ok(0) => return,
            Ok(count) => dropped += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if stream.readable(deadline).await.is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

/// A connection's place in the shard's book; leaving it when the connection ends, however that happens.
struct Presence<'s> {
    shard: &'s Shard,
    place: usize,
    fd: i32,
}

impl<'s> Presence<'s> {
    fn enter(shard: &'s Shard, fd: RawFd) -> Self {
        let place = shard.state.with(|own| own.enter(Place::Idle(fd)));
        Self { shard, place, fd }
    }

    fn set_idle(&self, is_idle: bool) {
        let place = if is_idle { Place::Idle(self.fd) } else { Place::Busy(self.fd) };
        self.shard.state.with(|own| own.connections[self.place] = place);
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.shard.state.with(|own| own.leave(self.place));
    }
}
