//! The control thread.

pub mod metrics;
