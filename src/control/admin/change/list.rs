//! A list of tables in the file, `[[name]]` or `name = [{ .. }]`: changed in place, what stands around it stays.

use serde_json::Map;
use serde_json::Value as Json;
use toml_edit::Array;
use toml_edit::ArrayOfTables;
use toml_edit::Item;
use toml_edit::Table;
use toml_edit::TableLike;
use toml_edit::Value;

use super::values;

/// One list, however it is written.
pub(super) enum List<'d> {
    /// `[[name]]`, each a table of its own.
    Tables(&'d mut ArrayOfTables),
    /// `name = [{ .. }, { .. }]`.
    Inline(&'d mut Array),
}

impl<'d> List<'d> {
    /// None: the item is no list.
    pub(super) fn of(item: &'d mut Item) -> Option<Self> {
        match item {
            Item::ArrayOfTables(tables) => Some(Self::Tables(tables)),
            Item::Value(Value::Array(array)) => Some(Self::Inline(array)),
            _ => None,
        }
    }

    /// The first of which this is true: its place.
    pub(super) fn position(&self, is_it: impl Fn(&dyn TableLike) -> bool) -> Option<usize> {
        match self {
            Self::Tables(tables) => tables.iter().position(|table| is_it(table)),
            Self::Inline(array) => {
                array.iter().position(|value| value.as_inline_table().is_some_and(|it| is_it(it)))
            }
        }
    }

    /// The one at a place.
    pub(super) fn into_table(self, at: usize) -> Option<&'d mut dyn TableLike> {
        match self {
            Self::Tables(tables) => tables.get_mut(at).map(|table| table as &mut dyn TableLike),
            Self::Inline(array) => {
                let table = array.get_mut(at)?.as_inline_table_mut()?;
                Some(table as &mut dyn TableLike)
            }
        }
    }

    /// Puts one more behind the others, written as they are.
    ///
    /// # Errors
    /// That TOML has no such value, with the field.
    pub(super) fn push(&mut self, fields: &Map<String, Json>) -> Result<(), String> {
        match self {
            Self::Tables(tables) => {
                let mut table = Table::new();
                for (key, json) in values::ordered(fields) {
                    let value = values::to_value(json).map_err(|why| values::under(key, &why))?;
                    table.insert(key, value.into());
                }
                table.decor_mut().set_prefix("\n");
                tables.push(table);
            }
            Self::Inline(array) => push(array, values::to_inline(fields)?.into()),
        }
        Ok(())
    }

    /// Takes one out, with the comments that are its own: those right above it. Gives back what stood farther above, if it
    /// has to go elsewhere: to the table that comes next in the file.
    pub(super) fn remove(&mut self, at: usize) -> Option<Removed> {
        match self {
            Self::Tables(tables) => {
                if at >= tables.len() {
                    return None;
                }
                let table = tables.remove(at);
                let above = text(table.decor().prefix()).to_owned();
                Some(Removed { position: table.position(), above: before_own(&above) })
            }
            Self::Inline(array) => {
                remove(array, at);
                None
            }
        }
    }
}

/// What is left of a `[[table]]` that was taken out.
pub(super) struct Removed {
    /// Where it was among the tables of the file.
    pub(super) position: Option<isize>,
    /// What stood above it and was not its own.
    pub(super) above: String,
}

/// Comments that an empty line parts from the table below are not its own.
fn before_own(above: &str) -> String {
    let lines: Vec<&str> = above.split_inclusive('\n').collect();
    let own = lines.iter().rev().take_while(|line| !line.trim().is_empty()).count();
    let kept: String = lines.iter().take(lines.len() - own).copied().collect();
    if kept.trim().is_empty() { String::new() } else { kept.trim_end().to_owned() + "\n" }
}

fn text(raw: Option<&toml_edit::RawString>) -> &str {
    raw.and_then(toml_edit::RawString::as_str).unwrap_or_default()
}

/// Up to and with the end of the first line, and the rest.
fn first_line(text: &str) -> (&str, &str) {
    text.find('\n').and_then(|at| text.split_at_checked(at + 1)).unwrap_or((text, ""))
}

/// The blanks before what stands on the last line.
fn indent(text: &str) -> String {
    let last = text.rsplit('\n').next().unwrap_or_default();
    last.chars().take_while(|c| matches!(c, ' ' | '\t')).collect()
}

fn push(array: &mut Array, mut value: Value) {
    let Some(last) = array.len().checked_sub(1).and_then(|at| array.get_mut(at)) else {
        array.push(value);
        return;
    };
    let before = text(last.decor().prefix()).to_owned();
    let behind = text(last.decor().suffix()).to_owned();
    let trailing = text(Some(array.trailing())).to_owned();
    // What stands behind the last one, a comment perhaps, stays on its line.
    let end = if array.trailing_comma() { trailing } else { behind };
    if !before.contains('\n') && !end.contains('\n') {
        value.decor_mut().set_prefix(" ");
        if !array.trailing_comma() {
            move_suffix(array, &mut value, &end);
        }
        array.push_formatted(value);
        return;
    }
    let (line, rest) = first_line(&end);
    let line = if line.ends_with('\n') { line.to_owned() } else { format!("{line}\n") };
    value.decor_mut().set_prefix(format!("{line}{}", indent(&before)));
    value.decor_mut().set_suffix("");
    if !array.trailing_comma() {
        move_suffix(array, &mut value, "");
    }
    array.set_trailing(format!("\n{rest}"));
    array.set_trailing_comma(true);
    array.push_formatted(value);
}

/// What was behind the last one comes behind the one that is put there.
fn move_suffix(array: &mut Array, value: &mut Value, suffix: &str) {
    if let Some(last) = array.len().checked_sub(1).and_then(|at| array.get_mut(at)) {
        last.decor_mut().set_suffix("");
    }
    value.decor_mut().set_suffix(suffix);
}

fn remove(array: &mut Array, at: usize) {
    if at >= array.len() {
        return;
    }
    let gone = array.remove(at);
    let before = text(gone.decor().prefix()).to_owned();
    let behind = text(gone.decor().suffix()).to_owned();
    let is_last = at == array.len();
    let has_comma = array.trailing_comma();
    // A comment on the line of the one before is in what stands before this one, and this one's in what comes next.
    let (kept, _) = first_line(&before);
    if !is_last {
        let Some(next) = array.get_mut(at) else { return };
        let lead = text(next.decor().prefix()).to_owned();
        let (_, rest) = first_line(&lead);
        let lead = if lead.contains('\n') { format!("{kept}{rest}") } else { before };
        next.decor_mut().set_prefix(lead);
        return;
    }
    if has_comma {
        let end = text(Some(array.trailing())).to_owned();
        let (_, rest) = first_line(&end);
        if end.contains('\n') && kept.contains('\n') {
            array.set_trailing(format!("{kept}{rest}"));
        }
    } else if let Some(last) = at.checked_sub(1).and_then(|at| array.get_mut(at)) {
        let (_, rest) = first_line(&behind);
        let is_split = behind.contains('\n') && kept.contains('\n');
        let suffix = if is_split { format!("{kept}{rest}") } else { behind };
        last.decor_mut().set_suffix(suffix);
    }
    if array.is_empty() {
        array.set_trailing("");
        array.set_trailing_comma(false);
    }
}

#[cfg(test)]
mod tests;
