//! The body of one message, as pieces of what is read: where content lies and where the message ends.

use std::ops::Range;

use crate::wire::Malformed;
use crate::wire::head::BodyLength;
use crate::wire::http1::chunked::Decoder;

/// What one call found in its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of the input that are done with; what follows them belongs to the next call.
    pub consumed: usize,
    /// The part of the consumed input that is content; may be empty.
    pub body: Range<usize>,
    /// Whether the message has ended: bytes after `consumed` belong to the next message.
    pub is_end: bool,
}

/// The state between two pieces of one body.
#[derive(Clone, Copy, Debug)]
pub struct Body(State);

#[derive(Clone, Copy, Debug)]
enum State {
    /// So many bytes are still to come.
    Exact(u64),
    Chunked(Decoder),
    UntilClose,
}

impl Body {
    /// A body of this length, of which nothing has been seen.
    #[must_use]
    pub fn new(length: BodyLength) -> Self {
        Self(match length {
            BodyLength::Empty => State::Exact(0),
            BodyLength::Exact(bytes) => State::Exact(bytes),
            BodyLength::Chunked => State::Chunked(Decoder::default()),
            BodyLength::UntilClose => State::UntilClose,
        })
    }

    /// Takes in the next bytes of the connection: at most to the end of the message, at most one
    /// run of content. Before the end, input that is not empty is never left untouched.
    ///
    /// # Errors
    ///
    /// Broken chunks, see [`Malformed`]; the body must not be used any more.
    #[inline]
    pub fn next(&mut self, input: &[u8]) -> Result<Piece, Malformed> {
        match &mut self.0 {
            State::Exact(remaining) => {
                let length = usize::try_from(*remaining).unwrap_or(usize::MAX).min(input.len());
                *remaining -= length as u64;
                Ok(Piece { consumed: length, body: 0..length, is_end: *remaining == 0 })
            }
            State::Chunked(decoder) => decoder.next(input),
            State::UntilClose => {
                Ok(Piece { consumed: input.len(), body: 0..input.len(), is_end: false })
            }
        }
    }

    /// Whether the message has ended.
    #[must_use]
    pub fn is_end(&self) -> bool {
        match &self.0 {
            State::Exact(remaining) => *remaining == 0,
            State::Chunked(decoder) => decoder.is_end(),
            State::UntilClose => false,
        }
    }

    /// Bytes of content that are known to be still to come, at least: of an exact body all, of chunks those of the one
    /// that has begun.
    #[must_use]
    pub fn announced(&self) -> u64 {
        match &self.0 {
            State::Exact(remaining) => *remaining,
            State::Chunked(decoder) => decoder.announced(),
            State::UntilClose => 0,
        }
    }

    /// The sender has closed; no bytes will follow.
    ///
    /// # Errors
    ///
    /// [`Malformed::Truncated`] if that is not the end of the message.
    pub fn at_close(&mut self) -> Result<(), Malformed> {
        if matches!(self.0, State::UntilClose) {
            self.0 = State::Exact(0);
        }
        if self.is_end() { Ok(()) } else { Err(Malformed::Truncated) }
    }

    /// Bytes of content still to come, if that is known.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match &self.0 {
            State::Exact(remaining) => Some(*remaining),
            State::Chunked(decoder) => decoder.is_end().then_some(0),
            State::UntilClose => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Body;
    use super::Piece;
    use crate::wire::Malformed;
    use crate::wire::head::BodyLength;

    #[test]
    fn an_exact_body_ends_where_it_said() {
        let mut body = Body::new(BodyLength::Exact(5));
        assert_eq!(body.remaining(), Some(5));
        assert_eq!(body.next(b"abc"), Ok(Piece { consumed: 3, body: 0..3, is_end: false }));
        assert_eq!(body.at_close(), Err(Malformed::Truncated));
        assert_eq!(body.next(b"deGET"), Ok(Piece { consumed: 2, body: 0..2, is_end: true }));
        assert_eq!(body.next(b"GET"), Ok(Piece { consumed: 0, body: 0..0, is_end: true }));
        assert_eq!(body.at_close(), Ok(()));
    }

    #[test]
    fn an_empty_body_has_ended_before_it_began() {
        let mut body = Body::new(BodyLength::Empty);
        assert!(body.is_end());
        assert_eq!(body.next(b"x"), Ok(Piece { consumed: 0, body: 0..0, is_end: true }));
    }

    #[test]
    fn a_body_until_close_ends_with_the_connection() {
        let mut body = Body::new(BodyLength::UntilClose);
        assert_eq!(body.next(b"abc"), Ok(Piece { consumed: 3, body: 0..3, is_end: false }));
        assert_eq!(body.remaining(), None);
        assert_eq!(body.at_close(), Ok(()));
        assert!(body.is_end());
    }

    #[test]
    fn a_chunked_body_cut_short_is_truncated() {
        let mut body = Body::new(BodyLength::Chunked);
        assert_eq!(body.next(b"1\r\na"), Ok(Piece { consumed: 4, body: 3..4, is_end: false }));
        assert_eq!(body.at_close(), Err(Malformed::Truncated));
        assert_eq!(
            body.next(b"\r\n0\r\n\r\n"),
            Ok(Piece { consumed: 7, body: 7..7, is_end: true })
        );
        assert_eq!((body.at_close(), body.remaining()), (Ok(()), Some(0)));
    }

    #[test]
    fn a_chunk_announces_its_length() {
        let mut body = Body::new(BodyLength::Chunked);
        for (input, announced) in [
            (&b"1"[..], 0),
            (b"0;a\r", 0),
            (b"\n", 16),
            (b"abcd", 12),
            (b"efghijklmnop", 0),
            (b"\r\n", 0),
        ] {
            body.next(input).expect("is right");
            assert_eq!(body.announced(), announced, "{input:?}");
        }
        assert_eq!(Body::new(BodyLength::Exact(5)).announced(), 5);
        assert_eq!(Body::new(BodyLength::UntilClose).announced(), 0);
    }

    #[test]
    fn the_state_is_small() {
        assert!(size_of::<Body>() <= 24);
    }
}
