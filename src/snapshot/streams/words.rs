//! The same in words, under the names that the file has for it: what outlines show and what two snapshots differ in.

use crate::admission::Throttle;
use crate::snapshot::Format;
use crate::snapshot::Heartbeat;
use crate::snapshot::ResumeMode;
use crate::snapshot::ResumeRule;
use crate::snapshot::SlowReader;
use crate::snapshot::Streams;
use crate::snapshot::Upstream;
use std::time::Duration;

/// A name of the file and what is there.
type Pair = (&'static str, String);

/// What an upstream's streams are like.
pub(in crate::snapshot) fn of_upstream(upstream: &Upstream) -> [Pair; 3] {
    [
        ("format", upstream.format.label().to_owned()),
        ("continue_final_message", upstream.continues.to_string()),
        ("resumable", upstream.is_resumable.to_string()),
    ]
}

/// How the streams of a model go.
pub(in crate::snapshot) fn of_model(streams: &Streams) -> [Pair; 7] {
    let beat = |pick: fn(Heartbeat) -> Duration| {
        streams.heartbeat.map_or_else(none, |heartbeat| millis(pick(heartbeat)))
    };
    let resume = match streams.resume.mode {
        ResumeMode::Never => ResumeMode::Never.label().to_owned(),
        mode => format!("{}; {}", mode.label(), kept(&streams.resume.rule)),
    };
    [
        ("heartbeat_ms", beat(|heartbeat| heartbeat.every)),
        ("heartbeat_max_ms", beat(|heartbeat| heartbeat.most)),
        ("commit_after_ms", millis(streams.commit_after)),
        ("reconnect_ms", streams.reconnect.map_or_else(none, |wait| wait.0.to_string())),
        ("resume", resume),
        ("slow_reader", slow_reader(streams.slow_reader)),
        ("continue_on_disconnect", streams.continue_on_disconnect.to_string()),
    ]
}

/// `30000 ms without a client, 262144 bytes, 16384 events, each for 300000 ms`.
pub(in crate::snapshot) fn kept(rule: &ResumeRule) -> String {
    format!(
        "{} ms without a client, {} bytes, {} events, each for {} ms",
        millis(rule.window),
        rule.bytes_max,
        rule.events_max,
        millis(rule.age)
    )
}

/// `wait`, `drop_stream after 5000 ms`, `buffer of 65536 bytes`.
pub(in crate::snapshot) fn slow_reader(slow_reader: SlowReader) -> String {
    match slow_reader {
        SlowReader::Wait => "wait".to_owned(),
        SlowReader::DropStream { after } => format!("drop_stream after {} ms", millis(after)),
        SlowReader::Buffer { bytes } => format!("buffer of {bytes} bytes"),
    }
}

/// `50 events a second, each stream`.
pub(in crate::snapshot) fn throttle(throttle: Throttle) -> String {
    match throttle {
        Throttle::Events(rate) => format!("{rate} events a second, each stream"),
        Throttle::Bytes(rate) => format!("{rate} bytes a second, each stream"),
    }
}

impl ResumeMode {
    /// As it is written in the file.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::OnRequest => "on_request",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

impl Format {
    /// As it is written in the file.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Ollama => "ollama",
            Self::Text => "text",
        }
    }
}

fn none() -> String {
    "none".to_owned()
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
