//! How long a thread runs before another of the same CPU gets its turn.

#![allow(unsafe_code, reason = "the C library has no function for these system calls")]

use libc::sched_attr;
use std::mem;

/// The shortest that the kernel allows, in nanoseconds.
const SHORTEST: u64 = 100_000;

/// Asks that the calling thread need not wait, when it wakes, until another's slice is over: it asks for the shortest slice for
/// itself, and who asks for a shorter one than who runs is let in at once (Linux 6.12, `PREEMPT_SHORT`; sched(7)). Whether that
/// was granted; an older kernel grants it and does nothing. A thread with a policy of its own (`chrt`) keeps that.
pub fn wake_soon() -> bool {
    let Ok(size) = u32::try_from(size_of::<sched_attr>()) else { return false };
    // SAFETY: all of it is numbers, for which zero is a value.
    let mut attr: sched_attr = unsafe { mem::zeroed() };
    // SAFETY: `attr` is alive and has `size` bytes; 0 is the calling thread.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0) };
    if read != 0 || i64::from(attr.sched_policy) != i64::from(libc::SCHED_OTHER) {
        return false;
    }
    attr.sched_runtime = SHORTEST;
    // SAFETY: `attr` is alive and says its size; 0 is the calling thread.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The policy and the niceness stay as they are.
    #[test]
    fn a_thread_may_ask_for_a_short_slice() {
        std::thread::spawn(|| {
            // SAFETY: they only read.
            let before =
                unsafe { (libc::sched_getscheduler(0), libc::getpriority(libc::PRIO_PROCESS, 0)) };
            let is_ordinary = before.0 == libc::SCHED_OTHER;
            assert_eq!(wake_soon(), is_ordinary);
            // SAFETY: they only read.
            let after =
                unsafe { (libc::sched_getscheduler(0), libc::getpriority(libc::PRIO_PROCESS, 0)) };
            assert_eq!(after, before);
        })
        .join()
        .unwrap();
    }
}
