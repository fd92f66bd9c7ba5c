//! Bytes that wait: a window that fills at one end and is used up at the other, from a pool of few sizes.

use std::cell::Cell;

/// Sizes of pooled buffers in bytes. Whatever needs more is allocated and freed again.
const CLASSES: [usize; 4] = [1 << 10, 4 << 10, 16 << 10, 64 << 10];
/// What the spare buffers of one pool may hold together, in bytes.
const SPARE_BYTES_MAX: usize = 4 << 20;

/// A window of bytes. An empty one owns no memory.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Invariant: start <= end <= bytes.len(); all of `bytes` is initialised.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// The bytes that wait.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// How many bytes wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether none waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes could wait without new memory.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Uses up the first `count` bytes.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Keeps the first `count` bytes and drops the others.
    pub fn truncate(&mut self, count: usize) {
        self.end = self.end.min(self.start + count);
    }

    /// Room for more bytes after those that wait; [`Self::fill`] says how many were put there.
    pub fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Adds the first `count` bytes of the room to those that wait.
    pub fn fill(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    fn adopt(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let len = self.len();
        if let (Some(to), Some(from)) = (bytes.get_mut(..len), self.bytes.get(self.start..self.end))
        {
            to.copy_from_slice(from);
        }
        std::mem::swap(&mut self.bytes, &mut bytes);
        self.start = 0;
        self.end = len;
        bytes
    }

    fn make_dense(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }
}

/// The buffers of one shard: scratch memory that lasts for one step, and a pool of [`Buffer`]s that last longer.
#[derive(Default)]
pub struct Buffers {
    inward: Cell<Vec<u8>>,
    outward: Cell<Vec<u8>>,
    spare: [Cell<Vec<Vec<u8>>>; CLASSES.len()],
    spare_bytes: Cell<usize>,
}

/// Size of the scratch memory that reads go into, in bytes.
pub const SCRATCH_BYTES: usize = 64 << 10;

impl Buffers {
    /// Lends the scratch memory for one step: bytes in, and bytes to be sent, which begin empty.
    ///
    /// A step that lends again while it holds the scratch gets memory of its own; so does one after a panic.
    pub fn with_scratch<R>(&self, step: impl FnOnce(&mut [u8], &mut Vec<u8>) -> R) -> R {
        let mut inward = self.inward.take();
        let mut outward = self.outward.take();
        inward.resize(SCRATCH_BYTES, 0);
        outward.clear();
        let result = step(&mut inward, &mut outward);
        self.inward.set(inward);
        outward.shrink_to(SCRATCH_BYTES * 4);
        self.outward.set(outward);
        result
    }

    /// Adds bytes to a buffer, which takes memory from the pool as it needs.
    pub fn append(&self, buffer: &mut Buffer, bytes: &[u8]) {
        self.reserve(buffer, bytes.len());
        if let Some(room) = buffer.room().get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
        }
        buffer.fill(bytes.len());
    }

    /// Makes room for `more` bytes in a buffer, at least.
    pub fn reserve(&self, buffer: &mut Buffer, more: usize) {
        let needed = buffer.len() + more;
        if buffer.bytes.len() - buffer.end >= more {
            return;
        }
        if needed <= buffer.bytes.len() {
            buffer.make_dense();
            return;
        }
        let larger = self.take(needed);
        let old = buffer.adopt(larger);
        self.give(old);
    }

    /// Gives a buffer's memory back to the pool and leaves it empty.
    pub fn release(&self, buffer: &mut Buffer) {
        let bytes = std::mem::take(buffer).bytes;
        self.give(bytes);
    }

    /// Gives the memory back if nothing waits in the buffer.
    pub fn release_if_empty(&self, buffer: &mut Buffer) {
        if buffer.is_empty() && buffer.capacity() > 0 {
            self.release(buffer);
        }
    }

    fn take(&self, size: usize) -> Vec<u8> {
        let class = CLASSES.iter().zip(&self.spare).find(|(bytes, _)| **bytes >= size);
        let Some((&class_bytes, cell)) = class else {
            return vec![0; size.next_power_of_two()];
        };
        let mut spare = cell.take();
        let found = spare.pop();
        cell.set(spare);
        match found {
            Some(bytes) => {
                self.spare_bytes.set(self.spare_bytes.get().saturating_sub(class_bytes));
                bytes
            }
            None => vec![0; class_bytes],
        }
    }

    fn give(&self, bytes: Vec<u8>) {
        let len = bytes.len();
        if len == 0 || self.spare_bytes.get() + len > SPARE_BYTES_MAX {
            return;
        }
        let class = CLASSES.iter().zip(&self.spare).find(|(class, _)| **class == len);
        if let Some((_, cell)) = class {
            let mut spare = cell.take();
            spare.push(bytes);
            cell.set(spare);
            self.spare_bytes.set(self.spare_bytes.get() + len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let buffers = Buffers::default();
        let mut buffer = Buffer::default();
        let mut expected = Vec::new();
        for round in 0..200_u8 {
            let part = vec![round; usize::from(round) * 7];
            buffers.append(&mut buffer, &part);
            expected.extend_from_slice(&part);
            let used = usize::from(round) * 3;
            buffer.consume(used);
            expected.drain(..used.min(expected.len()));
            assert_eq!(buffer.filled(), expected);
        }
    }

    #[test]
    fn an_empty_buffer_gives_its_memory_back_and_another_gets_it() {
        let buffers = Buffers::default();
        let mut first = Buffer::default();
        buffers.append(&mut first, b"abc");
        buffers.release_if_empty(&mut first);
        assert_eq!(first.capacity(), 1 << 10, "something waits in it");
        first.consume(3);
        buffers.release_if_empty(&mut first);
        assert_eq!(first.capacity(), 0);
        assert_eq!(buffers.spare_bytes.get(), 1 << 10);
        let mut second = Buffer::default();
        buffers.append(&mut second, &[0; 1000]);
        assert_eq!(buffers.spare_bytes.get(), 0);
    }

    #[test]
    fn spare_memory_is_bounded_and_large_buffers_are_not_kept() {
        let buffers = Buffers::default();
        let mut many: Vec<Buffer> = (0..200).map(|_| Buffer::default()).collect();
        for buffer in &mut many {
            buffers.reserve(buffer, 60_000);
        }
        for buffer in &mut many {
            buffers.release(buffer);
        }
        assert!(buffers.spare_bytes.get() <= SPARE_BYTES_MAX);
        let before = buffers.spare_bytes.get();
        let mut large = Buffer::default();
        buffers.reserve(&mut large, 1 << 20);
        buffers.release(&mut large);
        assert_eq!(buffers.spare_bytes.get(), before);
    }

    #[test]
    fn scratch_can_be_lent_inside_itself() {
        let buffers = Buffers::default();
        buffers.with_scratch(|room, out| {
            out.push(1);
            buffers.with_scratch(|inner, inner_out| {
                assert_eq!(inner.len(), room.len());
                assert!(inner_out.is_empty());
            });
            assert_eq!(out.len(), 1);
        });
    }
}
