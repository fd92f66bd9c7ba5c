//! A connection to an endpoint: opened by address, in the clear or over TLS, kept and used again.

use std::io;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use crate::ring::stream::Stream;
use crate::units::Moment;

pub mod connect;
pub mod pool;
pub mod sessions;
pub mod tls;

/// A connection to an endpoint. It moves plain bytes; what TLS does to them stays inside.
pub struct Link {
    stream: Stream,
    tls: Option<Box<tls::Session>>,
    /// When it was opened.
    pub opened: Moment,
    /// Whether it carried a request before the present one.
    pub is_reused: bool,
}

/// What an endpoint has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Plain bytes.
    Bytes,
    /// That it ends, in order or not.
    End,
}

/// What the first byte says that was looked at.
fn word(peeked: io::Result<usize>) -> Option<Word> {
    match peeked {
        Ok(0) => Some(Word::End),
        Ok(_) => Some(Word::Bytes),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => None,
            _ => Some(Word::End),
        },
    }
}

impl Link {
    /// Receives what is there. `Ok(0)` means that the endpoint has closed.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there; else the connection's.
    pub fn try_recv(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.try_recv(room),
            Some(session) => session.try_recv(&self.stream, room),
        }
    }

    /// Takes bytes that leave at the end of this turn; false if that is not possible on this connection.
    pub fn post(&mut self, bytes: &[u8]) -> bool {
        if self.tls.is_some() {
            return false;
        }
        self.stream.post(bytes);
        true
    }

    /// Sends as much as fits; `Ok(0)` if nothing does.
    ///
    /// # Errors
    /// The connection's.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = match &mut self.tls {
            None => self.stream.try_send(bytes),
            Some(session) => session.try_send(&self.stream, bytes),
        };
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    /// Whether bytes that were taken by [`Self::try_send`] still wait to be sent.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|session| session.wants_write())
    }

    /// Sends bytes that still wait, as much as fits.
    ///
    /// # Errors
    /// The connection's.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(session) => session.flush(&self.stream),
        }
    }

    /// Ready when there is something to read, or an end or an error to find.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.tls.as_ref().is_some_and(|session| session.is_ready()) {
            return Poll::Ready(());
        }
        self.stream.poll_readable(cx).map(|_| ())
    }

    /// Ready when there is room to send.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_writable(cx).map(|_| ())
    }

    /// Ready when the endpoint has said something, which is left to be read: [`Self::poll_readable`] but for readiness without
    /// a word, as of TLS records that carry no content (session tickets, new keys). These are taken in.
    pub fn poll_word(&mut self, cx: &mut Context<'_>) -> Poll<Word> {
        loop {
            if self.poll_readable(cx).is_pending() {
                return Poll::Pending;
            }
            let word = match &mut self.tls {
                None => word(self.stream.peek()),
                Some(session) => session.word(&self.stream),
            };
            if let Some(word) = word {
                return Poll::Ready(word);
            }
        }
    }

    /// Whether nothing has arrived since the last response: the endpoint neither closed the connection nor
    /// sent bytes that nobody asked for. It knows of what came before the last turn, if it was asked once before that: the
    /// wait this arms is the one it looks at next, and the one the next response is waited for with.
    pub fn is_quiet(&mut self) -> bool {
        self.poll_word(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// Sets the deadline that [`Self::poll_deadline`] waits for; it moves at the cost of a store.
    pub fn set_deadline(&mut self, deadline: Moment) {
        self.stream.set_deadline(deadline);
    }

    /// Ready once the deadline has passed.
    pub fn poll_deadline(&self, cx: &Context<'_>) -> Poll<()> {
        self.stream.poll_deadline(cx)
    }
}
