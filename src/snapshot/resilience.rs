//! Which endpoint, how often, how long: from what the file says to what balance decides with.

pub(super) mod words;

use crate::admission::queue;
use crate::balance::backoff::Backoff;
use crate::balance::breaker;
use crate::balance::budget;
use crate::balance::choose::Strategy;
use crate::balance::deadline;
use crate::balance::hash::Ring;
use crate::balance::hedge;
use crate::balance::outlier;
use crate::balance::retry;
use crate::config;
use crate::snapshot::Deadlines;
use crate::snapshot::PoolLimits;
use std::time::Duration;

/// What leads a request to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hash {
    /// What of the request is hashed.
    pub by: HashBy,
    /// Where its hash leads: the index among the upstream's endpoints.
    pub ring: Ring,
    /// How much more than its share an endpoint may have, in percent: at least 100; the ring knows it too.
    pub load_factor_percent: u32,
}

/// What of a request is hashed. Where a request does not have it, it goes where the load is least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashBy {
    /// The value of a field, by the field's name in lower case.
    Header(Box<str>),
    /// The tenant.
    Tenant,
    /// The user that the body names.
    User,
    /// How the prompt begins.
    Prompt {
        /// So many bytes of it.
        bytes: usize,
    },
}

/// Who may wait where every endpoint is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRule {
    /// How many requests may wait, on each shard.
    pub waiting_max: u32,
    /// How long each may.
    pub wait: Duration,
}

/// What is done where no endpoint is usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllDown {
    /// The endpoint that is the least bad is asked.
    LeastBad,
    /// The request fails.
    Refuse,
}

/// How endpoints are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthRule {
    /// What is asked for, after the endpoint's own `path_prefix`; begins with a slash.
    pub path: Box<str>,
    /// From the begin of a check to that of the next.
    pub interval: Duration,
    /// How long an answer may take; not longer than `interval`.
    pub timeout: Duration,
    /// So many failures in a row make an endpoint unhealthy; at least one.
    pub unhealthy_after: u32,
    /// So many successes in a row make it healthy again; at least one.
    pub healthy_after: u32,
}

pub(super) const fn strategy(balance: config::Balance) -> Strategy {
    match balance {
        config::Balance::RoundRobin => Strategy::RoundRobin,
        config::Balance::WeightedRoundRobin => Strategy::WeightedRoundRobin,
        config::Balance::LeastConnections => Strategy::LeastConnections,
        config::Balance::WeightedLeastConnections => Strategy::WeightedLeastConnections,
        config::Balance::PeakEwma => Strategy::PeakEwma,
        config::Balance::Hash => Strategy::Hash,
    }
}

/// The hash of an upstream and the ring of its endpoints.
pub(super) fn hash(upstream: &config::Upstream) -> Option<Hash> {
    let hash = upstream.hash.as_ref()?;
    let endpoints = upstream.endpoints.iter();
    let endpoints = endpoints.map(|endpoint| (endpoint.url.text.as_str(), endpoint.weight));
    Some(Hash {
        by: match &hash.by {
            config::HashBy::Header(name) => HashBy::Header(name.as_str().into()),
            config::HashBy::Tenant => HashBy::Tenant,
            config::HashBy::User => HashBy::User,
            config::HashBy::Prompt { bytes } => HashBy::Prompt { bytes: *bytes },
        },
        ring: Ring::new(endpoints, hash.load_factor_percent),
        load_factor_percent: hash.load_factor_percent,
    })
}

pub(super) const fn queue(queue: config::Queue) -> QueueRule {
    QueueRule { waiting_max: queue.waiting_max, wait: queue.wait }
}

pub(super) const fn all_down(all_down: config::AllDown) -> AllDown {
    match all_down {
        config::AllDown::LeastBad => AllDown::LeastBad,
        config::AllDown::Refuse => AllDown::Refuse,
    }
}

pub(super) fn health(health: &config::Health) -> HealthRule {
    HealthRule {
        path: health.path.as_str().into(),
        interval: health.interval,
        timeout: health.timeout,
        unhealthy_after: health.unhealthy_after,
        healthy_after: health.healthy_after,
    }
}

pub(super) const fn breaker(breaker: config::Breaker) -> breaker::Rule {
    breaker::Rule {
        consecutive: breaker.consecutive,
        error_percent: breaker.error_percent,
        requests_min: breaker.requests_min,
        window: breaker.window,
        open: breaker.open,
        open_max: breaker.open_max,
        credential: breaker.credential,
    }
}

pub(super) const fn outlier(outlier: config::Outlier) -> outlier::Rule {
    outlier::Rule {
        requests_min: outlier.requests_min,
        stdev_percent: outlier.stdev_percent,
        eject: outlier.eject,
        ejected_percent_max: outlier.ejected_percent_max,
    }
}

pub(super) const fn pool(pool: config::Pool) -> PoolLimits {
    PoolLimits {
        idle_min: pool.idle_min,
        idle_max: pool.idle_max,
        connections_max: pool.connections_max,
        idle: pool.idle,
        age: pool.age,
        leak: pool.leak,
    }
}

pub(super) fn deadlines(deadlines: config::Deadlines) -> Deadlines {
    let (attempt, adaptive) = match deadlines.attempt {
        None => (None, None),
        Some(config::AttemptDeadline::Fixed(attempt)) => (Some(attempt), None),
        Some(config::AttemptDeadline::Adaptive(adaptive)) => {
            let config::Adaptive { factor_percent, min, max, samples_min } = adaptive;
            (None, Some(deadline::Adaptive { factor_percent, min, max, samples_min }))
        }
    };
    Deadlines {
        connect: deadlines.connect,
        first_byte: deadlines.first_byte,
        gap: deadlines.gap,
        whole: deadlines.whole,
        attempt,
        adaptive,
    }
}

/// The policy of a model; none in the file: one attempt.
pub(super) fn retry(retry: Option<&config::Retry>) -> retry::Policy {
    let Some(retry) = retry else {
        return retry::Policy { attempts: 1, ..retry::Policy::default() };
    };
    retry::Policy {
        attempts: retry.attempts,
        on: retry.on.iter().fold(retry::On::NONE, |on, item| {
            on.or(retry::On::parse(&item.label()).unwrap_or(retry::On::NONE))
        }),
        backoff: match retry.backoff {
            config::Backoff::Fixed(wait) => Backoff::Fixed(wait),
            config::Backoff::Exponential { base, factor_percent, max, has_jitter } => {
                Backoff::Exponential { base, factor_percent, max, has_jitter }
            }
        },
        retry_after_max: retry.retry_after_max,
        budget: budget::Rule { percent: retry.budget_percent, ..budget::Rule::default() },
    }
}

pub(super) const fn hedge(hedge: config::Hedge) -> hedge::Rule {
    let (after, min) = match hedge.after {
        config::HedgeAfter::P95 { min } => (hedge::After::P95, min),
        config::HedgeAfter::Fixed(after) => (hedge::After::Fixed(after), Duration::ZERO),
    };
    hedge::Rule {
        after,
        min,
        budget_percent: hedge.budget_percent,
        may_have_tools: hedge.may_have_tools,
    }
}

pub(super) const fn priority(priority: config::Priority) -> queue::Priority {
    match priority {
        config::Priority::High => queue::Priority::High,
        config::Priority::Normal => queue::Priority::Normal,
        config::Priority::Low => queue::Priority::Low,
    }
}

#[cfg(test)]
mod tests;
