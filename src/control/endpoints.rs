//! What is known of each endpoint, as the metrics, the admin page and an explanation show it.

use std::time::Duration;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::balance::breaker;
use crate::balance::choose::Standing;
use crate::balance::deadline;
use crate::control::health::Checked;
use crate::control::metrics::EndpointNumbers;
use crate::control::state::State;
use crate::crossing::health::Details;
use crate::crossing::health::Live;
use crate::crossing::health::SlotState;
use crate::snapshot::Endpoint;
use crate::snapshot::Model;
use crate::snapshot::Seen;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;
use crate::units::EndpointId;
use crate::units::Moment;
use crate::units::SlotId;
use crate::units::UpstreamId;

/// Numbers of every endpoint of `snapshot`, in the order of its upstreams.
pub(super) fn numbers(state: &State, snapshot: &Snapshot, now: Moment) -> Vec<EndpointNumbers> {
    let mut all = Vec::with_capacity(snapshot.endpoints.len());
    for (id, upstream) in (0..).map(UpstreamId).zip(&snapshot.upstreams) {
        for (endpoint, weight) in endpoints(snapshot, upstream) {
            let slot = endpoint.slot;
            let details = state.health().details(slot, now);
            let checked = state.checked(slot).filter(|_| upstream.health.is_some());
            all.push(EndpointNumbers {
                upstream: upstream.name.clone(),
                url: endpoint.url.clone(),
                standing: standing(endpoint, weight, &details),
                in_flight: in_flight(&details),
                totals: state.health().totals(slot),
                attempt_deadlines: attempt_deadlines(snapshot, id, details.live),
                live: details.live,
                checks: checked.map(|checked| (checked.passed, checked.failed)),
            });
        }
    }
    all
}

/// Puts what is known of each endpoint beside what the outline of `snapshot` says of it, under `live`.
pub(super) fn add(
    state: &State,
    snapshot: &Snapshot,
    now: Moment,
    outline: &mut Map<String, Value>,
) {
    let shown = outline.get_mut("upstreams").and_then(Value::as_array_mut);
    let upstreams = (0..).map(UpstreamId).zip(&snapshot.upstreams);
    for ((id, upstream), shown) in upstreams.zip(shown.into_iter().flatten()) {
        let shown = shown.get_mut("endpoints").and_then(Value::as_array_mut);
        for ((endpoint, weight), shown) in
            endpoints(snapshot, upstream).zip(shown.into_iter().flatten())
        {
            let details = state.health().details(endpoint.slot, now);
            let mut live = live(endpoint, weight, &details, now);
            live.insert("check".into(), check(upstream, &details, state.checked(endpoint.slot)));
            let deadlines = attempt_deadlines(snapshot, id, details.live).into_iter();
            let deadlines: Map<String, Value> =
                deadlines.map(|(model, wait)| (model, millis(wait))).collect();
            live.insert("attempt_deadline_ms".into(), deadlines.into());
            live.insert("attempts".into(), attempts(state, endpoint.slot));
            shown["live"] = live.into();
        }
    }
}

/// What an explanation needs to know of the endpoint with this slot.
pub(super) fn seen(state: &State, slot: SlotId, now: Moment) -> Seen {
    let details = state.health().details(slot, now);
    let Live { p50, p99, samples, .. } = details.live;
    Seen {
        standing: details.state.standing(),
        left: left(&details, now),
        in_flight: in_flight(&details),
        places: details.places,
        age: now.since(details.since),
        pace: state.health().pace(slot, now),
        p50,
        p95: details.live.p95,
        p99,
        samples,
    }
}

/// The endpoints of an upstream, each with its weight.
fn endpoints<'s>(
    snapshot: &'s Snapshot,
    upstream: &'s Upstream,
) -> impl Iterator<Item = (&'s Endpoint, u32)> {
    let endpoint = |id: &EndpointId| snapshot.endpoint(*id);
    upstream.endpoints.iter().map(endpoint).zip(upstream.weights.iter().copied())
}

