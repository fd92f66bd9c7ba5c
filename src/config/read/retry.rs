//! What a model does where its upstream fails or is slow: `retry`, `fallback`, `hedge`.

use crate::config::nearest::nearest;
use crate::config::policy::Named;
use crate::config::read::health::not_longer;
use crate::config::resilience::Backoff;
use crate::config::resilience::FALLBACKS_MAX;
use crate::config::resilience::Hedge;
use crate::config::resilience::HedgeAfter;
use crate::config::resilience::Retry;
use crate::config::resilience::RetryOn;
use crate::config::section::Errors;
use crate::config::section::Located;
use crate::config::section::Section;
use crate::config::section::Switch;
use std::time::Duration;

/// A hedge is not sent sooner than this.
const HEDGE_MIN_DEFAULT: Duration = Duration::from_millis(50);
/// How many requests may be asked twice, in percent.
const HEDGE_BUDGET_DEFAULT: u8 = 5;

pub(super) fn retry(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Retry> {
    let default = Retry::default();
    let section = match section.switch("retry", errors) {
        Switch::Default if section.has("retry") => return Some(default),
        Switch::Default => return Some(Retry::unasked()),
        Switch::Off => return None,
        Switch::Set(section) => section,
    };
    let known = ["attempts", "on", "backoff", "retry_after_max_ms", "budget_percent"];
    section.refuse_unknown(&known, &[], errors);
    let attempts = section.count("attempts", 1..=10, errors);
    let retry_after_max = section.millis_or_zero("retry_after_max_ms", errors);
    Some(Retry {
        attempts: attempts.unwrap_or(default.attempts),
        on: if section.has("on") { on(&section, errors) } else { default.on },
        backoff: section
            .table("backoff", errors)
            .map_or(default.backoff, |section| backoff(&section, errors)),
        retry_after_max: retry_after_max.unwrap_or(default.retry_after_max),
        budget_percent: section
            .count("budget_percent", 0..=100, errors)
            .unwrap_or(default.budget_percent),
    })
}

fn on(section: &Section<'_>, errors: &mut Errors<'_>) -> Vec<RetryOn> {
    let mut list = Vec::new();
    for Located { value, place } in section.strings("on", errors) {
        let Some(item) = RetryOn::parse(&value) else {
            let words = RetryOn::WORDS.map(|(word, _)| word);
            let meant = nearest(&value, &words)
                .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            let text = format!(
                "\"{value}\" cannot be tried again (there are: {}, a status from 400 to 599{meant})",
                words.join(", ")
            );
            errors.add(&place, text);
            continue;
        };
        if list.contains(&item) {
            errors.add(&place, format!("\"{value}\" is there twice: write it once"));
        } else {
            list.push(item);
        }
    }
    list
}

fn backoff(section: &Section<'_>, errors: &mut Errors<'_>) -> Backoff {
    section.refuse_unknown(&["fixed_ms", "base_ms", "factor", "max_ms", "jitter"], &[], errors);
    let fixed = section.millis_or_zero("fixed_ms", errors);
    let base = section.millis("base_ms", errors);
    let factor = section.hundredths("factor", 100..=1000, errors);
    let max = section.millis("max_ms", errors);
    let has_jitter = section.boolean("jitter", true, errors);
    if section.has("fixed_ms") {
        for key in ["base_ms", "factor", "max_ms", "jitter"] {
            if section.has(key) {
                let text = "has no meaning beside fixed_ms: leave one of them out";
                errors.add(&section.place_of(key, errors), text);
            }
        }
        return fixed.map_or_else(Backoff::default, Backoff::Fixed);
    }
    let Backoff::Exponential { base: base_default, factor_percent, max: max_default, .. } =
        Backoff::default()
    else {
        return Backoff::default();
    };
    let (base, max) = (base.unwrap_or(base_default), max.unwrap_or(max_default));
    not_longer(section, ("base_ms", base), ("max_ms", max), errors);
    let factor_percent = factor.unwrap_or(factor_percent);
    Backoff::Exponential { base, factor_percent, max, has_jitter }
}

pub(super) fn fallback(section: &Section<'_>, errors: &mut Errors<'_>) -> Vec<Named> {
    let names = section.strings("fallback", errors);
    if let Some(first_too_many) = names.get(FALLBACKS_MAX) {
        let text = format!("there are {} models: at most {FALLBACKS_MAX} are asked", names.len());
        errors.add(&first_too_many.place, text);
    }
    names.into_iter().map(named).collect()
}

pub(super) fn context_fallback(section: &Section<'_>, errors: &mut Errors<'_>) -> Option<Named> {
    section.string("context_fallback", errors).map(named)
}

fn named(found: Located<String>) -> Named {
    Named { place: found.place, name: found.value }
}

pub(super) fn hedge(section: Option<Section<'_>>, errors: &mut Errors<'_>) -> Option<Hedge> {
    let section = section?;
    let known = ["after", "after_ms", "min_ms", "budget_percent", "with_tools"];
    section.refuse_unknown(&known, &[], errors);
    let min = section.millis_or_zero("min_ms", errors);
    let fixed = section.millis("after_ms", errors).map(HedgeAfter::Fixed);
    let p95 = section.one_of("after", "percentile", &["p95"], |word| word, errors);
    let p95 = p95.map(|_| HedgeAfter::P95 { min: min.unwrap_or(HEDGE_MIN_DEFAULT) });
    match (section.has("after"), section.has("after_ms")) {
        (true, true) => {
            let text = "is said by after already: leave one of them out";
            errors.add(&section.place_of("after_ms", errors), text);
        }
        (false, false) => {
            let text =
                "says not when a second endpoint is asked: write after = \"p95\" or after_ms = 800";
            errors.add(&section.place, text);
        }
        (false, true) if section.has("min_ms") => {
            let text = "has no meaning beside after_ms: leave it out, or write after = \"p95\"";
            errors.add(&section.place_of("min_ms", errors), text);
        }
        _ => {}
    }
    let budget_percent = section.count("budget_percent", 1..=100, errors);
    let may_have_tools = section.boolean("with_tools", false, errors);
    Some(Hedge {
        after: p95.or(fixed)?,
        budget_percent: budget_percent.unwrap_or(HEDGE_BUDGET_DEFAULT),
        may_have_tools,
    })
}
