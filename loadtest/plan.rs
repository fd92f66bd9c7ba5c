//! What is asked, how often and how it is answered: a scenario file, checked.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

/// One workload.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Short name, for the report.
    pub name: String,
    /// What a user would recognise in it.
    #[serde(default)]
    pub what: String,
    /// Connections that ask at the same time. Closed loop: each asks again once it is answered.
    #[serde(default = "default_connections")]
    pub connections: usize,
    /// Requests a second: open loop, whatever the answers do; at most `connections` at the same time.
    #[serde(default)]
    pub rate: Option<f64>,
    /// Time that is measured.
    #[serde(default = "default_duration_s")]
    pub duration_s: f64,
    /// Time before that, beginning when the last connection of the ramp has started.
    #[serde(default = "default_warmup_s")]
    pub warmup_s: f64,
    /// Time over which the connections start, evenly spread.
    #[serde(default = "default_ramp_s")]
    pub ramp_s: f64,
    /// Each request on a connection of its own.
    #[serde(default)]
    pub new_connections: bool,
    /// Threads of the tester, each with a file table of its own.
    #[serde(default = "default_one")]
    pub threads: usize,
    /// Addresses 127.0.0.1, .2, ... that connections come from (28,000 ports each).
    #[serde(default = "default_one")]
    pub sources: usize,
    /// Mock processes behind the gateway that the tester starts itself.
    #[serde(default = "default_one")]
    pub mocks: usize,
    /// Shards of the gateway that the tester starts itself.
    #[serde(default = "default_one")]
    pub shards: usize,
    /// What is asked.
    #[serde(default)]
    pub request: Request,
    /// What the mock is told to answer.
    #[serde(default)]
    pub answer: Answer,
    /// How the clients behave.
    #[serde(default)]
    pub clients: Clients,
    /// The same plan with another rate or number of connections, one after the other.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// What is asked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// Path of the request.
    pub path: String,
    /// Model asked for.
    pub model: String,
    /// Whether the answer is a stream.
    pub stream: bool,
    /// Bytes of the body, about.
    pub body_bytes: usize,
    /// Further fields.
    pub fields: BTreeMap<String, String>,
}

/// What the mock is told to answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    /// The status that every answer has; where it is not 200, a refusal of the gateway's own is expected, and its body is
    /// not the mock's to verify.
    pub status: Option<u16>,
    /// Bytes of a whole answer's body, or of each event.
    pub bytes: Option<usize>,
    /// Events in a stream.
    pub events: Option<u32>,
    /// Milliseconds between events.
    pub gap_ms: Option<f64>,
    /// Milliseconds before the answer.
    pub delay_ms: Option<f64>,
    /// Further `x-mock-...` fields, by what follows the prefix.
    pub mock: BTreeMap<String, String>,
}

impl Answer {
    /// Whether the gateway is expected to refuse.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.status.is_some_and(|status| status != 200)
    }
}

/// How the clients behave.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clients {
    /// Leave after a number of events between these two, and ask anew on a new connection.
    pub abort_after_events: Option<(u32, u32)>,
    /// Further connections that read slowly what comes fast.
    pub slow: usize,
    /// Bytes that a slow one reads at a time.
    pub slow_read_bytes: usize,
    /// Milliseconds between its reads.
    pub slow_read_gap_ms: f64,
}

/// A step of a plan.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Another rate.
    pub rate: Option<f64>,
    /// Another number of connections.
    pub connections: Option<usize>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            path: "/v1/chat/completions".to_owned(),
            model: "demo".to_owned(),
            stream: false,
            body_bytes: 500,
            fields: BTreeMap::new(),
        }
    }
}

const fn default_connections() -> usize {
    32
}

const fn default_one() -> usize {
    1
}

const fn default_duration_s() -> f64 {
    10.0
}

const fn default_warmup_s() -> f64 {
    2.0
}

const fn default_ramp_s() -> f64 {
    0.5
}

/// Longest span that a plan may name, in seconds.
const SPAN_S_MAX: f64 = 86_400.0;

