//! The values of a file that say which endpoint, how often, how long, and when to stop.
//!
//! Ratios are whole numbers of hundredths here: `factor = 2.0` is 200.

mod warnings;

use std::time::Duration;

pub(crate) use warnings::warnings;

/// The most models that a `fallback` may list.
pub const FALLBACKS_MAX: usize = 8;

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// In turn, whatever the weights say.
    RoundRobin,
    /// In turn, in proportion to the weights, smoothly.
    #[default]
    WeightedRoundRobin,
    /// The one with the fewest requests, whatever the weights say.
    LeastConnections,
    /// The one with the fewest requests for its weight.
    WeightedLeastConnections,
    /// Of two drawn by weight the one that answers sooner.
    PeakEwma,
    /// The one that a property of the request leads to.
    Hash,
}

impl Balance {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::LeastConnections,
        Self::WeightedLeastConnections,
        Self::PeakEwma,
        Self::Hash,
    ];

    /// As it is written in the file.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::WeightedRoundRobin => "weighted_round_robin",
            Self::LeastConnections => "least_connections",
            Self::WeightedLeastConnections => "weighted_least_connections",
            Self::PeakEwma => "peak_ewma",
            Self::Hash => "hash",
        }
    }
}

/// `hash = { .. }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hash {
    /// What of a request is hashed.
    pub by: HashBy,
    /// How much more than its share an endpoint may have before the next one is taken, in percent: at least 100.
    pub load_factor_percent: u32,
}

/// What of a request is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashBy {
    /// The value of a field, by the field's name in lower case.
    Header(String),
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

/// `queue = { .. }` of an upstream: who may wait where every endpoint is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// How many requests may wait, on each shard.
    pub waiting_max: u32,
    /// How long each may.
    pub wait: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        Self { waiting_max: 128, wait: Duration::from_secs(10) }
    }
}

/// `when_all_down`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllDown {
    /// Ask the endpoint that is the least bad.
    #[default]
    LeastBad,
    /// 503.
    Refuse,
}

impl AllDown {
    /// Both.
    pub const ALL: [Self; 2] = [Self::LeastBad, Self::Refuse];

    /// As it is written in the file.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::LeastBad => "least_bad",
            Self::Refuse => "refuse",
        }
    }
}

/// `health = { .. }`: how endpoints are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What is asked for; begins with a slash.
    pub path: String,
    /// From the begin of a check to that of the next.
    pub interval: Duration,
    /// How long an answer may take; not longer than `interval`.
    pub timeout: Duration,
    /// So many failures in a row make an endpoint unhealthy.
    pub unhealthy_after: u32,
    /// So many successes in a row make it healthy again.
    pub healthy_after: u32,
}

/// `breaker = { .. }`: when an endpoint is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// So many failures in a row open it.
    pub consecutive: u32,
    /// Such a share of failures within `window` opens it, in percent.
    pub error_percent: u8,
    /// Below so many requests within `window` their share says nothing.
    pub requests_min: u32,
    /// The time that failures are counted over.
    pub window: Duration,
    /// How long it is open the first time.
    pub open: Duration,
    /// How long it is open at most, however often it has opened in a row.
    pub open_max: Duration,
    /// How long it is open where the upstream refuses our credential.
    pub credential: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            consecutive: 5,
            error_percent: 50,
            requests_min: 20,
            window: Duration::from_secs(10),
            open: Duration::from_secs(1),
            open_max: Duration::from_secs(60),
            credential: Duration::from_secs(60),
        }
    }
}

/// `outlier = { .. }`: when an endpoint is worse than its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// Below so many requests an endpoint is not judged.
    pub requests_min: u32,
    /// How many standard deviations below the mean are too many, in hundredths.
    pub stdev_percent: u32,
    /// For how long an endpoint is taken out.
    pub eject: Duration,
    /// How many of the endpoints may be out at once, in percent.
    pub ejected_percent_max: u8,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            requests_min: 50,
            stdev_percent: 190,
            eject: Duration::from_secs(30),
            ejected_percent_max: 50,
        }
    }
}

/// The deadline of one attempt, from its start to its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptDeadline {
    /// `attempt_ms`.
    Fixed(Duration),
    /// `adaptive = { .. }`.
    Adaptive(Adaptive),
}

