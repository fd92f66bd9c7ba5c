//! `limits`, wherever it is written: in the file of the gateway or in a line of a key file.

use crate::config::nearest::nearest;
use crate::config::policy::Algorithm;
use crate::config::policy::Count;
use crate::config::policy::LIMIT_MAX;
use crate::config::policy::Measure;
use std::time::Duration;

/// The keys that count in a time: name, what, seconds. Their order is that of [`Raw::numbers`] and of the counts made.
pub(crate) const TIMED: [(&str, Measure, u64); 8] = [
    ("requests_per_second", Measure::Requests, 1),
    ("requests_per_minute", Measure::Requests, 60),
    ("requests_per_hour", Measure::Requests, 3600),
    ("requests_per_day", Measure::Requests, 86_400),
    ("tokens_per_second", Measure::Tokens, 1),
    ("tokens_per_minute", Measure::Tokens, 60),
    ("tokens_per_hour", Measure::Tokens, 3600),
    ("tokens_per_day", Measure::Tokens, 86_400),
];

/// The table as it is written; all numbers are from 1 to [`LIMIT_MAX`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Raw {
    /// Of each of [`TIMED`].
    pub(crate) numbers: [Option<u32>; TIMED.len()],
    pub(crate) concurrent: Option<u32>,
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) burst_requests: Option<u32>,
    pub(crate) burst_tokens: Option<u32>,
}

impl Raw {
    /// The limits that the table makes.
    ///
    /// # Errors
    /// The key that cannot be so, and why.
    pub(crate) fn counts(&self) -> Result<Vec<Count>, (&'static str, String)> {
        let algorithm = self.algorithm.unwrap_or_default();
        let mut counts = Vec::new();
        let mut bursts = [
            (Measure::Requests, "burst.requests", self.burst_requests),
            (Measure::Tokens, "burst.tokens", self.burst_tokens),
        ];
        if algorithm != Algorithm::TokenBucket
            && let Some((_, key, _)) = bursts.iter().find(|(_, _, burst)| burst.is_some())
        {
            let label = algorithm.label();
            let text = format!(
                "a {label} has no burst: leave it out, or write algorithm = \"token_bucket\""
            );
            return Err((key, text));
        }
        for ((_, measure, seconds), number) in TIMED.iter().zip(self.numbers) {
            let Some(limit) = number else { continue };
            // The shortest time comes first: whoever says how much may go at once means that one.
            let burst = bursts.iter_mut().find(|(of, _, _)| of == measure);
            let burst = burst.and_then(|(_, _, burst)| burst.take());
            let period = Duration::from_secs(*seconds);
            counts.push(Count { measure: *measure, algorithm, limit, period, burst });
        }
        if let Some((measure, key, _)) = bursts.iter().find(|(_, _, burst)| burst.is_some()) {
            let what = measure.label();
            let text = format!(
                "there is no limit of {what} that it belongs to: write for instance {what}_per_minute = 600"
            );
            return Err((key, text));
        }
        counts.extend(self.concurrent.map(|limit| Count {
            measure: Measure::Concurrent,
            algorithm: Algorithm::default(),
            limit,
            period: Duration::ZERO,
            burst: None,
        }));
        Ok(counts)
    }
}

/// An algorithm by its label.
///
/// # Errors
/// What there is instead.
pub(crate) fn algorithm(text: &str) -> Result<Algorithm, String> {
    let labels = Algorithm::ALL.map(Algorithm::label);
    Algorithm::ALL.into_iter().find(|algorithm| algorithm.label() == text).ok_or_else(|| {
        let meant = nearest(text, &labels)
            .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        format!("no algorithm is called \"{text}\" (there are: {}{meant})", labels.join(", "))
    })
}

/// A number from 1 to [`LIMIT_MAX`].
///
/// # Errors
/// What to write.
pub(crate) fn number(value: u64) -> Result<u32, String> {
    let number = u32::try_from(value).ok().filter(|number| (1..=LIMIT_MAX).contains(number));
    number.ok_or_else(|| {
        format!("{value} is out of range: write a whole number from 1 to {LIMIT_MAX}")
    })
}
