//! The only folder that names the runtime: start it on this thread, and what the rest may ask of it.
//!
//! Poll first: an idle connection owns no buffer. A [`stream::Stream`] says when it can be read or written, the
//! bytes are then moved by direct system calls from and to memory of the caller. So no wait of this folder
//! owns a byte, and every one of them may be dropped at any time without losing any.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::task::Poll;

pub mod clock;
pub mod listen;
mod outbox;
pub mod stream;
pub mod task;
pub mod turn;

#[cfg(test)]
mod tests;

/// How a ring is built.
#[derive(Clone, Debug)]
pub struct Options {
    /// Completions that may wait in the ring at once; more are kept by the kernel in slower memory.
    pub completions: u32,
    /// Longest nap before waiting for events when many come that can wait, in microseconds; 0 never naps.
    pub wake_us: u32,
    /// Do without io_uring, as on a kernel that forbids it.
    pub is_legacy_forced: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { completions: 32_768, wake_us: 0, is_legacy_forced: false }
    }
}

/// An event loop that belongs to the thread that built it.
pub struct Ring {
    runtime: Runtime,
    options: Options,
    timer: clock::Alarm,
}

enum Runtime {
    Uring(monoio::Runtime<monoio::IoUringDriver>, &'static str),
    Legacy(monoio::Runtime<monoio::LegacyDriver>),
}

/// Submission queue entries; the queue is flushed when full, so this only bounds a batch.
const ENTRIES: u32 = 4096;

impl Ring {
    /// Builds the ring on the calling thread, with the best flags the kernel takes: SINGLE_ISSUER and
    /// DEFER_TASKRUN, then COOP_TASKRUN, then none; at last without io_uring.
    ///
    /// # Errors
    /// The system's, if not even epoll is to be had.
    pub fn build(options: &Options) -> io::Result<Self> {
        let runtime = match Self::build_uring(options) {
            Some(runtime) => runtime,
            None => Runtime::Legacy(monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().build()?),
        };
        Ok(Self { runtime, options: options.clone(), timer: clock::Alarm::open()? })
    }

    fn build_uring(options: &Options) -> Option<Runtime> {
        if options.is_legacy_forced {
            return None;
        }
        let mut plain = io_uring::IoUring::builder();
        plain.setup_cqsize(options.completions.max(ENTRIES * 2)).setup_submit_all();
        let mut coop = plain.clone();
        coop.setup_coop_taskrun().setup_single_issuer();
        let mut defer = plain.clone();
        defer.setup_single_issuer().setup_defer_taskrun();
        [
            (defer, "single_issuer,defer_taskrun"),
            (coop, "single_issuer,coop_taskrun"),
            (plain, "none"),
        ]
        .into_iter()
        .find_map(|(builder, flags)| {
            let built = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
                .with_entries(ENTRIES)
                .uring_builder(builder)
                .build();
            built.ok().map(|runtime| Runtime::Uring(runtime, flags))
        })
    }

    /// What drives this ring, for the log: `io_uring(flags)` or `epoll`.
    #[must_use]
    pub fn driver(&self) -> String {
        match &self.runtime {
            Runtime::Uring(_, flags) => format!("io_uring({flags})"),
            Runtime::Legacy(_) => "epoll".to_owned(),
        }
    }

    /// Runs until `main` has ended, and all that it spawned beside it.
    ///
    /// # Panics
    /// If `main` panics: it is the life of the thread, nothing can go on after it.
    pub fn run<F: Future + 'static>(self, main: F) -> F::Output {
        let wake_us = self.options.wake_us;
        let alarm = self.timer;
        match self.runtime {
            Runtime::Uring(mut runtime, _) => runtime.block_on(root(main, alarm, wake_us)),
            Runtime::Legacy(mut runtime) => runtime.block_on(root(main, alarm, wake_us)),
        }
    }
}

/// The future that the runtime polls at the end of each turn in which something happened.
async fn root<F: Future + 'static>(main: F, alarm: clock::Alarm, wake_us: u32) -> F::Output {
    clock::run_alarm(alarm);
    let output = Rc::new(Cell::new(None));
    let slot = Rc::clone(&output);
    let running = task::spawn_joined(async move {
        slot.set(Some(main.await));
        turn::wake_root();
    });
    turn::begin(wake_us);
    std::future::poll_fn(|cx| {
        turn::end(cx);
        match output.take() {
            Some(done) => Poll::Ready(done),
            None if running.is_finished() => panic!("the ring's main task ended by a panic"),
            None => Poll::Pending,
        }
    })
    .await
}
