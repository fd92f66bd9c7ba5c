//! How long to wait before an endpoint is asked again that was asked before.

use std::time::Duration;

/// The wait before an endpoint is asked again that was asked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// Always the same.
    Fixed(Duration),
    /// Longer each time.
    Exponential {
        /// The longest first wait.
        base: Duration,
        /// How much longer each next one is, in percent: 200 is twice as long.
        factor_percent: u32,
        /// The longest of all.
        max: Duration,
        /// Whether the wait is drawn: anything between nothing and as long as it would be, each as likely. Those who
        /// failed together then do not come back together.
        has_jitter: bool,
    },
}

impl Default for Backoff {
    /// Up to 50 ms, twice as long each time, up to 2 s.
    fn default() -> Self {
        Self::Exponential {
            base: Duration::from_millis(50),
            factor_percent: 200,
            max: Duration::from_secs(2),
            has_jitter: true,
        }
    }
}

impl Backoff {
    /// The wait before the `nth` repetition, from 1.
    #[must_use]
    pub fn wait(&self, nth: u8, dice: u64) -> Duration {
        match *self {
            Self::Fixed(wait) => wait,
            Self::Exponential { base, factor_percent, max, has_jitter } => {
                let longest = grown(base, factor_percent, max, nth.saturating_sub(1));
                if has_jitter { drawn(longest, dice) } else { longest }
            }
        }
    }
}

/// `base`, `times` times grown by the factor; at most `max`.
fn grown(base: Duration, factor_percent: u32, max: Duration, times: u8) -> Duration {
    let max = max.as_nanos();
    let mut wait = base.as_nanos().min(max);
    for _ in 0..times {
        wait = wait.saturating_mul(u128::from(factor_percent)) / 100;
        if wait >= max {
            wait = max;
            break;
        }
    }
    Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
}

/// Anything from nothing to `longest`, to the nanosecond.
pub(super) fn drawn(longest: Duration, dice: u64) -> Duration {
    let choices = longest.as_nanos().min(u128::from(u64::MAX)) + 1;
    let nanos = (u128::from(dice) * choices) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
