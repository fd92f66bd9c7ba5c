//! How a shard starts and what it does beside serving: it adopts worlds, takes connections, looks after its pool.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Barrier;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use crate::accept;
use crate::accept::Pause;
use crate::accept::overload::Caps;
use crate::admission::Memory;
use crate::admission::queue::Queue;
use crate::admission::step::Factory;
use crate::admission::step::Steps;
use crate::crossing::gauges::SharedPage;
use crate::crossing::health::SharedHealth;
use crate::crossing::nonces::SharedNonces;
use crate::crossing::publish::Inlet;
use crate::crossing::quota::SharedBook;
use crate::crossing::records;
use crate::knobs::SHARDS_MAX;
use crate::record::counters::ShardCounter;
use crate::relay::replay::Shelf;
use crate::ring;
use crate::ring::Ring;
use crate::ring::clock;
use crate::ring::listen::Inbox;
use crate::ring::listen::Listener;
use crate::ring::listen::Outbox;
use crate::ring::stream::Readiness;
use crate::ring::stream::Stream;
use crate::ring::task;
use crate::ring::turn;
use crate::shard::Shard;
use crate::shard::TICK;
use crate::shard::connection;
use crate::shard::connection::Open;
use crate::shard::drain;
use crate::shard::state::State;
use crate::shard::warm;
use crate::sys::affinity;
use crate::sys::limits;
use crate::sys::slice;
use crate::sys::socket;
use crate::units::Moment;
use crate::units::ShardId;
use crate::units::SlotId;
use crate::upstream::Link;
use crate::wire::buffer::Buffers;

/// All that a shard is given before its thread starts.
pub struct Setup {
    /// Its number.
    pub id: ShardId,
    /// The CPU it is pinned to, if any.
    pub cpu: Option<usize>,
    /// How its ring is built.
    pub ring: ring::Options,
    /// Where it finds what control publishes.
    pub inlet: Inlet,
    /// The pages of all shards, by shard.
    pub pages: Vec<SharedPage>,
    /// Where its records go.
    pub records: records::Sender,
    /// Where it finds connections that other shards handed to it.
    pub inbox: OwnedFd,
    /// The sending ends of the shards' inboxes, by shard; open for the life of the process.
    pub outboxes: Vec<RawFd>,
    /// Client connections it holds at most.
    pub connections_max: u64,
    /// Requests it serves at once.
    pub requests_max: u64,
    /// Memory it holds for bodies and for responses that wait, in bytes.
    pub held_bytes_max: usize,
    /// Requests that wait for their turn at a limit.
    pub queue_max: usize,
    /// Memory in which it keeps streams for clients that may come back, in bytes; 0: it keeps none.
    pub replay_bytes: usize,
    /// What is used of every limit, on all shards.
    pub book: SharedBook,
    /// Signed requests that were let in, on all shards.
    pub nonces: SharedNonces,
    /// How the endpoints are, on the whole node.
    pub health: SharedHealth,
    /// The embedder's steps, which every shard makes for itself.
    pub steps: &'static [Factory],
    /// What the kernel may hold for one direction of a connection, in bytes; 0: the system's choice.
    pub socket_bytes: u32,
    /// Whether it cannot do without a file table of its own: one for all would be too small.
    pub needs_own_file_table: bool,
    /// Descriptors that it has no use for in a table of its own.
    pub useless: Vec<RawFd>,
    /// Where every shard waits until all have built their rings: a table of its own comes after that.
    pub built: &'static Barrier,
    /// The address on which shard 0 listens: where the config leaves the port to the system (0), it is the one for all.
    pub first_bound: &'static OnceLock<SocketAddr>,
}

/// What a shard says once it listens, or cannot.
#[derive(Debug)]
pub struct Started {
    /// Who says it.
    pub id: ShardId,
    /// The address it listens on and what drives its ring, or why not.
    pub outcome: Result<(SocketAddr, String), String>,
}

/// Runs a shard on the calling thread until the process ends. It listens once the first world was published.
pub fn run(setup: Setup, started: mpsc::Sender<Started>) {
    let id = setup.id;
    if let Some(cpu) = setup.cpu
        && !affinity::pin_to(cpu)
    {
        tracing::warn!(shard = id.0, cpu, "cannot pin the shard to its cpu");
    }
    limits::precise_sleep();
    slice::wake_soon();
    let ring = Ring::build(&setup.ring);
    setup.built.wait();
    let tell = |outcome| {
        // Nobody listens any more only when the process is ending.
        started.send(Started { id, outcome }).ok();
    };
    let ring = match ring {
        Ok(ring) => ring,
        Err(error) => return tell(Err(format!("cannot build an event loop: {error}"))),
    };
    // Calls on descriptors cost less where no other thread shares the table, so every shard asks for one.
    match limits::own_file_table() {
        Ok(()) => limits::close_copies_here(&setup.useless),
        Err(error) if setup.needs_own_file_table => {
            return tell(Err(format!("cannot get a file table of its own: {error}")));
        }
        Err(error) => tracing::info!(shard = id.0, %error, "no file table of its own"),
    }
    let driver = ring.driver();
    let Err(error) = ring.run(serve(setup, driver, started.clone()));
    tell(Err(error));
}

