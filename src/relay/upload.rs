//! What of a request has not gone up yet.

use std::io;

use crate::llm::edit;
use crate::llm::edit::Edit;
use crate::units::Moment;
use crate::upstream::Link;
use crate::wire::buffer::Buffer;
use crate::wire::buffer::Buffers;

/// A body up to this size goes up in one send with its head, in bytes.
const JOINED_BYTES_MAX: usize = 16 << 10;

/// A body as it goes up: the bytes as they came, but for some edits.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// The body as it came.
    pub bytes: &'a [u8],
    /// What changes of it: sorted, without overlaps.
    pub edits: &'a [Edit<'a>],
}

impl<'a> Body<'a> {
    /// Its length as it goes up.
    #[must_use]
    pub fn len(&self) -> usize {
        edit::length(self.bytes, self.edits)
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes from `offset` to the end of the piece that it is in.
    fn piece_at(&self, mut offset: usize) -> &'a [u8] {
        for piece in edit::pieces(self.bytes, self.edits) {
            if let Some(rest) = piece.get(offset..)
                && !rest.is_empty()
            {
                return rest;
            }
            offset = offset.saturating_sub(piece.len());
        }
        &[]
    }
}

/// How far a request has gone up.
#[derive(Debug, Default)]
pub struct Upload {
    /// What is left of the head (and of a small body with it).
    head: Buffer,
    /// Bytes of the body that are sent, or stand in `head`.
    body_sent: usize,
    is_complete: bool,
    is_given_up: bool,
    /// When it was seen to be complete.
    completed: Option<Moment>,
    /// Whether at least one byte has left.
    pub has_sent: bool,
}

impl Upload {
    /// Whether all of it has left.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// When all of it had left; `now` says when that is, if it is new.
    pub fn completed(&mut self, now: impl FnOnce() -> Moment) -> Option<Moment> {
        if self.is_complete && self.completed.is_none() {
            self.completed = Some(now());
        }
        self.completed
    }

    /// Whether something is left to send and there is somebody to take it.
    #[must_use]
    pub const fn may_go_on(&self) -> bool {
        !self.is_complete && !self.is_given_up
    }

    /// Whether something waits for room on the connection, be it what TLS has to say beside this.
    #[must_use]
    pub fn waits_for_room(&self, link: &Link) -> bool {
        !self.is_given_up && (!self.is_complete || link.has_unsent())
    }

    /// Sends no more: the endpoint does not take it. The upload will never be complete.
    pub fn give_up(&mut self, buffers: &Buffers) {
        self.is_given_up = true;
        buffers.release(&mut self.head);
    }

    /// Sends the head, which `write_head` writes, and as much of the body as fits.
    ///
    /// # Errors
    /// The connection's.
    pub fn begin(
        link: &mut Link,
        buffers: &Buffers,
        body: Body<'_>,
        write_head: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<Self> {
        let mut upload = Self::default();
        buffers.with_scratch(|_, out| {
            write_head(out);
            if body.len() <= JOINED_BYTES_MAX {
                edit::apply(body.bytes, body.edits, out);
                upload.body_sent = body.len();
            }
            if upload.body_sent == body.len() && link.post(out) {
                upload.has_sent = true;
                upload.is_complete = true;
                return Ok(());
            }
            let sent = link.try_send(out)?;
            upload.has_sent = sent > 0;
            buffers.append(&mut upload.head, out.get(sent..).unwrap_or_default());
            io::Result::Ok(())
        })?;
        if !upload.is_complete {
            upload.go_on(link, buffers, body)?;
        }
        Ok(upload)
    }

    /// Sends as much as fits now.
    ///
    /// # Errors
    /// The connection's.
    pub fn go_on(&mut self, link: &mut Link, buffers: &Buffers, body: Body<'_>) -> io::Result<()> {
        while !self.head.is_empty() {
            let sent = link.try_send(self.head.filled())?;
            if sent == 0 {
                return Ok(());
            }
            self.has_sent = true;
            self.head.consume(sent);
        }
        buffers.release_if_empty(&mut self.head);
        loop {
            let piece = body.piece_at(self.body_sent);
            if piece.is_empty() {
                break;
            }
            let sent = link.try_send(piece)?;
            if sent == 0 {
                return Ok(());
            }
            self.body_sent += sent;
        }
        link.flush()?;
        self.is_complete = !link.has_unsent();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Body;
    use crate::llm::edit::Edit;

    #[test]
    fn a_body_is_its_pieces_from_any_offset() {
        let bytes = br#"{"model":"a","x":1,"y":2}"#;
        let changed = Edit::new(9..12, br#""longer""#);
        let (put, removed) = (Edit::new(1..1, br#""z":0,"#), Edit::new(18..24, b""));
        let rows: [(&[Edit<'_>], &[u8]); 4] = [
            (&[], bytes),
            (std::slice::from_ref(&changed), br#"{"model":"longer","x":1,"y":2}"#),
            (&[put, changed.clone(), removed], br#"{"z":0,"model":"longer","x":1}"#),
            (&[Edit::new(0..25, b"")], b""),
        ];
        for (edits, whole) in rows {
            let body = Body { bytes, edits };
            assert_eq!((body.len(), body.is_empty()), (whole.len(), whole.is_empty()));
            for start in 0..=whole.len() {
                let mut got = Vec::new();
                while !body.piece_at(start + got.len()).is_empty() {
                    got.extend_from_slice(body.piece_at(start + got.len()));
                }
                assert_eq!(got, &whole[start..]);
            }
        }
    }
}
