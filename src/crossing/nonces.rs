//! Signed requests that were let in, for all shards: each signature opens once on the whole node.

#![expect(
    unsafe_code,
    reason = "the tables are allocated as zeroed memory, page by page on first use"
)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::admission::signature::WINDOW_S_MAX;

/// Signed requests that are remembered of each [`GENERATION_S`] seconds, at most.
pub const NONCES_MAX: usize = 1 << 20;
/// Signatures made within so many seconds are kept together, and forgotten together.
pub const GENERATION_S: u64 = 300;
/// Generations at the same time: those of the window on both sides, and one more on each, since it moves.
const TABLES: u64 = 2 * (WINDOW_S_MAX / GENERATION_S) + 2;
/// Places that are looked at for one signature.
const PROBES: usize = 64;

/// What became of a signature that wants in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It was not seen before, and is now.
    New,
    /// It was let in before.
    Replay,
    /// There is no room to remember it.
    Full,
}

/// The signatures as all shards hold them.
pub type SharedNonces = Arc<Nonces>;

/// The signatures that were let in.
///
/// Each belongs to the generation of its *own* time, which it is signed with: so a replay looks where the original is. In
/// the table of a generation nothing is ever taken out, and everybody looks for a signature along the same places: whoever
/// puts it into the first free one has claimed it. Words of older generations count as free.
pub struct Nonces {
    tables: Box<[AtomicU64]>,
    places: usize,
}

impl Nonces {
    /// Nothing was let in yet. `places` is [`NONCES_MAX`] but in tests.
    #[must_use]
    pub fn new(places: usize) -> SharedNonces {
        let words = places * usize::try_from(TABLES).unwrap_or(usize::MAX);
        // SAFETY: an `AtomicU64` has the representation of a `u64`, of which zero is a valid one.
        let tables = unsafe { Box::new_zeroed_slice(words).assume_init() };
        Arc::new(Self { tables, places })
    }

    /// Claims the signature with this fingerprint, made at `created_unix_s`: of all who do, one gets [`Claim::New`].
    /// It must have been checked that it was made within [`WINDOW_S_MAX`] of now.
    #[must_use]
    pub fn claim(&self, fingerprint: u64, created_unix_s: u64) -> Claim {
        let generation = created_unix_s / GENERATION_S;
        // 48 bits of the signature and 16 of the generation; never zero, which is what fresh memory is.
        let mark = (fingerprint >> 16).max(1);
        let word = mark | (generation << 48);
        let table = usize::try_from(generation % TABLES).unwrap_or(0) * self.places;
        let start = usize::try_from(fingerprint).unwrap_or(0) % self.places;
        for probe in 0..PROBES.min(self.places) {
            let place = &self.tables[table + (start + probe) % self.places];
            loop {
                let found = place.load(Ordering::Acquire);
                if found == word {
                    return Claim::Replay;
                }
                let is_taken = found >> 48 == word >> 48 && found << 16 != 0;
                if is_taken {
                    break;
                }
                let (order, failed) = (Ordering::AcqRel, Ordering::Acquire);
                if place.compare_exchange(found, word, order, failed).is_ok() {
                    return Claim::New;
                }
            }
        }
        Claim::Full
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Nonces").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn spread(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn each_opens_once() {
        let nonces = Nonces::new(4096);
        for number in 0..1000 {
            assert_eq!(nonces.claim(spread(number), NOW), Claim::New);
        }
        for number in 0..1000 {
            assert_eq!(nonces.claim(spread(number), NOW), Claim::Replay);
        }
    }

    #[test]
    fn places_are_free_again_when_the_window_has_passed() {
        let nonces = Nonces::new(64);
        for round in 0..100 {
            let now = NOW + round * GENERATION_S * TABLES;
            for number in 0..64 {
                assert_eq!(nonces.claim(spread(number), now), Claim::New, "{round} {number}");
            }
            assert_eq!(nonces.claim(spread(64), now), Claim::Full);
            assert_eq!(nonces.claim(spread(5), now), Claim::Replay, "also where it is full");
        }
    }

    #[test]
    fn within_the_window_nothing_is_forgotten() {
        let nonces = Nonces::new(1024);
        // Everything that may still be replayed at NOW + WINDOW_S_MAX, with everything that may have come by then.
        let times = (NOW..=NOW + 2 * WINDOW_S_MAX).step_by(100);
        for time in times.clone() {
            assert_eq!(nonces.claim(spread(time), time), Claim::New);
        }
        for time in times {
            assert_eq!(nonces.claim(spread(time), time), Claim::Replay);
        }
    }

    #[test]
    fn of_many_threads_one_gets_each() {
        const THREADS: usize = 8;
        const EACH: u64 = 2000;
        let nonces = Nonces::new(1 << 14);
        let claims: usize = std::thread::scope(|scope| {
            let claiming = (0..THREADS).map(|_| {
                scope.spawn(|| {
                    let claims = (0..EACH).map(|number| nonces.claim(spread(number), NOW));
                    claims.filter(|claim| *claim == Claim::New).count()
                })
            });
            let claiming: Vec<_> = claiming.collect();
            claiming.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(claims, usize::try_from(EACH).unwrap());
    }
}
