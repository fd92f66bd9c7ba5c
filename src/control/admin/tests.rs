//! Is every page described, and nothing that is not there?

use super::*;
use serde_json::Value;
use std::collections::BTreeSet;

fn described() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// Path and method of all that a page of this list answers; `NAME` and `ID` stand for names.
fn listed() -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for (page, _) in PAGES {
        let path = page.split('?').next().unwrap().to_owned();
        all.insert((path, "get".to_owned()));
    }
    for (page, what) in change::PAGES {
        let path = page.split('?').next().unwrap();
        let path = path.replace("/NAME", "/{name}").replace("/ID", "/{id}");
        let words = what.split([' ', ',', ':', ';']);
        for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
            if words.clone().any(|word| word == method) {
                all.insert((path.clone(), method.to_lowercase()));
            }
        }
    }
    all
}

#[test]
fn every_page_is_described_and_nothing_else() {
    let described = described();
    let mut found = BTreeSet::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            found.insert((path.clone(), method.clone()));
        }
    }
    assert_eq!(found, listed());
}

#[test]
fn what_is_said_of_a_page_is_whole() {
    let described = described();
    assert_eq!(described["openapi"], "3.1.0");
    for (path, item) in described["paths"].as_object().unwrap() {
        let shared = item["parameters"].as_array().cloned().unwrap_or_default();
        for (method, operation) in
            item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters")
        {
            let at = format!("{method} {path}");
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{at}");
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.keys().any(|status| status.starts_with('2')), "{at}");
            assert!(answers.values().all(|answer| answer["description"].is_string()), "{at}");
            let own = operation["parameters"].as_array().cloned().unwrap_or_default();
            let named = |name: &str| {
                let mut all = shared.iter().chain(&own);
                all.any(|parameter| parameter["in"] == "path" && parameter["name"] == name)
            };
            for name in path.split('{').skip(1).filter_map(|rest| rest.split_once('}')) {
                assert!(named(name.0), "{at}: {}", name.0);
            }
        }
    }
}

#[test]
fn what_is_referred_to_is_there() {
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let described = described();
    let mut found = Vec::new();
    references(&described, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(described.pointer(pointer).is_some(), "{reference}");
    }
}
