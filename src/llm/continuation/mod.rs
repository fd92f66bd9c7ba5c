//! A stream that broke off, continued by another server: what was said so far, the request for the rest, and the rest made to
//! look as if the first server had said it.
//!
//! A server continues the last message of a request, if that is the assistant's: vLLM and SGLang where the request says
//! `continue_final_message` (vLLM wants `add_generation_prompt` to be false with it), llama.cpp without being told. The text it
//! sends begins where that message ends; it is not repeated.

mod ask;
mod body;
mod seam;
mod transcript;

pub use self::seam::Seam;
pub use self::transcript::Transcript;

/// Why a stream cannot be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The request is none that could be read.
    Unreadable,
    /// Tools are called, and a call cannot be cut in two.
    ToolCalls,
    /// How likely tokens were is wanted, and another server's would not fit.
    Logprobs,
    /// More than one answer is wanted.
    SeveralChoices,
    /// The answer has a structure, of which a server that begins in the middle knows nothing.
    Structured,
    /// The client itself has its last message continued.
    Continues,
    /// The model has thought, and its thoughts are no part of a message.
    Reasoning,
    /// So much was said that it was not remembered.
    TooLong,
    /// The answer was whole; only its end is missing.
    Finished,
    /// All tokens that it may have were used up.
    UsedUp,
}

impl Why {
    /// One sentence for the log.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Unreadable => "the request could not be read",
            Self::ToolCalls => "tools are called, and a call cannot be cut in two",
            Self::Logprobs => {
                "log probabilities are wanted, and those of another server would not fit"
            }
            Self::SeveralChoices => "more than one answer is wanted",
            Self::Structured => {
                "the answer has a structure of which a server that begins in the middle knows nothing"
            }
            Self::Continues => "the client itself has its last message continued",
            Self::Reasoning => "the model has thought, and its thoughts are no part of a message",
            Self::TooLong => "so much was said that it was not remembered",
            Self::Finished => "the answer was whole, and only its end is missing",
            Self::UsedUp => "all tokens that the answer may have were used up",
        }
    }
}

#[cfg(test)]
mod tests;
