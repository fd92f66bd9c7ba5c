//! How streams go: heartbeats, `resume`, `slow_reader`, `throttle`, and the `format` of upstreams.

use crate::config::file::Dialect;
use crate::config::read::health::not_longer;
use crate::config::section::Errors;
use crate::config::section::Located;
use crate::config::section::Section;
use crate::config::streams::Format;
use crate::config::streams::Heartbeat;
use crate::config::streams::Resume;
use crate::config::streams::ResumeMode;
use crate::config::streams::SLOW_READER_BYTES_MAX;
use crate::config::streams::SlowReader;
use crate::config::streams::Streams;
use crate::config::streams::Throttle;
use std::time::Duration;
use toml::de::DeValue;

/// More often than that would be traffic of its own.
const HEARTBEAT_MS_MIN: u64 = 1000;
/// The longest times that can be asked for: an hour.
const MILLIS_MAX: u64 = 3_600_000;
/// Less would not hold the usual event.
const BYTES_MIN: u32 = 4096;
/// The most bytes that can be kept of one stream.
const RESUME_BYTES_MAX: u32 = 1 << 30;
/// The most events that can be kept of one stream.
const RESUME_EVENTS_MAX: u32 = 1 << 24;
/// The fastest throttle: what is faster holds nothing back.
const EVENTS_PER_SECOND_MAX: u32 = 1_000_000;
const BYTES_PER_SECOND_MAX: u32 = 2_000_000_000;

/// The streams of a model; `heartbeat` is what the listener has.
pub(super) fn streams(
    section: &Section<'_>,
    heartbeat: Option<Duration>,
    errors: &mut Errors<'_>,
) -> Streams {
    let default = Streams::default();
    let commit_after = section.number("commit_after_ms", &(0..=MILLIS_MAX), errors);
    let reconnect = section.number("reconnect_ms", &(1..=MILLIS_MAX), errors);
    Streams {
        heartbeat: beats(section, heartbeat, errors),
        commit_after: commit_after.map_or(default.commit_after, Duration::from_millis),
        reconnect: reconnect.map(Duration::from_millis),
        resume: resume(section, errors),
        slow_reader: slow_reader(section.table("slow_reader", errors), errors),
        continue_on_disconnect: section.boolean("continue_on_disconnect", false, errors),
    }
}

/// `heartbeat_ms`; none: it says nothing, or nothing that can be used.
pub(super) fn heartbeat(
    section: &Section<'_>,
    errors: &mut Errors<'_>,
) -> Option<Option<Duration>> {
    let millis = section.number("heartbeat_ms", &(0..=MILLIS_MAX), errors)?;
    if millis == 0 {
        return Some(None);
    }
    if millis < HEARTBEAT_MS_MIN {
        let text =
            format!("{millis} is too often: write {HEARTBEAT_MS_MIN} or more, or 0 for none");
        errors.add(&section.place_of("heartbeat_ms", errors), text);
        return None;
    }
    Some(Some(Duration::from_millis(millis)))
}

fn beats(
    section: &Section<'_>,
    of_listener: Option<Duration>,
    errors: &mut Errors<'_>,
) -> Option<Heartbeat> {
    let every = heartbeat(section, errors).unwrap_or(of_listener);
    let most = section.number("heartbeat_max_ms", &(HEARTBEAT_MS_MIN..=MILLIS_MAX), errors);
    let Some(every) = every else {
        if section.has("heartbeat_max_ms") {
            let text =
                "has no meaning without heartbeats: write heartbeat_ms = 15000, or leave it out";
            errors.add(&section.place_of("heartbeat_max_ms", errors), text);
        }
        return None;
    };
    let Some(most) = most.map(Duration::from_millis) else { return Some(Heartbeat::new(every)) };
    not_longer(section, ("heartbeat_ms", every), ("heartbeat_max_ms", most), errors);
    Some(Heartbeat { every, most })
}

