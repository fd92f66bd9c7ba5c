//! One client connection: what it has sent and not yet had served, and whether it is still there.

use std::io;
use std::net::IpAddr;
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
    stream: Stream,
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
            stream,
            input: Buffer::default(),
            address: address.to_canonical(),
            is_half_closed: false,
            is_fresh: true,
        }
    }

    /// Moves what the client has sent into `input`.
    pub fn receive(&mut self, buffers: &Buffers) -> Received {
        if self.is_half_closed {
            return if self.stream.is_reset() { Received::Gone } else { Received::End };
        }
        let got = buffers.with_scratch(|scratch, _| {
            self.stream.try_recv(scratch).inspect(|&count| {
                buffers.append(&mut self.input, scratch.get(..count).unwrap_or_default());
            })
        });
        match got {
            Ok(0) => {
                self.is_half_closed = true;
                if self.stream.is_reset() { Received::Gone } else { Received::End }
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
    /// `TimedOut` at the deadline.
    pub async fn wait(&mut self, buffers: &Buffers, deadline: Moment) -> io::Result<Received> {
        if std::mem::take(&mut self.is_fresh) {
            let received = self.receive(buffers);
            if received != Received::Nothing {
                return Ok(received);
            }
        }
        loop {
            if !self.is_half_closed {
                self.stream.readable(deadline).await?;
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
        self.stream.poll_readable(cx).map(|_| ())
    }

    /// Takes bytes that leave at the end of this turn.
    pub fn post(&self, bytes: &[u8]) {
        self.stream.post(bytes);
    }

    /// Whether the client reads more slowly than it is sent to: bytes wait for room.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        self.stream.has_backlog()
    }

    /// Ready once nothing waits for room.
    ///
    /// # Errors
    /// The client is gone.
    pub fn poll_drained(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_drained(cx)
    }

    /// Sends everything.
    ///
    /// # Errors
    /// `TimedOut` at the deadline; else the client is gone.
    pub async fn send_all(&mut self, bytes: &[u8], deadline: Moment) -> io::Result<()> {
        self.stream.send_all(bytes, deadline).await
    }

    /// Whether the client has closed its sending direction.
    #[must_use]
    pub const fn is_half_closed(&self) -> bool {
        self.is_half_closed
    }

    /// Whether the connection is known to be gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.stream.is_reset()
    }

    /// The connection itself.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Gives the connection up.
    #[must_use]
    pub fn into_stream(self) -> Stream {
        self.stream
    }
}
