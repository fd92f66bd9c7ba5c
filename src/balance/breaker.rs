//! When an endpoint is left alone, and who tries it again: a circuit breaker in one word.

use crate::balance::backoff::drawn;
use crate::units::Moment;
use std::time::Duration;

/// What opens a breaker, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// So many failures in a row.
    pub consecutive: u32,
    /// Such a share of failures within `window`, in percent.
    pub error_percent: u8,
    /// With fewer requests within `window` their share says nothing.
    pub requests_min: u32,
    /// The time over which failures are counted.
    pub window: Duration,
    /// How long it is open the first time; twice as long each next time in a row.
    pub open: Duration,
    /// How long it is open at most. When it has been well for as long, it begins anew.
    pub open_max: Duration,
    /// How long it is open where our credential is refused, each time.
    pub credential: Duration,
}

/// Whether so many failures are too many, by their share in the window.
#[must_use]
pub fn is_too_bad(rule: &Rule, good: u32, bad: u32) -> bool {
    let (bad, all) = (u64::from(bad), u64::from(good) + u64::from(bad));
    bad > 0
        && all >= u64::from(rule.requests_min)
        && bad * 100 >= u64::from(rule.error_percent) * all
}

/// Why a breaker opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// There were too many failures in a row, or the probe failed.
    Failures,
    /// Too large a share of the requests failed.
    ErrorRate,
    /// The endpoint refused our credential.
    Credential,
}

impl Reason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[Self::Failures, Self::ErrorRate, Self::Credential];

    /// Its name in metrics: snake case, never changed once published.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::ErrorRate => "error_rate",
            Self::Credential => "credential",
        }
    }
}

/// What a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Everything.
    Closed,
    /// Nothing.
    Open {
        /// Until then.
        until: Moment,
        /// Why.
        reason: Reason,
    },
    /// It was open for long enough: one request, the probe, which has to be claimed.
    Due,
    /// Nothing: the probe is out.
    HalfOpen,
}

/// A breaker in one word, so that threads can compare and swap it. Zero is closed and knows of no trouble.
///
/// | bits | what |
/// |---|---|
/// | 0..40 | a time, in milliseconds of the clock (34 years): see below |
/// | 40..42 | 0 closed, 1 open, 2 a probe is out |
/// | 42..44 | why it opened last |
/// | 44..50 | how often it opened in a row for failures, up to 63 |
/// | 50..64 | `open_max` of the rule by which it opened last, in seconds, rounded up, up to 16,383 |
///
/// The time is, while it is open: until when. While a probe is out: when the probe is taken for lost, `open_max` after it
/// was claimed. While it is closed: when how often it opened is forgotten, `open_max` after it closed.
///
/// ```text
///              open                  time            claim
///    Closed ---------> Open ------------------> Due --------> HalfOpen
///      ^                ^                       ^ ^             | | |
///      |                '-----------------------|-|--- open ----' | |
///      |                                        | '---- release --' | (or lost)
///      '----------------------------------------|------ succeed ----'
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Word(pub u64);

/// Bits of a word: where they begin, and how many they are.
#[derive(Clone, Copy)]
struct Bits {
    at: u32,
    count: u32,
}

const TIME: Bits = Bits { at: 0, count: 40 };
const PHASE: Bits = Bits { at: 40, count: 2 };
const REASON: Bits = Bits { at: 42, count: 2 };
const TIMES: Bits = Bits { at: 44, count: 6 };
const PATIENCE: Bits = Bits { at: 50, count: 14 };

const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const PROBED: u64 = 2;

impl Bits {
    /// The greatest number that fits.
    const fn max(self) -> u64 {
        (1 << self.count) - 1
    }

    const fn of(self, word: Word) -> u64 {
        (word.0 >> self.at) & self.max()
    }
}

impl Word {
    /// Closed, and nothing is remembered.
    pub const FRESH: Self = Self(0);

    /// What it lets through.
    #[must_use]
    pub const fn state(self, now: Moment) -> State {
        let is_over = millis(now) >= TIME.of(self);
        match PHASE.of(self) {
            CLOSED => State::Closed,
            OPEN if !is_over => State::Open { until: self.time(), reason: self.reason() },
            PROBED if !is_over => State::HalfOpen,
            _ => State::Due,
        }
    }

