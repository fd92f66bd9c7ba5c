//! HTTP/1.1 (RFC 9110 and 9112), stricter than most: what two readers could take differently is refused.

pub mod body;
pub mod chunked;
mod diagnose;
pub mod encode;
pub mod framing;
pub mod parse;
pub mod reuse;
mod search;
mod target;
