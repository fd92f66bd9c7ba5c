//! Histogram buckets: their bounds, and which bucket a time or a count falls into.

use std::time::Duration;

use crate::record::closed::closed;

closed! {
    /// The histograms that every lane has.
    pub enum Histogram {
        /// From the receipt of the request to the first byte of the response body.
        TimeToFirstToken => "time_to_first_token",
        /// From the receipt of the request to the last byte of the response.
        Duration => "duration",
        /// What the gateway itself added: from the request completely received to its first byte sent upstream, and from
        /// the response's first byte received to its first byte sent down; without what it waited for its turn.
        Overhead => "overhead",
        /// From the start of a connection to an endpoint until it was usable, TLS included; reused ones do not count.
        Connect => "connect",
        /// What a request waited for its turn, at a full limit and at full endpoints; those that did not wait do not count.
        Queue => "queue",
        /// Tokens that a request has brought.
        InputTokens => "input_tokens",
        /// Tokens of its answer.
        OutputTokens => "output_tokens",
    }
}

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;

/// OpenTelemetry's advice for `gen_ai.server.time_to_first_token`: 1 ms to 10 s.
const TIME_TO_FIRST_TOKEN: [u64; 16] = [
    MILLI,
    5 * MILLI,
    10 * MILLI,
    20 * MILLI,
    40 * MILLI,
    60 * MILLI,
    80 * MILLI,
    100 * MILLI,
    250 * MILLI,
    500 * MILLI,
    750 * MILLI,
    1_000 * MILLI,
    2_500 * MILLI,
    5_000 * MILLI,
    7_500 * MILLI,
    10_000 * MILLI,
];

/// OpenTelemetry's advice for `gen_ai.server.request.duration`: 10 ms to 81.92 s, doubling.
const DURATION: [u64; 14] = {
    let mut bounds = [10 * MILLI; 14];
    let mut place = 1;
    while place < bounds.len() {
        bounds[place] = bounds[place - 1] * 2;
        place += 1;
    }
    bounds
};

/// Our own time: 10 us to 250 ms. The two lowest are below what other gateways show, because we are.
const OVERHEAD: [u64; 12] = [
    10 * MICRO,
    25 * MICRO,
    50 * MICRO,
    100 * MICRO,
    250 * MICRO,
    500 * MICRO,
    MILLI,
    2_500 * MICRO,
    5 * MILLI,
    10 * MILLI,
    50 * MILLI,
    250 * MILLI,
];

/// A connection with or without TLS, in this host or across an ocean: 250 us to 5 s.
const CONNECT: [u64; 10] = [
    250 * MICRO,
    MILLI,
    5 * MILLI,
    10 * MILLI,
    25 * MILLI,
    50 * MILLI,
    100 * MILLI,
    250 * MILLI,
    1_000 * MILLI,
    5_000 * MILLI,
];

/// From what one look at a full limit takes to what nobody waits for: 5 ms to 60 s.
const QUEUE: [u64; 10] = [
    5 * MILLI,
    10 * MILLI,
    50 * MILLI,
    100 * MILLI,
    500 * MILLI,
    1_000 * MILLI,
    2_500 * MILLI,
    5_000 * MILLI,
    15_000 * MILLI,
    60_000 * MILLI,
];

/// OpenTelemetry's advice for `gen_ai.client.token.usage`: powers of four.
const TOKENS: [u64; 14] = {
    let mut bounds = [1; 14];
    let mut place = 1;
    while place < bounds.len() {
        bounds[place] = bounds[place - 1] * 4;
        place += 1;
    }
    bounds
};

impl Histogram {
    /// Upper bounds of the buckets in nanoseconds or tokens, rising; one more bucket holds what is above the last.
    #[must_use]
    pub const fn bounds(self) -> &'static [u64] {
        match self {
            Self::TimeToFirstToken => &TIME_TO_FIRST_TOKEN,
            Self::Duration => &DURATION,
            Self::Overhead => &OVERHEAD,
            Self::Connect => &CONNECT,
            Self::Queue => &QUEUE,
            Self::InputTokens | Self::OutputTokens => &TOKENS,
        }
    }

    /// How many cells this histogram takes: a bucket for each bound, the one above the last, and the sum.
    #[must_use]
    pub const fn cells(self) -> usize {
        self.bounds().len() + 2
    }

    /// The bucket of a value, in nanoseconds or tokens; one equal to a bound is in that bound's bucket.
    #[must_use]
    pub fn bucket(self, value: u64) -> usize {
        // Counted without branches: the compiler turns this into vector compares, and values are not predictable.
        self.bounds().iter().map(|&bound| usize::from(value > bound)).sum()
    }
}

/// Whole nanoseconds of `time`; what does not fit (584 years) is the largest number.
#[must_use]
pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_rise() {
        for histogram in Histogram::ALL {
            assert!(
                histogram.bounds().is_sorted_by(|low, high| low < high),
                "{}",
                histogram.label()
            );
        }
    }

    #[test]
    fn a_time_falls_into_the_first_bucket_that_is_not_below_it() {
        for histogram in Histogram::ALL {
            let bounds = histogram.bounds();
            assert_eq!(histogram.bucket(0), 0);
            for (place, &bound) in bounds.iter().enumerate() {
                assert_eq!(histogram.bucket(bound), place);
                assert_eq!(histogram.bucket(bound + 1), place + 1);
            }
            assert_eq!(histogram.bucket(u64::MAX), bounds.len());
        }
    }

    #[test]
    fn the_edges_are_the_conventional_ones() {
        assert_eq!(Histogram::Duration.bounds().last(), Some(&81_920_000_000));
        assert_eq!(Histogram::TimeToFirstToken.bounds().last(), Some(&10_000_000_000));
        assert_eq!(Histogram::Overhead.bounds().last(), Some(&250_000_000));
        assert_eq!(Histogram::InputTokens.bounds().last(), Some(&67_108_864));
    }
}
