//! Load, resolve, build, publish - and again whenever the file, what it refers to, or a name's address changes.

mod pace;
mod told;
mod why;

use crate::config;
use crate::config::Error;
use crate::config::File;
use crate::control::discover::desk::Change;
use crate::control::discover::desk::Discovery;
use crate::control::file;
use crate::control::file::Source;
use crate::control::file::Stamp;
use crate::control::jwks::KeySets;
use crate::control::register::clerk::Wanted;
use crate::control::resolve::Resolver;
use crate::snapshot::Ledger;
use crate::snapshot::Snapshot;
use crate::snapshot::World;
use crate::snapshot::build;
use crate::snapshot::diff;
use crate::snapshot::endpoints;
use crate::snapshot::warnings;
use std::future::pending;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

pub use told::Published;
pub use told::Reloaded;
pub use told::Remote;
pub use told::State;
pub use why::Why;

use pace::Pace;
use told::Ask;
use told::lock;

/// How often the files are looked at. A change is taken up once it has been there for two looks, so that a file
/// is not read while it is being written.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long key sets that were never fetched are waited for, at the start and at a reload.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// How long names of endpoints that were just found are waited for before they are published without addresses.
const NAMES_WAIT: Duration = Duration::from_millis(200);
/// How many snapshots are remembered.
const HISTORY_MAX: usize = 16;

/// Keeps the newest snapshot the newest.
pub struct Watch {
    source: Source,
    publish: Box<dyn Fn(Arc<Snapshot>, Option<Instant>) + Send>,
    resolver: Resolver,
    discovery: Discovery,
    key_sets: KeySets,
    /// How many tokens were refused because nobody knows the key they are signed with.
    unknown_kids: Box<dyn Fn() -> u64 + Send>,
    unknown_kids_seen: u64,
    ledger: Ledger,
    /// Tells the ledger which numbers nobody holds any more, and how many snapshots are held.
    release: Box<dyn Fn(&mut Ledger) -> usize + Send>,
    file: File,
    /// What it was read from.
    text: Arc<str>,
    world: World,
    state: Arc<Mutex<State>>,
    /// The files as they were when last read, and when last looked at.
    used: Stamp,
    seen: Stamp,
    /// Noted before it is done, so that a turn that is dropped half-way is done by the next.
    pending: Option<Why>,
    /// Since when.
    noticed: Option<Instant>,
    pace: Pace,
    /// What is said to be wrong is of that, and not of the file.
    is_found_wrong: bool,
    waiting: Vec<oneshot::Sender<Reloaded>>,
    /// Where the gateway is to make itself known, as of the file that is served.
    wanted: watch::Sender<Vec<Wanted>>,
    /// Who asked for the reload that is done now.
    cause: Option<String>,
    asked: mpsc::Receiver<Ask>,
    remote: Remote,
    hangup: Option<tokio::signal::unix::Signal>,
}

impl Watch {
    /// Reads the source, looks up its names (for at most 5 s: a name without an answer has no address yet), and
    /// publishes the first snapshot. `publish` also gets when what is new was learnt, but for the first. Must run on the control thread's runtime.
    ///
    /// # Errors
    /// All that is wrong with the config.
    pub async fn start(
        source: Source,
        steps: Vec<String>,
        mut ledger: Ledger,
        publish: impl Fn(Arc<Snapshot>, Option<Instant>) + Send + 'static,
    ) -> Result<Self, Vec<Error>> {
        let mut resolver = Resolver::new();
        let before = Stamp::take(&source, None);
        let mut discovery = Discovery::new();
        let (file, mut world, text) = discovery.load(&source).await?;
        let used = before.with_paths_of(Stamp::take(&source, Some(&file)));
        resolver.want(endpoints(&file, &world.found), Instant::now());
        resolver.refresh(Instant::now()).await;
        world.addresses = resolver.addresses();
        world.steps = steps;
        let mut key_sets = KeySets::new();
        key_sets.want(&file, &world, Instant::now());
        key_sets.first(FIRST_WAIT, Instant::now).await;
        world.jwks.extend(key_sets.texts());
        let snapshot = Arc::new(build(&file, &world, &mut ledger, 1)?);
        // Nobody waited for what was there at the start.
        discovery.since();
        publish(Arc::clone(&snapshot), None);
        let state = State::first(snapshot, &warnings(&file, &world), &discovery, &key_sets, &text);
        for warning in &state.warnings {
            tracing::warn!("{warning}");
        }
        let (wanted, _) = watch::channel(discovery.registrations(&file, &world));
        let state = Arc::new(Mutex::new(state));
        let (remote, asked) = Remote::new(&source, &state);
        let hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
        Ok(Self {
            publish: Box::new(publish),
            resolver,
            discovery,
            key_sets,
            unknown_kids: Box::new(|| 0),
            unknown_kids_seen: 0,
            ledger,
            release: Box::new(|_| 0),
            file,
            text,
            world,
            state,
            seen: used.clone(),
            used,
            pending: None,
            noticed: None,
            pace: Pace::default(),
            is_found_wrong: false,
            waiting: Vec::new(),
            wanted,
            cause: None,
            asked,
            remote,
            hangup: hangup
                .inspect_err(|why| tracing::warn!(%why, "SIGHUP cannot be listened for"))
                .ok(),
            source,
        })
    }

