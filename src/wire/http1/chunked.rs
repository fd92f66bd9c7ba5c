//! The chunked transfer coding (RFC 9112, section 7.1): spans in, spans out, nothing is copied.

use std::ops::Range;

use crate::wire::Malformed;
use crate::wire::http1::body::Piece;
use crate::wire::http1::diagnose::is_token_byte;
use crate::wire::limits::CHUNK_EXTENSION_BYTES_MAX;
use crate::wire::limits::CHUNK_SIZE_DIGITS_MAX;
use crate::wire::limits::TRAILER_BYTES_MAX;

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A digit of a chunk's size, or its end.
    #[default]
    Size,
    /// A byte of an extension, or its end.
    Extension,
    /// The line feed after a size.
    SizeFeed,
    /// Content.
    Content,
    /// The carriage return after content.
    ContentReturn,
    /// The line feed after content.
    ContentFeed,
    /// A trailer's first byte, or the carriage return of the blank line.
    Trailer,
    /// A byte of a trailer's name, or the colon.
    TrailerName,
    /// A byte of a trailer's value, or its end.
    TrailerValue,
    /// The line feed after a trailer.
    TrailerFeed,
    /// The line feed of the blank line.
    LastFeed,
    /// Nothing: the message has ended.
    End,
}

/// The state between two pieces of one chunked body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder {
    state: State,
    /// Digits of the size so far.
    digits: u8,
    /// Bytes of extensions so far.
    extension: u16,
    /// Bytes of trailers so far.
    trailer: u16,
    /// The size so far; then, how much of the content is still to come.
    remaining: u64,
}

impl Decoder {
    /// Takes in bytes up to and not beyond the next but one run of content: what is not content is
    /// skipped, before the content and after it. Trailer fields are checked and dropped. What the calls
    /// find does not depend on how the bytes are cut into pieces.
    ///
    /// # Errors
    ///
    /// See [`Malformed`]; the decoder must not be used any more.
    pub fn next(&mut self, input: &[u8]) -> Result<Piece, Malformed> {
        let mut at = self.skip(input, 0)?;
        let mut body: Range<usize> = at..at;
        if self.state == State::Content && at < input.len() {
            let here = input.len() - at;
            let length = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(here);
            body.end = at + length;
            self.remaining -= length as u64;
            at = body.end;
            if self.remaining == 0 {
                self.state = State::ContentReturn;
                // What is wrong behind the content must not swallow it: the next call will say so.
                let before = *self;
                match self.skip(input, at) {
                    Ok(end) => at = end,
                    Err(_) => *self = before,
                }
            }
        }
        Ok(Piece { consumed: at, body, is_end: self.is_end() })
    }

    /// Bytes of content that the chunk begun has announced and that are still to come; 0 between chunks.
    #[must_use]
    pub fn announced(&self) -> u64 {
        if self.state == State::Content { self.remaining } else { 0 }
    }

