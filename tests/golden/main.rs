//! Are the pure parts right on files? Each module takes a folder of `files`.

mod config;
mod corpus;
mod differential;
mod reader;
mod wire;
