//! A seat at an endpoint: counted while it is taken, and given back however the attempt ends.

use crate::balance::breaker;
use crate::balance::verdict::Verdict;
use crate::shard::Shard;
use crate::shard::waiting;
use crate::units::GroupId;
use crate::units::Moment;
use crate::units::SlotId;

/// A seat at an endpoint, from its choice to the last byte.
pub(super) struct Seat<'s> {
    shard: &'s Shard,
    slot: SlotId,
    /// Who waits for a place here.
    group: GroupId,
    /// One of the endpoint's places on the node was claimed.
    has_place: bool,
    /// It finds out whether the endpoint is well again; nobody else does meanwhile.
    is_probe: bool,
}

impl<'s> Seat<'s> {
    /// Takes a seat. A place and the probe were claimed before.
    pub(super) fn take(
        shard: &'s Shard,
        (group, slot): (GroupId, SlotId),
        has_place: bool,
        is_probe: bool,
    ) -> Self {
        shard.health.begin(shard.id, slot);
        Self { shard, slot, group, has_place, is_probe }
    }

    /// The endpoint's number.
    pub(super) const fn slot(&self) -> SlotId {
        self.slot
    }

    /// Whether the endpoint is tried out.
    pub(super) const fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// Tells the node what the attempt says of the endpoint.
    pub(super) fn note(&mut self, verdict: Verdict, rule: Option<&breaker::Rule>, now: Moment) {
        let is_probe = std::mem::take(&mut self.is_probe);
        self.shard.health.note(self.shard.id, self.slot, verdict, is_probe, rule, now);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let health = &self.shard.health;
        if self.is_probe {
            health.release_probe(self.slot);
        }
        if self.has_place {
            health.give_place(self.slot);
        }
        health.end(self.shard.id, self.slot);
        waiting::wake_first(self.shard, self.group);
    }
}
