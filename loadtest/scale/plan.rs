//! The plan of the scale test: as many streams as a host holds, whose clients come, go and come back for long.

use std::time::Duration;

use ringway::units::Moment;
use serde::Deserialize;
use serde::Serialize;

use crate::plan::Request;
use crate::server::Keys;
use crate::streams::course::Course;
use crate::streams::course::Heartbeat;
use crate::streams::course::Leave;

/// A scenario of scale.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScalePlan {
    /// Short name, for the report.
    pub name: String,
    /// What a user would recognise in it.
    #[serde(default)]
    pub what: String,
    /// Streams at the same time.
    pub connections: usize,
    /// Shards of the gateway.
    pub shards: usize,
    /// `RINGWAY_REPLAY_MIB` of each of them.
    #[serde(default)]
    pub replay_mib: Option<u32>,
    /// Mock processes.
    pub mocks: usize,
    /// Threads of the tester, each with a file table of its own.
    pub threads: usize,
    /// Addresses 127.0.0.1, .2, ... that connections come from.
    pub sources: usize,
    /// Seconds over which the streams start.
    pub ramp_s: f64,
    /// Seconds from then until the measured time begins.
    pub settle_s: f64,
    /// Minutes that are measured.
    pub minutes: f64,
    /// The seed of all dice.
    pub seed: u64,
    /// What is asked.
    #[serde(default)]
    pub request: Request,
    /// What the mock answers.
    pub answer: Answer,
    /// How clients leave and come back.
    pub clients: Clients,
    /// When the gateway gives a quiet stream a heartbeat: `heartbeat_ms` and `heartbeat_max_ms`.
    pub heartbeat_ms: (u32, u32),
    /// What else the gateway's config says.
    #[serde(default)]
    pub gateway: Keys,
    /// How much more memory the gateway may hold in the last quarter of the time than in the first, in percent.
    pub growth_percent_max: f64,
}

/// What the mock answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Sealed events of a stream.
    pub events: u32,
    /// Bytes of each.
    pub bytes: usize,
    /// Milliseconds between two.
    pub gap_ms: f64,
}

/// How clients leave and come back.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// Of all streams, those that are left each second.
    pub churn_percent: f64,
    /// Of those that leave, those that come back.
    pub returns_percent: f64,
    /// Of all streams, those that could be come back to.
    pub resumable_percent: f64,
    /// Milliseconds that they stay away, at least and at most.
    pub away_ms: (f64, f64),
    /// Share of those that leave by a reset.
    pub resets: f64,
}

/// Longest test, in minutes.
const MINUTES_MAX: f64 = 1440.0;

