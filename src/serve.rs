//! Puts the process together: as many shards as there are cores, the control thread, and in the demo a model server.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::fd::IntoRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;

use crate::admission::step;
use crate::admission::step::Factory;
use crate::control;
use crate::control::Command;
use crate::control::ExitReason;
use crate::control::ShardEnd;
use crate::control::file::Source;
use crate::crossing::gauges::Page;
use crate::crossing::gauges::SharedPage;
use crate::crossing::health::Health;
use crate::crossing::health::SharedHealth;
use crate::crossing::nonces::NONCES_MAX;
use crate::crossing::nonces::Nonces;
use crate::crossing::publish;
use crate::crossing::publish::Inlet;
use crate::crossing::publish::Publisher;
use crate::crossing::quota::Book;
use crate::crossing::records;
use crate::knobs::Knobs;
use crate::knobs::Machine;
use crate::mock;
use crate::shard;
use crate::shard::Setup;
use crate::shard::Started;
use crate::sys::affinity;
use crate::sys::limits;
use crate::sys::socket;
use crate::units::ShardId;

/// Why the process ended.
#[derive(Debug)]
pub enum End {
    /// Control ended: because it was told to, or because the config or its address is not good.
    Control(ExitReason),
    /// A `RINGWAY_*` variable cannot be what it is.
    Knobs(Vec<String>),
    /// The system refuses something.
    System(String),
}

/// What is told once everything serves.
#[derive(Debug)]
pub struct Serving {
    /// Where clients come in.
    pub listen: SocketAddr,
    /// Where operators come in.
    pub admin: SocketAddr,
    /// Whether this is the demo, with a model server of its own.
    pub is_demo: bool,
}

/// Serves until told to end. `get` gives the value of a variable of the environment; `serving` is called once when
/// every shard listens.
pub fn serve(
    config: Option<PathBuf>,
    get: impl Fn(&str) -> Option<String>,
    serving: impl FnOnce(&Serving) + Send + 'static,
) -> End {
    serve_with(Vec::new(), config, get, serving)
}

/// Serves as [`serve`] does, with steps of one's own that `middleware` may name.
pub fn serve_with(
    steps: Vec<Factory>,
    config: Option<PathBuf>,
    get: impl Fn(&str) -> Option<String>,
    serving: impl FnOnce(&Serving) + Send + 'static,
) -> End {
    if let Err(why) = step::check(&steps) {
        return End::System(why);
    }
    // For the life of the process: every shard makes its own from them.
    let steps: &'static [Factory] = Box::leak(steps.into_boxed_slice());
    let open_files = match limits::raise_open_files() {
        Ok(files) => files,
        Err(error) => return End::System(format!("cannot read the limit on open files: {error}")),
    };
    let machine = Machine {
        cpus: affinity::allowed_cpus(),
        open_files,
        memory_bytes: limits::memory_bytes(),
    };
    let knobs = match Knobs::read(get, &machine) {
        Ok(knobs) => knobs,
        Err(errors) => return End::Knobs(errors),
    };
    log_knobs(&knobs, open_files);
    let (source, demo) = match config {
        Some(path) => (Source::File(path), None),
        None => match mock::spawn(mock::Options::new((Ipv4Addr::LOCALHOST, 0).into())) {
            Ok(demo) => (Source::demo(demo.address), Some(demo)),
            Err(error) => return End::System(format!("cannot start the demo model: {error}")),
        },
    };
    let wired = match Wired::new(&knobs, open_files, steps) {
        Ok(wired) => wired,
        Err(error) => return End::System(format!("no descriptors for the shards: {error}")),
    };
    let (remote, commands) = control::remote();
    let is_demo = demo.is_some();
    let (trouble, troubled) = mpsc::channel();
    let Wired { setups, ends, publisher, health } = wired;
    let options = control::Options {
        source,
        steps: steps.iter().map(|step| step.name().to_owned()).collect(),
        admin: None,
        shards: ends,
        publisher,
        health,
        drain: knobs.drain,
        endpoints_max: knobs.endpoints_max,
        commands,
        ready: Box::new(move |ready| {
            let watched =
                thread::Builder::new().name("ringway-start".to_owned()).spawn(move || {
                    let shards = setups.len();
                    let started = start(setups);
                    watch(&started, shards, |listen| {
                        // Control hears of it before anybody who may tell it to end.
                        remote.tell(Command::Listening(listen));
                        serving(&Serving { listen, admin: ready.admin, is_demo });
                    })
                    .map_or_else(
                        |text| trouble.send(text).is_ok() && remote.tell(Command::Stop),
                        |()| true,
                    )
                });
            if let Err(error) = watched {
                tracing::error!(%error, "cannot start a thread");
            }
        }),
    };
    let reason = control::run(options);
    match troubled.try_recv() {
        Ok(text) => End::System(text),
        Err(_) => End::Control(reason),
    }
}

/// The shards and control, wired but not yet running.
struct Wired {
    setups: Vec<Setup>,
    ends: Vec<ShardEnd>,
    publisher: Publisher,
    health: SharedHealth,
}

