//! A word that several threads change, each by putting a new value in the place of the one it has seen.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// A word that several threads change. Two implementations: the atomic one, and that of the model checker.
pub(super) trait Word {
    /// Its value.
    fn load(&self) -> u64;

    /// Puts `new` in the place of `old`, if that is what is there.
    fn replace(&self, old: u64, new: u64) -> bool;

    /// Puts in the place of its value what `next` makes of it, again when another thread was faster. `None` of `next`: it is
    /// good as it is. Returns the value that was replaced.
    fn change(&self, mut next: impl FnMut(u64) -> Option<u64>) -> Option<u64> {
        loop {
            let old = self.load();
            let new = next(old)?;
            if self.replace(old, new) {
                return Some(old);
            }
        }
    }
}

impl Word for AtomicU64 {
    #[inline]
    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    #[inline]
    fn replace(&self, old: u64, new: u64) -> bool {
        self.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(test)]
impl Word for loom::sync::atomic::AtomicU64 {
    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn replace(&self, old: u64, new: u64) -> bool {
        self.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}
