//! What a snapshot knows of how streams go.

pub(super) mod words;

use crate::admission::Throttle;
use crate::config;
use crate::units::Millis;
use std::time::Duration;

/// How the streams of a model go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// When a quiet one is given a heartbeat; none: never.
    pub heartbeat: Option<Heartbeat>,
    /// From the receipt of the request: after so long the head goes down whatever the upstream has said.
    pub commit_after: Duration,
    /// What clients are told as `retry:` where a stream begins; none: nothing.
    pub reconnect: Option<Millis>,
    /// Whether a client that was cut off may come back for the rest.
    pub resume: Resume,
    /// What is done where a client reads more slowly than the upstream writes.
    pub slow_reader: SlowReader,
    /// Whether it goes on to its end without its client.
    pub continue_on_disconnect: bool,
}

/// When a quiet stream is given a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// After so long without a byte.
    pub every: Duration,
    /// Each beat in a row waits half as long again, and at most so long; not shorter than `every`.
    pub most: Duration,
}

/// Whether a client that was cut off may come back for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Which streams are kept for that.
    pub mode: ResumeMode,
    /// How they are kept.
    pub rule: ResumeRule,
}

impl Resume {
    /// Whether a stream is kept for its client: `tenant` is what its tenant has to say, and `is_asked_for` whether the
    /// request itself wants it.
    #[must_use]
    pub const fn keeps(&self, tenant: Option<bool>, is_asked_for: bool) -> bool {
        self.kept_by(tenant, is_asked_for).is_ok()
    }

    /// Likewise, and who has decided that: the model, the tenant or the request.
    ///
    /// # Errors
    /// Who has decided that it is not kept.
    pub(super) const fn kept_by(
        &self,
        tenant: Option<bool>,
        is_asked_for: bool,
    ) -> Result<Decider, Decider> {
        match (self.mode, tenant) {
            (ResumeMode::Never, _) => Err(Decider::Model),
            (_, Some(false)) => Err(Decider::Tenant),
            (_, Some(true)) => Ok(Decider::Tenant),
            (ResumeMode::Always, None) => Ok(Decider::Model),
            (ResumeMode::OnRequest, None) if is_asked_for => Ok(Decider::Request),
            (ResumeMode::OnRequest, None) => Err(Decider::Request),
        }
    }
}

/// Who decides whether a stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decider {
    Model,
    Tenant,
    Request,
}

/// Which streams can be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeMode {
    /// Those whose request asks for it.
    OnRequest,
    /// All.
    Always,
    /// None, whoever asks for it.
    Never,
}

/// How a stream is kept for a client that may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeRule {
    /// How long it waits for its client, and how long a finished one is kept.
    pub window: Duration,
    /// The most bytes that are kept of it.
    pub bytes_max: u32,
    /// The most events that are kept of it.
    pub events_max: u32,
    /// For how long an event is kept.
    pub age: Duration,
}

/// What is done where a client reads more slowly than the upstream writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowReader {
    /// The upstream is not read until the client has caught up.
    Wait,
    /// Likewise, and the stream ends where that takes longer.
    DropStream {
        /// How long bytes may wait for the client.
        after: Duration,
    },
    /// The upstream is read on until so much waits.
    Buffer {
        /// How many bytes may wait.
        bytes: u32,
    },
}

/// What an upstream's answers to chat requests come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Server-sent events, in its dialect.
    Events,
    /// Lines of JSON, from Ollama's own `/api/chat`.
    Ollama,
    /// The text itself, as it is generated.
    Text,
}

pub(super) fn streams(streams: config::Streams) -> Streams {
    let config::Resume { mode, window, bytes_max, events_max, age } = streams.resume;
    let heartbeat = |config::Heartbeat { every, most }| Heartbeat { every, most };
    Streams {
        heartbeat: streams.heartbeat.map(heartbeat),
        commit_after: streams.commit_after,
        reconnect: streams.reconnect.map(Millis::of),
        resume: Resume {
            mode: self::mode(mode),
            rule: ResumeRule { window, bytes_max, events_max, age },
        },
        slow_reader: match streams.slow_reader {
            config::SlowReader::Wait => SlowReader::Wait,
            config::SlowReader::DropStream { after } => SlowReader::DropStream { after },
            config::SlowReader::Buffer { bytes } => SlowReader::Buffer { bytes },
        },
        continue_on_disconnect: streams.continue_on_disconnect,
    }
}

const fn mode(mode: config::ResumeMode) -> ResumeMode {
    match mode {
        config::ResumeMode::OnRequest => ResumeMode::OnRequest,
        config::ResumeMode::Always => ResumeMode::Always,
        config::ResumeMode::Never => ResumeMode::Never,
    }
}

pub(super) const fn format(format: config::Format) -> Format {
    match format {
        config::Format::Events => Format::Events,
        config::Format::Ollama => Format::Ollama,
        config::Format::Text => Format::Text,
    }
}

pub(super) const fn throttle(throttle: config::Throttle) -> Throttle {
    match throttle {
        config::Throttle::Events(rate) => Throttle::Events(rate),
        config::Throttle::Bytes(rate) => Throttle::Bytes(rate),
    }
}

#[cfg(test)]
mod tests;
