//! How the body goes down: plain, or in chunks.

use super::Response;
use crate::wire::http1::encode;

/// How the body goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The length was announced, or there is no body, or the end of the connection ends it.
    Plain,
    /// In chunks.
    Chunks,
}

impl Response {
    /// Leaves room for the head of a chunk, whose size is known once its content is there.
    pub(super) fn open_chunk(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        if self.frame == Frame::Chunks {
            out.extend_from_slice(CHUNK_HEAD);
        }
        start
    }

    pub(super) fn close_chunk(&self, start: usize, out: &mut Vec<u8>) {
        if self.frame != Frame::Chunks {
            return;
        }
        let mut size = out.len() - start - CHUNK_HEAD.len();
        if size == 0 {
            out.truncate(start);
            return;
        }
        for digit in out.iter_mut().skip(start).take(CHUNK_DIGITS).rev() {
            *digit = b"0123456789abcdef"[size & 15];
            size >>= 4;
        }
        debug_assert_eq!(size, 0, "a chunk holds one read and one held event");
        out.extend_from_slice(b"\r\n");
    }

    /// Says that the body has ended.
    pub(super) fn close_frame(&self, out: &mut Vec<u8>) {
        if self.frame == Frame::Chunks {
            out.extend_from_slice(encode::LAST_CHUNK);
        }
    }
}

/// The head of a chunk before its size is filled in. Leading zeros are legal (RFC 9112 section 7.1).
const CHUNK_HEAD: &[u8] = b"000000\r\n";
const CHUNK_DIGITS: usize = CHUNK_HEAD.len() - 2;
