//! Bytes that leave at the end of the turn: all sends of a turn happen in a row, when every task has run.
//!
//! A send costs more than everything else in the relaying of a message, and it wakes whoever reads. Done in a row, the
//! sends share the processor's caches, and a reader that is woken by the first finds the others as well.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use crate::ring::stream::Shared;
use crate::ring::task;
use crate::ring::turn;
use crate::sys::socket;

/// Bytes that wait for the end of the turn, at most; with more they leave at once.
const WAITING_BYTES_MAX: usize = 256 << 10;
/// Memory that the outbox keeps from turn to turn, in bytes.
const KEPT_BYTES_MAX: usize = 512 << 10;

thread_local! {
    static OUTBOX: Cell<Outbox> = const { Cell::new(Outbox::new()) };
    static BACKLOG_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that wait on this thread for room in their sockets.
pub(super) fn backlog_bytes() -> usize {
    BACKLOG_BYTES.get()
}

struct Outbox {
    bytes: Vec<u8>,
    parcels: Vec<Parcel>,
}

struct Parcel {
    shared: Rc<Shared>,
    start: usize,
    end: usize,
}

/// What a socket had no room for, while it is sent bit by bit. It counts among the bytes that wait, until it is dropped.
pub(super) struct Backlog {
    bytes: Vec<u8>,
    sent: usize,
    error: Option<io::Error>,
    waker: Option<Waker>,
}

impl Backlog {
    fn new(bytes: Vec<u8>, error: Option<io::Error>) -> Self {
        BACKLOG_BYTES.set(BACKLOG_BYTES.get() + bytes.len());
        Self { bytes, sent: 0, error, waker: None }
    }

    fn extend(&mut self, bytes: &[u8]) {
        BACKLOG_BYTES.set(BACKLOG_BYTES.get() + bytes.len());
        self.bytes.extend_from_slice(bytes);
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        BACKLOG_BYTES.set(BACKLOG_BYTES.get().saturating_sub(self.bytes.len()));
    }
}

impl Outbox {
    const fn new() -> Self {
        Self { bytes: Vec::new(), parcels: Vec::new() }
    }
}

/// Takes bytes that leave on `shared`'s socket at the end of this turn.
pub(super) fn post(shared: &Rc<Shared>, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    if let Some(mut backlog) = shared.backlog.take() {
        backlog.extend(bytes);
        shared.backlog.set(Some(backlog));
        return;
    }
    let mut outbox = OUTBOX.replace(Outbox::new());
    let start = outbox.bytes.len();
    outbox.bytes.extend_from_slice(bytes);
    let end = outbox.bytes.len();
    if outbox.parcels.is_empty() {
        turn::wake_root();
    }
    shared.is_posted.set(true);
    outbox.parcels.push(Parcel { shared: Rc::clone(shared), start, end });
    OUTBOX.set(outbox);
    if end > WAITING_BYTES_MAX {
        flush();
    }
}

/// Sends all that waits.
pub(super) fn flush() {
    let mut outbox = OUTBOX.replace(Outbox::new());
    for Parcel { shared, start, end } in outbox.parcels.drain(..) {
        shared.is_posted.set(false);
        let bytes = outbox.bytes.get(start..end).unwrap_or_default();
        if let Some(mut backlog) = shared.backlog.take() {
            backlog.extend(bytes);
            shared.backlog.set(Some(backlog));
            continue;
        }
        let (sent, error) = match socket::send(shared.fd, bytes) {
            Ok(sent) => (sent, None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, None),
            Err(error) => (0, Some(error)),
        };
        if sent < bytes.len() {
            let rest = bytes.get(sent..).unwrap_or_default().to_vec();
            keep(&shared, Backlog::new(rest, error));
        }
    }
    outbox.bytes.clear();
    outbox.bytes.shrink_to(KEPT_BYTES_MAX);
    OUTBOX.set(outbox);
}

/// Keeps what a socket had no room for; a task of its own sends it as room comes.
fn keep(shared: &Rc<Shared>, backlog: Backlog) {
    let is_broken = backlog.error.is_some();
    shared.backlog.set(Some(Box::new(backlog)));
    if !is_broken {
        task::spawn(drain(Rc::clone(shared)));
    }
}

async fn drain(shared: Rc<Shared>) {
    loop {
        let ready = shared.descriptor.writable(false).await;
        // Nobody owns the stream any more: what is left is of no use.
        let Some(mut backlog) = shared.backlog.take() else { return };
        let rest = backlog.bytes.get(backlog.sent..).unwrap_or_default();
        match ready.and_then(|()| socket::send(shared.fd, rest)) {
            Ok(sent) => backlog.sent += sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => backlog.error = Some(error),
        }
        let waker = backlog.waker.take();
        if backlog.error.is_some() {
            shared.backlog.set(Some(backlog));
        } else if backlog.sent < backlog.bytes.len() {
            backlog.waker = waker;
            shared.backlog.set(Some(backlog));
            continue;
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        return;
    }
}

/// Ready once nothing waits for room.
pub(super) fn poll_drained(shared: &Shared, cx: &Context<'_>) -> Poll<io::Result<()>> {
    let Some(mut backlog) = shared.backlog.take() else { return Poll::Ready(Ok(())) };
    if let Some(error) = backlog.error.take() {
        // Whoever asks again is told again.
        backlog.error = Some(error.kind().into());
        shared.backlog.set(Some(backlog));
        return Poll::Ready(Err(error));
    }
    backlog.waker = Some(cx.waker().clone());
    shared.backlog.set(Some(backlog));
    Poll::Pending
}

/// Whether something waits for room, or could not be sent at all.
pub(super) fn has_backlog(shared: &Shared) -> bool {
    let backlog = shared.backlog.take();
    let has = backlog.is_some();
    shared.backlog.set(backlog);
    has
}

/// How much waits for room.
pub(super) fn backlog_of(shared: &Shared) -> usize {
    let backlog = shared.backlog.take();
    let bytes = backlog.as_ref().map_or(0, |backlog| backlog.bytes.len() - backlog.sent);
    shared.backlog.set(backlog);
    bytes
}
