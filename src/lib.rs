//! Table of contents, in the order of a request.

#![doc = include_str!("ARCHITECTURE.md")]

pub mod cli;
pub mod knobs;

pub mod units;
pub mod sys;
pub mod ring;

pub mod accept;
pub mod wire;
pub mod llm;
pub mod admission;
pub mod route;
pub mod balance;
pub mod upstream;
pub mod relay;
pub mod record;

pub mod config;
pub mod snapshot;
pub mod crossing;

pub mod shard;
pub mod control;
pub mod mock;

pub mod serve;
