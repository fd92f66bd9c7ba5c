//! From `parameters` of a model to what is run over its bodies.

use crate::config;
use crate::llm::normalize::Parameters;
use crate::snapshot::policy::Builder;

/// The compiled form; none with an error added where it cannot be.
pub(super) fn compile(
    builder: &mut Builder<'_>,
    parameters: &config::Parameters,
) -> Option<Box<Parameters>> {
    let _ = (builder, parameters);
    Some(Box::default())
}
