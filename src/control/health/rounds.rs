//! One look a second at every endpoint: latencies merged, outliers left out, and a line where something has changed.

use std::collections::HashMap;
use std::time::Duration;

use crate::balance::breaker;
use crate::balance::breaker::Reason;
use crate::balance::outlier;
use crate::balance::outlier::Sample;
use crate::crossing::health::Details;
use crate::crossing::health::Health;
use crate::crossing::health::Merged;
use crate::snapshot::Endpoint;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;
use crate::units::Moment;
use crate::units::SlotId;

/// What is remembered from look to look.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    merged: Merged,
    seen: HashMap<SlotId, Seen>,
}

/// An endpoint as it was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    /// How often its breaker had opened, by [`Reason`].
    opened: [u64; Reason::ALL.len()],
    /// Since when its breaker has not been closed, as far as it was seen.
    open_since: Option<Moment>,
    is_ejected: bool,
}

/// What has changed about an endpoint since it was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Its breaker has opened: for how long, as far as that is not over.
    Opened(Reason, Option<Duration>),
    /// The probe has failed, and its breaker is open again.
    Reopened(Reason),
    /// Its breaker has closed, after so long.
    Closed(Duration),
    /// Its breaker has opened and closed again.
    Blinked(Reason),
    /// It may be asked again after it was left out.
    TakenIn,
}

impl Rounds {
    /// Looks at the endpoints of `snapshot` from now on, and forgets all others. What happened before is not told.
    pub(super) fn want(&mut self, snapshot: &Snapshot, health: &Health) {
        let before = std::mem::take(&mut self.seen);
        for endpoint in &snapshot.endpoints {
            let slot = endpoint.slot;
            let anew =
                || Seen { opened: health.totals(slot).opened, open_since: None, is_ejected: false };
            let seen = before.get(&slot).copied().unwrap_or_else(anew);
            self.seen.insert(slot, seen);
        }
        self.merged.retain(|slot| self.seen.contains_key(&slot));
    }

    /// Looks at every endpoint.
    pub(super) fn make(&mut self, snapshot: &Snapshot, health: &Health, now: Moment) {
        for upstream in &snapshot.upstreams {
            let endpoints: Vec<&Endpoint> =
                upstream.endpoints.iter().map(|id| snapshot.endpoint(*id)).collect();
            let mut samples = Vec::new();
            for endpoint in &endpoints {
                let slot = endpoint.slot;
                health.merge(&mut self.merged, slot, now);
                let details = health.details(slot, now);
                let opened = health.totals(slot).opened;
                if let Some(seen) = self.seen.get_mut(&slot) {
                    seen.look(&details, opened, now, |change| tell(upstream, endpoint, change));
                }
                let (good, bad) = details.window;
                samples.push(Sample { good, bad, is_out: details.ejected_until.is_some() });
            }
            if let Some(rule) = &upstream.outlier {
                for index in outlier::judge(rule, &samples) {
                    self.eject(upstream, rule, endpoints[index], samples[index], health, now);
                }
            }
        }
    }

    fn eject(
        &mut self,
        upstream: &Upstream,
        rule: &outlier::Rule,
        endpoint: &Endpoint,
        sample: Sample,
        health: &Health,
        now: Moment,
    ) {
        health.eject(endpoint.slot, now.after(rule.eject));
        if let Some(seen) = self.seen.get_mut(&endpoint.slot) {
            seen.is_ejected = true;
        }
        tracing::warn!(
            upstream = upstream.name,
            endpoint = endpoint.url,
            good = sample.good,
            bad = sample.bad,
            for_ms = millis(rule.eject),
            "ejected: it fails much more often than the others"
        );
    }
}

impl Seen {
    /// Compares with what is there now, remembers it, and says what has changed.
    fn look(
        &mut self,
        details: &Details,
        opened: [u64; Reason::ALL.len()],
        now: Moment,
        mut say: impl FnMut(Change),
    ) {
        let counts = Reason::ALL.iter().zip(self.opened.iter().zip(&opened));
        // Of several the gravest, which is the last of the list.
        let newly = counts.rev().find(|(_, (before, now))| before != now);
        let newly = newly.map(|(reason, _)| *reason);
        self.opened = opened;
        let is_closed = details.breaker == breaker::State::Closed;
        match (self.open_since, is_closed, newly) {
            (None, true, Some(reason)) => say(Change::Blinked(reason)),
            (None, false, Some(reason)) => say(Change::Opened(reason, left(details, now))),
            (Some(since), true, _) => say(Change::Closed(now.since(since))),
            (Some(_), false, Some(reason)) => say(Change::Reopened(reason)),
            _ => {}
        }
        self.open_since = if is_closed { None } else { self.open_since.or(Some(now)) };
        let is_ejected = details.ejected_until.is_some();
        if self.is_ejected && !is_ejected {
            say(Change::TakenIn);
        }
        self.is_ejected = is_ejected;
    }
}

/// How long the breaker stays open from now on.
fn left(details: &Details, now: Moment) -> Option<Duration> {
    match details.breaker {
        breaker::State::Open { until, .. } => Some(until.since(now)),
        _ => None,
    }
}

fn tell(upstream: &Upstream, endpoint: &Endpoint, change: Change) {
    let (upstream, endpoint, from) =
        (&*upstream.name, &*endpoint.url, upstream.credential_from.as_deref());
    match change {
        // Nothing but the operator can mend it, and until then all requests that go there fail.
        Change::Opened(Reason::Credential, _)
        | Change::Reopened(Reason::Credential)
        | Change::Blinked(Reason::Credential) => {
            let credential = from.unwrap_or("the config");
            tracing::error!(upstream, endpoint, credential, "it REFUSES OUR CREDENTIAL");
        }
        Change::Opened(reason, left) => {
            let (reason, for_ms) = (reason.label(), left.map(millis));
            tracing::warn!(upstream, endpoint, reason, for_ms, "its circuit breaker has opened");
        }
        // Told once for as long as it lasts, however often it is tried.
        Change::Reopened(reason) => {
            let reason = reason.label();
            tracing::debug!(upstream, endpoint, reason, "its circuit breaker is open again");
        }
        Change::Blinked(reason) => {
            let reason = reason.label();
            tracing::warn!(
                upstream,
                endpoint,
                reason,
                "its circuit breaker has opened and closed again"
            );
        }
        Change::Closed(after) => {
            let after_ms = millis(after);
            tracing::info!(upstream, endpoint, after_ms, "its circuit breaker has closed");
        }
        Change::TakenIn => tracing::info!(upstream, endpoint, "taken in again after its ejection"),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
