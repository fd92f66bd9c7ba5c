//! One client connection: what it has sent and not yet had served, and whether it is still there.
//!
//! A stream may go on without its client, until another connection takes its place. Such a client is *away*: it takes
//! everything and sends nothing.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::task::Context;
use std::task::Poll;

use crate::ring::stream::Stream;
use crate::units::Moment;
use crate::wire::buffer::Buffer;
use crate::wire::buffer::Buffers;

/// Bytes of following requests that are read ahead while one is served.
const AHEAD_BYTES_MAX: usize = 64 << 10;

/// A client connection.
pub struct Client {
    /// None: it is away.
    stream: Option<Stream>,
    /// What the client has sent and was not used up yet.
    pub input: Buffer,
    /// Where the connection comes from: its other end, or whom a trusted proxy has named in its place.
    pub address: IpAddr,
    is_half_closed: bool,
    /// Nothing was looked for on this connection yet: the first request may well have come with it.
    is_fresh: bool,
}

/// What a look at the connection found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// This many bytes more are in `input`.
    Bytes(usize),
    /// Nothing new.
    Nothing,
    /// The client has closed its sending direction. It may still read.
    End,
    /// The connection is gone.
    Gone,
}

impl Client {
    /// A client on a fresh connection that comes from `address`.
    #[must_use]
    pub fn new(stream: Stream, address: IpAddr) -> Self {
        Self {
            stream: Some(stream),
            input: Buffer::default(),
            address: address.to_canonical(),
            is_half_closed: false,
            is_fresh: true,
        }
    }

    /// Nobody, in the name of whoever asks from `address`.
    #[must_use]
    pub fn away(address: IpAddr) -> Self {
        let input = Buffer::default();
        Self { stream: None, input, address, is_half_closed: false, is_fresh: false }
    }

    /// Takes the connection out: the client is away from here on. What it had sent goes with it.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, Self::away(self.address))
    }

    /// Whether there is no connection.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        self.stream.is_none()
    }

    /// Moves what the client has sent into `input`.
    pub fn receive(&mut self, buffers: &Buffers) -> Received {
        let Some(stream) = &self.stream else { return Received::Nothing };
        if self.is_half_closed {
            return if stream.is_reset() { Received::Gone } else { Received::End };
        }
        let got = buffers.with_scratch(|scratch, _| {
            stream.try_recv(scratch).inspect(|&count| {
                buffers.append(&mut self.input, scratch.get(..count).unwrap_or_default());
            })
        });
        match got {
            Ok(0) => {
                self.is_half_closed = true;
                if stream.is_reset() { Received::Gone } else { Received::End }
            }
            Ok(count) => Received::Bytes(count),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Received::Nothing,
                _ => Received::Gone,
            },
        }
    }

    /// Waits until the client has sent something or is gone, and moves it into `input`.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; `NotConnected` if it is away.
    pub async fn wait(&mut self, buffers: &Buffers, deadline: Moment) -> io::Result<Received> {
        if std::mem::take(&mut self.is_fresh) {
            let received = self.receive(buffers);
            if received != Received::Nothing {
                return Ok(received);
            }
        }
        loop {
            if !self.is_half_closed {
                self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?.readable(deadline).await?;
            }
            match self.receive(buffers) {
                Received::Nothing => {}
                received => return Ok(received),
            }
        }
    }

    /// Ready when the client has sent something, closed or gone; never once it has half-closed, nor while as much
    /// waits in `input` as may be read ahead.
    pub fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_half_closed || self.input.len() >= AHEAD_BYTES_MAX {
            return Poll::Pending;
        }
        self.stream.as_mut().map_or(Poll::Pending, |stream| stream.poll_readable(cx).map(|_| ()))
    }

    /// Takes bytes that leave at the end of this turn.
    pub fn post(&self, bytes: &[u8]) {
        if let Some(stream) = &self.stream {
            stream.post(bytes);
        }
    }

    /// Whether the client reads more slowly than it is sent to: bytes wait for room.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::has_backlog)
    }

    /// How much waits for room, in bytes.
    #[must_use]
    pub fn backlog_bytes(&self) -> usize {
        self.stream.as_ref().map_or(0, Stream::backlog_bytes)
    }

    /// Ready once nothing waits for room.
    ///
    /// # Errors
    /// The client is gone.
    pub fn poll_drained(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_ref().map_or(Poll::Ready(Ok(())), |stream| stream.poll_drained(cx))
    }

    /// Sends everything.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; else the client is gone.
    pub async fn send_all(&mut self, bytes: &[u8], deadline: Moment) -> io::Result<()> {
        match &mut self.stream {
            Some(stream) => stream.send_all(bytes, deadline).await,
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whether the client has closed its sending direction.
    #[must_use]
    pub const fn is_half_closed(&self) -> bool {
        self.is_half_closed
    }

    /// Whether the connection is known to be gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_reset)
    }

    /// The descriptor of the connection, unless it is away.
    #[must_use]
    pub fn descriptor(&self) -> Option<RawFd> {
        self.stream.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The connection itself, unless it is away.
    pub fn stream(&mut self) -> Option<&mut Stream> {
        self.stream.as_mut()
    }

    /// Gives the connection up, if there is one.
    #[must_use]
    pub fn into_stream(self) -> Option<Stream> {
        self.stream
    }
}
