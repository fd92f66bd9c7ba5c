//! How an endpoint is, in the words that shards and control share.

use crate::balance::breaker;
use crate::balance::breaker::Reason;
use crate::balance::choose::Standing;
use crate::crossing::health::latency::Live;
use crate::units::Moment;

/// How an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// Nothing is known against it.
    Well,
    /// Something is.
    Troubled(Trouble),
}

/// What is wrong with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its breaker was open long enough: whoever claims the probe may try it.
    Due,
    /// The probe is out, and nobody else may try it.
    Probed {
        /// Whether the breaker was open because the endpoint refused our credential.
        is_refused: bool,
    },
    /// Its breaker is open after failures.
    Open {
        /// Until then.
        until: Moment,
    },
    /// Its breaker is open because it refused our credential.
    CredentialBad {
        /// Until then.
        until: Moment,
    },
    /// Its health checks fail.
    Unhealthy,
    /// It did worse than the others.
    Ejected {
        /// Until then.
        until: Moment,
    },
    /// It said when to come back.
    Paused {
        /// Not before then.
        until: Moment,
    },
}

impl SlotState {
    /// What this says about whether the endpoint may be chosen.
    #[inline]
    #[must_use]
    pub const fn standing(self) -> Standing {
        match self {
            Self::Well => Standing::Usable,
            Self::Troubled(trouble) => trouble.standing(),
        }
    }
}

impl Trouble {
    /// What this says about whether the endpoint may be chosen.
    #[must_use]
    pub const fn standing(self) -> Standing {
        match self {
            Self::Due => Standing::Due,
            Self::CredentialBad { .. } | Self::Probed { is_refused: true } => {
                Standing::CredentialBad
            }
            Self::Open { .. } | Self::Probed { is_refused: false } => Standing::Open,
            Self::Unhealthy => Standing::Unhealthy,
            Self::Ejected { .. } => Standing::Ejected,
            Self::Paused { .. } => Standing::Paused,
        }
    }

    /// When it is worth another look, if that is known.
    #[must_use]
    pub const fn until(self) -> Option<Moment> {
        match self {
            Self::Open { until }
            | Self::CredentialBad { until }
            | Self::Ejected { until }
            | Self::Paused { until } => Some(until),
            Self::Due | Self::Probed { .. } | Self::Unhealthy => None,
        }
    }
}

/// What an endpoint's health checks say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Check {
    /// There are none, or not enough yet.
    #[default]
    Unknown,
    /// It is well.
    Passing,
    /// It is not.
    Failing,
}

impl Check {
    /// Its name on the admin pages.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Passing => "passing",
            Self::Failing => "failing",
        }
    }

    #[inline]
    pub(super) const fn of(word: u64) -> Self {
        match word {
            0 => Self::Unknown,
            1 => Self::Passing,
            _ => Self::Failing,
        }
    }
}

/// What was counted of an endpoint since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Attempts that were begun.
    pub attempts: u64,
    /// Attempts that did what they should.
    pub good: u64,
    /// Attempts that failed.
    pub bad: u64,
    /// Attempts that were told to come later.
    pub throttled: u64,
    /// Attempts of which our credential was refused.
    pub credential_bad: u64,
    /// Attempts that say nothing about the endpoint.
    pub neutral: u64,
    /// How often its breaker opened, in the order of [`Reason::ALL`].
    pub opened: [u64; Reason::ALL.len()],
    /// Probes that were sent.
    pub probes: u64,
}

/// Everything that is known of an endpoint now, for those who look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// How it is, in a word.
    pub state: SlotState,
    /// Its breaker.
    pub breaker: breaker::State,
    /// How often its breaker opened in a row for failures.
    pub opened_in_a_row: u32,
    /// Failures in a row, up to now.
    pub failures_in_a_row: u32,
    /// Its health checks.
    pub check: Check,
    /// Until when control leaves it out.
    pub ejected_until: Option<Moment>,
    /// Before when it said not to come.
    pub paused_until: Option<Moment>,
    /// When it first appeared or last became well again.
    pub since: Moment,
    /// Attempts in flight, by shard.
    pub in_flight: Vec<u32>,
    /// Places that are taken, where they are counted.
    pub places: u32,
    /// Attempts that were good, and that were bad, within the window of its breaker.
    pub window: (u32, u32),
    /// How long it takes to its first byte.
    pub live: Live,
}
