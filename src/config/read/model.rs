//! `[[model]]`.

use crate::config::check;
use crate::config::file::Model;
use crate::config::read::upstream;
use crate::config::section::Errors;
use crate::config::section::Later;
use crate::config::section::Section;

const MODEL_LATER: &[Later] = &[
    ("fallback", "a model has one upstream; give that several endpoints, or leave fallback out"),
    ("middleware", "leave it out"),
];

pub(super) fn model(section: &Section<'_>, upstreams: &[&str], errors: &mut Errors<'_>) -> Model {
    let known = ["name", "version", "aliases", "upstream", "upstream_model", "deadlines"];
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
    Model {
        place: section.place.clone(),
        version: version.map(|version| version.value),
        aliases: aliases.into_iter().map(|alias| alias.value).collect(),
        upstream: upstream.map_or_else(String::new, |upstream| upstream.value),
        upstream_model: upstream_model.map_or_else(|| name.clone(), |model| model.value),
        deadlines,
        name,
    }
}
