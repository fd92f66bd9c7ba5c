//! Limits as data: how much of what, counted how, and for whom; and the arithmetic of their time.

use std::time::Duration;

use crate::units::Moment;
use crate::units::QuotaId;

/// The greatest limit there can be: what is used beyond it (debt) must still be countable.
pub const LIMIT_MAX: u32 = 2_000_000_000;

/// Parts of a sliding window that are counted: all of a period, wherever it begins, lies within them.
pub const WINDOW_PARTS: u32 = 16;

/// The shortest step of a token bucket's refill.
const REFILL_EVERY_MIN: Duration = Duration::from_millis(100);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Requests that are let in.
    Requests,
    /// Tokens of questions and answers together.
    Tokens,
    /// Requests under way at the same time.
    Concurrency,
}

impl Kind {
    /// Its word in the config, in metrics and in logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Concurrency => "concurrency",
        }
    }
}

/// How it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// A bucket that refills evenly: bursts up to its size, then the rate.
    TokenBucket,
    /// In any period, wherever it begins (in steps of a fifteenth of it).
    SlidingWindow,
    /// In each period of the clock; all of it comes back at once.
    FixedWindow,
}

impl Algorithm {
    /// Its word in the config, in metrics and in logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TokenBucket => "token_bucket",
            Self::SlidingWindow => "sliding_window",
            Self::FixedWindow => "fixed_window",
        }
    }
}

/// For whom it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// For a tenant, whatever it asks for.
    Tenant,
    /// For one API key.
    Key,
    /// For a model, whoever asks.
    Model,
    /// For a tenant's requests to one model.
    TenantModel,
    /// For the subject of a token.
    Subject,
}

impl Scope {
    /// Its word in the config, in metrics and in logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Key => "key",
            Self::Model => "model",
            Self::TenantModel => "tenant_model",
            Self::Subject => "subject",
        }
    }
}

/// How much there may be, and how what was used comes back.
///
/// Time is counted in epochs of the rule's own. A bucket gets `refill` back at the beginning of each epoch; a fixed
/// window is a bucket that gets everything back; a sliding window gets back what was used [`WINDOW_PARTS`] epochs ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    kind: Kind,
    algorithm: Algorithm,
    limit: u32,
    capacity: u32,
    refill: u32,
    epoch_nanos: u64,
}

impl Rule {
    /// `limit` of `kind` in each `period`, counted by `algorithm`. `burst` is how much a token bucket holds; without it,
    /// `limit`. A limit above [`LIMIT_MAX`] counts as that. Period and algorithm mean nothing to concurrency.
    #[must_use]
    pub fn new(
        kind: Kind,
        algorithm: Algorithm,
        limit: u32,
        period: Duration,
        burst: Option<u32>,
    ) -> Self {
        let limit = limit.min(LIMIT_MAX);
        let period = nanos(period).max(nanos(REFILL_EVERY_MIN));
        let (capacity, refill, epoch_nanos) = match (kind, algorithm) {
            (Kind::Concurrency, _) => (limit, 0, u64::MAX),
            (_, Algorithm::FixedWindow) => (limit, limit, period),
            (_, Algorithm::SlidingWindow) => {
                (limit, 0, period.div_ceil(u64::from(WINDOW_PARTS - 1)))
            }
            (_, Algorithm::TokenBucket) => {
                let (refill, every) = refill(limit, period);
                (burst.unwrap_or(limit).clamp(1, LIMIT_MAX), refill, every)
            }
        };
        Self { kind, algorithm, limit, capacity, refill, epoch_nanos }
    }

    /// What is counted.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// How.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How much there may be in a period, or at the same time.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How much there may be at once: of a token bucket its size, else the limit.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// In what time there may be so much, in whole milliseconds: exact for periods of up to a day. Nothing of concurrency.
    #[must_use]
    pub fn period(&self) -> Duration {
        if self.is_concurrency() {
            return Duration::ZERO;
        }
        let epoch = u128::from(self.epoch_nanos);
        let nanos = match self.algorithm {
            Algorithm::FixedWindow => epoch,
            Algorithm::SlidingWindow => epoch * u128::from(WINDOW_PARTS - 1),
            Algorithm::TokenBucket => {
                epoch * u128::from(self.limit) / u128::from(self.refill.max(1))
            }
        };
        // Epochs were rounded up, by less than a millisecond in all.
        Duration::from_millis(u64::try_from(nanos / 1_000_000).unwrap_or(u64::MAX))
    }

