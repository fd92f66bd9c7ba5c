//! Whether an endpoint may be asked: `health`, `breaker`, `outlier`.

use crate::config::error::Place;
use crate::config::resilience::Breaker;
use crate::config::resilience::Health;
use crate::config::resilience::Outlier;
use crate::config::section::Errors;
use crate::config::section::Located;
use crate::config::section::Section;
use crate::config::section::Switch;
use std::time::Duration;
use toml::de::DeValue;

/// What presets ask for, by their names.
const PRESETS: [(&str, &str); 2] = [("health", "/health"), ("models", "/v1/models")];
/// Checks are not for finding out what a request would find out anyway.
const INTERVAL_MS_MIN: u64 = 100;
const INTERVAL_MS_MAX: u64 = 3_600_000;
const INTERVAL_DEFAULT: Duration = Duration::from_secs(5);
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
/// The longest path of a check, in bytes.
const PATH_BYTES_MAX: usize = 1024;
/// A window is counted in tenths, and a tenth is not shorter than a tick.
const WINDOW_MS_MIN: u64 = 1000;
const WINDOW_MS_MAX: u64 = 600_000;
/// The most requests that a rule can ask for.
const REQUESTS_MAX: u32 = 1_000_000;

pub(super) fn health(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Health> {
    let wanted = "a table: write health = { preset = \"health\" }";
    let found = section.typed("health", wanted, errors, DeValue::as_table)?;
    let section = Section::new(found.value, found.place);
    let known = ["preset", "path", "interval_ms", "timeout_ms", "unhealthy_after", "healthy_after"];
    section.refuse_unknown(&known, &[], errors);
    let path = path(&section, errors);
    let interval = section.number("interval_ms", &(INTERVAL_MS_MIN..=INTERVAL_MS_MAX), errors);
    let interval = interval.map_or(INTERVAL_DEFAULT, Duration::from_millis);
    let timeout = section.millis("timeout_ms", errors);
    if let Some(timeout) = timeout {
        not_longer(&section, ("timeout_ms", timeout), ("interval_ms", interval), errors);
    }
    let threshold = |key: &str, default: u32, errors: &mut Errors<'_>| {
        section.count(key, 1..=1000, errors).unwrap_or(default)
    };
    Some(Health {
        interval,
        timeout: timeout.unwrap_or(TIMEOUT_DEFAULT.min(interval)),
        unhealthy_after: threshold("unhealthy_after", 3, errors),
        healthy_after: threshold("healthy_after", 2, errors),
        path: path?,
    })
}

fn path(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<String> {
    const INSTEAD: &str = "write preset = \"health\" (/health), preset = \"models\" (/v1/models) or path = \"/ready\"";
    match (section.has("preset"), section.has("path")) {
        (true, true) => {
            let text = "is said by preset already: leave one of them out";
            errors.add(&section.place_of("path", errors), text);
            None
        }
        (false, false) => {
            errors.add(&section.place, format!("says not what is asked for: {INSTEAD}"));
            None
        }
        (true, false) => {
            let preset = section.one_of("preset", "preset", &PRESETS, |(name, _)| name, errors);
            preset.map(|(_, path)| path.to_owned())
        }
        (false, true) => {
            let Located { value, place } = section.string("path", errors)?;
            let is_path = value.starts_with('/')
                && value.len() <= PATH_BYTES_MAX
                && value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
            if !is_path {
                let text = format!(
                    "is not a path: write one that begins with \"/\", without spaces and \"#\", of at most \
                     {PATH_BYTES_MAX} bytes, as in \"/ready\""
                );
                errors.add(&place, text);
            }
            is_path.then_some(value)
        }
    }
}

pub(super) fn breaker(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Breaker> {
    let default = Breaker::default();
    let section = match section.switch("breaker", errors) {
        Switch::Default => return Some(default),
        Switch::Off => return None,
        Switch::Set(section) => section,
    };
    let known = [
        "consecutive",
        "error_percent",
        "requests_min",
        "window_ms",
        "open_ms",
        "open_max_ms",
        "credential_ms",
    ];
    section.refuse_unknown(&known, &[], errors);
    let consecutive = section.count("consecutive", 1..=REQUESTS_MAX, errors);
    let requests_min = section.count("requests_min", 1..=REQUESTS_MAX, errors);
    let window = section.number("window_ms", &(WINDOW_MS_MIN..=WINDOW_MS_MAX), errors);
    let breaker = Breaker {
        consecutive: consecutive.unwrap_or(default.consecutive),
        error_percent: section
            .count("error_percent", 1..=100, errors)
            .unwrap_or(default.error_percent),
        requests_min: requests_min.unwrap_or(default.requests_min),
        window: window.map_or(default.window, Duration::from_millis),
        open: section.millis("open_ms", errors).unwrap_or(default.open),
        open_max: section.millis("open_max_ms", errors).unwrap_or(default.open_max),
        credential: section.millis("credential_ms", errors).unwrap_or(default.credential),
    };
    let (open, open_max) = (("open_ms", breaker.open), ("open_max_ms", breaker.open_max));
    not_longer(&section, open, open_max, errors);
    Some(breaker)
}

pub(super) fn outlier(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Outlier> {
    let section = section.table("outlier", errors)?;
    let known = ["requests_min", "stdev", "eject_ms", "ejected_percent_max"];
    section.refuse_unknown(&known, &[], errors);
    let default = Outlier::default();
    let requests_min = section.count("requests_min", 1..=REQUESTS_MAX, errors);
    let stdev = section.hundredths("stdev", 10..=1000, errors);
    let share = section.count("ejected_percent_max", 1..=100, errors);
    Some(Outlier {
        requests_min: requests_min.unwrap_or(default.requests_min),
        stdev_percent: stdev.unwrap_or(default.stdev_percent),
        eject: section.millis("eject_ms", errors).unwrap_or(default.eject),
        ejected_percent_max: share.unwrap_or(default.ejected_percent_max),
    })
}

/// That one time is not longer than another.
pub(super) fn not_longer(
    section: &Section<'_>,
    (short_key, short): (&str, Duration),
    (long_key, long): (&str, Duration),
    errors: &mut Errors<'_>,
) {
    if short <= long {
        return;
    }
    // Who wrote only one of them is told of the other's default there.
    let place: Place = if section.has(short_key) {
        section.place_of(short_key, errors)
    } else {
        section.place_of(long_key, errors)
    };
    let (short, long) = (short.as_millis(), long.as_millis());
    let text = format!(
        "{short_key} ({short}) is longer than {long_key} ({long}): make one of them fit the other"
    );
    errors.add(&place, text);
}
