//! The operating system: the clock, cores, memory, sockets and limits, by name.

pub mod affinity;
pub mod clock;
pub mod limits;
pub mod memory;
pub mod random;
pub mod slice;
pub mod socket;
