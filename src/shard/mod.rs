//! One core: owns everything, shares nothing.

mod admit;
mod attempt;
mod connection;
mod drain;
mod entry;
mod fallback;
mod grant;
mod look;
mod plan;
mod refusal;
mod request;
mod resume;
mod shadow;
mod speaker;
mod state;
mod start;
mod version;
mod waiting;
mod warm;

use std::cell::Cell;
use std::rc::Rc;
use std::rc::Weak;
use std::time::Duration;

pub use start::Setup;
pub use start::Started;
pub use start::run;

use crate::accept;
use crate::accept::incoming::Limits;
use crate::accept::overload;
use crate::accept::overload::Caps;
use crate::accept::overload::Load;
use crate::accept::overload::Overload;
use crate::crossing::gauges::SharedPage;
use crate::crossing::health::SharedHealth;
use crate::crossing::nonces::SharedNonces;
use crate::crossing::publish::Phase;
use crate::crossing::publish::Publication;
use crate::crossing::publish::SharedSnapshot;
use crate::crossing::quota::SharedBook;
use crate::crossing::records;
use crate::record::Fault;
use crate::record::counters::Retirement;
use crate::record::counters::ShardCounter;
use crate::relay::exchange::Manners;
use crate::relay::exchange::Slow;
use crate::relay::replay::Shelf;
use crate::ring::clock;
use crate::ring::listen::Outbox;
use crate::ring::turn;
use crate::shard::state::State;
use crate::snapshot::PoolLimits;
use crate::snapshot::SlowReader;
use crate::snapshot::Streams;
use crate::snapshot::Upstream;
use crate::units::Millis;
use crate::units::Moment;
use crate::units::ShardId;
use crate::upstream::pool;
use crate::upstream::pool::Retired;
use crate::wire::buffer::Buffers;

/// One core.
pub(crate) struct Shard {
    /// Itself, for tasks that outlive a request.
    me: Weak<Self>,
    id: ShardId,
    buffers: Buffers,
    state: State,
    /// Whether what is under way is broken off: the drain deadline has passed.
    is_ending: Cell<bool>,
    page: SharedPage,
    /// The pages of all shards, this one's included: only their open connections are read.
    pages: Vec<SharedPage>,
    records: records::Sender,
    /// Where connections for other shards are put, by shard.
    outboxes: Vec<Outbox>,
    connections_max: u64,
    /// What is taken on at most.
    caps: Caps,
    /// What the kernel may hold for one direction of a connection, in bytes.
    socket_bytes: u32,
    /// What is used of every limit, on all shards.
    book: SharedBook,
    /// Signed requests that were let in, on all shards.
    nonces: SharedNonces,
    /// How the endpoints are, on the whole node.
    health: SharedHealth,
    /// What is kept of streams whose clients may come back; none: of none.
    shelf: Option<Rc<Shelf>>,
}

/// One publication, as this shard's requests hold it.
pub(crate) struct World {
    /// Itself, for tasks that outlive a request.
    me: Weak<Self>,
    snapshot: SharedSnapshot,
    phase: Phase,
    limits: Limits,
    /// How connections are kept, by the endpoint's slot; none for a slot of earlier worlds.
    pools: Vec<Option<pool::Limits>>,
    /// How clients are treated while their streams last, by model.
    manners: Vec<Manners>,
}

impl World {
    fn new(me: Weak<Self>, publication: Publication, caps: &Caps) -> Self {
        let Publication { snapshot, phase } = publication;
        let listen = &snapshot.listen;
        let limits = Limits {
            idle: listen.idle_timeout,
            head: listen.head_timeout,
            body: listen.body_timeout,
            body_bytes_max: listen.body_bytes_max,
            held_bytes_max: caps.held_bytes_max,
        };
        let mut pools = Vec::new();
        for endpoint in &snapshot.endpoints {
            let slot = endpoint.slot.index();
            pools.resize(pools.len().max(slot + 1), None);
            pools[slot] = Some(Self::pool_limits(snapshot.upstream(endpoint.upstream)));
        }
        let manners = snapshot.models.iter().map(|model| manners(&model.streams)).collect();
        Self { me, snapshot, phase, limits, pools, manners }
    }

