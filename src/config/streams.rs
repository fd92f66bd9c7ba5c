//! The values of a file that say how streams go: heartbeats, resuming, slow readers, and what upstreams write them in.

mod warnings;

use std::time::Duration;

pub(crate) use warnings::warnings;

/// `listen.heartbeat_ms` where nothing is written: below the 30 s and 60 s after which proxies give up on a quiet connection.
pub(super) const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(15);
/// The most bytes that `slow_reader` may put aside of one stream.
pub const SLOW_READER_BYTES_MAX: u32 = 16 << 20;

/// How the streams of a model go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// `heartbeat_ms` and `heartbeat_max_ms`; none: no heartbeats.
    pub heartbeat: Option<Heartbeat>,
    /// `commit_after_ms`: after so long the head goes down whatever the upstream has said.
    pub commit_after: Duration,
    /// `reconnect_ms`: what clients are told as `retry:`; none: nothing.
    pub reconnect: Option<Duration>,
    /// `resume`.
    pub resume: Resume,
    /// `slow_reader`.
    pub slow_reader: SlowReader,
    /// `continue_on_disconnect`: whether it goes on to its end without its client.
    pub continue_on_disconnect: bool,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            heartbeat: Some(Heartbeat::new(HEARTBEAT_DEFAULT)),
            commit_after: Duration::from_secs(5),
            reconnect: None,
            resume: Resume::default(),
            slow_reader: SlowReader::default(),
            continue_on_disconnect: false,
        }
    }
}

/// When a quiet stream is given a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// After so long without a byte.
    pub every: Duration,
    /// Each beat in a row waits half as long again, and at most so long; not shorter than `every`.
    pub most: Duration,
}

impl Heartbeat {
    /// One that waits at most three times as long as at first.
    #[must_use]
    pub const fn new(every: Duration) -> Self {
        Self { every, most: every.saturating_mul(3) }
    }
}

/// `resume`: whether a client that was cut off may come back for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Which streams are kept for that.
    pub mode: ResumeMode,
    /// How long a stream waits for its client, and a finished one is kept.
    pub window: Duration,
    /// The most bytes that are kept of a stream.
    pub bytes_max: u32,
    /// The most events that are kept of a stream.
    pub events_max: u32,
    /// For how long an event is kept.
    pub age: Duration,
}

impl Default for Resume {
    fn default() -> Self {
        Self {
            mode: ResumeMode::default(),
            window: Duration::from_secs(30),
            bytes_max: 256 << 10,
            events_max: 16_384,
            age: Duration::from_secs(300),
        }
    }
}

/// Which streams can be resumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResumeMode {
    /// Those whose request asks for it.
    #[default]
    OnRequest,
    /// All.
    Always,
    /// None, whoever asks for it.
    Never,
}

impl ResumeMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OnRequest, Self::Always, Self::Never];

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

/// `slow_reader`: what is done where a client reads more slowly than the upstream writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowReader {
    /// The upstream is not read until the client has caught up.
    #[default]
    Wait,
    /// Likewise, and the stream ends where that takes longer.
    DropStream {
        /// How long bytes may wait for the client.
        after: Duration,
    },
    /// The upstream is read on until so much waits.
    Buffer {
        /// How many bytes may wait; at most [`SLOW_READER_BYTES_MAX`].
        bytes: u32,
    },
}

/// `throttle` of a tenant: how fast each of its streams may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttle {
    /// So many events in a second.
    Events(u32),
    /// So many bytes in a second.
    Bytes(u32),
}

/// `format` of an upstream: what its answers to chat requests come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Server-sent events, in its dialect.
    #[default]
    Events,
    /// Lines of JSON, from Ollama's own `/api/chat`.
    Ollama,
    /// The text itself, as it is generated.
    Text,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Events, Self::Ollama, Self::Text];

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
