//! Are the pure parts right on files? Each module takes a folder of `files`.

#![allow(clippy::unwrap_used, reason = "a test ends where what it needs is not there")]

mod cases;
mod config;
mod corpus;
mod differential;
mod jwt;
mod reader;
mod sse;
mod wire;
