//! The state as JSON: what is served, who serves it, and how it came to be. Without secrets.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::control::endpoints;
use crate::control::log::utc;
use crate::control::metrics::SourceNumbers;
use crate::control::register::clerk::RegisteredNumbers;
use crate::control::state::State;
use crate::control::watch::Published;
use crate::crossing::publish::Phase;
use crate::snapshot::outline;
use crate::sys::clock;

/// The body of `/admin/snapshot`: the outline of the snapshot (which `ringway check` reads), and beside it what the
/// shards have made of it and how reloads went.
pub(super) fn state(state: &State) -> Value {
    let mut all = match state.current().map(|current| json!(outline(&current.snapshot))) {
        Some(Value::Object(outline)) => outline,
        _ => Map::new(),
    };
    if let Some(current) = state.current() {
        endpoints::add(state, &current.snapshot, clock::now(), &mut all);
    }
    let unready = state.unready();
    let phase = match state.phase() {
        Phase::Serving => "serving",
        Phase::Draining => "draining",
        Phase::Ending => "ending",
    };
    all.insert("phase".into(), phase.into());
    all.insert("is_ready".into(), unready.is_empty().into());
    all.insert("unready".into(), unready.into());
    all.insert("shards".into(), shards(state));
    if let Some(reloads) = state.reloads() {
        all.insert("is_last_reload_successful".into(), reloads.is_last_reload_successful.into());
        all.insert("last_reload_errors".into(), reloads.last_errors.into());
        all.insert("warnings".into(), reloads.warnings.into());
        all.insert("history".into(), reloads.history.iter().rev().map(published).collect());
    }
    all.into()
}

/// The body of `/admin/history`: the last snapshots, newest first, with what each had differently and who caused it.
pub(super) fn history(state: &State) -> Value {
    let history = state.reloads().map_or_else(Default::default, |reloads| reloads.history);
    json!({ "history": history.iter().rev().map(published).collect::<Vec<_>>() })
}

/// The body of `/admin/sources`: how it stands with all that is asked for endpoints, with registries, and with what is told to these.
pub(super) fn sources(state: &State) -> Value {
    let (sources, troubles) = state
        .reloads()
        .map_or_else(Default::default, |reloads| (reloads.sources, reloads.troubles));
    let source = |source: &SourceNumbers| {
        json!({
            "upstream": source.upstream,
            "source": source.source,
            "is_up": source.is_up,
            "endpoints": source.endpoints,
            "stale": source.stale,
            "damped": source.damped,
            "answers": source.answers,
            "failures": source.failures,
            "seconds_since_answer": source.since_answer.map(|since| since.as_secs_f64()),
            "trouble": source.trouble,
        })
    };
    let registered = |entry: &RegisteredNumbers| {
        json!({
            "registry": entry.registry,
            "name": entry.name,
            "is_registered": entry.is_registered,
            "trouble": entry.trouble,
        })
    };
    json!({
        "sources": sources.iter().map(source).collect::<Vec<_>>(),
        "registered": state.registered().iter().map(registered).collect::<Vec<_>>(),
        "troubles": troubles,
    })
}

fn shards(state: &State) -> Value {
    let shards = state.adopted().into_iter().zip(state.turns()).enumerate();
    shards
        .map(|(shard, (adopted, turns))| {
            json!({ "shard": shard, "adopted_snapshot": adopted, "turns": turns })
        })
        .collect()
}

fn published(published: &Published) -> Value {
    json!({
        "number": published.number,
        "time": utc(u64::try_from(published.unix_ms).unwrap_or(u64::MAX)),
        "why": published.why.label(),
        "cause": published.cause,
        "changes": published.changes,
    })
}
