//! What must be known of a model API, and no more: what a body asks for, how to change it, how to answer.

pub mod request;
pub mod features;
pub mod context;
mod scan;
pub mod rewrite;
pub mod edit;
pub mod normalize;
pub mod estimate;
pub mod stream;
pub mod usage;
pub mod continuation;
pub mod dialect;
