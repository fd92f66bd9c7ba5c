//! Chance that can be had again: the same seed, the same numbers.

use std::time::Duration;

/// A row of numbers that look like chance (`SplitMix64`: Steele, Lea and Flood, 2014).
#[derive(Clone, Copy, Debug, Default)]
pub struct Dice(u64);

impl Dice {
    /// The row of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, any.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^ (number >> 31)
    }

    /// A number below `limit`; 0 where that is 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        // Above a few billions some are a little less likely than others, which no test here could tell.
        if limit == 0 { 0 } else { self.next() % limit }
    }

    /// One of these; none of nothing.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let at = self.below(choices.len() as u64);
        usize::try_from(at).ok().and_then(|at| choices.get(at)).copied()
    }

    /// A number from 0 to below 1.
    pub const fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether something happens that happens in this share of all cases.
    pub fn is(&mut self, share: f64) -> bool {
        self.share() < share
    }

    /// A time between two, the first included.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least + most.saturating_sub(least).mul_f64(self.share())
    }

    /// How long something lasts that ends at any moment as likely as at any other, and so long in the mean.
    pub fn lifetime(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.share()).ln())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_falls_alike_and_no_side_is_favoured() {
        let mut dice = Dice::new(7);
        let again: Vec<u64> = (0..4).map(|_| dice.next()).collect();
        let mut dice = Dice::new(7);
        assert!(again.iter().all(|number| *number == dice.next()));
        let fallen: Vec<u64> = (0..10_000).map(|_| dice.below(10)).collect();
        let counts: Vec<usize> =
            (0..10).map(|side| fallen.iter().filter(|fell| **fell == side).count()).collect();
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        let hits = (0..10_000).filter(|_| dice.is(0.1)).count();
        assert!((850..1150).contains(&hits), "{hits}");
        assert_eq!((dice.below(0), dice.one_of::<u8>(&[])), (0, None));
    }

    #[test]
    fn lifetimes_have_their_mean_and_spans_their_ends() {
        let mut dice = Dice::new(1);
        let mean = Duration::from_secs(20);
        let sum: Duration = (0..10_000).map(|_| dice.lifetime(mean)).sum();
        assert!((19.0..21.0).contains(&(sum.as_secs_f64() / 10_000.0)), "{sum:?}");
        let (least, most) = (Duration::from_millis(5), Duration::from_millis(9));
        assert!((0..1000).all(|_| (least..most).contains(&dice.between(least, most))));
        assert_eq!(dice.between(most, most), most);
    }
}
