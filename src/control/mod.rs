//! The control thread.

pub mod check;
pub mod file;
pub mod log;
pub mod metrics;
pub mod names;
pub mod resolve;
pub mod watch;
