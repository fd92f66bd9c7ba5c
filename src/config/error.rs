//! What is wrong with a file, and where.

use std::fmt;

/// A line of the file and the path of a value in it, as the file's reader would say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Counted from 1; 0 where the whole file is meant.
    pub line: u32,
    /// For instance `model[0].upstream`; empty where the whole file or only its grammar is meant.
    pub path: String,
}

/// One thing that is wrong: `ringway.toml:14: model[0].upstream: no upstream is called ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The file as the operator named it.
    pub file: String,
    /// Where in the file.
    pub place: Place,
    /// What is wrong, and what to write instead.
    pub text: String,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.file)?;
        if self.place.line > 0 {
            write!(out, ":{}", self.place.line)?;
        }
        if !self.place.path.is_empty() {
            write!(out, ": {}", self.place.path)?;
        }
        write!(out, ": {}", self.text)
    }
}

impl std::error::Error for Error {}
