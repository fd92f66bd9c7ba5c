//! Changes within one table of the file: only what is another is written, comments and order stay.

use serde_json::Map;
use serde_json::Value as Json;
use toml_edit::Item;
use toml_edit::TableLike;
use toml_edit::Value;

use super::list::List;
use super::values;

/// By which of its fields one table of a list is told from the others.
const NAMES: &[&str] = &["id", "name"];

/// Makes `table` what `wanted` says: what it does not say goes, but for the fields `kept`.
///
/// # Errors
/// That TOML has no such value, with the field.
pub(super) fn make(
    table: &mut dyn TableLike,
    wanted: &Map<String, Json>,
    kept: &[&str],
) -> Result<(), String> {
    let is_wanted = |key: &str| wanted.get(key).is_some_and(|json| !json.is_null());
    let gone: Vec<String> = table
        .iter()
        .map(|(key, _)| key.to_owned())
        .filter(|key| !is_wanted(key) && !kept.contains(&key.as_str()))
        .collect();
    for key in gone {
        remove(table, &key);
    }
    for (key, json) in wanted.iter().filter(|(_, json)| !json.is_null()) {
        set(table, key, json).map_err(|why| values::under(key, &why))?;
    }
    Ok(())
}

/// Writes one field, unless it says that already.
///
/// # Errors
/// That TOML has no such value.
pub(super) fn set(table: &mut dyn TableLike, key: &str, wanted: &Json) -> Result<(), String> {
    let Some(item) = table.get_mut(key).filter(|item| !item.is_none()) else {
        insert(table, key, values::to_value(wanted)?);
        return Ok(());
    };
    if values::of_item(item) == *wanted {
        return Ok(());
    }
    match (wanted, item.as_table_like_mut()) {
        (Json::Object(fields), Some(inner)) => make(inner, fields, &[]),
        (Json::Array(rows), _) if are_named(rows) => make_list(item, rows),
        _ => replace(item, values::to_value(wanted)?),
    }
}

/// A field fewer, with nothing left behind of it.
pub(super) fn remove(table: &mut dyn TableLike, key: &str) {
    let is_last = table.iter().last().is_some_and(|(last, _)| last == key);
    let gone = table.remove(key);
    let Some(Item::Value(gone)) = gone.filter(|_| is_last) else { return };
    // In one line, what is before the brace belongs to it, not to the field.
    let suffix = gone.decor().suffix().cloned();
    let last = table.iter().last().map(|(last, _)| last.to_owned());
    let last = last.and_then(|last| table.get_mut(&last)).and_then(Item::as_value_mut);
    let suffix = suffix.filter(|suffix| suffix.as_str() == Some(" "));
    if let (Some(last), Some(suffix)) = (last, suffix) {
        last.decor_mut().set_suffix(suffix);
    }
}

/// A field more, behind the others.
fn insert(table: &mut dyn TableLike, key: &str, mut value: Value) {
    let last = table.iter().last().map(|(last, _)| last.to_owned());
    let last = last.and_then(|last| table.get_mut(&last)).and_then(Item::as_value_mut);
    // As above: the blank before the brace comes behind what is last from now on.
    if let Some(last) = last {
        let suffix = last.decor().suffix().and_then(|suffix| suffix.as_str());
        if suffix.is_some_and(|text| text == " ") {
            last.decor_mut().set_suffix("");
            value.decor_mut().set_suffix(" ");
            value.decor_mut().set_prefix(" ");
        }
    }
    table.insert(key, Item::Value(value));
}

/// Another value, with the comments of the one before.
fn replace(item: &mut Item, mut value: Value) -> Result<(), String> {
    if let Item::Value(before) = item {
        *value.decor_mut() = before.decor().clone();
    }
    *item = Item::Value(value);
    Ok(())
}

fn are_named(rows: &[Json]) -> bool {
    !rows.is_empty() && rows.iter().all(|row| name_of(row).is_some())
}

/// The field by which a row is told from the others, and what it says.
fn name_of(row: &Json) -> Option<(&'static str, &str)> {
    NAMES.iter().find_map(|key| Some((*key, row.get(key)?.as_str()?)))
}

