//! The life of a client connection: one request after the other, until one side has had enough.

use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
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

/// Serves a client until its connection ends.
pub(super) async fn serve(open: Open, connection: OwnedFd, address: IpAddr) {
    let shard = Rc::clone(&open.0);
    let Ok(stream) = Stream::from_fd(connection) else { return };
    let mut client = Client::new(stream, address);
    let presence = Presence::enter(&shard, client.stream());
    if shard.world().snapshot.listen.proxy_protocol {
        let introduced = Box::pin(introduce(&mut client, &shard)).await;
        if introduced.is_none() {
            shard.buffers.release(&mut client.input);
            return client.into_stream().reset();
        }
    }
    let fate = loop {
        let world = shard.world();
        presence.set_idle(true);
        if !world.is_serving() && client.input.is_empty() {
            break Fate::Linger;
        }
        let peer = client.address;
        let mut head = incoming::head(&mut client, &shard.buffers, world.limits(), |head| {
            // A world that was published while the head was waited for counts for this request already.
            admit::look(&shard, head, peer)
        })
        .await;
        presence.set_idle(false);
        let fate = match &mut head {
            Ok((outline, knock)) => request::serve(&shard, &mut client, outline, knock).await,
            // In order: what the client was sent before may still be on its way, and a reset would cut it.
            Err(Trouble::Closed) => break Fate::Linger,
            Err(Trouble::Gone) => break Fate::Cut,
            Err(trouble) => Box::pin(request::reject(&shard, &mut client, &world, trouble)).await,
        };
        if fate != Fate::KeepAlive {
            break fate;
        }
    };
    shard.buffers.release(&mut client.input);
    match fate {
        Fate::Linger => Box::pin(linger(client, &shard)).await,
        Fate::KeepAlive => {}
        Fate::Close => Box::pin(close(client, &shard)).await,
        // The response is not complete: a reset cannot be taken for its end, whatever its framing.
        Fate::Cut => client.into_stream().reset(),
    }
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
async fn close(mut client: Client, shard: &Shard) {
    if client.stream().drained(shard.write_deadline()).await.is_err() {
        client.into_stream().reset();
    }
}

/// Closes our direction, then reads and drops what the client still sends until it has closed its own.
async fn linger(mut client: Client, shard: &Shard) {
    if client.stream().drained(shard.write_deadline()).await.is_err() {
        return client.into_stream().reset();
    }
    client.stream().close_send();
    let deadline = clock::now().after(LINGER);
    let mut dropped = 0;
    while dropped < LINGER_BYTES_MAX {
        let got = shard.buffers.with_scratch(|scratch, _| client.stream().try_recv(scratch));
        match got {
            Ok(0) => return,
            Ok(count) => dropped += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if client.stream().readable(deadline).await.is_err() {
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
    fn enter(shard: &'s Shard, stream: &Stream) -> Self {
        let fd = stream.as_raw_fd();
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
