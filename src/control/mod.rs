//! The control thread: it publishes what the shards serve, shows what they do, and ends the process in order.
//!
//! Invariant: nothing here is on the path of a request. If this thread waits, fails or ends, shards keep serving.

mod admin;
pub mod check;
pub mod file;
pub mod log;
pub mod metrics;
pub mod names;
mod process;
pub mod resolve;
mod state;
pub mod watch;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time;

use crate::control::log::access::AccessLog;
use crate::control::log::access::Destination;
use crate::control::state::Shared;
use crate::control::state::State;
use crate::crossing::gauges::Page;
use crate::crossing::publish::Publisher;
use crate::crossing::records;
use crate::snapshot::Snapshot;

/// How often records are fetched while an access log is written, and how often a drain is looked after.
const TICK: Duration = Duration::from_millis(50);
/// How often control looks around when there is nothing to fetch.
const TICK_IDLE: Duration = Duration::from_secs(1);
/// How many records are taken from one shard before the others have their turn.
const TAKE_MAX: usize = 16 * 1024;
/// How long the access log may take to be finished at the end.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);
/// Commands that wait at most. They are few, and each is as good as two of its kind.
const COMMANDS_MAX: usize = 16;

/// Where snapshots come from.
pub trait Source: Send + 'static {
    /// Waits until it seems worth reading again: a file has changed, a name's addresses are out of date. May be dropped
    /// and called again at any time.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;

    /// Reads everything and builds a snapshot, or says all that is wrong.
    fn read(&mut self) -> impl Future<Output = Result<Reading, Vec<String>>> + Send;
}

/// What one reading of the configuration gives.
#[derive(Debug)]
pub struct Reading {
    /// What the shards are to serve. None: nothing has changed since the last reading.
    pub snapshot: Option<Snapshot>,
    /// For people: what is different from the snapshot before.
    pub changes: Vec<String>,
    /// Where the admin listener is to be. Only the first reading's counts.
    pub admin: SocketAddr,
    /// Where the access log is to go.
    pub access_log: Option<Destination>,
}

/// Control's ends of what it shares with one shard.
#[derive(Debug)]
pub struct ShardEnd {
    /// Where the shard counts.
    pub page: Arc<Page>,
    /// Where its records come from.
    pub records: records::Receiver,
}

/// What control needs to begin.
pub struct Options<S> {
    /// Where snapshots come from.
    pub source: S,
    /// The admin listener's address, instead of the configured one.
    pub admin: Option<SocketAddr>,
    /// One for each shard, in their order.
    pub shards: Vec<ShardEnd>,
    /// Where snapshots go.
    pub publisher: Publisher,
    /// How long streams may go on after the first SIGTERM.
    pub drain: Duration,
    /// Commands of the process itself.
    pub commands: Commands,
    /// Called once, when the first snapshot is published and the admin listener is bound.
    pub ready: Box<dyn FnOnce(Ready) + Send>,
}

/// What is known when control has begun.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Where the admin listener is.
    pub admin: SocketAddr,
    /// The first snapshot.
    pub snapshot: Arc<Snapshot>,
}

/// Why control ended.
#[derive(Debug)]
pub enum ExitReason {
    /// Told to end, and every shard was empty.
    Drained,
    /// Told to end; connections were still open when the drain deadline had passed.
    DrainTimedOut {
        /// How many.
        connections_open: u64,
    },
    /// Told to end a second time, or at once.
    Stopped,
    /// The first reading of the configuration failed: what is wrong with it.
    Config(Vec<String>),
    /// The admin address cannot be listened at.
    AdminAddress {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The system refuses something that control cannot do without.
    System(io::Error),
}

/// What control can be told, by a signal or by the process itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// SIGHUP: read the configuration again, open the access log again.
    Reread,
    /// SIGTERM, SIGINT: drain and end; a second one ends at once.
    End,
    /// End at once.
    Stop,
}

/// Tells control what to do, from any thread.
#[derive(Clone, Debug)]
pub struct Remote(mpsc::Sender<Command>);

/// Control's end of a [`Remote`].
#[derive(Debug)]
pub struct Commands(mpsc::Receiver<Command>);

/// A remote and the end that goes into [`Options`].
#[must_use]
pub fn remote() -> (Remote, Commands) {
    let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
    (Remote(sender), Commands(receiver))
}

impl Remote {
    /// Tells control; false if it has ended or has not looked for a long time. Never waits.
    pub fn tell(&self, command: Command) -> bool {
        self.0.try_send(command).is_ok()
    }
}

/// Runs control on this thread until it is told to end.
pub fn run<S: Source>(options: Options<S>) -> ExitReason {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ExitReason::System(error),
    };
    let reason = runtime.block_on(control(options));
    // A write to the access log that still blocks must not hold up the end.
    runtime.shutdown_background();
    reason
}

