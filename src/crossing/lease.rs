//! How a limit is shared between shards without a lock: a pool for all, slices leased from it, and what time gives back.
//!
//! The pool holds how much is used, with the epoch in which that is true. A shard that takes from it leases a slice on
//! top, which it then spends without touching the pool. Leased counts as used. Who begins a new epoch first collects what
//! was not spent of the old one's leases; a lease that was missed is void, and what it held stays used until time has given it
//! back. So what is spent under one epoch was taken from the pool under that epoch, and the pool gives out no more than the
//! rule allows: whatever the order of steps, the sum over all shards stays within the limit.

use crate::admission::limit::Rule;
use crate::admission::limit::WINDOW_PARTS;
use crate::crossing::word::Word;

/// Requests that a lease is for, that of its taker included.
const LEASE_TAKES: u32 = 8;

/// An amount, and the epoch in which it is true. Zero memory is epoch 0: nothing used, nothing leased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) epoch: u32,
    pub(super) amount: u32,
}

impl Count {
    pub(super) const fn of(word: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = word.to_be_bytes();
        Self { epoch: u32::from_be_bytes([a, b, c, d]), amount: u32::from_be_bytes([e, f, g, h]) }
    }

    fn word(self) -> u64 {
        (u64::from(self.epoch) << 32) | u64::from(self.amount)
    }

    fn load(word: &impl Word) -> Self {
        Self::of(word.load())
    }

    /// Puts `new` in the place of this.
    fn replace(self, word: &impl Word, new: Self) -> bool {
        word.replace(self.word(), new.word())
    }
}

/// The words of one limit.
pub(super) struct Cells<'b, W> {
    /// What is used.
    pub(super) pool: &'b W,
    /// Of a window that slides, what was used in each of its parts.
    pub(super) parts: &'b [W],
    /// What shards have leased and not spent: by shard, then by limit.
    pub(super) stripes: &'b [Box<[W]>],
    /// Which limit it is among the stripes.
    pub(super) index: usize,
}

