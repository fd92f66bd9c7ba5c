//! All that a shard may know of the world: immutable, complete, and valid if it exists.
//!
//! The control thread reads a file, secrets, certificates and addresses, and [`build`] makes a [`Snapshot`] of
//! them. Names have become indices; what is the same as before has kept its numbers ([`Ledger`]).

mod build;
mod credentials;
mod describe;
mod diff;
mod explain;
mod fallback;
mod issuers;
mod keys;
mod ledger;
mod merge;
mod networks;
mod numbers;
mod outline;
mod parameters;
mod policy;
mod resilience;
mod reuse;
mod rules;
mod routes;
mod secret;
mod served;
mod streams;
mod tiers;
mod tls;
mod warnings;

use crate::admission;
use crate::admission::Keys;
use crate::balance::breaker;
use crate::balance::choose::Strategy;
use crate::balance::deadline::Adaptive;
use crate::balance::hedge;
use crate::balance::locality::Tiers;
use crate::balance::outlier;
use crate::balance::retry;
use crate::config;
use crate::llm::dialect::Dialect;
use crate::route;
use crate::units::EndpointId;
use crate::units::GroupId;
use crate::units::LaneId;
use crate::units::ModelId;
use crate::units::SlotId;
use crate::units::TenantId;
use crate::units::UpstreamId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use build::World;
pub use build::build;
pub use build::clashes;
pub use credentials::AdminToken;
pub use describe::Described;
pub use describe::Settings;
pub use diff::diff;
pub use diff::diff_outlines;
pub use explain::Asked;
pub use explain::Explanation;
pub use explain::Look;
pub use explain::Seen;
pub use explain::explain;
pub use ledger::LANES_MAX;
pub use ledger::Ledger;
pub use ledger::QUOTAS_MAX;
pub use ledger::SLOTS_MAX;
pub use merge::endpoints;
pub use merge::merged;
pub use networks::Networks;
pub use outline::Outline;
pub use outline::outline;
pub use resilience::AllDown;
pub use resilience::Hash;
pub use resilience::HashBy;
pub use resilience::HealthRule;
pub use resilience::QueueRule;
pub use secret::Secret;
pub use streams::Format;
pub use streams::Heartbeat;
pub use streams::Resume;
pub use streams::ResumeMode;
pub use streams::ResumeRule;
pub use streams::SlowReader;
pub use streams::Streams;
pub(crate) use tls::client_config;
pub use warnings::warnings;

/// One state of the world.
#[derive(Debug)]
pub struct Snapshot {
    /// Counted from 1 for the life of the process.
    pub number: u64,
    /// All models, by [`ModelId`].
    pub models: Vec<Model>,
    /// All upstreams, by [`UpstreamId`].
    pub upstreams: Vec<Upstream>,
    /// All endpoints of all upstreams, by [`EndpointId`].
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Names to models.
    pub route: route::Table,
    /// Where this gateway is.
    pub node: config::Node,
    /// How clients are received.
    pub listen: Listen,
    /// Where operators come in. Taken up at the start of the process only.
    pub admin_address: SocketAddr,
    /// What operators show there.
    pub admin_token: Option<AdminToken>,
    /// Where the access log goes, if there is one.
    pub access_log: Option<config::LogPath>,
    /// The body of `GET /v1/models`.
    pub model_list: Vec<u8>,
    /// Who may enter and how much; the same from snapshot to snapshot while nothing about it changes, as are `keys` and `described`.
    pub admission: Arc<admission::Table>,
    /// All API keys; the same from snapshot to snapshot while nothing about them changes.
    pub keys: Arc<Keys>,
    /// The whole field lines that show upstreams which tenant asks, by [`TenantId`], each list in the order of upstreams.
    pub upstream_keys: Vec<Box<[(UpstreamId, Secret)]>>,
    /// Who may enter and how much, for people.
    pub described: Arc<Described>,
}

