//! The control thread.

pub mod log;
pub mod metrics;
pub mod names;
