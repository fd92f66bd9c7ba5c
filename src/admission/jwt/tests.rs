//! Tokens made here, and changed.
