//! A table of the file being read: typed values by key, errors collected instead of returned.

mod value;

use crate::config::error::Error;
use crate::config::error::Place;
use crate::config::nearest::suggest;
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

pub(crate) use value::Switch;
pub use value::show_hundredths;

/// The longest time that can be written, in milliseconds: 7 days.
const MILLIS_MAX: u64 = 604_800_000;

/// What is wrong so far, and what is needed to say where.
pub(crate) struct Errors<'t> {
    file: &'t str,
    line_starts: Vec<usize>,
    pub(crate) list: Vec<Error>,
}

impl<'t> Errors<'t> {
    pub(crate) fn new(file: &'t str, text: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect();
        Self { file, line_starts, list: Vec::new() }
    }

    /// The line of the byte at `offset`, from 1.
    pub(crate) fn line(&self, offset: usize) -> u32 {
        u32::try_from(self.line_starts.partition_point(|start| *start <= offset))
            .unwrap_or(u32::MAX)
    }

    pub(crate) fn add(&mut self, place: &Place, text: impl Into<String>) {
        self.list.push(Error {
            file: self.file.to_owned(),
            place: place.clone(),
            text: text.into(),
        });
    }
}

/// A value and where it is.
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// A key that is a name, its value, and where that is.
pub(crate) struct Entry<'t> {
    pub(crate) name: &'t str,
    pub(crate) value: &'t DeValue<'t>,
    pub(crate) place: Place,
}

/// One table.
pub(crate) struct Section<'t> {
    table: &'t DeTable<'t>,
    pub(crate) place: Place,
}

/// A key that is not supported, or belongs elsewhere: (key, why it is not taken, and what to do instead).
pub(crate) type Elsewhere = (&'static str, &'static str);

impl<'t> Section<'t> {
    pub(crate) fn new(table: &'t DeTable<'t>, place: Place) -> Self {
        Self { table, place }
    }

