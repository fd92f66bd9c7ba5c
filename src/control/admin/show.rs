//! The state as JSON: what is served, who serves it, and how it came to be. Without secrets.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::control::endpoints;
use crate::control::log::utc;
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
        "changes": published.changes,
    })
}
