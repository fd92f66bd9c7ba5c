//! From `parameters` of a model to what is run over its bodies.

use crate::config;
use crate::llm::dialect::Operation;
use crate::llm::normalize::Parameters;
use crate::llm::normalize::Rule;
use crate::llm::normalize::Unknown;
use crate::llm::normalize::known;
use crate::snapshot::policy::Builder;

/// The compiled form; none where nothing is wanted, or with an error added where it cannot be.
pub(super) fn compile(
    builder: &mut Builder<'_>,
    parameters: &config::Parameters,
) -> Option<Box<Parameters>> {
    let rules: Vec<Rule<'_>> = parameters
        .list
        .iter()
        .map(|parameter| Rule {
            name: &parameter.name,
            default: parameter.default.as_deref(),
            min: parameter.min.as_deref(),
            max: parameter.max.as_deref(),
        })
        .collect();
    let unknown = if parameters.drops_unknown { Unknown::Drop } else { Unknown::Keep };
    match Parameters::new(&rules, unknown) {
        Ok(made) => (!made.is_empty()).then(|| Box::new(made)),
        Err((at, why)) => {
            let place = parameters.list.get(at).map_or(&parameters.place, |p| &p.place);
            builder.error(place, format!("{}: write another, or leave it out", why.explain()));
            None
        }
    }
}

/// What may have been meant by a parameter that no operation documents, if that is near.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    let operations = [
        Operation::Chat,
        Operation::TextCompletion,
        Operation::Embeddings,
        Operation::Responses,
        Operation::Messages,
    ];
    let all: Vec<&'static str> = operations.iter().flat_map(|o| known(*o)).copied().collect();
    if all.contains(&name) { None } else { config::nearest(name, &all) }
}
