//! Why the parameters of a body cannot be normalized, and what to tell its sender.

use std::fmt::Write as _;

use crate::llm::request::Unreadable;

/// Why the parameters of a body cannot be normalized. Offsets are bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why<'p> {
    /// It is not JSON.
    Unreadable(Unreadable),
    /// A parameter with bounds is neither a number nor `null`.
    NotNumber {
        /// The parameter.
        name: &'p str,
        /// Where its value begins.
        offset: usize,
    },
    /// A parameter with a rule is there twice: the upstream might believe the other one.
    DuplicateKey {
        /// The parameter.
        name: &'p str,
        /// Where it is for the second time.
        offset: usize,
    },
    /// A key that is a parameter with a rule but for upper and lower case: some servers take it for that.
    MiscasedKey {
        /// The parameter, as it must be written.
        name: &'p str,
        /// Where it is.
        offset: usize,
    },
    /// Unknown parameters in more than [`REMOVALS_MAX`](crate::llm::normalize::REMOVALS_MAX) places.
    TooManyUnknown {
        /// Where the one too many is.
        offset: usize,
    },
}

impl<'p> Why<'p> {
    /// Appends what is wrong, where, and what to write instead.
    pub fn explain(&self, out: &mut String) {
        // Writing to a String cannot fail.
        let _infallible = match *self {
            Self::Unreadable(why) => {
                why.explain(out);
                Ok(())
            }
            Self::NotNumber { name, offset } => {
                write!(out, "\"{name}\" must be a number (at byte {offset}), without quotes.")
            }
            Self::DuplicateKey { name, offset } => write!(
                out,
                "\"{name}\" is there twice, for the second time at byte {offset}: send it once."
            ),
            Self::MiscasedKey { name, offset } => {
                write!(out, "The key at byte {offset} must be written \"{name}\".")
            }
            Self::TooManyUnknown { offset } => write!(
                out,
                "The body has too many parameters that this model does not know, up to the one at byte {offset}: leave them out."
            ),
        };
    }

    /// The key that is wrong, as an error body names it.
    #[must_use]
    pub const fn param(&self) -> Option<&'p str> {
        match *self {
            Self::Unreadable(why) => why.param(),
            Self::NotNumber { name, .. }
            | Self::DuplicateKey { name, .. }
            | Self::MiscasedKey { name, .. } => Some(name),
            Self::TooManyUnknown { .. } => None,
        }
    }

    /// The code an error body carries; also the metric label.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(why) => why.code(),
            Self::NotNumber { .. } => "invalid_type",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::MiscasedKey { .. } => "miscased_key",
            Self::TooManyUnknown { .. } => "unknown_parameters",
        }
    }
}
