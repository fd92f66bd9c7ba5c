//! What control does for the health of endpoints: it checks them, looks at all of them once a second, and says what changed.
//!
//! Invariant: shards never wait for any of it. What they meet themselves is on the health page at once; from here comes what
//! one shard cannot know.

mod ask;
mod checks;
mod rounds;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::time;
use tokio::time::MissedTickBehavior;

use crate::control::health::checks::Checks;
use crate::control::health::checks::Learned;
use crate::control::health::rounds::Rounds;
use crate::control::state::Shared;
use crate::control::state::State;
use crate::crossing::health::Check;
use crate::crossing::health::SharedHealth;
use crate::snapshot::Snapshot;
use crate::sys::clock;
use crate::units::SlotId;

/// How often all endpoints are looked at.
const ROUND: Duration = Duration::from_secs(1);

/// What the checks of an endpoint said since the process began, as operators see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Checks that passed.
    pub(crate) passed: u64,
    /// Checks that did not.
    pub(crate) failed: u64,
    /// Why the last one did not; none once one has passed.
    pub(crate) trouble: Option<String>,
}

/// Follows what is published until the task is dropped.
pub(crate) async fn run(shared: Shared) {
    let (health, published) = {
        let state = shared.lock();
        (Arc::clone(state.health()), state.published())
    };
    let mut care =
        Care { shared, health, snapshot: None, checks: Checks::new(), rounds: Rounds::default() };
    let mut round = time::interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        care.follow();
        care.checks.begin(Instant::now());
        let due = care.checks.next();
        tokio::select! {
            () = published.notified() => {}
            _ = round.tick() => care.round(),
            () = until(due) => {}
            learned = care.checks.arrived(Instant::now) => {
                if let Some(learned) = learned {
                    care.note(learned);
                }
            }
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => time::sleep_until(moment.into()).await,
        None => pending().await,
    }
}

/// Lets the checks of all endpoints say nothing: nobody is there any more who would find out that one is well again.
pub(crate) fn abandon(state: &State) {
    let Some(current) = state.current() else { return };
    for endpoint in &current.snapshot.endpoints {
        state.health().set_check(endpoint.slot, Check::Unknown, clock::now());
    }
}

/// What the task works on.
struct Care {
    shared: Shared,
    health: SharedHealth,
    /// The one that is followed.
    snapshot: Option<Arc<Snapshot>>,
    checks: Checks,
    rounds: Rounds,
}

impl Care {
    /// Takes up the newest snapshot, if it is another.
    fn follow(&mut self) {
        let newest = self.shared.lock().current().map(|current| Arc::clone(&current.snapshot));
        let Some(newest) = newest else { return };
        if self.snapshot.as_ref().is_some_and(|followed| Arc::ptr_eq(followed, &newest)) {
            return;
        }
        for slot in self.checks.want(&newest, Instant::now()) {
            self.health.set_check(slot, Check::Unknown, clock::now());
        }
        self.rounds.want(&newest, &self.health);
        self.snapshot = Some(newest);
    }

    fn round(&mut self) {
        if let Some(snapshot) = &self.snapshot {
            self.rounds.make(snapshot, &self.health, clock::now());
        }
    }

    fn note(&mut self, learned: Learned) {
        let Learned { slot, result, check, is_changed } = learned;
        // Even if it is what was known: an endpoint that has gone and come back begins anew on the page.
        self.health.set_check(slot, check, clock::now());
        if is_changed {
            self.tell(slot, check, result.as_ref().err());
        }
        self.shared.lock().note_check(slot, result);
    }

    fn tell(&self, slot: SlotId, check: Check, why: Option<&String>) {
        let Some((upstream, endpoint)) = self.snapshot.as_ref().and_then(|it| named(it, slot))
        else {
            return;
        };
        match (check, why) {
            (Check::Failing, Some(why)) => {
                tracing::warn!(upstream, endpoint, why, "unhealthy: its health checks fail");
            }
            _ => tracing::info!(upstream, endpoint, "healthy: its health checks pass"),
        }
    }
}

/// The upstream's name and the url of the endpoint with this slot.
fn named(snapshot: &Snapshot, slot: SlotId) -> Option<(&str, &str)> {
    let endpoint = snapshot.endpoints.iter().find(|endpoint| endpoint.slot == slot)?;
    Some((&snapshot.upstream(endpoint.upstream).name, &endpoint.url))
}

#[cfg(test)]
mod tests;
