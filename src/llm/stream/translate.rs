//! Streams and answers of Ollama, or of plain text, as OpenAI would have written them.
//!
//! The words are those that Ollama's own imitation of OpenAI uses (github.com/ollama/ollama, openai/openai.go): thinking is
//! `reasoning`, an answer that calls tools ends with `tool_calls`. What the server has not said is not made up: plain text has
//! no usage.

mod messages;
mod up;
mod write;

use crate::llm::dialect::Operation;
use crate::llm::scan::Text;
use crate::llm::stream::Format;
use crate::llm::stream::ollama::Line;
use crate::llm::stream::text::Runs;
use crate::llm::stream::translate::write::Answer;
use crate::llm::stream::translate::write::Piece;
use crate::llm::stream::translate::write::Writer;
use crate::llm::usage::Usage;

pub use crate::llm::stream::translate::up::body_up;
pub use crate::llm::stream::translate::up::path_up;

/// Bytes of the longest line of a stream. The last one of `/api/generate` has all tokens of the context in it.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// Bytes of the longest answer that is no stream: it has to be here as a whole before its first byte goes down.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Why something cannot be told as the other side would have told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untranslatable {
    /// The server said that it failed, in these words.
    Said(Box<str>),
    /// It is not what the server was said to write.
    NotItsFormat,
    /// A line of it is longer than [`LINE_BYTES_MAX`], or an answer that is no stream than [`ANSWER_BYTES_MAX`].
    TooLong,
    /// It ended before its end.
    EndsEarly,
    /// The request cannot be asked of the server, because of this key of its.
    Asks(&'static str),
}

/// What the client has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// [`Operation::TextCompletion`]; all others are answered as [`Operation::Chat`].
    pub operation: Operation,
    /// Whether as a stream.
    pub is_stream: bool,
    /// Whether the stream is to say its usage (`stream_options.include_usage`).
    pub includes_usage: bool,
}

/// One answer on its way to OpenAI's format.
#[derive(Debug)]
pub struct Translator {
    from: Format,
    writer: Writer,
    /// A line that has not ended.
    held: Vec<u8>,
    runs: Runs,
    /// What has come of an answer that is no stream.
    answer: Option<Box<Answer>>,
    is_done: bool,
    is_finished: bool,
}

impl Translator {
    /// An answer of which nothing has come. `model` and `id` are what the client is told, with `created_unix_s` in seconds. What
    /// is [`Format::OpenAi`] or [`Format::Anthropic`] passes as it is.
    #[must_use]
    pub fn new(
        from: Format,
        asked: Asked,
        model: &str,
        id: &[u8; 32],
        created_unix_s: u64,
    ) -> Self {
        Self {
            from,
            writer: Writer::new(asked, model, id, created_unix_s),
            held: Vec::new(),
            runs: Runs::default(),
            answer: (!asked.is_stream).then(Box::default),
            is_done: false,
            is_finished: false,
        }
    }

    /// Takes bytes of the upstream's body, however they are cut, and appends what goes down: of a stream whole events, of
    /// another answer nothing.
    ///
    /// # Errors
    ///
    /// Nothing more can be made of the answer. What was appended before is right.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Untranslatable> {
        match self.from {
            Format::Ollama => self.feed_lines(bytes, out),
            Format::Text => {
                let mut runs = std::mem::take(&mut self.runs);
                let text = runs.feed(bytes);
                let put = self.put(&Piece { text: &text, ..Piece::default() }, out);
                self.runs = runs;
                put
            }
            Format::OpenAi | Format::Anthropic => {
                out.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// The upstream's body has ended: appends the end of the stream, or the body of the answer.
    ///
    /// # Errors
    ///
    /// [`Untranslatable::EndsEarly`] if it has not ended as it must; and what [`Translator::feed`] fails with.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Untranslatable> {
        if std::mem::replace(&mut self.is_finished, true) {
            return Ok(());
        }
        match self.from {
            Format::OpenAi | Format::Anthropic => return Ok(()),
            Format::Ollama => {
                let held = std::mem::take(&mut self.held);
                self.line(&held, out)?;
                if !self.is_done {
                    return Err(Untranslatable::EndsEarly);
                }
            }
            Format::Text => {
                let text = self.runs.finish();
                self.put(&Piece { text, ..Piece::default() }, out)?;
                self.end("stop", None, out);
            }
        }
        if let Some(answer) = self.answer.take() {
            self.writer.answer(&answer, out);
        }
        Ok(())
    }

    fn feed_lines(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Untranslatable> {
        let mut rest = bytes;
        while let Some(length) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            rest = after.get(1..).unwrap_or_default();
            if self.held.is_empty() {
                self.line(line, out)?;
                continue;
            }
            self.hold(line)?;
            let mut held = std::mem::take(&mut self.held);
            self.line(&held, out)?;
            // The next line that is cut finds the room.
            held.clear();
            self.held = held;
        }
        self.hold(rest)
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), Untranslatable> {
        let most = if self.answer.is_some() { ANSWER_BYTES_MAX } else { LINE_BYTES_MAX };
        if self.held.len() + bytes.len() > most {
            return Err(Untranslatable::TooLong);
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// One line of Ollama's. Blank lines, and what follows the last one, are nothing.
    fn line(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Untranslatable> {
        if self.is_done || bytes.trim_ascii().is_empty() {
            return Ok(());
        }
        let line = Line::read(bytes).map_err(|_| Untranslatable::NotItsFormat)?;
        if let Some(error) = &line.error {
            return Err(Untranslatable::Said(error.decode().into()));
        }
        let text = line.text.as_ref().map(Text::decode).unwrap_or_default();
        let thinking = line.thinking.as_ref().map(Text::decode).unwrap_or_default();
        let mut calls = Vec::new();
        line.calls(|call| self.writer.call(call, &mut calls))
            .map_err(|_| Untranslatable::NotItsFormat)?;
        let logprobs = line.logprobs().unwrap_or_default();
        self.put(&Piece { text: &text, thinking: &thinking, calls: &calls, logprobs }, out)?;
        if line.is_done {
            let said = line.done_reason.as_ref().map(Text::decode);
            self.end(said.as_deref().unwrap_or_default(), line.usage(), out);
        }
        Ok(())
    }

    /// More of the answer.
    fn put(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) -> Result<(), Untranslatable> {
        match &mut self.answer {
            None => self.writer.piece(piece, out),
            Some(answer) if answer.bytes() + piece.bytes() > ANSWER_BYTES_MAX => {
                return Err(Untranslatable::TooLong);
            }
            Some(answer) => answer.add(piece),
        }
        Ok(())
    }

    /// The answer is whole.
    fn end(&mut self, said: &str, usage: Option<Usage>, out: &mut Vec<u8>) {
        self.is_done = true;
        let reason = match said {
            _ if self.writer.has_called() => "tool_calls",
            "length" => "length",
            // What else Ollama says is about models that were loaded or unloaded.
            _ => "stop",
        };
        match &mut self.answer {
            None => self.writer.end(reason, usage, out),
            Some(answer) => (answer.reason, answer.usage) = (reason, usage),
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
