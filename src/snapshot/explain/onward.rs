//! The part of an explanation that says what is done where the endpoint fails or is slow: again, elsewhere, or not at all.

use crate::admission;
use crate::admission::Caller;
use crate::snapshot::Model;
use crate::snapshot::Snapshot;
use crate::snapshot::explain::Asked;
use crate::snapshot::explain::candidates::Candidates;
use crate::snapshot::explain::shown::Fallback;
use crate::snapshot::explain::shown::Onward;
use crate::snapshot::resilience::words;
use crate::units::ModelId;

/// What is done for a caller of `model` after an attempt that failed.
pub(super) fn onward(
    snapshot: &Snapshot,
    asked: &Asked<'_>,
    caller: &Caller,
    model: &Model,
) -> Onward {
    let words = words::of_model(snapshot, model);
    let word = |name: &str| {
        let found = words.iter().find(|(key, _)| *key == name);
        found.map(|(_, text)| text.clone()).unwrap_or_default()
    };
    let fallback = |id: &ModelId| fallback(snapshot, asked, caller, *id);
    Onward {
        retry: word("retry"),
        hedge: word("hedge"),
        adaptive: model.deadlines.adaptive.map(|_| word("deadlines.adaptive")),
        fallback: model.fallback.iter().map(fallback).collect(),
        context_fallback: model.context_fallback.as_ref().map(fallback),
    }
}

/// Whether another model may be asked, and why.
fn fallback(snapshot: &Snapshot, asked: &Asked<'_>, caller: &Caller, id: ModelId) -> Fallback {
    let (table, keys) = (&snapshot.admission, &snapshot.keys);
    let model = snapshot.model(id);
    let upstream = snapshot.upstream(model.upstream);
    let (may_be_asked, why) = if !admission::may_have(table, keys, caller, id) {
        (false, "the caller may not have it")
    } else if !Candidates::new(snapshot, upstream, None, asked.look).is_any_usable() {
        (true, "none of its endpoints is usable now")
    } else {
        (true, "the caller may have it, if its limits have room")
    };
    Fallback { model: model.label(), upstream: upstream.name.clone(), may_be_asked, why }
}
