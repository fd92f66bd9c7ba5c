//! A response as a client reads it: head, chunks, events, however it is cut; and where in it the client stands.

use ringway::wire::head::Method;
use ringway::wire::http1::body::Body;
use ringway::wire::http1::parse;
use ringway::wire::http1::parse::Slots;
use serde::Serialize;

/// Something whole that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met<'m> {
    /// The head, and what it calls the stream.
    Head {
        /// The status.
        status: u16,
        /// `x-ringway-stream`.
        name: Option<&'m [u8]>,
    },
    /// An event with the blank line that ends it, or the line of a comment or a `retry`.
    Event(&'m [u8]),
}

/// Where in a response its reader stands: what a cut here tears apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Nothing has come.
    BeforeHead,
    /// Inside the head.
    Head,
    /// Inside the head of a chunk or behind its content.
    ChunkHead,
    /// Between two events.
    BetweenEvents,
    /// Inside an event's content.
    Event,
    /// Inside the line with an event's id.
    IdLine,
    /// Inside a comment.
    Comment,
    /// Behind the end mark, and before the end of the response.
    BehindDone,
    /// Inside something that is no stream.
    Other,
}

/// Whether the response has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// More must come.
    More,
    /// It has ended.
    Ended {
        /// Whether the connection may be used again.
        is_reusable: bool,
    },
}

/// How far a response was read.
#[derive(Debug, Default)]
pub struct Reader {
    body: Option<Body>,
    status: u16,
    is_keep_alive: bool,
    /// Bytes of framing behind the last byte of content.
    framing_bytes: u32,
    /// A comment or a `retry` has come, and no byte since.
    is_behind_line: bool,
    /// An unfinished head or event; of a response that is no stream, all of it.
    rest: Vec<u8>,
}

/// More of a body that is no stream is not kept.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Framing between two chunks that tears nothing: the line end behind a chunk's content.
const CHUNK_END_BYTES: u32 = 2;

impl Reader {
    /// Status of the response; 0 before its head.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The body of a response that is no stream, as far as it came.
    #[must_use]
    pub fn said(&self) -> &[u8] {
        if self.status == 0 || self.status == 200 { &[] } else { &self.rest }
    }

    /// Takes in what has arrived; `each` is told of everything that is whole.
    ///
    /// # Errors
    /// What is wrong with the response, in words; or what `each` found wrong.
    pub fn take(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(Met<'_>) -> Result<(), String>,
    ) -> Result<Step, String> {
        if self.body.is_some() {
            return self.take_content(bytes, each);
        }
        self.rest.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.rest);
        let mut at = 0;
        loop {
            let mut slots = Slots::new();
            let head = parse::response(&held[at..], &mut slots, Method::Post)
                .map_err(|malformed| format!("head: {}", malformed.explain()))?;
            let Some(head) = head else {
                self.rest = held[at..].to_vec();
                return Ok(Step::More);
            };
            at += head.bytes;
            if head.status < 200 {
                continue;
            }
            self.status = head.status;
            self.is_keep_alive = head.is_keep_alive;
            self.body = Some(Body::new(head.body));
            each(Met::Head { status: head.status, name: head.fields.get("x-ringway-stream") })?;
            return self.take_content(&held[at..], each);
        }
    }

    /// The other side has closed.
    ///
    /// # Errors
    /// That was too early.
    pub fn take_close(&mut self) -> Result<(), String> {
        match &mut self.body {
            None => Err("closed before the head".to_owned()),
            Some(body) => body.at_close().map_err(|_| "cut inside the response".to_owned()),
        }
    }

    /// What a cut would tear apart here.
    #[must_use]
    pub fn place(&self) -> Place {
        let Some(body) = &self.body else {
            return if self.rest.is_empty() { Place::BeforeHead } else { Place::Head };
        };
        if self.status != 200 {
            return Place::Other;
        }
        let is_inside_framing = body.announced() == 0 && self.framing_bytes > CHUNK_END_BYTES;
        let has_read_chunk_head = body.announced() > 0 && self.framing_bytes > 0;
        if is_inside_framing || has_read_chunk_head {
            return Place::ChunkHead;
        }
        if self.rest.is_empty() {
            return Place::BetweenEvents;
        }
        let line = self.rest.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        // Behind the last line of an event only the blank line is to come.
        let line = if line.is_empty() { self.rest.trim_ascii_end() } else { line };
        let line = line.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        if line.starts_with(b"id") {
            Place::IdLine
        } else if self.rest.starts_with(b":") {
            Place::Comment
        } else {
            Place::Event
        }
    }