async fn serve(
    setup: Setup,
    driver: String,
    started: mpsc::Sender<Started>,
) -> Result<Infallible, String> {
    let caps = Caps {
        requests_max: setup.requests_max,
        held_bytes_max: setup.held_bytes_max,
        queue_max: setup.queue_max,
    };
    let memory = Memory::with_steps(TOKENS_MAX, Steps::new(setup.steps));
    let Setup {
        id, mut inlet, pages, records, inbox, outboxes, connections_max, socket_bytes, ..
    } = setup;
    let first_bound = setup.first_bound;
    let replay_bytes = setup.replay_bytes;
    let page = pages.get(id.index()).cloned().ok_or("a shard without a page")?;
    let shard = Rc::new_cyclic(|me| Shard {
        me: me.clone(),
        id,
        buffers: Buffers::default(),
        state: State::new(memory, Queue::new(caps.queue_max)),
        is_ending: Cell::new(false),
        page,
        pages,
        records,
        outboxes: outboxes.into_iter().map(Outbox::from_fd).collect(),
        connections_max,
        caps,
        socket_bytes,
        book: setup.book,
        nonces: setup.nonces,
        health: setup.health,
        shelf: (replay_bytes > 0).then(|| Rc::new(Shelf::new(replay_bytes))),
    });
    shard.page.set(ShardCounter::ReplayBudget, replay_bytes as u64);
    let bell = inlet.take_bell().ok_or("a shard without a bell")?;
    let bell_fd = bell.as_raw_fd();
    let mut bell = Readiness::new(bell).map_err(|error| error.to_string())?;
    tick(&shard);
    adopt_next(&shard, &inlet, &mut bell, bell_fd).await;
    let mut address = shard.world().snapshot.listen.address;
    if address.port() == 0 && id.index() > 0 {
        address = *first_bound.wait();
    }
    let listener = Listener::bind(address, true, BACKLOG)
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let bound = listener.address().map_err(|error| error.to_string())?;
    if id.index() == 0 {
        first_bound.get_or_init(|| bound);
    }
    started.send(Started { id, outcome: Ok((bound, driver)) }).ok();

    shard.acknowledge();

    let own = Rc::clone(&shard);
    let inbox = Inbox::from_fd(inbox).map_err(|error| error.to_string())?;
    task::spawn(async move { take_handed(&own, inbox).await });
    task::spawn(look_after(Rc::clone(&shard)));
    // The listener lives as long as the shard serves: dropping it refuses new connections.
    let mut listening = Some(Box::pin(listen(Rc::clone(&shard), listener)));
    loop {
        let mut adopting = std::pin::pin!(adopt_next(&shard, &inlet, &mut bell, bell_fd));
        poll_fn(|cx| {
            if let Some(listening) = &mut listening {
                let Poll::Pending = listening.as_mut().poll(cx);
            }
            adopting.as_mut().poll(cx)
        })
        .await;
        if !shard.world().is_serving() {
            listening = None;
            drain::advance(&shard).await;
        }
        shard.acknowledge();
    }
}

/// Verified tokens that a shard remembers.
const TOKENS_MAX: usize = 4096;
/// Connections that the kernel keeps for a listener until they are taken.
const BACKLOG: i32 = 4096;
/// How long to wait before taking connections again when the system has no descriptors left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

async fn adopt_next(shard: &Shard, inlet: &Inlet, bell: &mut Readiness, bell_fd: RawFd) {
    loop {
        if let Some(publication) = inlet.adopt() {
            return shard.adopt(publication);
        }
        if poll_fn(|cx| bell.poll_readable(cx)).await.is_err() {
            clock::sleep(TICK).await;
        }
        socket::lower(bell_fd);
    }
}