async fn control<S: Source>(options: Options<S>) -> ExitReason {
    let Options { mut source, admin, shards, publisher, drain, commands, ready } = options;
    let mut tasks = JoinSet::new();
    let orders = match orders(commands, &mut tasks) {
        Ok(orders) => orders,
        Err(error) => return ExitReason::System(error),
    };
    let first = match source.read().await {
        Ok(reading) => reading,
        Err(errors) => return ExitReason::Config(errors),
    };
    let address = admin.unwrap_or(first.admin);
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        io::Result::Ok((listener, address))
    };
    let (listener, address) = match bound.await {
        Ok(bound) => bound,
        Err(error) => return ExitReason::AdminAddress { address, error },
    };
    let (pages, records): (Vec<_>, Vec<_>) =
        shards.into_iter().map(|end| (end.page, end.records)).unzip();
    let shared = Shared::new(State::new(pages, publisher));
    let access = AccessLog::default();
    let (reread, asked) = mpsc::channel(1);
    let (found, readings) = mpsc::channel(1);
    let mut desk = Desk { shared, records, access, drain, reread, readings, ends_at: None };
    if let Some(snapshot) = desk.adopt(first) {
        tasks.spawn(admin::serve(listener, desk.shared.clone()));
        ready(Ready { admin: address, snapshot });
    } else {
        return ExitReason::Config(vec!["the configuration gave no snapshot".to_owned()]);
    }
    tasks.spawn(watch(source, asked, found));
    desk.run(orders).await
}

/// Signals and the process's own commands, as one queue.
fn orders(
    mut commands: Commands,
    tasks: &mut JoinSet<()>,
) -> io::Result<mpsc::Receiver<Command>> {
    let (sender, orders) = mpsc::channel(COMMANDS_MAX);
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tasks.spawn(async move {
        loop {
            let command = tokio::select! {
                Some(()) = hang_up.recv() => Command::Reread,
                Some(()) = terminate.recv() => Command::End,
                Some(()) = interrupt.recv() => Command::End,
                Some(command) = commands.0.recv() => command,
                else => return,
            };
            if sender.send(command).await.is_err() {
                return;
            }
        }
    });
    Ok(orders)
}

/// Reads the source whenever it has changed or somebody asks.
async fn watch<S: Source>(
    mut source: S,
    mut asked: mpsc::Receiver<()>,
    found: mpsc::Sender<Result<Reading, Vec<String>>>,
) {
    loop {
        tokio::select! {
            () = source.changed() => {}
            ask = asked.recv() => if ask.is_none() { return },
        }
        if found.send(source.read().await).await.is_err() {
            return;
        }
    }
}

/// What the main loop of control works on.
struct Desk {
    shared: Shared,
    records: Vec<records::Receiver>,
    access: AccessLog,
    drain: Duration,
    reread: mpsc::Sender<()>,
    readings: mpsc::Receiver<Result<Reading, Vec<String>>>,
    /// When the drain deadline passes; none as long as requests are served.
    ends_at: Option<Instant>,
}

impl Desk {
    async fn run(mut self, mut orders: mpsc::Receiver<Command>) -> ExitReason {
        loop {
            let is_busy = self.access.is_on() || self.ends_at.is_some();
            let tick = if is_busy { TICK } else { TICK_IDLE };
            tokio::select! {
                Some(command) = orders.recv() => {
                    if self.obey(command) {
                        return ExitReason::Stopped;
                    }
                }
                Some(reading) = self.readings.recv() => self.take(reading),
                () = time::sleep(tick) => {}
            }
            self.fetch();
            self.access.turn_over(Instant::now()).await;
            self.shared.lock().note(self.access.counts());
            if let Some(reason) = self.ending() {
                self.fetch();
                self.access.finish(FINISH_TIMEOUT).await;
                return reason;
            }
        }
    }

    /// True: end at once.
    fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Reread => {
                self.access.reopen();
                // A full queue means that it is about to be read anyway.
                self.reread.try_send(()).ok();
                false
            }
            Command::Stop => true,
            Command::End if self.ends_at.is_some() => {
                tracing::warn!("told to end again: ending at once");
                true
            }
            Command::End => {
                self.shared.lock().drain();
                self.ends_at = Some(Instant::now() + self.drain);
                let connections_open = self.shared.lock().connections_open();
                let seconds = self.drain.as_secs();
                tracing::info!(connections_open, seconds, "draining: no new connections");
                false
            }
        }
    }

    fn take(&mut self, reading: Result<Reading, Vec<String>>) {
        match reading {
            Ok(reading) => drop(self.adopt(reading)),
            Err(errors) => {
                for error in &errors {
                    tracing::error!("{error}");
                }
                let count = errors.len();
                tracing::error!(count, "the configuration is refused; the last good one stays");
                self.shared.lock().refuse(errors);
            }
        }
    }

    /// Publishes a reading's snapshot, if it has one, and follows its access log.
    fn adopt(&mut self, reading: Reading) -> Option<Arc<Snapshot>> {
        self.access.aim(reading.access_log);
        for records in &self.records {
            records.want(self.access.is_on());
        }
        let Some(snapshot) = reading.snapshot else {
            tracing::debug!("read again: nothing has changed");
            self.shared.lock().confirm();
            return None;
        };
        for change in &reading.changes {
            tracing::info!("{change}");
        }
        let snapshot = self.shared.lock().publish(snapshot, reading.changes);
        tracing::info!(number = snapshot.number, "published a snapshot");
        Some(snapshot)
    }

    /// Fetches the records that wait.
    fn fetch(&mut self) {
        let state = self.shared.lock();
        for records in &self.records {
            for _ in 0..TAKE_MAX {
                let Some(record) = records.take() else { break };
                self.access.write(&record, state.names());
            }
        }
    }

    /// Why it is time to end, if it is.
    fn ending(&self) -> Option<ExitReason> {
        let ends_at = self.ends_at?;
        let state = self.shared.lock();
        if state.is_empty() {
            tracing::info!("drained");
            return Some(ExitReason::Drained);
        }
        if Instant::now() < ends_at {
            return None;
        }
        let connections_open = state.connections_open();
        tracing::warn!(connections_open, "the drain deadline has passed");
        Some(ExitReason::DrainTimedOut { connections_open })
    }
}
