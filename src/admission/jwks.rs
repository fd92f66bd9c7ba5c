//! Keys that tokens are verified with.

/// The keys of an issuer.
#[derive(Debug, Default)]
pub struct KeySet {}
