//! Why a body cannot be served, and what to tell its sender.

use std::fmt::Write as _;

use crate::llm::scan::DEPTH_MAX;
use crate::llm::scan::Flaw;
use crate::llm::scan::Syntax;

/// Why a body cannot be served. Offsets are bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The body is not JSON (RFC 8259).
    InvalidJson {
        /// Where.
        offset: usize,
        /// How.
        what: Syntax,
    },
    /// More than [`DEPTH_MAX`] arrays and objects inside each other.
    TooDeep {
        /// Where the one too many begins.
        offset: usize,
    },
    /// The body is JSON, but not an object.
    NotAnObject,
    /// `model` is absent; only [`Ask::named_model`](crate::llm::request::Ask::named_model) says so.
    ModelMissing,
    /// `model` is not a string.
    ModelNotString {
        /// Where its value begins.
        offset: usize,
    },
    /// `stream` is neither true, false nor null.
    StreamNotBoolean {
        /// Where its value begins.
        offset: usize,
    },
    /// `stream_options` is neither an object nor null.
    StreamOptionsNotObject {
        /// Where its value begins.
        offset: usize,
    },
    /// `stream_options.include_usage` is neither true, false nor null.
    IncludeUsageNotBoolean {
        /// Where its value begins.
        offset: usize,
    },
    /// A bound on tokens that is neither a whole number nor null.
    MaxTokensNotNumber {
        /// The key.
        name: &'static str,
        /// Where its value begins.
        offset: usize,
    },
    /// `user` is neither a string nor null.
    UserNotString {
        /// Where its value begins.
        offset: usize,
    },
    /// One of the keys read here is there twice: the upstream might believe the other one.
    DuplicateKey {
        /// The key.
        name: &'static str,
        /// Where it is for the second time.
        offset: usize,
    },
    /// A key that is one of ours but for upper and lower case: some servers take it for ours.
    MiscasedKey {
        /// The key as it must be written.
        name: &'static str,
        /// Where it is.
        offset: usize,
    },
}

impl Unreadable {
    /// Appends what is wrong, where, and what to write instead.
    pub fn explain(&self, out: &mut String) {
        // Writing to a String cannot fail.
        let _infallible = match *self {
            Self::InvalidJson { offset, what } => {
                write!(out, "The body is not valid JSON at byte {offset}: {}.", what.explain())
            }
            Self::TooDeep { offset } => write!(
                out,
                "The body is nested too deeply at byte {offset}: at most {DEPTH_MAX} arrays and objects may be open at once."
            ),
            Self::NotAnObject => {
                write!(out, "The body must be a JSON object, such as {{\"model\": \"...\"}}.")
            }
            Self::ModelMissing => write!(
                out,
                "The body names no model: add \"model\": \"NAME\" (GET /v1/models lists the names)."
            ),
            Self::ModelNotString { offset } => write!(
                out,
                "\"model\" must be a string (at byte {offset}): write \"model\": \"NAME\"."
            ),
            Self::StreamNotBoolean { offset } => {
                write!(out, "\"stream\" must be true or false (at byte {offset}), without quotes.")
            }
            Self::StreamOptionsNotObject { offset } => write!(
                out,
                "\"stream_options\" must be an object (at byte {offset}), such as {{\"include_usage\": true}}."
            ),
            Self::IncludeUsageNotBoolean { offset } => write!(
                out,
                "\"include_usage\" in \"stream_options\" must be true or false (at byte {offset}), without quotes."
            ),
            Self::MaxTokensNotNumber { name, offset } => write!(
                out,
                "\"{name}\" must be a whole number (at byte {offset}), such as 1024, without quotes."
            ),
            Self::UserNotString { offset } => write!(
                out,
                "\"user\" must be a string (at byte {offset}): put it in double quotes."
            ),
            Self::DuplicateKey { name, offset } => write!(
                out,
                "\"{name}\" is there twice, for the second time at byte {offset}: send it once."
            ),
            Self::MiscasedKey { name, offset } => {
                write!(out, "The key at byte {offset} must be written \"{name}\".")
            }
        };
    }

    /// The key that is wrong, as an error body names it.
    #[must_use]
    pub const fn param(&self) -> Option<&'static str> {
        match *self {
            Self::InvalidJson { .. } | Self::TooDeep { .. } | Self::NotAnObject => None,
            Self::ModelMissing | Self::ModelNotString { .. } => Some("model"),
            Self::StreamNotBoolean { .. } => Some("stream"),
            Self::StreamOptionsNotObject { .. } => Some("stream_options"),
            Self::IncludeUsageNotBoolean { .. } => Some("stream_options.include_usage"),
            Self::UserNotString { .. } => Some("user"),
            Self::MaxTokensNotNumber { name, .. }
            | Self::DuplicateKey { name, .. }
            | Self::MiscasedKey { name, .. } => Some(name),
        }
    }

    /// The code an error body carries; also the metric label.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidJson { .. } => "invalid_json",
            Self::TooDeep { .. } => "nested_too_deeply",
            Self::NotAnObject => "not_an_object",
            Self::ModelMissing => "missing_required_parameter",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::MiscasedKey { .. } => "miscased_key",
            Self::ModelNotString { .. }
            | Self::StreamNotBoolean { .. }
            | Self::StreamOptionsNotObject { .. }
            | Self::IncludeUsageNotBoolean { .. }
            | Self::MaxTokensNotNumber { .. }
            | Self::UserNotString { .. } => "invalid_type",
        }
    }
}

impl From<Flaw> for Unreadable {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw { offset, what: Syntax::TooDeep } => Self::TooDeep { offset },
            Flaw { offset, what } => Self::InvalidJson { offset, what },
        }
    }
}
