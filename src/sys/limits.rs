//! What the system lets us hold: open files, file tables, timer slack.
#![allow(unsafe_code, reason = "system calls; each block says why it is sound")]

use std::io;
use std::os::fd::RawFd;

use crate::sys::socket;

/// Raises the soft limit on open files to the hard one and returns it.
///
/// # Errors
/// The system's.
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: limit is live.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: limit is live.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// The memory this process may use, in bytes: the machine's, or what its control group leaves of it; 0: not known.
#[must_use]
pub fn memory_bytes() -> u64 {
    // SAFETY: no memory is passed.
    let (pages, page) =
        unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    let machine =
        u64::try_from(pages).unwrap_or(0).saturating_mul(u64::try_from(page).unwrap_or(0));
    // A file that is not there, or says "max", sets no limit.
    let limits = CGROUP_LIMITS.iter().filter_map(|path| {
        std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok().filter(|limit| *limit > 0)
    });
    limits.fold(machine, u64::min)
}

/// Where control groups, in their two versions, say how much memory a container has.
const CGROUP_LIMITS: [&str; 2] =
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// Gives the calling thread a file table of its own: a copy of the process's table, to which the limit
/// on open files applies anew. Descriptor numbers mean nothing to other threads from here on.
///
/// # Errors
/// The system's.
pub fn own_file_table() -> io::Result<()> {
    // SAFETY: no memory is passed; the caller owns the consequences for descriptor numbers.
    if unsafe { libc::unshare(libc::CLONE_FILES) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Closes in the calling thread's own table what it has no use for: the given descriptors, and the copies of all
/// internet sockets. These belong to other threads; while a copy lives, closing one there would not reach the peer.
pub fn close_copies_here(descriptors: &[RawFd]) {
    let sockets = (FIRST_FD..COPIES_MAX).filter(|&fd| socket::is_internet(fd));
    for fd in descriptors.iter().copied().chain(sockets) {
        // SAFETY: the caller has a table of its own (own_file_table), in which these are unused copies.
        unsafe { libc::close(fd) };
    }
}

/// The first descriptor that is not standard input, output or error.
const FIRST_FD: RawFd = 3;
/// Descriptors looked at for copies of sockets: more than a process has open that serves nobody yet.
const COPIES_MAX: RawFd = 4096;

/// Lets sleeps of the calling thread end within a microsecond of their time instead of 50.
pub fn precise_sleep() {
    // SAFETY: no memory is passed; a refusal only makes naps longer.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000) };
}

/// How often the calling thread has given up its CPU to wait, so far.
#[must_use]
pub fn waits() -> u64 {
    // SAFETY: all zeroes is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: usage is live.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    u64::try_from(usage.ru_nvcsw).unwrap_or(0)
}
