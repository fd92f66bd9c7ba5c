//! One stream as it is kept: its last bytes, and where in them its events end.

use super::Cursor;
use super::End;
use super::Missing;
use super::Rule;
use super::StreamId;
use super::blocks::Blocks;
use super::blocks::Queue;
use crate::units::Moment;

/// What is noted of an event: where it ends and when that was, eight bytes each.
const NOTE_BYTES: usize = 16;

/// One stream as it is kept.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) id: StreamId,
    pub(super) owner: u64,
    pub(super) rule: Rule,
    bytes: Queue,
    notes: Queue,
    /// Number of the first event that is kept.
    first_seq: u64,
    /// Number of the event to come.
    next_seq: u64,
    /// The beginning of the event to come could not be kept.
    is_maimed: bool,
    /// An event of this stream has given way to other streams.
    pub(super) has_given_way: bool,
    /// How it has ended, and until when it is kept.
    pub(super) finished: Option<(End, Moment)>,
}

impl Ring {
    pub(super) const fn new(id: StreamId, owner: u64, rule: Rule) -> Self {
        Self {
            id,
            owner,
            rule,
            bytes: Queue::new(),
            notes: Queue::new(),
            first_seq: 1,
            next_seq: 1,
            is_maimed: false,
            has_given_way: false,
            finished: None,
        }
    }

    pub(super) const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Whether it holds any memory.
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.start == self.bytes.end && self.notes.start == self.notes.end
    }

    /// Makes room for so many bytes within what this stream may have. False: there is none for this event, whatever goes.
    pub(super) fn make_room(&mut self, blocks: &mut Blocks, bytes: usize) -> bool {
        let max = u64::from(self.rule.bytes_max);
        while self.bytes.end + bytes as u64 - self.bytes.start > max {
            if !self.drop_oldest(blocks) {
                return false;
            }
        }
        true
    }

    /// Gives up the oldest event. False: there is none that is whole.
    pub(super) fn drop_oldest(&mut self, blocks: &mut Blocks) -> bool {
        if self.first_seq == self.next_seq {
            return false;
        }
        let (end, _) = self.note(blocks, self.first_seq);
        blocks.drop_before(&mut self.bytes, end);
        let gone = self.notes.start + NOTE_BYTES as u64;
        blocks.drop_before(&mut self.notes, gone);
        self.first_seq += 1;
        true
    }

    /// Gives up everything, what has begun of an event included.
    pub(super) fn drop_all(&mut self, blocks: &mut Blocks) {
        while self.drop_oldest(blocks) {}
        if self.bytes.start < self.bytes.end {
            blocks.skip(&mut self.bytes, 0);
            self.is_maimed = true;
        }
    }

    /// These bytes, and what has begun of their event, are not kept.
    pub(super) fn skip(&mut self, blocks: &mut Blocks, bytes: usize) {
        while self.drop_oldest(blocks) {}
        blocks.skip(&mut self.bytes, bytes as u64);
        self.is_maimed = true;
    }

    /// Whether the next bytes must be skipped, as the beginning of their event was.
    pub(super) const fn is_maimed(&self) -> bool {
        self.is_maimed
    }

    pub(super) fn is_short_of_blocks(&self, blocks: &Blocks, bytes: usize) -> bool {
        blocks.is_short_for(&self.bytes, bytes)
    }

    pub(super) fn push(&mut self, blocks: &mut Blocks, bytes: &[u8]) -> bool {
        blocks.push(&mut self.bytes, bytes)
    }

    /// Whether there is a block for the note of one more event.
    pub(super) fn may_note(&self, blocks: &Blocks) -> bool {
        !blocks.is_short_for(&self.notes, NOTE_BYTES)
    }

    /// The event to come is whole. If it cannot be noted, nothing of it is kept.
    pub(super) fn end_event(&mut self, blocks: &mut Blocks, now: Moment) -> u64 {
        let seq = self.next_seq;
        let mut note = [0; NOTE_BYTES];
        note[..8].copy_from_slice(&self.bytes.end.to_le_bytes());
        note[8..].copy_from_slice(&now.as_nanos().to_le_bytes());
        let is_whole = !std::mem::take(&mut self.is_maimed);
        if is_whole && self.may_note(blocks) && blocks.push(&mut self.notes, &note) {
            self.next_seq += 1;
        } else {
            while self.drop_oldest(blocks) {}
            blocks.skip(&mut self.bytes, 0);
            self.next_seq += 1;
            self.first_seq = self.next_seq;
        }
        while self.next_seq - self.first_seq > u64::from(self.rule.events_max) {
            self.drop_oldest(blocks);
        }
        seq
    }

    /// Gives up events that are too old.
    pub(super) fn forget(&mut self, blocks: &mut Blocks, now: Moment) {
        while self.first_seq < self.next_seq
            && self.note(blocks, self.first_seq).1.after(self.rule.age) < now
        {
            self.drop_oldest(blocks);
        }
    }

    /// Where an event that is kept ends, and when it came.
    fn note(&self, blocks: &Blocks, seq: u64) -> (u64, Moment) {
        let at = self.notes.start + (seq - self.first_seq) * NOTE_BYTES as u64;
        let mut note = Vec::with_capacity(NOTE_BYTES);
        blocks.read(&self.notes, at, NOTE_BYTES, &mut note);
        let number = |part: Option<&[u8]>| {
            part.and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes)
        };
        (number(note.get(..8)), Moment::from_nanos(number(note.get(8..))))
    }

    /// The place just behind an event.
    pub(super) fn after(&self, blocks: &Blocks, seq: u64) -> Result<Cursor, Missing> {
        if seq >= self.next_seq {
            return Err(Missing::Future);
        }
        if self.is_maimed || seq + 1 < self.first_seq {
            return Err(Missing::Forgotten);
        }
        if seq + 1 == self.first_seq {
            return Ok(Cursor(self.bytes.start));
        }
        Ok(Cursor(self.note(blocks, seq).0))
    }

    /// Appends what follows a place, and moves it. True: nothing follows it any more.
    pub(super) fn read(
        &self,
        blocks: &Blocks,
        cursor: &mut Cursor,
        max: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, Missing> {
        if cursor.0 < self.bytes.start {
            return Err(Missing::Forgotten);
        }
        cursor.0 = blocks.read(&self.bytes, cursor.0, max, out);
        Ok(cursor.0 >= self.bytes.end)
    }
}
