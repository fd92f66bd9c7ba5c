//! Which endpoint of an upstream gets the next attempt.

pub mod choose;
