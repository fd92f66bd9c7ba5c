//! All streams of a shard that are kept, and the memory they share.

use std::cell::Cell;
use std::collections::HashMap;

use super::Counts;
use super::Cursor;
use super::End;
use super::Found;
use super::Missing;
use super::Place;
use super::Rule;
use super::StreamId;
use super::blocks::BLOCK_COST;
use super::blocks::Blocks;
use super::ring::Ring;
use crate::units::Moment;

/// Streams that are looked at in one [`Shelf::sweep`], at most.
const SWEPT_MAX: usize = 4096;
/// What a stream takes of the budget beside its blocks: its slot and its entry among the names, with the room that tables
/// have to grow.
const STREAM_COST: usize = 2 * (size_of::<Slot>() + size_of::<(StreamId, u32)>() + 8);
/// No slot.
const NONE: u32 = u32::MAX;

/// The streams of a shard that are kept. What they hold together never exceeds its budget.
pub struct Shelf(Cell<Option<Box<Rings>>>);

struct Slot {
    ring: Option<Ring>,
    generation: u32,
    /// The neighbours in the order in which streams were opened.
    older: u32,
    younger: u32,
}

struct Rings {
    blocks: Blocks,
    slots: Vec<Slot>,
    free: Vec<u32>,
    names: HashMap<StreamId, u32>,
    streams_max: usize,
    oldest: u32,
    youngest: u32,
    swept: usize,
    gave_way_events: u64,
    gave_way_streams: u64,
}

impl Shelf {
    /// An empty one with so much memory, in bytes. A sixteenth of it is for what is known of each stream, the rest for what the
    /// streams have said.
    #[must_use]
    pub fn new(budget_bytes: usize) -> Self {
        let streams_max = (budget_bytes / 16 / STREAM_COST).min(NONE as usize - 1);
        let left = budget_bytes - streams_max * STREAM_COST;
        Self(Cell::new(Some(Box::new(Rings {
            blocks: Blocks::new(left / BLOCK_COST),
            slots: Vec::new(),
            free: Vec::new(),
            names: HashMap::new(),
            streams_max,
            oldest: NONE,
            youngest: NONE,
            swept: 0,
            gave_way_events: 0,
            gave_way_streams: 0,
        }))))
    }

    fn with<R>(&self, work: impl FnOnce(&mut Rings) -> R) -> Option<R> {
        let mut rings = self.0.take()?;
        let result = work(&mut rings);
        self.0.set(Some(rings));
        Some(result)
    }

    /// Begins to keep a stream of `owner`, whom only the caller knows. None: as many as may be are kept, and none of them has
    /// ended.
    pub fn open(&self, id: StreamId, owner: u64, rule: Rule, now: Moment) -> Option<Place> {
        self.with(|rings| rings.open(Ring::new(id, owner, rule), now))?
    }

    /// Keeps bytes of the event that is coming, all of it or a part.
    pub fn append(&self, place: Place, bytes: &[u8]) {
        self.with(|rings| rings.append(place, bytes));
    }

    /// The event that was coming has come. Its number.
    pub fn end_event(&self, place: Place, now: Moment) -> u64 {
        self.with(|rings| rings.end_event(place, now)).unwrap_or(0)
    }

    /// The number of the event that is coming.
    #[must_use]
    pub fn next_seq(&self, place: Place) -> u64 {
        let seq = self.with(|rings| rings.ring(place).map(|(ring, _)| ring.next_seq()));
        seq.flatten().unwrap_or(0)
    }

    /// No more will come. What is kept stays for the window of its rule.
    pub fn finish(&self, place: Place, end: End, now: Moment) {
        self.with(|rings| {
            if let Some((ring, _)) = rings.ring(place) {
                ring.finished = Some((end, now.after(ring.rule.window)));
            }
        });
    }

    /// The stream of this name.
    #[must_use]
    pub fn find(&self, id: StreamId, now: Moment) -> Option<Found> {
        self.with(|rings| rings.find(id, now))?
    }

    /// The place just behind an event; 0: from the beginning.
    ///
    /// # Errors
    /// Why nobody can read on from there.
    pub fn after(&self, place: Place, seq: u64) -> Result<Cursor, Missing> {
        let found = self.with(|rings| {
            let (ring, blocks) = rings.ring(place).ok_or(Missing::Forgotten)?;
            ring.after(blocks, seq)
        });
        found.unwrap_or(Err(Missing::Forgotten))
    }

    /// Appends at most `bytes_max` of what follows a place to `out`, and moves the place behind that. True: nothing follows.
    ///
    /// # Errors
    /// What follows is not kept any more.
    pub fn read(
        &self,
        place: Place,
        cursor: &mut Cursor,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, Missing> {
        let read = self.with(|rings| {
            let (ring, blocks) = rings.ring(place).ok_or(Missing::Forgotten)?;
            ring.read(blocks, cursor, bytes_max, out)
        });
        read.unwrap_or(Err(Missing::Forgotten))
    }

    /// Keeps a stream no longer.
    pub fn remove(&self, place: Place) {
        self.with(|rings| rings.remove(place));
    }

    /// Gives up what is too old, a bounded number of streams at a time: to be called again and again.
    pub fn sweep(&self, now: Moment) {
        self.with(|rings| rings.sweep(now));
    }

    /// How it stands.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.with(|rings| Counts {
            bytes: rings.blocks.bytes() + rings.names.len() * STREAM_COST,
            streams: rings.names.len(),
            gave_way_events: rings.gave_way_events,
            gave_way_streams: rings.gave_way_streams,
        })
        .unwrap_or_default()
    }
}

