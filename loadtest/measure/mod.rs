//! What is measured: times in histograms, counts, and what processes cost.

pub mod process;
pub mod tally;
