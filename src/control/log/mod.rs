//! What the process says: log lines about changes of state to stderr, and the access log.

pub mod access;
mod line;

use std::fmt;
use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Why logging could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogError {
    /// `RINGWAY_LOG` is not a filter.
    Filter(String),
    /// `RINGWAY_LOG_FORMAT` is neither `text` nor `json`.
    Format(String),
    /// Something else in this process logs already.
    Taken,
}

impl fmt::Display for LogError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(text) => write!(
                out,
                "RINGWAY_LOG: \"{text}\" is not a level; write error, warn, info, debug or trace"
            ),
            Self::Format(text) => {
                write!(out, "RINGWAY_LOG_FORMAT: \"{text}\" is not known; write text or json")
            }
            Self::Taken => out.write_str("logging was started before"),
        }
    }
}

impl std::error::Error for LogError {}

/// Starts logging to stderr as `RINGWAY_LOG` (default `info`) and `RINGWAY_LOG_FORMAT` (`text` or `json`) say.
///
/// # Errors
/// A variable has a value that means nothing, or logging was started before.
pub fn start() -> Result<(), LogError> {
    let variable = |name| std::env::var(name).ok().filter(|text: &String| !text.is_empty());
    start_with(variable("RINGWAY_LOG").as_deref(), variable("RINGWAY_LOG_FORMAT").as_deref())
}

fn start_with(filter: Option<&str>, format: Option<&str>) -> Result<(), LogError> {
    let filter = read_filter(filter.unwrap_or("info"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = if is_json(format.unwrap_or("text"))? {
        lines.json().flatten_event(true).finish().try_init()
    } else {
        let is_terminal = io::IsTerminal::is_terminal(&io::stderr());
        lines.with_target(false).with_ansi(is_terminal).finish().try_init()
    };
    started.map_err(|_| LogError::Taken)
}

fn read_filter(text: &str) -> Result<EnvFilter, LogError> {
    // A single word that is not a level would be taken for the name of a target, and silence everything.
    let is_word = !text.contains(['=', ',', '[']);
    let is_level = text.parse::<tracing::level_filters::LevelFilter>().is_ok();
    if is_word && !is_level {
        return Err(LogError::Filter(text.to_owned()));
    }
    EnvFilter::try_new(text).map_err(|_| LogError::Filter(text.to_owned()))
}

fn is_json(text: &str) -> Result<bool, LogError> {
    match text {
        "text" => Ok(false),
        "json" => Ok(true),
        _ => Err(LogError::Format(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_read() {
        for text in ["info", "debug", "WARN", "off", "info,hyper=debug", "ringway=trace"] {
            assert!(read_filter(text).is_ok(), "{text}");
        }
        for text in ["loud", "infos", "ringway=loud"] {
            assert_eq!(read_filter(text).err(), Some(LogError::Filter(text.into())), "{text}");
        }
    }

    #[test]
    fn formats_are_read() {
        assert_eq!(is_json("text"), Ok(false));
        assert_eq!(is_json("json"), Ok(true));
        let error = is_json("xml").unwrap_err();
        assert_eq!(
            error.to_string(),
            "RINGWAY_LOG_FORMAT: \"xml\" is not known; write text or json"
        );
    }
}
