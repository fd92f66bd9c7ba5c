//! `limits`, `when_full` and `parameters`.

use crate::config::limits;
use crate::config::limits::Raw;
use crate::config::limits::TIMED;
use crate::config::policy::Count;
use crate::config::policy::LIMIT_MAX;
use crate::config::policy::ModelLimits;
use crate::config::policy::Named;
use crate::config::policy::Parameter;
use crate::config::policy::Parameters;
use crate::config::policy::Quotas;
use crate::config::policy::WhenFull;
use crate::config::section::Entry;
use crate::config::section::Errors;
use crate::config::section::Section;
use crate::config::section::kind;
use std::time::Duration;
use toml::de::DeValue;

/// `limits` of the table; only a tenant's has `models`.
pub(super) fn limits(section: &Section<'_>, has_models: bool, errors: &mut Errors<'_>) -> Quotas {
    let Some(section) = section.table("limits", errors) else {
        return Quotas::default();
    };
    let mut limits = Quotas {
        place: section.place.clone(),
        counts: counts(&section, has_models, errors),
        models: Vec::new(),
    };
    if has_models && let Some(models) = section.table("models", errors) {
        for entry in models.others(&[], errors) {
            let Some(table) = table(&entry, "{ requests_per_minute = 60 }", errors) else {
                continue;
            };
            let counts = counts(&table, false, errors);
            let model = Named { place: entry.place, name: entry.name.to_owned() };
            limits.models.push(ModelLimits { model, counts });
        }
    }
    limits
}

fn counts(section: &Section<'_>, has_models: bool, errors: &mut Errors<'_>) -> Vec<Count> {
    let known = [
        "requests_per_second",
        "requests_per_minute",
        "requests_per_hour",
        "requests_per_day",
        "tokens_per_second",
        "tokens_per_minute",
        "tokens_per_hour",
        "tokens_per_day",
        "concurrent",
        "algorithm",
        "burst",
        "models",
    ];
    let (_, without_models) = known.split_last().unwrap_or((&"", &[]));
    section.refuse_unknown(if has_models { &known } else { without_models }, &[], errors);
    let mut raw = Raw::default();
    for ((key, _, _), slot) in TIMED.iter().zip(&mut raw.numbers) {
        *slot = number(section, key, errors);
    }
    raw.concurrent = number(section, "concurrent", errors);
    if let Some(found) = section.string("algorithm", errors) {
        match limits::algorithm(&found.value) {
            Ok(algorithm) => raw.algorithm = Some(algorithm),
            Err(why) => errors.add(&found.place, why),
        }
    }
    if let Some(section) = section.table("burst", errors) {
        burst(&section, &mut raw, errors);
    }
    raw.counts().unwrap_or_else(|(key, why)| {
        let inside = section.table("burst", errors);
        let key = key.trim_start_matches("burst.");
        let place = inside.map_or_else(|| section.place.clone(), |s| s.place_of(key, errors));
        errors.add(&place, why);
        Vec::new()
    })
}

fn burst(section: &Section<'_>, raw: &mut Raw, errors: &mut Errors<'_>) {
    section.refuse_unknown(&["requests", "tokens"], &[], errors);
    raw.burst_requests = number(section, "requests", errors);
    raw.burst_tokens = number(section, "tokens", errors);
}

fn number(section: &Section<'_>, key: &str, errors: &mut Errors<'_>) -> Option<u32> {
    let number = section.number(key, &(1..=u64::from(LIMIT_MAX)), errors)?;
    u32::try_from(number).ok()
}

/// The table that a key with a name has as its value.
pub(super) fn table<'t>(
    entry: &Entry<'t>,
    example: &str,
    errors: &mut Errors<'_>,
) -> Option<Section<'t>> {
    let table = entry.value.as_table();
    if table.is_none() {
        let found = kind(entry.value);
        let name = entry.name;
        let text = format!("expected a table, found {found}: write {name} = {example}");
        errors.add(&entry.place, text);
    }
    Some(Section::new(table?, entry.place.clone()))
}

