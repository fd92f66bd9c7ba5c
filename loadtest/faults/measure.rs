//! What a phase looked like, from what its clients noted and its servers said: pure.

use std::collections::BTreeMap;
use std::time::Duration;

use ringway::units::Moment;
use serde::Serialize;

use crate::faults::plan::Promises;
use crate::faults::watch::Look;
use crate::measure::tally::Fate;
use crate::measure::tally::Sample;

/// When what begins in a phase.
#[derive(Clone, Copy, Debug)]
pub struct Borders {
    /// The measured time.
    pub from: Moment,
    /// The fault; its end is also that of what is compared with the time before it.
    pub fault_from: Moment,
    /// The time after it.
    pub fault_to: Moment,
    /// The end.
    pub to: Moment,
}

/// What a phase looked like. Times are in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// Requests of the measured time.
    pub requests: u64,
    /// Of them, failed before a byte of an answer came.
    pub hideable: u64,
    /// Of them, failed in the middle of the answer.
    pub mid_answer: u64,
    /// What went wrong in the whole phase, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Requests that found all connections of the tester busy: then it was the tester that waited.
    pub queued: u64,
    /// Attempts for each request, from the fault's start to a second after its end; none if there were no requests.
    pub attempts_per_request: Option<f64>,
    /// The most of it in one second.
    pub attempts_worst: Option<f64>,
    /// Whether the gateway said how many attempts it made; else those count that reached a mock.
    pub has_told_attempts: bool,
    /// Median time to the first byte before the fault.
    pub p50_before_ms: Option<f64>,
    /// The 99th percentile of it.
    pub p99_before_ms: Option<f64>,
    /// The same during the fault.
    pub p50_during_ms: Option<f64>,
    /// The same during the fault.
    pub p99_during_ms: Option<f64>,
    /// The same from when it had to be back until the fault's end.
    pub p99_settled_ms: Option<f64>,
    /// From the fault's start until the gateway left the endpoint alone; none if it never did.
    pub ejected_ms: Option<f64>,
    /// Whether the gateway said so; else the mock saw it by what it was no longer asked.
    pub has_told_ejection: bool,
    /// From the fault's start until the 99th percentile was back for a second; none if it never was.
    pub back_ms: Option<f64>,
    /// From the fault's end until the endpoint had half its share of the requests again; none if it never had.
    pub recovered_ms: Option<f64>,
}

const SECOND: Duration = Duration::from_secs(1);
/// The endpoint has been left if it gets less than this part of its share.
const LEFT: f64 = 0.1;
/// It is back if it gets this part of it.
const BACK: f64 = 0.5;

/// Measures a phase.
#[must_use]
pub fn measure(
    promises: &Promises,
    borders: &Borders,
    samples: &[Sample],
    looks: &[Look],
) -> Figures {
    let bucket = millis(promises.bucket_ms);
    let within = |from: Moment, to: Moment| {
        samples.iter().filter(move |sample| from <= sample.start && sample.start < to)
    };
    let count = |fate: Fate| {
        within(borders.from, borders.to).filter(|sample| sample.fate == fate).count() as u64
    };
    let counted = Counted::of(looks);
    // The first bucket of a span in which the endpoint got such a part of its share.
    let first = |from: Moment, to: Moment, is_it: fn(f64) -> bool| {
        buckets(from, to, bucket).find(|(from, to)| counted.part(*from, *to).is_some_and(is_it))
    };
    let attempts = |from: Moment, to: Moment| {
        let asked = within(from, to).count() as u64;
        (asked > 0).then(|| counted.attempts(from, to) / float(asked))
    };
    let (fault_from, fault_to) = (borders.fault_from, borders.fault_to);
    let told = looks.iter().find(|look| {
        (fault_from..fault_to).contains(&look.at) && look.told.is_some_and(|told| !told.is_usable)
    });
    let has_told = looks.iter().all(|look| look.told.is_some());
    let ejected = match told {
        Some(look) => Some(look.at),
        None if has_told => None,
        None => first(fault_from, fault_to, |part| part < LEFT).map(|(from, _)| from),
    };
    let before: Vec<Duration> = firsts(within(borders.from, fault_from));
    let during = firsts(within(fault_from, fault_to));
    let settled_from = ejected.unwrap_or(fault_from).after(millis(promises.p99_back_ms));
    let p99_before = percentile(&before, 0.99);
    let limit = p99_before.map(|p99| p99.mul_f64(promises.p99_factor));
    Figures {
        requests: within(borders.from, borders.to).count() as u64,
        hideable: count(Fate::Hideable),
        mid_answer: count(Fate::MidAnswer),
        errors: BTreeMap::new(),
        queued: 0,
        attempts_per_request: attempts(fault_from, fault_to.after(SECOND)),
        attempts_worst: buckets(fault_from, fault_to, SECOND)
            .filter_map(|(from, to)| attempts(from, to))
            .reduce(f64::max),
        has_told_attempts: has_told,
        p50_before_ms: percentile(&before, 0.5).map(in_ms),
        p99_before_ms: p99_before.map(in_ms),
        p50_during_ms: percentile(&during, 0.5).map(in_ms),
        p99_during_ms: percentile(&during, 0.99).map(in_ms),
        p99_settled_ms: percentile(&firsts(within(settled_from, fault_to)), 0.99).map(in_ms),
        ejected_ms: ejected.map(|at| in_ms(at.since(fault_from))),
        has_told_ejection: told.is_some(),
        back_ms: limit.and_then(|limit| back(samples, (fault_from, fault_to), bucket, limit)),
        recovered_ms: first(fault_to, borders.to, |part| part >= BACK)
            .map(|(_, to)| in_ms(to.since(fault_to))),
    }
}

