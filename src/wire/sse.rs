//! Server-sent events in passing: where they end, without holding or copying a byte of them.
//!
//! The format is that of the WHATWG HTML standard, section 9.2.6: lines end with LF, CRLF or CR; a blank
//! line ends an event; an event without a data line is none. What such a stream says about coming back to it: [`origin`].

pub mod field;
pub mod origin;

use crate::wire::sse::field::MARK;

/// What is to be known of a stream between two reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scanner {
    line: Line,
    block: Block,
    /// Whether the last byte was a carriage return, so that a line feed now would belong to it.
    is_after_return: bool,
}

/// What one call found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Events that ended in these bytes.
    pub events: u32,
    /// Offset just after the last blank line in these bytes.
    pub boundary: Option<usize>,
    /// Whether one of the events that ended was `data: [DONE]`.
    pub is_done: bool,
}

/// What the current line has shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    /// Nothing, and it is the first of the stream: a byte order mark may come.
    #[default]
    First,
    /// So many bytes of a byte order mark (1 or 2).
    Mark(u8),
    /// Nothing.
    Start,
    /// So many bytes of `data:` (1 to 4).
    Name(u8),
    /// `data:`, and so far no value; a space may come.
    Colon,
    /// `data: ` and so many bytes of `[DONE]` (0 to 6).
    Done(u8),
    /// A data line with another value.
    Data,
    /// Another line.
    Other,
}

/// What the lines of the current block have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Block {
    /// There was none.
    #[default]
    Empty,
    /// Some, but no data line.
    Plain,
    /// One data line, and it is `[DONE]`.
    Done,
    /// Data lines.
    Data,
}

const NAME: &[u8] = b"data:";
const DONE: &[u8] = b"[DONE]";

impl Scanner {
    /// Takes in the next bytes of the stream.
    #[inline]
    pub fn feed(&mut self, bytes: &[u8]) -> Scan {
        let mut scan = Scan::default();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..)
            && let Some(&byte) = rest.first()
        {
            if std::mem::take(&mut self.is_after_return) && byte == b'\n' {
                at += 1;
                // If the carriage return ended a blank line, that line reaches to here.
                if self.at_boundary() {
                    scan.boundary = Some(at);
                }
                continue;
            }
            let Some(length) = self.find_line_end(rest) else { break };
            at += length + 1;
            self.is_after_return = rest.get(length) == Some(&b'\r');
            if self.end_line(&mut scan) {
                scan.boundary = Some(at);
            }
        }
        scan
    }

    /// Takes in the next bytes of the stream, at most to the end of the first event (or other run of lines) that ends in
    /// them, its blank line included. How many bytes those are, and what they hold.
    pub fn feed_event(&mut self, bytes: &[u8]) -> (usize, Scan) {
        let mut scan = Scan::default();
        let mut at = 0;
        if self.is_after_return && bytes.first() == Some(&b'\n') {
            self.is_after_return = false;
            at = 1;
            if self.at_boundary() {
                scan.boundary = Some(at);
                return (at, scan);
            }
        }
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            self.is_after_return = false;
            let Some(length) = self.find_line_end(rest) else { break };
            at += length + 1;
            let is_return = rest.get(length) == Some(&b'\r');
            // A carriage return takes the line feed after it along; if that is not here yet, it comes alone.
            if is_return && bytes.get(at) == Some(&b'\n') {
                at += 1;
            } else {
                self.is_after_return = is_return;
            }
            if self.end_line(&mut scan) {
                scan.boundary = Some(at);
                return (at, scan);
            }
        }
        (bytes.len(), scan)
    }

    /// Looks at the current line, of which `rest` is the rest; where it ends, if it does.
    #[inline]
    fn find_line_end(&mut self, rest: &[u8]) -> Option<usize> {
        let mut seen = 0;
        // What nearly every line of a stream of answers begins with.
        if self.line == Line::Start && rest.starts_with(b"data: {") {
            self.line = Line::Data;
        }
        while !matches!(self.line, Line::Data | Line::Other) {
            let byte = *rest.get(seen)?;
            if byte == b'\n' || byte == b'\r' {
                return Some(seen);
            }
            self.line = self.line.next(byte);
            seen += 1;
        }
        memchr::memchr2(b'\n', b'\r', rest.get(seen..)?).map(|found| seen + found)
    }

    /// Whether nothing of an unfinished event has been seen: other events may be put in here.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.block == Block::Empty && matches!(self.line, Line::First | Line::Start)
    }

    /// The line has ended; true if it was blank.
    #[inline]
    fn end_line(&mut self, scan: &mut Scan) -> bool {
        let line = std::mem::replace(&mut self.line, Line::Start);
        self.block = match (line, self.block) {
            (Line::First | Line::Start, block) => {
                scan.events += u32::from(matches!(block, Block::Data | Block::Done));
                scan.is_done |= block == Block::Done;
                self.block = Block::Empty;
                return true;
            }
            (Line::Done(6), Block::Empty | Block::Plain) => Block::Done,
            (Line::Name(4) | Line::Colon | Line::Done(_) | Line::Data, _) => Block::Data,
            (Line::Mark(_) | Line::Name(_) | Line::Other, Block::Empty) => Block::Plain,
            (Line::Mark(_) | Line::Name(_) | Line::Other, block) => block,
        };
        false
    }
}

