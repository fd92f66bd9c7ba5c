//! What the watch tells other tasks, and what they may ask of it.

use crate::control::metrics::KeySetNumbers;
use crate::control::metrics::SourceNumbers;
use crate::control::watch::Why;
use crate::snapshot::Snapshot;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

/// A snapshot that was published.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its number.
    pub number: u64,
    /// Milliseconds since 1970.
    pub unix_ms: u128,
    /// Why it was built.
    pub why: Why,
    /// What it had differently from the one before.
    pub changes: Vec<String>,
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
}

/// What came of a reload: the number of the snapshot, or what is wrong.
pub type Reloaded = Result<u64, Vec<String>>;

/// Asks a running [`Watch`] for things, from other tasks.
#[derive(Clone, Debug)]
pub struct Remote {
    pub(super) asked: mpsc::Sender<oneshot::Sender<Reloaded>>,
    pub(super) state: Arc<Mutex<State>>,
}

impl Remote {
    /// Has the file read again now.
    ///
    /// # Errors
    /// What is wrong with it, or that nobody watches any more.
    pub async fn reload(&self) -> Reloaded {
        let gone = || vec!["the gateway is stopping".to_owned()];
        let (answer, answered) = oneshot::channel();
        self.asked.send(answer).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// A copy of the state as it is now.
    #[must_use]
    pub fn state(&self) -> State {
        lock(&self.state).clone()
    }
}

/// The state is whole between any two statements, so a panic elsewhere does not spoil it.
pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
