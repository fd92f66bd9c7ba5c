//! How long one attempt may take to its first byte.

use std::time::Duration;

/// A deadline that follows what the endpoint needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adaptive {
    /// Times the 99th percentile of its first bytes, in percent: 300 is three times as long.
    pub factor_percent: u32,
    /// Not shorter than this.
    pub min: Duration,
    /// Not longer than this.
    pub max: Duration,
    /// With fewer samples the percentile says nothing.
    pub samples_min: u32,
}

/// How long an attempt may take from its start to its first byte; `None`: as long as the request may.
///
/// `p99` and `samples` are the endpoint's. Where too little is known of it, the adaptive deadline is its longest.
#[must_use]
pub fn attempt(
    fixed: Option<Duration>,
    adaptive: Option<&Adaptive>,
    p99: Option<Duration>,
    samples: u32,
) -> Option<Duration> {
    let Some(rule) = adaptive else { return fixed };
    let p99 = p99.filter(|_| samples >= rule.samples_min);
    let wanted = p99.map_or(rule.max, |p99| p99.saturating_mul(rule.factor_percent) / 100);
    let wanted = wanted.max(rule.min).min(rule.max);
    Some(fixed.map_or(wanted, |fixed| fixed.min(wanted)))
}

#[cfg(test)]
mod tests {
    use super::Adaptive;
    use super::attempt;
    use std::time::Duration;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn it_follows_the_endpoint_within_its_bounds() {
        let rule =
            Adaptive { factor_percent: 250, min: MS(1000), max: MS(30_000), samples_min: 100 };
        for (p99, samples, expected) in [
            (Some(MS(800)), 100, 2000),
            (Some(MS(800)), u32::MAX, 2000),
            (Some(MS(800)), 99, 30_000),
            (None, 100, 30_000),
            (Some(MS(2)), 100, 1000),
            (Some(MS(400)), 100, 1000),
            (Some(MS(12_000)), 100, 30_000),
            (Some(Duration::MAX), 100, 30_000),
        ] {
            assert_eq!(attempt(None, Some(&rule), p99, samples), Some(MS(expected)), "{p99:?}");
        }
        // No deadline is longer than the longest, whatever else is said.
        let odd = Adaptive { min: MS(9), max: MS(5), ..rule };
        assert_eq!(attempt(None, Some(&odd), Some(MS(7)), 100), Some(MS(5)));
    }

    #[test]
    fn a_fixed_one_knows_nothing_of_the_endpoint() {
        assert_eq!(attempt(None, None, Some(MS(3)), 1000), None);
        assert_eq!(attempt(Some(MS(50)), None, Some(MS(3)), 1000), Some(MS(50)));
        let rule = Adaptive { factor_percent: 300, min: MS(10), max: MS(90), samples_min: 1 };
        assert_eq!(attempt(Some(MS(50)), Some(&rule), None, 0), Some(MS(50)));
        assert_eq!(attempt(Some(MS(50)), Some(&rule), Some(MS(5)), 1), Some(MS(15)));
    }
}
