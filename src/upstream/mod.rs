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
    /// The head of an answer which says, by this status, that it cannot answer now: 429, or 5xx that another endpoint may not say.
    Trouble(u16),
    /// That it ends, in order or not.
    End,
}

/// As much as is looked at of what an endpoint says: `HTTP/1.1 503` (RFC 9112, section 4).
const WORD_BYTES: usize = 12;

/// What the first bytes say that were looked at.
fn word(peeked: io::Result<&[u8]>) -> Option<Word> {
    match peeked {
        Ok([]) => Some(Word::End),
        Ok(bytes) => Some(said(bytes)),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => None,
            _ => Some(Word::End),
        },
    }
}

/// What plain bytes begin with. A head that has come in part is taken for a good one: what it is shows when it is read.
fn said(bytes: &[u8]) -> Word {
    match bytes {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', b'4', b'2', b'9', ..] => {
            Word::Trouble(429)
        }
        // 501 and 505 say what it is not made for: nor will be another one.
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', b'5', b'0', digit, ..]
            if matches!(digit, b'0' | b'2'..=b'4') =>
        {
            Word::Trouble(500 + u16::from(digit - b'0'))
        }
        _ => Word::Bytes,
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
                None => {
                    let mut room = [0; WORD_BYTES];
                    let peeked = self.stream.peek(&mut room);
                    word(peeked.map(|count| room.get(..count).unwrap_or_default()))
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_another_endpoint_may_not_have_is_trouble() {
        for (status, is_trouble) in [
            (200, false),
            (400, false),
            (401, false),
            (429, true),
            (500, true),
            (501, false),
            (502, true),
            (503, true),
            (504, true),
            (505, false),
        ] {
            let head = format!("HTTP/1.1 {status} What\r\n");
            let expected = if is_trouble { Word::Trouble(status) } else { Word::Bytes };
            assert_eq!(said(head.as_bytes()), expected, "{status}");
        }
        for other in ["H", "HTTP/1.1 50", "HTTP/2 503 Busy", "data: HTTP/1.1 503"] {
            assert_eq!(said(other.as_bytes()), Word::Bytes, "{other}");
        }
    }
}
