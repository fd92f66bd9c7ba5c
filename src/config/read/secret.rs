//! Where a secret is: never in the file itself.

use crate::config::file::KeySource;
use crate::config::file::SecretPlace;
use crate::config::section::Errors;
use crate::config::section::Section;
use std::path::Path;

/// The secret at `key`, if there is one.
pub(super) fn source(
    section: &Section<'_>,
    key: &str,
    folder: &Path,
    errors: &mut Errors<'_>,
) -> Option<KeySource> {
    const INSTEAD: &str = "write { env = \"NAME\" } or { file = \"PATH\" }";
    if !section.has(key) {
        return None;
    }
    let mut quiet = Errors::new("", "");
    let Some(table) = section.table(key, &mut quiet) else {
        let place = section.place_of(key, errors);
        errors.add(&place, format!("a secret is not written into the file: {INSTEAD}"));
        return None;
    };
    let place = section.place_of(key, errors);
    table.refuse_unknown(&["env", "file"], &[], errors);
    let from = match (table.string("env", errors), table.string("file", errors)) {
        (Some(name), None) => {
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if name.value.is_empty() || !name.value.bytes().all(is_name) {
                // What is not a name may be the secret itself, so it is not repeated.
                errors.add(&name.place, "is not the name of a variable: write env = \"NAME\"");
            }
            SecretPlace::Env(name.value)
        }
        (None, Some(path)) => SecretPlace::File(folder.join(path.value)),
        (Some(_), Some(_)) => {
            errors.add(&place, "has both env and file: leave one out");
            return None;
        }
        (None, None) => {
            if !table.has("env") && !table.has("file") {
                errors.add(&place, format!("says not where the secret is: {INSTEAD}"));
            }
            return None;
        }
    };
    Some(KeySource { place, from })
}
