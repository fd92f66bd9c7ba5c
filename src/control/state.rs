//! What control knows: what is published, what was tried, and where the shards count.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::SystemTime;

use crate::control::log::access::Counts;
use crate::control::metrics;
use crate::control::metrics::ControlNumbers;
use crate::control::names::Names;
use crate::control::process;
use crate::crossing::gauges::Page;
use crate::crossing::publish::Phase;
use crate::crossing::publish::Publication;
use crate::crossing::publish::Publisher;
use crate::record::counters::ShardCounter;
use crate::record::histogram::nanos;
use crate::snapshot::Snapshot;

/// How many attempts the history keeps.
const HISTORY_MAX: usize = 32;

/// One attempt to read the configuration and what it names.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// When, in milliseconds since 1970.
    pub(crate) unix_ms: u64,
    /// The number of the snapshot that came of it; none if it failed.
    pub(crate) number: Option<u64>,
    /// What changed, or what was wrong.
    pub(crate) lines: Vec<String>,
}

/// What control knows.
pub(crate) struct State {
    pages: Vec<Arc<Page>>,
    publisher: Publisher,
    names: Names,
    current: Option<Publication>,
    phase: Phase,
    history: VecDeque<Attempt>,
    numbers: ControlNumbers,
}

/// The state as the tasks of the control thread share it. Held for the time of a function, never across a wait.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// The state. A panic of somebody who held it does not end control: each change is whole or not begun.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn new(pages: Vec<Arc<Page>>, publisher: Publisher) -> Self {
        let numbers = ControlNumbers { started_unix_ms: unix_ms(), ..ControlNumbers::default() };
        Self {
            pages,
            publisher,
            names: Names::default(),
            current: None,
            phase: Phase::Serving,
            history: VecDeque::new(),
            numbers,
        }
    }

    /// Gives `snapshot` to every shard. `changes` says for people what is new in it.
    pub(crate) fn publish(&mut self, snapshot: Snapshot, changes: Vec<String>) -> Arc<Snapshot> {
        self.learn(&snapshot);
        let unix_ms = unix_ms();
        self.numbers.snapshot_number = snapshot.number;
        self.numbers.published_unix_ms = unix_ms;
        self.numbers.is_last_reload_successful = true;
        self.numbers.reloads += 1;
        self.remember(Attempt { unix_ms, number: Some(snapshot.number), lines: changes });
        let snapshot = Arc::new(snapshot);
        self.current = Some(Publication { snapshot: Arc::clone(&snapshot), phase: self.phase });
        self.nudge();
        snapshot
    }

    /// Notes an attempt that failed; what is published stays.
    pub(crate) fn refuse(&mut self, errors: Vec<String>) {
        self.numbers.is_last_reload_successful = false;
        self.numbers.reloads_failed += 1;
        self.remember(Attempt { unix_ms: unix_ms(), number: None, lines: errors });
    }

    /// Tells every shard to take nothing new. From here on the gateway is not ready.
    pub(crate) fn drain(&mut self) {
        self.phase = Phase::Draining;
        if let Some(current) = &mut self.current {
            current.phase = Phase::Draining;
        }
        self.nudge();
    }

    /// Publishes once more what is published: an idle shard wakes up and makes a turn.
    pub(crate) fn nudge(&self) {
        if let Some(current) = &self.current {
            self.publisher.publish(current);
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.phase == Phase::Draining
    }

    /// Client connections that are open, as the shards count them.
    pub(crate) fn connections_open(&self) -> u64 {
        self.sum(ShardCounter::ConnectionsOpen)
    }

    /// Every shard has been told to drain and has nothing left.
    pub(crate) fn is_empty(&self) -> bool {
        let is_empty = |page: &Arc<Page>| {
            page.load(ShardCounter::Draining) == 1
                && page.load(ShardCounter::ConnectionsOpen) == 0
                && page.load(ShardCounter::RequestsOpen) == 0
        };
        self.pages.iter().all(is_empty)
    }

    /// Why the gateway should not be sent requests; empty if it should.
    pub(crate) fn unready(&self) -> Vec<String> {
        if self.is_draining() {
            return vec!["the gateway is shutting down".to_owned()];
        }
        if self.current.is_none() {
            return vec!["no configuration has been published yet".to_owned()];
        }
        let shards = self.pages.iter().enumerate();
        shards
            .filter(|(_, page)| page.load(ShardCounter::AdoptedSnapshot) == 0)
            .map(|(shard, _)| format!("shard {shard} has not adopted a snapshot yet"))
            .collect()
    }

    /// How many turns each shard has made.
    pub(crate) fn turns(&self) -> Vec<u64> {
        self.loads(ShardCounter::Turns)
    }

    /// Number of the snapshot that each shard serves.
    pub(crate) fn adopted(&self) -> Vec<u64> {
        self.loads(ShardCounter::AdoptedSnapshot)
    }

    pub(crate) fn current(&self) -> Option<&Publication> {
        self.current.as_ref()
    }

    pub(crate) fn history(&self) -> impl Iterator<Item = &Attempt> {
        self.history.iter()
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Takes over what the access log has counted.
    pub(crate) fn note(&mut self, counts: Counts) {
        self.numbers.access_log_lines = counts.lines;
        self.numbers.access_log_dropped = counts.dropped;
        self.numbers.access_log_errors = counts.errors;
    }

    /// The metrics page.
    pub(crate) fn metrics(&self) -> String {
        let mut numbers = self.numbers;
        let used = process::usage();
        numbers.resident_bytes = used.resident_bytes;
        numbers.cpu_ms = used.cpu_ms;
        let mut out = String::new();
        metrics::write(&self.pages, &self.names.lanes(), &numbers, &mut out);
        out
    }

    fn learn(&mut self, snapshot: &Snapshot) {
        for model in &snapshot.models {
            if let Some(upstream) = snapshot.upstreams.get(model.upstream.index()) {
                self.names.learn_lane(model.lane, &model_name(model), &upstream.name);
            }
        }
        for endpoint in &snapshot.endpoints {
            self.names.learn_slot(endpoint.slot, &endpoint.url);
        }
    }

    fn remember(&mut self, attempt: Attempt) {
        self.history.truncate(HISTORY_MAX - 1);
        self.history.push_front(attempt);
    }

    fn loads(&self, counter: ShardCounter) -> Vec<u64> {
        self.pages.iter().map(|page| page.load(counter)).collect()
    }

    fn sum(&self, counter: ShardCounter) -> u64 {
        self.pages.iter().map(|page| page.load(counter)).sum()
    }
}

/// `name`, or `name@version`: what tells this model from all others.
pub(crate) fn model_name(model: &crate::snapshot::Model) -> String {
    match &model.version {
        Some(version) => format!("{}@{version}", model.name),
        None => model.name.clone(),
    }
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    nanos(since) / 1_000_000
}