    fn child_path(&self, key: &str) -> String {
        if self.place.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.place.path)
        }
    }

    fn find(&self, key: &str, errors: &Errors<'_>) -> Option<(&'t DeValue<'t>, Place)> {
        let value = self.table.get(key)?;
        let place = Place { line: errors.line(value.span().start), path: self.child_path(key) };
        Some((value.get_ref(), place))
    }

    /// Every key that is not in `known`, in the file's order, for tables whose keys are names.
    pub(crate) fn others(&self, known: &[&str], errors: &Errors<'_>) -> Vec<Entry<'t>> {
        let keys = self.table.iter().filter(|(key, _)| !known.contains(&key.get_ref().as_ref()));
        let mut keys: Vec<_> = keys.collect();
        keys.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (&'t Spanned<_>, &'t Spanned<DeValue<'t>>)| {
            let name: &'t str = <Spanned<std::borrow::Cow<'t, str>>>::get_ref(key);
            let place =
                Place { line: errors.line(value.span().start), path: self.child_path(name) };
            Entry { name, value: value.get_ref(), place }
        };
        keys.into_iter().map(entry).collect()
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where `key` is, or the table where it is not.
    pub(crate) fn place_of(&self, key: &str, errors: &Errors<'_>) -> Place {
        self.find(key, errors).map_or_else(|| self.place.clone(), |(_, place)| place)
    }

    /// An error for every key that is not in `known`.
    pub(crate) fn refuse_unknown(
        &self,
        known: &[&str],
        elsewhere: &[Elsewhere],
        errors: &mut Errors<'_>,
    ) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let place = Place { line: errors.line(key.span().start), path: self.child_path(name) };
            let text = match elsewhere.iter().find(|(key, _)| *key == name) {
                Some((_, instead)) => (*instead).to_owned(),
                None => format!("unknown key \"{name}\" ({})", suggest(name, known)),
            };
            errors.add(&place, text);
        }
    }

    /// A value of one type; an error where it has another one.
    pub(crate) fn typed<T>(
        &self,
        key: &str,
        wanted: &str,
        errors: &mut Errors<'_>,
        pick: impl Fn(&'t DeValue<'t>) -> Option<T>,
    ) -> Option<Located<T>> {
        let (value, place) = self.find(key, errors)?;
        if let Some(value) = pick(value) {
            return Some(Located { value, place });
        }
        errors.add(&place, format!("expected {wanted}, found {}", kind(value)));
        None
    }

    pub(crate) fn string(&self, key: &str, errors: &mut Errors<'_>) -> Option<Located<String>> {
        let example = format!("a string: write {key} = \"...\"");
        let found = self.typed(key, &example, errors, DeValue::as_str)?;
        Some(Located { value: found.value.to_owned(), place: found.place })
    }

    /// A string that must be there and may not be empty.
    pub(crate) fn required(&self, key: &str, errors: &mut Errors<'_>) -> Option<Located<String>> {
        if !self.has(key) {
            errors.add(&self.place, format!("{key} is missing: write {key} = \"...\""));
            return None;
        }
        let found = self.string(key, errors)?;
        if found.value.is_empty() {
            errors.add(&found.place, "may not be empty");
            return None;
        }
        Some(found)
    }

    pub(crate) fn boolean(&self, key: &str, default: bool, errors: &mut Errors<'_>) -> bool {
        self.typed(key, "true or false (without quotes)", errors, DeValue::as_bool)
            .map_or(default, |found| found.value)
    }

    /// A whole number within `range`.
    pub(crate) fn number(
        &self,
        key: &str,
        range: &RangeInclusive<u64>,
        errors: &mut Errors<'_>,
    ) -> Option<u64> {
        let (low, high) = (range.start(), range.end());
        let wanted = format!("a whole number from {low} to {high}");
        let found = self.typed(key, &wanted, errors, DeValue::as_integer)?;
        let number = u64::from_str_radix(found.value.as_str(), found.value.radix()).ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            errors.add(&found.place, format!("{} is out of range: write {wanted}", found.value));
        }
        number
    }

    /// A number of milliseconds, from 1 ms to 7 days.
    pub(crate) fn millis(&self, key: &str, errors: &mut Errors<'_>) -> Option<Duration> {
        self.number(key, &(1..=MILLIS_MAX), errors).map(Duration::from_millis)
    }

    pub(crate) fn table(&self, key: &str, errors: &mut Errors<'_>) -> Option<Self> {
        let example = format!("a table: write {key} = {{ ... }}");
        let found = self.typed(key, &example, errors, DeValue::as_table)?;
        Some(Section::new(found.value, found.place))
    }

    /// The tables of an array of tables, `[[key]]` or `key = [{ .. }, ..]`.
    pub(crate) fn tables(&self, key: &str, example: &str, errors: &mut Errors<'_>) -> Vec<Self> {
        let mut sections = Vec::new();
        for item in self.items(key, example, errors) {
            match item.value.as_table() {
                Some(table) => sections.push(Section::new(table, item.place)),
                None => errors.add(
                    &item.place,
                    format!("expected a table, found {}: write {example}", kind(item.value)),
                ),
            }
        }
        sections
    }

    pub(crate) fn strings(&self, key: &str, errors: &mut Errors<'_>) -> Vec<Located<String>> {
        let example = format!("{key} = [\"...\"]");
        let mut strings = Vec::new();
        for item in self.items(key, &example, errors) {
            match item.value.as_str() {
                Some(text) if !text.is_empty() => {
                    strings.push(Located { value: text.to_owned(), place: item.place });
                }
                Some(_) => errors.add(&item.place, "may not be empty"),
                None => errors.add(
                    &item.place,
                    format!("expected a string, found {}: write {example}", kind(item.value)),
                ),
            }
        }
        strings
    }

    pub(crate) fn items(
        &self,
        key: &str,
        example: &str,
        errors: &mut Errors<'_>,
    ) -> Vec<Located<&'t DeValue<'t>>> {
        let wanted = format!("an array: write {example}");
        let Some(found) = self.typed(key, &wanted, errors, DeValue::as_array) else {
            return Vec::new();
        };
        let items: &'t [Spanned<DeValue<'t>>] = found.value;
        items
            .iter()
            .enumerate()
            .map(|(index, item)| Located {
                value: item.get_ref(),
                place: Place {
                    line: errors.line(item.span().start),
                    path: format!("{}[{index}]", found.place.path),
                },
            })
            .collect()
    }
}

/// A value's type in words. Never the value: it may be a secret in the wrong place.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