impl Snapshot {
    /// A world without models, for tests that need some snapshot.
    #[cfg(test)]
    pub(crate) fn empty() -> Self {
        let (file, _) = config::read("", "empty.toml");
        build(&file, &World::default(), &mut Ledger::default(), 0).expect("nothing is in it")
    }

    /// A model of this snapshot.
    #[must_use]
    pub fn model(&self, id: ModelId) -> &Model {
        &self.models[id.index()]
    }

    /// The body of `GET /v1/models` with only some of the models in it.
    #[must_use]
    pub fn model_list_of(&self, is_listed: impl Fn(ModelId) -> bool) -> Vec<u8> {
        let ids = (0..).map(ModelId);
        let listed = ids.zip(&self.models).filter(|(id, _)| is_listed(*id));
        list_of(listed.map(|(_, model)| model))
    }

    /// An upstream of this snapshot.
    #[must_use]
    pub fn upstream(&self, id: UpstreamId) -> &Upstream {
        &self.upstreams[id.index()]
    }

    /// The whole field line, with its CRLF, that shows an upstream that this tenant asks; none: the upstream's own is used.
    #[must_use]
    pub fn tenant_credentials(&self, tenant: TenantId, upstream: UpstreamId) -> Option<&Secret> {
        let keys = self.upstream_keys.get(tenant.index())?;
        keys.iter().find(|(id, _)| *id == upstream).map(|(_, secret)| secret)
    }

    /// An endpoint of this snapshot.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> &Endpoint {
        &self.endpoints[id.index()]
    }
}

/// The body of `GET /v1/models`.
fn list_of<'m>(models: impl IntoIterator<Item = &'m Model>) -> Vec<u8> {
    let mut list = b"{\"object\":\"list\",\"data\":[".to_vec();
    for model in models {
        list.extend_from_slice(&model.entries);
        list.push(b',');
    }
    list.pop_if(|last| *last == b',');
    list.extend_from_slice(b"]}");
    list
}

/// How clients are received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Taken up at the start of the process only.
    pub address: SocketAddr,
    /// Whether responses carry `server-timing`.
    pub server_timing: bool,
    /// Whether an inbound `x-request-id` is kept.
    pub trust_request_id: bool,
    /// Whether every connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Who may say on whose behalf it asks.
    pub trusted_proxies: Networks,
    /// The longest request body, in bytes.
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

/// A model, or one version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// What clients ask for.
    pub name: String,
    /// With a version it is also found as `name@version`.
    pub version: Option<String>,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// Who serves it.
    pub upstream: UpstreamId,
    /// What the upstream is asked for.
    pub upstream_model: String,
    /// The same as JSON, quoted and escaped: what is spliced into bodies.
    pub upstream_model_json: Vec<u8>,
    /// How long we wait.
    pub deadlines: Deadlines,
    /// What is tried again, and how often.
    pub retry: retry::Policy,
    /// Whom to ask where this model fails, in order: models of the same dialect, each once, never this one. What those
    /// list themselves does not count.
    pub fallback: Box<[ModelId]>,
    /// Whom to ask where a request is too long for this model; of the same dialect, never this one.
    pub context_fallback: Option<ModelId>,
    /// When a second endpoint is asked as well; none: never.
    pub hedge: Option<hedge::Rule>,
    /// How its streams go.
    pub streams: Streams,
    /// Who gets copies of its requests: another version of the same name.
    pub shadow: Option<route::Shadow>,
    /// Where its counters are.
    pub lane: LaneId,
    /// How many others have had the lane before it, as with [`Endpoint::generation`].
    pub lane_generation: u32,
    /// The body of `GET /v1/models/{id}`.
    pub description: Vec<u8>,
    /// Its entries in the list of models, one for each of its names.
    pub entries: Vec<u8>,
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

