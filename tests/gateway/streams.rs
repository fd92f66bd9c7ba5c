//! What a stream is beside its events: kept alive, resumed, paced, and gone on with from elsewhere.

mod formats;
mod go_on;
mod heartbeats;
mod pace;
mod resume;
mod usage;

use crate::support::*;

/// One model of one endpoint, with these lines in `[[model]]`.
fn model(url: &str, lines: &str) -> String {
    let config = one(url, "");
    let config =
        if lines.contains("commit_after_ms") { config.replace(COMMITS_SOON, "") } else { config };
    format!("{config}{lines}\n")
}

/// A request for a stream with these further field lines.
fn stream(fields: &str) -> String {
    chat("m", ",\"stream\":true").replacen("\r\n", &format!("\r\n{fields}"), 1)
}
