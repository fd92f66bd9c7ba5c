//! Key sets of issuers, fetched from where they are published, again and again. Shards never fetch.
//!
//! Invariant: a set that cannot be fetched, or that has no key in it that can be used, leaves the one before in force.

use rustls::ClientConfig;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use tokio::task::JoinSet;

use crate::admission::jwks::KEY_SET_BYTES_MAX;
use crate::admission::jwks::KeySet;
use crate::config::File;
use crate::config::JwtKeys;
use crate::control::fetch;
use crate::control::fetch::Bounds;
use crate::control::fetch::Fetched;
use crate::control::file::unix_time;
use crate::control::metrics::KeySetNumbers;
use crate::snapshot::World;
use crate::snapshot::client_config;

/// What one fetching may take.
const BOUNDS: Bounds = Bounds { bytes_max: KEY_SET_BYTES_MAX, timeout: Duration::from_secs(10) };
/// How long after a failure it is tried again, doubling from the first to the second.
const AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// A set is not fetched more often than this, whatever its sender says of its age.
const AGE_MIN: Duration = Duration::from_secs(10);
/// When tokens come that are signed with an unknown key: a set is not fetched for that sooner than this after the last time.
/// Anybody can send such tokens.
const HURRY_MIN: Duration = Duration::from_secs(30);

/// What makes a set the same set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Source {
    url: String,
    ca: Option<PathBuf>,
}

/// One set.
#[derive(Debug)]
struct Set {
    source: Source,
    /// Which of the file's `[[jwt]]` it is for.
    index: usize,
    issuer: String,
    refresh: Duration,
    tls: Option<Arc<ClientConfig>>,
    known: Known,
}

/// What is known of a set; goes on when the file is read again.
#[derive(Clone, Debug, Default)]
struct Known {
    text: Option<Vec<u8>>,
    keys: usize,
    fetched_unix_ms: u64,
    failures: u64,
    failures_in_a_row: u32,
    /// When it was last asked for.
    asked: Option<Instant>,
    /// When it is to be asked for; none while it is being asked for.
    due: Option<Instant>,
    has_answered: bool,
}

/// All sets that are fetched.
pub(crate) struct KeySets {
    sets: Vec<Set>,
    asking: JoinSet<(Source, Result<Fetched, String>)>,
    bounds: Bounds,
}

impl KeySets {
    pub(crate) fn new() -> Self {
        Self { sets: Vec::new(), asking: JoinSet::new(), bounds: BOUNDS }
    }

    /// Takes on the sets of `file` and forgets all others. What is known stays known.
    pub(crate) fn want(&mut self, file: &File, world: &World, now: Instant) {
        let before = std::mem::take(&mut self.sets);
        let known: HashMap<Source, Known> =
            before.into_iter().map(|set| (set.source, set.known)).collect();
        for (index, jwt) in file.jwt.iter().enumerate() {
            let Some(JwtKeys::Url { url, refresh, ca, .. }) = &jwt.keys else { continue };
            let ca = ca.as_ref().map(|ca| ca.path.clone());
            let roots = match &ca {
                Some(path) => world.ca_roots.get(path),
                None => world.system_roots.as_ref(),
            };
            let tls = roots.and_then(|roots| client_config(roots).ok()).map(Arc::new);
            let source = Source { url: url.clone(), ca };
            let unknown = Known { due: Some(now), ..Known::default() };
            self.sets.push(Set {
                known: known.get(&source).cloned().unwrap_or(unknown),
                issuer: jwt.issuer.clone().unwrap_or_else(|| url.clone()),
                source,
                index,
                refresh: *refresh,
                tls,
            });
        }
    }

    /// Begins to ask for all sets that are due.
    pub(crate) fn begin(&mut self, now: Instant) {
        for at in 0..self.sets.len() {
            let Some(set) = self.sets.get_mut(at) else { continue };
            if set.known.due.is_none_or(|due| due > now) {
                continue;
            }
            let (source, tls, bounds) = (set.source.clone(), set.tls.clone(), self.bounds);
            self.of(&source, |known| (known.due, known.asked) = (None, Some(now)));
            self.asking.spawn(async move {
                let answer = fetch::fetch(&source.url, tls, bounds).await;
                (source, answer)
            });
        }
    }