    fn take_content(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(Met<'_>) -> Result<(), String>,
    ) -> Result<Step, String> {
        let Some(mut body) = self.body else { return Err("no body".to_owned()) };
        let mut at = 0;
        while at < bytes.len() && !body.is_end() {
            let piece = body
                .next(&bytes[at..])
                .map_err(|malformed| format!("body: {}", malformed.explain()))?;
            self.count_framing(piece.consumed, &piece.body);
            let content = &bytes[at + piece.body.start..at + piece.body.end];
            at += piece.consumed;
            self.body = Some(body);
            self.take_piece(content, each)?;
        }
        self.body = Some(body);
        if !body.is_end() {
            return Ok(Step::More);
        }
        if at < bytes.len() {
            return Err("bytes after the response".to_owned());
        }
        if self.status == 200 && !self.rest.is_empty() {
            return Err("an event is not whole at the end of the response".to_owned());
        }
        Ok(Step::Ended { is_reusable: self.is_keep_alive })
    }

    fn count_framing(&mut self, consumed: usize, content: &std::ops::Range<usize>) {
        let count = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        if content.is_empty() {
            self.framing_bytes = self.framing_bytes.saturating_add(count(consumed));
        } else {
            self.framing_bytes = count(consumed - content.end);
        }
    }

    fn take_piece(
        &mut self,
        content: &[u8],
        each: &mut dyn FnMut(Met<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.status != 200 {
            let room = BODY_BYTES_MAX.saturating_sub(self.rest.len());
            self.rest.extend_from_slice(&content[..content.len().min(room)]);
            return Ok(());
        }
        let held = if self.rest.is_empty() {
            None
        } else {
            self.rest.extend_from_slice(content);
            Some(std::mem::take(&mut self.rest))
        };
        let bytes = held.as_deref().unwrap_or(content);
        let mut at = 0;
        while let Some((end, is_line)) = self.next_whole(&bytes[at..]) {
            // The blank line behind a line that stands for itself is nothing.
            if end > 1 || is_line {
                each(Met::Event(&bytes[at..at + end]))?;
            }
            self.is_behind_line = is_line;
            at += end;
        }
        // An idle stream owns no buffer, here as in the gateway.
        self.rest = bytes[at..].to_vec();
        Ok(())
    }

    /// Where what begins here ends, if it has come whole, and whether it is one line that is no part of an event: comments
    /// and `retry` stand for themselves, with a blank line behind them or without.
    fn next_whole(&self, bytes: &[u8]) -> Option<(usize, bool)> {
        if self.is_behind_line && bytes.first() == Some(&b'\n') {
            return Some((1, false));
        }
        if bytes.starts_with(b":") || bytes.starts_with(b"retry:") {
            return memchr::memchr(b'\n', bytes).map(|feed| (feed + 1, true));
        }
        let end = memchr::memmem::find(bytes, b"\n\n")?;
        Some((end + 2, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &str = "HTTP/1.1 200 OK\r\nx-ringway-stream: abc\r\ntransfer-encoding: chunked\r\n\r\n\
        8\r\n: ping\n\n\r\n14\r\ndata: 1\nid: abc.1\n\nd\r\n12\r\nata: 2\nid: abc.2\n\n\r\n0\r\n\r\n";

    fn read(pieces: &[&[u8]]) -> (Vec<String>, Result<Step, String>) {
        let (mut reader, mut met, mut last) = (Reader::default(), Vec::new(), Ok(Step::More));
        for piece in pieces {
            last = reader.take(piece, &mut |one| {
                met.push(match one {
                    Met::Head { status, name } => {
                        format!("{status} {}", String::from_utf8_lossy(name.unwrap_or_default()))
                    }
                    Met::Event(event) => String::from_utf8_lossy(event).into_owned(),
                });
                Ok(())
            });
        }
        (met, last)
    }

    #[test]
    fn a_response_is_the_same_however_it_is_cut() {
        let expected = ["200 abc", ": ping\n", "data: 1\nid: abc.1\n\n", "data: 2\nid: abc.2\n\n"];
        let bytes = RESPONSE.as_bytes();
        for cut in 0..bytes.len() {
            let (met, last) = read(&[&bytes[..cut], &bytes[cut..]]);
            assert_eq!(met, expected, "cut at {cut}");
            assert_eq!(last, Ok(Step::Ended { is_reusable: true }));
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single).0, expected);
    }

    #[test]
    fn every_place_has_its_name() {
        let mut places: Vec<(Place, String)> = Vec::new();
        let mut reader = Reader::default();
        places.push((reader.place(), String::new()));
        for byte in RESPONSE.bytes() {
            reader.take(&[byte], &mut |_| Ok(())).unwrap();
            if places.last().is_some_and(|(place, _)| *place == reader.place()) {
                places.last_mut().unwrap().1.push(byte.into());
            } else {
                places.push((reader.place(), char::from(byte).to_string()));
            }
        }
        let names: Vec<Place> = places.iter().map(|(place, _)| *place).collect();
        let event = [Place::Event, Place::IdLine, Place::BetweenEvents];
        let mut expected = vec![Place::BeforeHead, Place::Head, Place::BetweenEvents];
        expected.extend([Place::ChunkHead, Place::Comment, Place::BetweenEvents, Place::ChunkHead]);
        expected.extend(event);
        expected.extend([Place::Event, Place::ChunkHead]);
        expected.extend(event);
        expected.push(Place::ChunkHead);
        assert_eq!(names, expected, "{places:?}");
    }

    #[test]
    fn what_is_no_stream_is_kept_and_what_is_broken_is_said() {
        let bytes = b"HTTP/1.1 410 Gone\r\ncontent-length: 4\r\n\r\ngone";
        let mut reader = Reader::default();
        let step = reader.take(bytes, &mut |_| Ok(()));
        assert_eq!(step, Ok(Step::Ended { is_reusable: true }));
        assert_eq!((reader.status(), reader.said()), (410, b"gone".as_slice()));
        let none = "HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(read(&[none.as_bytes()]).1, Ok(Step::Ended { is_reusable: true }));

        let cut = RESPONSE.replace("12\r\nata: 2\nid: abc.2\n\n\r\n", "");
        assert!(read(&[cut.as_bytes()]).1.unwrap_err().contains("not whole"));
        let more = format!("{RESPONSE}x");
        assert!(read(&[more.as_bytes()]).1.unwrap_err().contains("after the response"));
        let mut reader = Reader::default();
        assert!(reader.take_close().unwrap_err().contains("before the head"));
        reader.take(&RESPONSE.as_bytes()[..100], &mut |_| Ok(())).unwrap();
        assert!(reader.take_close().unwrap_err().contains("inside the response"));
        let wrong = reader.take(&RESPONSE.as_bytes()[100..], &mut |_| Err("no".to_owned()));
        assert_eq!(wrong, Err("no".to_owned()));
    }
}
