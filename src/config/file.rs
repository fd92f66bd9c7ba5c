//! The values of a file, checked and with their defaults filled in.

use crate::config::cidr::Cidr;
use crate::config::deadlines::DeadlineOverrides;
use crate::config::deadlines::Deadlines;
use crate::config::deadlines::Pool;
use crate::config::discover::Damping;
use crate::config::discover::Discover;
use crate::config::discover::Locality;
use crate::config::discover::Node;
use crate::config::discover::Registry;
use crate::config::discover::RegistryKind;
use crate::config::discover::Traits;
use crate::config::error::Error;
use crate::config::error::Place;
use crate::config::policy::FileSource;
use crate::config::policy::Identity;
use crate::config::policy::Jwt;
use crate::config::policy::JwtKeys;
use crate::config::policy::Level;
use crate::config::policy::Named;
use crate::config::policy::Parameters;
use crate::config::policy::Quotas;
use crate::config::policy::Tenant;
use crate::config::policy::WhenFull;
use crate::config::resilience::AllDown;
use crate::config::resilience::Balance;
use crate::config::resilience::Breaker;
use crate::config::resilience::Hash;
use crate::config::resilience::Health;
use crate::config::resilience::Hedge;
use crate::config::resilience::Outlier;
use crate::config::resilience::Queue;
use crate::config::resilience::Retry;
use crate::config::routes::Route;
use crate::config::streams::Format;
use crate::config::streams::Streams;
use crate::config::url::Url;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
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
    /// `[node]`: where this gateway is.
    pub node: Node,
    /// `[[registry]]`, in the file's order.
    pub registries: Vec<Registry>,
    /// `[[upstream]]`, in the file's order.
    pub upstreams: Vec<Upstream>,
    /// `[[model]]`, in the file's order.
    pub models: Vec<Model>,
    /// `[[route]]`, in the file's order.
    pub routes: Vec<Route>,
    /// `[keys]`: a key file, or a folder of them.
    pub keys: Option<FileSource>,
    /// `[[jwt]]`, in the file's order.
    pub jwt: Vec<Jwt>,
    /// `signature.window_s`: how far a signature's time may be from ours.
    pub signature_window: Duration,
    /// `[[tenant]]`, in the file's order.
    pub tenants: Arc<[Tenant]>,
}

impl File {
    /// An error at `place` of this file, for what is found out after reading.
    #[must_use]
    pub fn error(&self, place: &Place, text: impl Into<String>) -> Error {
        Error { file: self.name.clone(), place: place.clone(), text: text.into() }
    }

    /// Every place outside the file that a secret is to be read from; the same one may come several times.
    pub fn secrets(&self) -> impl Iterator<Item = &KeySource> {
        let upstreams = self.upstreams.iter().filter_map(|upstream| upstream.api_key.as_ref());
        let issuers = self.jwt.iter().filter_map(|jwt| match &jwt.keys {
            Some(JwtKeys::Secret(source)) => Some(source),
            _ => None,
        });
        let tenants = self.tenants.iter().flat_map(|tenant| {
            let signatures = tenant.signatures.iter().filter_map(|key| key.secret.as_ref());
            signatures.chain(tenant.upstream_keys.iter().map(|(_, source)| source))
        });
        let registries = self.registries.iter().filter_map(|registry| match &registry.kind {
            RegistryKind::Consul { token, .. } => token.as_ref(),
            RegistryKind::Etcd { login, .. } => login.as_ref().map(|(_, password)| password),
        });
        let admin = self.admin.token.iter();
        upstreams.chain(issuers).chain(tenants).chain(registries).chain(admin)
    }