/// Who serves models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// As in the file, or with `/MODEL` and `@VERSION` behind it where it is a part of that; also a metric label.
    pub name: String,
    /// The upstream of the file that it is, or is a part of.
    pub base: String,
    /// Near endpoints before far ones; none: all are alike.
    pub locality: Option<config::Locality>,
    /// How near each endpoint is: there if and only if `locality` is.
    pub tiers: Option<Tiers>,
    /// What it speaks.
    pub dialect: Dialect,
    /// What its answers to chat requests come in.
    pub format: Format,
    /// Whether it goes on where the last message of a request, the assistant's, ends: `continue_final_message`.
    pub continues: bool,
    /// Whether its streams can be resumed with `Last-Event-ID`.
    pub is_resumable: bool,
    /// Where it is: none where nobody names one.
    pub endpoints: Vec<EndpointId>,
    /// Where those stand in line that wait for a place at one of them.
    pub group: GroupId,
    /// The endpoints' shares, in the same order; all 1 where weights do not count.
    pub weights: Vec<u32>,
    /// How endpoints are chosen.
    pub strategy: Strategy,
    /// What leads a request to an endpoint: there if and only if the strategy is [`Strategy::Hash`].
    pub hash: Option<Hash>,
    /// How long a new endpoint takes to get all of its share; zero: it has it at once.
    pub slow_start: Duration,
    /// The most requests that each endpoint has at a time, of all shards together; none: any number.
    pub max_in_flight: Option<u32>,
    /// Who may wait where every endpoint is full.
    pub queue: QueueRule,
    /// What is done where no endpoint is usable.
    pub all_down: AllDown,
    /// How endpoints are checked; none: they are not.
    pub health: Option<HealthRule>,
    /// When an endpoint is left alone; none: never.
    pub breaker: Option<breaker::Rule>,
    /// When an endpoint is worse than its siblings; none: that is not looked at.
    pub outlier: Option<outlier::Rule>,
    /// The whole field line that shows who we are, with its CRLF.
    pub credential: Option<Secret>,
    /// Where the credential came from, for people.
    pub credential_from: Option<String>,
    /// Whose certificates we trust instead of the system's, for people.
    pub ca: Option<String>,
    /// How connections are kept.
    pub pool: PoolLimits,
}

/// How connections to an endpoint are kept, on each shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Idle connections that are kept ready even while nothing needs them; at most `idle_max`.
    pub idle_min: usize,
    /// Idle connections, at most.
    pub idle_max: usize,
    /// All connections, at most; none: any number.
    pub connections_max: Option<u32>,
    /// How long one may lie idle.
    pub idle: Duration,
    /// How old one may become.
    pub age: Duration,
    /// How long a request may hold one without a byte moving before that is told.
    pub leak: Duration,
}

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Whose it is.
    pub upstream: UpstreamId,
    /// Where its connections and counts are.
    pub slot: SlotId,
    /// How many endpoints have had the slot before it: what was kept there for another generation is none of it.
    pub generation: u32,
    /// In its plainest form.
    pub url: String,
    /// Where its name leads; empty while that is not known, and then it is skipped.
    pub addresses: Vec<SocketAddr>,
    /// The value of the `Host` field.
    pub host: String,
    /// Goes before the path of every request; no slash at its end.
    pub path_prefix: String,
    /// Where the url is `https`.
    pub tls: Option<Tls>,
    /// What else is known of it.
    pub traits: config::Traits,
    /// Who has named it, for people; none: the file.
    pub source: Option<String>,
    /// Whether it is kept although nobody says any more that it is there.
    pub is_stale: bool,
}

/// How to speak TLS to an endpoint.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Shared by all endpoints that trust the same roots, and kept from snapshot to snapshot.
    pub config: Arc<rustls::ClientConfig>,
    /// Whom the certificate must name.
    pub server_name: rustls::pki_types::ServerName<'static>,
}

/// How long we wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// To connect, TLS included.
    pub connect: Duration,
    /// From the receipt of the request to the first byte of the response.
    pub first_byte: Duration,
    /// The longest silence within a response.
    pub gap: Duration,
    /// The whole request.
    pub whole: Duration,
    /// From the start of one attempt to its first byte.
    pub attempt: Option<Duration>,
    /// The same, as the endpoint's own first bytes demand it; never there beside `attempt`.
    pub adaptive: Option<Adaptive>,
}

#[cfg(test)]
mod tests;
