//! The values of a file, checked and with their defaults filled in.

use crate::config::cidr::Cidr;
use crate::config::error::Error;
use crate::config::error::Place;
use crate::config::url::Url;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// How the file is called in errors.
    pub name: String,
    /// `[listen]`: where clients come in.
    pub listen: Listen,
    /// `[admin]`: where operators come in.
    pub admin: Admin,
    /// `[access_log]`; none: no access log is written.
    pub access_log: Option<AccessLog>,
    /// `[[upstream]]`, in the file's order.
    pub upstreams: Vec<Upstream>,
    /// `[[model]]`, in the file's order.
    pub models: Vec<Model>,
}

impl File {
    /// An error at `place` of this file, for what is found out after reading.
    #[must_use]
    pub fn error(&self, place: &Place, text: impl Into<String>) -> Error {
        Error { file: self.name.clone(), place: place.clone(), text: text.into() }
    }
}

/// `[listen]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where the table begins, or line 0.
    pub place: Place,
    /// The address clients connect to.
    pub address: SocketAddr,
    /// Whether responses carry `server-timing`.
    pub server_timing: bool,
    /// Whether an inbound `x-request-id` is kept.
    pub trust_request_id: bool,
    /// Whether every connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Who may say on whose behalf it asks: by the PROXY protocol, by `x-forwarded-for`.
    pub trusted_proxies: Vec<Cidr>,
    /// `[listen.limits]`.
    pub limits: Limits,
}

/// `[listen.limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest request body that is accepted, in bytes.
    pub body_bytes_max: usize,
    /// From a request's first byte to the end of its head.
    pub head_timeout: Duration,
    /// How long a connection may be open without a request.
    pub idle_timeout: Duration,
    /// The longest gap between two pieces of a request body.
    pub body_timeout: Duration,
    /// How long a client may read nothing of what waits for it.
    pub write_timeout: Duration,
}

/// `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The address of metrics, health and the admin pages.
    pub address: SocketAddr,
}

/// `[access_log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Where the lines go.
    pub path: LogPath,
}

/// Where a log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPath {
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `/v1/chat/completions` and its siblings.
    OpenAi,
    /// `/v1/messages`.
    Anthropic,
}

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// In turn, whatever the weights say.
    RoundRobin,
    /// In turn, in proportion to the weights, smoothly.
    WeightedRoundRobin,
}

impl Balance {
    /// As it is written in the file.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::WeightedRoundRobin => "weighted_round_robin",
        }
    }
}

/// `[[upstream]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Where it begins.
    pub place: Place,
    /// Unique in the file.
    pub name: String,
    /// What it speaks.
    pub dialect: Dialect,
    /// The credential we show to it.
    pub api_key: Option<KeySource>,
    /// How one of its endpoints is chosen.
    pub balance: Balance,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// How long we wait for it.
    pub deadlines: Deadlines,
    /// How its connections are kept.
    pub pool: Pool,
    /// Whom we trust to vouch for it, instead of the system's roots.
    pub ca: Option<Ca>,
}

/// Where a secret is kept; the secret itself is never in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySource {
    /// Where the file says so.
    pub place: Place,
    /// Where to read it.
    pub from: SecretPlace,
}

/// A variable or a file that holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretPlace {
    /// `{ env = "NAME" }`.
    Env(String),
    /// `{ file = "PATH" }`.
    File(PathBuf),
}

impl SecretPlace {
    /// For people: `env OPENAI_API_KEY`, `file key.txt`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Env(name) => format!("env {name}"),
            Self::File(path) => format!("file {}", path.display()),
        }
    }
}

/// `ca = "PATH"`: PEM certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ca {
    /// Where the file says so.
    pub place: Place,
    /// Where the certificates are.
    pub path: PathBuf,
}

/// One of an upstream's `endpoints`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where the file names it.
    pub place: Place,
    /// Where requests go.
    pub url: Url,
    /// Its share among the upstream's endpoints.
    pub weight: u32,
}

/// `deadlines = { .. }` of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// To connect, TLS included.
    pub connect: Duration,
    /// From the receipt of the request to the first byte of the response.
    pub first_byte: Duration,
    /// The longest silence within a response.
    pub gap: Duration,
    /// The whole request, from its receipt to the last byte.
    pub whole: Duration,
}

/// `deadlines = { .. }` of a model: what it has differently from its upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadlineOverrides {
    /// Instead of the upstream's `connect`.
    pub connect: Option<Duration>,
    /// Instead of the upstream's `first_byte`.
    pub first_byte: Option<Duration>,
    /// Instead of the upstream's `gap`.
    pub gap: Option<Duration>,
    /// Instead of the upstream's `whole`.
    pub whole: Option<Duration>,
}

impl Deadlines {
    /// These, where `overrides` has nothing else to say.
    #[must_use]
    pub fn overridden(self, overrides: &DeadlineOverrides) -> Self {
        Self {
            connect: overrides.connect.unwrap_or(self.connect),
            first_byte: overrides.first_byte.unwrap_or(self.first_byte),
            gap: overrides.gap.unwrap_or(self.gap),
            whole: overrides.whole.unwrap_or(self.whole),
        }
    }
}

/// `pool = { .. }` of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Idle connections kept, for each endpoint and shard.
    pub idle_max: usize,
    /// How long a connection may lie idle.
    pub idle: Duration,
    /// How old a connection may become.
    pub age: Duration,
}

/// `[[model]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Where it begins.
    pub place: Place,
    /// What clients ask for.
    pub name: String,
    /// With a version it is also found under `name@version`.
    pub version: Option<String>,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// The upstream's name: exists in the file.
    pub upstream: String,
    /// What the upstream is asked for.
    pub upstream_model: String,
    /// What it has differently from its upstream.
    pub deadlines: DeadlineOverrides,
}

impl Model {
    /// `name` or `name@version`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.version {
            Some(version) => format!("{}@{version}", self.name),
            None => self.name.clone(),
        }
    }
}
