//! Table of contents, in the order of a request.

pub mod units;

pub mod record;

pub mod crossing;

pub mod control;
