//! The three things that cross threads: snapshots out, records in, gauges in. All bounded, none ever waited for.

pub mod publish;
pub mod gauges;
pub mod records;