    /// `count` says how many tokens were refused because nobody knows the key they are signed with: when it rises, key sets
    /// are fetched sooner.
    pub fn notice_unknown_kids(&mut self, count: impl Fn() -> u64 + Send + 'static) {
        self.unknown_kids = Box::new(count);
    }

    /// `release` tells the ledger what no snapshot has any more that anybody holds, before each that is built, and says how many
    /// snapshots are held.
    pub fn reuse_numbers(&mut self, release: impl Fn(&mut Ledger) -> usize + Send + 'static) {
        self.release = Box::new(release);
    }

    /// The newest snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.state).snapshot)
    }

    /// Turns for ever.
    pub async fn run(mut self) {
        loop {
            self.turn().await;
        }
    }

    /// Waits until there may be something new, and publishes it if there is. May be dropped at any time: nothing
    /// is lost, the next turn does it.
    pub async fn turn(&mut self) {
        if self.pending.is_none() {
            self.pending = self.wait().await;
            self.noticed = Some(Instant::now());
        }
        match self.pending {
            None => {}
            Some(Why::NamesMoved) => self.move_names().await,
            Some(Why::KeysFetched) => self.rebuild(Why::KeysFetched),
            Some(Why::Discovered) => self.take_found().await,
            Some(why) => self.reload(why).await,
        }
        self.pending = None;
    }

    async fn wait(&mut self) -> Option<Why> {
        let hangup = async {
            match &mut self.hangup {
                Some(signal) => signal.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = hangup => Some(Why::Hangup),
            Some(ask) = self.asked.recv() => {
                self.waiting.push(ask.answer);
                self.cause = ask.cause;
                Some(Why::Asked)
            }
            is_changed = self.key_sets.arrived(Instant::now) => {
                lock(&self.state).key_sets = self.key_sets.numbers();
                is_changed.then_some(Why::KeysFetched)
            }
            change = self.pace.changed(&mut self.discovery) => Some(match change {
                Change::Found => Why::Discovered,
                Change::Held => Why::RegistryChanged,
            }),
            () = tokio::time::sleep(LOOK_EVERY) => self.look(),
        }
    }

    fn look(&mut self) -> Option<Why> {
        self.note_discovery();
        let unknown_kids = (self.unknown_kids)();
        if unknown_kids != std::mem::replace(&mut self.unknown_kids_seen, unknown_kids) {
            self.key_sets.hurry(Instant::now());
        }
        self.key_sets.begin(Instant::now());
        let now = Stamp::take(&self.source, Some(&self.file));
        let is_settled = now == self.seen;
        self.seen = now;
        if is_settled && self.seen != self.used {
            return Some(Why::FileChanged);
        }
        if self.pace.is_due(Instant::now()) {
            return Some(Why::Discovered);
        }
        let is_due = self.resolver.next_due().is_some_and(|due| due <= Instant::now());
        is_due.then_some(Why::NamesMoved)
    }

    async fn move_names(&mut self) {
        if !self.resolver.refresh(Instant::now()).await {
            return;
        }
        self.noticed = Some(Instant::now());
        self.rebuild(Why::NamesMoved);
    }

    /// Takes up what is found. Names that were not known before are looked up meanwhile, for a moment: an endpoint without an
    /// address has one a little later.
    async fn take_found(&mut self) {
        self.world.found = self.discovery.found();
        let now = Instant::now();
        self.resolver.want(endpoints(&self.file, &self.world.found), now);
        drop(tokio::time::timeout(NAMES_WAIT, self.resolver.refresh(now)).await);
        self.rebuild(Why::Discovered);
        self.note_discovery();
    }

    fn note_discovery(&self) {
        let mut state = lock(&self.state);
        state.sources = self.discovery.numbers();
        state.troubles = self.discovery.troubles();
        state.reaches = self.discovery.reaches();
    }

    /// Builds the same file anew, of what is known of the world by now.
    fn rebuild(&mut self, why: Why) {
        self.world.addresses = self.resolver.addresses();
        self.world.jwks.extend(self.key_sets.texts());
        let number = lock(&self.state).snapshot.number + 1;
        let held = (self.release)(&mut self.ledger);
        self.pace.published(held, Instant::now());
        match build(&self.file, &self.world, &mut self.ledger, number) {
            Ok(snapshot) => {
                self.adopt(snapshot, why);
                if std::mem::take(&mut self.is_found_wrong) {
                    lock(&self.state).is_last_reload_successful = true;
                    lock(&self.state).last_errors.clear();
                }
            }
            Err(errors) => {
                self.is_found_wrong = true;
                self.pace.failed(Instant::now());
                self.note_failure(&errors);
            }
        }
    }

    async fn reload(&mut self, why: Why) {
        self.is_found_wrong = false;
        let used = Stamp::take(&self.source, Some(&self.file));
        let outcome = match self.discovery.load(&self.source).await {
            Ok((file, world, text)) => self.replace((file, text), world, why).await,
            Err(errors) => Err(errors),
        };
        if outcome.is_err() {
            self.discovery.want(&self.file, &self.world);
        }
        self.note_discovery();
        // As before the reading: what was written meanwhile is read again. A wrong file is not, until it changes.
        self.used = used.with_paths_of(Stamp::take(&self.source, Some(&self.file)));
        self.seen = self.used.clone();
        if let Err(errors) = &outcome {
            self.note_failure(errors);
        }
        let answer: Reloaded = outcome.map_err(|errors| config::error_lines(&errors));
        for waiting in self.waiting.drain(..) {
            // Who asked may have gone meanwhile.
            drop(waiting.send(answer.clone()));
        }
        self.cause = None;
    }

    async fn replace(
        &mut self,
        (file, text): (File, Arc<str>),
        world: World,
        why: Why,
    ) -> Reloading {
        let now = Instant::now();
        self.resolver.want(endpoints(&file, &world.found), now);
        self.resolver.restart(now);
        self.resolver.refresh(now).await;
        self.key_sets.want(&file, &world, now);
        self.key_sets.first(FIRST_WAIT, Instant::now).await;
        let addresses = self.resolver.addresses();
        let steps = self.world.steps.clone();
        let mut world = World { addresses, steps, ..world };
        world.jwks.extend(self.key_sets.texts());
        let number = lock(&self.state).snapshot.number + 1;
        (self.release)(&mut self.ledger);
        let built = build(&file, &world, &mut self.ledger, number);
        if built.is_err() {
            self.resolver.want(endpoints(&self.file, &self.world.found), now);
            self.key_sets.want(&self.file, &self.world, now);
        }
        let snapshot = built?;
        let warnings: Vec<String> =
            warnings(&file, &world).iter().map(ToString::to_string).collect();
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        (self.file, self.text, self.world) = (file, text, world);
        self.adopt(snapshot, why);
        self.wanted.send_replace(self.discovery.registrations(&self.file, &self.world));
        let mut state = lock(&self.state);
        state.is_last_reload_successful = true;
        state.last_errors.clear();
        state.warnings = warnings;
        state.last_success_unix_ms = file::unix_time().as_millis();
        state.key_sets = self.key_sets.numbers();
        state.reloads += 1;
        Ok(number)
    }

    fn adopt(&mut self, snapshot: Snapshot, why: Why) {
        let snapshot = Arc::new(snapshot);
        let changes = diff(&self.snapshot(), &snapshot);
        tracing::info!(number = snapshot.number, why = why.label(), "a new snapshot is published");
        for change in &changes {
            tracing::info!(number = snapshot.number, "{change}");
        }
        let since = self.discovery.since().or(self.noticed);
        (self.publish)(Arc::clone(&snapshot), since);
        let mut state = lock(&self.state);
        if state.history.len() == HISTORY_MAX {
            state.history.pop_front();
        }
        let unix_ms = file::unix_time().as_millis();
        let (number, cause) = (snapshot.number, self.cause.clone());
        let text = Arc::clone(&self.text);
        state.history.push_back(Published { number, unix_ms, why, cause, changes, text });
        state.snapshot = snapshot;
    }

    fn note_failure(&self, errors: &[Error]) {
        let mut state = lock(&self.state);
        let number = state.snapshot.number;
        state.last_errors = config::error_lines(errors);
        for error in &state.last_errors {
            tracing::error!(number, "{error}; the snapshot stays as it is");
        }
        state.is_last_reload_successful = false;
        state.reload_failures += 1;
    }
}

type Reloading = Result<u64, Vec<Error>>;

#[cfg(test)]
mod tests;
