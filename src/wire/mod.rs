//! Bytes to meaning and back (so far only what the decisions need of it).

pub mod head;