    /// Whether it lets everything through, at any time.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        PHASE.of(self) == CLOSED
    }

    /// Why it opened last; of no meaning in a fresh one.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match REASON.of(self) {
            0 => Reason::Failures,
            1 => Reason::ErrorRate,
            _ => Reason::Credential,
        }
    }

    /// How often it opened in a row for failures, up to 63.
    #[must_use]
    pub const fn times(self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "six bits")]
        let times = TIMES.of(self) as u32;
        times
    }

    /// Opens it: too much went wrong with requests (it is closed), or with the probe (it is out).
    ///
    /// Each time in a row it is open twice as long, up to `open_max`, and up to a tenth longer by chance, so that the
    /// gateways that saw the same failure do not come back together. For a bad credential it is open for
    /// `rule.credential`, and how often it opened for failures stays as it is.
    ///
    /// One that is open or due stays as it is: what fails then was sent before it opened, and tells nothing new. Only a bad
    /// credential does, and keeps it open at least for its own time. While a probe is out, the same holds for
    /// whatever is not the probe, which the word cannot tell: then it is not to be called.
    #[must_use]
    pub fn open(self, reason: Reason, rule: &Rule, now: Moment, dice: u64) -> Self {
        let is_credential = reason == Reason::Credential;
        let is_open = PHASE.of(self) == OPEN;
        if is_open && !is_credential {
            return self;
        }
        let is_forgotten = self.is_closed() && millis(now) >= TIME.of(self);
        let before = if is_forgotten { 0 } else { TIMES.of(self) };
        let times = (before + u64::from(!is_credential)).min(TIMES.max());
        let wait = if is_credential { rule.credential } else { doubled(rule, times) };
        let until = now.after(wait.saturating_add(drawn(wait / 10, dice)));
        if is_open && millis(until) <= TIME.of(self) {
            return self;
        }
        Self::new(millis(until), OPEN, reason, times, patience(rule))
    }

    /// Claims the probe if it is due: whoever swaps this word in has it, and must report with `succeed`, `open` or
    /// `release`. A probe that has not after `open_max` is lost, and another one due.
    #[must_use]
    pub fn claim(self, now: Moment) -> Option<Self> {
        let lost_at = millis(now) + PATIENCE.of(self) * 1000;
        (self.state(now) == State::Due).then(|| self.with(lost_at, PROBED))
    }

    /// The probe was good: closed. How often it opened is remembered until it has been well for `open_max`.
    ///
    /// One that is not waiting for a probe stays as it is.
    #[must_use]
    pub fn succeed(self, now: Moment) -> Self {
        if PHASE.of(self) != PROBED {
            return self;
        }
        self.with(millis(now) + PATIENCE.of(self) * 1000, CLOSED)
    }

    /// The probe was cancelled and tells nothing: another one is due.
    ///
    /// One that is not waiting for a probe stays as it is.
    #[must_use]
    pub const fn release(self) -> Self {
        if PHASE.of(self) == PROBED { self.with(0, OPEN) } else { self }
    }

    /// The time as a moment.
    const fn time(self) -> Moment {
        Moment::from_nanos(TIME.of(self).saturating_mul(NANOS_PER_MS))
    }

    const fn with(self, millis: u64, phase: u64) -> Self {
        Self::new(millis, phase, self.reason(), TIMES.of(self), PATIENCE.of(self))
    }

    const fn new(millis: u64, phase: u64, reason: Reason, times: u64, patience: u64) -> Self {
        let millis = if millis > TIME.max() { TIME.max() } else { millis };
        Self(
            millis << TIME.at
                | phase << PHASE.at
                | (reason as u64) << REASON.at
                | times << TIMES.at
                | patience << PATIENCE.at,
        )
    }
}

const NANOS_PER_MS: u64 = 1_000_000;

const fn millis(moment: Moment) -> u64 {
    moment.as_nanos() / NANOS_PER_MS
}

/// How long it is open the `times`th time in a row.
fn doubled(rule: &Rule, times: u64) -> Duration {
    let doublings = u32::try_from(times.saturating_sub(1)).unwrap_or(u32::MAX);
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    rule.open.saturating_mul(factor).min(rule.open_max)
}

/// `open_max` as a word has it; at least a second, or a probe would be lost as soon as it is claimed.
fn patience(rule: &Rule) -> u64 {
    let is_begun = rule.open_max.subsec_nanos() > 0;
    let whole = rule.open_max.as_secs().saturating_add(u64::from(is_begun));
    whole.clamp(1, PATIENCE.max())
}

#[cfg(test)]
mod tests;
