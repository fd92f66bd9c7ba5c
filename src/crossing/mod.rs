//! What crosses threads: snapshots out, records in, gauges in; and what all shards share: what is used of limits, which
//! signatures were let in, and how endpoints are. All bounded, none ever waited for.

mod lease;
mod lines;
mod word;
pub mod health;
pub mod nonces;
pub mod publish;
pub mod quota;
pub mod gauges;
pub mod records;
