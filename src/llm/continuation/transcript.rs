//! What was said so far in a stream of a chat.

use super::Why;
use super::ask::Ask;
use super::body;
use crate::llm::estimate;
use crate::llm::scan::Flaw;
use crate::llm::stream::Event;
use crate::llm::stream::Format;
use crate::llm::stream::Reader;
use crate::llm::stream::json;
use crate::llm::stream::json::is;
use crate::wire::sse::field;

/// Members of a chunk that are the same in all chunks of a stream, each with its value as written.
const MARKS: [&str; 4] = ["id", "created", "model", "system_fingerprint"];
/// A mark longer than this is none that a server gives.
const MARK_BYTES_MAX: usize = 512;

/// What was said so far.
pub struct Transcript {
    reader: Reader,
    bytes_max: usize,
    text: String,
    pieces: u64,
    why: Option<Why>,
    has_role: bool,
    marks: Option<Box<Marks>>,
}

/// The marks of the first server's chunks.
pub(super) type Marks = [Option<Box<[u8]>>; MARKS.len()];

impl Transcript {
    /// Of the answer to this request nothing was said yet. What is more than `bytes_max` is not remembered.
    #[must_use]
    pub fn new(request: &[u8], bytes_max: usize) -> Self {
        let why = Ask::read(request).map_or(Some(Why::Unreadable), |ask| ask.why);
        Self {
            reader: Reader::new(Format::OpenAi),
            bytes_max,
            text: String::new(),
            pieces: 0,
            why,
            has_role: false,
            marks: None,
        }
    }

    /// Notes an event that went down: a whole one, with its blank line.
    pub fn note(&mut self, event: &[u8]) {
        if self.why.is_some() {
            return;
        }
        let Self { reader, text, pieces, why, .. } = self;
        reader.read(event, &mut |said| {
            let found = match said {
                Event::Text { choice: 0, text: more } => {
                    text.push_str(&more);
                    *pieces += 1;
                    None
                }
                Event::Text { .. } => Some(Why::SeveralChoices),
                Event::Reasoning(_) => Some(Why::Reasoning),
                Event::ToolCall => Some(Why::ToolCalls),
                Event::Logprobs => Some(Why::Logprobs),
                Event::Finish { .. } | Event::Done | Event::Error(_) => Some(Why::Finished),
                Event::Usage(_) | Event::Other => None,
            };
            *why = why.or(found);
        });
        if self.text.len() > self.bytes_max {
            self.why = Some(Why::TooLong);
        }
        if self.why.is_some() {
            self.text = String::new();
        } else if self.marks.is_none()
            && let Some(data) = field::data(event)
        {
            self.has_role = true;
            self.marks = marks(&data).ok().map(Box::new);
        }
    }

    /// Whether another server can go on from here.
    ///
    /// # Errors
    /// Why not.
    pub fn may_continue(&self) -> Result<(), Why> {
        self.why.map_or(Ok(()), Err)
    }

    /// Appends the request for the rest to `out`; `request` is how it went up first. False: there is no such request.
    pub fn body(&self, request: &[u8], out: &mut Vec<u8>) -> bool {
        let may = self.may_continue();
        may.and_then(|()| body::continued(request, &self.text, self.tokens(), out)).is_ok()
    }

    /// Tokens that were said so far, as far as anybody knows.
    pub(super) fn tokens(&self) -> u32 {
        let tokens = estimate::said_tokens(self.pieces, self.text.len() as u64);
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }

    /// Whether anything of the stream went down, its role at least.
    pub(super) const fn has_role(&self) -> bool {
        self.has_role
    }

    pub(super) fn marks(&self) -> Option<&Marks> {
        self.marks.as_deref()
    }
}

/// Number of the mark that this member is.
pub(super) fn mark(key: &crate::llm::scan::Text<'_>) -> Option<usize> {
    MARKS.iter().position(|name| is(key, name))
}

fn marks(data: &[u8]) -> Result<Marks, Flaw> {
    let mut marks = Marks::default();
    json::document(data, |key, scan| {
        let start = scan.offset();
        scan.skip()?;
        if let Some(place) = mark(key)
            && let Some(value) = data.get(start..scan.offset())
            && value.len() <= MARK_BYTES_MAX
        {
            marks[place] = Some(value.into());
        }
        Ok(())
    })?;
    Ok(marks)
}
