//! Whether a request is tried again, where, and when.

mod on;

use crate::balance::backoff::Backoff;
use crate::balance::budget;
use std::time::Duration;

pub use crate::balance::retry::on::On;

/// Why an attempt came to nothing, before any byte of a response went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// There was no connection: refused, unreachable, late, or its TLS failed.
    Connect,
    /// The connection was closed or reset before the response.
    Reset,
    /// The response did not begin within the deadline of the attempt.
    Timeout,
    /// What came is not HTTP.
    Malformed,
    /// The response was held back for its status.
    Status(u16),
    /// The endpoint refused the gateway's own credential.
    Credential,
    /// The prompt is too long for the model.
    ContextLength,
}

impl Cause {
    /// Whether another model's endpoints may fare better: whatever is the endpoint's own trouble.
    #[must_use]
    pub const fn may_fall_back(self) -> bool {
        match self {
            Self::Connect | Self::Reset | Self::Timeout | Self::Malformed | Self::Credential => {
                true
            }
            Self::Status(status) => matches!(status, 429 | 500..=599),
            Self::ContextLength => false,
        }
    }
}

/// What is tried again, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Attempts for each model, the first included: 1 to 10.
    pub attempts: u8,
    /// What is tried again.
    pub on: On,
    /// The wait before an endpoint is asked again that was asked before.
    pub backoff: Backoff,
    /// The longest `Retry-After` that is waited for.
    pub retry_after_max: Duration,
    /// How many repetitions there may be, at the same model.
    pub budget: budget::Rule,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 3,
            on: On::USUAL,
            backoff: Backoff::default(),
            retry_after_max: Duration::from_secs(5),
            budget: budget::Rule::default(),
        }
    }
}

/// Where a request stands after an attempt came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Why it came to nothing.
    pub cause: Cause,
    /// Attempts made for this model, this one included.
    pub attempts: u8,
    /// Whether there is a usable endpoint that this request has not been to.
    pub has_untried: bool,
    /// What the endpoint of this attempt asked for.
    pub retry_after: Option<Duration>,
    /// How long until the request's first-byte deadline.
    pub time_left: Duration,
    /// Whether there is another model to fall back to.
    pub has_fallback: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for the same model again, at an endpoint that was not tried if there is one.
    Again {
        /// After so long.
        wait: Duration,
    },
    /// Ask for the next model of the chain, at once.
    Fallback,
    /// Answer the client.
    GiveUp(GaveUp),
}

/// Why a request is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GaveUp {
    /// What went wrong would go wrong again, or is not on the model's list.
    NotRepeatable,
    /// There were as many attempts as there may be.
    AttemptsUsed,
    /// The wait before the next attempt is longer than the time that is left, or than may be waited.
    NoTime,
    /// There were too many repetitions lately.
    NoBudget,
}

impl GaveUp {
    /// Every reason.
    pub const ALL: &'static [Self] =
        &[Self::NotRepeatable, Self::AttemptsUsed, Self::NoTime, Self::NoBudget];

    /// Its name in metrics: snake case, never changed once published.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotRepeatable => "not_repeatable",
            Self::AttemptsUsed => "attempts_used",
            Self::NoTime => "no_time",
            Self::NoBudget => "no_budget",
        }
    }
}

/// What to do after an attempt that came to nothing.
///
/// The same model first, if the policy has its cause on the list and attempts are left: another endpoint at once, one that
/// was tried after its wait (what it asked for with `Retry-After`, if that is longer than the backoff). Then the next model
/// of the chain. `withdraw` takes one repetition from the budget and says whether there was one; it is called at most once,
/// and only if all else allows the same model again. What goes to another model takes nothing: it adds nothing to what the
/// endpoints have to do that fail, and an outage of all of them is what the chain is for.
pub fn next(policy: &Policy, facts: &Facts, dice: u64, withdraw: impl FnOnce() -> bool) -> Next {
    let reason = match wait(policy, facts, dice) {
        Ok(wait) if withdraw() => return Next::Again { wait },
        Ok(_) => GaveUp::NoBudget,
        Err(reason) => reason,
    };
    if !facts.has_fallback || !facts.cause.may_fall_back() {
        return Next::GiveUp(reason);
    }
    if facts.time_left.is_zero() { Next::GiveUp(GaveUp::NoTime) } else { Next::Fallback }
}

/// How long to wait before the same model is asked for again, or why it is not.
fn wait(policy: &Policy, facts: &Facts, dice: u64) -> Result<Duration, GaveUp> {
    if !policy.on.has(facts.cause) {
        return Err(GaveUp::NotRepeatable);
    }
    if facts.attempts >= policy.attempts {
        return Err(GaveUp::AttemptsUsed);
    }
    let wait = if facts.has_untried {
        // What an endpoint asks for is asked for itself alone.
        Duration::ZERO
    } else {
        let asked = facts.retry_after.unwrap_or_default();
        if asked > policy.retry_after_max {
            return Err(GaveUp::NoTime);
        }
        policy.backoff.wait(facts.attempts, dice).max(asked)
    };
    if wait >= facts.time_left { Err(GaveUp::NoTime) } else { Ok(wait) }
}

#[cfg(test)]
mod tests;
