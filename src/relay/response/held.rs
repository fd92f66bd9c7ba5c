//! An error that does not go down before it was judged: its head as it came, and its content as far as it has come.

use super::Response;
use super::Unfit;
use crate::wire::Malformed;
use crate::wire::buffer::Buffer;
use crate::wire::buffer::Buffers;
use crate::wire::head::BodyLength;
use crate::wire::head::Method;
use crate::wire::head::ResponseHead;
use crate::wire::http1::body::Body;
use crate::wire::http1::parse;
use crate::wire::http1::parse::Slots;

/// Bytes of content that are kept of an error. A larger one goes down as it comes: it can no longer be repeated.
pub const ERROR_BYTES_HELD_MAX: usize = 64 << 10;

/// A whole error of which nothing went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held<'r> {
    /// Its status, 400 or more.
    pub status: u16,
    /// When to ask again: seconds or a date.
    pub retry_after: Option<&'r [u8]>,
    /// When to ask again, in milliseconds.
    pub retry_after_ms: Option<&'r [u8]>,
    /// Its content without chunks; of a compressed one, the compressed bytes. Empty for HEAD.
    pub body: &'r [u8],
}

impl Response {
    /// Whether an error is held, as much as has come of it: nothing of it went down.
    #[must_use]
    pub const fn is_holding(&self) -> bool {
        self.holding.is_some()
    }

    /// Whether an error is held that has come whole.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holding.as_ref().is_some_and(|holding| holding.is_whole())
    }

    /// The error that is held, once it has come whole.
    #[must_use]
    pub fn held(&self) -> Option<Held<'_>> {
        let holding = self.holding.as_ref().filter(|holding| holding.is_whole())?;
        Some(holding.view(self.asked.method))
    }

    /// Has the error that is held go down after all, as if it had never been held; what is still to come of it follows.
    /// If the gateway has tried all it may, the client is told not to multiply that.
    pub fn release(&mut self, is_exhausted: bool, buffers: &Buffers, out: &mut Vec<u8>) {
        let Some(holding) = self.holding.take() else { return };
        self.is_exhausted = is_exhausted;
        holding.with_head(self.asked.method, |head| self.begin(head, out));
        self.body = Some(holding.body());
        let start = self.open_chunk(out);
        // An error is never translated: nothing can be wrong with it.
        let _as_it_came = self.pass(holding.content(), buffers, out);
        self.close_chunk(start, out);
        if holding.is_whole() {
            self.is_reusable = holding.is_reusable();
            let _as_it_came = self.finish(buffers, out);
        }
        holding.release(buffers);
    }

    /// What follows the head: it goes down, or is held with it while there is room.
    pub(super) fn feed_content(
        &mut self,
        bytes: &[u8],
        buffers: &Buffers,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        let Some(holding) = &mut self.holding else {
            return self.feed_body(bytes, buffers, out);
        };
        match holding.feed(bytes, buffers)? {
            Taken::All => Ok(()),
            Taken::AllBut(_) if self.is_open => Err(Unfit::NotAStream),
            Taken::AllBut(rest) => {
                self.release(false, buffers, out);
                self.feed_body(rest, buffers, out)
            }
        }
    }
}

/// An error on its way in.
#[derive(Debug)]
pub(super) struct Holding {
    /// The head and then the content.
    bytes: Buffer,
    head_bytes: usize,
    status: u16,
    body: Body,
    is_reusable: bool,
}

/// What was taken of a piece of input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<'b> {
    /// All of it.
    All,
    /// Not this rest, which is too much.
    AllBut(&'b [u8]),
}

/// Whether an error with this head is worth keeping: one that says that it is too large is not.
pub(super) fn is_keepable(head: &ResponseHead<'_, '_>) -> bool {
    let is_small = match head.body {
        BodyLength::Exact(length) => length <= ERROR_BYTES_HELD_MAX as u64,
        BodyLength::Empty | BodyLength::Chunked | BodyLength::UntilClose => true,
    };
    head.status >= 400 && is_small
}

impl Holding {
    /// An error with this head, which is all that `bytes` has.
    pub(super) fn begin(bytes: &[u8], head: &ResponseHead<'_, '_>, buffers: &Buffers) -> Self {
        let mut kept = Buffer::default();
        buffers.append(&mut kept, bytes);
        Self {
            bytes: kept,
            head_bytes: bytes.len(),
            status: head.status,
            body: Body::new(head.body),
            is_reusable: head.is_keep_alive && head.body != BodyLength::UntilClose,
        }
    }

    /// Takes bytes that follow the head, as many as may be kept.
    pub(super) fn feed<'b>(
        &mut self,
        bytes: &'b [u8],
        buffers: &Buffers,
    ) -> Result<Taken<'b>, Malformed> {
        let mut rest = bytes;
        while !self.body.is_end() && !rest.is_empty() {
            let mut body = self.body;
            let piece = body.next(rest)?;
            let content = rest.get(piece.body).unwrap_or_default();
            if self.content().len() + content.len() > ERROR_BYTES_HELD_MAX {
                return Ok(Taken::AllBut(rest));
            }
            buffers.append(&mut self.bytes, content);
            self.body = body;
            rest = rest.get(piece.consumed..).unwrap_or_default();
        }
        // Bytes after the end belong to no request: this connection cannot be trusted with another.
        self.is_reusable &= rest.is_empty();
        Ok(Taken::All)
    }

    /// Takes the end of the endpoint's connection.
    pub(super) fn feed_close(&mut self) -> Result<(), Malformed> {
        self.is_reusable = false;
        self.body.at_close()
    }

    /// Whether all of it has come.
    pub(super) fn is_whole(&self) -> bool {
        self.body.is_end()
    }

    /// Whether the endpoint's connection can carry another request.
    pub(super) fn is_reusable(&self) -> bool {
        self.is_whole() && self.is_reusable
    }

    pub(super) const fn status(&self) -> u16 {
        self.status
    }

    /// How the rest of the body is to be read.
    pub(super) const fn body(&self) -> Body {
        self.body
    }

    /// The content so far.
    pub(super) fn content(&self) -> &[u8] {
        self.bytes.filled().get(self.head_bytes..).unwrap_or_default()
    }

    /// The head, the answer to a request of method `asked`.
    pub(super) fn with_head<R>(
        &self,
        asked: Method,
        look: impl FnOnce(&ResponseHead<'_, '_>) -> R,
    ) -> R {
        let mut slots = Slots::new();
        look(&self.head(asked, &mut slots))
    }

    /// What there is to judge, of the answer to a request of method `asked`.
    pub(super) fn view(&self, asked: Method) -> Held<'_> {
        let mut slots = Slots::new();
        let fields = self.head(asked, &mut slots).fields;
        Held {
            status: self.status,
            retry_after: fields.get("retry-after"),
            retry_after_ms: fields.get("retry-after-ms"),
            body: self.content(),
        }
    }

    fn head<'b, 's>(&'b self, asked: Method, slots: &'s mut Slots<'b>) -> ResponseHead<'b, 's> {
        let head = self.bytes.filled().get(..self.head_bytes).unwrap_or_default();
        match parse::response(head, slots, asked) {
            Ok(Some(head)) => head,
            _ => unreachable!("the head was parsed when it came"),
        }
    }

    /// Gives the memory back.
    pub(super) fn release(mut self, buffers: &Buffers) {
        buffers.release(&mut self.bytes);
    }
}

#[cfg(test)]
mod tests;
