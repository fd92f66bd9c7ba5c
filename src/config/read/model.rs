//! `[[model]]`.

use crate::config::check;
use crate::config::file::Model;
use crate::config::policy::Named;
use crate::config::read::level;
use crate::config::read::limits;
use crate::config::read::upstream;
use crate::config::section::Errors;
use crate::config::section::Later;
use crate::config::section::Section;
use std::path::Path;

const MODEL_LATER: &[Later] =
    &[("fallback", "a model has one upstream; give that several endpoints, or leave fallback out")];

pub(super) fn model(
    section: &Section<'_>,
    upstreams: &[&str],
    folder: &Path,
    errors: &mut Errors<'_>,
) -> Model {
    let known = [
        "name",
        "version",
        "aliases",
        "upstream",
        "upstream_model",
        "deadlines",
        "middleware",
        "addresses",
        "limits",
        "when_full",
        "degrade_to",
        "output_tokens",
        "parameters",
    ];
    section.refuse_unknown(&known, MODEL_LATER, errors);
    let name = section.required("name", errors);
    if let Some(name) = &name {
        check::name(name, errors);
        check::has_no_at(name, "version = \"...\"", errors);
    }
    let version = section.string("version", errors);
    if let Some(version) = &version {
        check::name(version, errors);
        check::has_no_at(version, "the version alone", errors);
    }
    let aliases = section.strings("aliases", errors);
    for alias in &aliases {
        check::name(alias, errors);
    }
    let upstream = section.required("upstream", errors);
    if let Some(upstream) = &upstream {
        check::upstream_exists(upstream, upstreams, errors);
    }
    let upstream_model = section.string("upstream_model", errors);
    if let Some(model) = &upstream_model {
        check::name(model, errors);
    }
    let deadlines = section.table("deadlines", errors);
    let deadlines =
        deadlines.map(|section| upstream::deadlines(&section, errors)).unwrap_or_default();
    let name = name.map_or_else(String::new, |name| name.value);
    let degrade_to = section.string("degrade_to", errors);
    let output_tokens = section.number("output_tokens", &(1..=10_000_000), errors);
    Model {
        level: level::level(section, folder, errors),
        limits: limits::limits(section, false, errors),
        when_full: limits::when_full(section, errors),
        degrade_to: degrade_to.map(|found| Named { place: found.place, name: found.value }),
        output_tokens: output_tokens.and_then(|number| u32::try_from(number).ok()),
        parameters: limits::parameters(section, errors),
        place: section.place.clone(),
        version: version.map(|version| version.value),
        aliases: aliases.into_iter().map(|alias| alias.value).collect(),
        upstream: upstream.map_or_else(String::new, |upstream| upstream.value),
        upstream_model: upstream_model.map_or_else(|| name.clone(), |model| model.value),
        deadlines,
        name,
    }
}
