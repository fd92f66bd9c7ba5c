//! The names behind stable numbers: which model and upstream a lane is, which url a slot is.
//!
//! Names are kept for the life of the process, because records and counters of a lane go on after a reload removed it.
//! The numbers are dense and bounded (the ledger gives no more than there is room to count), so these lists are too.

use crate::control::metrics::LaneName;
use crate::units::LaneId;
use crate::units::SlotId;

/// Names by number.
#[derive(Clone, Debug, Default)]
pub struct Names {
    lanes: Vec<Option<LaneName>>,
    slots: Vec<Option<String>>,
}

impl Names {
    /// Notes what a lane is called, unless it is known already.
    pub fn learn_lane(&mut self, lane: LaneId, model: &str, upstream: &str) {
        let name = || LaneName { model: model.to_owned(), upstream: upstream.to_owned(), lane };
        place(&mut self.lanes, lane.index()).get_or_insert_with(name);
    }

    /// Notes which url a slot has, unless it is known already.
    pub fn learn_slot(&mut self, slot: SlotId, url: &str) {
        place(&mut self.slots, slot.index()).get_or_insert_with(|| url.to_owned());
    }

    /// The name of a lane.
    #[must_use]
    pub fn lane(&self, lane: LaneId) -> Option<&LaneName> {
        self.lanes.get(lane.index())?.as_ref()
    }

    /// The url of a slot.
    #[must_use]
    pub fn slot(&self, slot: SlotId) -> Option<&str> {
        self.slots.get(slot.index())?.as_deref()
    }

    /// All lanes known so far.
    #[must_use]
    pub fn lanes(&self) -> Vec<LaneName> {
        self.lanes.iter().flatten().cloned().collect()
    }
}

fn place<T>(list: &mut Vec<Option<T>>, index: usize) -> &mut Option<T> {
    if list.len() <= index {
        list.resize_with(index + 1, || None);
    }
    &mut list[index]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_learned_once() {
        let mut names = Names::default();
        names.learn_lane(LaneId(2), "m", "u");
        names.learn_lane(LaneId(2), "other", "u");
        names.learn_slot(SlotId(1), "http://one");
        assert_eq!(names.lane(LaneId(2)).map(|name| name.model.as_str()), Some("m"));
        assert_eq!(names.lane(LaneId(0)), None);
        assert_eq!(names.lane(LaneId(9)), None);
        assert_eq!(names.slot(SlotId(1)), Some("http://one"));
        assert_eq!(names.slot(SlotId(0)), None);
        assert_eq!(names.lanes().len(), 1);
    }
}
