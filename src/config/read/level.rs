//! What `[listen]`, `[[tenant]]` and `[[model]]` have alike: `middleware` and `addresses`.

use crate::config::cidr;
use crate::config::policy::Addresses;
use crate::config::policy::FileSource;
use crate::config::policy::Level;
use crate::config::policy::Middleware;
use crate::config::policy::Step;
use crate::config::section::Errors;
use crate::config::section::Section;
use crate::config::section::kind;
use std::path::Path;

const EXAMPLE: &str = "middleware = [\"address\", { any = [\"key\", \"jwt\"] }, \"limit\"]";

/// The level that the table describes.
pub(super) fn level(section: &Section<'_>, folder: &Path, errors: &mut Errors<'_>) -> Level {
    let addresses = section.table("addresses", errors);
    Level {
        middleware: middleware(section, errors),
        addresses: addresses.map(|section| self::addresses(&section, folder, errors)),
    }
}

fn middleware(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Middleware> {
    if !section.has("middleware") {
        return None;
    }
    let place = section.place_of("middleware", errors);
    let mut steps = Vec::new();
    for item in section.items("middleware", EXAMPLE, errors) {
        let step = if let Some(name) = item.value.as_str() {
            Some(Step::One(name.to_owned()))
        } else if let Some(table) = item.value.as_table() {
            combination(&Section::new(table, item.place.clone()), errors)
        } else {
            let found = kind(item.value);
            let text = format!("expected the name of a step, found {found}: write {EXAMPLE}");
            errors.add(&item.place, text);
            None
        };
        steps.extend(step.map(|step| (item.place, step)));
    }
    Some(Middleware { place, steps })
}

fn combination(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Step> {
    const INSTEAD: &str =
        "write { any = [\"key\", \"jwt\"] } or { all = [\"key\", \"signature\"] }";
    section.refuse_unknown(&["any", "all"], &[], errors);
    let names = |key: &str, errors: &mut Errors<'_>| -> Vec<String> {
        section.strings(key, errors).into_iter().map(|name| name.value).collect()
    };
    match (section.has("any"), section.has("all")) {
        (true, false) => Some(Step::Any(names("any", errors))),
        (false, true) => Some(Step::All(names("all", errors))),
        (true, true) => {
            errors.add(&section.place, "has both any and all: leave one out");
            None
        }
        (false, false) => {
            errors.add(&section.place, format!("says neither any nor all: {INSTEAD}"));
            None
        }
    }
}

fn addresses(section: &Section<'_>, folder: &Path, errors: &mut Errors<'_>) -> Addresses {
    section.refuse_unknown(&["allow", "deny", "allow_file", "deny_file"], &[], errors);
    Addresses {
        place: section.place.clone(),
        allow: cidr::list(section, "allow", errors),
        deny: cidr::list(section, "deny", errors),
        allow_file: path(section, "allow_file", folder, errors),
        deny_file: path(section, "deny_file", folder, errors),
    }
}

/// A path, from the file's own folder.
pub(super) fn path(
    section: &Section<'_>,
    key: &str,
    folder: &Path,
    errors: &mut Errors<'_>,
) -> Option<FileSource> {
    let found = section.string(key, errors)?;
    if found.value.is_empty() {
        errors.add(&found.place, "may not be empty: write the path of a file");
        return None;
    }
    Some(FileSource { place: found.place, path: folder.join(found.value) })
}
