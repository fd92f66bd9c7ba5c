//! How long endpoints take to their first byte: buckets that shards count in, and what is made of them for all to see.

use std::collections::HashMap;
use std::time::Duration;

use crate::units::Moment;
use crate::units::SlotId;

/// Buckets of a histogram: four of 32 us each, then four to each octave, up to 268 s.
pub(super) const BUCKETS: usize = 88;

/// 2 to the power of this many microseconds is the width of the first buckets.
const FINEST_SHIFT: u32 = 5;
/// 2 to the power of this many buckets are in an octave.
const OCTAVE_SHIFT: u32 = 2;
const OCTAVE: u64 = 1 << OCTAVE_SHIFT;

/// In so long, what was seen counts for half.
const HALF_LIFE: Duration = Duration::from_secs(30);
/// With less than this the endpoint is as if it had never been measured.
const SAMPLES_FEWEST: f32 = 0.5;

/// The bucket of a time. What is longer than the last can hold is in the last.
#[inline]
pub(super) fn bucket(after: Duration) -> usize {
    let units = after.as_micros().min(u128::from(u32::MAX)) >> FINEST_SHIFT;
    let units = u64::try_from(units).unwrap_or(u64::MAX);
    if units < OCTAVE {
        return usize::try_from(units).unwrap_or(0);
    }
    let shift = units.ilog2() - OCTAVE_SHIFT;
    let place = u64::from(shift) * OCTAVE + (units >> shift);
    usize::try_from(place).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// Where a bucket begins, in microseconds. That of the one behind the last is where the last ends.
fn bound(bucket: usize) -> u64 {
    let bucket = u64::try_from(bucket).unwrap_or(u64::MAX);
    if bucket < OCTAVE {
        return bucket << FINEST_SHIFT;
    }
    let shift = bucket / OCTAVE - 1;
    (OCTAVE + bucket % OCTAVE) << shift << FINEST_SHIFT
}

/// How long an endpoint takes to its first byte, of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Half of the attempts were at least as fast.
    pub p50: Option<Duration>,
    /// 95 of 100 were.
    pub p95: Option<Duration>,
    /// 99 of 100 were.
    pub p99: Option<Duration>,
    /// From how many attempts this is known; older ones count for less, half every 30 s.
    pub samples: u32,
}

impl Live {
    /// In two words, so that what is decided together is read together: the last percentile with the number of samples.
    /// Percentiles are in microseconds; zero is none, so what was faster than one counts as one.
    pub(super) fn words(self) -> [u64; 2] {
        let micros = |time: Option<Duration>| match time {
            Some(time) => u32::try_from(time.as_micros()).unwrap_or(u32::MAX).max(1),
            None => 0,
        };
        let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        [pair(micros(self.p50), micros(self.p95)), pair(micros(self.p99), self.samples)]
    }

    #[inline]
    pub(super) fn of([middle, end]: [u64; 2]) -> Self {
        let time = |micros: u64| (micros > 0).then(|| Duration::from_micros(micros));
        let low = |word: u64| word & u64::from(u32::MAX);
        Self {
            p50: time(middle >> 32),
            p95: time(low(middle)),
            p99: time(end >> 32),
            samples: u32::try_from(low(end)).unwrap_or(u32::MAX),
        }
    }
}

/// What control remembers of the histograms of endpoints from one look at them to the next.
#[derive(Debug, Default)]
pub struct Merged {
    slots: HashMap<SlotId, Box<Memory>>,
}

impl Merged {
    /// Forgets the endpoints that are gone.
    pub fn retain(&mut self, is_there: impl Fn(SlotId) -> bool) {
        self.slots.retain(|slot, _| is_there(*slot));
    }

    pub(super) fn of(&mut self, slot: SlotId) -> &mut Memory {
        self.slots.entry(slot).or_default()
    }
}

/// What is remembered of one endpoint.
#[derive(Debug)]
pub(super) struct Memory {
    looked: Moment,
    /// What the shards had counted by then, in all.
    counted: [u32; BUCKETS],
    /// What counts now.
    recent: [f32; BUCKETS],
}

impl Default for Memory {
    fn default() -> Self {
        Self { looked: Moment::default(), counted: [0; BUCKETS], recent: [0.0; BUCKETS] }
    }
}

impl Memory {
    /// Takes in what the shards have counted by now, and says how the endpoint is. Counts wrap.
    pub(super) fn take(&mut self, counted: &[u32; BUCKETS], now: Moment) -> Live {
        let halvings = now.since(self.looked).as_secs_f32() / HALF_LIFE.as_secs_f32();
        let kept = (-halvings).exp2();
        self.looked = now;
        let cells = self.recent.iter_mut().zip(&mut self.counted).zip(counted);
        for ((recent, before), counted) in cells {
            *recent = *recent * kept + number(counted.wrapping_sub(*before));
            *before = *counted;
        }
        if self.recent.iter().sum::<f32>() < SAMPLES_FEWEST {
            self.recent = [0.0; BUCKETS];
        }
        self.live()
    }

    fn live(&self) -> Live {
        let samples: f32 = self.recent.iter().sum();
        if samples == 0.0 {
            return Live::default();
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rounded number of samples; a cast ends at the greatest"
        )]
        let rounded = samples.round() as u32;
        let at = |share: f32| Some(self.percentile(share * samples));
        Live { p50: at(0.5), p95: at(0.95), p99: at(0.99), samples: rounded }
    }

    /// The time below which `rank` of the samples are, as if those of a bucket were spread over it evenly.
    fn percentile(&self, rank: f32) -> Duration {
        let mut below = 0.0;
        let mut last = Duration::ZERO;
        for (bucket, count) in self.recent.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let (from, to) = (bound(bucket), bound(bucket + 1));
            let part = ((rank - below) / count).clamp(0.0, 1.0);
            let width = Duration::from_micros(to - from);
            last = Duration::from_micros(from) + width.mul_f32(part);
            below += count;
            if below >= rank {
                break;
            }
        }
        last
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of many millions is good to seven digits")]
fn number(count: u32) -> f32 {
    count as f32
}

#[cfg(test)]
mod tests;