/// How it is for all who want to use it.
fn standing(endpoint: &Endpoint, weight: u32, details: &Details) -> Standing {
    if endpoint.addresses.is_empty() {
        return Standing::NoAddress;
    }
    if weight == 0 { Standing::Weightless } else { details.state.standing() }
}

fn in_flight(details: &Details) -> u32 {
    details.in_flight.iter().fold(0, |sum, shard| sum.saturating_add(*shard))
}

/// How long what is wrong with it lasts, where that is known.
fn left(details: &Details, now: Moment) -> Option<Duration> {
    let SlotState::Troubled(trouble) = details.state else { return None };
    trouble.until().map(|until| until.since(now))
}

/// How long an attempt may take to its first byte, for each model of the upstream that has such a deadline.
fn attempt_deadlines(snapshot: &Snapshot, id: UpstreamId, live: Live) -> Vec<(String, Duration)> {
    let models = snapshot.models.iter().filter(|model| model.upstream == id);
    let deadline = |model: &Model| {
        let of = &model.deadlines;
        let wait = deadline::attempt(of.attempt, of.adaptive.as_ref(), live.p99, live.samples)?;
        Some((model.label(), wait))
    };
    models.filter_map(deadline).collect()
}

fn live(endpoint: &Endpoint, weight: u32, details: &Details, now: Moment) -> Map<String, Value> {
    let standing = standing(endpoint, weight, details);
    let later = |until: Option<Moment>| until.map(|until| millis(until.since(now)));
    let (good, bad) = details.window;
    let Live { p50, p95, p99, samples } = details.live;
    let shown = json!({
        "state": standing.label(),
        "why": standing.explain(),
        "for_ms": left(details, now).map(millis),
        "breaker": breaker(details, now),
        "ejected_for_ms": later(details.ejected_until),
        "paused_for_ms": later(details.paused_until),
        "in_flight": in_flight(details),
        "in_flight_by_shard": details.in_flight,
        "places_taken": details.places,
        "window": { "good": good, "bad": bad },
        "first_byte_ms": {
            "p50": p50.map(millis),
            "p95": p95.map(millis),
            "p99": p99.map(millis),
            "samples": samples,
        },
    });
    match shown {
        Value::Object(shown) => shown,
        _ => Map::new(),
    }
}

fn breaker(details: &Details, now: Moment) -> Value {
    let (state, reason, left) = match details.breaker {
        breaker::State::Closed => ("closed", None, None),
        breaker::State::Open { until, reason } => {
            ("open", Some(reason.label()), Some(millis(until.since(now))))
        }
        breaker::State::Due => ("due", None, None),
        breaker::State::HalfOpen => ("half_open", None, None),
    };
    json!({
        "state": state,
        "reason": reason,
        "for_ms": left,
        "opened_in_a_row": details.opened_in_a_row,
        "failures_in_a_row": details.failures_in_a_row,
    })
}

fn check(upstream: &Upstream, details: &Details, checked: Option<&Checked>) -> Value {
    if upstream.health.is_none() {
        return Value::Null;
    }
    let Checked { passed, failed, trouble } = checked.cloned().unwrap_or_default();
    let state = details.check.label();
    json!({ "state": state, "passed": passed, "failed": failed, "trouble": trouble })
}

fn attempts(state: &State, slot: SlotId) -> Value {
    let totals = state.health().totals(slot);
    json!({
        "begun": totals.attempts,
        "good": totals.good,
        "bad": totals.bad,
        "throttled": totals.throttled,
        "credential_bad": totals.credential_bad,
        "neutral": totals.neutral,
        "probes": totals.probes,
    })
}

/// Milliseconds with three digits after the point.
fn millis(time: Duration) -> Value {
    json!((time.as_secs_f64() * 1e6).round() / 1e3)
}
