//! Memory in blocks of one size, which are linked to queues: bytes go in at one end and out at the other.

/// Bytes of a block that can be used.
pub(super) const BLOCK_BYTES: usize = 2036;
/// What a block takes of the budget, its place in the table included.
pub(super) const BLOCK_COST: usize = 2048 + 8;

/// No block.
const NONE: u32 = u32::MAX;

struct Block {
    bytes: [u8; BLOCK_BYTES],
    next: u32,
}

/// All blocks of a shelf.
pub(super) struct Blocks {
    #[expect(
        clippy::vec_box,
        reason = "a table that grows must not move, and for a moment double, all blocks"
    )]
    all: Vec<Box<Block>>,
    free: u32,
    used: usize,
    max: usize,
}

/// A queue of bytes. Its positions are those since it began; bytes before `start` are gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    first: u32,
    last: u32,
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { first: NONE, last: NONE, start: 0, end: 0 }
    }
}

/// Number of the block that a position is in, counted from the beginning of its queue, and the place there.
fn locate(position: u64) -> (u64, usize) {
    let bytes = BLOCK_BYTES as u64;
    (position / bytes, usize::try_from(position % bytes).unwrap_or(0))
}

impl Blocks {
    pub(super) fn new(max: usize) -> Self {
        Self { all: Vec::new(), free: NONE, used: 0, max: max.min(NONE as usize - 1) }
    }

    /// Memory of the blocks in use, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.used * BLOCK_COST
    }

    /// Whether so many bytes more at the end of a queue need more blocks than there are.
    pub(super) fn is_short_for(&self, queue: &Queue, bytes: usize) -> bool {
        let Some(last) = bytes.checked_sub(1) else { return false };
        let (first_block, at) = locate(queue.end);
        let (last_block, _) = locate(queue.end + last as u64);
        let has_room = queue.last != NONE && at != 0;
        let needed = last_block - first_block + u64::from(!has_room);
        needed > (self.max - self.used) as u64
    }

    fn take(&mut self) -> Option<u32> {
        let index = if self.free != NONE {
            let index = self.free;
            self.free = self.all[index as usize].next;
            index
        } else if self.all.len() < self.max {
            if self.all.len() == self.all.capacity() {
                let more = (self.max - self.all.len()).min(self.all.len().max(64));
                self.all.reserve_exact(more);
            }
            self.all.push(Box::new(Block { bytes: [0; BLOCK_BYTES], next: NONE }));
            u32::try_from(self.all.len() - 1).ok()?
        } else {
            return None;
        };
        self.all[index as usize].next = NONE;
        self.used += 1;
        Some(index)
    }

    /// Appends bytes, for which there must be room: see [`Self::is_short_for`]. False: there is none.
    pub(super) fn push(&mut self, queue: &mut Queue, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let (_, at) = locate(queue.end);
            if queue.last == NONE || at == 0 {
                let Some(index) = self.take() else { return false };
                if queue.last == NONE {
                    queue.first = index;
                } else {
                    self.all[queue.last as usize].next = index;
                }
                queue.last = index;
            }
            let block = &mut self.all[queue.last as usize].bytes;
            let count = bytes.len().min(BLOCK_BYTES - at);
            let (now, later) = bytes.split_at(count);
            block[at..at + count].copy_from_slice(now);
            queue.end += count as u64;
            bytes = later;
        }
        true
    }

    /// Gives up the bytes before `position`, and the blocks that only had such.
    pub(super) fn drop_before(&mut self, queue: &mut Queue, position: u64) {
        let position = position.min(queue.end);
        if position <= queue.start {
            return;
        }
        let mut first = locate(queue.start).0;
        let is_all = position == queue.end;
        let keep = locate(position).0;
        while queue.first != NONE && (first < keep || is_all) {
            let index = queue.first;
            queue.first = self.all[index as usize].next;
            self.all[index as usize].next = self.free;
            self.free = index;
            self.used -= 1;
            first += 1;
        }
        if queue.first == NONE {
            queue.last = NONE;
        }
        queue.start = position;
    }

    /// Skips bytes at the end that are not kept: everything before is given up with them.
    pub(super) fn skip(&mut self, queue: &mut Queue, bytes: u64) {
        self.drop_before(queue, queue.end);
        queue.end += bytes;
        queue.start = queue.end;
    }

    /// Appends at most `max` of the bytes from `position` on to `out`; the position behind them.
    pub(super) fn read(&self, queue: &Queue, position: u64, max: usize, out: &mut Vec<u8>) -> u64 {
        let mut position = position.max(queue.start);
        let mut left = max;
        let mut block = queue.first;
        for _ in locate(queue.start).0..locate(position).0 {
            block = if block == NONE { NONE } else { self.all[block as usize].next };
        }
        while block != NONE && left > 0 && position < queue.end {
            let (_, at) = locate(position);
            let there = usize::try_from(queue.end - position).unwrap_or(usize::MAX);
            let count = (BLOCK_BYTES - at).min(left).min(there);
            let piece = &self.all[block as usize];
            out.extend_from_slice(&piece.bytes[at..at + count]);
            position += count as u64;
            left -= count;
            block = piece.next;
        }
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_costs_what_it_is_reckoned_with() {
        assert!(size_of::<Block>() + size_of::<Box<Block>>() <= BLOCK_COST);
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut blocks = Blocks::new(8);
        let mut queue = Queue::new();
        let (mut went, mut kept_from) = (Vec::new(), 0_u64);
        for round in 0..2_000_usize {
            let piece: Vec<u8> =
                (0..round * 7 % 900).map(|at| (at + round).to_le_bytes()[0]).collect();
            while blocks.is_short_for(&queue, piece.len()) {
                kept_from = queue.start + 1 + (queue.end - queue.start) / 3;
                blocks.drop_before(&mut queue, kept_from);
            }
            assert!(blocks.push(&mut queue, &piece));
            went.extend_from_slice(&piece);
            let mut out = Vec::new();
            assert_eq!(blocks.read(&queue, kept_from, usize::MAX, &mut out), queue.end);
            assert!(out == went[usize::try_from(kept_from).unwrap()..], "round {round}");
            assert!(blocks.bytes() <= 8 * BLOCK_COST);
        }
        blocks.drop_before(&mut queue, u64::MAX);
        assert_eq!(blocks.bytes(), 0);
    }
}
