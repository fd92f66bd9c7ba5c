//! A bounded queue of records from one shard to control: the shard never waits; what does not fit is dropped.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crossbeam_queue::ArrayQueue;

use crate::record::Record;

/// How many records wait for control at most, by default: at 50 ms between two visits enough for 160,000 requests a
/// second and shard.
pub const WAITING_MAX: usize = 8192;

struct Queue {
    waiting: ArrayQueue<Record>,
    is_wanted: AtomicBool,
}

/// The shard's end.
pub struct Sender(Arc<Queue>);

/// Control's end.
pub struct Receiver(Arc<Queue>);

/// A queue for `waiting_max` records (at least one).
#[must_use]
pub fn queue(waiting_max: usize) -> (Sender, Receiver) {
    let waiting = ArrayQueue::new(waiting_max.max(1));
    let queue = Arc::new(Queue { waiting, is_wanted: AtomicBool::new(false) });
    (Sender(Arc::clone(&queue)), Receiver(queue))
}

impl Sender {
    /// Puts `record` into the queue if somebody reads it. False: the queue is full and the record is lost; the caller
    /// counts that. Never waits.
    #[inline]
    #[must_use]
    pub fn offer(&self, record: Record) -> bool {
        if !self.0.is_wanted.load(Ordering::Relaxed) {
            return true;
        }
        self.0.waiting.push(record).is_ok()
    }
}

impl Receiver {
    /// Says whether records are to be queued at all; at first they are not. With no access log nobody reads them, and
    /// a shard then pays one load for each.
    pub fn want(&self, is_wanted: bool) {
        self.0.is_wanted.store(is_wanted, Ordering::Relaxed);
    }

    /// Takes the oldest record.
    #[must_use]
    pub fn take(&self) -> Option<Record> {
        self.0.waiting.pop()
    }

    /// How many records wait now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.waiting.len()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Receiver").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: u64) -> Record {
        Record { started_unix_ms: number, ..Record::default() }
    }

    #[test]
    fn nothing_is_queued_until_somebody_wants_it() {
        let (sender, receiver) = queue(2);
        for number in 0..10 {
            assert!(sender.offer(numbered(number)), "not wanted is not dropped");
        }
        assert_eq!(receiver.take(), None);
        receiver.want(true);
        assert!(sender.offer(numbered(10)));
        assert_eq!(receiver.take(), Some(numbered(10)));
    }

    #[test]
    fn a_full_queue_drops_the_newest_and_says_so() {
        let (sender, receiver) = queue(2);
        receiver.want(true);
        assert!(sender.offer(numbered(0)));
        assert!(sender.offer(numbered(1)));
        assert!(!sender.offer(numbered(2)));
        assert_eq!(receiver.waiting(), 2);
        assert_eq!(receiver.take(), Some(numbered(0)));
        assert!(sender.offer(numbered(3)));
        assert_eq!(receiver.take(), Some(numbered(1)));
        assert_eq!(receiver.take(), Some(numbered(3)));
        assert_eq!(receiver.take(), None);
    }

    #[test]
    fn order_is_kept_across_threads() {
        let (sender, receiver) = queue(64);
        receiver.want(true);
        let producer = std::thread::spawn(move || {
            let mut accepted = Vec::new();
            for number in 0..50_000 {
                if sender.offer(numbered(number)) {
                    accepted.push(number);
                }
            }
            accepted
        });
        let mut taken = Vec::new();
        while !producer.is_finished() || receiver.waiting() > 0 {
            taken.extend(receiver.take().map(|record| record.started_unix_ms));
        }
        assert_eq!(taken, producer.join().expect("the producer ends"));
    }

    #[test]
    fn a_shard_may_outlive_control() {
        let (sender, receiver) = queue(1);
        receiver.want(true);
        drop(receiver);
        assert!(sender.offer(numbered(0)));
        assert!(!sender.offer(numbered(1)));
    }
}