/// Milliseconds from the beginning until the 99th percentile is within the limit and stays so for a second (or to the
/// end). A bucket counts by when its requests were meant to start; one of which no request was answered is not within.
fn back(
    samples: &[Sample],
    (from, to): (Moment, Moment),
    bucket: Duration,
    limit: Duration,
) -> Option<f64> {
    let is_good: Vec<bool> = buckets(from, to, bucket)
        .map(|(from, to)| {
            let asked = samples.iter().filter(|s| from <= s.start && s.start < to);
            percentile(&firsts(asked), 0.99).is_some_and(|p99| p99 <= limit)
        })
        .collect();
    let quiet = usize::try_from(SECOND.as_nanos() / bucket.as_nanos().max(1)).unwrap_or(1).max(1);
    (0..is_good.len())
        .find(|at| is_good[*at..].iter().take(quiet).all(|is_good| *is_good))
        .map(|at| in_ms(bucket) * float(at as u64))
}

/// Whole buckets of a span, from its beginning.
fn buckets(from: Moment, to: Moment, bucket: Duration) -> impl Iterator<Item = (Moment, Moment)> {
    std::iter::successors(Some((from, from.after(bucket))), move |(_, end)| {
        Some((*end, end.after(bucket)))
    })
    .take_while(move |(_, end)| *end <= to)
}

/// Sorted times to the first byte, of those requests to which one came.
fn firsts<'s>(samples: impl Iterator<Item = &'s Sample>) -> Vec<Duration> {
    let mut firsts: Vec<Duration> = samples.filter_map(|sample| sample.first).collect();
    firsts.sort_unstable();
    firsts
}

/// The value that this share of sorted values does not exceed.
fn percentile(sorted: &[Duration], share: f64) -> Option<Duration> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length is a length"
    )]
    let rank = (float(sorted.len() as u64) * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// A counter as it was seen from time to time.
struct Line {
    points: Vec<(Moment, f64)>,
}

impl Line {
    /// Adds up what was counted since the first sight, over the lives of the process that counts.
    fn of(seen: impl Iterator<Item = (Moment, u64)>) -> Self {
        let (mut last, mut sum) = (None, 0);
        let point = |(at, count): (Moment, u64)| {
            sum += match last {
                None => 0,
                Some(last) if count >= last => count - last,
                // It has been started anew meanwhile.
                Some(_) => count,
            };
            last = Some(count);
            (at, float(sum))
        };
        Self { points: seen.map(point).collect() }
    }

    /// What had been counted by a moment; between two sights in proportion.
    fn by(&self, moment: Moment) -> f64 {
        let next = self.points.partition_point(|(at, _)| *at <= moment);
        let before = next.checked_sub(1).and_then(|last| self.points.get(last));
        match (before, self.points.get(next)) {
            (None, _) => 0.0,
            (Some((_, count)), None) => *count,
            (Some((from, least)), Some((to, most))) => {
                let passed = moment.since(*from).as_secs_f64() / to.since(*from).as_secs_f64();
                least + (most - least) * passed
            }
        }
    }

    fn within(&self, from: Moment, to: Moment) -> f64 {
        self.by(to) - self.by(from)
    }
}

/// What the servers have counted.
struct Counted {
    /// Requests that reached each mock, the failing one first.
    mocks: Vec<Line>,
    /// Attempts that the gateway says it made.
    told: Line,
}

impl Counted {
    fn of(looks: &[Look]) -> Self {
        let mocks = looks.first().map_or(0, |look| look.requests.len());
        let mock = |number: usize| {
            let count = |look: &Look| look.requests.get(number).copied().flatten();
            Line::of(looks.iter().filter_map(|look| Some((look.at, count(look)?))))
        };
        let told = looks.iter().filter_map(|look| Some((look.at, look.told?.attempts)));
        Self { mocks: (0..mocks).map(mock).collect(), told: Line::of(told) }
    }

    fn reached(&self, from: Moment, to: Moment) -> f64 {
        self.mocks.iter().map(|mock| mock.within(from, to)).sum()
    }

    /// What part of its fair share of the requests the failing mock got.
    fn part(&self, from: Moment, to: Moment) -> Option<f64> {
        let all = self.reached(from, to);
        let mocks = float(self.mocks.len() as u64);
        self.mocks.first().filter(|_| all > 0.0).map(|mock| mock.within(from, to) * mocks / all)
    }

    /// Attempts made in a span. The larger of what the gateway says and what the mocks say: the one knows of those that
    /// never arrived, the others cannot be told wrong.
    fn attempts(&self, from: Moment, to: Moment) -> f64 {
        self.reached(from, to).max(self.told.within(from, to))
    }
}

fn millis(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

fn in_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts of a phase fit into 53 bits")]
const fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
