//! The values of a file that say who may enter and how much: levels, limits, tenants, keys, issuers of tokens.

use crate::config::cidr::Cidr;
use crate::config::error::Place;
use crate::config::file::Ca;
use crate::config::file::KeySource;
use crate::config::resilience::Priority;
use crate::config::streams::Throttle;
use std::path::PathBuf;
use std::time::Duration;

/// The most tenants a file may have.
pub const TENANTS_MAX: usize = 65_536;
/// The most keys, of the file and of its key files together.
pub const KEYS_MAX: usize = 1_000_000;
/// The most `[[jwt]]` of a file.
pub const ISSUERS_MAX: usize = 64;
/// The most networks in all lists of addresses, those of files included.
pub const NETWORKS_MAX: usize = 1_000_000;
/// The widest clock window of signatures, in seconds: so long it is remembered which ones were let in.
pub const SIGNATURE_WINDOW_S_MAX: u64 = 900;
/// The largest limit and burst: more would not fit what counts them.
pub const LIMIT_MAX: u32 = 2_000_000_000;

/// A name that the file refers to, and where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Where.
    pub place: Place,
    /// The name.
    pub name: String,
}

/// What a listener, a tenant and a model can have alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// `middleware`; none: what is configured at this level.
    pub middleware: Option<Middleware>,
    /// `addresses`.
    pub addresses: Option<Addresses>,
}

/// `middleware = [..]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Middleware {
    /// Where the list is.
    pub place: Place,
    /// Its steps and where each is.
    pub steps: Vec<(Place, Step)>,
}

/// One step of a `middleware`, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `"key"`.
    One(String),
    /// `{ any = ["key", "jwt"] }`.
    Any(Vec<String>),
    /// `{ all = ["key", "signature"] }`.
    All(Vec<String>),
}

/// `addresses = { .. }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Where it is.
    pub place: Place,
    /// Who may enter; empty and without a file: all but those denied.
    pub allow: Vec<Cidr>,
    /// Who may not.
    pub deny: Vec<Cidr>,
    /// More of `allow`, one a line.
    pub allow_file: Option<FileSource>,
    /// More of `deny`, one a line.
    pub deny_file: Option<FileSource>,
}

impl Addresses {
    /// The files it names.
    pub fn files(&self) -> impl Iterator<Item = &FileSource> {
        self.allow_file.iter().chain(&self.deny_file)
    }
}

/// A file that the config names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSource {
    /// Where it does.
    pub place: Place,
    /// The file, or a folder where one is allowed.
    pub path: PathBuf,
}

/// `listen.identity`: the fields that tell an upstream who asks, in lower case; none: not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The tenant's name.
    pub tenant: Option<String>,
    /// The key's id.
    pub key: Option<String>,
    /// The user a token names.
    pub user: Option<String>,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Requests in a time.
    Requests,
    /// Tokens, in and out, in a time.
    Tokens,
    /// Requests at once.
    Concurrent,
}

impl Measure {
    /// As it is in the names of keys.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Concurrent => "concurrent",
        }
    }
}

/// How a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Refilled evenly.
    #[default]
    TokenBucket,
    /// The time up to now.
    SlidingWindow,
    /// Times that follow each other.
    FixedWindow,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TokenBucket, Self::SlidingWindow, Self::FixedWindow];

    /// As it is written in the file.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TokenBucket => "token_bucket",
            Self::SlidingWindow => "sliding_window",
            Self::FixedWindow => "fixed_window",
        }
    }
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count {
    /// What is counted.
    pub measure: Measure,
    /// How.
    pub algorithm: Algorithm,
    /// From 1 to [`LIMIT_MAX`].
    pub limit: u32,
    /// In which time; zero for what is counted at once.
    pub period: Duration,
    /// How much of a token bucket may go at once; none: `limit`.
    pub burst: Option<u32>,
}

/// `limits = { .. }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Where it is.
    pub place: Place,
    /// In a fixed order: requests, tokens, concurrency, the shortest time first.
    pub counts: Vec<Count>,
    /// A tenant's limits of single models.
    pub models: Vec<ModelLimits>,
}

/// A tenant's limits of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelLimits {
    /// The model.
    pub model: Named,
    /// At least one.
    pub counts: Vec<Count>,
}