    /// Whether the message has ended.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.state == State::End
    }

    /// Takes in everything that is not content, from `at` on; where it stops, there is content, or
    /// the end, or nothing more.
    fn skip(&mut self, input: &[u8], mut at: usize) -> Result<usize, Malformed> {
        while self.state != State::Content && self.state != State::End {
            let Some(&byte) = input.get(at) else { break };
            self.step(byte)?;
            at += 1;
        }
        Ok(at)
    }

    /// Takes in one byte that is not content.
    #[inline]
    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        self.state = match (self.state, byte) {
            (State::Size, _) => return self.take_size(byte),
            (State::SizeFeed, b'\n') => self.end_size(),
            (State::ContentReturn, b'\r') => State::ContentFeed,
            (State::ContentFeed, b'\n') => State::Size,
            (State::ContentReturn | State::ContentFeed, _) => return Err(Malformed::ChunkEnd),
            (State::SizeFeed, _) if self.extension == 0 => return Err(Malformed::ChunkSize),
            (State::SizeFeed, _) => return Err(Malformed::ChunkExtension),
            (State::Extension, _) => return self.take_extension(byte),
            (State::LastFeed, b'\n') => State::End,
            _ => return self.take_trailer(byte),
        };
        Ok(())
    }

    #[inline]
    fn take_size(&mut self, byte: u8) -> Result<(), Malformed> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.digits > 0 => {
                self.state = State::SizeFeed;
                return Ok(());
            }
            b';' if self.digits > 0 => {
                self.state = State::Extension;
                return self.count_extension();
            }
            _ => return Err(Malformed::ChunkSize),
        };
        if self.digits == CHUNK_SIZE_DIGITS_MAX {
            return Err(Malformed::ChunkSize);
        }
        self.digits += 1;
        self.remaining = (self.remaining << 4) | u64::from(digit);
        Ok(())
    }

    /// The line of a size has ended.
    fn end_size(&mut self) -> State {
        self.digits = 0;
        if self.remaining == 0 { State::Trailer } else { State::Content }
    }

    #[cold]
    fn take_extension(&mut self, byte: u8) -> Result<(), Malformed> {
        match byte {
            b'\r' => {
                self.state = State::SizeFeed;
                Ok(())
            }
            b'\t' => self.count_extension(),
            _ if byte.is_ascii_control() => Err(Malformed::ChunkExtension),
            _ => self.count_extension(),
        }
    }

    fn count_extension(&mut self) -> Result<(), Malformed> {
        if self.extension == CHUNK_EXTENSION_BYTES_MAX {
            return Err(Malformed::ChunkExtensionTooLong);
        }
        self.extension += 1;
        Ok(())
    }

    /// Takes in a byte of the trailer section, its blank line included.
    fn take_trailer(&mut self, byte: u8) -> Result<(), Malformed> {
        self.state = match (self.state, byte) {
            (State::Trailer, b'\r') => {
                self.state = State::LastFeed;
                return Ok(());
            }
            (State::Trailer | State::TrailerName, _) if is_token_byte(byte) => State::TrailerName,
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerFeed,
            (State::TrailerValue, _) if byte == b'\t' || !byte.is_ascii_control() => {
                State::TrailerValue
            }
            (State::TrailerFeed, b'\n') => State::Trailer,
            _ => return Err(Malformed::Trailer),
        };
        if self.trailer == TRAILER_BYTES_MAX {
            return Err(Malformed::TrailerTooLong);
        }
        self.trailer += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Decoder;
    use crate::wire::Malformed;

    /// The content, and how many bytes were left over.
    fn decode(bytes: &[u8], step: usize) -> Result<(Vec<u8>, usize), Malformed> {
        let mut decoder = Decoder::default();
        let mut content = Vec::new();
        let mut at = 0;
        let mut end = 0;
        while end < bytes.len() && !decoder.is_end() {
            end = (end + step).min(bytes.len());
            while at < end && !decoder.is_end() {
                let piece = decoder.next(&bytes[at..end])?;
                assert!(piece.consumed > 0);
                content.extend_from_slice(&bytes[at..end][piece.body.clone()]);
                at += piece.consumed;
                assert_eq!(piece.is_end, decoder.is_end());
            }
        }
        if decoder.is_end() { Ok((content, bytes.len() - at)) } else { Err(Malformed::Truncated) }
    }

    fn both(bytes: &[u8]) -> Result<(Vec<u8>, usize), Malformed> {
        let whole = decode(bytes, usize::MAX / 2);
        for step in 1..7 {
            assert_eq!(decode(bytes, step), whole, "{:?}", String::from_utf8_lossy(bytes));
        }
        whole
    }

    #[test]
    fn chunks_are_joined() {
        assert_eq!(both(b"0\r\n\r\n"), Ok((vec![], 0)));
        assert_eq!(both(b"5\r\nhello\r\n0\r\n\r\nGET"), Ok((b"hello".to_vec(), 3)));
        assert_eq!(
            both(b"5\r\nhello\r\n6;a=\"b c\"\r\n world\r\n00\r\nA: b\r\nC:\r\n\r\n"),
            Ok((b"hello world".to_vec(), 0))
        );
        assert_eq!(
            both(b"000000000000000A\r\n0123456789\r\n0;x\r\n\r\n"),
            Ok((b"0123456789".to_vec(), 0))
        );
    }

    #[test]
    fn a_chunk_and_the_end_come_in_one_piece() {
        let piece = Decoder::default().next(b"5\r\nhello\r\n0\r\n\r\nx").expect("is right");
        assert_eq!((piece.consumed, piece.body, piece.is_end), (15, 3..8, true));
        let piece = Decoder::default().next(b"5\r\nhello\r\n1\r\nx").expect("is right");
        assert_eq!((piece.consumed, piece.body, piece.is_end), (13, 3..8, false));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        use Malformed as M;
        let rows: [(&[u8], M); 27] = [
            (b"\r\n\r\n", M::ChunkSize),
            (b";a\r\n\r\n", M::ChunkSize),
            (b" 5\r\n", M::ChunkSize),
            (b"5 \r\n", M::ChunkSize),
            (b"+5\r\n", M::ChunkSize),
            (b"-5\r\n", M::ChunkSize),
            (b"0x5\r\n", M::ChunkSize),
            (b"5\n", M::ChunkSize),
            (b"5\rx", M::ChunkSize),
            (b"g\r\n", M::ChunkSize),
            (b"00000000000000005\r\n", M::ChunkSize),
            (b"10000000000000000\r\n", M::ChunkSize),
            (b"5;a\nb\r\n", M::ChunkExtension),
            (b"5;a\rb\r\n", M::ChunkExtension),
            (b"5;a\0b\r\n", M::ChunkExtension),
            (b"1\r\nab\r\n", M::ChunkEnd),
            (b"1\r\na\n", M::ChunkEnd),
            (b"1\r\na\rb", M::ChunkEnd),
            (b"0\r\n\n", M::Trailer),
            (b"0\r\n\rx", M::Trailer),
            (b"0\r\n: b\r\n\r\n", M::Trailer),
            (b"0\r\nA : b\r\n\r\n", M::Trailer),
            (b"0\r\nA\r\n\r\n", M::Trailer),
            (b"0\r\nA: b\n\r\n", M::Trailer),
            (b"0\r\nA: b\r\n c\r\n\r\n", M::Trailer),
            (b"0\r\nA: \0\r\n\r\n", M::Trailer),
            (b"5\r\nhell", M::Truncated),
        ];
        for (bytes, why) in rows {
            assert_eq!(both(bytes), Err(why), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded_over_the_whole_message() {
        let one = format!("1;{}\r\na\r\n", "x".repeat(1023));
        let fits = format!("{}0\r\n\r\n", one.repeat(4));
        assert_eq!(both(fits.as_bytes()), Ok((b"aaaa".to_vec(), 0)));
        let over = format!("{}0;\r\n\r\n", one.repeat(4));
        assert_eq!(both(over.as_bytes()), Err(Malformed::ChunkExtensionTooLong));
        let line = format!("{}:\r\n", "x".repeat(1021));
        let fits = format!("0\r\n{}\r\n", line.repeat(8));
        assert_eq!(both(fits.as_bytes()), Ok((vec![], 0)));
        let over = format!("0\r\n{}x", line.repeat(8));
        assert_eq!(both(over.as_bytes()), Err(Malformed::TrailerTooLong));
    }
}
