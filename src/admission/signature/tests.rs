//! Requests signed here, and changed.
