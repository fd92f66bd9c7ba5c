//! What the mock counts, and how it tells.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::answer::quoted;

/// Counters of one mock; it runs on one thread.
#[derive(Default)]
pub(super) struct Stats {
    pub(super) requests: Count,
    pub(super) streams_open: Count,
    pub(super) streams_completed: Count,
    /// The client left before the answer's end.
    pub(super) cancelled: Count,
    /// Answers that the mock itself ended early, as asked.
    pub(super) cut: Count,
    pub(super) events: Count,
    pub(super) bytes_sent: Count,
    pub(super) connections_open: Count,
    pub(super) connections_accepted: Count,
    pub(super) malformed: Count,
    models: Cell<BTreeMap<String, u64>>,
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub(super) struct Count(Cell<u64>);

impl Count {
    pub(super) fn add(&self, more: u64) {
        self.0.set(self.0.get().wrapping_add(more));
    }

    pub(super) fn take(&self, less: u64) {
        self.0.set(self.0.get().wrapping_sub(less));
    }
}

/// Names of models counted apart; all beyond share a row.
const MODELS_MAX: usize = 1000;

impl Stats {
    pub(super) fn note_model(&self, model: &str) {
        let mut models = self.models.take();
        if let Some(count) = models.get_mut(model) {
            *count += 1;
        } else if models.len() < MODELS_MAX {
            models.insert(model.to_owned(), 1);
        } else {
            *models.entry("(others)".to_owned()).or_default() += 1;
        }
        self.models.set(models);
    }

    /// All counters as a JSON object.
    pub(super) fn json(&self) -> String {
        let rows = [
            ("requests", &self.requests),
            ("streams_open", &self.streams_open),
            ("streams_completed", &self.streams_completed),
            ("cancelled", &self.cancelled),
            ("cut", &self.cut),
            ("events", &self.events),
            ("bytes_sent", &self.bytes_sent),
            ("connections_open", &self.connections_open),
            ("connections_accepted", &self.connections_accepted),
            ("malformed", &self.malformed),
        ];
        let mut json = "{".to_owned();
        for (name, count) in rows {
            let _infallible = write!(json, "\"{name}\":{},", count.0.get());
        }
        json.push_str("\"models\":{");
        let models = self.models.take();
        for (at, (model, count)) in models.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _infallible = write!(json, "{comma}{}:{count}", quoted(model));
        }
        self.models.set(models);
        json.push_str("}}");
        json
    }
}
