//! An explanation as it is shown: JSON by its fields, text a step a line.

use serde::Serialize;
use std::fmt;

/// What would happen to a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The method asked with.
    pub method: String,
    /// The path asked for.
    pub path: String,
    /// `relayed`, `answered` (by the gateway itself) or `refused`.
    pub outcome: &'static str,
    /// The status, where the gateway answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The code in the answer, where the request is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Why, one step a line, in the order of the decisions.
    pub steps: Vec<String>,
    /// Where it goes, where it is relayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<Relay>,
}

/// Where a request goes and as what.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Relay {
    /// The operation's name in metrics.
    pub operation: &'static str,
    /// The model's name in the config.
    pub model: String,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// Who serves it.
    pub upstream: String,
    /// What is put in the place of the body's `model`; none: the body goes up as it came.
    pub model_becomes: Option<String>,
    /// Whose credential the upstream is shown: that of the `tenant`, of the `upstream`, of the `client`, or `none`.
    pub credential_of: &'static str,
    /// The name of the field that shows who we are; its value is never shown.
    pub credential_field: Option<String>,
    /// The lines by which the upstream learns who asks.
    pub identity: Vec<String>,
    /// Who may get it.
    pub endpoints: Vec<Choice>,
    /// How long we wait, in milliseconds.
    pub deadlines_ms: DeadlinesMs,
    /// How the response goes down where it is a stream; none: it cannot be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    /// What is done where it fails or is slow.
    pub onward: Onward,
}

/// How a stream goes down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// What the upstream's answers to chat requests come in: `events`, `ollama` or `text`.
    pub format: &'static str,
    /// After how many milliseconds the head goes down at the latest.
    pub commit_after_ms: u128,
    /// When it is given heartbeats, in words; `none`: never.
    pub heartbeat: String,
    /// Whether its client may come back for it, in words.
    pub resume: String,
    /// What is done where its client is slow, in words.
    pub slow_reader: String,
    /// How fast it may be, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<String>,
    /// What becomes of it when its client leaves, in words.
    pub without_client: String,
    /// What is done where the upstream breaks off.
    pub broken_off: &'static str,
}

/// What is done where an endpoint fails or is slow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Onward {
    /// What is tried again and how often, in words; `off`: nothing.
    pub retry: String,
    /// When a second endpoint is asked as well, in words; `off`: never.
    pub hedge: String,
    /// How the deadline of an attempt follows its endpoint, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<String>,
    /// Whom to ask after all attempts have failed, in order.
    pub fallback: Vec<Fallback>,
    /// Whom to ask where the prompt is too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_fallback: Option<Fallback>,
}

/// A model that may be asked in the place of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fallback {
    /// Its name, with its version where it has one.
    pub model: String,
    /// Who serves it.
    pub upstream: String,
    /// Whether it would be asked.
    pub may_be_asked: bool,
    /// Why.
    pub why: &'static str,
}

/// An endpoint that may get it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// What is asked for there.
    pub url: String,
    /// Its share, in percent, rounded down.
    pub percent: u64,
    /// Where it is; empty: not known, so it is skipped.
    pub addresses: Vec<String>,
    /// The place of its tier in the order in which they are asked, and where that is; none: there are no tiers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// How it is now; `unknown` where no running gateway was asked.
    pub state: &'static str,
    /// What the balance sees in it: the lower, the sooner it is chosen. None: it has no weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Requests in flight there, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u32>,
    /// How long an attempt there may take to its first byte, in milliseconds, where that is bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_deadline_ms: Option<u128>,
    /// Whether it is the first to be asked, as far as that can be said.
    pub is_first: bool,
    /// Why it is or is not.
    pub why: String,
}

/// How long we wait, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DeadlinesMs {
    /// To connect.
    pub connect: u128,
    /// To the first byte of the response.
    pub first_byte: u128,
    /// Within the response.
    pub gap: u128,
    /// In all.
    pub whole: u128,
}

impl fmt::Display for Explanation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {}", self.method, self.path, self.outcome)?;
        match self.status {
            Some(status) => writeln!(out, " with {status}")?,
            None => writeln!(out)?,
        }
        for step in &self.steps {
            writeln!(out, "  - {step}")?;
        }
        let Some(relay) = &self.relay else {
            return Ok(());
        };
        if let Some(field) = &relay.credential_field {
            writeln!(out, "  credential  {field}: ***")?;
        }
        for line in &relay.identity {
            writeln!(out, "  identity    {line}")?;
        }
        relay.endpoints.iter().try_for_each(|choice| write!(out, "{choice}"))?;
        let deadlines = &relay.deadlines_ms;
        writeln!(
            out,
            "  deadlines   connect {} ms, first byte {} ms, gap {} ms, whole {} ms",
            deadlines.connect, deadlines.first_byte, deadlines.gap, deadlines.whole
        )?;
        if let Some(flow) = &relay.flow {
            write!(out, "{flow}")?;
        }
        write!(out, "{}", relay.onward)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = if self.addresses.is_empty() {
            "no address".to_owned()
        } else {
            self.addresses.join(", ")
        };
        writeln!(out, "  endpoint    {} ({}%, {addresses})", self.url, self.percent)?;
        let mark = if self.is_first { "-> " } else { "" };
        write!(out, "              {mark}{}", self.state)?;
        if let Some(tier) = &self.tier {
            write!(out, ", tier {tier}")?;
        }
        if let Some(score) = self.score {
            write!(out, ", score {score:.3}")?;
        }
        if let Some(in_flight) = self.in_flight {
            write!(out, ", {in_flight} in flight")?;
        }
        if let Some(deadline) = self.attempt_deadline_ms {
            write!(out, ", each attempt {deadline} ms")?;
        }
        writeln!(out, ": {}", self.why)
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "  stream      comes as {}, its head goes down ", self.format)?;
        match self.commit_after_ms {
            0 => writeln!(out, "at once")?,
            millis => writeln!(out, "within {millis} ms")?,
        }
        writeln!(out, "  heartbeats  {}", self.heartbeat)?;
        writeln!(out, "  resume      {}", self.resume)?;
        if let Some(throttle) = &self.throttle {
            writeln!(out, "  throttle    {throttle}")?;
        }
        writeln!(out, "  slow client {}", self.slow_reader)?;
        writeln!(out, "  client gone {}", self.without_client)?;
        writeln!(out, "  broken off  {}", self.broken_off)
    }
}

impl fmt::Display for Onward {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(adaptive) = &self.adaptive {
            writeln!(out, "  attempt     {adaptive}")?;
        }
        writeln!(out, "  retry       {}", self.retry)?;
        writeln!(out, "  hedge       {}", self.hedge)?;
        let chain = self.fallback.iter().map(|fallback| ("fallback", fallback));
        let too_long = self.context_fallback.iter().map(|fallback| ("too long", fallback));
        for (word, Fallback { model, upstream, why, .. }) in chain.chain(too_long) {
            writeln!(out, "  {word:<12}{model} ({upstream}): {why}")?;
        }
        Ok(())
    }
}
