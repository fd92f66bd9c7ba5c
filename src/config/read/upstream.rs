//! `[[upstream]]`.

use crate::config::check;
use crate::config::deadlines::DeadlineOverrides;
use crate::config::deadlines::Deadlines;
use crate::config::deadlines::Pool;
use crate::config::file::Ca;
use crate::config::file::Dialect;
use crate::config::file::Endpoint;
use crate::config::file::Upstream;
use crate::config::read::balance;
use crate::config::read::discover;
use crate::config::read::health;
use crate::config::read::health::not_longer;
use crate::config::read::secret;
use crate::config::read::streams;
use crate::config::resilience::Adaptive;
use crate::config::resilience::AttemptDeadline;
use crate::config::section::Elsewhere;
use crate::config::section::Errors;
use crate::config::section::Located;
use crate::config::section::Section;
use crate::config::url::Url;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const DEADLINES_DEFAULT: Deadlines = Deadlines {
    connect: Duration::from_secs(2),
    first_byte: Duration::from_secs(120),
    gap: Duration::from_secs(60),
    whole: Duration::from_secs(3600),
    attempt: None,
};
const POOL_DEFAULT: Pool = Pool {
    idle_min: 0,
    idle_max: 1024,
    connections_max: None,
    idle: Duration::from_secs(60),
    age: Duration::from_secs(3600),
    leak: Duration::from_secs(120),
};

/// The most requests and the most connections of an endpoint that can be asked for.
const CONNECTIONS_MAX: u32 = 100_000;

const UPSTREAM_ELSEWHERE: &[Elsewhere] = &[
    ("middleware", "has no place here: write it into [listen], [[tenant]] or [[model]]"),
    ("retry", OF_MODELS),
    ("fallback", OF_MODELS),
    ("context_fallback", OF_MODELS),
    ("hedge", OF_MODELS),
    ("heartbeat_ms", OF_MODELS),
    ("heartbeat_max_ms", OF_MODELS),
    ("commit_after_ms", OF_MODELS),
    ("reconnect_ms", OF_MODELS),
    ("resume", OF_MODELS),
    ("slow_reader", OF_MODELS),
    ("continue_on_disconnect", OF_MODELS),
    ("throttle", "has no place here: write it into the [[tenant]]"),
];
const OF_MODELS: &str = "has no place here: write it into the [[model]]s of this upstream";

