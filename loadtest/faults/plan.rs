//! The fault plan: what goes wrong with one of several endpoints, one thing after the other, and what must hold meanwhile.

use serde::Deserialize;
use serde::Serialize;

use crate::plan::Plan;
use crate::server::Keys;

/// A scenario of faults.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    /// Short name, for the report.
    pub name: String,
    /// What a user would recognise in it.
    #[serde(default)]
    pub what: String,
    /// Shards of the gateway.
    pub shards: usize,
    /// Endpoints of its upstream, all with the same weight; the first of them is the one that fails.
    pub mocks: usize,
    /// Seconds of load before anything is looked at, in each phase.
    pub warmup_s: f64,
    /// Seconds without a fault: what the times of the others are compared with.
    pub before_s: f64,
    /// Seconds with it.
    pub fault_s: f64,
    /// Seconds after it.
    pub after_s: f64,
    /// What must hold.
    pub promises: Promises,
    /// What the gateway's config says beside the endpoints.
    pub gateway: Keys,
    /// What is asked, all of it at the same time; its own times do not count.
    #[serde(rename = "load")]
    pub loads: Vec<Plan>,
    /// The faults.
    #[serde(rename = "phase")]
    pub phases: Vec<Phase>,
}

/// What must hold in each phase. That no failure reaches a client which a retry could have hidden is not for choice.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Promises {
    /// Attempts at endpoints for each request, from the fault's start to a second after its end, at most.
    pub attempts_per_request: f64,
    /// The 99th percentile of the time to the first byte is as before, if it is at most so many times that.
    pub p99_factor: f64,
    /// Milliseconds from the ejection until it is so again.
    pub p99_back_ms: u32,
    /// Milliseconds over which a percentile is taken.
    pub bucket_ms: u32,
}

/// One fault.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Its name, for the report.
    pub name: String,
    /// What goes wrong.
    pub fault: Fault,
    /// Whether it breaks answers that have begun: then clients see that, and nobody can help it.
    #[serde(default)]
    pub breaks_answers: bool,
}

/// What goes wrong with the endpoint.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It answers so: `x-mock-...` fields as a query, in place of what the request asks for.
    Behaviour(String),
    /// Its listener is closed in order: answers under way are given, nothing else.
    Refused,
    /// Its process is killed, and started anew at the end.
    Killed,
    /// What is sent to it vanishes, without an answer of any kind.
    BlackHole,
}

/// Longest span that a plan may name, in seconds.
const SPAN_S_MAX: f64 = 600.0;
/// From fewer requests in a bucket no 99th percentile can be had.
const BUCKET_REQUESTS_MIN: f64 = 100.0;

impl FaultPlan {
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
        for (name, span, least) in [
            ("warmup_s", self.warmup_s, 0.0),
            ("before_s", self.before_s, 1.0),
            ("fault_s", self.fault_s, 2.0),
            ("after_s", self.after_s, 1.0),
        ] {
            if !(least..=SPAN_S_MAX).contains(&span) {
                return Err(format!("{name} must be {least} to {SPAN_S_MAX}"));
            }
        }
        if self.shards == 0 || self.mocks < 2 {
            return Err(
                "shards: at least 1; mocks: at least 2, or there is no other one".to_owned()
            );
        }
        let promises = &self.promises;
        if promises.attempts_per_request < 1.0 || promises.p99_factor < 1.0 {
            return Err("promises: attempts_per_request and p99_factor: at least 1".to_owned());
        }
        if !(50..=1000).contains(&promises.bucket_ms) {
            return Err("promises.bucket_ms must be 50 to 1000".to_owned());
        }
        if self.phases.is_empty() {
            return Err("phase: there is none".to_owned());
        }
        self.check_loads()
    }

    fn check_loads(&self) -> Result<(), String> {
        let mut rates = 0.0;
        for load in &self.loads {
            let wrong = |what: &str| Err(format!("load {:?}: {what}", load.name));
            load.check().map_err(|error| format!("load {:?}: {error}", load.name))?;
            let Some(rate) = load.rate else {
                return wrong("rate: without one, a slow answer would slow the asking");
            };
            if load.request.model != self.model() {
                return wrong("request.model: one for all");
            }
            if load.answer.is_refusal() || load.clients.abort_after_events.is_some() {
                return wrong("every answer must be wanted and whole");
            }
            rates += rate;
        }
        let least = BUCKET_REQUESTS_MIN * 1000.0 / f64::from(self.promises.bucket_ms);
        if rates < least {
            return Err(format!("load: {least} requests a second at least, for the percentiles"));
        }
        Ok(())
    }

    /// The model that is asked.
    #[must_use]
    pub fn model(&self) -> &str {
        self.loads.first().map_or("", |load| &load.request.model)
    }

    /// Keeps the phases whose names contain one of the words.
    ///
    /// # Errors
    /// There is none.
    pub fn keep(&mut self, words: &[String]) -> Result<(), String> {
        if words.is_empty() {
            return Ok(());
        }
        let all: Vec<String> = self.phases.iter().map(|phase| phase.name.clone()).collect();
        self.phases.retain(|phase| words.iter().any(|word| phase.name.contains(word.as_str())));
        if self.phases.is_empty() {
            return Err(format!("no phase is called {words:?}; there are: {}", all.join(", ")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = include_str!("../scenarios/faults.toml");

    #[test]
    fn the_plan_has_every_fault() {
        let mut plan = FaultPlan::parse(PLAN).unwrap();
        let faults: Vec<&Fault> = plan.phases.iter().map(|phase| &phase.fault).collect();
        assert!(faults.contains(&&Fault::Refused) && faults.contains(&&Fault::BlackHole));
        assert!(faults.contains(&&Fault::Killed));
        let behaviours = faults.iter().filter(|fault| matches!(fault, Fault::Behaviour(_)));
        assert!(behaviours.count() >= 6);
        plan.keep(&["reset".to_owned()]).unwrap();
        assert_eq!(plan.phases.len(), 2);
        assert!(plan.keep(&["nothing".to_owned()]).unwrap_err().contains("reset mid-stream"));
    }

    #[test]
    fn nonsense_is_refused_with_its_name() {
        for (from, to, word) in [
            ("fault_s = ", "fault_s = 0.1 #", "fault_s"),
            ("mocks = 3", "mocks = 1", "mocks"),
            ("p99_factor = ", "p99_factor = 0.5 #", "p99_factor"),
            ("bucket_ms = 250", "bucket_ms = 5", "bucket_ms"),
            ("rate = ", "rate = 1.0 #", "requests a second"),
            ("rate = ", "#", "rate"),
            ("fault = \"killed\"", "fault = \"kiled\"", "kiled"),
            ("breaks_answers", "breaks_answer", "breaks_answer"),
        ] {
            assert!(PLAN.contains(from), "{from}");
            let error = FaultPlan::parse(&PLAN.replace(from, to)).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
