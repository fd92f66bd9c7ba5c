//! A connection: says when it can be read or written, moves bytes without waiting, ends in order or by reset.

use std::cell::Cell;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use crate::ring::clock::Timer;
use crate::ring::outbox;
use crate::ring::outbox::Backlog;
use crate::ring::turn;
use crate::sys::socket;
pub use crate::sys::socket::Dial;
use crate::units::Moment;

/// When a descriptor (socket, listener, eventfd, timerfd) can be read or written.
///
/// A wait stays armed in the ring when nobody polls it, and is found again by the next poll: there is one
/// wait per direction and event, however often it is asked for.
pub struct Readiness {
    shared: Rc<Shared>,
    reading: Pin<Box<dyn Future<Output = ()>>>,
    writing: Option<Pin<Box<dyn Future<Output = io::Result<()>>>>>,
}

/// What the waits and the outbox share with a descriptor's owner.
pub(super) struct Shared {
    /// The runtime's handle; only its readiness is used, whatever kind of descriptor it is.
    pub(super) descriptor: monoio::net::TcpStream,
    pub(super) fd: RawFd,
    is_wanted: Cell<bool>,
    outcome: Cell<Option<io::Result<()>>>,
    /// Whether bytes wait for the end of the turn.
    pub(super) is_posted: Cell<bool>,
    /// What the socket had no room for.
    pub(super) backlog: Cell<Option<Box<Backlog>>>,
}

/// Bytes that were posted on this thread's connections and wait for room.
#[must_use]
pub fn backlog_bytes() -> usize {
    outbox::backlog_bytes()
}

impl Readiness {
    /// Takes over a descriptor, which is closed when this is dropped.
    ///
    /// # Errors
    /// The system's, where the runtime has to register descriptors.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        let raw = fd.as_raw_fd();
        let shared = Rc::new(Shared {
            fd: raw,
            is_posted: Cell::new(false),
            backlog: Cell::new(None),
            descriptor: monoio::net::TcpStream::from_std(TcpStream::from(fd))?,
            is_wanted: Cell::new(false),
            outcome: Cell::new(None),
        });
        let reading = Box::pin(watch_readable(Rc::clone(&shared)));
        Ok(Self { shared, reading, writing: None })
    }

    /// Ready when there is something to read, or an end or an error to find.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.is_wanted.set(true);
        if self.reading.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        match self.shared.outcome.take() {
            Some(outcome) => {
                turn::note_event();
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        }
    }

    /// Ready when there is room to write, or an error to find.
    pub fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = &self.shared;
        let writing = self.writing.get_or_insert_with(|| {
            let shared = Rc::clone(shared);
            Box::pin(async move { shared.descriptor.writable(false).await })
        });
        let outcome = writing.as_mut().poll(cx);
        if outcome.is_ready() {
            self.writing = None;
            turn::note_event();
        }
        outcome
    }
}

/// Waits for readability again and again, each time that it is wanted: one allocation for all of them.
async fn watch_readable(shared: Rc<Shared>) {
    loop {
        poll_fn(|_| if shared.is_wanted.get() { Poll::Ready(()) } else { Poll::Pending }).await;
        let outcome = shared.descriptor.readable(false).await;
        shared.is_wanted.set(false);
        shared.outcome.set(Some(outcome));
    }
}

/// A TCP connection of this ring.
pub struct Stream {
    fd: RawFd,
    readiness: Readiness,
    timer: Option<Timer>,
}

