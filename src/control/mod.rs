//! The control thread: it publishes what the shards serve, shows what they do, and ends the process in order.
//!
//! Invariant: nothing here is on the path of a request. If this thread waits, fails or ends, shards keep serving.

mod admin;
pub mod check;
mod discover;
mod endpoints;
mod fetch;
pub mod file;
mod health;
mod jwks;
pub mod key;
pub mod log;
pub mod metrics;
pub mod names;
mod orders;
mod process;
mod publishing;
mod register;
pub mod resolve;
mod retire;
mod state;
pub mod watch;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tokio::time;

use crate::admission::Refusal;
use crate::config;
use crate::control::file::Source;
use crate::control::log::access::AccessLog;
use crate::control::orders::Order;
use crate::control::orders::end;
use crate::control::orders::orders;
use crate::control::state::Shared;
use crate::control::state::State;
use crate::control::watch::Watch;
use crate::crossing::gauges::Page;
use crate::crossing::health::SharedHealth;
use crate::crossing::publish::Publisher;
use crate::crossing::records;
use crate::record::Reason;
use crate::snapshot::LANES_MAX;
use crate::snapshot::Ledger;
use crate::snapshot::Snapshot;

pub use crate::control::orders::Command;
pub use crate::control::orders::Commands;
pub use crate::control::orders::Remote;
pub use crate::control::orders::remote;

/// How often records are fetched while an access log is written, and how often a drain is looked after.
const TICK: Duration = Duration::from_millis(50);
/// How often control looks around when there is nothing to fetch.
const TICK_IDLE: Duration = Duration::from_secs(1);
/// How many records are taken from one shard before the others have their turn.
const TAKE_MAX: usize = 16 * 1024;
/// How long the access log may take to be finished at the end.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long after the drain deadline clients may be told that their requests are broken off.
const BREAKING_OFF_TIMEOUT: Duration = Duration::from_secs(5);

/// Control's ends of what it shares with one shard.
#[derive(Debug)]
pub struct ShardEnd {
    /// Where the shard counts.
    pub page: Arc<Page>,
    /// Where its records come from.
    pub records: records::Receiver,
}

/// What control needs to begin.
pub struct Options {
    /// Where the config comes from.
    pub source: Source,
    /// Names of the embedder's steps, by their numbers.
    pub steps: Vec<String>,
    /// The admin listener's address, instead of the configured one.
    pub admin: Option<SocketAddr>,
    /// One for each shard, in their order.
    pub shards: Vec<ShardEnd>,
    /// Where snapshots go.
    pub publisher: Publisher,
    /// How every endpoint is.
    pub health: SharedHealth,
    /// How long streams may go on after the first SIGTERM.
    pub drain: Duration,
    /// Endpoints that are told apart at a time.
    pub endpoints_max: usize,
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
    /// The config cannot be served: all that is wrong with it.
    Config(Vec<config::Error>),
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

/// Runs control on this thread until it is told to end.
pub fn run(options: Options) -> ExitReason {
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ExitReason::System(error),
    };
    let reason = runtime.block_on(control(options));
    // A write to the access log that still blocks must not hold up the end.
    runtime.shutdown_background();
    reason
}

async fn control(options: Options) -> ExitReason {
    let ledger = Ledger::with_room(options.endpoints_max, LANES_MAX);
    let Options { source, steps, admin, shards, publisher, health, drain, commands, ready, .. } =
        options;
    let mut tasks = JoinSet::new();
    let mut orders = match orders(commands, &mut tasks) {
        Ok(orders) => orders,
        Err(error) => return ExitReason::System(error),
    };
    let (pages, records): (Vec<_>, Vec<_>) =
        shards.into_iter().map(|end| (end.page, end.records)).unzip();
    let kid_pages: Vec<Arc<Page>> = pages.clone();
    let shared = Shared::new(State::new(pages, publisher, health));
    let publishing = shared.clone();
    let started = tokio::select! {
        started = Watch::start(source, steps, ledger, move |snapshot, since| publishing.lock().publish(snapshot, since)) => started,
        () = end(&mut orders) => return ExitReason::Stopped,
    };
    let mut watch = match started {
        Ok(watch) => watch,
        Err(errors) => return ExitReason::Config(errors),
    };
    let snapshot = watch.snapshot();
    let address = admin.unwrap_or(snapshot.admin_address);
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        io::Result::Ok((listener, address))
    };
    let (listener, address) = match bound.await {
        Ok(bound) => bound,
        Err(error) => return ExitReason::AdminAddress { address, error },
    };
    let reloads = watch.remote();
    watch.notice_unknown_kids(move || {
        let reason = Reason::from(Refusal::TokenKeyUnknown);
        kid_pages.iter().map(|page| page.load(reason)).fold(0, u64::wrapping_add)
    });
    let releasing = shared.clone();
    watch.reuse_numbers(move |ledger| releasing.lock().release(ledger));
    shared.lock().open(reloads.clone());
    tasks.spawn(admin::serve(listener, shared.clone()));
    tasks.spawn(register::clerk::run(shared.clone(), watch.wanted()));
    let watching = Some(tokio::spawn(watch.run()));
    let caring = Some(tokio::spawn(health::run(shared.clone())));
    let access = AccessLog::default();
    let mut desk = Desk {
        shared,
        records,
        access,
        drain,
        reloads,
        watching,
        caring,
        ends_at: None,
        broken_off: None,
    };
    desk.follow();
    ready(Ready { admin: address, snapshot });
    desk.run(orders).await
}

