//! The plan of the resume test: streams that are cut at any byte, again and again, and what the gateway keeps of them.

use std::time::Duration;

use ringway::units::Moment;
use serde::Deserialize;
use serde::Serialize;
use toml::Table;

use crate::plan::Request;
use crate::streams::course::Course;
use crate::streams::course::Leave;

/// A scenario of the resume test.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ResumePlan {
    /// Short name, for the report.
    pub name: String,
    /// What a user would recognise in it.
    #[serde(default)]
    pub what: String,
    /// Shards of the gateway.
    pub shards: usize,
    /// Streams at the same time.
    pub connections: usize,
    /// Clients come back at least so often, in each phase.
    pub resumes: u64,
    /// Seconds that a phase may take.
    pub limit_s: f64,
    /// The seed of all dice.
    pub seed: u64,
    /// Share of the clients that come back which must have come to another shard than their stream's, at least. With two
    /// shards it is half of them; what balances connections may give some of them back.
    pub other_shard_min: f64,
    /// What is asked.
    #[serde(default)]
    pub request: Request,
    /// What the mock answers.
    pub answer: Answer,
    /// How clients leave and come back.
    pub clients: Clients,
    /// What the gateway keeps, and what that must come to.
    #[serde(rename = "phase")]
    pub phases: Vec<Phase>,
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
    /// Bytes of the pieces in which the mock writes, one of these for each stream; 0: event by event.
    pub splits: Vec<u32>,
}

/// How clients leave and come back.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// Share of the responses to clients that have come back which are cut too.
    pub again: f64,
    /// A stream is cut so often at most.
    pub cuts_max: u32,
    /// Share of the clients that leave their connection open and come back on another one.
    pub stays: f64,
    /// Share of the others that leave by a reset.
    pub resets: f64,
    /// Milliseconds that they stay away, at least and at most.
    pub away_ms: (f64, f64),
}

/// A gateway, and what must come of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Its name, for the report.
    pub name: String,
    /// Whether the gateway keeps so little that some of the streams are gone when their clients come back. Then some must
    /// be, and the others must be whole all the same.
    #[serde(default)]
    pub may_be_gone: bool,
    /// `RINGWAY_REPLAY_MIB` of the gateway.
    #[serde(default)]
    pub replay_mib: Option<u32>,
    /// Keys of its `[[model]]`.
    #[serde(default)]
    pub model: Table,
}

/// How long the gateway may take to close a connection that was left open, once another one reads on.
const CLOSES_WITHIN: Duration = Duration::from_secs(5);
/// How long the last streams may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl ResumePlan {
    /// Reads a scenario.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plan: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        plan.check()?;
        Ok(plan)
    }

    /// Keeps only the phases with one of these words in their names; all, if there is no word.
    ///
    /// # Errors
    /// There is none.
    pub fn keep(&mut self, words: &[String]) -> Result<(), String> {
        let has = |phase: &Phase| words.iter().any(|word| phase.name.contains(word.as_str()));
        if !words.is_empty() {
            self.phases.retain(has);
        }
        if self.phases.is_empty() { Err("there is no such phase".to_owned()) } else { Ok(()) }
    }

    /// Whether the plan makes sense.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), String> {
        if self.shards == 0 || self.connections == 0 || self.resumes == 0 {
            return Err("shards, connections and resumes: at least 1".to_owned());
        }
        if !(1.0..=3600.0).contains(&self.limit_s) {
            return Err("limit_s must be 1 to 3600".to_owned());
        }
        if self.answer.events == 0 || !(0.0..=60_000.0).contains(&self.answer.gap_ms) {
            return Err("answer: events at least 1, gap_ms 0 to 60000".to_owned());
        }
        let clients = &self.clients;
        for (name, share) in [
            ("other_shard_min", self.other_shard_min),
            ("clients.again", clients.again),
            ("clients.stays", clients.stays),
            ("clients.resets", clients.resets),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{name} must be 0 to 1"));
            }
        }
        let (least, most) = clients.away_ms;
        if clients.cuts_max == 0
            || !(0.0..=60_000.0).contains(&most)
            || !(0.0..=most).contains(&least)
        {
            return Err("clients: cuts_max at least 1, away_ms = [least, most]".to_owned());
        }
        Ok(())
    }

    /// How the clients of a phase behave that begins at `start`, before the mock was asked how its streams end.
    #[must_use]
    pub fn course(&self, phase: &Phase, start: Moment) -> Course {
        let clients = &self.clients;
        let millis = |millis: f64| Duration::from_secs_f64(millis / 1000.0);
        Course {
            request: self.request.clone(),
            mock: vec![("gap-ms".to_owned(), self.answer.gap_ms.to_string())],
            events: self.answer.events,
            event_bytes: self.answer.bytes,
            endings: Vec::new(),
            splits: self.answer.splits.clone(),
            connections: self.connections,
            sources: 1,
            ramp: millis(self.answer.gap_ms * f64::from(self.answer.events)),
            resumable: 1.0,
            leave: Leave::AtByte {
                again: clients.again,
                cuts_max: clients.cuts_max,
                stays: clients.stays,
            },
            resets: clients.resets,
            away: (millis(clients.away_ms.0), millis(clients.away_ms.1)),
            closes_within: CLOSES_WITHIN,
            may_be_gone: phase.may_be_gone,
            heartbeat: None,
            resumes_max: self.resumes,
            until: start.after(Duration::from_secs_f64(self.limit_s)),
            patience: PATIENCE,
            seed: self.seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = include_str!("../scenarios/resume.toml");

    #[test]
    fn the_plan_is_one() {
        let mut plan = ResumePlan::parse(PLAN).unwrap();
        assert!(plan.resumes >= 10_000 && plan.shards == 2);
        assert!(plan.phases.iter().any(|phase| phase.may_be_gone));
        plan.keep(&["ample".to_owned()]).unwrap();
        assert_eq!(plan.phases.len(), 1);
        plan.keep(&["nowhere".to_owned()]).unwrap_err();
    }

    #[test]
    fn nonsense_is_refused_with_its_name() {
        for (from, to, word) in [
            ("shards = 2", "shards = 0", "shards"),
            ("again = 0.5", "again = 1.5", "again"),
            ("cuts_max = 8", "cuts_max = 0", "cuts_max"),
            ("away_ms = [0.0, 400.0]", "away_ms = [5.0, 4.0]", "away_ms"),
            ("limit_s = 300.0", "limit_s = 0.0", "limit_s"),
            ("events = 40", "events = 0", "events"),
            ("stays", "remains", "remains"),
        ] {
            assert!(PLAN.contains(from), "{from}");
            let error = ResumePlan::parse(&PLAN.replace(from, to)).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
