//! Bytes to meaning and back: HTTP/1.1 heads and bodies, server-sent events; no sockets, no clock, no copies.

#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::panic)]

pub mod buffer;
pub mod head;
pub mod http1;
pub mod limits;
mod malformed;
pub mod sse;

pub use malformed::Malformed;
