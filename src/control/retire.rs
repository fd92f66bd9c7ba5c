//! Snapshots that are not published any more, kept until no shard holds them.
//!
//! Invariant: a shard never frees a snapshot. Control holds each of them for as long as anybody else does, so that letting
//! the last of a shard's references go is a subtraction, and the lists of 100,000 keys or addresses are freed here. As long,
//! records can be read: what they say of tenants and keys are places in the snapshot that served the request.

use std::sync::Arc;

use crate::snapshot::Snapshot;

/// Snapshots that are not published any more, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Retired(Vec<Arc<Snapshot>>);

impl Retired {
    /// Keeps one that was just replaced.
    pub(crate) fn keep(&mut self, snapshot: Arc<Snapshot>) {
        // The same one may be published twice, when only the phase is another one.
        if !self.0.iter().any(|held| Arc::ptr_eq(held, &snapshot)) {
            self.0.push(snapshot);
        }
    }

    /// The one with this number.
    pub(crate) fn find(&self, number: u64) -> Option<&Snapshot> {
        self.0.iter().find(|held| held.number == number).map(|held| &**held)
    }

    /// How many are kept.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Numbers of those that nobody else holds. Nobody can get hold of them again, and all their records are on their way:
    /// fetch these before [`Self::free`].
    pub(crate) fn unheld(&self) -> Vec<u64> {
        let unheld = self.0.iter().filter(|held| Arc::strong_count(held) == 1);
        unheld.map(|held| held.number).collect()
    }

    /// Frees those with these numbers.
    pub(crate) fn free(&mut self, numbers: &[u64]) {
        self.0.retain(|held| !numbers.contains(&held.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Weak;
    use std::sync::mpsc;
    use std::thread;

    fn numbered(number: u64) -> Arc<Snapshot> {
        Arc::new(Snapshot { number, ..Snapshot::empty() })
    }

    #[test]
    fn what_a_shard_lets_go_is_freed_here() {
        let mut retired = Retired::default();
        let snapshot = numbered(1);
        let watched: Weak<Snapshot> = Arc::downgrade(&snapshot);
        let (let_go, told) = mpsc::channel::<()>();
        let shards: Vec<_> = (0..2)
            .map(|_| (Arc::clone(&snapshot), let_go.clone()))
            .map(|(held, let_go)| {
                thread::spawn(move || {
                    drop(held);
                    let_go.send(()).unwrap();
                })
            })
            .collect();
        retired.keep(snapshot);
        told.recv().unwrap();
        told.recv().unwrap();
        for shard in shards {
            shard.join().unwrap();
        }
        assert_eq!(watched.strong_count(), 1, "no shard has freed it");
        let unheld = retired.unheld();
        assert_eq!(unheld, [1]);
        assert!(retired.find(1).is_some(), "its records can still be read");
        retired.free(&unheld);
        assert_eq!((watched.strong_count(), retired.len()), (0, 0));
    }

    #[test]
    fn what_somebody_holds_is_kept() {
        let mut retired = Retired::default();
        let (first, second) = (numbered(1), numbered(2));
        retired.keep(Arc::clone(&first));
        retired.keep(Arc::clone(&first));
        retired.keep(second);
        assert_eq!(retired.len(), 2);
        let unheld = retired.unheld();
        retired.free(&unheld);
        assert!(retired.find(1).is_some() && retired.find(2).is_none());
        drop(first);
        assert_eq!(retired.unheld(), [1]);
    }
}
