//! Bytes that wait: a window that fills at one end and is used up at the other, from a pool of few sizes.

use std::cell::Cell;
use std::rc::Rc;

/// Sizes of pooled buffers in bytes. Whatever needs more is allocated and freed again.
const CLASSES: [usize; 4] = [1 << 10, 4 << 10, 16 << 10, 64 << 10];
/// What the spare buffers of one pool may hold together, in bytes.
const SPARE_BYTES_MAX: usize = 4 << 20;

/// A window of bytes. An empty one owns no memory.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Invariant: start <= end <= memory.bytes.len(); all of `bytes` is initialised.
    memory: Memory,
    start: usize,
    end: usize,
}

/// Memory that is counted as held until it is given back or dropped, whichever way its owner ends.
#[derive(Debug, Default)]
struct Memory {
    bytes: Vec<u8>,
    /// Where it is counted; none for no memory.
    held: Option<Rc<Cell<usize>>>,
}

impl Memory {
    fn counted(bytes: Vec<u8>, held: &Rc<Cell<usize>>) -> Self {
        held.set(held.get() + bytes.len());
        Self { bytes, held: Some(Rc::clone(held)) }
    }

    /// The bytes, which count no more.
    fn into_bytes(mut self) -> Vec<u8> {
        self.uncount();
        std::mem::take(&mut self.bytes)
    }

    fn uncount(&mut self) {
        if let Some(held) = self.held.take() {
            held.set(held.get().saturating_sub(self.bytes.len()));
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.uncount();
    }
}

impl Buffer {
    /// The bytes that wait.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        self.memory.bytes.get(self.start..self.end).unwrap_or_default()
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
        self.memory.bytes.len()
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
        self.memory.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Adds the first `count` bytes of the room to those that wait.
    pub fn fill(&mut self, count: usize) {
        self.end = (self.end + count).min(self.memory.bytes.len());
    }

    fn adopt(&mut self, mut memory: Memory) -> Memory {
        let len = self.len();
        if let Some(to) = memory.bytes.get_mut(..len) {
            to.copy_from_slice(self.filled());
        }
        std::mem::swap(&mut self.memory, &mut memory);
        self.start = 0;
        self.end = len;
        memory
    }

    fn make_dense(&mut self) {
        self.memory.bytes.copy_within(self.start..self.end, 0);
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
    held: Rc<Cell<usize>>,
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

    /// Memory that buffers hold now, in bytes: what was taken and neither given back nor dropped.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.get()
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
        if buffer.capacity() - buffer.end >= more {
            return;
        }
        if needed <= buffer.capacity() {
            buffer.make_dense();
            return;
        }
        let larger = Memory::counted(self.take(needed), &self.held);
        let old = buffer.adopt(larger);
        self.give(old.into_bytes());
    }

    /// Gives a buffer's memory back to the pool and leaves it empty.
    pub fn release(&self, buffer: &mut Buffer) {
        let memory = std::mem::take(buffer).memory;
        self.give(memory.into_bytes());
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

    #[test]
    fn what_is_held_is_known_however_it_ends() {
        let buffers = Buffers::default();
        let mut given_back = Buffer::default();
        buffers.append(&mut given_back, &[0; 500]);
        assert_eq!(buffers.held(), 1 << 10);
        // While it grows, only what it ends with stays.
        buffers.append(&mut given_back, &[0; 100_000]);
        assert_eq!(buffers.held(), 1 << 17);
        let mut dropped = Buffer::default();
        buffers.append(&mut dropped, b"abc");
        let moved = std::mem::take(&mut dropped);
        assert_eq!(buffers.held(), (1 << 17) + (1 << 10));
        drop(moved);
        drop(dropped);
        assert_eq!(buffers.held(), 1 << 17);
        buffers.release(&mut given_back);
        assert_eq!(buffers.held(), 0);
        buffers.release(&mut given_back);
        assert_eq!(buffers.held(), 0);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut lost = Buffer::default();
            buffers.append(&mut lost, b"abc");
            std::panic::resume_unwind(Box::new(buffers.held()));
        }));
        assert_eq!(panicked.unwrap_err().downcast_ref::<usize>(), Some(&(1 << 10)));
        assert_eq!(buffers.held(), 0);
    }
}
