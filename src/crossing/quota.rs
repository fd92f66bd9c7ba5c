//! What is used of every limit, for all shards: exact for the node.

#![expect(
    unsafe_code,
    reason = "the words are allocated as zeroed memory, page by page on first use"
)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::admission::limit::Limit;
use crate::admission::limit::Rule;
use crate::admission::limit::Short;
use crate::admission::limit::Standing;
use crate::admission::limit::WINDOW_PARTS;
use crate::crossing::lease::Cells;
use crate::crossing::lease::Count;
use crate::snapshot::QUOTAS_MAX;
use crate::units::Moment;
use crate::units::QuotaId;
use crate::units::ShardId;

/// Subjects of tokens whose limits are counted at the same time.
pub const SUBJECTS_MAX: usize = 1 << 16;
/// Limits that one subject may have: one of each kind.
pub const SUBJECT_LIMITS: usize = 3;
/// How long the place of a subject is kept after its last request: longer than any period.
const SUBJECT_KEPT: Duration = Duration::from_secs(25 * 3600);
/// Places that are looked at for one subject.
const PROBES: usize = 16;

const PARTS: usize = WINDOW_PARTS as usize;

/// The book as shards and control hold it.
pub type SharedBook = Arc<Book>;

/// What is used of every limit.
pub struct Book {
    pools: Box<[AtomicU64]>,
    parts: Box<[[AtomicU64; PARTS]]>,
    /// By shard, so that a shard's own leases share no line with another's.
    stripes: Vec<Box<[AtomicU64]>>,
    subjects: Box<[Subject]>,
}

/// Whose limits the three places of this one are.
struct Subject {
    /// Zero: nobody's.
    fingerprint: AtomicU64,
    /// Nanoseconds of the monotonic clock.
    last_asked: AtomicU64,
}

/// Zeroed words.
fn zeroed(count: usize) -> Box<[AtomicU64]> {
    // SAFETY: an `AtomicU64` has the representation of a `u64`, of which zero is a valid one.
    unsafe { Box::new_zeroed_slice(count).assume_init() }
}

/// All places: those of the config's limits, then those of subjects.
const PLACES: usize = QUOTAS_MAX + SUBJECTS_MAX * SUBJECT_LIMITS;

impl Book {
    /// A book in which nothing is used.
    #[must_use]
    pub fn new(shards: usize) -> SharedBook {
        // SAFETY: arrays and structs of `AtomicU64` only, for which all zeroes are valid.
        let parts = unsafe { Box::new_zeroed_slice(PLACES).assume_init() };
        // SAFETY: as above.
        let subjects = unsafe { Box::new_zeroed_slice(SUBJECTS_MAX).assume_init() };
        let stripes = (0..shards).map(|_| zeroed(PLACES)).collect();
        Arc::new(Self { pools: zeroed(PLACES), parts, stripes, subjects })
    }

    /// Takes `amount` of a limit. Returns the epoch in which that was, for [`Self::give`].
    ///
    /// # Errors
    /// As much is not there; nothing was taken.
    pub fn take(
        &self,
        shard: ShardId,
        limit: &Limit,
        amount: u32,
        now: Moment,
    ) -> Result<u32, Short> {
        let (rule, cells) = (&limit.rule, self.cells(limit.id));
        let epoch = rule.epoch(now);
        cells.take(shard.index(), rule, amount, epoch).map_err(|()| self.short(limit, amount, now))
    }

    /// Gives back what was taken in the epoch `taken` and was not used.
    pub fn give(&self, limit: &Limit, amount: u32, taken: u32, now: Moment) {
        if amount > 0 {
            let taken = Count { epoch: taken, amount };
            self.cells(limit.id).give(&limit.rule, taken, limit.rule.epoch(now));
        }
    }

    /// Counts what was used beyond what had been taken: it may exceed the limit, and is then paid by those who come later.
    pub fn charge(&self, limit: &Limit, amount: u32, now: Moment) {
        if amount > 0 {
            self.cells(limit.id).charge(&limit.rule, amount, limit.rule.epoch(now));
        }
    }

    /// How a limit stands.
    #[must_use]
    pub fn standing(&self, limit: &Limit, now: Moment) -> Standing {
        let used = self.cells(limit.id).used(&limit.rule, limit.rule.epoch(now));
        self.standing_of(limit, used, now)
    }

