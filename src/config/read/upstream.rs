//! `[[upstream]]`.

use crate::config::check;
use crate::config::file::Balance;
use crate::config::file::Ca;
use crate::config::file::DeadlineOverrides;
use crate::config::file::Deadlines;
use crate::config::file::Dialect;
use crate::config::file::Endpoint;
use crate::config::file::Pool;
use crate::config::file::Upstream;
use crate::config::nearest::nearest;
use crate::config::read::secret;
use crate::config::section::Errors;
use crate::config::section::Later;
use crate::config::section::Located;
use crate::config::section::Section;
use crate::config::url::Url;
use std::path::Path;
use std::time::Duration;

const DEADLINES_DEFAULT: Deadlines = Deadlines {
    connect: Duration::from_secs(2),
    first_byte: Duration::from_secs(120),
    gap: Duration::from_secs(60),
    whole: Duration::from_secs(3600),
};
const POOL_DEFAULT: Pool =
    Pool { idle_max: 1024, idle: Duration::from_secs(60), age: Duration::from_secs(3600) };

const UPSTREAM_LATER: &[Later] = &[
    ("discover", "write endpoints = [{ url = \"https://HOST\" }] instead"),
    ("middleware", "write it into [listen], [[tenant]] or [[model]]"),
];
const BALANCE_LATER: &[&str] =
    &["least_connections", "weighted_least_connections", "peak_ewma", "hash"];

pub(super) fn upstream(section: &Section<'_>, folder: &Path, errors: &mut Errors<'_>) -> Upstream {
    let known = ["name", "dialect", "api_key", "balance", "endpoints", "deadlines", "pool", "ca"];
    section.refuse_unknown(&known, UPSTREAM_LATER, errors);
    let name = section.required("name", errors);
    if let Some(name) = &name {
        check::name(name, errors);
    }
    let deadlines = section.table("deadlines", errors);
    let overrides = deadlines.map(|section| self::deadlines(&section, errors)).unwrap_or_default();
    Upstream {
        place: section.place.clone(),
        name: name.map_or_else(String::new, |name| name.value),
        dialect: dialect(section, errors),
        api_key: secret::source(section, "api_key", folder, errors),
        balance: balance(section, errors),
        endpoints: endpoints(section, errors),
        deadlines: DEADLINES_DEFAULT.overridden(&overrides),
        pool: pool(section.table("pool", errors), errors),
        ca: section.string("ca", errors).map(|found| ca(&found, folder, errors)),
    }
}

fn ca(found: &Located<String>, folder: &Path, errors: &mut Errors<'_>) -> Ca {
    if found.value.is_empty() {
        errors.add(&found.place, "may not be empty: write the path of a PEM file");
    }
    Ca { place: found.place.clone(), path: folder.join(&found.value) }
}

fn dialect(section: &Section<'_>, errors: &mut Errors<'_>) -> Dialect {
    let Some(found) = section.string("dialect", errors) else {
        return Dialect::OpenAi;
    };
    match found.value.as_str() {
        "openai" => Dialect::OpenAi,
        "anthropic" => Dialect::Anthropic,
        other => {
            let text = format!("no dialect is called \"{other}\" (there are: openai, anthropic)");
            errors.add(&found.place, text);
            Dialect::OpenAi
        }
    }
}

fn balance(section: &Section<'_>, errors: &mut Errors<'_>) -> Balance {
    let Some(found) = section.string("balance", errors) else {
        return Balance::WeightedRoundRobin;
    };
    match found.value.as_str() {
        "round_robin" => return Balance::RoundRobin,
        "weighted_round_robin" => return Balance::WeightedRoundRobin,
        other if BALANCE_LATER.contains(&other) => errors.add(
            &found.place,
            format!(
                "\"{other}\" is not supported by this version: write \"weighted_round_robin\" \
                 (or \"round_robin\")"
            ),
        ),
        other => {
            let known = ["round_robin", "weighted_round_robin"];
            let meant = nearest(other, &known)
                .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            errors.add(
                &found.place,
                format!(
                    "no balance is called \"{other}\" (there are: {}{meant})",
                    known.join(", ")
                ),
            );
        }
    }
    Balance::WeightedRoundRobin
}

fn endpoints(section: &Section<'_>, errors: &mut Errors<'_>) -> Vec<Endpoint> {
    const EXAMPLE: &str = "endpoints = [{ url = \"https://HOST\" }]";
    let before = errors.list.len();
    let mut endpoints = Vec::new();
    for table in section.tables("endpoints", EXAMPLE, errors) {
        table.refuse_unknown(&["url", "weight"], &[], errors);
        let weight = table.number("weight", &(0..=1000), errors).unwrap_or(1);
        let Some(text) = table.required("url", errors) else {
            continue;
        };
        match Url::parse(&text.value) {
            Ok(url) => endpoints.push(Endpoint {
                place: table.place.clone(),
                url,
                weight: u32::try_from(weight).unwrap_or(1),
            }),
            Err(why) => errors.add(&text.place, why),
        }
    }
    if endpoints.is_empty() && errors.list.len() == before && !section.has("discover") {
        let place = section.place_of("endpoints", errors);
        errors.add(&place, format!("there are no endpoints: write {EXAMPLE}"));
    }
    endpoints
}

pub(super) fn deadlines(section: &Section<'_>, errors: &mut Errors<'_>) -> DeadlineOverrides {
    let known = ["connect_ms", "first_byte_ms", "gap_ms", "whole_ms"];
    section.refuse_unknown(&known, &[], errors);
    DeadlineOverrides {
        connect: section.millis("connect_ms", errors),
        first_byte: section.millis("first_byte_ms", errors),
        gap: section.millis("gap_ms", errors),
        whole: section.millis("whole_ms", errors),
    }
}

fn pool(section: Option<Section<'_>>, errors: &mut Errors<'_>) -> Pool {
    let Some(section) = section else {
        return POOL_DEFAULT;
    };
    section.refuse_unknown(&["idle_max", "idle_ms", "age_ms"], &[], errors);
    let idle_max = section.number("idle_max", &(0..=100_000), errors);
    Pool {
        idle_max: idle_max
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(POOL_DEFAULT.idle_max),
        idle: section.millis("idle_ms", errors).unwrap_or(POOL_DEFAULT.idle),
        age: section.millis("age_ms", errors).unwrap_or(POOL_DEFAULT.age),
    }
}
