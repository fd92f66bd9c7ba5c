//! `[[route]]`.

use crate::config::check;
use crate::config::policy::Named;
use crate::config::routes::Match;
use crate::config::routes::Route;
use crate::config::routes::Shadow;
use crate::config::routes::Share;
use crate::config::routes::Sticky;
use crate::config::routes::VersionSpec;
use crate::config::section::Errors;
use crate::config::section::Located;
use crate::config::section::Section;

const SPLIT_EXAMPLE: &str = "split = [{ version = \"1.2.0\", weight = 90 }]";
const MATCH_EXAMPLE: &str = "match = [{ header = \"x-canary\", version = \"2.0.0\" }]";

/// One `[[route]]`.
pub(super) fn route(section: &Section<'_>, errors: &mut Errors<'_>) -> Route {
    let known = ["model", "labels", "split", "sticky", "match", "shadow"];
    section.refuse_unknown(&known, &[], errors);
    let model = section.required("model", errors);
    let model = model.map(|found| Named { place: found.place, name: found.value });
    let split = section.tables("split", SPLIT_EXAMPLE, errors);
    let split: Vec<Share> = split.iter().filter_map(|section| share(section, errors)).collect();
    if !split.is_empty() && split.iter().all(|share| share.weight == 0) {
        let place = section.place_of("split", errors);
        errors.add(&place, "all weights are 0, so that no version is ever chosen");
    }
    if split.is_empty() && section.has("sticky") {
        let place = section.place_of("sticky", errors);
        errors.add(&place, format!("needs versions to keep apart: write {SPLIT_EXAMPLE}"));
    }
    let matches = section.tables("match", MATCH_EXAMPLE, errors);
    Route {
        place: section.place.clone(),
        model: model.unwrap_or(Named { place: section.place.clone(), name: String::new() }),
        labels: labels(section, errors),
        split,
        sticky: sticky(section, errors),
        matches: matches.iter().filter_map(|section| matching(section, errors)).collect(),
        shadow: section.table("shadow", errors).and_then(|section| shadow(&section, errors)),
    }
}

fn version(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<VersionSpec> {
    let found = section.required("version", errors)?;
    check::name(&found, errors);
    Some(VersionSpec { place: found.place, text: found.value })
}

fn share(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Share> {
    section.refuse_unknown(&["version", "weight"], &[], errors);
    let weight = section.count("weight", 0..=1_000_000, errors).unwrap_or(1);
    Some(Share { version: version(section, errors)?, weight })
}

fn labels(section: &Section<'_>, errors: &mut Errors<'_>) -> Vec<(String, VersionSpec)> {
    let Some(section) = section.table("labels", errors) else {
        return Vec::new();
    };
    let mut labels = Vec::new();
    for entry in section.others(&[], errors) {
        match entry.value.as_str() {
            Some(text) if !text.is_empty() => {
                let spec = VersionSpec { place: entry.place, text: text.to_owned() };
                labels.push((entry.name.to_owned(), spec));
            }
            _ => errors
                .add(&entry.place, "a label stands for a version: write \"1.2.0\" or \"^1.2\""),
        }
    }
    labels
}

fn sticky(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Sticky> {
    const INSTEAD: &str = "write \"tenant\", \"user\" or { header = \"NAME\" }";
    if !section.has("sticky") {
        return None;
    }
    let place = section.place_of("sticky", errors);
    let mut quiet = Errors::new("", "");
    if let Some(table) = section.table("sticky", &mut quiet) {
        table.refuse_unknown(&["header"], &[], errors);
        let header = table.required("header", errors);
        return Some(Sticky::Header(field(header, errors)?));
    }
    match section.string("sticky", errors)?.value.as_str() {
        "tenant" => Some(Sticky::Tenant),
        "user" => Some(Sticky::User),
        other => {
            errors.add(&place, format!("\"{other}\" is nothing that stays the same: {INSTEAD}"));
            None
        }
    }
}

/// The name of a field, in lower case.
fn field(name: Option<Located<String>>, errors: &mut Errors<'_>) -> Option<String> {
    let name = name?;
    if !check::is_field_name(&name.value) {
        let text = "is not the name of a field: write for instance \"x-canary\"";
        errors.add(&name.place, text);
        return None;
    }
    Some(name.value.to_ascii_lowercase())
}

fn matching(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Match> {
    section.refuse_unknown(&["header", "value", "version"], &[], errors);
    let header = section.required("header", errors);
    let header = field(header, errors);
    let value = section.string("value", errors);
    let version = version(section, errors);
    Some(Match { header: header?, value: value.map(|value| value.value), version: version? })
}

fn shadow(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Shadow> {
    section.refuse_unknown(&["version", "percent"], &[], errors);
    let share = section.hundredths("percent", 0..=10_000, errors).unwrap_or(10_000);
    Some(Shadow { version: version(section, errors)?, share })
}