async fn listen(shard: Rc<Shard>, mut listener: Listener) -> Infallible {
    let mut is_exhausted = false;
    loop {
        let pause = accept::take_waiting(&listener, |fd, from| enter(&shard, fd, from.ip()));
        match pause {
            Pause::Empty => {
                is_exhausted = false;
                if listener.readable().await.is_err() {
                    clock::sleep(EXHAUSTED_PAUSE).await;
                }
            }
            Pause::TurnIsFull => task::yield_now().await,
            Pause::Exhausted(error) => {
                if !std::mem::replace(&mut is_exhausted, true) {
                    tracing::warn!(shard = shard.id.0, %error, "cannot take more connections");
                }
                clock::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// A new connection: served here, handed to a shard with far fewer, or turned away at the bound.
fn enter(shard: &Rc<Shard>, connection: OwnedFd, address: IpAddr) {
    shard.page.add(ShardCounter::ConnectionsAccepted, 1);
    let mut connection = connection;
    if shard.pages.len() > 1 {
        let mut open = [0; SHARDS_MAX];
        for (count, page) in open.iter_mut().zip(&shard.pages) {
            *count = page.load(ShardCounter::ConnectionsOpen);
        }
        let open = open.get(..shard.pages.len()).unwrap_or_default();
        if let Some(outbox) =
            accept::choose_shard(open, shard.id).and_then(|to| shard.outboxes.get(to.index()))
        {
            match outbox.try_send(connection) {
                Ok(()) => return shard.page.add(ShardCounter::ConnectionsHandedOver, 1),
                Err(back) => connection = back,
            }
        }
    }
    hold(shard, connection, address, &[]);
}

fn hold(shard: &Rc<Shard>, connection: OwnedFd, address: IpAddr, has_sent: &[u8]) {
    if shard.page.load(ShardCounter::ConnectionsOpen) >= shard.connections_max {
        shard.page.add(ShardCounter::ConnectionsRefused, 1);
        return turn_away(&connection);
    }
    // Small writes leave at once. A socket that refuses that is already gone, which the first read finds.
    let _found_by_read = socket::set_nodelay(connection.as_raw_fd());
    if shard.socket_bytes > 0 {
        let _found_by_read = socket::set_unsent_max(connection.as_raw_fd(), shard.socket_bytes);
    }
    let Ok(stream) = Stream::from_fd(connection) else { return };
    task::spawn(connection::serve(Open::count(shard), stream, address, has_sent));
}

/// The cheapest answer there is: the socket's own buffer takes it, and nobody waits for anything.
fn turn_away(connection: &OwnedFd) {
    let _best_effort = socket::send(connection.as_raw_fd(), FULL);
}

/// Said to a connection above the bound, before it has asked anything.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
content-type: application/json\r\n\
content-length: 127\r\n\
retry-after: 1\r\n\
connection: close\r\n\
\r\n\
{\"error\":{\"message\":\"The gateway is at its capacity. Try again later.\",\"type\":\"server_error\",\"param\":null,\"code\":\"overloaded\"}}";

async fn take_handed(shard: &Rc<Shard>, mut inbox: Inbox) {
    let mut letter = Vec::new();
    loop {
        match inbox.try_take(&mut letter) {
            Ok((connection, Some(address))) => {
                hold(shard, connection, address, &letter);
            }
            // It has ended on its way here.
            Ok((_, None)) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if inbox.readable().await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(shard = shard.id.0, %error, "lost a connection that was handed over");
                clock::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

/// How often subjects of tokens that no longer ask are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(60);

fn forget_subjects(shard: &Shard, now: Moment) {
    let is_due = shard.state.with(|own| {
        (now >= own.forget_at).then(|| own.forget_at = now.after(FORGET_EVERY)).is_some()
    });
    if is_due {
        shard.book.forget_subjects(now);
    }
}

/// Looks after what nobody asks for, again and again.
async fn look_after(shard: Rc<Shard>) {
    loop {
        clock::sleep(TICK).await;
        tick(&shard);
        warm::look_after(&shard);
    }
}

/// Looks after what nobody asks for.
fn tick(shard: &Shard) {
    let now = clock::now();
    let unix_ms = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
    shard.state.with(|own| {
        own.unix_offset_ms = unix_ms.saturating_sub(now.as_nanos() / 1_000_000);
        let world = own.world.clone();
        let limits = |slot: SlotId| *world.as_ref()?.pools.get(slot.index())?;
        own.pool.sweep(now, limits, Link::is_quiet, |_, reason| shard.note_retired(reason));
        shard.page.set(ShardCounter::PoolIdle, own.pool.idle() as u64);
    });
    if let Some(shelf) = &shard.shelf {
        shelf.sweep(now);
        let counts = shelf.counts();
        shard.page.set(ShardCounter::ReplayBytes, counts.bytes as u64);
        shard.page.set(ShardCounter::ReplayStreams, counts.streams as u64);
        shard.page.set(ShardCounter::ReplayGaveWay, counts.gave_way_streams);
    }
    shard.page.set(ShardCounter::HeldBytes, accept::held_bytes(&shard.buffers) as u64);
    let (turns, naps) = turn::counts();
    shard.page.set(ShardCounter::Turns, turns);
    shard.page.set(ShardCounter::Naps, naps);
    let of_steps = shard.state.with(|own| {
        own.step_panics += own.memory.steps.take_panics();
        own.step_panics
    });
    shard.page.set(ShardCounter::Bugs, task::bugs() + of_steps);
    if shard.id.index() == 0 {
        // One thread may: this one, of which there is always one.
        forget_subjects(shard, now);
    }
}
