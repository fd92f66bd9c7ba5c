//! The balance plan: long streams before endpoints of different weight.

use serde::Deserialize;
use serde::Serialize;

use crate::plan::Plan;
use crate::server::Keys;

/// A scenario of balance.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BalancePlan {
    /// Short name, for the report.
    pub name: String,
    /// What a user would recognise in it.
    #[serde(default)]
    pub what: String,
    /// Shards of the gateway.
    pub shards: usize,
    /// The endpoints' weights.
    pub weights: Vec<u32>,
    /// Seconds before the streams are counted.
    pub settle_s: f64,
    /// Seconds in which they are.
    pub watch_s: f64,
    /// Milliseconds from one count to the next.
    pub look_ms: u64,
    /// How far the open streams of an endpoint may be from what its weight gives it, in percent of that; at any look.
    pub off_percent_max: f64,
    /// What the gateway's config says beside the endpoints.
    pub gateway: Keys,
    /// What is asked; its own duration and warm-up do not count.
    pub load: Plan,
}

/// Longest span that a plan may name, in seconds.
const SPAN_S_MAX: f64 = 3600.0;
/// An endpoint of which 1 % is less than half a stream says nothing about percents.
const STREAMS_MIN: f64 = 50.0;

impl BalancePlan {
    /// Reads a scenario.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plan: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        plan.check()?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), String> {
        self.load.check().map_err(|error| format!("load: {error}"))?;
        for (name, span) in [("settle_s", self.settle_s), ("watch_s", self.watch_s)] {
            if !(1.0..=SPAN_S_MAX).contains(&span) {
                return Err(format!("{name} must be 1 to {SPAN_S_MAX}"));
            }
        }
        if self.settle_s <= self.load.ramp_s {
            return Err("settle_s must be longer than load.ramp_s".to_owned());
        }
        if self.shards == 0 || !(50..=10_000).contains(&self.look_ms) {
            return Err("shards: at least 1; look_ms: 50 to 10000".to_owned());
        }
        if self.weights.len() < 2 || self.weights.contains(&0) {
            return Err("weights: at least two, each at least 1".to_owned());
        }
        if !self.load.request.stream || self.load.rate.is_some() {
            return Err("load: streams in a closed loop".to_owned());
        }
        if self.fair().iter().any(|fair| *fair < STREAMS_MIN) {
            return Err(format!("load.connections: at least {STREAMS_MIN} for each endpoint"));
        }
        Ok(())
    }

    /// How many of the connections each endpoint's weight gives it.
    fn fair(&self) -> Vec<f64> {
        let connections = u32::try_from(self.load.connections).unwrap_or(u32::MAX);
        let all: f64 = self.weights.iter().copied().map(f64::from).sum();
        self.weights
            .iter()
            .map(|weight| f64::from(connections) * f64::from(*weight) / all)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = include_str!("../scenarios/balance.toml");

    #[test]
    fn the_plan_is_one() {
        let plan = BalancePlan::parse(PLAN).unwrap();
        assert_eq!(plan.weights, [1, 2, 4]);
        assert_eq!(plan.gateway.upstream["balance"].as_str(), Some("weighted_least_connections"));
    }

    #[test]
    fn nonsense_is_refused_with_its_name() {
        for (from, to, word) in [
            ("weights = [1, 2, 4]", "weights = [1, 0]", "weights"),
            ("connections = 1400", "connections = 140", "connections"),
            ("settle_s = 20.0", "settle_s = 5.0", "settle_s"),
            ("look_ms = 250", "look_ms = 1", "look_ms"),
            ("stream = true", "stream = false", "load"),
        ] {
            assert!(PLAN.contains(from), "{from}");
            let error = BalancePlan::parse(&PLAN.replace(from, to)).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