    /// Every list of addresses that is to be read; the same one may come several times.
    pub fn address_files(&self) -> impl Iterator<Item = &FileSource> {
        let tenants = self.tenants.iter().map(|tenant| &tenant.level);
        let models = self.models.iter().map(|model| &model.level);
        let levels = std::iter::once(&self.listen.level).chain(tenants).chain(models);
        levels.filter_map(|level| level.addresses.as_ref()).flat_map(|a| a.files())
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
    /// `middleware` and `addresses`.
    pub level: Level,
    /// `identity`: how an upstream learns who asks.
    pub identity: Identity,
    /// `heartbeat_ms` of models that say nothing else; none: no heartbeats.
    pub heartbeat: Option<Duration>,
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
    /// What operators show to see the admin pages and to change things.
    pub token: Option<KeySource>,
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

impl Dialect {
    /// Both.
    pub const ALL: [Self; 2] = [Self::OpenAi, Self::Anthropic];

    /// As it is written in the file.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
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
    /// The name of the upstream in the file that it is, or is a part of.
    pub base: String,
    /// What it speaks.
    pub dialect: Dialect,
    /// What its answers to chat requests come in.
    pub format: Format,
    /// `continue_final_message`: whether it goes on where the last message of a request, the assistant's, ends.
    pub continues: bool,
    /// `resumable`: whether its streams can be resumed with `Last-Event-ID`.
    pub is_resumable: bool,
    /// The credential we show to it.
    pub api_key: Option<KeySource>,
    /// How one of its endpoints is chosen.
    pub balance: Balance,
    /// `hash`: there if and only if `balance` is [`Balance::Hash`].
    pub hash: Option<Hash>,
    /// At least one, unless `discover` has entries.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Who names more endpoints.
    pub discover: Vec<Discover>,
    /// Answers that would leave fewer endpoints than this are not believed at once.
    pub minimum_healthy: u32,
    /// Near endpoints before far ones; none: all are alike.
    pub locality: Option<Locality>,
    /// What comes and goes too often; none: that is not looked at.
    pub damping: Option<Damping>,
    /// How long a new endpoint takes to get all of its share; zero: it has it at once.
    pub slow_start: Duration,
    /// The most requests that each endpoint has at a time, of all shards together.
    pub max_in_flight: Option<u32>,
    /// Who may wait where every endpoint is full.
    pub queue: Queue,
    /// What is done where no endpoint is usable.
    pub all_down: AllDown,
    /// How endpoints are checked; none: they are not.
    pub health: Option<Health>,
    /// When an endpoint is left alone; none: never.
    pub breaker: Option<Breaker>,
    /// When an endpoint is worse than its siblings; none: that is not looked at.
    pub outlier: Option<Outlier>,
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// What else is known of it.
    pub traits: Traits,
    /// Who has named it, for people: [`crate::config::DiscoverSource::describe`], with the datacenter where there are several; none: the
    /// file.
    pub source: Option<String>,
    /// Whether it is kept although nobody says any more that it is there.
    pub is_stale: bool,
    /// The name that was looked up, where the url has an address in its stead: what `Host` says, and whom a certificate must name.
    pub name: Option<String>,
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
    /// Whether each version that its endpoints have is a model of its own.
    pub has_found_versions: bool,
    /// The upstream's name: exists in the file.
    pub upstream: String,
    /// What the upstream is asked for.
    pub upstream_model: String,
    /// What it has differently from its upstream.
    pub deadlines: DeadlineOverrides,
    /// `retry`; none: one attempt.
    pub retry: Option<Retry>,
    /// `fallback`: whom to ask where this model fails, in order.
    pub fallback: Vec<Named>,
    /// `context_fallback`: whom to ask where a request is too long for this model.
    pub context_fallback: Option<Named>,
    /// `hedge`; none: no request is asked twice.
    pub hedge: Option<Hedge>,
    /// How its streams go.
    pub streams: Streams,
    /// `middleware` and `addresses`.
    pub level: Level,
    /// `limits`.
    pub limits: Quotas,
    /// `when_full`.
    pub when_full: Option<WhenFull>,
    /// The model to go to where this one is full.
    pub degrade_to: Option<Named>,
    /// Tokens that are reserved for an answer whose request names no bound.
    pub output_tokens: Option<u32>,
    /// `parameters`.
    pub parameters: Option<Parameters>,
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
