//! What upstreams and models say of failures that is allowed and yet hardly meant.

use crate::config::deadlines::Deadlines;
use crate::config::error::Place;
use crate::config::file::File;
use crate::config::file::Model;
use crate::config::file::Upstream;
use crate::config::resilience::AttemptDeadline;
use crate::config::resilience::Queue;
use crate::config::resilience::RetryOn;

/// Fewer endpoints than these have no mean that one of them could be far from.
const OUTLIER_ENDPOINTS_MIN: usize = 3;
/// Statuses that say that the request itself is at fault: whoever is asked again says the same.
const OF_THE_CLIENT: [u16; 9] = [400, 401, 403, 404, 405, 411, 413, 415, 422];

pub(crate) fn warnings(file: &File, warn: &mut dyn FnMut(&Place, String)) {
    for upstream in &file.upstreams {
        self::upstream(upstream, warn);
    }
    for model in &file.models {
        let upstream = file.upstreams.iter().find(|upstream| upstream.name == model.upstream);
        self::model(model, upstream, warn);
    }
}

fn upstream(upstream: &Upstream, warn: &mut dyn FnMut(&Place, String)) {
    let name = &upstream.name;
    let is_bounded = upstream.max_in_flight.is_some() || upstream.pool.connections_max.is_some();
    if upstream.queue != Queue::default() && !is_bounded {
        let text = format!(
            "no endpoint of \"{name}\" is ever full, so nobody waits in its queue: write max_in_flight = 64"
        );
        warn(&upstream.place, text);
    }
    if upstream.outlier.is_some() && upstream.endpoints.len() < OUTLIER_ENDPOINTS_MIN {
        let text = format!(
            "\"{name}\" has fewer than {OUTLIER_ENDPOINTS_MIN} endpoints, so none of them is ever an outlier"
        );
        warn(&upstream.place, text);
    }
    late(upstream.deadlines, &upstream.place, name, warn);
}

fn model(model: &Model, upstream: Option<&Upstream>, warn: &mut dyn FnMut(&Place, String)) {
    let label = model.label();
    let Some(upstream) = upstream else { return };
    if model.hedge.is_some() && upstream.endpoints.len() == 1 {
        let text = format!(
            "\"{label}\" is hedged, and its upstream has no second endpoint that could be asked"
        );
        warn(&model.place, text);
    }
    let deadlines = upstream.deadlines.overridden(&model.deadlines);
    if deadlines != upstream.deadlines {
        late(deadlines, &model.place, &label, warn);
    }
    let statuses = model.retry.iter().flat_map(|retry| &retry.on).filter_map(|item| match item {
        RetryOn::Status(status) if OF_THE_CLIENT.contains(status) => Some(status.to_string()),
        _ => None,
    });
    let statuses: Vec<String> = statuses.collect();
    if !statuses.is_empty() {
        let text = format!(
            "\"{label}\" is asked again on {}, which say that the request is at fault: the answer will be the same",
            statuses.join(", ")
        );
        warn(&model.place, text);
    }
}

/// An attempt that may take longer than all of them together.
fn late(deadlines: Deadlines, place: &Place, name: &str, warn: &mut dyn FnMut(&Place, String)) {
    let (key, attempt) = match deadlines.attempt {
        Some(AttemptDeadline::Fixed(attempt)) => ("attempt_ms", attempt),
        Some(AttemptDeadline::Adaptive(adaptive)) => ("adaptive.min_ms", adaptive.min),
        None => return,
    };
    if attempt > deadlines.first_byte {
        let text = format!(
            "the deadline {key} of \"{name}\" ends after its first_byte_ms, so no attempt is ever given up for another"
        );
        warn(place, text);
    }
}
