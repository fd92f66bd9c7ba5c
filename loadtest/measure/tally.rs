//! What the clients saw: histograms and counts of one thread, added up at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use ringway::units::Moment;
use serde::Serialize;

/// Counts that are added up. "Measured" ones are of the measured time, the others of the whole run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// Requests answered in the measured time, whole and right.
    pub requests: u64,
    /// Events (sealed or not) that arrived in the measured time.
    pub events: u64,
    /// Bytes that arrived in the measured time.
    pub bytes: u64,
    /// Requests answered in the whole run.
    pub requests_all: u64,
    /// Events whose every byte was verified, in the whole run.
    pub events_verified: u64,
    /// Events that never came.
    pub lost: u64,
    /// Events that came again or too late.
    pub repeated: u64,
    /// Events or bodies with other bytes than were sent.
    pub corrupt: u64,
    /// Events or bodies that belong to another request.
    pub foreign: u64,
    /// Streams left on purpose.
    pub aborted: u64,
    /// Answers still under way when the run ended.
    pub unfinished: u64,
    /// Connections made.
    pub connections: u64,
    /// Answers under way when the measured time began.
    pub open_from: u64,
    /// Answers under way when it ended.
    pub open_to: u64,
    /// Requests that started late because all connections were busy (open loop).
    pub queued: u64,
}

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Answered, whole and right.
    Whole,
    /// Failed before a byte of an answer had come: somebody between could have asked again.
    Hideable,
    /// Failed in the middle of its answer: nobody could.
    MidAnswer,
}

/// One request, for those who want to know when what happened.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When it was meant to start.
    pub start: Moment,
    /// From then to its first event (or byte); none came, if none.
    pub first: Option<Duration>,
    /// What became of it.
    pub fate: Fate,
}

/// Everything that one thread saw.
#[derive(Debug)]
pub struct Tally {
    /// Nanoseconds from the intended start to the end of the answer.
    pub latency: Histogram<u64>,
    /// Nanoseconds from the intended start to the first event (or byte) of the answer.
    pub first: Histogram<u64>,
    /// Nanoseconds between the arrivals of neighbouring events of a stream.
    pub gap: Histogram<u64>,
    /// Nanoseconds from the writing of an event by the mock to its arrival.
    pub relay: Histogram<u64>,
    /// Counts.
    pub counts: Counts,
    /// What went wrong, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Each request, where a log was asked for.
    pub log: Option<Vec<Sample>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            latency: histogram(),
            first: histogram(),
            gap: histogram(),
            relay: histogram(),
            counts: Counts::default(),
            errors: BTreeMap::new(),
            log: None,
        }
    }
}

/// An empty histogram that grows where needed.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are allowed")
}

/// Records a time; it grows the histogram where needed and so cannot fail.
pub fn record(histogram: &mut Histogram<u64>, time: Duration) {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
    let recorded = histogram.record(nanos);
    debug_assert!(recorded.is_ok(), "a histogram that grows takes every value");
}

impl Tally {
    /// Notes one failure of a kind.
    pub fn fail(&mut self, kind: impl Into<String>) {
        *self.errors.entry(kind.into()).or_default() += 1;
    }

    /// Notes what became of a request, where a log was asked for.
    pub fn note(&mut self, sample: impl FnOnce() -> Sample) {
        if let Some(log) = &mut self.log {
            log.push(sample());
        }
    }

    /// Adds what another thread saw.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.latency, &other.latency),
            (&mut self.first, &other.first),
            (&mut self.gap, &other.gap),
            (&mut self.relay, &other.relay),
        ] {
            // Auto-resizing histograms take any other.
            let _infallible = mine.add(theirs);
        }
        let (mine, theirs) = (&mut self.counts, &other.counts);
        for (mine, theirs) in [
            (&mut mine.requests, theirs.requests),
            (&mut mine.events, theirs.events),
            (&mut mine.bytes, theirs.bytes),
            (&mut mine.requests_all, theirs.requests_all),
            (&mut mine.events_verified, theirs.events_verified),
            (&mut mine.lost, theirs.lost),
            (&mut mine.repeated, theirs.repeated),
            (&mut mine.corrupt, theirs.corrupt),
            (&mut mine.foreign, theirs.foreign),
            (&mut mine.aborted, theirs.aborted),
            (&mut mine.unfinished, theirs.unfinished),
            (&mut mine.connections, theirs.connections),
            (&mut mine.open_from, theirs.open_from),
            (&mut mine.open_to, theirs.open_to),
            (&mut mine.queued, theirs.queued),
        ] {
            *mine += theirs;
        }
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
        if let Some(log) = &other.log {
            self.log.get_or_insert_default().extend_from_slice(log);
        }
    }

    /// Whether every answer was whole, right and in order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let counts = &self.counts;
        self.errors.is_empty()
            && counts.lost == 0
            && counts.repeated == 0
            && counts.corrupt == 0
            && counts.foreign == 0
    }
}

/// A histogram in a few numbers, microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    /// Values recorded.
    pub count: u64,
    /// Mean.
    pub mean: f64,
    /// Half of them are at most this.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The numbers of a histogram of nanoseconds.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |share: f64| micros(histogram.value_at_quantile(share));
        Self {
            count: histogram.len(),
            mean: histogram.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros(histogram.max()),
        }
    }
}

/// Points of the curve "share of values" over "microseconds", for the plots.
#[must_use]
pub fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    const SHARES: [f64; 16] = [
        0.0, 0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999, 1.0,
    ];
    if histogram.is_empty() {
        return Vec::new();
    }
    SHARES.iter().map(|share| (*share, micros(histogram.value_at_quantile(*share)))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "104 days fit into 53 bits of nanoseconds")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up() {
        let mut one = Tally::default();
        let mut other = Tally::default();
        record(&mut one.latency, Duration::from_micros(10));
        record(&mut other.latency, Duration::from_secs(100));
        other.fail("reset");
        other.counts.events = 3;
        let sample = Sample { start: Moment::default(), first: None, fate: Fate::Hideable };
        one.note(|| unreachable!("no log was asked for"));
        other.log = Some(Vec::new());
        other.note(|| sample);
        one.add(&other);
        assert!(!one.is_clean());
        assert_eq!(one.log.as_ref().map(Vec::len), Some(1));
        assert_eq!((one.latency.len(), one.counts.events, one.errors["reset"]), (2, 3, 1));
        let spread = Spread::of(&one.latency);
        assert!((spread.p50 - 10.0).abs() < 0.1 && spread.max > 99_000_000.0);
    }
}
