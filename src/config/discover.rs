//! Where endpoints come from that the file does not list: registries, names, files, and what is believed of them.

use crate::config::error::Place;
use crate::config::file::Ca;
use crate::config::file::KeySource;
use crate::config::policy::FileSource;
use crate::config::policy::Named;
use crate::config::url::Url;
use std::net::SocketAddr;
use std::time::Duration;

/// `[node]`: where this gateway is, for what is near and what is far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Where the table begins, or line 0.
    pub place: Place,
    /// The region it is in.
    pub region: Option<String>,
    /// The zone of that region.
    pub zone: Option<String>,
    /// How it makes itself known, in the file's order.
    pub register: Vec<Register>,
}

/// One entry of `node.register`: where the gateway makes itself known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Where it begins.
    pub place: Place,
    /// The registry: exists in the file.
    pub registry: String,
    /// In Consul the name of the service, in etcd the key's prefix.
    pub name: String,
    /// The address that others reach it by; none: the listener's.
    pub address: Option<String>,
    /// How long the registry believes in it without a sign of life.
    pub ttl: Duration,
    /// Consul's tags.
    pub tags: Vec<String>,
}

/// `[[registry]]`: a Consul or an etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// Where it begins.
    pub place: Place,
    /// Unique in the file.
    pub name: String,
    /// What it is, and how it is reached.
    pub kind: RegistryKind,
    /// Whom we trust to vouch for it, instead of the system's roots.
    pub ca: Option<Ca>,
    /// The region of endpoints that it names without one.
    pub region: Option<String>,
    /// `config`: where it keeps models and tenants; none: it keeps none.
    pub config: Option<ConfigPrefix>,
}

/// What a registry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryKind {
    /// Consul, by its HTTP API.
    Consul {
        /// Agents or servers, asked in this order: at least one.
        urls: Vec<Url>,
        /// The ACL token.
        token: Option<KeySource>,
    },
    /// etcd v3, by its HTTP API.
    Etcd {
        /// Members, asked in this order: at least one.
        urls: Vec<Url>,
        /// Who asks, and the password.
        login: Option<(String, KeySource)>,
    },
}

impl RegistryKind {
    /// As the file calls it.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Consul { .. } => "consul",
            Self::Etcd { .. } => "etcd",
        }
    }

    /// Where it is.
    #[must_use]
    pub fn urls(&self) -> &[Url] {
        match self {
            Self::Consul { urls, .. } | Self::Etcd { urls, .. } => urls,
        }
    }
}

/// `config = { prefix = .., wins = .. }` of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigPrefix {
    /// Keys below it are `models/NAME` and `tenants/NAME`; ends with a slash.
    pub prefix: String,
    /// Whether it wins over the file where both have an entry of a name.
    pub wins: bool,
}

/// One entry of an upstream's `discover`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discover {
    /// Where it begins.
    pub place: Place,
    /// Who is asked for what.
    pub source: Source,
    /// Whether what is found speaks `https`.
    pub is_https: bool,
    /// Goes before the path of every request to what is found: empty, or begins with a slash and ends without.
    pub path_prefix: String,
    /// What those have that say nothing else.
    pub traits: Traits,
    /// The weight of those that say nothing else.
    pub weight: u32,
    /// How long what was found is kept when nobody can be asked any more, or says suddenly that there is nothing.
    pub keep: Duration,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `consul = "NAME"`: the healthy instances of a service.
    Consul {
        /// A registry of the file that is a Consul; none: the only one there is, or else the agent of this host.
        registry: Option<Named>,
        /// The service.
        service: String,
        /// The datacenters; empty: the agent's own.
        datacenters: Vec<String>,
        /// Tags that an instance must have, all of them.
        tags: Vec<String>,
    },
    /// `etcd = "PREFIX"`: the values of the keys below.
    Etcd {
        /// A registry of the file that is an etcd; none: the only one there is, or else that of this host.
        registry: Option<Named>,
        /// What the keys begin with.
        prefix: String,
    },
    /// `dns = "HOST"` and `port`: the addresses of a name.
    Dns {
        /// The name.
        host: String,
        /// The port of every address.
        port: u16,
        /// The name server that is asked; none: the system's.
        server: Option<SocketAddr>,
    },
    /// `srv = "NAME"`: what the records of a name say (RFC 2782).
    Srv {
        /// The name.
        name: String,
        /// The name server that is asked; none: the system's.
        server: Option<SocketAddr>,
    },
    /// `file = "PATH"`: a JSON file, read again when it changes.
    File(FileSource),
}

impl Source {
    /// For people, and a label of metrics: unique among the sources of an upstream.
    #[must_use]
    pub fn describe(&self) -> String {
        let of = |registry: &Option<Named>| {
            registry.as_ref().map_or_else(String::new, |named| format!("{}/", named.name))
        };
        match self {
            Self::Consul { registry, service, .. } => format!("consul:{}{service}", of(registry)),
            Self::Etcd { registry, prefix } => format!("etcd:{}{prefix}", of(registry)),
            Self::Dns { host, port, .. } => format!("dns:{host}:{port}"),
            Self::Srv { name, .. } => format!("srv:{name}"),
            Self::File(file) => format!("file:{}", file.path.display()),
        }
    }
}

/// What is known of an endpoint beside its url and its weight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Traits {
    /// The region it is in.
    pub region: Option<String>,
    /// The zone of that region.
    pub zone: Option<String>,
    /// The one model that it serves, by its name upstream; none: all of its upstream's.
    pub model: Option<String>,
    /// Which version of its models it serves.
    pub version: Option<String>,
    /// How many requests it takes at a time; what locality reckons with.
    pub capacity: Option<u32>,
    /// How many requests of other zones it takes at a time; none: any number.
    pub headroom: Option<u32>,
    /// Whether it gets no new requests.
    pub is_draining: bool,
}

impl Traits {
    /// These, with `others` where these say nothing.
    #[must_use]
    pub fn or(self, others: &Self) -> Self {
        Self {
            region: self.region.or_else(|| others.region.clone()),
            zone: self.zone.or_else(|| others.zone.clone()),
            model: self.model.or_else(|| others.model.clone()),
            version: self.version.or_else(|| others.version.clone()),
            capacity: self.capacity.or(others.capacity),
            headroom: self.headroom.or(others.headroom),
            is_draining: self.is_draining || others.is_draining,
        }
    }
}

/// `locality = { .. }` of an upstream: near endpoints before far ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locality {
    /// In which order regions are asked beyond our own.
    pub others: Others,
    /// From which share of its capacity on what is near gets help from what is farther, in percent.
    pub spill_percent: u32,
}

/// The order of the regions that are not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Others {
    /// `"smart"`: by measured latency.
    Smart,
    /// These in this order, and then all others alike.
    Fixed(Vec<String>),
}

/// `damping = { .. }` of an upstream: what comes and goes too often stays away for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damping {
    /// So often it may go and come back within `window`.
    pub flaps: u32,
    /// Within so long.
    pub window: Duration,
    /// How long it stays away then, from its last coming.
    pub hold: Duration,
}

impl Default for Damping {
    fn default() -> Self {
        Self { flaps: 3, window: Duration::from_secs(60), hold: Duration::from_secs(30) }
    }
}