/// `when_full` of the table.
pub(super) fn when_full(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<WhenFull> {
    const INSTEAD: &str =
        "write \"reject\", \"degrade\" or { queue = { waiting_max = 100, wait_ms = 5000 } }";
    if !section.has("when_full") {
        return None;
    }
    let place = section.place_of("when_full", errors);
    let mut quiet = Errors::new("", "");
    if let Some(word) = section.string("when_full", &mut quiet) {
        match word.value.as_str() {
            "reject" => return Some(WhenFull::Reject),
            "degrade" => return Some(WhenFull::Degrade),
            other => errors.add(&place, format!("\"{other}\" is not known: {INSTEAD}")),
        }
        return None;
    }
    let Some(table) = section.table("when_full", &mut quiet) else {
        errors.add(&place, format!("is neither a word nor a table: {INSTEAD}"));
        return None;
    };
    table.refuse_unknown(&["queue"], &[], errors);
    let Some(queue) = table.table("queue", errors) else {
        if !table.has("queue") {
            errors.add(&place, format!("does not say what happens: {INSTEAD}"));
        }
        return None;
    };
    Some(self::queue(&queue, errors))
}

fn queue(section: &Section<'_>, errors: &mut Errors<'_>) -> WhenFull {
    section.refuse_unknown(&["waiting_max", "wait_ms"], &[], errors);
    let waiting_max = section.number("waiting_max", &(1..=100_000), errors);
    WhenFull::Queue {
        waiting_max: waiting_max.and_then(|number| u32::try_from(number).ok()).unwrap_or(100),
        wait: section.millis("wait_ms", errors).unwrap_or(Duration::from_secs(5)),
    }
}

/// `parameters` of a model.
pub(super) fn parameters(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Parameters> {
    let section = section.table("parameters", errors)?;
    let mut parameters =
        Parameters { place: section.place.clone(), drops_unknown: false, list: Vec::new() };
    if let Some(found) = section.string("unknown", errors) {
        match found.value.as_str() {
            "keep" => {}
            "drop" => parameters.drops_unknown = true,
            other => errors
                .add(&found.place, format!("\"{other}\" is not known: write \"keep\" or \"drop\"")),
        }
    }
    for entry in section.others(&["unknown"], errors) {
        if let Some(table) = table(&entry, "{ default = 1, max = 10 }", errors) {
            parameters.list.push(parameter(&table, entry.name, errors));
        }
    }
    Some(parameters)
}

fn parameter(section: &Section<'_>, name: &str, errors: &mut Errors<'_>) -> Parameter {
    section.refuse_unknown(&["default", "min", "max"], &[], errors);
    let parameter = Parameter {
        place: section.place.clone(),
        name: name.to_owned(),
        default: value(section, "default", errors).map(|value| value.to_string()),
        min: bound(section, "min", errors),
        max: bound(section, "max", errors),
    };
    let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<f64>().ok());
    let (min, max) = (number(&parameter.min), number(&parameter.max));
    if let (Some(low), Some(high)) = (min, max)
        && low > high
    {
        errors.add(&parameter.place, "its min is over its max: exchange them");
    } else if let Some(default) = &parameter.default
        && (min.is_some() || max.is_some())
    {
        let number = default.parse::<f64>().ok();
        let is_within = number.is_some_and(|number| {
            min.is_none_or(|min| min <= number) && max.is_none_or(|max| number <= max)
        });
        if !is_within {
            let place = section.place_of("default", errors);
            errors.add(&place, "is not a number within min and max: write one");
        }
    }
    parameter
}

/// A bound as JSON.
fn bound(section: &Section<'_>, key: &str, errors: &mut Errors<'_>) -> Option<String> {
    let value = value(section, key, errors)?;
    if value.is_number() {
        return Some(value.to_string());
    }
    let place = section.place_of(key, errors);
    errors.add(&place, format!("expected a number: write for instance {key} = 4096"));
    None
}

fn value(section: &Section<'_>, key: &str, errors: &mut Errors<'_>) -> Option<serde_json::Value> {
    if !section.has(key) {
        return None;
    }
    let found = section.typed(key, "what JSON can say (no date, no infinity)", errors, json)?;
    Some(found.value)
}

/// The same in JSON, which has no dates, no infinities, and of whole numbers only those of 64 bits.
fn json(value: &DeValue<'_>) -> Option<serde_json::Value> {
    Some(match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok()?.into()
        }
        DeValue::Float(number) => {
            serde_json::Number::from_f64(number.as_str().parse().ok()?)?.into()
        }
        DeValue::Boolean(is) => (*is).into(),
        DeValue::Datetime(_) => return None,
        DeValue::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(|item| json(item.get_ref())).collect();
            items?.into()
        }
        DeValue::Table(table) => {
            let pairs = table
                .iter()
                .map(|(key, value)| Some((key.get_ref().to_string(), json(value.get_ref())?)));
            serde_json::Value::Object(pairs.collect::<Option<_>>()?)
        }
    })
}
