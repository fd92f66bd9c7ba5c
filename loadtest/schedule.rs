//! When each request is meant to start, and what of the run is measured: pure.

use std::time::Duration;

use ringway::units::Moment;

/// The moments of a run; every thread of it knows them beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The first request starts.
    pub start: Moment,
    /// The measured time begins.
    pub from: Moment,
    /// The measured time ends; nothing starts any more.
    pub to: Moment,
}

impl Times {
    /// The times of a run that starts at `start`.
    #[must_use]
    pub fn new(start: Moment, lead: Duration, duration: Duration) -> Self {
        let from = start.after(lead);
        Self { start, from, to: from.after(duration) }
    }

    /// Whether a moment lies in the measured time.
    #[must_use]
    pub fn measures(&self, moment: Moment) -> bool {
        self.from <= moment && moment < self.to
    }
}

/// Starts one after the other at an even pace. The next one is never put off by what the earlier ones do.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    start: Moment,
    gap_s: f64,
    begun: u64,
    limit: u64,
}

impl Pace {
    /// `rate` starts a second, the first after `share` of `shares` of a gap, so that threads interleave.
    #[must_use]
    pub fn at_rate(start: Moment, rate: f64, share: usize, shares: usize) -> Self {
        let gap_s = 1.0 / rate;
        let (share, shares) = (count(share), count(shares));
        let first = start.after(Duration::from_secs_f64(gap_s * share / shares));
        Self { start: first, gap_s: gap_s * shares, begun: 0, limit: u64::MAX }
    }

    /// `total` starts evenly over a time.
    #[must_use]
    pub fn over(start: Moment, time: Duration, total: usize) -> Self {
        let gap_s = time.as_secs_f64() / count(total.max(1));
        Self { start, gap_s, begun: 0, limit: total as u64 }
    }

    /// When the next start is due; never, if there is none left.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 starts")]
    pub fn next(&self) -> Moment {
        if self.begun >= self.limit {
            return Moment::NEVER;
        }
        self.start.after(Duration::from_secs_f64(self.gap_s * self.begun as f64))
    }

    /// Starts taken so far.
    #[must_use]
    pub fn begun(&self) -> usize {
        usize::try_from(self.begun).unwrap_or(usize::MAX)
    }

    /// Takes the next start if it is due, and says when it was meant to be.
    pub fn take_due(&mut self, now: Moment) -> Option<Moment> {
        let next = self.next();
        if next > now {
            return None;
        }
        self.begun += 1;
        Some(next)
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn count(number: usize) -> f64 {
    number as f64
}

/// How many of `total` fall to one of `shares`.
#[must_use]
pub const fn share_of(total: usize, share: usize, shares: usize) -> usize {
    total / shares + if share < total % shares { 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_keeps_its_pace_whatever_happens() {
        let start = Moment::from_nanos(1_000_000_000);
        let mut pace = Pace::at_rate(start, 1000.0, 1, 2);
        assert_eq!(pace.take_due(start), None);
        let late = start.after(Duration::from_millis(10));
        let due: Vec<u64> =
            std::iter::from_fn(|| pace.take_due(late)).map(|at| at.as_nanos()).collect();
        assert_eq!(due.len(), 5);
        assert_eq!(due[..2], [1_000_500_000, 1_002_500_000]);
    }

    #[test]
    fn a_ramp_ends() {
        let mut pace = Pace::over(Moment::from_nanos(0), Duration::from_secs(1), 4);
        let later = Moment::from_nanos(5_000_000_000);
        assert_eq!(std::iter::from_fn(|| pace.take_due(later)).count(), 4);
        assert_eq!(pace.next(), Moment::NEVER);
        assert_eq!((0..3).map(|share| share_of(10, share, 3)).sum::<usize>(), 10);
    }
}