/// What the main loop of control works on.
struct Desk {
    shared: Shared,
    records: Vec<records::Receiver>,
    access: AccessLog,
    drain: Duration,
    reloads: watch::Remote,
    /// The task that watches the config; none once it has ended, which only a bug can make it do.
    watching: Option<JoinHandle<()>>,
    /// The task that cares for the health of endpoints; none as above.
    caring: Option<JoinHandle<()>>,
    /// When the drain deadline passes; none as long as requests are served.
    ends_at: Option<Instant>,
    /// The connections that were open when it had passed; none before.
    broken_off: Option<u64>,
}

impl Desk {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) -> ExitReason {
        loop {
            let is_busy = self.access.is_on() || self.ends_at.is_some();
            let tick = if is_busy { TICK } else { TICK_IDLE };
            tokio::select! {
                Some(order) = orders.recv() => {
                    if self.obey(order) {
                        return ExitReason::Stopped;
                    }
                }
                () = time::sleep(tick) => {}
            }
            self.look_after_tasks();
            self.follow();
            self.shared.lock().look_at_publishing();
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
    fn obey(&mut self, order: Order) -> bool {
        match order {
            // The watch hears the signal by itself.
            Order::Hangup => {
                self.access.reopen();
                false
            }
            Order::Command(Command::Reread) => {
                self.access.reopen();
                let reloads = self.reloads.clone();
                // What comes of it is logged and shown by the watch.
                tokio::spawn(async move { drop(reloads.reload().await) });
                false
            }
            Order::Command(Command::Stop) => true,
            Order::Command(Command::Listening(address)) => {
                self.shared.lock().registrations().listen(address);
                false
            }
            Order::Command(Command::End) if self.ends_at.is_some() => {
                tracing::warn!("told to end again: ending at once");
                true
            }
            Order::Command(Command::End) => {
                self.shared.lock().drain();
                self.ends_at = Some(Instant::now() + self.drain);
                let connections_open = self.shared.lock().connections_open();
                let seconds = self.drain.as_secs();
                tracing::info!(connections_open, seconds, "draining: no new connections");
                false
            }
        }
    }

    /// Says so when a task has ended that never should: all goes on with what is published, and with what requests meet.
    fn look_after_tasks(&mut self) {
        if self.watching.take_if(|watching| watching.is_finished()).is_some() {
            tracing::error!("the config is not watched any more because of a bug");
            self.shared.lock().stop_watching();
        }
        if self.caring.take_if(|caring| caring.is_finished()).is_some() {
            tracing::error!("endpoints are not checked any more because of a bug");
            health::abandon(&self.shared.lock());
        }
    }

    /// Follows the snapshot's access log.
    fn follow(&mut self) {
        let path = self.shared.lock().access_log();
        self.access.aim(path);
        for records in &self.records {
            records.want(self.access.is_on());
        }
    }

    /// Fetches the records that wait, and frees the snapshots that nobody holds any more.
    fn fetch(&mut self) {
        let mut state = self.shared.lock();
        // Whoever has let a snapshot go has left its last record before: looked at first, fetched then, freed last.
        let unheld = state.unheld();
        for records in &self.records {
            for _ in 0..TAKE_MAX {
                let Some(record) = records.take() else { break };
                self.access.write(&record, state.names(), state.world(record.snapshot));
            }
        }
        state.free(&unheld);
    }

    /// Why it is time to end, if it is.
    fn ending(&mut self) -> Option<ExitReason> {
        let ends_at = self.ends_at?;
        let now = Instant::now();
        let mut state = self.shared.lock();
        if let Some(connections_open) = self.broken_off {
            let is_over = state.is_empty() || now >= ends_at + BREAKING_OFF_TIMEOUT;
            return is_over.then_some(ExitReason::DrainTimedOut { connections_open });
        }
        let is_over = now >= ends_at;
        if state.is_empty() && (is_over || state.registrations().is_over()) {
            tracing::info!("drained");
            return Some(ExitReason::Drained);
        }
        if is_over {
            let connections_open = state.connections_open();
            tracing::warn!(connections_open, "the drain deadline has passed: breaking off");
            state.break_off();
            self.broken_off = Some(connections_open);
        }
        None
    }
}

#[cfg(test)]
mod tests;