impl Rings {
    fn ring(&mut self, place: Place) -> Option<(&mut Ring, &mut Blocks)> {
        let slot = self.slots.get_mut(place.index as usize)?;
        let ring = slot.ring.as_mut().filter(|_| slot.generation == place.generation)?;
        Some((ring, &mut self.blocks))
    }

    fn open(&mut self, ring: Ring, now: Moment) -> Option<Place> {
        if self.names.contains_key(&ring.id) {
            return None;
        }
        if self.names.len() >= self.streams_max {
            self.sweep(now);
            self.drop_oldest_finished()?;
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok()?;
                let slot = Slot { ring: None, generation: 0, older: NONE, younger: NONE };
                self.slots.push(slot);
                index
            }
        };
        self.names.insert(ring.id, index);
        let older = std::mem::replace(&mut self.youngest, index);
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.younger = index,
            None => self.oldest = index,
        }
        let slot = &mut self.slots[index as usize];
        slot.ring = Some(ring);
        slot.older = older;
        slot.younger = NONE;
        Some(Place { index, generation: slot.generation })
    }

    /// Of the streams that have ended the oldest gives its place up.
    fn drop_oldest_finished(&mut self) -> Option<()> {
        let mut index = self.oldest;
        loop {
            let slot = self.slots.get(index as usize)?;
            if slot.ring.as_ref().is_some_and(|ring| ring.finished.is_some()) {
                let place = Place { index, generation: slot.generation };
                self.gave_way_streams += 1;
                self.remove(place);
                return Some(());
            }
            index = slot.younger;
        }
    }

    fn remove(&mut self, place: Place) {
        let Some((ring, blocks)) = self.ring(place) else { return };
        ring.drop_all(blocks);
        let id = ring.id;
        self.names.remove(&id);
        let slot = &mut self.slots[place.index as usize];
        slot.ring = None;
        slot.generation = slot.generation.wrapping_add(1);
        let (older, younger) = (slot.older, slot.younger);
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.younger = younger,
            None => self.oldest = younger,
        }
        match self.slots.get_mut(younger as usize) {
            Some(slot) => slot.older = older,
            None => self.youngest = older,
        }
        self.free.push(place.index);
    }

    fn append(&mut self, place: Place, bytes: &[u8]) {
        let Some((ring, blocks)) = self.ring(place) else { return };
        if ring.is_maimed() || !ring.make_room(blocks, bytes.len()) {
            return ring.skip(blocks, bytes.len());
        }
        while let Some((ring, blocks)) = self.ring(place)
            && ring.is_short_of_blocks(blocks, bytes.len())
        {
            if !self.give_way(place) {
                break;
            }
        }
        let Some((ring, blocks)) = self.ring(place) else { return };
        if ring.is_maimed()
            || ring.is_short_of_blocks(blocks, bytes.len())
            || !ring.push(blocks, bytes)
        {
            ring.skip(blocks, bytes.len());
        }
    }

    fn end_event(&mut self, place: Place, now: Moment) -> u64 {
        while let Some((ring, blocks)) = self.ring(place)
            && !ring.may_note(blocks)
        {
            if !self.give_way(place) {
                break;
            }
        }
        self.ring(place).map_or(0, |(ring, blocks)| ring.end_event(blocks, now))
    }

    /// The oldest stream that holds anything gives an event up for `place`, or what it has of one. False: nobody has anything.
    fn give_way(&mut self, place: Place) -> bool {
        let mut index = self.oldest;
        loop {
            let Some(slot) = self.slots.get_mut(index as usize) else { return false };
            if let Some(ring) = slot.ring.as_mut().filter(|ring| !ring.is_empty()) {
                self.gave_way_events += 1;
                let is_first =
                    index != place.index && !std::mem::replace(&mut ring.has_given_way, true);
                self.gave_way_streams += u64::from(is_first);
                if !ring.drop_oldest(&mut self.blocks) {
                    ring.drop_all(&mut self.blocks);
                }
                return true;
            }
            index = slot.younger;
        }
    }

    fn find(&mut self, id: StreamId, now: Moment) -> Option<Found> {
        let index = *self.names.get(&id)?;
        let slot = self.slots.get(index as usize)?;
        let place = Place { index, generation: slot.generation };
        let ring = slot.ring.as_ref()?;
        if ring.finished.is_some_and(|(_, until)| until < now) {
            self.remove(place);
            return None;
        }
        let is_finished = ring.finished.map(|(end, _)| end);
        Some(Found { place, owner: ring.owner, is_finished })
    }

    fn sweep(&mut self, now: Moment) {
        for _ in 0..self.slots.len().min(SWEPT_MAX) {
            self.swept = if self.swept + 1 < self.slots.len() { self.swept + 1 } else { 0 };
            let index = u32::try_from(self.swept).unwrap_or(NONE);
            let Some(slot) = self.slots.get_mut(self.swept) else { return };
            let Some(ring) = slot.ring.as_mut() else { continue };
            if ring.finished.is_some_and(|(_, until)| until < now) {
                let generation = slot.generation;
                self.remove(Place { index, generation });
            } else {
                ring.forget(&mut self.blocks, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
