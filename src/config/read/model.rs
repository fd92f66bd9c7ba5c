//! `[[model]]`.

use crate::config::check;
use crate::config::file::Model;
use crate::config::policy::Named;
use crate::config::read::level;
use crate::config::read::limits;
use crate::config::read::retry;
use crate::config::read::streams;
use crate::config::read::upstream;
use crate::config::section::Elsewhere;
use crate::config::section::Errors;
use crate::config::section::Located;
use crate::config::section::Section;
use std::path::Path;
use std::time::Duration;

const OF_UPSTREAMS: &str = "has no place here: write it into the [[upstream]] of this model";
const MODEL_ELSEWHERE: &[Elsewhere] = &[
    ("balance", OF_UPSTREAMS),
    ("breaker", OF_UPSTREAMS),
    ("continue_final_message", OF_UPSTREAMS),
    ("endpoints", OF_UPSTREAMS),
    ("format", OF_UPSTREAMS),
    ("health", OF_UPSTREAMS),
    ("max_in_flight", OF_UPSTREAMS),
    ("outlier", OF_UPSTREAMS),
    ("pool", OF_UPSTREAMS),
    ("queue", OF_UPSTREAMS),
    ("resumable", OF_UPSTREAMS),
    ("throttle", "has no place here: write it into the [[tenant]]"),
    ("when_all_down", OF_UPSTREAMS),
];

pub(super) fn model(
    section: &Section<'_>,
    upstreams: &[&str],
    heartbeat: Option<Duration>,
    folder: &Path,
    errors: &mut Errors<'_>,
) -> Model {
    let known = [
        "name",
        "version",
        "aliases",
        "versions",
        "upstream",
        "upstream_model",
        "deadlines",
        "retry",
        "fallback",
        "context_fallback",
        "hedge",
        "heartbeat_ms",
        "heartbeat_max_ms",
        "commit_after_ms",
        "reconnect_ms",
        "resume",
        "slow_reader",
        "continue_on_disconnect",
        "middleware",
        "addresses",
        "limits",
        "when_full",
        "degrade_to",
        "output_tokens",
        "parameters",
    ];
    section.refuse_unknown(&known, MODEL_ELSEWHERE, errors);
    let name = section.required("name", errors);
    part_of_label(name.as_ref(), "version = \"...\"", errors);
    let version = section.string("version", errors);
    part_of_label(version.as_ref(), "the version alone", errors);
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
    Model {
        level: level::level(section, folder, errors),
        limits: limits::limits(section, false, errors),
        when_full: limits::when_full(section, errors),
        degrade_to: degrade_to.map(|found| Named { place: found.place, name: found.value }),
        output_tokens: section.count("output_tokens", 1..=10_000_000, errors),
        parameters: limits::parameters(section, errors),
        place: section.place.clone(),
        version: version.map(|version| version.value),
        has_found_versions: versions(section, errors),
        aliases: aliases.into_iter().map(|alias| alias.value).collect(),
        upstream: upstream.map_or_else(String::new, |upstream| upstream.value),
        upstream_model: upstream_model.map_or_else(|| name.clone(), |model| model.value),
        deadlines,
        retry: retry::retry(section, errors),
        fallback: retry::fallback(section, errors),
        context_fallback: retry::context_fallback(section, errors),
        hedge: retry::hedge(section.table("hedge", errors), errors),
        streams: streams::streams(section, heartbeat, errors),
        name,
    }
}

/// `versions`: only one thing can be said of them.
fn versions(section: &Section<'_>, errors: &mut Errors<'_>) -> bool {
    let Some(found) = section.string("versions", errors) else {
        return false;
    };
    if found.value != "discovered" {
        let text =
            "write versions = \"discovered\", or a [[model]] with version = \"...\" for each";
        errors.add(&found.place, text);
    } else if section.has("version") {
        errors.add(&found.place, "this is one version already: leave out version, or versions");
    }
    found.value == "discovered"
}

/// A name, or a version: between the two is an `@`, so neither has one.
fn part_of_label(found: Option<&Located<String>>, instead: &str, errors: &mut Errors<'_>) {
    if let Some(found) = found {
        check::name(found, errors);
        check::has_no_at(found, instead, errors);
    }
}