impl ScalePlan {
    /// Reads a scenario.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plan: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        plan.check()?;
        Ok(plan)
    }

    /// Whether the plan makes sense.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), String> {
        for (name, count) in [
            ("connections", self.connections),
            ("shards", self.shards),
            ("mocks", self.mocks),
            ("threads", self.threads),
            ("sources", self.sources),
            ("answer.events", self.answer.events as usize),
        ] {
            if count == 0 {
                return Err(format!("{name} must be at least 1"));
            }
        }
        for (name, value, least, most) in [
            ("minutes", self.minutes, 0.1, MINUTES_MAX),
            ("ramp_s", self.ramp_s, 0.0, 3600.0),
            ("settle_s", self.settle_s, 0.0, 3600.0),
            ("answer.gap_ms", self.answer.gap_ms, 0.0, 3_600_000.0),
            ("clients.churn_percent", self.clients.churn_percent, 0.001, 100.0),
            ("clients.resumable_percent", self.clients.resumable_percent, 0.0, 100.0),
            ("clients.resets", self.clients.resets, 0.0, 1.0),
            ("clients.away_ms", self.clients.away_ms.1, self.clients.away_ms.0, 600_000.0),
        ] {
            if !(least..=most).contains(&value) {
                return Err(format!("{name} must be {least} to {most}"));
            }
        }
        let clients = &self.clients;
        if !(0.0..=clients.resumable_percent).contains(&clients.returns_percent) {
            return Err("clients.returns_percent: at most resumable_percent".to_owned());
        }
        let (every, most) = self.heartbeat_ms;
        if every < 1000 || most < every || self.sources > 250 {
            return Err(
                "heartbeat_ms = [1000 or more, at least that]; sources: at most 250".to_owned()
            );
        }
        Ok(())
    }

    /// When the measured time begins and ends, of a test that starts at `start`.
    #[must_use]
    pub fn measured(&self, start: Moment) -> (Moment, Moment) {
        let from = start.after(Duration::from_secs_f64(self.ramp_s + self.settle_s));
        (from, from.after(Duration::from_secs_f64(self.minutes * 60.0)))
    }

    /// How the clients of a test behave that starts at `start`, before the mock was asked how its streams end.
    #[must_use]
    pub fn course(&self, start: Moment) -> Course {
        let clients = &self.clients;
        let millis = |millis: f64| Duration::from_secs_f64(millis / 1000.0);
        let share = if clients.resumable_percent > 0.0 {
            clients.returns_percent / clients.resumable_percent
        } else {
            0.0
        };
        Course {
            request: self.request.clone(),
            mock: vec![("gap-ms".to_owned(), self.answer.gap_ms.to_string())],
            events: self.answer.events,
            event_bytes: self.answer.bytes,
            endings: Vec::new(),
            splits: Vec::new(),
            connections: self.connections,
            sources: self.sources,
            ramp: Duration::from_secs_f64(self.ramp_s),
            resumable: clients.resumable_percent / 100.0,
            leave: Leave::AtTime {
                mean: Duration::from_secs_f64(100.0 / clients.churn_percent),
                returns: share,
            },
            resets: clients.resets,
            away: (millis(clients.away_ms.0), millis(clients.away_ms.1)),
            closes_within: Duration::ZERO,
            may_be_gone: false,
            heartbeat: Some(Heartbeat {
                every: Duration::from_millis(self.heartbeat_ms.0.into()),
                most: Duration::from_millis(self.heartbeat_ms.1.into()),
            }),
            resumes_max: u64::MAX,
            until: self.measured(start).1,
            patience: Duration::ZERO,
            seed: self.seed,
        }
    }

    /// What the gateway's config says beside its endpoints.
    #[must_use]
    pub fn keys(&self) -> Keys {
        let mut keys = self.gateway.clone();
        let (every, most) = self.heartbeat_ms;
        keys.model.insert("heartbeat_ms".to_owned(), i64::from(every).into());
        keys.model.insert("heartbeat_max_ms".to_owned(), i64::from(most).into());
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = include_str!("../scenarios/scale.toml");

    #[test]
    fn the_plan_is_one_and_says_what_is_promised() {
        let plan = ScalePlan::parse(PLAN).unwrap();
        assert_eq!((plan.connections, plan.minutes, plan.growth_percent_max), (40_000, 20.0, 3.0));
        assert_eq!((plan.clients.churn_percent, plan.clients.returns_percent), (5.0, 10.0));
        let course = plan.course(Moment::default());
        let Leave::AtTime { mean, returns } = course.leave else { panic!("{course:?}") };
        assert_eq!(mean, Duration::from_secs(20));
        // Of those that leave, a tenth come back: of those that could, so many more.
        assert!((returns * course.resumable - 0.1).abs() < 1e-9);
        assert!(plan.keys().model.contains_key("heartbeat_max_ms"));
    }

    #[test]
    fn nonsense_is_refused_with_its_name() {
        for (from, to, word) in [
            ("connections = 40000", "connections = 0", "connections"),
            ("minutes = 20.0", "minutes = 0.0", "minutes"),
            ("churn_percent = 5.0", "churn_percent = 0.0", "churn_percent"),
            ("returns_percent = 10.0", "returns_percent = 90.0", "returns_percent"),
            ("heartbeat_ms = [", "heartbeat_ms = [5, 5] #", "heartbeat_ms"),
        ] {
            assert!(PLAN.contains(from), "{from}");
            let error = ScalePlan::parse(&PLAN.replace(from, to)).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
