//! Which endpoint, and who waits: `balance`, `hash`, `queue`, `when_all_down`.

use crate::config::check;
use crate::config::resilience::AllDown;
use crate::config::resilience::Balance;
use crate::config::resilience::Hash;
use crate::config::resilience::HashBy;
use crate::config::resilience::Queue;
use crate::config::section::Errors;
use crate::config::section::Section;

/// So much more than its share an endpoint may have, in percent.
const LOAD_FACTOR_DEFAULT: u32 = 125;
/// So much of a prompt is hashed, in bytes.
const PREFIX_DEFAULT: u32 = 1024;
const PREFIX_MAX: u32 = 65_536;

/// What `hash.by` may be.
const PROPERTIES: [&str; 4] = ["header", "tenant", "user", "prompt"];

pub(super) fn balance(section: &Section<'_>, errors: &mut Errors<'_>) -> (Balance, Option<Hash>) {
    let found = section.one_of("balance", "balance", &Balance::ALL, Balance::label, errors);
    let balance = found.unwrap_or_default();
    let hash = section.table("hash", errors);
    let is_wrong = section.has("balance") && found.is_none();
    if balance == Balance::Hash && !section.has("hash") {
        let text = "does not know what of a request to hash: write hash = { by = \"prompt\" } (or \"user\", \"tenant\", \
                    \"header\" with header = \"NAME\")";
        errors.add(&section.place_of("balance", errors), text);
    } else if balance != Balance::Hash && section.has("hash") && !is_wrong {
        let text = "is only looked at with balance = \"hash\": write that, or leave hash out";
        errors.add(&section.place_of("hash", errors), text);
    }
    let hash = hash.and_then(|section| self::hash(&section, errors));
    (balance, hash)
}

fn hash(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Hash> {
    section.refuse_unknown(&["by", "header", "prefix_bytes", "load_factor"], &[], errors);
    let header = header(section, errors);
    let bytes = section.count("prefix_bytes", 1..=PREFIX_MAX, errors).unwrap_or(PREFIX_DEFAULT);
    let factor = section.hundredths("load_factor", 100..=1000, errors);
    if !section.has("by") {
        let text = "says not what of a request is hashed: write by = \"prompt\", \"user\", \"tenant\" or \"header\"";
        errors.add(&section.place, text);
        return None;
    }
    let by = section.one_of("by", "property of requests", &PROPERTIES, |by| by, errors)?;
    for (key, of) in [("header", "header"), ("prefix_bytes", "prompt")] {
        if section.has(key) && by != of {
            let text = format!("is only looked at with by = \"{of}\": write that, or leave it out");
            errors.add(&section.place_of(key, errors), text);
        }
    }
    if by == "header" && !section.has("header") {
        errors.add(&section.place, "says not which field: write header = \"x-session-id\"");
    }
    let by = match by {
        "tenant" => HashBy::Tenant,
        "user" => HashBy::User,
        "prompt" => HashBy::Prompt { bytes: usize::try_from(bytes).ok()? },
        _ => HashBy::Header(header?),
    };
    Some(Hash { by, load_factor_percent: factor.unwrap_or(LOAD_FACTOR_DEFAULT) })
}

fn header(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<String> {
    let found = section.string("header", errors)?;
    if !check::is_field_name(&found.value) {
        let text = "is not the name of a field: write for instance \"x-session-id\"";
        errors.add(&found.place, text);
        return None;
    }
    Some(found.value.to_ascii_lowercase())
}

pub(super) fn queue(section: Option<Section<'_>>, errors: &mut Errors<'_>) -> Queue {
    let default = Queue::default();
    let Some(section) = section else {
        return default;
    };
    section.refuse_unknown(&["waiting_max", "wait_ms"], &[], errors);
    let waiting_max = section.count("waiting_max", 0..=100_000, errors);
    Queue {
        waiting_max: waiting_max.unwrap_or(default.waiting_max),
        wait: section.millis("wait_ms", errors).unwrap_or(default.wait),
    }
}

pub(super) fn all_down(section: &Section<'_>, errors: &mut Errors<'_>) -> AllDown {
    let found = section.one_of("when_all_down", "choice", &AllDown::ALL, AllDown::label, errors);
    found.unwrap_or_default()
}