    /// Whether what was used comes back by the parts of a window.
    #[must_use]
    pub const fn slides(&self) -> bool {
        matches!(self.algorithm, Algorithm::SlidingWindow) && !self.is_concurrency()
    }

    /// Whether what was used comes back only when it is given back.
    #[must_use]
    pub const fn is_concurrency(&self) -> bool {
        matches!(self.kind, Kind::Concurrency)
    }

    /// The epoch of a moment, from 1; of concurrency always the same.
    #[must_use]
    pub fn epoch(&self, now: Moment) -> u32 {
        if self.is_concurrency() {
            return 1;
        }
        u32::try_from(now.as_nanos() / self.epoch_nanos).unwrap_or(u32::MAX - 1).saturating_add(1)
    }

    /// What comes back of `used` by the passing of so many epochs, of a rule that does not slide.
    #[must_use]
    pub fn refilled(&self, used: u32, epochs: u32) -> u32 {
        let back = u64::from(self.refill) * u64::from(epochs);
        used.saturating_sub(u32::try_from(back).unwrap_or(u32::MAX))
    }

    /// How much of what was taken in the epoch `taken` and was not used can be given back in `now`: what the time has given
    /// back already cannot be given again.
    #[must_use]
    pub fn returnable(&self, amount: u32, taken: u32, now: u32) -> u32 {
        let epochs = now.saturating_sub(taken);
        if self.slides() {
            return if epochs < WINDOW_PARTS { amount } else { 0 };
        }
        self.refilled(amount, epochs)
    }

    /// How long it takes from `now` until so much more has come back, of a rule that does not slide; and for one that
    /// slides, the longest that it can take.
    #[must_use]
    pub fn time_to_refill(&self, missing: u32, now: Moment) -> Duration {
        if missing == 0 || self.is_concurrency() {
            return Duration::ZERO;
        }
        let epochs = if self.slides() {
            u64::from(WINDOW_PARTS)
        } else {
            u64::from(missing.div_ceil(self.refill.max(1)))
        };
        let into = now.as_nanos() % self.epoch_nanos;
        Duration::from_nanos(epochs.saturating_mul(self.epoch_nanos).saturating_sub(into))
    }

    /// How long it takes from `now` until the epoch `epochs` after this one begins.
    #[must_use]
    pub fn time_to_epoch(&self, epochs: u32, now: Moment) -> Duration {
        if epochs == 0 || self.is_concurrency() {
            return Duration::ZERO;
        }
        let into = now.as_nanos() % self.epoch_nanos;
        Duration::from_nanos((u64::from(epochs) * self.epoch_nanos).saturating_sub(into))
    }
}

/// How many whole tokens come back at once, and how often: the fewest that leave at least [`REFILL_EVERY_MIN`] between.
/// The time is rounded up, so that no more comes back than the limit says.
fn refill(limit: u32, period: u64) -> (u32, u64) {
    let limit = u128::from(limit.max(1));
    let (period, least) = (u128::from(period), u128::from(nanos(REFILL_EVERY_MIN)));
    let tokens = (least * limit).div_ceil(period).clamp(1, limit);
    let every = (tokens * period).div_ceil(limit);
    (u32::try_from(tokens).unwrap_or(u32::MAX), u64::try_from(every).unwrap_or(u64::MAX))
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
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

/// How a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How much there may be.
    pub limit: u32,
    /// How much is left now.
    pub remaining: u32,
    /// Until all of it is there again, if nothing more is used.
    pub reset: Duration,
}

