//! The samples of endpoints: how each is, what came of its attempts, and how long it takes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::balance::breaker::Reason;
use crate::balance::choose::Standing;
use crate::balance::verdict::Verdict;
use crate::control::metrics::text;
use crate::control::metrics::text::Labels;
use crate::control::metrics::text::seconds;
use crate::crossing::health::Live;
use crate::crossing::health::Totals;
use crate::record::histogram::nanos;

/// What the page shows of an endpoint of the published snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointNumbers {
    /// The name of its upstream.
    pub upstream: String,
    /// Its url, without secrets.
    pub url: String,
    /// How it is: one of [`STATES`].
    pub standing: Standing,
    /// Attempts in flight on all shards.
    pub in_flight: u32,
    /// What was counted since the process began.
    pub totals: Totals,
    /// How long it takes to its first byte.
    pub live: Live,
    /// How long an attempt may take to its first byte now, for each model that has such a deadline.
    pub attempt_deadlines: Vec<(String, Duration)>,
    /// Health checks that passed, and that did not; none where it is not checked.
    pub checks: Option<(u64, u64)>,
}

/// How an endpoint may be for all who want to use it.
pub const STATES: [Standing; 9] = [
    Standing::Usable,
    Standing::Due,
    Standing::Unhealthy,
    Standing::Open,
    Standing::Ejected,
    Standing::Paused,
    Standing::CredentialBad,
    Standing::NoAddress,
    Standing::Weightless,
];

/// Numbers of endpoints.
#[derive(Clone, Copy, Debug)]
pub(super) enum EndpointNumber {
    State,
    InFlight,
    Attempts,
    Opened,
    FirstByte,
    AttemptDeadline,
    Checks,
    /// By upstream: how many of its endpoints refuse our credential.
    CredentialBad,
}

/// Writes the samples of one metric.
pub(super) fn samples(
    endpoints: &[EndpointNumbers],
    number: EndpointNumber,
    name: &str,
    out: &mut String,
) {
    if let EndpointNumber::CredentialBad = number {
        return credential_bad(endpoints, name, out);
    }
    for endpoint in endpoints {
        endpoint.samples(number, name, out);
    }
}

impl EndpointNumbers {
    fn labels(&self) -> Labels {
        Labels::new().with("upstream", &self.upstream).with("endpoint", &self.url)
    }

    fn samples(&self, number: EndpointNumber, name: &str, out: &mut String) {
        let mut by = |label: &str, value: &str, number: u64| {
            text::sample(out, name, &self.labels().with(label, value), number);
        };
        match number {
            EndpointNumber::State => {
                for state in STATES {
                    by("state", state.label(), u64::from(state == self.standing));
                }
            }
            EndpointNumber::Attempts => {
                for verdict in Verdict::ALL {
                    by("result", verdict.label(), self.attempts(*verdict));
                }
            }
            EndpointNumber::Opened => {
                for (reason, count) in Reason::ALL.iter().zip(self.totals.opened) {
                    by("reason", reason.label(), count);
                }
            }
            EndpointNumber::Checks => {
                if let Some((passed, failed)) = self.checks {
                    by("result", "passed", passed);
                    by("result", "failed", failed);
                }
            }
            EndpointNumber::InFlight => text::sample(out, name, &self.labels(), self.in_flight),
            EndpointNumber::FirstByte => {
                let Live { p50, p95, p99, .. } = self.live;
                for (quantile, time) in [("0.5", p50), ("0.95", p95), ("0.99", p99)] {
                    let Some(time) = time else { continue };
                    let labels = self.labels().with("quantile", quantile);
                    text::sample(out, name, &labels, seconds(nanos(time)));
                }
            }
            EndpointNumber::AttemptDeadline => {
                for (model, deadline) in &self.attempt_deadlines {
                    let labels = Labels::new().with("model", model);
                    let labels = labels.with("upstream", &self.upstream);
                    let labels = labels.with("endpoint", &self.url);
                    text::sample(out, name, &labels, seconds(nanos(*deadline)));
                }
            }
            // Of the upstream, not of the endpoint.
            EndpointNumber::CredentialBad => {}
        }
    }

    const fn attempts(&self, verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Good => self.totals.good,
            Verdict::Bad => self.totals.bad,
            Verdict::Throttled => self.totals.throttled,
            Verdict::CredentialBad => self.totals.credential_bad,
            Verdict::Neutral => self.totals.neutral,
        }
    }
}

fn credential_bad(endpoints: &[EndpointNumbers], name: &str, out: &mut String) {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for endpoint in endpoints {
        let is_bad = endpoint.standing == Standing::CredentialBad;
        *counts.entry(&endpoint.upstream).or_default() += u64::from(is_bad);
    }
    for (upstream, count) in counts {
        text::sample(out, name, &Labels::new().with("upstream", upstream), count);
    }
}

#[cfg(test)]
pub(super) mod tests;
