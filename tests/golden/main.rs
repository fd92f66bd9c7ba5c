//! Are the pure parts right on files? Each module takes a folder of `files`.

mod corpus;
mod differential;
mod reader;
mod wire;
