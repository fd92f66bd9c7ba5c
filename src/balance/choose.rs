//! Which endpoint is next: in turn, by weight.

/// Smooth weighted round robin: in any stretch of attempts as long as the sum of the weights each endpoint gets as
/// many as its weight, spread out rather than in a row.
///
/// Each turn, every usable endpoint earns its weight as credit; the one with the most credit is chosen and pays for
/// all. Kept once per upstream and shard.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin {
    /// The weights that the credits are about.
    weights: Vec<u32>,
    /// What each endpoint has earned and not yet got.
    credits: Vec<i64>,
}

impl RoundRobin {
    /// The index of the endpoint whose turn it is; `None` if none with a weight is usable.
    ///
    /// A weight of 0 means never. When the weights are others than last time, everything begins anew. An endpoint
    /// that was not usable for a while is not made up for what it missed. Allocates only when the weights change.
    /// `is_usable` is asked at most once for each index.
    pub fn next(&mut self, weights: &[u32], is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        if self.weights != weights {
            weights.clone_into(&mut self.weights);
            self.credits.clear();
            self.credits.resize(weights.len(), 0);
        }
        let mut earned = 0;
        let mut best: Option<(usize, i64)> = None;
        for (index, (credit, &weight)) in self.credits.iter_mut().zip(weights).enumerate() {
            if weight == 0 || !is_usable(index) {
                continue;
            }
            let weight = i64::from(weight);
            *credit += weight;
            earned += weight;
            if best.is_none_or(|(_, most)| *credit > most) {
                best = Some((index, *credit));
            }
        }
        let (chosen, _) = best?;
        self.credits[chosen] -= earned;
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(robin: &mut RoundRobin, weights: &[u32], count: usize) -> Vec<usize> {
        (0..count).map(|_| robin.next(weights, |_| true).unwrap()).collect()
    }

    fn shares(chosen: &[usize], endpoints: usize) -> Vec<usize> {
        (0..endpoints).map(|index| chosen.iter().filter(|&&c| c == index).count()).collect()
    }

    #[test]
    fn turns_are_spread_out() {
        let chosen = turns(&mut RoundRobin::default(), &[5, 1, 1], 14);
        assert_eq!(chosen, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
        let equal = turns(&mut RoundRobin::default(), &[7, 7, 7], 6);
        assert_eq!(equal, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn every_stretch_is_shared_by_weight() {
        for weights in [vec![1], vec![3, 2, 1], vec![10, 0, 1], vec![1, 1, 1, 9], vec![4, 6, 8]] {
            let sum: usize = weights.iter().map(|&weight| weight as usize).sum();
            let expected: Vec<usize> = weights.iter().map(|&weight| weight as usize).collect();
            let chosen = turns(&mut RoundRobin::default(), &weights, sum * 5);
            for stretch in chosen.chunks(sum) {
                assert_eq!(shares(stretch, weights.len()), expected);
            }
        }
    }

    #[test]
    fn nobody_usable_is_nobody() {
        let mut robin = RoundRobin::default();
        assert_eq!(robin.next(&[], |_| true), None);
        assert_eq!(robin.next(&[0, 0], |_| true), None);
        assert_eq!(robin.next(&[1, 1], |_| false), None);
        assert_eq!(robin.next(&[0, 3], |index| index == 0), None);
        assert_eq!(robin.next(&[0, 3], |index| index == 1), Some(1));
    }

    #[test]
    fn the_rest_share_when_one_is_out() {
        let mut robin = RoundRobin::default();
        turns(&mut robin, &[2, 1, 1], 3);
        let chosen: Vec<usize> =
            (0..300).map(|_| robin.next(&[2, 1, 1], |index| index != 1).unwrap()).collect();
        assert_eq!(shares(&chosen, 3)[1], 0);
        assert!((199..=201).contains(&shares(&chosen, 3)[0]), "{chosen:?}");
        // Back again, it gets its share and no flood.
        let chosen = turns(&mut robin, &[2, 1, 1], 40);
        assert!((9..=11).contains(&shares(&chosen, 3)[1]), "{chosen:?}");
    }

    #[test]
    fn changes_begin_anew() {
        let mut robin = RoundRobin::default();
        turns(&mut robin, &[u32::MAX, 1], 7);
        assert_eq!(turns(&mut robin, &[1, 1], 4), [0, 1, 0, 1]);
        assert_eq!(turns(&mut robin, &[1, 1, 2], 4), [2, 0, 1, 2]);
        assert_eq!(turns(&mut robin, &[1], 2), [0, 0]);
        assert_eq!(shares(&turns(&mut robin, &[u32::MAX; 9], 90), 9), [10; 9]);
    }

    #[test]
    fn whatever_comes_and_goes_nobody_runs_ahead() {
        let mut robin = RoundRobin::default();
        let weights = [1, 50, 3, 0, 7, 7];
        let sum: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
        let mut dice = 1_u32;
        for _ in 0..50_000 {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let is_usable = |index: usize| (dice >> (24 + index)) & 1 == 1;
            match robin.next(&weights, is_usable) {
                Some(chosen) => assert!(is_usable(chosen) && weights[chosen] > 0),
                None => assert!(!(0..6).any(|index| is_usable(index) && weights[index] > 0)),
            }
            assert_eq!(robin.credits.iter().sum::<i64>(), 0);
            assert!(robin.credits.iter().all(|credit| credit.abs() <= 2 * sum), "{robin:?}");
        }
    }
}
