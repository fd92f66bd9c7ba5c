//! An explanation as it is shown: JSON by its fields, text a step a line.

use serde::Serialize;
use std::fmt;

/// What would happen to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
}

/// An endpoint that may get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// What is asked for there.
    pub url: String,
    /// Its share, in percent, rounded down.
    pub percent: u64,
    /// Where it is; empty: not known, so it is skipped.
    pub addresses: Vec<String>,
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
        for choice in &relay.endpoints {
            let addresses = if choice.addresses.is_empty() {
                "no address".to_owned()
            } else {
                choice.addresses.join(", ")
            };
            writeln!(out, "  endpoint    {} ({}%, {addresses})", choice.url, choice.percent)?;
        }
        let deadlines = &relay.deadlines_ms;
        writeln!(
            out,
            "  deadlines   connect {} ms, first byte {} ms, gap {} ms, whole {} ms",
            deadlines.connect, deadlines.first_byte, deadlines.gap, deadlines.whole
        )
    }
}
