//! What sources say, on its way to the board: the newest answer of each, so that nobody ever waits for room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use tokio::sync::Notify;

use crate::config::Endpoint;
use crate::control::discover::board::SourceId;

/// What a source said last, and when.
pub(super) type Said = (Result<Vec<Endpoint>, String>, Instant);

/// Where all sources' answers lie until they are taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Mailbox(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    said: Mutex<BTreeMap<SourceId, Said>>,
    came: Notify,
}

/// Where one source's answers go.
#[derive(Clone, Debug)]
pub(in crate::control) struct Tell {
    source: SourceId,
    mailbox: Mailbox,
}

impl Tell {
    /// These are all that there are now.
    pub(in crate::control) fn found(&self, endpoints: Vec<Endpoint>) {
        self.mailbox.put(&self.source, Ok(endpoints));
    }

    /// Nobody could be asked, or the answer was none.
    pub(in crate::control) fn failed(&self, why: String) {
        self.mailbox.put(&self.source, Err(why));
    }
}

impl Mailbox {
    /// For the task of one source.
    pub(super) fn tell(&self, source: SourceId) -> Tell {
        Tell { source, mailbox: self.clone() }
    }

    /// Waits until somebody has said something. May be dropped.
    pub(super) async fn came(&self) {
        self.0.came.notified().await;
    }

    /// All that was said since.
    pub(super) fn take(&self) -> BTreeMap<SourceId, Said> {
        std::mem::take(&mut *self.lock())
    }

    fn put(&self, source: &SourceId, said: Result<Vec<Endpoint>, String>) {
        self.lock().insert(source.clone(), (said, Instant::now()));
        self.0.came.notify_one();
    }

    /// The letters are whole between any two statements, so a panic elsewhere does not spoil them.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<SourceId, Said>> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fetch::tests::on_runtime;

    fn source(entry: &str) -> SourceId {
        SourceId { upstream: "u".into(), entry: entry.into(), datacenter: None }
    }

    #[test]
    fn the_newest_answer_of_each_counts() {
        let mailbox = Mailbox::default();
        let (one, other) = (mailbox.tell(source("one")), mailbox.tell(source("other")));
        one.found(Vec::new());
        other.found(Vec::new());
        one.failed("gone".to_owned());
        on_runtime(mailbox.came());
        let said: Vec<_> =
            mailbox.take().into_iter().map(|(id, said)| (id.entry, said.0)).collect();
        assert_eq!(said, [("one".into(), Err("gone".into())), ("other".into(), Ok(Vec::new()))]);
        assert!(mailbox.take().is_empty());
    }
}