    fn standing_of(&self, limit: &Limit, used: u32, now: Moment) -> Standing {
        let rule = &limit.rule;
        Standing {
            limit: rule.capacity(),
            remaining: rule.capacity().saturating_sub(used),
            reset: self.time_until_back(limit, used, now),
        }
    }

    fn short(&self, limit: &Limit, amount: u32, now: Moment) -> Short {
        let rule = &limit.rule;
        let used = self.cells(limit.id).used(rule, rule.epoch(now));
        let standing = self.standing_of(limit, used, now);
        let wait = if amount > rule.capacity() {
            Duration::MAX
        } else {
            let missing = used.saturating_add(amount).saturating_sub(rule.capacity());
            self.time_until_back(limit, missing, now)
        };
        Short { standing, wait }
    }

    fn time_until_back(&self, limit: &Limit, amount: u32, now: Moment) -> Duration {
        let rule: &Rule = &limit.rule;
        if !rule.slides() {
            return rule.time_to_refill(amount, now);
        }
        let epochs = self.cells(limit.id).epochs_until_back(amount, rule.epoch(now));
        rule.time_to_epoch(epochs, now)
    }

    /// The first of the three places for the limits of a subject (of its requests, its tokens, its concurrency): the same for
    /// the same fingerprint as long as it asks now and then. The fingerprint must depend on the rules too: another rule counts
    /// anew. `None`: there are too many subjects.
    #[must_use]
    pub fn subject(&self, fingerprint: u64, now: Moment) -> Option<QuotaId> {
        let fingerprint = fingerprint.max(1);
        let start = usize::try_from(fingerprint).unwrap_or(0) % SUBJECTS_MAX;
        let places = || (start..start + PROBES).map(|place| place % SUBJECTS_MAX);
        let is = |place: usize, wanted: u64| {
            let found = self.subjects.get(place)?.fingerprint.load(Ordering::Acquire);
            (found == wanted).then_some(place)
        };
        let known = places().find_map(|place| is(place, fingerprint));
        let place = known.or_else(|| {
            places().find(|place| {
                let Some(subject) = self.subjects.get(*place) else { return false };
                let order = (Ordering::AcqRel, Ordering::Acquire);
                let was = subject.fingerprint.compare_exchange(0, fingerprint, order.0, order.1);
                was.is_ok() || was == Err(fingerprint)
            })
        })?;
        self.subjects.get(place)?.last_asked.store(now.as_nanos(), Ordering::Relaxed);
        u32::try_from(QUOTAS_MAX + place * SUBJECT_LIMITS).ok().map(QuotaId)
    }

    /// Frees the places of subjects that have not asked for longer than any limit remembers. Now and then: only one
    /// thread may. Returns how many places are taken.
    ///
    /// A request that asks in the same moment, after such a silence, may go uncounted.
    pub fn forget_subjects(&self, now: Moment) -> usize {
        let mut taken = 0;
        for (place, subject) in self.subjects.iter().enumerate() {
            if subject.fingerprint.load(Ordering::Acquire) == 0 {
                continue;
            }
            let last = Moment::from_nanos(subject.last_asked.load(Ordering::Relaxed));
            if now.since(last) < SUBJECT_KEPT || self.is_held(place) {
                taken += 1;
                continue;
            }
            for index in Self::places_of(place) {
                self.clear(index);
            }
            subject.fingerprint.store(0, Ordering::Release);
        }
        taken
    }

    /// Whether a request of the subject is still under way.
    fn is_held(&self, place: usize) -> bool {
        let concurrency = Self::places_of(place).last();
        let pool = concurrency.and_then(|index| self.pools.get(index));
        pool.is_some_and(|pool| Count::of(pool.load(Ordering::Acquire)).amount > 0)
    }

    fn places_of(place: usize) -> std::ops::Range<usize> {
        let first = QUOTAS_MAX + place * SUBJECT_LIMITS;
        first..first + SUBJECT_LIMITS
    }

    fn clear(&self, index: usize) {
        let words = self.stripes.iter().filter_map(|stripe| stripe.get(index));
        let words =
            words.chain(self.pools.get(index)).chain(self.parts.get(index).into_iter().flatten());
        for word in words {
            word.store(0, Ordering::Release);
        }
    }

    fn cells(&self, id: QuotaId) -> Cells<'_, AtomicU64> {
        let index = id.index();
        Cells { pool: &self.pools[index], parts: &self.parts[index], stripes: &self.stripes, index }
    }
}

impl fmt::Debug for Book {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Book").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
