//! Models and tenants that registries hold: put behind the file's text, as if somebody had written them there.
//!
//! Keys are `models/NAME`, `models/NAME@VERSION` and `tenants/NAME` below the registry's prefix; a value is a table of the file's
//! schema, as JSON or as TOML, without its name. A value that is wrong is left out, or taken as it was when it was last right,
//! and is said: one registry's mistake neither stops the gateway nor takes a model away.

use std::collections::BTreeMap;
use std::collections::HashSet;

use serde_json::Value;

use crate::config;
use crate::config::Error;
use crate::config::File;
use crate::config::Place;
use crate::snapshot::clashes;

/// The most entries of all registries together; more are left out, the last ones in the order of their keys.
const ENTRIES_MAX: usize = 4096;
/// The longest value, in bytes.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// What a registry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct Held {
    /// The registry's name.
    pub(in crate::control) registry: String,
    /// Whether it wins over the file.
    pub(in crate::control) wins: bool,
    /// Keys, without the prefix, and values.
    pub(in crate::control) entries: Vec<(String, Vec<u8>)>,
}

/// The last values that were right, by registry and key.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Good(BTreeMap<(String, String), String>);

/// What came of it.
#[derive(Debug)]
pub(in crate::control) struct Composed {
    /// The file with what registries hold; whole only where `errors` is empty.
    pub(in crate::control) file: File,
    /// What is wrong with the file itself.
    pub(in crate::control) errors: Vec<Error>,
    /// What is wrong with entries; these were left out, or are as they were before.
    pub(in crate::control) refused: Vec<Error>,
}

/// One entry on its way into the text.
struct Entry {
    registry: String,
    key: String,
    /// Its lines; none: it is left out.
    text: Option<String>,
    is_old: bool,
}

/// Reads `text`, the file called `name`, with what registries hold behind it.
pub(in crate::control) fn compose(
    text: &str,
    name: &str,
    held: &[Held],
    good: &mut Good,
) -> Composed {
    let mut refused = Vec::new();
    let base = without_losers(text, held);
    let own = names(&base);
    let mut entries = entries(held, &own, good, &mut refused);
    loop {
        let (whole, starts) = join(&base, &entries);
        let (file, mut errors) = config::read(&whole, name);
        errors.extend(clashes(&file));
        let first = starts.first().map_or(u32::MAX, |(line, _)| *line);
        let (errors, wrong): (Vec<Error>, Vec<Error>) =
            errors.into_iter().partition(|error| error.place.line < first);
        if wrong.is_empty() {
            if errors.is_empty() {
                keep(&entries, good);
            }
            return Composed { file, errors, refused };
        }
        let mut fallen = HashSet::new();
        for error in wrong {
            let found = starts.iter().rev().find(|(line, _)| *line <= error.place.line);
            let Some((line, at)) = found.copied() else { continue };
            let Some(entry) = entries.get_mut(at) else { continue };
            let place = Place { line: error.place.line - line, path: error.place.path };
            let file = format!("{}:{}", entry.registry, entry.key);
            refused.push(Error { file, place, text: error.text });
            if fallen.insert(at) {
                entry.fall_back(good);
            }
        }
    }
}

impl Entry {
    /// What it was when it was last right; that was tried as well: nothing.
    fn fall_back(&mut self, good: &Good) {
        let before = good.0.get(&(self.registry.clone(), self.key.clone()));
        let before = before.filter(|before| !self.is_old && self.text.as_ref() != Some(before));
        self.text = before.cloned();
        self.is_old = true;
    }
}

/// Remembers what was right.
fn keep(entries: &[Entry], good: &mut Good) {
    let right = entries.iter().filter_map(|entry| {
        Some(((entry.registry.clone(), entry.key.clone()), entry.text.clone()?))
    });
    good.0 = right.collect();
}

/// The file's text and the entries' behind it, and at which line each of these begins.
fn join(base: &str, entries: &[Entry]) -> (String, Vec<(u32, usize)>) {
    let mut whole = base.to_owned();
    if !whole.ends_with('\n') {
        whole.push('\n');
    }
    let mut line = u32::try_from(whole.lines().count()).unwrap_or(u32::MAX) + 1;
    let mut starts = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let Some(text) = &entry.text else { continue };
        starts.push((line, at));
        whole.push_str(text);
        line += u32::try_from(text.lines().count()).unwrap_or(0);
    }
    (whole, starts)
}