impl Plan {
    /// Reads a scenario.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plan: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        plan.check()?;
        Ok(plan)
    }

    /// Whether the tester can answer this plan's requests itself; `has_gateway`: it does not start one of its own.
    ///
    /// # Errors
    /// Why not, and what to do instead.
    pub fn check_serve(&self, has_gateway: bool) -> Result<(), String> {
        if !has_gateway {
            return Err(
                "the gateway that the tester starts has mocks; name one by --through or --setting"
                    .to_owned(),
            );
        }
        let answer = &self.answer;
        let is_told = answer.events.is_some()
            || answer.gap_ms.is_some()
            || answer.delay_ms.is_some()
            || !answer.mock.is_empty();
        if self.request.stream || is_told || self.clients.slow > 0 {
            let name = &self.name;
            return Err(format!("{name} asks for more than whole answers at once; take a mock"));
        }
        if answer.bytes.is_none() {
            return Err(format!("{} names no answer.bytes", self.name));
        }
        Ok(())
    }

    /// Whether the plan makes sense.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), String> {
        let spans = [
            ("duration_s", self.duration_s),
            ("warmup_s", self.warmup_s),
            ("ramp_s", self.ramp_s),
            ("slow_read_gap_ms", self.clients.slow_read_gap_ms),
        ];
        for (name, span) in spans {
            if !(0.0..=SPAN_S_MAX).contains(&span) {
                return Err(format!("{name} cannot be {span}"));
            }
        }
        if self.duration_s == 0.0 {
            return Err("duration_s cannot be 0: nothing would be measured".to_owned());
        }
        for (name, count) in [
            ("connections", self.connections),
            ("threads", self.threads),
            ("sources", self.sources),
            ("mocks", self.mocks),
            ("shards", self.shards),
        ] {
            if count == 0 {
                return Err(format!("{name} must be at least 1"));
            }
        }
        if self.sources > 250 {
            return Err("sources: at most 250".to_owned());
        }
        if self.rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0 || rate > 10_000_000.0) {
            return Err("rate must be above 0".to_owned());
        }
        if self.request.stream && self.answer.events.is_none() {
            return Err("answer.events: a stream that is verified has a known number".to_owned());
        }
        if self.clients.abort_after_events.is_some_and(|(low, high)| low == 0 || low > high) {
            return Err("clients.abort_after_events: [least, most], from 1".to_owned());
        }
        if self.answer.is_refusal() && self.request.stream {
            return Err("answer.status: a refusal is no stream".to_owned());
        }
        if !self.request.stream && !self.answer.is_refusal() && self.answer.bytes.is_none() {
            return Err("answer.bytes: an answer that is verified has a known size".to_owned());
        }
        if self.clients.slow > 0 && self.clients.slow_read_bytes == 0 {
            return Err("clients.slow_read_bytes must be at least 1".to_owned());
        }
        Ok(())
    }

    /// The plan once for each of its steps; itself if it has none.
    #[must_use]
    pub fn steps(&self) -> Vec<Self> {
        if self.steps.is_empty() {
            return vec![self.clone()];
        }
        let step_of = |step: &Step| {
            let mut plan = Self { steps: Vec::new(), ..self.clone() };
            plan.rate = step.rate.or(plan.rate);
            plan.connections = step.connections.unwrap_or(plan.connections);
            plan.name = match step.rate {
                Some(rate) => format!("{} at {rate}/s", plan.name),
                None => format!("{} with {}", plan.name, plan.connections),
            };
            plan
        };
        self.steps.iter().map(step_of).collect()
    }

    /// Time that is measured.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration_s)
    }

    /// Time from the first start to the beginning of the measured time.
    #[must_use]
    pub fn lead(&self) -> Duration {
        Duration::from_secs_f64(self.ramp_s + self.warmup_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_plan_has_defaults_and_steps() {
        let plan = Plan::parse(
            "name = 'x'\nanswer.bytes = 1000\nsteps = [{ rate = 100.0 }, { connections = 4 }]",
        )
        .unwrap();
        let steps = plan.steps();
        assert_eq!(steps.len(), 2);
        assert_eq!((steps[0].rate, steps[0].connections), (Some(100.0), 32));
        assert_eq!((steps[1].rate, steps[1].connections), (None, 4));
    }

    #[test]
    fn every_scenario_is_a_plan() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let own = ["balance.toml", "faults.toml", "resume.toml", "scale.toml"];
            if own.iter().any(|name| path.ends_with(name)) {
                continue; // plans of their own kinds, with commands of their own
            }
            let plan =
                Plan::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(Some(plan.name.as_ref()), path.file_stem().and_then(|stem| stem.to_str()));
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_name() {
        for (text, word) in [
            ("name = 'x'\nconections = 3", "conections"),
            ("name = 'x'\nduration_s = 0.0\nanswer.bytes = 1", "duration_s"),
            ("name = 'x'\nrequest.stream = true", "answer.events"),
            ("name = 'x'", "answer.bytes"),
            (
                "name = 'x'\nrequest.stream = true\nanswer = { events = 1, status = 401 }",
                "answer.status",
            ),
            ("name = 'x'\nanswer.bytes = 1\nrate = -1.0", "rate"),
        ] {
            let error = Plan::parse(text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn only_whole_answers_can_be_served_by_the_tester() {
        let check = |text: &str| {
            let plan = Plan::parse(&format!("name = 'x'\n{text}")).unwrap();
            plan.check_serve(true).map_err(|why| why.len())
        };
        assert_eq!(check("answer.bytes = 10"), Ok(()));
        for text in [
            "answer.status = 401",
            "answer = { bytes = 10, delay_ms = 1 }",
            "answer = { bytes = 10, mock = { cut = '1' } }",
            "answer = { bytes = 10, events = 2 }\nrequest.stream = true",
            "answer.bytes = 10\nclients = { slow = 1, slow_read_bytes = 1 }",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        let whole = Plan::parse("name = 'x'\nanswer.bytes = 10").unwrap();
        assert!(whole.check_serve(false).unwrap_err().contains("--through"));
    }
}
