//! What a piece of a model's stream says, whatever it is written in; and streams of other kinds written as OpenAI's.

mod anthropic;
pub(in crate::llm) mod json;
mod ollama;
mod openai;
mod text;
pub mod translate;

use std::borrow::Cow;

use crate::llm::stream::text::Runs;
use crate::llm::usage::Meter;
use crate::llm::usage::Usage;
use crate::wire::sse::field;

/// What the answers of a model server are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Server-sent events as OpenAI writes them: of chat and text completions, and of the Responses API.
    OpenAi,
    /// Server-sent events of Anthropic's Messages API.
    Anthropic,
    /// Lines of JSON as Ollama's `/api/chat` and `/api/generate` write them.
    Ollama,
    /// The text itself, as it is generated.
    Text,
}

/// Something that a piece of a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'e> {
    /// More of the answer; never empty.
    Text {
        /// Which of the answers, where several were asked for.
        choice: u32,
        /// As it reads when decoded.
        text: Cow<'e, str>,
    },
    /// More of what the model thinks before it answers; never empty.
    Reasoning(Cow<'e, str>),
    /// More of a call of a tool.
    ToolCall,
    /// How likely the tokens were.
    Logprobs,
    /// An answer is whole.
    Finish {
        /// Which of the answers.
        choice: u32,
        /// Why it ended, in the words of the server.
        reason: Cow<'e, str>,
    },
    /// The tokens that the stream has said it was so far.
    Usage(Usage),
    /// The stream is whole: nothing else will come.
    Done,
    /// It failed, in the words of the server; empty if it has none.
    Error(Cow<'e, str>),
    /// Nothing of the above, or nothing that can be read.
    Other,
}

/// Who is told what a piece says, one thing after the other.
pub(crate) type Each<'f> = &'f mut dyn FnMut(Event<'_>);

/// Reads one stream, piece by piece. Holds no bytes of it but those of a character that was cut.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    /// Something has come, so that no byte order mark may.
    is_begun: bool,
    meter: Meter,
    runs: Runs,
}

impl Reader {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format, is_begun: false, meter: Meter::default(), runs: Runs::default() }
    }

    /// Reads one whole event with its blank line, one line of JSON, or some of the text, however that is cut. `each` gets what
    /// it says, at least one thing: what the model thinks before what it answers, and the usage and the end behind all of
    /// that. What cannot be read is [`Event::Other`]; nothing is made of a part of it.
    pub fn read(&mut self, whole: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        let mut is_silent = true;
        let mut tell = |event: Event<'_>| {
            is_silent = false;
            each(event);
        };
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        let unmarked = whole.strip_prefix(field::MARK).filter(|_| is_first);
        match self.format {
            Format::Text => {
                let text = self.runs.feed(whole);
                if !text.is_empty() {
                    tell(Event::Text { choice: 0, text });
                }
            }
            Format::Ollama => {
                if let Ok(line) = ollama::Line::read(whole) {
                    line.tell(&mut tell);
                }
            }
            Format::OpenAi | Format::Anthropic => {
                if let Some(data) = field::data(unmarked.unwrap_or(whole)) {
                    self.read_data(&data, &mut tell);
                }
            }
        }
        if is_silent {
            each(Event::Other);
        }
    }

    fn read_data(&mut self, data: &[u8], tell: Each<'_>) {
        let meter = &mut self.meter;
        let mut usage = || {
            meter.feed_document(data);
            meter.usage().map(Event::Usage)
        };
        match self.format {
            Format::Anthropic => {
                if let Ok(found) = anthropic::Found::read(data) {
                    found.tell(&mut usage, tell);
                }
            }
            _ if data == b"[DONE]" => tell(Event::Done),
            _ => {
                if let Ok(found) = openai::Found::read(data) {
                    found.tell(&mut usage, tell);
                }
            }
        }
    }
}

#[cfg(test)]
use crate::llm;
#[cfg(test)]
use crate::wire;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod oracle;