fn entries(
    held: &[Held],
    own: &HashSet<String>,
    good: &Good,
    refused: &mut Vec<Error>,
) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut known = own.clone();
    for of in held {
        for (key, value) in &of.entries {
            if known.contains(key) || entries.len() >= ENTRIES_MAX {
                continue;
            }
            known.insert(key.clone());
            let mut entry = Entry {
                registry: of.registry.clone(),
                key: key.clone(),
                text: None,
                is_old: false,
            };
            match render(key, value) {
                Ok(text) => entry.text = Some(text),
                Err(text) => {
                    let file = format!("{}:{key}", of.registry);
                    refused.push(Error { file, place: Place::default(), text });
                    entry.fall_back(good);
                }
            }
            entries.push(entry);
        }
    }
    entries
}

/// An entry as lines of the file.
fn render(key: &str, value: &[u8]) -> Result<String, String> {
    let (kind, name) = match key.split_once('/') {
        Some(("models", name)) if !name.is_empty() => ("model", name),
        Some(("tenants", name)) if !name.is_empty() => ("tenant", name),
        _ => return Err("is no key of ours: there are models/NAME and tenants/NAME".to_owned()),
    };
    if value.len() > VALUE_BYTES_MAX {
        return Err(format!("is {} bytes long: at most {VALUE_BYTES_MAX}", value.len()));
    }
    let text = std::str::from_utf8(value).map_err(|_| "is not UTF-8".to_owned())?;
    let table = table(text)?;
    let (name, version) = match name.split_once('@') {
        Some((name, version)) if kind == "model" => (name, Some(version)),
        _ => (name, None),
    };
    let mut lines = format!("[[{kind}]]\nname = {}\n", quoted(name));
    if let Some(version) = version {
        lines.push_str(&format!("version = {}\n", quoted(version)));
    }
    for (field, value) in table {
        if field == "name" || field == "version" && version.is_some() {
            return Err(format!("says its {field} a second time: its key says it"));
        }
        lines.push_str(&format!("{} = {value}\n", quoted(&field)));
    }
    Ok(lines)
}

/// A table in JSON or in TOML.
fn table(text: &str) -> Result<toml::Table, String> {
    if !text.trim_start().starts_with('{') {
        return toml::from_str(text).map_err(|why| format!("is no TOML: {}", why.message()));
    }
    let value: Value = serde_json::from_str(text).map_err(|why| format!("is no JSON: {why}"))?;
    toml::Table::try_from(value).map_err(|why| format!("cannot be written as TOML: {why}"))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Keys of what the file has itself.
fn names(text: &str) -> HashSet<String> {
    let Ok(tree) = toml::from_str::<toml::Table>(text) else {
        return HashSet::new();
    };
    let of = |kind: &str, folder: &str| -> Vec<String> {
        let tables = tree.get(kind).and_then(toml::Value::as_array);
        let name = |table: &toml::Value| {
            let name = table.get("name")?.as_str()?;
            let version = table.get("version").and_then(toml::Value::as_str);
            let version = version.map_or_else(String::new, |version| format!("@{version}"));
            Some(format!("{folder}/{name}{version}"))
        };
        tables.into_iter().flatten().filter_map(name).collect()
    };
    of("model", "models").into_iter().chain(of("tenant", "tenants")).collect()
}

/// The file's text without the entries that a registry wins over.
fn without_losers(text: &str, held: &[Held]) -> String {
    let winners: HashSet<&str> = held
        .iter()
        .filter(|held| held.wins)
        .flat_map(|held| held.entries.iter().map(|(key, _)| key.as_str()))
        .collect();
    if winners.is_empty() || !names(text).iter().any(|name| winners.contains(name.as_str())) {
        return text.to_owned();
    }
    let Ok(mut document) = text.parse::<toml_edit::DocumentMut>() else {
        return text.to_owned();
    };
    for (kind, folder) in [("model", "models"), ("tenant", "tenants")] {
        let tables = document.get_mut(kind).and_then(toml_edit::Item::as_array_of_tables_mut);
        let Some(tables) = tables else { continue };
        tables.retain(|table| {
            let text = |key: &str| table.get(key).and_then(toml_edit::Item::as_str);
            let version = text("version").map_or_else(String::new, |version| format!("@{version}"));
            let key = format!("{folder}/{}{version}", text("name").unwrap_or_default());
            !winners.contains(key.as_str())
        });
    }
    document.to_string()
}

#[cfg(test)]
mod tests;
