//! The names behind stable numbers: which model and upstream a lane is, which url a slot is.
//!
//! Names are kept until their number is somebody else's, because records and counters of a lane go on after a reload removed it.
//! The numbers are dense and come from the snapshots' ledger, so these lists are as long as it is.

use crate::control::metrics::LaneName;
use crate::units::LaneId;
use crate::units::SlotId;

/// Names by number.
#[derive(Clone, Debug, Default)]
pub struct Names {
    lanes: Vec<Option<(u32, LaneName)>>,
    slots: Vec<Option<(u32, String)>>,
}

impl Names {
    /// Notes what a lane of this generation is called, unless it is known already. True: it was another one's before.
    pub fn learn_lane(&mut self, lane: (LaneId, u32), model: &str, upstream: &str) -> bool {
        let (lane, generation) = lane;
        let name = || LaneName { model: model.to_owned(), upstream: upstream.to_owned(), lane };
        learn(&mut self.lanes, lane.index(), generation, name)
    }

    /// Notes which url a slot of this generation has, unless it is known already. True: it was another one's before.
    pub fn learn_slot(&mut self, (slot, generation): (SlotId, u32), url: &str) -> bool {
        learn(&mut self.slots, slot.index(), generation, || url.to_owned())
    }

    /// The name of a lane.
    #[must_use]
    pub fn lane(&self, lane: LaneId) -> Option<&LaneName> {
        self.lanes.get(lane.index())?.as_ref().map(|(_, name)| name)
    }

    /// The url of a slot.
    #[must_use]
    pub fn slot(&self, slot: SlotId) -> Option<&str> {
        self.slots.get(slot.index())?.as_ref().map(|(_, url)| url.as_str())
    }

    /// All lanes known so far.
    #[must_use]
    pub fn lanes(&self) -> Vec<LaneName> {
        self.lanes.iter().flatten().map(|(_, name)| name.clone()).collect()
    }
}

fn learn<T>(
    list: &mut Vec<Option<(u32, T)>>,
    index: usize,
    generation: u32,
    name: impl FnOnce() -> T,
) -> bool {
    if list.len() <= index {
        list.resize_with(index + 1, || None);
    }
    let Some(place) = list.get_mut(index) else { return false };
    let before = place.as_ref().map(|(known, _)| *known);
    if before != Some(generation) {
        *place = Some((generation, name()));
    }
    before.is_some_and(|known| known != generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_learned_once() {
        let mut names = Names::default();
        assert!(!names.learn_lane((LaneId(2), 0), "m", "u"));
        assert!(!names.learn_lane((LaneId(2), 0), "other", "u"));
        assert!(!names.learn_slot((SlotId(1), 0), "http://one"));
        assert_eq!(names.lane(LaneId(2)).map(|name| name.model.as_str()), Some("m"));
        assert_eq!(names.lane(LaneId(0)), None);
        assert_eq!(names.lane(LaneId(9)), None);
        assert_eq!(names.slot(SlotId(1)), Some("http://one"));
        assert_eq!(names.slot(SlotId(0)), None);
        assert_eq!(names.lanes().len(), 1);
    }

    #[test]
    fn another_generation_has_another_name() {
        let mut names = Names::default();
        names.learn_slot((SlotId(1), 0), "http://one");
        assert!(names.learn_slot((SlotId(1), 1), "http://two"));
        assert!(!names.learn_slot((SlotId(1), 1), "http://three"));
        assert_eq!(names.slot(SlotId(1)), Some("http://two"));
        names.learn_lane((LaneId(0), 0), "m", "u");
        assert!(names.learn_lane((LaneId(0), 2), "n", "u"));
        assert_eq!(names.lane(LaneId(0)).map(|name| name.model.as_str()), Some("n"));
    }
}
