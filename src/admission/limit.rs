//! Limits as data: how much of what, counted how, and for whom.

use std::time::Duration;

use crate::units::QuotaId;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Requests,
    Tokens,
    Concurrency,
}

/// How it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    TokenBucket,
    SlidingWindow,
    FixedWindow,
}

/// For whom it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    Tenant,
    Key,
    Model,
    TenantModel,
    Subject,
}

/// How much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    kind: Kind,
    algorithm: Algorithm,
    limit: u32,
    period: Duration,
    burst: u32,
}

impl Rule {
    /// `limit` of `kind` in each `period`, counted by `algorithm`; without `burst` it is `limit`.
    #[must_use]
    pub fn new(
        kind: Kind,
        algorithm: Algorithm,
        limit: u32,
        period: Duration,
        burst: Option<u32>,
    ) -> Self {
        Self { kind, algorithm, limit, period, burst: burst.unwrap_or(limit) }
    }
}

/// A rule, for whom it holds, and where its use is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Where its use is counted.
    pub id: QuotaId,
    /// For whom it holds.
    pub scope: Scope,
    /// How much.
    pub rule: Rule,
}
