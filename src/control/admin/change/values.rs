//! JSON of the API and TOML of the file: the same values in two ways of writing.

use serde_json::Map;
use serde_json::Value as Json;
use toml_edit::Array;
use toml_edit::InlineTable;
use toml_edit::Item;
use toml_edit::TableLike;
use toml_edit::Value;

/// A table as JSON. Dates are texts.
pub(super) fn of_table(table: &dyn TableLike) -> Map<String, Json> {
    table.iter().map(|(key, item)| (key.to_owned(), of_item(item))).collect()
}

/// An item as JSON.
pub(super) fn of_item(item: &Item) -> Json {
    match item {
        Item::None => Json::Null,
        Item::Value(value) => of_value(value),
        Item::Table(table) => of_table(table).into(),
        Item::ArrayOfTables(tables) => tables.iter().map(|table| of_table(table)).collect(),
    }
}

fn of_value(value: &Value) -> Json {
    match value {
        Value::String(text) => text.value().as_str().into(),
        Value::Integer(number) => (*number.value()).into(),
        Value::Float(number) => (*number.value()).into(),
        Value::Boolean(is_true) => (*is_true.value()).into(),
        Value::Datetime(date) => date.value().to_string().into(),
        Value::Array(array) => array.iter().map(of_value).collect(),
        Value::InlineTable(table) => of_table(table).into(),
    }
}

/// A value as it is written into the file; what is null in a table is left out.
///
/// # Errors
/// That TOML has no such value.
pub(super) fn to_value(json: &Json) -> Result<Value, String> {
    Ok(match json {
        Json::Null => return Err("may not be null: leave it out".to_owned()),
        Json::Bool(is_true) => (*is_true).into(),
        Json::String(text) => text.as_str().into(),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(float)) if number.is_f64() => float.into(),
            _ => return Err(format!("{number} is too large a number")),
        },
        Json::Array(items) => {
            let items = items.iter().map(to_value).collect::<Result<Array, String>>()?;
            Value::Array(items)
        }
        Json::Object(fields) => Value::InlineTable(to_inline(fields)?),
    })
}

/// Fields that are there, in the order in which people write them: first what the table is called.
pub(super) fn ordered(fields: &Map<String, Json>) -> impl Iterator<Item = (&String, &Json)> {
    const FIRST: [&str; 4] = ["id", "name", "version", "url"];
    let first = FIRST.iter().filter_map(|key| fields.get_key_value(*key));
    let others = fields.iter().filter(|(key, _)| !FIRST.contains(&key.as_str()));
    first.chain(others).filter(|(_, json)| !json.is_null())
}

/// The same of a whole table, in one line.
///
/// # Errors
/// As above, with the field's name before it.
pub(super) fn to_inline(fields: &Map<String, Json>) -> Result<InlineTable, String> {
    let mut table = InlineTable::new();
    for (key, json) in ordered(fields) {
        let value = to_value(json).map_err(|why| under(key, &why))?;
        table.insert(key, value);
    }
    Ok(table)
}

/// What is wrong with a field, with the name of the table around it before it.
pub(super) fn under(key: &str, why: &str) -> String {
    let is_path = why.split_once(": ").is_some_and(|(path, _)| !path.contains(' '));
    if is_path { format!("{key}.{why}") } else { format!("{key}: {why}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_goes_in_comes_out() {
        let fields = json!({"a": 1, "b": -2.5, "c": "x\"y", "d": [true, {"e": []}], "f": null});
        let table = to_inline(fields.as_object().unwrap()).unwrap();
        assert_eq!(table.to_string(), r#"{ a = 1, b = -2.5, c = 'x"y', d = [true, { e = [] }] }"#);
        let mut expected = fields;
        expected.as_object_mut().unwrap().remove("f");
        assert_eq!(Json::from(of_table(&table)), expected);
    }

    #[test]
    fn what_toml_has_not_is_said() {
        let wrong = |json: Json| to_inline(json.as_object().unwrap()).unwrap_err();
        assert_eq!(wrong(json!({"a": {"b": [null]}})), "a.b: may not be null: leave it out");
        assert_eq!(wrong(json!({"n": u64::MAX})), "n: 18446744073709551615 is too large a number");
    }
}
