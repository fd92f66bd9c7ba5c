//! What control knows: what is published, what was tried, and where the shards count.

mod asked;

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;
use std::time::SystemTime;

use tokio::sync::Notify;

use crate::config::LogPath;
use crate::control::admin::Tally;
use crate::control::endpoints;
use crate::control::health::Checked;
use crate::control::log::access::Counts;
use crate::control::metrics;
use crate::control::metrics::ControlNumbers;
use crate::control::names::Names;
use crate::control::process;
use crate::control::publishing::Adopted;
use crate::control::publishing::Publishing;
use crate::control::register::Load;
use crate::control::register::Registrations;
use crate::control::retire::Holders;
use crate::control::retire::Retired;
use crate::control::watch;
use crate::crossing::gauges::Page;
use crate::crossing::health::SharedHealth;
use crate::crossing::publish::Phase;
use crate::crossing::publish::Publication;
use crate::crossing::publish::Publisher;
use crate::record::counters::ShardCounter;
use crate::record::histogram::nanos;
use crate::snapshot::Ledger;
use crate::snapshot::Snapshot;
use crate::sys::clock;
use crate::units::Moment;
use crate::units::SlotId;

/// What control knows.
pub(crate) struct State {
    pages: Vec<Arc<Page>>,
    publisher: Publisher,
    health: SharedHealth,
    /// What health checks said.
    checked: HashMap<SlotId, Checked>,
    /// Rung whenever something else is published.
    published: Arc<Notify>,
    names: Names,
    current: Option<Publication>,
    retired: Retired,
    /// What is in the current one and in those.
    holders: Holders,
    publishing: Publishing,
    phase: Phase,
    registrations: Registrations,
    /// What came of reading the config; none before the first snapshot is given out.
    reloads: Option<watch::Remote>,
    /// The task that reads it has ended.
    is_unwatched: bool,
    access_log: Counts,
    pub(crate) tally: Tally,
    started_unix_ms: u64,
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
    pub(crate) fn new(pages: Vec<Arc<Page>>, publisher: Publisher, health: SharedHealth) -> Self {
        Self {
            pages,
            publisher,
            health,
            checked: HashMap::new(),
            published: Arc::default(),
            names: Names::default(),
            current: None,
            retired: Retired::default(),
            holders: Holders::default(),
            publishing: Publishing::default(),
            phase: Phase::Serving,
            registrations: Registrations::default(),
            reloads: None,
            is_unwatched: false,
            access_log: Counts::default(),
            tally: Tally::default(),
            started_unix_ms: unix_ms(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes `snapshot` as the one to be served, and gives it to every shard once the gateway is open. `since`: when what is new in
    /// it was learnt; none: it is the first.
    pub(crate) fn publish(&mut self, snapshot: Arc<Snapshot>, since: Option<Instant>) {
        self.look_at_publishing();
        let is_known = self.retired.has(&snapshot)
            || self.current.as_ref().is_some_and(|it| Arc::ptr_eq(&it.snapshot, &snapshot));
        if !is_known {
            self.holders.take(&snapshot);
        }
        self.learn(&snapshot);
        self.welcome(&snapshot, since.map(moment));
        let before = self.current.replace(Publication { snapshot, phase: self.phase });
        if let Some(before) = before {
            self.retired.keep(before.snapshot);
        }
        self.nudge();
        self.published.notify_one();
    }

    /// Looks whether shards have adopted what was published, and asked who is new.
    pub(crate) fn look_at_publishing(&mut self) {
        let adopted = |page: &Arc<Page>| Adopted {
            number: page.load(ShardCounter::AdoptedSnapshot),
            at: Moment::from_nanos(page.load(ShardCounter::AdoptedAt)),
        };
        let (shards, health) = (self.pages.iter().map(adopted), &self.health);
        self.publishing.look(shards, |slot| health.first_asked(slot));
    }

    /// Rings whenever something else is published. For one who waits.
    pub(crate) fn published(&self) -> Arc<Notify> {
        Arc::clone(&self.published)
    }

    /// The health page.
    pub(crate) fn health(&self) -> &SharedHealth {
        &self.health
    }

    /// What the health checks of an endpoint said.
    pub(crate) fn checked(&self, slot: SlotId) -> Option<&Checked> {
        self.checked.get(&slot)
    }

    /// Counts a health check.
    pub(crate) fn note_check(&mut self, slot: SlotId, result: Result<(), String>) {
        let checked = self.checked.entry(slot).or_default();
        match &result {
            Ok(()) => checked.passed += 1,
            Err(_) => checked.failed += 1,
        }
        checked.trouble = result.err();
    }

    /// The snapshot with this number, published now or before; none once nobody holds it.
    pub(crate) fn world(&self, number: u64) -> Option<&Snapshot> {
        let current = self.current.as_ref().map(|current| &*current.snapshot);
        current.filter(|current| current.number == number).or_else(|| self.retired.find(number))
    }

    /// Numbers of earlier snapshots that nobody holds any more, see [`Retired::unheld`].
    pub(crate) fn unheld(&self) -> Vec<u64> {
        self.retired.unheld()
    }

    /// Frees earlier snapshots.
    pub(crate) fn free(&mut self, numbers: &[u64]) {
        let holders = &mut self.holders;
        self.retired.free(numbers, |snapshot| holders.give(snapshot));
    }

    /// Tells the ledger what no snapshot has any more that anybody holds: its numbers may stand for something else in the next.
    /// Returns how many earlier snapshots are held.
    pub(crate) fn release(&self, ledger: &mut Ledger) -> usize {
        let holders = &self.holders;
        ledger.note_held(|slot| holders.has_slot(slot), |lane| holders.has_lane(lane));
        self.retired.len()
    }

    /// Begins to give snapshots to the shards. Before that, something may still keep the process from starting.
    pub(crate) fn open(&mut self, reloads: watch::Remote) {
        self.reloads = Some(reloads);
        self.nudge();
    }

    /// Notes that the config is not read any more.
    pub(crate) fn stop_watching(&mut self) {
        self.is_unwatched = true;
    }

    /// Where the access log is to go.
    pub(crate) fn access_log(&self) -> Option<LogPath> {
        self.current.as_ref()?.snapshot.access_log.clone()
    }

    /// What registries know of the gateway.
    pub(crate) fn registrations(&mut self) -> &mut Registrations {
        &mut self.registrations
    }

    /// What registries are told of the gateway.
    pub(crate) fn load(&self) -> Load {
        Load {
            in_flight: self.sum(ShardCounter::RequestsOpen),
            connections: self.connections_open(),
            is_draining: self.is_draining(),
        }
    }

    /// Tells every shard to take nothing new. From here on the gateway is not ready.
    pub(crate) fn drain(&mut self) {
        self.enter(Phase::Draining);
        self.registrations.ring();
    }

    /// Tells every shard to break off what is still in flight.
    pub(crate) fn break_off(&mut self) {
        self.enter(Phase::Ending);
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        if let Some(current) = &mut self.current {
            current.phase = phase;
        }
        self.nudge();
    }

    /// Publishes once more what is published: an idle shard wakes up and makes a turn.
    pub(crate) fn nudge(&self) {
        if let (Some(current), Some(_)) = (&self.current, &self.reloads) {
            self.publisher.publish(current);
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.phase != Phase::Serving
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
            return vec!["no config has been published yet".to_owned()];
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

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Takes over what the access log has counted.
    pub(crate) fn note(&mut self, counts: Counts) {
        self.access_log = counts;
    }

    /// The metrics page.
    pub(crate) fn metrics(&mut self) -> String {
        self.look_at_publishing();
        let mut out = String::new();
        metrics::write(&self.pages, &self.names.lanes(), &self.numbers(), &mut out);
        out
    }

    fn numbers(&self) -> ControlNumbers {
        let used = process::usage();
        let reloads = self.reloads();
        let reloads = reloads.as_ref();
        let last = reloads.and_then(|reloads| reloads.history.back());
        let current = self.current.as_ref().map(|current| &*current.snapshot);
        ControlNumbers {
            snapshot_number: current.map_or(0, |current| current.number),
            snapshots_held: (self.retired.len() + usize::from(current.is_some())) as u64,
            tenants: current.map_or(0, |current| current.admission.tenants.len() as u64),
            keys: current.map_or(0, |current| current.keys.len() as u64),
            keys_bytes: current.map_or(0, |current| current.keys.bytes() as u64),
            endpoints: current
                .map_or_else(Vec::new, |current| endpoints::numbers(self, current, clock::now())),
            key_sets: reloads.map_or_else(Vec::new, |reloads| reloads.key_sets.clone()),
            sources: reloads.map_or_else(Vec::new, |reloads| reloads.sources.clone()),
            publish: self.publishing.publish.clone(),
            first_request: self.publishing.first_request.clone(),
            registered: self.registrations.numbers(),
            is_last_reload_successful: reloads.is_some_and(|it| it.is_last_reload_successful),
            reloads: reloads.map_or(0, |reloads| reloads.reloads),
            reloads_failed: reloads.map_or(0, |reloads| reloads.reload_failures),
            admin: self.tally.numbers,
            published_unix_ms: last
                .map_or(0, |last| u64::try_from(last.unix_ms).unwrap_or(u64::MAX)),
            access_log_lines: self.access_log.lines,
            access_log_dropped: self.access_log.dropped,
            access_log_errors: self.access_log.errors,
            started_unix_ms: self.started_unix_ms,
            resident_bytes: used.resident_bytes,
            cpu_ms: used.cpu_ms,
        }
    }

    /// Learns the names of what is new. What has the number of something that is gone begins anew wherever that was counted:
    /// nobody who knew it is left, and no shard has seen the snapshot yet.
    fn learn(&mut self, snapshot: &Snapshot) {
        for model in &snapshot.models {
            let Some(upstream) = snapshot.upstreams.get(model.upstream.index()) else { continue };
            let lane = (model.lane, model.lane_generation);
            if self.names.learn_lane(lane, &model.label(), &upstream.name) {
                self.pages.iter().for_each(|page| page.hand_over(model.lane));
            }
        }
        for endpoint in &snapshot.endpoints {
            let slot = (endpoint.slot, endpoint.generation);
            if self.names.learn_slot(slot, &endpoint.url) {
                self.health.hand_over(endpoint.slot);
                self.checked.remove(&endpoint.slot);
            }
        }
    }

    /// Endpoints that were not there a moment ago begin slowly. At the start of the process all are new, and so none is.
    fn welcome(&mut self, snapshot: &Snapshot, since: Option<Moment>) {
        let Some(before) = &self.current else { return };
        let slots = |snapshot: &Snapshot| -> HashSet<SlotId> {
            snapshot.endpoints.iter().map(|endpoint| endpoint.slot).collect()
        };
        let (known, named) = (slots(&before.snapshot), slots(snapshot));
        let new = || named.difference(&known).copied();
        new().for_each(|slot| self.health.appear(slot, clock::now()));
        self.publishing.keep(&named);
        if let Some(since) = since {
            self.publishing.expect(snapshot.number, since);
            self.publishing.expect_requests(new(), since);
        }
    }

    fn loads(&self, counter: ShardCounter) -> Vec<u64> {
        self.pages.iter().map(|page| page.load(counter)).collect()
    }

    fn sum(&self, counter: ShardCounter) -> u64 {
        self.loads(counter).into_iter().fold(0, u64::wrapping_add)
    }
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    nanos(since) / 1_000_000
}

/// The same time by the clock of all threads.
fn moment(at: Instant) -> Moment {
    Moment::from_nanos(clock::now().as_nanos().saturating_sub(nanos(at.elapsed())))
}
