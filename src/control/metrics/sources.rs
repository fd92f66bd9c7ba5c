//! Samples of the sources of endpoints, and of the registries that know the gateway.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::control::metrics::metric::SourceNumber;
use crate::control::metrics::text;
use crate::control::metrics::text::Labels;
use crate::control::metrics::text::seconds;
use crate::control::register::clerk::RegisteredNumbers;
use crate::record::histogram::nanos;

/// What is known of a source of endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceNumbers {
    /// Who is served by it.
    pub upstream: String,
    /// What is asked, in short.
    pub source: String,
    /// Whether the last question was answered.
    pub is_up: bool,
    /// Endpoints that are believed of it.
    pub endpoints: u64,
    /// Those of them that are kept although it does not name them now.
    pub stale: u64,
    /// Those of them that stay away because they came and went too often.
    pub damped: u64,
    /// Answers so far.
    pub answers: u64,
    /// Questions that were not answered.
    pub failures: u64,
    /// Time since the last answer.
    pub since_answer: Option<Duration>,
    /// Why the last question was not answered.
    pub trouble: Option<String>,
}

/// One sample of each source.
pub(super) fn samples(
    sources: &[SourceNumbers],
    number: SourceNumber,
    name: &str,
    out: &mut String,
) {
    sources.iter().for_each(|source| write(source, number, name, out));
}

fn write(source: &SourceNumbers, number: SourceNumber, name: &str, out: &mut String) {
    let labels = Labels::new().with("upstream", &source.upstream).with("source", &source.source);
    match number {
        SourceNumber::Up => text::sample(out, name, &labels, u8::from(source.is_up)),
        SourceNumber::Endpoints => text::sample(out, name, &labels, source.endpoints),
        SourceNumber::Stale => text::sample(out, name, &labels, source.stale),
        SourceNumber::Damped => text::sample(out, name, &labels, source.damped),
        SourceNumber::Answers => text::sample(out, name, &labels, source.answers),
        SourceNumber::Failures => text::sample(out, name, &labels, source.failures),
        SourceNumber::SinceAnswer => {
            if let Some(since) = source.since_answer {
                text::sample(out, name, &labels, seconds(nanos(since)));
            }
        }
    }
}

/// One sample of each registry: whether it knows the gateway under all names that the config says.
pub(super) fn registered(all: &[RegisteredNumbers], name: &str, out: &mut String) {
    let mut registries: BTreeMap<&str, bool> = BTreeMap::new();
    for known in all {
        *registries.entry(&known.registry).or_insert(true) &= known.is_registered;
    }
    for (registry, is_registered) in registries {
        let labels = Labels::new().with("registry", registry);
        text::sample(out, name, &labels, u8::from(is_registered));
    }
}
