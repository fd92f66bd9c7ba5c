//! What the looks and the clients' tallies come to: pure.

use serde::Serialize;

use crate::scale::plan::ScalePlan;
use crate::scale::watch::Look;
use crate::streams::tally::Tally;

/// A quarter of the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quarter {
    /// Resident memory of the gateway in the mean, in MiB.
    pub rss_mib: f64,
    /// Cores that it kept busy.
    pub cores: f64,
    /// Streams that the mocks had open in the mean.
    pub open: f64,
    /// Streams without clients in the mean.
    pub away: f64,
    /// Memory for streams that clients may come back to in the mean, in MiB.
    pub replay_mib: f64,
}

/// Sums up the looks of each quarter of so many seconds.
#[must_use]
pub fn quarters(looks: &[Look], seconds: f64) -> [Quarter; 4] {
    let mut quarters = [Quarter::default(); 4];
    let mut from = 0.0;
    for quarter in &mut quarters {
        let to = from + seconds / 4.0;
        let of: Vec<&Look> = looks.iter().filter(|l| from <= l.at_s && l.at_s < to).collect();
        from = to;
        let mean = |figure: fn(&Look) -> f64| {
            of.iter().map(|look| figure(look)).sum::<f64>() / float(of.len().max(1) as u64)
        };
        const MIB: f64 = 1024.0 * 1024.0;
        *quarter = Quarter {
            rss_mib: mean(|look| float(look.rss_kib)) / 1024.0,
            open: mean(|look| float(look.open)),
            away: mean(|look| look.metrics.away),
            replay_mib: mean(|look| look.metrics.replay_bytes) / MIB,
            cores: 0.0,
        };
        if let (Some(first), Some(last)) = (of.first(), of.last()) {
            let nanos = float(last.cpu_nanos.saturating_sub(first.cpu_nanos));
            let span = last.at_s - first.at_s;
            quarter.cores = if span > 0.0 { nanos / 1e9 / span } else { 0.0 };
        }
    }
    quarters
}

/// How much more memory the last quarter has than the first, in percent.
#[must_use]
pub fn growth_percent(quarters: &[Quarter; 4]) -> f64 {
    let (first, last) = (quarters[0].rss_mib, quarters[3].rss_mib);
    if first > 0.0 { (last / first - 1.0) * 100.0 } else { 0.0 }
}

/// What was not as it had to be, each in a sentence; nothing, if all was.
#[must_use]
pub fn broken(plan: &ScalePlan, looks: &[Look], tally: &Tally) -> Vec<String> {
    let counts = &tally.counts;
    let mut broken: Vec<String> =
        tally.errors.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
    if counts.wrong() > 0 {
        broken.push(format!("{} events were not what was sent", counts.wrong()));
    }
    if counts.beats_missed > 0 {
        broken.push(format!("{} heartbeats were missed by a second or more", counts.beats_missed));
    }
    if looks.len() < 4 {
        broken.push("nobody has looked often enough".to_owned());
    }
    // Who begins anew has none for a moment, and those that are away have none either.
    let least = plan.connections as u64 * 95 / 100;
    let few = looks.iter().filter(|look| look.open < least).count();
    if few > 0 || counts.open < least {
        broken.push(format!("{few} times fewer than {least} streams were open"));
    }
    let over = |look: &&Look| look.metrics.replay_bytes > look.metrics.replay_budget_bytes;
    if let Some(look) = looks.iter().find(over) {
        let (bytes, budget) = (look.metrics.replay_bytes, look.metrics.replay_budget_bytes);
        broken.push(format!("{bytes} bytes were kept, and {budget} may be"));
    }
    let growth = growth_percent(&quarters(looks, plan.minutes * 60.0));
    if growth >= plan.growth_percent_max {
        broken.push(format!("memory grew by {growth:.1} %"));
    }
    broken
}

#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a test fit into 53 bits")]
const fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::metrics::Metrics;

    fn plan() -> ScalePlan {
        let mut plan = ScalePlan::parse(include_str!("../scenarios/scale.toml")).unwrap();
        plan.minutes = 40.0 / 60.0;
        plan
    }

    /// A look each second of 40, with memory that grows from 100 MiB to `to`.
    fn looks(to: f64) -> Vec<Look> {
        let look = |second: u32| {
            let at_s = f64::from(second);
            let rss = (100.0 + (to - 100.0) * at_s / 40.0) * 1024.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "positive and small"
            )]
            let rss_kib = rss as u64;
            let cpu_nanos = u64::from(second) * 500_000_000;
            let metrics = Metrics { replay_budget_bytes: 10.0, ..Metrics::default() };
            Look { at_s, rss_kib, cpu_nanos, open: 40_000, metrics }
        };
        (0..40).map(look).collect()
    }

    #[test]
    fn memory_is_compared_by_quarters() {
        let quarters = quarters(&looks(120.0), 40.0);
        assert!((quarters[0].rss_mib - 102.25).abs() < 0.1, "{quarters:?}");
        assert!((quarters[3].cores - 0.5).abs() < 1e-9);
        assert!((growth_percent(&quarters) - 14.7).abs() < 0.1);
        assert!((growth_percent(&[Quarter::default(); 4])).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_as_it_must_be_is_said() {
        let plan = plan();
        let mut tally = Tally::default();
        tally.counts.open = 39_000;
        assert_eq!(broken(&plan, &looks(101.0), &tally), Vec::<String>::new());
        tally.counts.open = 1;
        tally.counts.lost = 1;
        tally.counts.beats_missed = 1;
        tally.fail("x");
        let mut looks = looks(120.0);
        looks[7].metrics.replay_bytes = 11.0;
        let said = broken(&plan, &looks, &tally);
        assert_eq!(said.len(), 6, "{said:?}");
        assert!(broken(&plan, &[], &tally).iter().any(|said| said.contains("looked")));
    }
}
