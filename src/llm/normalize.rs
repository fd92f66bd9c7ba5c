//! Parameters of a request's body: what a model's operator has set for them.

/// Defaults and bounds of a model's parameters.
#[derive(Clone, Debug, Default)]
pub struct Parameters {}
