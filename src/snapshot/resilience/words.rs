//! The same in words, under the names that the file has for it: what outlines show and what two snapshots differ in.

use crate::balance::backoff::Backoff;
use crate::balance::hedge::After;
use crate::config::Others;
use crate::config::show_hundredths;
use crate::snapshot::AllDown;
use crate::snapshot::HashBy;
use crate::snapshot::Model;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;
use crate::units::ModelId;
use std::time::Duration;

/// A name of the file and what is there.
type Pair = (&'static str, String);

/// How an upstream's endpoints are chosen, and when they are left alone.
pub(in crate::snapshot) fn of_upstream(upstream: &Upstream) -> [Pair; 14] {
    let pool = &upstream.pool;
    [
        ("balance", upstream.strategy.label().to_owned()),
        ("hash", hash(upstream)),
        ("locality", locality(upstream)),
        ("slow_start_ms", millis(upstream.slow_start)),
        ("max_in_flight", any_number(upstream.max_in_flight)),
        (
            "queue",
            format!(
                "{} waiting, each {} ms",
                upstream.queue.waiting_max,
                millis(upstream.queue.wait)
            ),
        ),
        ("when_all_down", upstream.all_down.label().to_owned()),
        ("health", health(upstream)),
        ("breaker", breaker(upstream)),
        ("outlier", outlier(upstream)),
        ("pool.idle_min", pool.idle_min.to_string()),
        ("pool.idle_max", pool.idle_max.to_string()),
        ("pool.connections_max", any_number(pool.connections_max)),
        ("pool.leak_ms", millis(pool.leak)),
    ]
}

/// What a model does where its upstream fails or is slow.
pub(in crate::snapshot) fn of_model(snapshot: &Snapshot, model: &Model) -> [Pair; 6] {
    let label = |id: &ModelId| snapshot.model(*id).label();
    let fallback: Vec<String> = model.fallback.iter().map(label).collect();
    let deadlines = &model.deadlines;
    let adaptive = deadlines.adaptive.map(|adaptive| {
        format!(
            "p99 x {} from {} to {} ms, with {} samples",
            show_hundredths(adaptive.factor_percent),
            millis(adaptive.min),
            millis(adaptive.max),
            adaptive.samples_min
        )
    });
    [
        ("retry", retry(model)),
        ("fallback", if fallback.is_empty() { none() } else { fallback.join(", ") }),
        ("context_fallback", model.context_fallback.as_ref().map_or_else(none, label)),
        ("hedge", hedge(model)),
        ("deadlines.attempt_ms", deadlines.attempt.map_or_else(none, millis)),
        ("deadlines.adaptive", adaptive.unwrap_or_else(none)),
    ]
}

impl AllDown {
    /// As it is written in the file.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::LeastBad => "least_bad",
            Self::Refuse => "refuse",
        }
    }
}

fn hash(upstream: &Upstream) -> String {
    upstream.hash.as_ref().map_or_else(none, |hash| {
        let by = match &hash.by {
            HashBy::Header(name) => format!("header {name}"),
            HashBy::Tenant => "tenant".to_owned(),
            HashBy::User => "user".to_owned(),
            HashBy::Prompt { bytes } => format!("prompt, {bytes} bytes"),
        };
        format!("by {by}; load factor {}", show_hundredths(hash.load_factor_percent))
    })
}

fn locality(upstream: &Upstream) -> String {
    upstream.locality.as_ref().map_or_else(off, |locality| {
        let others = match &locality.others {
            Others::Smart => "others by latency".to_owned(),
            Others::Fixed(order) if order.is_empty() => "all others alike".to_owned(),
            Others::Fixed(order) => format!("others: {}, then the rest", order.join(", ")),
        };
        format!("near ones first; {others}; help from {}% on", locality.spill_percent)
    })
}

fn health(upstream: &Upstream) -> String {
    upstream.health.as_ref().map_or_else(none, |health| {
        format!(
            "GET {} every {} ms, each {} ms; unhealthy after {}, healthy after {}",
            health.path,
            millis(health.interval),
            millis(health.timeout),
            health.unhealthy_after,
            health.healthy_after
        )
    })
}

fn breaker(upstream: &Upstream) -> String {
    upstream.breaker.map_or_else(off, |rule| {
        format!(
            "{} in a row, or {}% of {} in {} ms; open {} to {} ms, for a bad credential {} ms",
            rule.consecutive,
            rule.error_percent,
            rule.requests_min,
            millis(rule.window),
            millis(rule.open),
            millis(rule.open_max),
            millis(rule.credential)
        )
    })
}

fn outlier(upstream: &Upstream) -> String {
    upstream.outlier.map_or_else(off, |rule| {
        format!(
            "{} standard deviations below the mean with {} requests; out for {} ms, at most {}%",
            show_hundredths(rule.stdev_percent),
            rule.requests_min,
            millis(rule.eject),
            rule.ejected_percent_max
        )
    })
}

fn retry(model: &Model) -> String {
    let policy = &model.retry;
    if policy.attempts <= 1 {
        return off();
    }
    let backoff = match policy.backoff {
        Backoff::Fixed(wait) => format!("{} ms", millis(wait)),
        Backoff::Exponential { base, factor_percent, max, has_jitter } => format!(
            "{} ms x {} to {} ms{}",
            millis(base),
            show_hundredths(factor_percent),
            millis(max),
            if has_jitter { " with jitter" } else { "" }
        ),
    };
    let on = policy.on.labels();
    let on = if on.is_empty() { "nothing".to_owned() } else { on.join(", ") };
    format!(
        "{} attempts on {on}; backoff {backoff}; Retry-After to {} ms; budget {}%",
        policy.attempts,
        millis(policy.retry_after_max),
        policy.budget.percent
    )
}

fn hedge(model: &Model) -> String {
    model.hedge.map_or_else(off, |rule| {
        let after = match rule.after {
            After::P95 => format!("p95, at least {} ms", millis(rule.min)),
            After::Fixed(after) => format!("{} ms", millis(after)),
        };
        let tools = if rule.may_have_tools { ", tools too" } else { "" };
        format!("after {after}; budget {}%{tools}", rule.budget_percent)
    })
}

fn any_number(most: Option<u32>) -> String {
    most.map_or_else(none, |most| most.to_string())
}

fn none() -> String {
    "none".to_owned()
}

fn off() -> String {
    "off".to_owned()
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