impl Line {
    /// The line one byte later.
    fn next(self, byte: u8) -> Self {
        let is = |text: &[u8], place: u8| text.get(usize::from(place)) == Some(&byte);
        match self {
            Self::First if is(MARK, 0) => Self::Mark(1),
            Self::Mark(1) if is(MARK, 1) => Self::Mark(2),
            Self::Mark(2) if is(MARK, 2) => Self::Start,
            Self::First | Self::Start if is(NAME, 0) => Self::Name(1),
            Self::Name(4) if is(NAME, 4) => Self::Colon,
            Self::Name(place) if is(NAME, place) => Self::Name(place + 1),
            Self::Colon if byte == b' ' => Self::Done(0),
            Self::Colon if is(DONE, 0) => Self::Done(1),
            Self::Done(place) if is(DONE, place) => Self::Done(place + 1),
            Self::Colon | Self::Done(_) | Self::Data => Self::Data,
            Self::First | Self::Mark(_) | Self::Start | Self::Name(_) | Self::Other => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scan;
    use super::Scanner;

    /// What the whole stream gives, and whether it ends at a boundary; the same for every split in two
    /// and for single bytes.
    fn scan(bytes: &[u8]) -> (Scan, bool) {
        let mut scanner = Scanner::default();
        let whole = (scanner.feed(bytes), scanner.at_boundary());
        for cut in 0..=bytes.len() {
            let parts = [&bytes[..cut], &bytes[cut..]];
            assert_eq!(joined(&parts), whole, "{:?} at {cut}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(joined_events(bytes), whole, "{:?}", String::from_utf8_lossy(bytes));
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(joined(&single), whole, "{:?}", String::from_utf8_lossy(bytes));
        whole
    }

    fn joined(parts: &[&[u8]]) -> (Scan, bool) {
        let mut scanner = Scanner::default();
        let mut all = Scan::default();
        let mut offset = 0;
        for part in parts {
            let scan = scanner.feed(part);
            all.events += scan.events;
            all.is_done |= scan.is_done;
            all.boundary = scan.boundary.map(|at| offset + at).or(all.boundary);
            offset += part.len();
        }
        (all, scanner.at_boundary())
    }

    /// The same event by event, for every split in two.
    fn joined_events(bytes: &[u8]) -> (Scan, bool) {
        let mut results: Vec<(Scan, bool)> = Vec::new();
        for cut in 0..=bytes.len() {
            let mut scanner = Scanner::default();
            let (mut all, mut at) = (Scan::default(), 0);
            for end in [cut, bytes.len()] {
                while at < end {
                    let (length, scan) = scanner.feed_event(&bytes[at..end]);
                    assert!(length > 0 && scan.boundary.is_none_or(|boundary| boundary == length));
                    assert!(scan.events <= 1);
                    at += length;
                    all.events += scan.events;
                    all.is_done |= scan.is_done;
                    all.boundary = scan.boundary.map(|_| at).or(all.boundary);
                }
            }
            results.push((all, scanner.at_boundary()));
        }
        assert!(results.iter().all(|result| *result == results[0]));
        results[0]
    }

    #[test]
    fn events_are_counted_and_end_at_boundaries() {
        let rows: [(&str, u32, Option<usize>, bool, bool); 24] = [
            ("", 0, None, false, true),
            ("data: {}\n\n", 1, Some(10), false, true),
            ("data: {}\r\n\r\n", 1, Some(12), false, true),
            ("data: {}\r\r", 1, Some(10), false, true),
            ("data: {}\n\ndata: {}\n\nda", 2, Some(20), false, false),
            ("data: {}\n", 0, None, false, false),
            ("data: {}\r\n\r", 1, Some(11), false, true),
            ("data: a\ndata: b\n\n", 1, Some(17), false, true),
            ("event: x\nid: 1\ndata: a\n\n", 1, Some(24), false, true),
            (": ping\n\n", 0, Some(8), false, true),
            ("event: x\n\n", 0, Some(10), false, true),
            ("\n\n\n", 0, Some(3), false, true),
            ("data\n\n", 1, Some(6), false, true),
            ("data:\n\n", 1, Some(7), false, true),
            ("dat\n\n", 0, Some(5), false, true),
            ("datum: 1\n\ndatadata: 2\n\n", 0, Some(23), false, true),
            ("data: [DONE]\n\n", 1, Some(14), true, true),
            ("data:[DONE]\r\n\r\n", 1, Some(15), true, true),
            ("data: [DONE]\n", 0, None, false, false),
            ("data:  [DONE]\n\n", 1, Some(15), false, true),
            ("data: [DONE] \n\n", 1, Some(15), false, true),
            ("data: [DONE]\ndata: x\n\n", 1, Some(22), false, true),
            ("data: [DONE\n\n", 1, Some(13), false, true),
            ("\u{feff}data: a\n\n\u{feff}data: b\n\n", 1, Some(24), false, true),
        ];
        for (text, events, boundary, is_done, at_boundary) in rows {
            let expected = (Scan { events, boundary, is_done }, at_boundary);
            assert_eq!(scan(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn done_after_other_fields_counts() {
        assert!(scan(b"event: end\ndata: [DONE]\n\n").0.is_done);
        assert!(!scan(b"data: x\ndata: [DONE]\n\n").0.is_done);
    }

    #[test]
    fn the_state_is_small() {
        assert!(size_of::<Scanner>() <= 4);
    }
}
