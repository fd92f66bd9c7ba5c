//! How often what is found is published: less often where earlier snapshots pile up, and again where it could not be served.
//!
//! A request holds the snapshot that it began with. Where sources never rest and streams are long, each publication is one more snapshot in
//! memory, as large as the last: so the more are held, the longer changes are gathered.

use std::time::Duration;
use std::time::Instant;

use tokio::time;

use crate::control::discover::desk::Change;
use crate::control::discover::desk::Discovery;

/// So many snapshots may be held before publications become rarer,
const HELD_EASILY: usize = 32;
/// each so much later for each that is held beyond them,
const LATER: Duration = Duration::from_millis(5);
/// but no later than this.
const LATER_MAX: Duration = Duration::from_secs(10);
/// What was found and could not be served is tried again after so long.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// When what is found is taken up next.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Not before this.
    earliest: Option<Instant>,
    /// At the latest, as what was found could not be served.
    again: Option<Instant>,
}

impl Pace {
    /// Something was published, and so many earlier snapshots are held.
    pub(super) fn published(&mut self, held: usize, now: Instant) {
        let beyond = u32::try_from(held.saturating_sub(HELD_EASILY)).unwrap_or(u32::MAX);
        self.earliest = (beyond > 0).then(|| now + LATER.saturating_mul(beyond).min(LATER_MAX));
    }

    /// What was found could not be served: there may be room for it later.
    pub(super) fn failed(&mut self, now: Instant) {
        self.again = Some(now + TRY_AGAIN);
    }

    /// Whether it is time to try that again; said once.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        self.again.take_if(|again| *again <= now).is_some()
    }

    /// Waits until something is found that may be taken up by now. May be dropped.
    pub(super) async fn changed(&self, discovery: &mut Discovery) -> Change {
        if let Some(earliest) = self.earliest {
            time::sleep_until(earliest.into()).await;
        }
        discovery.changed().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_snapshots_are_held_the_rarer_are_new_ones() {
        let now = Instant::now();
        let mut pace = Pace::default();
        let mut wait = |held| {
            pace.published(held, now);
            pace.earliest.map_or(0, |earliest| earliest.duration_since(now).as_millis())
        };
        assert_eq!([wait(0), wait(32), wait(33), wait(132)], [0, 0, 5, 500]);
        assert_eq!([wait(100_000), wait(usize::MAX), wait(1)], [10_000, 10_000, 0]);
    }

    #[test]
    fn what_could_not_be_served_is_tried_again_once() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert!(!pace.is_due(now));
        pace.failed(now);
        assert!(!pace.is_due(now));
        assert!(pace.is_due(now + TRY_AGAIN));
        assert!(!pace.is_due(now + TRY_AGAIN));
    }
}