    /// Waits for one answer: whether a set is another one now. Waits for ever where nothing was asked. May be dropped.
    pub(crate) async fn arrived(&mut self, now: impl Fn() -> Instant) -> bool {
        match self.asking.join_next().await {
            None => std::future::pending().await,
            Some(Ok((source, answer))) => self.learn(&source, answer, now()),
            Some(Err(_)) => {
                // It has panicked, and took what it was asking for with it.
                let again = now() + AGAIN.1;
                self.sets.iter_mut().for_each(|set| set.known.due = set.known.due.or(Some(again)));
                false
            }
        }
    }

    /// Asks for what was never asked for, and waits until all of that has answered, well or not.
    pub(crate) async fn first(&mut self, patience: Duration, now: impl Fn() -> Instant) {
        self.begin(now());
        let all = async {
            while self.sets.iter().any(|set| !set.known.has_answered) && !self.asking.is_empty() {
                self.arrived(&now).await;
            }
        };
        // What has not come is waited for while requests are served.
        tokio::time::timeout(patience, all).await.ok();
    }

    /// Tokens come that are signed with a key nobody knows: perhaps there is a new one.
    pub(crate) fn hurry(&mut self, now: Instant) {
        for set in &mut self.sets {
            let earliest = set.known.asked.map_or(now, |asked| asked + HURRY_MIN);
            if let Some(due) = &mut set.known.due {
                *due = earliest.max(now).min(*due);
            }
        }
    }

    /// Every set that was fetched, by the place of its `[[jwt]]`.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (usize, Vec<u8>)> {
        self.sets.iter().filter_map(|set| Some((set.index, set.known.text.clone()?)))
    }

    /// For the metrics.
    pub(crate) fn numbers(&self) -> Vec<KeySetNumbers> {
        let numbers = |set: &Set| KeySetNumbers {
            issuer: set.issuer.clone(),
            keys: set.known.keys as u64,
            fetched_unix_ms: set.known.fetched_unix_ms,
            failures: set.known.failures,
        };
        self.sets.iter().map(numbers).collect()
    }

    /// As if the time had come for all sets that are not being asked for.
    #[cfg(test)]
    pub(super) fn expire(&mut self, now: Instant) {
        self.sets.iter_mut().for_each(|set| set.known.due = set.known.due.and(Some(now)));
    }

    /// Changes what is known of all sets of one source: two issuers may share it, and then it is fetched once.
    fn of(&mut self, source: &Source, mut change: impl FnMut(&mut Known)) {
        let same = self.sets.iter_mut().filter(|set| set.source == *source);
        same.for_each(|set| change(&mut set.known));
    }

    fn learn(&mut self, source: &Source, answer: Result<Fetched, String>, now: Instant) -> bool {
        let read = answer.and_then(|fetched| Ok((usable(&fetched.body)?, fetched)));
        let Some(set) = self.sets.iter().find(|set| set.source == *source) else {
            return false; // Not wanted any more.
        };
        let (mut known, refresh) = (set.known.clone(), set.refresh);
        let url = &source.url;
        known.has_answered = true;
        let is_changed = match read {
            Ok((keys, fetched)) => {
                if known.failures_in_a_row > 0 {
                    tracing::info!(url, keys, "the key set can be fetched again");
                }
                let wait = fetched.max_age.map_or(refresh, |age| age.min(refresh)).max(AGE_MIN);
                let is_changed = known.text.as_ref() != Some(&fetched.body);
                known.keys = keys;
                known.text = Some(fetched.body);
                known.fetched_unix_ms = u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX);
                known.failures_in_a_row = 0;
                known.due = Some(now + wait);
                is_changed
            }
            Err(why) => {
                if known.failures_in_a_row == 0 {
                    let kept = known.keys;
                    tracing::error!(url, why, kept, "the key set cannot be fetched");
                }
                let wait = AGAIN.0.saturating_mul(1 << known.failures_in_a_row.min(8));
                known.failures_in_a_row = known.failures_in_a_row.saturating_add(1);
                known.failures += 1;
                known.due = Some(now + wait.min(AGAIN.1));
                false
            }
        };
        self.of(source, |of| *of = known.clone());
        is_changed
    }
}

/// How many keys of a set can be used.
fn usable(text: &[u8]) -> Result<usize, String> {
    let (keys, skipped) = KeySet::parse(text).map_err(|why| why.explain().to_owned())?;
    match (keys.len(), skipped.first()) {
        (0, None) => Err("the key set is empty".to_owned()),
        (0, Some(first)) => {
            Err(format!("no key of the set can be used; of the first: {}", first.why))
        }
        (keys, _) => Ok(keys),
    }
}

#[cfg(test)]
mod tests;