pub(super) fn upstream(section: &Section<'_>, folder: &Path, errors: &mut Errors<'_>) -> Upstream {
    let known = [
        "name",
        "dialect",
        "format",
        "continue_final_message",
        "resumable",
        "api_key",
        "balance",
        "hash",
        "endpoints",
        "discover",
        "minimum_healthy",
        "locality",
        "damping",
        "slow_start_ms",
        "max_in_flight",
        "queue",
        "when_all_down",
        "health",
        "breaker",
        "outlier",
        "deadlines",
        "pool",
        "ca",
    ];
    section.refuse_unknown(&known, UPSTREAM_ELSEWHERE, errors);
    let name = section.required("name", errors);
    if let Some(name) = &name {
        check::name(name, errors);
    }
    let deadlines = section.table("deadlines", errors);
    let overrides = deadlines.map(|section| self::deadlines(&section, errors)).unwrap_or_default();
    let dialect = dialect(section, errors);
    let (balance, hash) = balance::balance(section, errors);
    Upstream {
        place: section.place.clone(),
        base: name.as_ref().map_or_else(String::new, |name| name.value.clone()),
        name: name.map_or_else(String::new, |name| name.value),
        dialect,
        format: streams::format(section, dialect, errors),
        continues: section.boolean("continue_final_message", false, errors),
        is_resumable: section.boolean("resumable", false, errors),
        api_key: secret::source(section, "api_key", folder, errors),
        balance,
        hash,
        endpoints: endpoints(section, errors),
        discover: discover::discover(section, folder, errors),
        minimum_healthy: section.count("minimum_healthy", 0..=4096, errors).unwrap_or(1),
        locality: discover::locality(section, errors),
        damping: discover::damping(section, errors),
        slow_start: section.millis_or_zero("slow_start_ms", errors).unwrap_or_default(),
        max_in_flight: section.count("max_in_flight", 1..=CONNECTIONS_MAX, errors),
        queue: balance::queue(section.table("queue", errors), errors),
        all_down: balance::all_down(section, errors),
        health: health::health(section, errors),
        breaker: health::breaker(section, errors),
        outlier: health::outlier(section, errors),
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
    let found = section.one_of("dialect", "dialect", &Dialect::ALL, Dialect::label, errors);
    found.unwrap_or(Dialect::OpenAi)
}

fn endpoints(section: &Section<'_>, errors: &mut Errors<'_>) -> Vec<Arc<Endpoint>> {
    const EXAMPLE: &str = "endpoints = [{ url = \"https://HOST\" }]";
    let before = errors.list.len();
    let mut endpoints = Vec::new();
    for table in section.tables("endpoints", EXAMPLE, errors) {
        let known = [
            "url", "weight", "region", "zone", "model", "version", "capacity", "headroom", "drain",
        ];
        table.refuse_unknown(&known, &[], errors);
        let traits = discover::traits(&table, errors);
        let weight = table.number("weight", &(0..=1000), errors).unwrap_or(1);
        let Some(text) = table.required("url", errors) else {
            continue;
        };
        match Url::parse(&text.value) {
            Ok(url) => endpoints.push(Arc::new(Endpoint {
                place: table.place.clone(),
                url,
                weight: u32::try_from(weight).unwrap_or(1),
                traits,
                source: None,
                is_stale: false,
                name: None,
            })),
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
    let known = ["connect_ms", "first_byte_ms", "gap_ms", "whole_ms", "attempt_ms", "adaptive"];
    section.refuse_unknown(&known, &[], errors);
    let attempt = section.millis("attempt_ms", errors).map(AttemptDeadline::Fixed);
    let adaptive = section.table("adaptive", errors);
    let adaptive =
        adaptive.map(|section| AttemptDeadline::Adaptive(self::adaptive(&section, errors)));
    if section.has("attempt_ms") && section.has("adaptive") {
        let text = "is said by attempt_ms already: leave one of them out";
        errors.add(&section.place_of("adaptive", errors), text);
    }
    DeadlineOverrides {
        connect: section.millis("connect_ms", errors),
        first_byte: section.millis("first_byte_ms", errors),
        gap: section.millis("gap_ms", errors),
        whole: section.millis("whole_ms", errors),
        attempt: attempt.or(adaptive),
    }
}

fn adaptive(section: &Section<'_>, errors: &mut Errors<'_>) -> Adaptive {
    section.refuse_unknown(&["factor", "min_ms", "max_ms", "samples_min"], &[], errors);
    let default = Adaptive::default();
    let factor_percent = section.hundredths("factor", 100..=10_000, errors);
    let samples_min = section.count("samples_min", 1..=1_000_000, errors);
    let adaptive = Adaptive {
        factor_percent: factor_percent.unwrap_or(default.factor_percent),
        min: section.millis("min_ms", errors).unwrap_or(default.min),
        max: section.millis("max_ms", errors).unwrap_or(default.max),
        samples_min: samples_min.unwrap_or(default.samples_min),
    };
    not_longer(section, ("min_ms", adaptive.min), ("max_ms", adaptive.max), errors);
    adaptive
}

fn pool(section: Option<Section<'_>>, errors: &mut Errors<'_>) -> Pool {
    let Some(section) = section else {
        return POOL_DEFAULT;
    };
    let known = ["idle_min", "idle_max", "connections_max", "idle_ms", "age_ms", "leak_ms"];
    section.refuse_unknown(&known, &[], errors);
    let idle_min = section.count("idle_min", 0..=CONNECTIONS_MAX, errors);
    let idle_max = section.count("idle_max", 0..=CONNECTIONS_MAX, errors);
    let connections_max = section.count("connections_max", 1..=CONNECTIONS_MAX, errors);
    let size = |found: Option<u32>, default: usize| {
        found.and_then(|count| usize::try_from(count).ok()).unwrap_or(default)
    };
    let pool = Pool {
        idle_min: size(idle_min, POOL_DEFAULT.idle_min),
        idle_max: size(idle_max, POOL_DEFAULT.idle_max),
        connections_max,
        idle: section.millis("idle_ms", errors).unwrap_or(POOL_DEFAULT.idle),
        age: section.millis("age_ms", errors).unwrap_or(POOL_DEFAULT.age),
        leak: section.millis("leak_ms", errors).unwrap_or(POOL_DEFAULT.leak),
    };
    let bounds = [
        ("idle_max", Some(pool.idle_max)),
        ("connections_max", connections_max.map(|_| size(connections_max, 0))),
    ];
    for (key, most) in bounds {
        if let Some(most) = most.filter(|most| pool.idle_min > *most) {
            let text = format!("is more than {key} ({most}): make one of them fit the other");
            errors.add(&section.place_of("idle_min", errors), text);
        }
    }
    pool
}
