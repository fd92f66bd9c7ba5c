//! How many repetitions there may be, so that an outage does not become a storm.

use crate::units::Moment;
use std::time::Duration;

/// The stretch of time whose repetitions are held against its requests.
pub const WINDOW: Duration = Duration::from_secs(10);
/// In so many steps the window moves on.
const PARTS: usize = 20;
/// Parts that are kept: with the one that is not over, one more than the window has.
const KEPT: usize = PARTS + 1;
const PART_NANOS: u64 = 10_000_000_000 / PARTS as u64;

/// What repetitions a shard may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Repetitions in percent of the requests.
    pub percent: u8,
    /// So many a second are allowed however few requests there are.
    pub min_per_second: u8,
}

impl Default for Rule {
    fn default() -> Self {
        Self { percent: 20, min_per_second: 3 }
    }
}

/// What is left of it; one for each model on each shard.
///
/// At every repetition, those of the last ten seconds (it included) are not more than the percentage of the requests of
/// the same ten seconds, and the minimum. Taken backwards from any moment in such stretches, it holds for all time: the
/// repetitions are at most the percentage of all requests and the minimum of the time rounded up to ten seconds.
///
/// Counts move in steps of half a second, and what a step leaves open is decided against the repetition: under even
/// traffic about a twentieth less is allowed than the percentage.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Number of the newest part, counted from the clock's zero.
    newest: u64,
    parts: [Part; KEPT],
}

/// What happened in a part of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    /// Hundredths of repetitions that requests have earned.
    earned: u32,
    /// Repetitions.
    taken: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { newest: 0, parts: [Part::default(); KEPT] }
    }
}

impl Budget {
    /// A request came.
    pub fn earn(&mut self, rule: Rule, now: Moment) {
        let newest = self.move_on(now);
        let part = &mut self.parts[newest];
        part.earned = part.earned.saturating_add(u32::from(rule.percent));
    }

    /// Whether it may be repeated; counted if so.
    pub fn take(&mut self, rule: Rule, now: Moment) -> bool {
        let newest = self.move_on(now);
        // Of the oldest part only some is in the window: its repetitions count, its requests do not.
        let oldest = (newest + 1) % KEPT;
        let mut earned = u64::from(rule.min_per_second) * WINDOW.as_secs() * 100;
        let mut taken = 0;
        for (index, part) in self.parts.iter().enumerate() {
            taken += u64::from(part.taken);
            earned += if index == oldest { 0 } else { u64::from(part.earned) };
        }
        let is_affordable = (taken + 1) * 100 <= earned;
        let part = &mut self.parts[newest];
        part.taken = part.taken.saturating_add(u32::from(is_affordable));
        is_affordable
    }

    /// Forgets the parts that are over and says where the newest is. Time does not go back.
    fn move_on(&mut self, now: Moment) -> usize {
        let number = (now.as_nanos() / PART_NANOS).max(self.newest);
        let passed = (number - self.newest).min(KEPT as u64);
        for step in 1..=passed {
            self.parts[place(self.newest + step)] = Part::default();
        }
        self.newest = number;
        place(number)
    }
}

/// Where the part of this number is kept.
#[expect(clippy::cast_possible_truncation, reason = "less than KEPT")]
const fn place(number: u64) -> usize {
    (number % KEPT as u64) as usize
}

#[cfg(test)]
mod tests;
