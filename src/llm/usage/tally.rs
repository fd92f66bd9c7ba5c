//! How much an answer said, for when nobody says how many tokens that was: its pieces and the bytes of their text.

use crate::llm::estimate;
use crate::llm::scan::plain_length;

/// The keys of the strings that a model has written, in all dialects: answers, thoughts, and what tools are called with.
const KEYS: [&[u8]; 9] = [
    b"\"content\"",
    b"\"text\"",
    b"\"delta\"",
    b"\"reasoning_content\"",
    b"\"reasoning\"",
    b"\"thinking\"",
    b"\"arguments\"",
    b"\"partial_json\"",
    b"\"refusal\"",
];
/// `"delta"` among them: what alone counts in an event of the Responses API, which says everything again at its end.
const DELTA: u8 = 2;

/// What has been said so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    bytes: u64,
    pieces: u32,
    /// Where the text began in the event that had one last: its distance from the start of the event, that from its key, and
    /// which key. The events of a stream look alike.
    at: u16,
    gap: u8,
    key: u8,
}

impl Tally {
    /// Tokens of all that, roughly.
    pub(super) const fn tokens(&self) -> u64 {
        estimate::said_tokens(self.pieces as u64, self.bytes)
    }

    /// An event that nobody has looked at counts as one piece.
    pub(super) fn add_unseen(&mut self) {
        self.pieces = self.pieces.saturating_add(1);
    }

    /// Takes in whole events. Of each it looks at the first string of [`KEYS`].
    #[inline]
    pub(super) fn add(&mut self, events: &[u8]) {
        let mut rest = events;
        while !rest.is_empty() {
            let behind = self.add_as_last(rest).unwrap_or_else(|| self.add_found(rest));
            let end = behind + event_end(rest.get(behind..).unwrap_or_default());
            rest = rest.get(end..).unwrap_or_default();
        }
    }

    /// Looks where the text of the last event was; where it ends.
    #[inline]
    fn add_as_last(&mut self, event: &[u8]) -> Option<usize> {
        let at = usize::from(self.at);
        let key = KEYS.get(usize::from(self.key))?;
        let before = event.get(..at)?;
        let gap = before.get(at.checked_sub(usize::from(self.gap))?..)?;
        let is_alike =
            matches!(gap, b":\"" | b": \"") && before.get(..at - gap.len())?.ends_with(key);
        is_alike.then(|| self.add_text(event, at))
    }

    /// Looks for the text; where it ends, or the start of the event if there is none.
    #[cold]
    fn add_found(&mut self, rest: &[u8]) -> usize {
        let event = rest.get(..event_end(rest)).unwrap_or(rest);
        let is_response = memchr::memmem::find(event, b"\"response.").is_some();
        for colon in memchr::memchr_iter(b':', event) {
            let (before, behind) = event.split_at_checked(colon).unwrap_or((event, &[]));
            let gap = match behind {
                [_, b'"', ..] => 2,
                [_, b' ', b'"', ..] => 3,
                _ => continue,
            };
            let Some(key) = (0..).zip(KEYS).find(|(_, key)| before.ends_with(key)) else {
                continue;
            };
            let Ok(at) = u16::try_from(colon + usize::from(gap)) else { return 0 };
            if is_response && key.0 != DELTA {
                continue;
            }
            let end = self.add_text(event, usize::from(at));
            if end > usize::from(at) {
                (self.at, self.gap, self.key) = (at, gap, key.0);
                return end;
            }
        }
        0
    }

    /// Takes in the string that begins at `at`; where it ends. An empty one is none.
    #[inline]
    fn add_text(&mut self, event: &[u8], at: usize) -> usize {
        let mut end = at;
        let mut bytes = 0;
        while let Some(rest) = event.get(end..) {
            let plain = plain_length(rest);
            end += plain;
            bytes += plain;
            match rest.get(plain..) {
                Some([b'\\', b'u', digits @ ..]) => {
                    bytes += utf8_length(digits);
                    end += 6;
                }
                Some([b'\\', ..]) => {
                    bytes += 1;
                    end += 2;
                }
                _ => break,
            }
        }
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.pieces = self.pieces.saturating_add(u32::from(bytes > 0));
        end.min(event.len())
    }
}

/// Bytes of a character that is written in hexadecimal digits; of one half of a pair half of them.
fn utf8_length(digits: &[u8]) -> usize {
    match digits {
        [b'0', b'0', b'0'..=b'7', ..] => 1,
        [b'0', b'0'..=b'7', ..] | [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..] => 2,
        _ => 3,
    }
}

/// Length of what is left of an event, its blank line included.
#[inline]
fn event_end(bytes: &[u8]) -> usize {
    for at in memchr::memchr_iter(b'\n', bytes) {
        match bytes.get(at + 1..) {
            Some([b'\n', ..]) => return at + 2,
            Some([b'\r', b'\n', ..]) => return at + 3,
            _ => {}
        }
    }
    bytes.len()
}
