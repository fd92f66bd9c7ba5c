//! When a second endpoint is asked for the same.

use std::time::Duration;

/// With fewer samples than this, none of them need be one of the slow twentieth.
pub const SAMPLES_MIN: u32 = 20;

/// When a second endpoint is asked, and how often at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How long after the start of the attempt without a first byte.
    pub after: After,
    /// Not sooner than this.
    pub min: Duration,
    /// How many second ones there may be, in percent of the requests.
    pub budget_percent: u8,
    /// Whether requests with tools may be asked twice.
    pub may_have_tools: bool,
}

/// How long after the start of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The endpoint's 95th percentile of first bytes.
    P95,
    /// Always the same.
    Fixed(Duration),
}

/// How long after the start of an attempt a second endpoint is asked; `None`: not at all, since too little is known of the
/// first. `p95` and `samples` are the first one's.
#[must_use]
pub fn after(rule: &Rule, p95: Option<Duration>, samples: u32) -> Option<Duration> {
    let after = match rule.after {
        After::Fixed(after) => Some(after),
        After::P95 => p95.filter(|_| samples >= SAMPLES_MIN),
    };
    after.map(|after| after.max(rule.min))
}

#[cfg(test)]
mod tests {
    use super::After;
    use super::Rule;
    use super::SAMPLES_MIN;
    use super::after;
    use std::time::Duration;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn the_slow_twentieth_is_asked_for_twice() {
        let rule =
            Rule { after: After::P95, min: MS(50), budget_percent: 5, may_have_tools: false };
        assert_eq!(after(&rule, Some(MS(320)), SAMPLES_MIN), Some(MS(320)));
        assert_eq!(after(&rule, Some(MS(20)), SAMPLES_MIN), Some(MS(50)));
        assert_eq!(after(&rule, Some(MS(320)), SAMPLES_MIN - 1), None);
        assert_eq!(after(&rule, None, SAMPLES_MIN), None);
        let fixed = Rule { after: After::Fixed(MS(800)), ..rule };
        assert_eq!(after(&fixed, None, 0), Some(MS(800)));
        let hasty = Rule { after: After::Fixed(MS(8)), ..rule };
        assert_eq!(after(&hasty, Some(MS(320)), 500), Some(MS(50)));
    }
}
