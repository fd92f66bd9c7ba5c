//! Tasks of a ring: spawned on it, and a panic ends the task instead of the thread.
#![allow(unsafe_code, reason = "one pin projection, proven where it stands")]

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

thread_local! {
    static BUGS: Cell<u64> = const { Cell::new(0) };
}

/// Tasks of this thread that ended by a panic, so far.
#[must_use]
pub fn bugs() -> u64 {
    BUGS.with(Cell::get)
}

/// Runs a future beside the others of this thread's ring. If it panics, it ends there: what it owns is
/// dropped, [`bugs`] counts it, and the others go on.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    drop(spawn_joined(future));
}

pub(super) fn spawn_joined(
    future: impl Future<Output = ()> + 'static,
) -> monoio::task::JoinHandle<()> {
    monoio::spawn(Contained { future })
}

/// Lets the other tasks that are ready run first.
pub async fn yield_now() {
    let mut is_second = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut is_second, true) {
            return Poll::Ready(());
        }
        // Through a task of its own: the runtime's own yield would go to the front of the queue.
        let waker = cx.waker().clone();
        drop(monoio::spawn(async move { waker.wake() }));
        Poll::Pending
    })
    .await;
}

/// A future whose panic becomes its end.
struct Contained<F> {
    future: F,
}

impl<F: Future<Output = ()>> Future for Contained<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `future` is pinned whenever `self` is: it is never moved out and `Contained` has no Drop.
        let future = unsafe { self.map_unchecked_mut(|this| &mut this.future) };
        // A future that panicked is never polled again: this one is then ready.
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(poll) => poll,
            Err(panic) => {
                note_bug(panic);
                Poll::Ready(())
            }
        }
    }
}

fn note_bug(panic: Box<dyn Any + Send>) {
    BUGS.with(|bugs| bugs.set(bugs.get() + 1));
    // The panic hook has logged it with a backtrace; a payload whose drop panics must not end the thread.
    if catch_unwind(AssertUnwindSafe(|| drop(panic))).is_err() {
        BUGS.with(|bugs| bugs.set(bugs.get() + 1));
    }
}