/// Rows of the list are told by their names; those that stay, stay where they are.
fn make_list(item: &mut Item, rows: &[Json]) -> Result<(), String> {
    let is_row = |table: &dyn TableLike, row: &Json| {
        name_of(row).is_some_and(|(key, name)| is(table, key, name))
    };
    let Some(mut list) = List::of(item) else {
        return replace(item, values::to_value(&rows.to_vec().into())?);
    };
    while let Some(at) = list.position(|table| !rows.iter().any(|row| is_row(table, row))) {
        list.remove(at);
    }
    for row in rows {
        let Json::Object(fields) = row else { continue };
        let mut list = List::of(item).ok_or_else(|| "is no list".to_owned())?;
        match list.position(|table| is_row(table, row)) {
            None => list.push(fields)?,
            Some(at) => {
                list.into_table(at).map_or(Ok(()), |table| make(table, fields, &[]))?;
            }
        }
    }
    Ok(())
}

/// Whether a field of the table says this.
pub(super) fn is(table: &dyn TableLike, key: &str, text: &str) -> bool {
    table.get(key).and_then(Item::as_str) == Some(text)
}

/// Puts one more key beside those of a tenant.
///
/// # Errors
/// That there is one of this id already, or that `keys` is no list.
pub(super) fn add_key(tenant: &mut dyn TableLike, key: &Map<String, Json>) -> Result<(), String> {
    let id = key.get("id").and_then(Json::as_str).unwrap_or_default();
    if tenant.get("keys").is_none_or(Item::is_none) {
        insert(tenant, "keys", Value::Array(toml_edit::Array::new()));
    }
    let keys = tenant.get_mut("keys").and_then(List::of);
    let mut keys = keys.ok_or_else(|| "keys: is no list".to_owned())?;
    if keys.position(|key| is(key, "id", id)).is_some() {
        return Err(format!(
            "id: there is a key \"{id}\" already: delete it first, or take another id"
        ));
    }
    keys.push(key)
}

/// Takes a key from a tenant; false: it has none of this id.
pub(super) fn remove_key(tenant: &mut dyn TableLike, id: &str) -> bool {
    let Some(mut keys) = tenant.get_mut("keys").and_then(List::of) else { return false };
    let Some(at) = keys.position(|key| is(key, "id", id)) else { return false };
    keys.remove(at);
    let is_empty = match &keys {
        List::Tables(tables) => tables.is_empty(),
        List::Inline(_) => false,
    };
    if is_empty {
        tenant.remove("keys");
    }
    true
}

/// The ids of a tenant's keys.
pub(super) fn key_ids(tenant: &dyn TableLike) -> Vec<String> {
    let keys = tenant.get("keys").map(values::of_item);
    let id = |key: &Json| key.get("id")?.as_str().map(str::to_owned);
    keys.iter().filter_map(Json::as_array).flatten().filter_map(id).collect()
}

/// Digests are those of the table where `wanted` leaves them out: what is shown of a tenant has none, and can be put back.
pub(super) fn with_digests(tenant: &dyn TableLike, wanted: &mut Map<String, Json>) {
    let known = tenant.get("keys").map(values::of_item).unwrap_or_default();
    let digest = |id: &str| {
        let known = known.as_array().into_iter().flatten();
        let mut known = known.filter(|key| key.get("id").and_then(Json::as_str) == Some(id));
        known.next()?.get("sha256").cloned()
    };
    let keys = wanted.get_mut("keys").and_then(Json::as_array_mut).into_iter().flatten();
    for key in keys.filter_map(Json::as_object_mut) {
        let id = key.get("id").and_then(Json::as_str).map(str::to_owned);
        let known = id.filter(|_| !key.contains_key("sha256")).and_then(|id| digest(&id));
        if let Some(sha256) = known {
            key.insert("sha256".to_owned(), sha256);
        }
    }
}

/// Sets what is asked for of an endpoint.
///
/// # Errors
/// Never by what [`EndpointChange`] can say.
pub(super) fn set_endpoint(
    endpoint: &mut dyn TableLike,
    change: EndpointChange,
) -> Result<(), String> {
    if let Some(weight) = change.weight
        && (weight != 1 || endpoint.get("weight").is_some())
    {
        set(endpoint, "weight", &weight.into())?;
    }
    match change.drain {
        Some(true) => set(endpoint, "drain", &true.into())?,
        Some(false) => remove(endpoint, "drain"),
        None => {}
    }
    Ok(())
}

/// What is to become of an endpoint; none: as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EndpointChange {
    /// Its share.
    pub(super) weight: Option<u32>,
    /// Whether it gets no new requests.
    pub(super) drain: Option<bool>,
}
