//! Are the pure parts right on files? Each module takes a folder of `files`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by ending")]

mod config;
mod corpus;
mod differential;
mod reader;
mod wire;
