//! Snapshots that are not published any more, kept until no shard holds them.
//!
//! Invariant: a shard never frees a snapshot. Control holds each of them for as long as anybody else does, so that letting
//! the last of a shard's references go is a subtraction, and the lists of 100,000 keys or addresses are freed here. As long,
//! records can be read: what they say of tenants and keys are places in the snapshot that served the request.

use std::sync::Arc;

use crate::snapshot::Snapshot;
use crate::units::LaneId;
use crate::units::SlotId;

/// Snapshots that are not published any more, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Retired(Vec<Arc<Snapshot>>);

impl Retired {
    /// Whether it is kept.
    pub(crate) fn has(&self, snapshot: &Arc<Snapshot>) -> bool {
        self.0.iter().any(|held| Arc::ptr_eq(held, snapshot))
    }

    /// Keeps one that was just replaced.
    pub(crate) fn keep(&mut self, snapshot: Arc<Snapshot>) {
        // The same one may be published twice, when only the phase is another one.
        if !self.has(&snapshot) {
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

    /// Frees those with these numbers; `last` sees each before that. What their holders did is over then, and seen by this thread.
    pub(crate) fn free(&mut self, numbers: &[u64], mut last: impl FnMut(&Snapshot)) {
        for held in self.0.extract_if(.., |held| numbers.contains(&held.number)) {
            // The last of several holders: this is where what they have written becomes visible here.
            if let Some(snapshot) = Arc::into_inner(held) {
                last(&snapshot);
            }
        }
    }
}

/// In how many snapshots that somebody holds, or may hold, each endpoint and each lane is.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    slots: Vec<u32>,
    lanes: Vec<u32>,
}

impl Holders {
    /// One more snapshot.
    pub(crate) fn take(&mut self, snapshot: &Snapshot) {
        self.count(snapshot, |count| count.saturating_add(1));
    }

    /// One that nobody holds any more.
    pub(crate) fn give(&mut self, snapshot: &Snapshot) {
        self.count(snapshot, |count| count.saturating_sub(1));
    }

    /// Whether an endpoint is in any of them.
    pub(crate) fn has_slot(&self, slot: SlotId) -> bool {
        self.slots.get(slot.index()).is_some_and(|count| *count > 0)
    }

    /// Whether a lane is in any of them.
    pub(crate) fn has_lane(&self, lane: LaneId) -> bool {
        self.lanes.get(lane.index()).is_some_and(|count| *count > 0)
    }

    fn count(&mut self, snapshot: &Snapshot, next: impl Fn(u32) -> u32) {
        for endpoint in &snapshot.endpoints {
            change(&mut self.slots, endpoint.slot.index(), &next);
        }
        for model in &snapshot.models {
            change(&mut self.lanes, model.lane.index(), &next);
        }
    }
}

fn change(counts: &mut Vec<u32>, index: usize, next: impl Fn(u32) -> u32) {
    if counts.len() <= index {
        counts.resize(index + 1, 0);
    }
    if let Some(count) = counts.get_mut(index) {
        *count = next(*count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::verdict::Verdict;
    use crate::config;
    use crate::crossing::health::Health;
    use crate::crossing::health::SharedHealth;
    use crate::crossing::publish;
    use crate::crossing::publish::Inlet;
    use crate::crossing::publish::Phase;
    use crate::crossing::publish::Publication;
    use crate::snapshot::Ledger;
    use crate::snapshot::World;
    use crate::snapshot::build;
    use crate::units::Moment;
    use crate::units::ShardId;
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
        let mut last = Vec::new();
        retired.free(&unheld, |snapshot| last.push(snapshot.number));
        assert_eq!(last, [1]);
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
        retired.free(&unheld, |_| ());
        assert!(retired.find(1).is_some() && retired.find(2).is_none());
        drop(first);
        assert_eq!(retired.unheld(), [1]);
    }

    /// Asks an endpoint, which fails.
    fn ask(health: &Health, shard: ShardId, slot: SlotId) {
        health.begin(shard, slot);
        health.note(shard, slot, Verdict::Bad, false, None, Moment::default());
        assert_eq!(health.in_flight_on(shard, slot), 1);
        health.end(shard, slot);
    }

    /// A shard that serves snapshots until it is told to end: it asks the first endpoint of each a few times.
    fn serve(
        shard: ShardId,
        inlet: Inlet,
        health: SharedHealth,
        adopted: mpsc::Sender<()>,
    ) -> thread::JoinHandle<()> {
        thread::spawn(move || {
            // Let go of once there is another one.
            let mut held: Option<Publication> = None;
            loop {
                let Some(publication) = inlet.adopt() else { continue };
                if publication.phase == Phase::Draining {
                    return;
                }
                let snapshot = &publication.snapshot;
                for slot in snapshot.endpoints.iter().map(|endpoint| endpoint.slot) {
                    assert_eq!(health.in_flight_on(shard, slot), 0, "left by another");
                    (0..3).for_each(|_| ask(&health, shard, slot));
                }
                let number = publication.snapshot.number;
                let before = held.replace(publication);
                assert!(before.is_none_or(|before| before.snapshot.number < number));
                adopted.send(()).unwrap();
            }
        })
    }

    /// Two shards, one slot, and a new owner of it as soon as nobody holds the old one: each begins with nothing, and what was
    /// counted for it was all counted for it.
    #[test]
    fn a_slot_that_goes_from_one_to_the_next_is_clean_whatever_the_timing() {
        let (publisher, inlets) = publish::channel(2).unwrap();
        let health = Health::new(2);
        let (adopted, told) = mpsc::channel();
        let shards: Vec<_> = (0..)
            .map(ShardId)
            .zip(inlets)
            .map(|(id, inlet)| serve(id, inlet, Arc::clone(&health), adopted.clone()))
            .collect();
        let mut ledger = Ledger::with_room(1, 1);
        let (mut retired, mut holders) = (Retired::default(), Holders::default());
        let give = |snapshot: &Arc<Snapshot>, phase| {
            publisher.publish(&Publication { snapshot: Arc::clone(snapshot), phase });
        };
        for owner in 0..300_u64 {
            ledger.note_held(|slot| holders.has_slot(slot), |lane| holders.has_lane(lane));
            let text = format!(
                "[[upstream]]\nname = \"u\"\nendpoints = [{{ url = \"http://192.0.2.1:{}\" }}]\n\
                 [[model]]\nname = \"m\"\nupstream = \"u\"\n",
                owner + 1
            );
            let file = config::parse(&text, "a.toml").unwrap();
            let snapshot = build(&file, &World::default(), &mut ledger, 2 * owner).unwrap();
            let (slot, snapshot) = (snapshot.endpoints[0].slot, Arc::new(snapshot));
            health.hand_over(slot);
            assert_eq!(health.totals(slot).attempts, 0);
            holders.take(&snapshot);
            give(&snapshot, Phase::Serving);
            told.recv().unwrap();
            told.recv().unwrap();
            // Nobody has it in the next.
            retired.keep(snapshot);
            give(&numbered(2 * owner + 1), Phase::Serving);
            while retired.len() > 0 {
                let unheld = retired.unheld();
                retired.free(&unheld, |snapshot| holders.give(snapshot));
            }
            assert_eq!(health.totals(slot).attempts, 6);
            assert_eq!((health.totals(slot).bad, health.in_flight(slot)), (6, 0));
            told.recv().unwrap();
            told.recv().unwrap();
        }
        give(&numbered(u64::MAX), Phase::Draining);
        for shard in shards {
            shard.join().unwrap();
        }
    }
}
