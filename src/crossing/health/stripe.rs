//! What one shard knows of one endpoint: on lines that only this shard writes to.

#![expect(unsafe_code, reason = "it is made of zeroed memory")]

use std::array;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::balance::verdict::Verdict;
use crate::crossing::health::latency::BUCKETS;
use crate::crossing::health::latency::bucket;
use crate::crossing::lines::Zeroable;
use crate::units::Moment;

/// Parts of the window over which failures are counted.
const PARTS: usize = 10;
const PARTS_WORD: u64 = 10;
/// For so many seconds it stands for an endpoint's pace how quick its last answers were.
const PACE_SECONDS: u32 = 30;

/// What one shard knows of one endpoint. Every change is a relaxed load and a relaxed store, which is exact with one
/// writer; others only read.
///
/// What nearly every attempt changes is together on the first line; the histogram is on the three that follow.
#[repr(C, align(128))]
pub(super) struct Stripe {
    in_flight: AtomicU64,
    attempts: AtomicU64,
    good: AtomicU64,
    bad: AtomicU64,
    throttled: AtomicU64,
    /// Of the window, in nanoseconds. Zero: nothing was counted yet.
    length: AtomicU64,
    /// The window: each part holds what was counted in the latest of its times (see [`Part`]).
    parts: [AtomicU64; PARTS],
    credential_bad: AtomicU64,
    neutral: AtomicU64,
    buckets: [AtomicU32; BUCKETS],
    /// How long answers take to begin that are no streams, where somebody wants to know: see [`Pace`].
    pace: AtomicU64,
}

// SAFETY: it is atomic integers, and padding at the end.
unsafe impl Zeroable for Stripe {}

const _: () = assert!(size_of::<Stripe>() == 512 && std::mem::offset_of!(Stripe, parts) == 48);

/// What all attempts at an endpoint came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) attempts: u64,
    pub(super) good: u64,
    pub(super) bad: u64,
    pub(super) throttled: u64,
    pub(super) credential_bad: u64,
    pub(super) neutral: u64,
}

impl Stripe {
    #[inline]
    pub(super) fn begin(&self) {
        add(&self.in_flight);
        add(&self.attempts);
    }