/// `when_full`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// 429.
    Reject,
    /// Wait for it.
    Queue {
        /// How many may wait.
        waiting_max: u32,
        /// How long each may.
        wait: Duration,
    },
    /// Ask the model's cheaper fallback.
    Degrade,
}

/// `[[tenant]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Where it begins.
    pub place: Place,
    /// Unique in the file.
    pub name: String,
    /// `keys`.
    pub keys: Vec<TenantKey>,
    /// `signatures`.
    pub signatures: Vec<SignatureKey>,
    /// Which models it may use; none: all.
    pub models: Option<Vec<Named>>,
    /// `middleware` and `addresses`.
    pub level: Level,
    /// `limits`.
    pub limits: Quotas,
    /// `when_full`.
    pub when_full: Option<WhenFull>,
    /// Whose requests wait shorter where endpoints are full.
    pub priority: Priority,
    /// `resume`: whether its streams can be resumed; none: what the model says.
    pub resume: Option<bool>,
    /// `throttle`; none: streams are as fast as they come.
    pub throttle: Option<Throttle>,
    /// Its own credentials, by the upstream's name.
    pub upstream_keys: Vec<(Named, KeySource)>,
}

/// One of a tenant's `keys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantKey {
    /// Where it is.
    pub place: Place,
    /// Unique in its tenant.
    pub id: String,
    /// Of the key; nothing else is known of it.
    pub sha256: [u8; 32],
    /// From when on it is not valid, in seconds since 1970.
    pub expires_unix_s: Option<u64>,
    /// Which models it may use; none: all that its tenant may.
    pub models: Option<Vec<Named>>,
    /// Its own limits.
    pub limits: Vec<Count>,
}

/// One of a tenant's `signatures`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureKey {
    /// Where it is.
    pub place: Place,
    /// Unique in the file: a signature names only this.
    pub id: String,
    /// What both sides know.
    pub secret: Option<KeySource>,
}

/// `[[jwt]]`: whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    /// Where it begins.
    pub place: Place,
    /// What `iss` must be; none: not looked at.
    pub issuer: Option<String>,
    /// What `aud` must have one of; empty: not looked at.
    pub audience: Vec<String>,
    /// What its tokens are verified with.
    pub keys: Option<JwtKeys>,
    /// Labels of [`ALGORITHMS`]; empty: what the keys say.
    pub algorithms: Vec<String>,
    /// By how much clocks may differ.
    pub leeway_s: u64,
    /// The tenant of all its tokens.
    pub tenant: Option<Named>,
    /// Where its claims are.
    pub claims: Claims,
}

/// The algorithms of tokens that can be asked for.
pub const ALGORITHMS: [&str; 12] = [
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "EdDSA",
];

/// What tokens are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtKeys {
    /// `jwks = { url = "..", refresh_s = .. }`.
    Url {
        /// Where it is.
        place: Place,
        /// `https://..` or `http://..`.
        url: String,
        /// How often it is fetched.
        refresh: Duration,
        /// Whom we trust to vouch for it, instead of the system's roots.
        ca: Option<Ca>,
    },
    /// `jwks = { file = ".." }`.
    File(FileSource),
    /// `jwks = { inline = ".." }`: JSON.
    Inline {
        /// Where it is.
        place: Place,
        /// The JSON.
        text: String,
    },
    /// `secret = { .. }`.
    Secret(KeySource),
}

/// `jwt.claims`: paths with dots between names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The tenant's name.
    pub tenant: Option<String>,
    /// The user; `sub` if nothing else is written.
    pub user: Option<String>,
    /// The models that may be used.
    pub models: Option<String>,
    /// A limit of the token's subject.
    pub requests_per_minute: Option<String>,
    /// A limit of the token's subject.
    pub tokens_per_minute: Option<String>,
    /// A limit of the token's subject.
    pub concurrent: Option<String>,
}

/// `parameters` of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Where it is.
    pub place: Place,
    /// Whether parameters that the operation does not know are taken out.
    pub drops_unknown: bool,
    /// By name, in the file's order.
    pub list: Vec<Parameter>,
}

/// What holds for one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Where it is.
    pub place: Place,
    /// Its name in the body.
    pub name: String,
    /// JSON: put in where the client says nothing.
    pub default: Option<String>,
    /// JSON, a number: less is raised to it.
    pub min: Option<String>,
    /// JSON, a number: more is lowered to it.
    pub max: Option<String>,
}
