//! The system's monotonic clock: what every thread of the process takes the time from.

use crate::units::Moment;

/// The time now: the same for every thread and process of the host. It never goes back.
#[must_use]
#[allow(
    unsafe_code,
    reason = "the clock's zero is not to be had from std; and a request reads the clock ten times"
)]
pub fn now() -> Moment {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: time is live; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Moment::from_nanos(seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0))
}
