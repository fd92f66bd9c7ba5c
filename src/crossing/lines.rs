//! Zeroed memory in which everything has cache lines of its own and becomes memory, page by page, on first use.

#![expect(unsafe_code, reason = "zeroed memory is taken as what it is a valid value of")]

use std::alloc::Layout;
use std::alloc::handle_alloc_error;
use std::marker::PhantomData;

use crate::sys::memory::Zeroed;

/// What zeroed memory is a valid value of, and what several threads may have at once.
///
/// # Safety
/// It consists of atomic integers, and of nothing else but padding.
pub(super) unsafe trait Zeroable: Sync {}

/// A fixed number of `T`, each aligned as `T` wants it.
pub(super) struct Lines<T> {
    memory: Zeroed,
    count: usize,
    of: PhantomData<T>,
}

impl<T: Zeroable> Lines<T> {
    /// `count` times zero.
    pub(super) fn new(count: usize) -> Self {
        const { assert!(align_of::<T>() <= 4096, "a mapping begins a page") };
        let layout = Layout::array::<T>(count).unwrap_or_else(|_| Layout::new::<T>());
        // As the allocator does where there is no memory.
        let memory = Zeroed::map(layout.size()).unwrap_or_else(|_| handle_alloc_error(layout));
        Self { memory, count: layout.size() / size_of::<T>(), of: PhantomData }
    }

    #[inline]
    pub(super) fn at(&self, index: usize) -> &T {
        assert!(index < self.count, "numbers are given out up to the bound");
        // SAFETY: `count` of `T` fit into the mapping, which begins a page and so is aligned for them. Its bytes were zero,
        // which is a valid `T` (see [`Zeroable`]), are reached as `T` only, and live as long as `self`.
        unsafe { self.memory.start().cast::<T>().add(index).as_ref() }
    }
}
