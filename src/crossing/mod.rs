//! What crosses threads: snapshots out, records in, gauges in; and what all shards share: what is used of limits, and which
//! signatures were let in. All bounded, none ever waited for.

mod lease;
pub mod nonces;
pub mod publish;
pub mod quota;
pub mod gauges;
pub mod records;
