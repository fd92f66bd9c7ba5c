//! The operating system: cores, sockets and limits, by name.

pub mod affinity;
pub mod limits;
pub mod socket;
