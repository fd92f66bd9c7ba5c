//! The state as JSON: what is served, who serves it, and how it came to be. Without secrets.

use serde_json::Value;
use serde_json::json;

use crate::control::log::utc;
use crate::control::state::Attempt;
use crate::control::state::State;
use crate::crossing::publish::Phase;
use crate::snapshot::outline;

/// The body of `/admin/snapshot`.
pub(super) fn state(state: &State) -> Value {
    let unready = state.unready();
    let shards: Vec<Value> = state
        .adopted()
        .iter()
        .zip(state.turns())
        .enumerate()
        .map(|(shard, (adopted, turns))| {
            json!({ "shard": shard, "adopted_snapshot": adopted, "turns": turns })
        })
        .collect();
    let history: Vec<Value> = state.history().map(attempt).collect();
    let snapshot = state.current().map(|current| outline(&current.snapshot));
    let phase = match state.phase() {
        Phase::Serving => "serving",
        Phase::Draining => "draining",
    };
    json!({
        "phase": phase,
        "is_ready": unready.is_empty(),
        "unready": unready,
        "shards": shards,
        "last_reload": history.first(),
        "history": history,
        "snapshot": snapshot,
    })
}

fn attempt(attempt: &Attempt) -> Value {
    let time = utc(attempt.unix_ms);
    match attempt.number {
        Some(number) => json!({
            "time": time, "result": "published", "snapshot": number, "changes": attempt.lines,
        }),
        None => json!({ "time": time, "result": "refused", "errors": attempt.lines }),
    }
}
