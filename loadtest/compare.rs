//! The same plan through several settings, round by round in turn, so that what else the machine does hits all alike.

use std::io;

use serde::Serialize;

use crate::plan::Plan;
use crate::runner;
use crate::runner::Outcome;
use crate::runner::Setting;

/// One figure of one setting: its median over the rounds, and that over the first setting's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Plan.
    pub plan: String,
    /// Figure.
    pub what: &'static str,
    /// Setting.
    pub through: String,
    /// Median of the rounds.
    pub median: f64,
    /// Smallest of the rounds.
    pub least: f64,
    /// Largest of the rounds.
    pub most: f64,
    /// Median over the median of the first setting; none for that one itself.
    pub over_first: Option<f64>,
    /// Median less the median of the first setting: for times, what was added.
    pub added: Option<f64>,
}

/// The setting without a gateway: what its processes cost is the mocks' and no measure for a gateway.
pub const DIRECT: &str = "direct";

/// Runs a plan `rounds` times through each setting in turn; every other round backwards.
///
/// # Errors
/// The system's, where the tester itself cannot go on.
pub fn run(
    plan: &Plan,
    settings: &[Setting],
    rounds: usize,
    mut report: impl FnMut(&Outcome) -> io::Result<()>,
) -> io::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for round in 0..rounds {
        let mut order: Vec<&Setting> = settings.iter().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for setting in order {
            let outcome = runner::run(plan, setting)?;
            report(&outcome)?;
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

type Figure = (&'static str, fn(&Outcome) -> f64);

const FIGURES: [Figure; 12] = [
    ("requests/s", |o| o.requests_per_second),
    ("events/s", |o| o.events_per_second),
    ("CPU us/request", |o| o.cost.map_or(0.0, |c| c.us_per_request)),
    ("CPU us/event", |o| o.cost.map_or(0.0, |c| c.us_per_event)),
    ("CPU us/abort", |o| o.cost.map_or(0.0, |c| c.us_per_abort)),
    ("RSS KiB/open", |o| o.cost.map_or(0.0, |c| c.rss_kib_per_open)),
    ("latency p50 us", |o| o.latency_us.p50),
    ("latency p99 us", |o| o.latency_us.p99),
    ("first p50 us", |o| o.first_us.p50),
    ("first p99 us", |o| o.first_us.p99),
    ("relay p50 us", |o| o.relay_us.p50),
    ("relay p99 us", |o| o.relay_us.p99),
];

/// The figures of all settings, and what each has over the first.
#[must_use]
pub fn ratios(outcomes: &[Outcome]) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let mut plans: Vec<&str> = Vec::new();
    for outcome in outcomes {
        if !plans.contains(&outcome.plan.as_str()) {
            plans.push(&outcome.plan);
        }
        if !names.contains(&outcome.through.as_str()) {
            names.push(&outcome.through);
        }
    }
    for plan in plans {
        for (what, figure) in FIGURES {
            let mut first = None;
            let is_cost = what.starts_with("CPU") || what.starts_with("RSS");
            for (at, name) in names.iter().enumerate() {
                if is_cost && *name == DIRECT {
                    continue;
                }
                let of_setting = outcomes.iter().filter(|o| o.plan == plan && o.through == *name);
                let mut values: Vec<f64> =
                    of_setting.map(figure).filter(|value| *value != 0.0).collect();
                values.sort_by(f64::total_cmp);
                let (Some(least), Some(most)) = (values.first(), values.last()) else { continue };
                let median = median(&values);
                let before: Option<f64> = first.filter(|_| at > 0);
                if at == 0 {
                    first = Some(median);
                }
                ratios.push(Ratio {
                    plan: plan.to_owned(),
                    what,
                    through: (*name).to_owned(),
                    median,
                    least: *least,
                    most: *most,
                    over_first: before.map(|first| median / first),
                    added: before.map(|first| median - first),
                });
            }
        }
    }
    ratios
}

/// The median of sorted values, of which there is at least one.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    #[expect(clippy::float_cmp, reason = "these are exact")]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[1.0]), 1.0);
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
    }
}
