//! Starts the process; nothing that needs a test.

fn main() {}