/// Not enough is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// How the limit stands.
    pub standing: Standing,
    /// Until as much as was asked for is there, if nothing more is used; [`Duration::MAX`]: there is never so much.
    pub wait: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    fn bucket(limit: u32) -> Rule {
        Rule::new(Kind::Requests, Algorithm::TokenBucket, limit, MINUTE, None)
    }

    #[test]
    fn a_bucket_refills_whole_tokens_at_its_rate() {
        for (limit, tokens, every_ms) in
            [(600, 1, 100), (10, 1, 6000), (1, 1, 60_000), (6000, 10, 100), (60_000, 100, 100)]
        {
            let rule = bucket(limit);
            assert_eq!((rule.refill, rule.epoch_nanos), (tokens, every_ms * 1_000_000), "{limit}");
        }
        for limit in (1..5000).chain([999_983, LIMIT_MAX]) {
            let rule = bucket(limit);
            let minute = u128::from(nanos(MINUTE));
            let a_minute = u128::from(rule.refill) * minute / u128::from(rule.epoch_nanos);
            assert!(a_minute <= u128::from(limit), "{limit}: {rule:?}");
            assert!(a_minute + 1 >= u128::from(limit) * 999 / 1000, "{limit}: {rule:?}");
        }
    }

    #[test]
    fn the_period_can_be_told_from_the_epochs() {
        let all = [Algorithm::TokenBucket, Algorithm::SlidingWindow, Algorithm::FixedWindow];
        for seconds in [1, 60, 3600, 86_400] {
            let period = Duration::from_secs(seconds);
            for limit in [1, 2, 7, 59, 600, 10_000, 999_983, 200_000_003, LIMIT_MAX] {
                for algorithm in all {
                    let rule = Rule::new(Kind::Tokens, algorithm, limit, period, Some(5));
                    assert_eq!(rule.period(), period, "{rule:?}");
                }
            }
        }
        let rule = Rule::new(Kind::Concurrency, Algorithm::TokenBucket, 5, MINUTE, None);
        assert_eq!(rule.period(), Duration::ZERO);
    }

    #[test]
    fn epochs_begin_at_one_and_count_time() {
        let rule = bucket(600);
        assert_eq!([rule.epoch(at(0)), rule.epoch(at(99)), rule.epoch(at(100))], [1, 1, 2]);
        assert_eq!(rule.epoch(Moment::NEVER), u32::MAX);
        let rule = Rule::new(Kind::Concurrency, Algorithm::TokenBucket, 5, MINUTE, None);
        assert_eq!([rule.epoch(at(0)), rule.epoch(Moment::NEVER)], [1, 1]);
        assert_eq!(rule.refilled(3, u32::MAX), 3, "places come back only when they are given back");
    }

    #[test]
    fn what_time_has_given_back_is_not_given_again() {
        let rule = bucket(600);
        assert_eq!(rule.refilled(50, 20), 30);
        assert_eq!(rule.refilled(50, 60), 0);
        assert_eq!(rule.returnable(50, 7, 7), 50);
        assert_eq!(rule.returnable(50, 7, 27), 30);
        assert_eq!(rule.returnable(50, 7, 1000), 0);
        assert_eq!(rule.returnable(50, 7, 3), 50, "a clock that lags behind");
        let sliding = Rule::new(Kind::Tokens, Algorithm::SlidingWindow, 600, MINUTE, None);
        assert_eq!(sliding.returnable(50, 7, 6 + WINDOW_PARTS), 50);
        assert_eq!(sliding.returnable(50, 7, 7 + WINDOW_PARTS), 0);
        let fixed = Rule::new(Kind::Tokens, Algorithm::FixedWindow, 600, MINUTE, None);
        assert_eq!((fixed.returnable(50, 7, 7), fixed.returnable(50, 7, 8)), (50, 0));
    }

    #[test]
    fn waits_end_when_enough_is_back() {
        let rule = bucket(600);
        assert_eq!(rule.time_to_refill(0, at(30)), Duration::ZERO);
        assert_eq!(rule.time_to_refill(1, at(30)), Duration::from_millis(70));
        assert_eq!(rule.time_to_refill(3, at(30)), Duration::from_millis(270));
        let fixed = Rule::new(Kind::Requests, Algorithm::FixedWindow, 600, MINUTE, None);
        assert_eq!(fixed.time_to_refill(1, at(59_000)), Duration::from_secs(1));
        assert_eq!(fixed.time_to_refill(601, at(59_000)), Duration::from_secs(61), "debt");
    }
}
