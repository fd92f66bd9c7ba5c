//! Table of contents, in the order of a request.

pub mod units;
pub mod sys;
pub mod ring;
pub mod wire;
pub mod mock;
