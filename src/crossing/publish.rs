//! Control to shards: the latest snapshot, without a lock and without waiting on either side.

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::snapshot::Snapshot;
use crate::sys::socket;

/// A snapshot as it is shared between threads.
pub type SharedSnapshot = Arc<Snapshot>;

/// Whether requests are still let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Requests are served.
    Serving,
    /// No new connections; those that are idle close, requests in flight finish.
    Draining,
    /// The drain deadline has passed: what is still in flight is broken off, told so, and recorded.
    Ending,
}

/// What a shard is told: all it may know of the world from now on.
#[derive(Clone)]
pub struct Publication {
    /// The world.
    pub snapshot: Arc<Snapshot>,
    /// Whether requests are let in.
    pub phase: Phase,
}

/// Control's end: publishes to every shard.
pub struct Publisher {
    outlets: Vec<Outlet>,
}

struct Outlet {
    latest: Arc<ArrayQueue<Publication>>,
    bell: OwnedFd,
}

/// A shard's end: where it finds the latest publication.
pub struct Inlet {
    latest: Arc<ArrayQueue<Publication>>,
    bell: Option<OwnedFd>,
}

/// A publisher and one inlet for each of `shards` shards.
///
/// # Errors
/// The system's, if it has no descriptor for a bell.
pub fn channel(shards: usize) -> io::Result<(Publisher, Vec<Inlet>)> {
    let mut outlets = Vec::with_capacity(shards);
    let mut inlets = Vec::with_capacity(shards);
    for _ in 0..shards {
        let latest = Arc::new(ArrayQueue::new(1));
        let bell = socket::eventfd()?;
        // Two descriptors of one counter: a shard with a file table of its own may close its own.
        inlets.push(Inlet { latest: Arc::clone(&latest), bell: Some(bell.try_clone()?) });
        outlets.push(Outlet { latest, bell });
    }
    Ok((Publisher { outlets }, inlets))
}

impl Publisher {
    /// Publishes to every shard. A shard that has not yet adopted the one before never sees that one.
    pub fn publish(&self, publication: &Publication) {
        for outlet in &self.outlets {
            outlet.latest.force_push(publication.clone());
            socket::raise(outlet.bell.as_raw_fd());
        }
    }
}

impl Inlet {
    /// The latest publication, if there is one that was not adopted yet.
    #[must_use]
    pub fn adopt(&self) -> Option<Publication> {
        self.latest.pop()
    }

    /// The descriptor of the bell, while it was not given out.
    #[must_use]
    pub const fn bell(&self) -> Option<&OwnedFd> {
        self.bell.as_ref()
    }

    /// The descriptor that becomes readable when something was published; given out once.
    #[must_use]
    pub fn take_bell(&mut self) -> Option<OwnedFd> {
        self.bell.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(number: u64) -> Publication {
        let snapshot = Arc::new(Snapshot { number, ..Snapshot::empty() });
        Publication { snapshot, phase: Phase::Serving }
    }

    #[test]
    fn the_latest_wins_and_is_adopted_once() {
        let (publisher, inlets) = channel(2).unwrap();
        publisher.publish(&publication(1));
        publisher.publish(&publication(2));
        for inlet in &inlets {
            assert_eq!(inlet.adopt().map(|publication| publication.snapshot.number), Some(2));
            assert!(inlet.adopt().is_none());
        }
    }

    fn read_to(inlet: &Inlet, end: u64) {
        let mut last = 0;
        while last < end {
            let Some(publication) = inlet.adopt() else { continue };
            assert!(publication.snapshot.number > last);
            last = publication.snapshot.number;
        }
    }

    #[test]
    fn a_number_never_goes_back_whatever_the_timing() {
        let (publisher, inlets) = channel(2).unwrap();
        let readers: Vec<_> = inlets
            .into_iter()
            .map(|inlet| std::thread::spawn(move || read_to(&inlet, 10_000)))
            .collect();
        for number in 1..=10_000 {
            publisher.publish(&publication(number));
        }
        for reader in readers {
            reader.join().unwrap();
        }
    }
}
