//! What would a user see.

fn main() {}