fn resume(section: &Section<'_>, errors: &mut Errors<'_>) -> Resume {
    let default = Resume::default();
    let wanted = "true, false or a table: write resume = { mode = \"always\" }";
    let found = section.typed("resume", wanted, errors, |value| match value {
        DeValue::Boolean(is_on) => Some((*is_on, None)),
        value => Some((true, Some(value.as_table()?))),
    });
    let section = match found {
        None => return default,
        Some(Located { value: (false, _), .. }) => {
            return Resume { mode: ResumeMode::Never, ..default };
        }
        Some(Located { value: (true, None), .. }) => {
            return Resume { mode: ResumeMode::Always, ..default };
        }
        Some(Located { value: (true, Some(table)), place }) => Section::new(table, place),
    };
    let known = ["mode", "window_ms", "bytes_max", "events_max", "age_ms"];
    section.refuse_unknown(&known, &[], errors);
    let mode = section.one_of("mode", "mode", &ResumeMode::ALL, ResumeMode::label, errors);
    let time = |key: &str, default: Duration, errors: &mut Errors<'_>| {
        let millis = section.number(key, &(1..=MILLIS_MAX), errors);
        millis.map_or(default, Duration::from_millis)
    };
    let bytes_max = section.count("bytes_max", BYTES_MIN..=RESUME_BYTES_MAX, errors);
    let events_max = section.count("events_max", 1..=RESUME_EVENTS_MAX, errors);
    Resume {
        mode: mode.unwrap_or_default(),
        window: time("window_ms", default.window, errors),
        bytes_max: bytes_max.unwrap_or(default.bytes_max),
        events_max: events_max.unwrap_or(default.events_max),
        age: time("age_ms", default.age, errors),
    }
}

fn slow_reader(section: Option<Section<'_>>, errors: &mut Errors<'_>) -> SlowReader {
    const POLICIES: [&str; 3] = ["wait", "drop_stream", "buffer"];
    let Some(section) = section else { return SlowReader::default() };
    section.refuse_unknown(&["policy", "after_ms", "bytes"], &[], errors);
    let after = section.number("after_ms", &(1..=MILLIS_MAX), errors);
    let bytes = section.count("bytes", BYTES_MIN..=SLOW_READER_BYTES_MAX, errors);
    let Some(policy) = section.one_of("policy", "policy", &POLICIES, |policy| policy, errors)
    else {
        if !section.has("policy") {
            errors.add(&section.place, "says not what is done: write policy = \"drop_stream\"");
        }
        return SlowReader::default();
    };
    // Each key belongs to one of them.
    for (key, owner, example) in
        [("after_ms", "drop_stream", "after_ms = 10000"), ("bytes", "buffer", "bytes = 1048576")]
    {
        match (policy == owner, section.has(key)) {
            (true, false) => {
                let text = format!("{key} is missing: write {example} beside policy = \"{owner}\"");
                errors.add(&section.place, text);
            }
            (false, true) => {
                let text = format!("has a meaning beside policy = \"{owner}\" only: leave it out");
                errors.add(&section.place_of(key, errors), text);
            }
            _ => {}
        }
    }
    match (policy, after, bytes) {
        ("drop_stream", Some(after), _) => {
            SlowReader::DropStream { after: Duration::from_millis(after) }
        }
        ("buffer", _, Some(bytes)) => SlowReader::Buffer { bytes },
        _ => SlowReader::Wait,
    }
}

/// `resume` of a tenant.
pub(super) fn of_tenant(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<bool> {
    section.has("resume").then(|| section.boolean("resume", false, errors))
}

/// `throttle` of a tenant.
pub(super) fn throttle(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Throttle> {
    let section = section.table("throttle", errors)?;
    section.refuse_unknown(&["events_per_second", "bytes_per_second"], &[], errors);
    let events = section.count("events_per_second", 1..=EVENTS_PER_SECOND_MAX, errors);
    let bytes = section.count("bytes_per_second", 1..=BYTES_PER_SECOND_MAX, errors);
    match (section.has("events_per_second"), section.has("bytes_per_second")) {
        (true, true) => {
            let text = "is said by events_per_second already: leave one of them out";
            errors.add(&section.place_of("bytes_per_second", errors), text);
        }
        (false, false) => {
            let text = "says not how fast a stream may be: write events_per_second = 50 or bytes_per_second = 65536";
            errors.add(&section.place, text);
        }
        _ => {}
    }
    events.map(Throttle::Events).or(bytes.map(Throttle::Bytes))
}

/// `format` of an upstream.
pub(super) fn format(section: &Section<'_>, dialect: Dialect, errors: &mut Errors<'_>) -> Format {
    let found = section.one_of("format", "format", &Format::ALL, Format::label, errors);
    let format = found.unwrap_or_default();
    if format != Format::Events && dialect == Dialect::Anthropic {
        let text = format!(
            "\"{}\" is translated to the dialect of OpenAI: write dialect = \"openai\", or leave format out",
            format.label()
        );
        errors.add(&section.place_of("format", errors), text);
    }
    format
}
