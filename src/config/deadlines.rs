//! How long an upstream and a model are waited for, and how connections are kept.

use crate::config::resilience::AttemptDeadline;
use std::time::Duration;

/// `deadlines = { .. }` of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// To connect, TLS included.
    pub connect: Duration,
    /// From the receipt of the request to the first byte of the response.
    pub first_byte: Duration,
    /// The longest silence within a response.
    pub gap: Duration,
    /// The whole request, from its receipt to the last byte.
    pub whole: Duration,
    /// From the start of one attempt to its first byte; none: as long as `first_byte` allows.
    pub attempt: Option<AttemptDeadline>,
}

/// `deadlines = { .. }` of a model: what it has differently from its upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadlineOverrides {
    /// Instead of the upstream's `connect`.
    pub connect: Option<Duration>,
    /// Instead of the upstream's `first_byte`.
    pub first_byte: Option<Duration>,
    /// Instead of the upstream's `gap`.
    pub gap: Option<Duration>,
    /// Instead of the upstream's `whole`.
    pub whole: Option<Duration>,
    /// Instead of the upstream's `attempt`, of whichever kind that is.
    pub attempt: Option<AttemptDeadline>,
}

impl Deadlines {
    /// These, where `overrides` has nothing else to say.
    #[must_use]
    pub fn overridden(self, overrides: &DeadlineOverrides) -> Self {
        Self {
            connect: overrides.connect.unwrap_or(self.connect),
            first_byte: overrides.first_byte.unwrap_or(self.first_byte),
            gap: overrides.gap.unwrap_or(self.gap),
            whole: overrides.whole.unwrap_or(self.whole),
            attempt: overrides.attempt.or(self.attempt),
        }
    }
}

/// `pool = { .. }` of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Connections kept ready even while nothing needs them, for each endpoint and shard: at most `idle_max`.
    pub idle_min: usize,
    /// Idle connections kept, for each endpoint and shard.
    pub idle_max: usize,
    /// All connections, for each endpoint and shard; none: unbounded.
    pub connections_max: Option<u32>,
    /// How long a connection may lie idle.
    pub idle: Duration,
    /// How old a connection may become.
    pub age: Duration,
    /// How long a request may hold one without a byte moving before that is told.
    pub leak: Duration,
}