/// A deadline that follows what the endpoint needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adaptive {
    /// Times the 99th percentile of its first bytes, in percent: at least 100.
    pub factor_percent: u32,
    /// Not shorter than this.
    pub min: Duration,
    /// Not longer than this; also what holds until there are enough samples.
    pub max: Duration,
    /// Below so many samples the percentile says nothing.
    pub samples_min: u32,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self {
            factor_percent: 300,
            min: Duration::from_secs(1),
            max: Duration::from_secs(30),
            samples_min: 100,
        }
    }
}

/// `retry = { .. }` of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts for this model, the first included: at least one.
    pub attempts: u8,
    /// What is tried again, each item once.
    pub on: Vec<RetryOn>,
    /// The wait before an endpoint is asked again that was asked before.
    pub backoff: Backoff,
    /// The longest `Retry-After` of an upstream that is waited for.
    pub retry_after_max: Duration,
    /// How many repetitions there may be, in percent of the requests.
    pub budget_percent: u8,
}

impl Default for Retry {
    fn default() -> Self {
        let statuses = [429, 500, 502, 503, 504, 529].map(RetryOn::Status);
        let on = [RetryOn::Connect, RetryOn::Reset, RetryOn::Timeout];
        Self {
            attempts: 3,
            on: on.into_iter().chain(statuses).collect(),
            backoff: Backoff::default(),
            retry_after_max: Duration::from_secs(5),
            budget_percent: 20,
        }
    }
}

impl Retry {
    /// What is tried again where the file does not speak of it: what no model server can have begun to work on, and what was
    /// given up because an attempt has a deadline of its own.
    #[must_use]
    pub fn unasked() -> Self {
        Self { on: vec![RetryOn::Connect, RetryOn::Timeout], ..Self::default() }
    }
}

/// One item of `retry.on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// The endpoint could not be reached.
    Connect,
    /// It broke off before the first byte.
    Reset,
    /// The deadline of the attempt has passed.
    Timeout,
    /// Its answer is not HTTP.
    Malformed,
    /// Any status from 500 to 599.
    ServerError,
    /// One status: 400 to 599.
    Status(u16),
}

impl RetryOn {
    /// The items that are words.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("connect", Self::Connect),
        ("reset", Self::Reset),
        ("timeout", Self::Timeout),
        ("malformed", Self::Malformed),
        ("5xx", Self::ServerError),
    ];

    /// The item that is written so, if there is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((_, word)) = Self::WORDS.iter().find(|(word, _)| *word == text) {
            return Some(*word);
        }
        let is_number = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let status = text.parse().ok().filter(|status| is_number && (400..600).contains(status));
        status.map(Self::Status)
    }

    /// As it is written in the file.
    #[must_use]
    pub fn label(self) -> String {
        if let Self::Status(status) = self {
            return status.to_string();
        }
        let word = Self::WORDS.iter().find(|(_, item)| *item == self);
        word.map_or_else(String::new, |(word, _)| (*word).to_owned())
    }
}

/// `backoff = { .. }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// `{ fixed_ms = .. }`: always the same.
    Fixed(Duration),
    /// Longer each time.
    Exponential {
        /// The first wait.
        base: Duration,
        /// How much longer each next one is, in percent: at least 100.
        factor_percent: u32,
        /// The longest.
        max: Duration,
        /// Whether anything between nothing and the wait is drawn, so that not all come back at once.
        has_jitter: bool,
    },
}

impl Default for Backoff {
    fn default() -> Self {
        Self::Exponential {
            base: Duration::from_millis(50),
            factor_percent: 200,
            max: Duration::from_secs(2),
            has_jitter: true,
        }
    }
}

/// `hedge = { .. }` of a model: when a second endpoint is asked as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedge {
    /// How long after the start without a first byte.
    pub after: HedgeAfter,
    /// How many requests may be asked twice, in percent.
    pub budget_percent: u8,
    /// Whether requests with tools may be asked twice.
    pub may_have_tools: bool,
}

/// When a request is hedged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeAfter {
    /// `after = "p95"`: after the endpoint's 95th percentile of first bytes.
    P95 {
        /// Not sooner than this.
        min: Duration,
    },
    /// `after_ms`.
    Fixed(Duration),
}

/// `priority` of a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Before the others.
    High,
    /// As most are.
    #[default]
    Normal,
    /// After the others.
    Low,
}

impl Priority {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// As it is written in the file.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}
