//! Which endpoint of an upstream gets the next attempt, and whether there is one.

pub mod choose;
pub mod hash;
pub mod load;
pub mod locality;
pub mod verdict;
pub mod breaker;
pub mod outlier;
pub mod retry;
pub mod backoff;
pub mod budget;
pub mod retry_after;
pub mod deadline;
pub mod hedge;

#[cfg(test)]
pub(crate) mod dice;
