//! In turn, by weight.

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
    /// A weight of 0 means never. When the number of endpoints is another than last time, everything begins anew;
    /// when only weights are others (in slow start they are at every turn), what was earned stays. An endpoint
    /// that was not usable for a while is not made up for what it missed. Allocates only when the number changes.
    /// `is_usable` is asked at most once for each index.
    pub fn next(&mut self, weights: &[u32], is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        self.next_of(weights.iter().copied(), is_usable)
    }

    /// The same, for weights that stand in something else.
    pub(super) fn next_of(
        &mut self,
        weights: impl ExactSizeIterator<Item = u32> + Clone,
        is_usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if !weights.clone().eq(self.weights.iter().copied()) {
            self.adopt(weights);
        }
        let mut earned = 0;
        let mut best: Option<(usize, i64)> = None;
        for (index, (credit, &weight)) in self.credits.iter_mut().zip(&self.weights).enumerate() {
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

    fn adopt(&mut self, weights: impl ExactSizeIterator<Item = u32>) {
        if weights.len() != self.weights.len() {
            self.credits.clear();
            self.credits.resize(weights.len(), 0);
        }
        self.weights.clear();
        self.weights.extend(weights);
        // Under other weights old credit would be worth many turns in a row: no more than one is kept.
        let sum: i64 = self.weights.iter().map(|&weight| i64::from(weight)).sum();
        for credit in &mut self.credits {
            *credit = (*credit).clamp(-sum, sum);
        }
    }
}

#[cfg(test)]
mod tests;