    #[inline]
    pub(super) fn end(&self) {
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        self.in_flight.store(in_flight.saturating_sub(1), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn in_flight(&self) -> u32 {
        u32::try_from(self.in_flight.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    /// Forgets everything. Its writer must not know the endpoint at that time.
    pub(super) fn clear(&self) {
        let Self {
            in_flight, attempts, good, bad, throttled, length, parts, credential_bad, ..
        } = self;
        let counts = [in_flight, attempts, good, bad, throttled, length, credential_bad];
        let counts = counts.into_iter().chain([&self.neutral, &self.pace]).chain(parts);
        counts.for_each(|count| count.store(0, Ordering::Relaxed));
        self.buckets.iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
    }

    /// Counts a verdict, in a window so long.
    #[inline]
    pub(super) fn count(&self, verdict: Verdict, window: Duration, now: Moment) {
        match verdict {
            Verdict::Good => add(&self.good),
            Verdict::Bad => add(&self.bad),
            Verdict::Throttled => add(&self.throttled),
            Verdict::CredentialBad => return add(&self.credential_bad),
            Verdict::Neutral => return add(&self.neutral),
        }
        let part = self.set_length(window);
        let epoch = now.as_nanos() / part;
        let cell = &self.parts[place(epoch)];
        let counted = Part::of(cell.load(Ordering::Relaxed)).at(epoch).and(verdict.is_failure());
        cell.store(counted.word(), Ordering::Relaxed);
    }

    /// Makes the window so long; a window of another length begins anew. Returns how long a part is, in nanoseconds.
    #[inline]
    fn set_length(&self, window: Duration) -> u64 {
        let length = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX).max(PARTS_WORD);
        if self.length.load(Ordering::Relaxed) != length {
            for part in &self.parts {
                part.store(0, Ordering::Relaxed);
            }
            self.length.store(length, Ordering::Relaxed);
        }
        length / PARTS_WORD
    }

    /// Adds to `sums` what was good and what was bad within the window, but nothing of the part in which `since` is, and
    /// nothing older.
    pub(super) fn add_window(&self, sums: (u32, u32), since: Moment, now: Moment) -> (u32, u32) {
        let length = self.length.load(Ordering::Relaxed);
        if length == 0 {
            return sums;
        }
        let part = (length / PARTS_WORD).max(1);
        let epoch = now.as_nanos() / part;
        let after = since.as_nanos() / part;
        let counted = self.parts.iter().map(|cell| Part::of(cell.load(Ordering::Relaxed)));
        counted.filter(|counted| counted.is_of(epoch, after)).fold(sums, |(good, bad), counted| {
            let more = (u32::from(counted.good), u32::from(counted.bad));
            (good.saturating_add(more.0), bad.saturating_add(more.1))
        })
    }

    #[inline]
    pub(super) fn first_byte(&self, after: Duration) {
        let cell = &self.buckets[bucket(after)];
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// An answer that is no stream began so long after its request.
    #[inline]
    pub(super) fn answered(&self, after: Duration, now: Moment) {
        let pace = Pace::of(self.pace.load(Ordering::Relaxed)).and(after, now);
        self.pace.store(pace.word(), Ordering::Relaxed);
    }

    /// How long such answers take of late, in microseconds; none: there were none for a while.
    pub(super) fn pace_us(&self, now: Moment) -> Option<u32> {
        let pace = Pace::of(self.pace.load(Ordering::Relaxed));
        pace.is_recent(now).then_some(pace.micros)
    }

    /// Adds the histogram to `sums`, which wrap.
    pub(super) fn add_buckets(&self, sums: &mut [u32; BUCKETS]) {
        for (sum, cell) in sums.iter_mut().zip(&self.buckets) {
            *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let load = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Counts {
            attempts: load(&self.attempts),
            good: load(&self.good),
            bad: load(&self.bad),
            throttled: load(&self.throttled),
            credential_bad: load(&self.credential_bad),
            neutral: load(&self.neutral),
        }
    }
}

#[inline]
fn add(cell: &AtomicU64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Where what is of an epoch is counted.
#[inline]
fn place(epoch: u64) -> usize {
    usize::try_from(epoch % PARTS_WORD).unwrap_or(0)
}

/// One part of a window in one word, so that a reader gets counts and the time they are of together. Zero memory is nothing
/// counted at the beginning of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    /// Low half of the number of parts since the beginning of the clock.
    epoch: u32,
    good: u16,
    bad: u16,
}

impl Part {
    #[inline]
    const fn of(word: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = word.to_be_bytes();
        Self {
            epoch: u32::from_be_bytes([a, b, c, d]),
            good: u16::from_be_bytes([e, f]),
            bad: u16::from_be_bytes([g, h]),
        }
    }

    #[inline]
    const fn word(self) -> u64 {
        (self.epoch as u64) << 32 | (self.good as u64) << 16 | self.bad as u64
    }

    /// This part as it is in an epoch: empty if it was of another.
    #[inline]
    const fn at(self, epoch: u64) -> Self {
        let epoch = low(epoch);
        if self.epoch == epoch { self } else { Self { epoch, good: 0, bad: 0 } }
    }

    /// This part with one more. Where a count is full both are halved: what matters then is their proportion.
    #[inline]
    const fn and(self, is_failure: bool) -> Self {
        let Self { epoch, mut good, mut bad } = self;
        if good == u16::MAX || bad == u16::MAX {
            (good, bad) = (good / 2, bad / 2);
        }
        if is_failure {
            bad += 1;
        } else {
            good += 1;
        }
        Self { epoch, good, bad }
    }

    /// Whether it is one of the last parts at `now`, and later than `after`. The writer's clock may be a part ahead.
    const fn is_of(self, now: u64, after: u64) -> bool {
        let Some(reach) = now.checked_sub(after) else { return false };
        let age = low(now).wrapping_sub(self.epoch) as u64;
        self.epoch == low(now + 1) || (age < PARTS_WORD && age < reach)
    }
}

/// How long answers take to begin: a mean in which each counts for an eighth of what is left by those after it. In the high
/// half of a word is when the last one came, in seconds; zero: none has.
#[derive(Clone, Copy)]
struct Pace {
    second: u32,
    micros: u32,
}

impl Pace {
    #[inline]
    const fn of(word: u64) -> Self {
        Self { second: low(word >> 32), micros: low(word) }
    }

    #[inline]
    const fn word(self) -> u64 {
        (self.second as u64) << 32 | self.micros as u64
    }

    /// This one with one more, or that one alone where nothing was seen for a while. At least a microsecond is seen in it.
    fn and(self, after: Duration, now: Moment) -> Self {
        let sample = u32::try_from(after.as_micros()).unwrap_or(u32::MAX).max(1);
        let mean = (u64::from(self.micros) * 7 + u64::from(sample)) / 8;
        let micros = if self.is_recent(now) { low(mean).max(1) } else { sample };
        Self { second: second(now).max(1), micros }
    }

    fn is_recent(self, now: Moment) -> bool {
        self.second > 0 && second(now).saturating_sub(self.second) <= PACE_SECONDS
    }
}

fn second(moment: Moment) -> u32 {
    u32::try_from(moment.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX)
}

/// The low half of a word.
#[inline]
const fn low(epoch: u64) -> u32 {
    let [.., a, b, c, d] = epoch.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// All stripes of one endpoint, summed.
pub(super) fn sum_counts<'s>(stripes: impl Iterator<Item = &'s Stripe>) -> Counts {
    stripes.map(Stripe::counts).fold(Counts::default(), |sum, counts| Counts {
        attempts: sum.attempts.wrapping_add(counts.attempts),
        good: sum.good.wrapping_add(counts.good),
        bad: sum.bad.wrapping_add(counts.bad),
        throttled: sum.throttled.wrapping_add(counts.throttled),
        credential_bad: sum.credential_bad.wrapping_add(counts.credential_bad),
        neutral: sum.neutral.wrapping_add(counts.neutral),
    })
}

/// The histograms of all stripes of one endpoint, summed.
pub(super) fn sum_buckets<'s>(stripes: impl Iterator<Item = &'s Stripe>) -> [u32; BUCKETS] {
    let mut sums = array::from_fn(|_| 0);
    stripes.for_each(|stripe| stripe.add_buckets(&mut sums));
    sums
}

#[cfg(test)]
mod tests;
