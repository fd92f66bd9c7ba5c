//! Clients that leave their streams and come back to them: what they read, what it must be, and how they behave.

pub mod client;
pub mod course;
pub mod dice;
pub mod endings;
pub mod metrics;
pub mod reader;
pub mod request;
pub mod story;
pub mod tally;
