//! What the watch tells other tasks, and what they may ask of it.

use crate::config::Error;
use crate::control::discover::desk::Discovery;
use crate::control::discover::reach::Reach;
use crate::control::file;
use crate::control::file::Source;
use crate::control::jwks::KeySets;
use crate::control::metrics::KeySetNumbers;
use crate::control::metrics::SourceNumbers;
use crate::control::register::clerk::Wanted;
use crate::control::watch::Watch;
use crate::control::watch::Why;
use crate::snapshot::Snapshot;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

/// How many may wait for a reload; more wait to be let in.
const ASKS_MAX: usize = 8;

/// A snapshot that was published.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its number.
    pub number: u64,
    /// Milliseconds since 1970.
    pub unix_ms: u128,
    /// Why it was built.
    pub why: Why,
    /// Who had it built, and for what; none: nobody, or nobody who is known.
    pub cause: Option<String>,
    /// What it had differently from the one before.
    pub changes: Vec<String>,
    /// The file's text that it was built from.
    pub(in crate::control) text: Arc<str>,
}

/// What the admin pages and metrics say of reloads.
#[derive(Clone, Debug)]
pub struct State {
    /// The newest snapshot.
    pub snapshot: Arc<Snapshot>,
    /// The last 16, newest last.
    pub history: VecDeque<Published>,
    /// Whether the last reading of the file went well. A wrong file leaves the snapshot as it is.
    pub is_last_reload_successful: bool,
    /// What was wrong with it, one line each; empty after a success.
    pub last_errors: Vec<String>,
    /// What is allowed in it and yet hardly meant.
    pub warnings: Vec<String>,
    /// When the file was last read with success, in milliseconds since 1970.
    pub last_success_unix_ms: u128,
    /// How often the file was read with success.
    pub reloads: u64,
    /// How often it was read and was wrong.
    pub reload_failures: u64,
    /// What is known of each key set that is fetched.
    pub key_sets: Vec<KeySetNumbers>,
    /// What is known of each source of endpoints.
    pub sources: Vec<SourceNumbers>,
    /// What is wrong with what registries hold, and with registries that cannot be asked.
    pub troubles: Vec<String>,
    /// The registries of the file, for whoever changes what they hold.
    pub(in crate::control) reaches: Arc<[Reach]>,
}

impl State {
    /// Of the first snapshot.
    pub(super) fn first(
        snapshot: Arc<Snapshot>,
        warnings: &[Error],
        discovery: &Discovery,
        key_sets: &KeySets,
        text: &Arc<str>,
    ) -> Self {
        let now = file::unix_time().as_millis();
        let (why, changes) = (Why::Start, Vec::new());
        let first = Published {
            number: 1,
            unix_ms: now,
            why,
            cause: None,
            changes,
            text: Arc::clone(text),
        };
        Self {
            snapshot,
            history: VecDeque::from([first]),
            is_last_reload_successful: true,
            last_errors: Vec::new(),
            warnings: warnings.iter().map(ToString::to_string).collect(),
            last_success_unix_ms: now,
            reloads: 1,
            reload_failures: 0,
            key_sets: key_sets.numbers(),
            sources: discovery.numbers(),
            troubles: discovery.troubles(),
            reaches: discovery.reaches(),
        }
    }
}

/// What came of a reload: the number of the snapshot, or what is wrong.
pub type Reloaded = Result<u64, Vec<String>>;

/// Asks a running [`Watch`] for things, from other tasks.
#[derive(Clone, Debug)]
pub struct Remote {
    pub(super) asked: mpsc::Sender<Ask>,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) source: Arc<Source>,
    pub(super) changing: Arc<tokio::sync::Mutex<()>>,
}

/// Asks for a reload.
#[derive(Debug)]
pub(super) struct Ask {
    /// Who asks, and for what.
    pub(super) cause: Option<String>,
    pub(super) answer: oneshot::Sender<Reloaded>,
}

impl Remote {
    /// A way to ask the watch of this source, and where it hears of it.
    pub(super) fn new(source: &Source, state: &Arc<Mutex<State>>) -> (Self, mpsc::Receiver<Ask>) {
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let (source, state) = (Arc::new(source.clone()), Arc::clone(state));
        (Self { asked: asks, state, source, changing: Arc::default() }, asked)
    }

    /// Has the file read again now.
    ///
    /// # Errors
    /// What is wrong with it, or that nobody watches any more.
    pub async fn reload(&self) -> Reloaded {
        self.ask(None).await
    }

    /// The same, on behalf of somebody: `cause` is remembered with the snapshot.
    ///
    /// # Errors
    /// As before.
    pub async fn reload_for(&self, cause: String) -> Reloaded {
        self.ask(Some(cause)).await
    }

    async fn ask(&self, cause: Option<String>) -> Reloaded {
        let gone = || vec!["the gateway is stopping".to_owned()];
        let (answer, answered) = oneshot::channel();
        self.asked.send(Ask { cause, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Where the config comes from.
    pub(in crate::control) fn source(&self) -> &Source {
        &self.source
    }

    /// Waits until nobody else changes the config, and keeps others from it as long as what it gives back is held.
    pub(in crate::control) async fn alone(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.changing).lock_owned().await
    }

    /// A copy of the state as it is now.
    #[must_use]
    pub fn state(&self) -> State {
        lock(&self.state).clone()
    }
}

impl Watch {
    /// For other tasks of the control thread.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Where the gateway is to make itself known, whenever that is another.
    pub(in crate::control) fn wanted(&self) -> watch::Receiver<Vec<Wanted>> {
        self.wanted.subscribe()
    }
}

/// The state is whole between any two statements, so a panic elsewhere does not spoil it.
pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