impl Wired {
    fn new(knobs: &Knobs, open_files: u64, steps: &'static [Factory]) -> io::Result<Self> {
        let shards = knobs.shards.len();
        let (publisher, inlets) = publish::channel(shards)?;
        let (book, nonces) = (Book::new(shards), Nonces::new(NONCES_MAX));
        let health = Health::new(shards);
        let pages: Vec<SharedPage> = (0..shards).map(|_| Page::new()).collect();
        // For the life of the process: shards that end take the process down, so nobody waits for ever.
        let built: &'static Barrier = Box::leak(Box::new(Barrier::new(shards)));
        let first_bound: &'static OnceLock<SocketAddr> = Box::leak(Box::default());
        let mut inboxes = Vec::new();
        let mut outboxes = Vec::new();
        for _ in 0..shards {
            let (near, far) = socket::descriptor_channel()?;
            outboxes.push(near.into_raw_fd());
            inboxes.push(far);
        }
        let needs_own_file_table = knobs.needs_own_file_tables(open_files);
        let useless = useless(&inboxes, &inlets);
        let mut setups = Vec::new();
        let mut ends = Vec::new();
        for (index, (inlet, inbox)) in inlets.into_iter().zip(inboxes).enumerate() {
            let (sender, receiver) = records::queue(records::WAITING_MAX);
            ends.push(ShardEnd { page: pages[index].clone(), records: receiver });
            setups.push(Setup {
                id: ShardId(u16::try_from(index).unwrap_or(u16::MAX)),
                cpu: knobs.shards[index],
                ring: knobs.ring(),
                inlet,
                pages: pages.clone(),
                records: sender,
                inbox,
                outboxes: outboxes.clone(),
                connections_max: knobs.connections_max(),
                book: book.clone(),
                nonces: nonces.clone(),
                health: health.clone(),
                steps,
                requests_max: knobs.requests_max,
                held_bytes_max: usize::try_from(knobs.held_bytes_max).unwrap_or(usize::MAX),
                replay_bytes: knobs.replay_bytes,
                queue_max: usize::try_from(knobs.queue_max).unwrap_or(usize::MAX),
                socket_bytes: knobs.socket_bytes,
                needs_own_file_table,
                useless: useless_for(&useless, index),
                built,
                first_bound,
            });
        }
        Ok(Self { setups, ends, publisher, health })
    }
}

/// The descriptors that belong to one shard each: useless in the tables of the others.
fn useless(inboxes: &[OwnedFd], inlets: &[Inlet]) -> Vec<[RawFd; 2]> {
    let bells = inlets.iter().map(|inlet| inlet.bell().map_or(-1, AsRawFd::as_raw_fd));
    inboxes.iter().zip(bells).map(|(inbox, bell)| [inbox.as_raw_fd(), bell]).collect()
}

fn useless_for(all: &[[RawFd; 2]], shard: usize) -> Vec<RawFd> {
    let others = all.iter().enumerate().filter(|(index, _)| *index != shard);
    others.flat_map(|(_, fds)| *fds).filter(|fd| *fd >= 0).collect()
}

fn log_knobs(knobs: &Knobs, open_files: u64) {
    tracing::info!(
        shards = knobs.shards.len(),
        cpus = ?knobs.shards.iter().flatten().collect::<Vec<_>>(),
        streams_max = knobs.streams_max,
        requests_max = knobs.requests_max,
        held_bytes_max = knobs.held_bytes_max,
        queue_max = knobs.queue_max,
        replay_bytes = knobs.replay_bytes,
        open_files,
        needs_own_file_tables = knobs.needs_own_file_tables(open_files),
        wake_us = knobs.wake_us,
        drain_seconds = knobs.drain.as_secs(),
        "starting"
    );
}

/// Starts the shards' threads; what they say comes out of the channel.
fn start(setups: Vec<Setup>) -> mpsc::Receiver<Started> {
    let (sender, started) = mpsc::channel();
    for setup in setups {
        let sender = sender.clone();
        let id = setup.id;
        let spawned = thread::Builder::new()
            .name(format!("shard-{}", id.0))
            .spawn(move || shard::run(setup, sender));
        if let Err(error) = spawned {
            tracing::error!(shard = id.0, %error, "cannot start a thread");
        }
    }
    started
}

/// Waits until every shard listens, then until one of them ends, which none should.
fn watch(
    started: &mpsc::Receiver<Started>,
    shards: usize,
    serving: impl FnOnce(SocketAddr),
) -> Result<(), String> {
    let mut serving = Some(serving);
    let mut listening = 0;
    while let Ok(Started { id, outcome }) = started.recv() {
        let (address, driver) = outcome.map_err(|text| format!("shard {}: {text}", id.0))?;
        if driver.starts_with("epoll") {
            tracing::warn!(
                shard = id.0,
                "io_uring is not to be had here: running on epoll, slower"
            );
        } else {
            tracing::info!(shard = id.0, %address, driver, "listening");
        }
        listening += 1;
        if listening == shards
            && let Some(serving) = serving.take()
        {
            serving(address);
        }
    }
    Err("a shard has ended, which is a bug: its panic is above".to_owned())
}
