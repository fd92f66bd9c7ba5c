//! How long what is new takes to be served: from a source's answer, or a file that was noticed, to its adoption by every shard, and to
//! the first attempt at an endpoint that was not there before.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;

use crate::control::metrics::Spans;
use crate::units::Moment;
use crate::units::SlotId;

/// The most publications that are waited for; later ones are not measured until shards adopt again.
const WAITING_MAX: usize = 256;

/// What shards say of the publication that they have adopted last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Adopted {
    /// Its number.
    pub(crate) number: u64,
    /// When.
    pub(crate) at: Moment,
}

/// What is waited for, and how long it took so far.
#[derive(Debug, Default)]
pub(crate) struct Publishing {
    /// Numbers of snapshots that not all shards have adopted as far as is known, and since when there was reason for them.
    waiting: VecDeque<(u64, Moment)>,
    /// Endpoints that nobody has asked yet, and since when there was reason to.
    unasked: HashMap<SlotId, Moment>,
    /// From the reason to the adoption by the last shard.
    pub(crate) publish: Spans,
    /// From the reason to the first attempt.
    pub(crate) first_request: Spans,
}

impl Publishing {
    /// A snapshot is going to be published for what was learnt at `since`.
    pub(crate) fn expect(&mut self, number: u64, since: Moment) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((number, since));
        }
    }

    /// These endpoints are new in it, for the same reason.
    pub(crate) fn expect_requests(&mut self, slots: impl Iterator<Item = SlotId>, since: Moment) {
        self.unasked.extend(slots.map(|slot| (slot, since)));
    }

    /// Whom the new snapshot does not name will not be asked.
    pub(crate) fn keep(&mut self, slots: &HashSet<SlotId>) {
        self.unasked.retain(|slot, _| slots.contains(slot));
    }

    /// Looks whether what was waited for has come. What was adopted must have been looked at before the next one is published.
    pub(crate) fn look(
        &mut self,
        shards: impl Iterator<Item = Adopted> + Clone,
        first: impl Fn(SlotId) -> Option<Moment>,
    ) {
        let lowest = shards.clone().map(|adopted| adopted.number).min().unwrap_or(0);
        let last = shards.map(|adopted| adopted.at).max().unwrap_or_default();
        // The number may be seen a moment before its time is.
        while let Some((_, since)) =
            self.waiting.pop_front_if(|(number, since)| *number <= lowest && *since <= last)
        {
            self.publish.note(last.since(since));
        }
        let times = &mut self.first_request;
        self.unasked.retain(|slot, since| match first(*slot) {
            Some(at) => {
                times.note(at.since(*since));
                false
            }
            None => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    fn adopted(all: &[(u64, u64)]) -> impl Iterator<Item = Adopted> + Clone {
        all.iter().map(|(number, ms)| Adopted { number: *number, at: at(*ms) })
    }

    #[test]
    fn the_last_shard_counts() {
        let mut publishing = Publishing::default();
        publishing.expect(2, at(100));
        publishing.look(adopted(&[(2, 125), (1, 50)]), |_| None);
        assert_eq!(publishing.publish.count(), 0);
        publishing.look(adopted(&[(2, 125), (2, 140)]), |_| None);
        publishing.look(adopted(&[(2, 125), (2, 140)]), |_| None);
        let mut wanted = Spans::default();
        wanted.note(std::time::Duration::from_millis(40));
        assert_eq!(publishing.publish, wanted);
    }

    /// What a shard has skipped is served by what it has adopted instead.
    #[test]
    fn a_publication_that_was_overtaken_counts_with_the_one_that_came_after() {
        let mut publishing = Publishing::default();
        publishing.expect(2, at(100));
        publishing.expect(3, at(110));
        publishing.look(adopted(&[(3, 130)]), |_| None);
        let mut wanted = Spans::default();
        wanted.note(std::time::Duration::from_millis(30));
        wanted.note(std::time::Duration::from_millis(20));
        assert_eq!(publishing.publish, wanted);
    }

    #[test]
    fn the_first_request_counts_once_and_those_who_left_never() {
        let mut publishing = Publishing::default();
        let slots = [SlotId(4), SlotId(5), SlotId(6)];
        publishing.expect_requests(slots.into_iter(), at(100));
        let first = |slot: SlotId| (slot == SlotId(5)).then(|| at(123));
        publishing.look(adopted(&[]), first);
        publishing.look(adopted(&[]), first);
        publishing.keep(&HashSet::from([SlotId(6)]));
        publishing.look(adopted(&[]), |_| Some(at(150)));
        let mut wanted = Spans::default();
        wanted.note(std::time::Duration::from_millis(23));
        wanted.note(std::time::Duration::from_millis(50));
        assert_eq!(publishing.first_request, wanted);
    }

    #[test]
    fn what_is_waited_for_is_bounded() {
        let mut publishing = Publishing::default();
        (0..1000).for_each(|number| publishing.expect(number, at(1)));
        assert_eq!(publishing.waiting.len(), WAITING_MAX);
    }
}
