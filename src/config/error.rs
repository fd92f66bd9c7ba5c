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
///
/// Errors sort by their place in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// Errors that are said at once, at most. Who has mended these finds the others.
const SAID_MAX: usize = 100;

/// The errors as lines: [`SAID_MAX`] of them at most, and then one that says how many were left out.
#[must_use]
pub fn lines(errors: &[Error]) -> Vec<String> {
    let mut lines: Vec<String> = errors.iter().take(SAID_MAX).map(ToString::to_string).collect();
    match errors.len().saturating_sub(SAID_MAX) {
        0 => {}
        left_out => lines.push(format!("and {left_out} more such errors")),
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_said_and_no_more() {
        let errors = |count: u32| -> Vec<Error> {
            let place = |line| Place { line, path: String::new() };
            let error =
                |line| Error { file: "a.toml".into(), place: place(line), text: "no".into() };
            (1..=count).map(error).collect()
        };
        assert_eq!(lines(&[]), Vec::<String>::new());
        let all = lines(&errors(100));
        assert_eq!((all.len(), &*all[0], &*all[99]), (100, "a.toml:1: no", "a.toml:100: no"));
        let some = lines(&errors(10_000));
        assert_eq!((some.len(), &*some[99]), (101, "a.toml:100: no"));
        assert_eq!(some[100], "and 9900 more such errors");
    }
}