impl Stream {
    /// Takes over a connected socket that does not block.
    ///
    /// # Errors
    /// The system's, where the runtime has to register descriptors.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { fd: fd.as_raw_fd(), readiness: Readiness::new(fd)?, timer: None })
    }

    /// Connects to an address.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; else the system's.
    pub async fn connect(remote: SocketAddr, dial: Dial, deadline: Moment) -> io::Result<Self> {
        let mut stream = Self::from_fd(socket::connect(remote, dial)?)?;
        stream.writable(deadline).await?;
        socket::take_error(stream.fd)?;
        Ok(stream)
    }

    /// Receives what is there. `Ok(0)` means that the other side has closed.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there; else the socket's.
    pub fn try_recv(&self, room: &mut [u8]) -> io::Result<usize> {
        socket::recv(self.fd, room)
    }

    /// Receives what is there, and leaves it there. `Ok(0)` means that the other side has closed.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there; else the socket's.
    pub fn peek(&self, room: &mut [u8]) -> io::Result<usize> {
        socket::peek(self.fd, room)
    }

    /// Sends as much as fits.
    ///
    /// # Errors
    /// `WouldBlock` if nothing fits; else the socket's.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.readiness.shared.is_posted.get() {
            outbox::flush();
        }
        if self.has_backlog() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        socket::send(self.fd, bytes)
    }

    /// Takes bytes that leave at the end of this turn, after all that was posted before. What the socket has no
    /// room for is kept and sent as room comes: see [`Self::has_backlog`].
    pub fn post(&self, bytes: &[u8]) {
        outbox::post(&self.readiness.shared, bytes);
    }

    /// Whether bytes that were posted wait for room. Who posts must stop then, until [`Self::poll_drained`] is ready.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        outbox::has_backlog(&self.readiness.shared)
    }

    /// How much of what was posted waits for room, in bytes.
    #[must_use]
    pub fn backlog_bytes(&self) -> usize {
        outbox::backlog_of(&self.readiness.shared)
    }

    /// Ready once nothing that was posted waits for room, or the connection failed.
    pub fn poll_drained(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        outbox::poll_drained(&self.readiness.shared, cx)
    }

    /// See [`Readiness::poll_readable`].
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.readiness.poll_readable(cx)
    }

    /// See [`Readiness::poll_writable`].
    pub fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.readiness.poll_writable(cx)
    }

    /// Waits until there is something to read.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; else the system's.
    pub async fn readable(&mut self, deadline: Moment) -> io::Result<()> {
        self.set_deadline(deadline);
        poll_fn(|cx| match self.poll_readable(cx) {
            Poll::Pending => self.poll_deadline(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
            ready @ Poll::Ready(_) => ready,
        })
        .await
    }

    /// Waits until there is room to write.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; else the system's.
    pub async fn writable(&mut self, deadline: Moment) -> io::Result<()> {
        self.set_deadline(deadline);
        poll_fn(|cx| match self.poll_writable(cx) {
            Poll::Pending => self.poll_deadline(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
            ready @ Poll::Ready(_) => ready,
        })
        .await
    }

    /// Sends everything.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; else the socket's.
    pub async fn send_all(&mut self, mut bytes: &[u8], deadline: Moment) -> io::Result<()> {
        self.drained(deadline).await?;
        while !bytes.is_empty() {
            match self.try_send(bytes) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable(deadline).await?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until all that was posted is with the kernel.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; else the socket's.
    pub async fn drained(&mut self, deadline: Moment) -> io::Result<()> {
        if self.readiness.shared.is_posted.get() {
            outbox::flush();
        }
        if !self.has_backlog() {
            return Ok(());
        }
        self.set_deadline(deadline);
        poll_fn(|cx| match self.poll_drained(cx) {
            Poll::Pending => self.poll_deadline(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
            ready @ Poll::Ready(_) => ready,
        })
        .await
    }

    /// Sets the deadline that [`Self::poll_deadline`] waits for; it moves at the cost of a store.
    pub fn set_deadline(&mut self, deadline: Moment) {
        self.timer.get_or_insert_with(Timer::new).set(deadline);
    }

    /// Ready once the deadline has passed.
    pub fn poll_deadline(&self, cx: &Context<'_>) -> Poll<()> {
        self.timer.as_ref().map_or(Poll::Pending, |timer| timer.poll_due(cx))
    }

    /// Whether the connection is known to be gone in both directions.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        socket::is_reset(self.fd)
    }

    /// Closes the sending direction: the other side reads an end.
    pub fn close_send(&self) {
        if self.readiness.shared.is_posted.get() {
            outbox::flush();
        }
        socket::close_send(self.fd);
    }

    /// Ends the connection by a reset (RST): the other side sees that it was cut.
    pub fn reset(self) {
        if self.readiness.shared.is_posted.get() {
            outbox::flush();
        }
        socket::reset_on_close(self.fd);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // What still waits for room is of no use to anybody; its task finds that the moment the socket says so.
        if self.readiness.shared.backlog.take().is_some() {
            socket::close_both(self.fd);
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.fd
    }
}