impl<W: Word> Cells<'_, W> {
    /// Takes `amount` for a shard in the epoch `now`. Returns the epoch under which it was taken.
    ///
    /// # Errors
    /// There is not so much.
    pub(super) fn take(&self, shard: usize, rule: &Rule, amount: u32, now: u32) -> Result<u32, ()> {
        let leases = !rule.is_concurrency() && !rule.slides();
        if leases && let Some(epoch) = self.spend(shard, amount, now) {
            return Ok(epoch);
        }
        let mut may_collect = leases;
        loop {
            let used = self.begin(rule, now);
            let left = rule.capacity().saturating_sub(used.amount);
            let Some(more) = left.checked_sub(amount) else {
                if !may_collect || !self.collect(rule, used.epoch) {
                    return Err(());
                }
                may_collect = false;
                continue;
            };
            // Near the end of a limit nobody leases: each takes what it needs, and nothing lies idle elsewhere.
            let shards = u32::try_from(self.stripes.len()).unwrap_or(u32::MAX).max(1);
            let fair = more / shards.saturating_mul(4);
            let slice = if leases { fair.min(amount.saturating_mul(LEASE_TAKES - 1)) } else { 0 };
            let next = Count { amount: used.amount + amount + slice, ..used };
            if used.replace(self.pool, next) {
                self.add_to_part(rule, used.epoch, amount);
                if slice > 0 {
                    self.keep(shard, Count { amount: slice, ..used });
                }
                return Ok(used.epoch);
            }
        }
    }

    /// Spends of what the shard has leased. A lease of a later epoch than `now` is good: another shard's clock was ahead.
    fn spend(&self, shard: usize, amount: u32, now: u32) -> Option<u32> {
        let stripe = self.stripe(shard)?;
        loop {
            let leased = Count::load(stripe);
            let rest = leased.amount.checked_sub(amount)?;
            if leased.epoch < now {
                return None;
            }
            if leased.replace(stripe, Count { amount: rest, ..leased }) {
                return Some(leased.epoch);
            }
        }
    }

    /// Keeps what was leased. What is left of an older lease is void.
    fn keep(&self, shard: usize, lease: Count) {
        let Some(stripe) = self.stripe(shard) else { return };
        loop {
            let kept = Count::load(stripe);
            if kept.epoch > lease.epoch {
                return;
            }
            let before = if kept.epoch == lease.epoch { kept.amount } else { 0 };
            let amount = before.saturating_add(lease.amount);
            if kept.replace(stripe, Count { amount, ..lease }) {
                return;
            }
        }
    }

    /// What is used in the epoch `now` or, if another shard's clock is ahead, in a later one.
    fn begin(&self, rule: &Rule, now: u32) -> Count {
        let mut unspent = Count::default();
        loop {
            let used = Count::load(self.pool);
            if used.epoch >= now {
                return used;
            }
            if unspent.epoch != used.epoch {
                unspent = Count { epoch: used.epoch, amount: 0 };
            }
            if !rule.slides() {
                unspent.amount = unspent.amount.saturating_add(self.unlease(used.epoch));
            }
            let amount = self.used_at(rule, used, unspent.amount, now);
            let next = Count { epoch: now, amount };
            if used.replace(self.pool, next) {
                return next;
            }
        }
    }

    /// What of `used` is still used in the later epoch `now`, `unspent` of it having been leased and not spent.
    fn used_at(&self, rule: &Rule, used: Count, unspent: u32, now: u32) -> u32 {
        if !rule.slides() {
            return rule.refilled(used.amount.saturating_sub(unspent), now - used.epoch);
        }
        if now - used.epoch >= WINDOW_PARTS {
            return 0;
        }
        let expired = self.parts.iter().map(Count::load).filter(|part| {
            let ends = part.epoch.saturating_add(WINDOW_PARTS);
            ends > used.epoch && ends <= now
        });
        expired.fold(used.amount, |used, part| used.saturating_sub(part.amount))
    }

    /// Takes all leases of an epoch away from the shards: how much they had not spent.
    fn unlease(&self, epoch: u32) -> u32 {
        let mut unspent = 0_u32;
        for shard in 0..self.stripes.len() {
            let Some(stripe) = self.stripe(shard) else { continue };
            loop {
                let lease = Count::load(stripe);
                if lease.epoch != epoch || lease.amount == 0 {
                    break;
                }
                if lease.replace(stripe, Count { epoch, amount: 0 }) {
                    unspent = unspent.saturating_add(lease.amount);
                    break;
                }
            }
        }
        unspent
    }

    /// Brings all leases of an epoch back into the pool. False: there was nothing, or the epoch is over.
    fn collect(&self, rule: &Rule, epoch: u32) -> bool {
        let unspent = self.unlease(epoch);
        unspent > 0 && self.lower(rule, Count { epoch, amount: unspent }, epoch)
    }

    /// Gives back what was taken under `taken.epoch` and not used.
    pub(super) fn give(&self, rule: &Rule, taken: Count, now: u32) {
        if !rule.slides() {
            self.lower(rule, taken, u32::MAX);
            return;
        }
        let epoch = self.begin(rule, now).epoch;
        let back = rule.returnable(taken.amount, taken.epoch, epoch);
        // First from the part: if that ends meanwhile, the rest of it and this make the whole, once.
        let back = self.take_from_part(Count { amount: back, ..taken });
        loop {
            let used = Count::load(self.pool);
            let next = Count { amount: used.amount.saturating_sub(back), ..used };
            if used.replace(self.pool, next) {
                return;
            }
        }
    }

    /// Lowers what is used, as far as time has not done it already, while the pool's epoch is not after `last`.
    fn lower(&self, rule: &Rule, taken: Count, last: u32) -> bool {
        loop {
            let used = Count::load(self.pool);
            if used.epoch > last {
                return false;
            }
            let back = rule.returnable(taken.amount, taken.epoch, used.epoch);
            let next = Count { amount: used.amount.saturating_sub(back), ..used };
            if used.replace(self.pool, next) {
                return true;
            }
        }
    }

    /// Counts what was used without having been taken: whatever the limit says.
    pub(super) fn charge(&self, rule: &Rule, amount: u32, now: u32) {
        loop {
            let used = self.begin(rule, now);
            let next = Count { amount: used.amount.saturating_add(amount), ..used };
            if used.replace(self.pool, next) {
                self.add_to_part(rule, used.epoch, amount);
                if next.amount > rule.capacity() {
                    // Nobody may go on spending of a lease what is owed.
                    self.collect(rule, used.epoch);
                }
                return;
            }
        }
    }

    /// What is used in the epoch `now`, leases that were not spent not counted. Changes nothing.
    pub(super) fn used(&self, rule: &Rule, now: u32) -> u32 {
        let used = Count::load(self.pool);
        let leases =
            (0..self.stripes.len()).filter_map(|shard| self.stripe(shard)).map(Count::load);
        let of_epoch = leases.filter(|lease| !rule.slides() && lease.epoch == used.epoch);
        let unspent = of_epoch.fold(0_u32, |sum, lease| sum.saturating_add(lease.amount));
        if used.epoch >= now {
            return used.amount.saturating_sub(unspent);
        }
        self.used_at(rule, used, unspent, now)
    }

    /// Of a window that slides: after how many epochs so much has come back, at most [`WINDOW_PARTS`].
    pub(super) fn epochs_until_back(&self, amount: u32, now: u32) -> u32 {
        let mut back = 0_u32;
        for epochs in 0..WINDOW_PARTS {
            if back >= amount {
                return epochs;
            }
            let ending = (now + epochs + 1).saturating_sub(WINDOW_PARTS);
            let part = self.part(ending).map(Count::load).filter(|part| part.epoch == ending);
            back = back.saturating_add(part.map_or(0, |part| part.amount));
        }
        WINDOW_PARTS
    }

    fn add_to_part(&self, rule: &Rule, epoch: u32, amount: u32) {
        let Some(word) = self.part(epoch).filter(|_| rule.slides()) else { return };
        loop {
            let part = Count::load(word);
            if part.epoch > epoch {
                // This thread has slept for a whole window: what it took stays counted until the limit rests.
                return;
            }
            let before = if part.epoch == epoch { part.amount } else { 0 };
            let next = Count { epoch, amount: before.saturating_add(amount) };
            if part.replace(word, next) {
                return;
            }
        }
    }

    /// Takes as much as is there; returns how much that was.
    fn take_from_part(&self, taken: Count) -> u32 {
        let Some(word) = self.part(taken.epoch) else { return 0 };
        loop {
            let part = Count::load(word);
            if part.epoch != taken.epoch {
                return 0;
            }
            let back = taken.amount.min(part.amount);
            if part.replace(word, Count { amount: part.amount - back, ..part }) {
                return back;
            }
        }
    }

    fn part(&self, epoch: u32) -> Option<&W> {
        self.parts.get((epoch % WINDOW_PARTS) as usize)
    }

    fn stripe(&self, shard: usize) -> Option<&W> {
        self.stripes.get(shard)?.get(self.index)
    }
}

#[cfg(test)]
mod tests;
