//! Histograms of control's own: how long what is new takes to be served.

use std::time::Duration;

use crate::control::metrics::ControlNumbers;
use crate::control::metrics::metric::Span;
use crate::control::metrics::text;
use crate::control::metrics::text::Labels;
use crate::control::metrics::text::seconds;
use crate::record::histogram::nanos;

const MILLI: u64 = 1_000_000;

/// Upper bounds of the buckets, in nanoseconds: 1 ms to 10 s, closest to each other where publications are meant to be.
const BOUNDS: [u64; 21] = [
    MILLI,
    5 * MILLI / 2,
    5 * MILLI,
    10 * MILLI,
    15 * MILLI,
    20 * MILLI,
    25 * MILLI,
    30 * MILLI,
    40 * MILLI,
    50 * MILLI,
    70 * MILLI,
    100 * MILLI,
    150 * MILLI,
    200 * MILLI,
    250 * MILLI,
    300 * MILLI,
    500 * MILLI,
    1_000 * MILLI,
    2_500 * MILLI,
    5_000 * MILLI,
    10_000 * MILLI,
];

/// Times, by how long they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// By bucket; what is above the last bound is in `count` alone.
    buckets: [u64; BOUNDS.len()],
    count: u64,
    /// In nanoseconds.
    sum: u64,
}

impl Spans {
    /// Counts one.
    pub fn note(&mut self, span: Duration) {
        let span = nanos(span);
        let bucket = BOUNDS.iter().position(|bound| span <= *bound);
        if let Some(bucket) = bucket.and_then(|place| self.buckets.get_mut(place)) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(span);
    }

    /// How many were counted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }
}

/// All samples of one histogram. It is there from the start, so that a rate can be taken from the first publication on.
pub(super) fn write(numbers: &ControlNumbers, span: Span, name: &str, out: &mut String) {
    let spans = match span {
        Span::Publish => &numbers.publish,
        Span::FirstRequest => &numbers.first_request,
    };
    let bucket = format!("{name}_bucket");
    let mut below = 0;
    for (count, bound) in spans.buckets.iter().zip(BOUNDS) {
        below += count;
        text::sample(out, &bucket, &Labels::new().with("le", &seconds(bound)), below);
    }
    text::sample(out, &bucket, &Labels::new().with("le", "+Inf"), spans.count);
    text::sample(out, &format!("{name}_sum"), &Labels::new(), seconds(spans.sum));
    text::sample(out, &format!("{name}_count"), &Labels::new(), spans.count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_in_the_bucket_that_it_does_not_exceed() {
        let mut numbers = ControlNumbers::default();
        for millis in [1, 2, 45, 11_000] {
            numbers.publish.note(Duration::from_millis(millis));
        }
        let mut out = String::new();
        write(&numbers, Span::Publish, "x", &mut out);
        for line in [
            "x_bucket{le=\"0.001\"} 1\n",
            "x_bucket{le=\"0.0025\"} 2\n",
            "x_bucket{le=\"0.04\"} 2\n",
            "x_bucket{le=\"0.05\"} 3\n",
            "x_bucket{le=\"10\"} 3\n",
            "x_bucket{le=\"+Inf\"} 4\n",
            "x_sum 11.048\n",
            "x_count 4\n",
        ] {
            assert!(out.contains(line), "{line}{out}");
        }
        assert!(BOUNDS.is_sorted());
    }
}