    /// How connections to an upstream's endpoints are kept.
    fn pool_limits(upstream: &Upstream) -> pool::Limits {
        let PoolLimits { idle_min, idle_max, idle, age, connections_max, .. } = upstream.pool;
        pool::Limits { idle_min, idle_max, idle, age, connections_max }
    }

    /// Whether requests are let in.
    fn is_serving(&self) -> bool {
        self.phase == Phase::Serving
    }

    /// What bounds the arrival of a request.
    fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// How the clients of a model are treated.
fn manners(streams: &Streams) -> Manners {
    let beats = streams.heartbeat;
    Manners {
        heartbeat: beats.map(|beats| Millis::of(beats.every)).unwrap_or_default(),
        heartbeat_most: beats.map(|beats| Millis::of(beats.most)).unwrap_or_default(),
        slow: match streams.slow_reader {
            SlowReader::Wait => Slow::Wait,
            SlowReader::DropStream { after } => Slow::Drop { after: Millis::of(after) },
            SlowReader::Buffer { bytes } => Slow::Buffer { bytes },
        },
        window: Millis::of(streams.resume.rule.window),
        outlives_client: streams.continue_on_disconnect,
    }
}

impl Shard {
    /// Whether a stream of this shard's is another one's business.
    fn is_elsewhere(&self, owner: ShardId) -> bool {
        owner != self.id && owner.index() < self.outboxes.len()
    }

    /// The world for a request that begins now.
    fn world(&self) -> Rc<World> {
        self.state.with(|own| {
            Rc::clone(own.world.as_ref().expect("a shard listens only once it has adopted a world"))
        })
    }

    /// Takes over a publication: requests that begin from now on see it, those in flight keep theirs.
    fn adopt(&self, publication: Publication) {
        let phase = publication.phase;
        self.state.with(|own| {
            // What a token has shown before may not hold any more: keys are revoked by a new world.
            own.memory.tokens.forget();
            own.welcome(&publication.snapshot, |reason| self.note_retired(reason));
            let caps = &self.caps;
            own.world = Some(Rc::new_cyclic(|me| World::new(Weak::clone(me), publication, caps)));
            own.sessions.sweep();
        });
        if phase != Phase::Serving {
            drain::close_idle(self);
        }
        self.is_ending.set(phase == Phase::Ending);
    }

    /// Tells control that what was published is in force: the shard listens, or has stopped to.
    fn acknowledge(&self) {
        let world = self.world();
        self.page.set(ShardCounter::Turns, turn::counts().0);
        if self.page.load(ShardCounter::AdoptedSnapshot) != world.snapshot.number {
            self.page.set(ShardCounter::AdoptedAt, clock::now().as_nanos());
        }
        self.page.set(ShardCounter::AdoptedSnapshot, world.snapshot.number);
        self.page.set(ShardCounter::Draining, u64::from(!world.is_serving()));
    }

    /// Which cap leaves no room for a request of which only the head is known, and of whose body so many bytes are to come.
    fn overload(&self, coming: usize) -> Option<Overload> {
        let load = Load {
            requests: self.page.load(ShardCounter::RequestsOpen),
            held_bytes: accept::held_bytes(&self.buffers),
        };
        overload::overload(&self.caps, &load, coming)
    }

    /// What it means that a request is not waited for any more: its client has left, or the gateway ends.
    fn gone(&self) -> Fault {
        if self.is_ending.get() { Fault::Draining } else { Fault::ClientGone }
    }

    /// By when what is sent must have been read.
    fn write_deadline(&self) -> Moment {
        let timeout = self.world().snapshot.listen.write_timeout;
        let is_ending = self.is_ending.get();
        clock::now().after(if is_ending { timeout.min(LAST_WORDS_TIMEOUT) } else { timeout })
    }

    fn note_retired(&self, reason: Retired) {
        let reason = match reason {
            Retired::Idle => Retirement::Idle,
            Retired::Age => Retirement::Age,
            Retired::Surplus => Retirement::Full,
            Retired::Broken => Retirement::Stale,
            Retired::Removed => Retirement::Removed,
        };
        self.page.add(reason, 1);
    }
}

/// How long a client may take to read what it is told at the end.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a shard looks after what nobody asks for: idle connections of the pool, the wall clock.
const TICK: Duration = Duration::from_secs(1);
