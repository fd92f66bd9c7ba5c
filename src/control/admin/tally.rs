//! What became of those who wanted to change something, or to see what is guarded.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::control::admin::auth::Stranger;
use crate::control::metrics::AdminNumbers;

/// A line of the log for strangers is followed by another one after this time, however many come.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Of what was asked for so much is logged, in characters.
const SHOWN_MAX: usize = 200;

/// What was asked for, as the log has it.
pub(super) fn shown(asked: &str) -> String {
    asked.chars().take(SHOWN_MAX).collect()
}

/// Counts, and when the log was told of a stranger last.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) numbers: AdminNumbers,
    told: Option<Told>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    /// Strangers until then.
    denied: u64,
}

impl Tally {
    /// A request for a change was answered: something `is_changed`, or it was refused.
    pub(super) fn answered(&mut self, is_changed: bool) {
        let AdminNumbers { changed, refused, .. } = &mut self.numbers;
        *if is_changed { changed } else { refused } += 1;
    }

    /// Somebody was not let in.
    pub(super) fn denied(&mut self, stranger: Stranger, from: IpAddr, path: &str, now: Instant) {
        self.numbers.denied += 1;
        if let Some(since) = self.told_of(now) {
            let (path, why) = (shown(path), stranger.why());
            tracing::warn!(%from, path, why, since, "denied by the admin API");
        }
    }

    /// How many there were since the log was told last, this one included; none: it is too early for another line.
    fn told_of(&mut self, now: Instant) -> Option<u64> {
        let denied = self.numbers.denied;
        let before = match &self.told {
            Some(told) if now < told.at + TOLD_EVERY => return None,
            told => told.as_ref().map_or(0, |told| told.denied),
        };
        self.told = Some(Told { at: now, denied });
        Some(denied - before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_strangers_there_is_a_line_a_second() {
        let mut tally = Tally::default();
        let began = Instant::now();
        let mut come = |ms| {
            tally.numbers.denied += 1;
            tally.told_of(began + Duration::from_millis(ms))
        };
        let told = [0, 1, 999, 1000, 1001, 5000].map(&mut come);
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
    }

    #[test]
    fn each_is_counted_as_what_it_was() {
        let mut tally = Tally::default();
        for is_changed in [true, false, true] {
            tally.answered(is_changed);
        }
        tally.denied(Stranger::Unknown, [127, 0, 0, 1].into(), "/admin/x", Instant::now());
        assert_eq!(tally.numbers, AdminNumbers { changed: 2, refused: 1, denied: 1 });
    }
}
