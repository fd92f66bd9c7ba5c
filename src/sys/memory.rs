//! Memory from the system itself: zeroed, and real only where it is touched.

#![allow(unsafe_code, reason = "it is mapped, and unmapped in the end")]

use std::io;
use std::ptr;
use std::ptr::NonNull;

/// A mapping of zeroed bytes. It begins a page, and each of its pages becomes memory when it is first written to.
///
/// The allocator promises less: memory that it takes from what was freed before it zeroes by hand, and so makes real.
#[derive(Debug)]
pub struct Zeroed {
    start: NonNull<u8>,
    bytes: usize,
}

impl Zeroed {
    /// Maps so many bytes, at least one.
    ///
    /// # Errors
    /// The system's, if it has no such room.
    pub fn map(bytes: usize) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at a place that the system chooses touches nothing that is there.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, access, kind, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, bytes })
    }

    /// Where it begins. Whoever reads and writes there sees to it that this is sound.
    #[must_use]
    pub const fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Zeroed {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and is unmapped once. It cannot fail then.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

// SAFETY: it owns its mapping, which any thread may use and unmap.
unsafe impl Send for Zeroed {}
// SAFETY: shared, it gives away no more than an address.
unsafe impl Sync for Zeroed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_zero_and_what_is_not_touched_is_not_there() {
        const BYTES: usize = 64 << 20;
        let memory = Zeroed::map(BYTES).expect("there is room for addresses");
        for place in [0, BYTES / 2, BYTES - 1] {
            // SAFETY: within the mapping, which nobody else has.
            let byte = unsafe { &mut *memory.start().as_ptr().add(place) };
            assert_eq!(*byte, 0);
            *byte = 1;
        }
        let mut pages = vec![0_u8; BYTES / 4096];
        // SAFETY: the mapping is live, and there is a byte for each of its pages (or more, where pages are larger).
        let asked =
            unsafe { libc::mincore(memory.start().as_ptr().cast(), BYTES, pages.as_mut_ptr()) };
        assert_eq!(asked, 0);
        let real = pages.iter().filter(|page| **page & 1 == 1).count();
        // Three, or where the system likes them huge, so many of those.
        assert!((3..=3 * 512).contains(&real), "{real}");
    }

    #[test]
    fn there_is_no_more_than_there_is() {
        assert!(Zeroed::map(usize::MAX >> 1).is_err());
        assert!(Zeroed::map(0).is_err());
    }
}
