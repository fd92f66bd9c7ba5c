//! Table of contents, in the order of a request.

pub mod cli;

pub mod units;
pub mod sys;
pub mod ring;

pub mod wire;
pub mod llm;
pub mod route;
pub mod balance;
pub mod record;

pub mod config;
pub mod snapshot;
pub mod crossing;

pub mod control;
