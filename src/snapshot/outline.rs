//! A snapshot as operators may see it: JSON for the admin page, and what `ringway check` compares. No secrets.

use crate::admission::jwt;
use crate::config;
use crate::config::LogPath;
use crate::config::Traits;
use crate::snapshot::Model;
use crate::snapshot::Settings;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;
use crate::snapshot::diff::shared::Shared;
use crate::snapshot::resilience::words;
use crate::snapshot::streams;
use crate::units::KeyId;
use crate::units::ModelId;
use crate::units::UpstreamId;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Keys of a tenant whose ids are listed.
const KEYS_SHOWN: usize = 5;

/// A snapshot without its secrets. Durations are in milliseconds, settings under their names in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// The snapshot's number.
    pub number: u64,
    /// Single settings, by path: `listen.address` and so on.
    pub settings: BTreeMap<String, String>,
    /// In the file's order.
    pub upstreams: Vec<UpstreamOutline>,
    /// In the file's order.
    pub models: Vec<ModelOutline>,
    /// In the file's order.
    #[serde(default)]
    pub tenants: Vec<TenantOutline>,
    /// Issuers of tokens, in the file's order.
    #[serde(default)]
    pub issuers: Vec<IssuerOutline>,
}

/// A tenant without its secrets and without the digests of its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantOutline {
    /// Its name.
    pub name: String,
    /// How many keys it has.
    pub keys: usize,
    /// The ids of its first keys.
    pub key_ids: Vec<String>,
    /// What the file says of it: `limits`, `models`, `addresses` and so on.
    pub settings: BTreeMap<String, String>,
}

/// Who makes tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerOutline {
    /// What its tokens have as `iss`, or its place in the file.
    pub name: String,
    /// How many keys there are to verify its tokens with.
    pub keys: usize,
    /// What the file says of it.
    pub settings: BTreeMap<String, String>,
}

/// An upstream without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamOutline {
    /// Its name.
    pub name: String,
    /// `dialect`, `api_key` (where it is from), `ca`, `balance`, `breaker`, `pool.*` and so on.
    pub settings: BTreeMap<String, String>,
    /// In the file's order.
    pub endpoints: Vec<EndpointOutline>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointOutline {
    /// In its plainest form.
    pub url: String,
    /// Its share.
    pub weight: u32,
    /// Its stable number.
    pub slot: u32,
    /// Where its name leads; empty: not known.
    pub addresses: Vec<String>,
    /// Who has named it; none: the file.
    #[serde(default)]
    pub source: Option<String>,
    /// Whether it is kept although nobody says any more that it is there.
    #[serde(default)]
    pub is_stale: bool,
    /// `region`, `zone`, `model`, `version` and so on.
    #[serde(default)]
    pub traits: BTreeMap<String, String>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelOutline {
    /// `name` or `name@version`.
    pub name: String,
    /// The stable number of its counters.
    pub lane: u32,
    /// `aliases`, `upstream`, `upstream_model`, `deadlines.*`, `retry`, `fallback` and so on.
    pub settings: BTreeMap<String, String>,
}

impl EndpointOutline {
    /// The same as a source would find it; none: its url cannot be read, which another version may have written.
    #[must_use]
    pub fn found(&self) -> Option<config::Endpoint> {
        let text = |key: &str| self.traits.get(key).cloned();
        let number = |key: &str| self.traits.get(key)?.parse().ok();
        let traits = Traits {
            region: text("region"),
            zone: text("zone"),
            model: text("model"),
            version: text("version"),
            capacity: number("capacity"),
            headroom: number("headroom"),
            is_draining: self.traits.contains_key("drain"),
        };
        Some(config::Endpoint {
            place: config::Place::default(),
            url: config::Url::parse(&self.url).ok()?,
            weight: self.weight,
            traits,
            source: self.source.clone(),
            is_stale: self.is_stale,
            name: None,
        })
    }
}

/// What operators may see of a snapshot.
#[must_use]
pub fn outline(snapshot: &Snapshot) -> Outline {
    outline_without(snapshot, &Shared::default())
}

/// The same without the endpoints and settings that another has, too.
pub(super) fn outline_without(snapshot: &Snapshot, shared: &Shared) -> Outline {
    let listen = &snapshot.listen;
    let log = match &snapshot.access_log {
        None => "none".to_owned(),
        Some(LogPath::Stdout) => "stdout".to_owned(),
        Some(LogPath::File(path)) => path.display().to_string(),
    };
    let mut all = settings([
        ("listen.address", listen.address.to_string()),
        ("listen.server_timing", listen.server_timing.to_string()),
        ("listen.trust_request_id", listen.trust_request_id.to_string()),
        ("listen.proxy_protocol", listen.proxy_protocol.to_string()),
        ("listen.trusted_proxies", listen.trusted_proxies.to_string()),
        ("listen.limits.body_bytes_max", listen.body_bytes_max.to_string()),
        ("listen.limits.head_timeout_ms", millis(listen.head_timeout)),
        ("listen.limits.idle_timeout_ms", millis(listen.idle_timeout)),
        ("listen.limits.body_timeout_ms", millis(listen.body_timeout)),
        ("listen.limits.write_timeout_ms", millis(listen.write_timeout)),
        ("admin.address", snapshot.admin_address.to_string()),
        ("admin.token", snapshot.admin_token.as_ref().map_or("none", |it| &it.from).to_owned()),
        ("access_log.path", log),
        ("tenants", snapshot.admission.tenants.len().to_string()),
        ("keys", snapshot.keys.len().to_string()),
    ]);
    all.extend(described(&snapshot.described.settings));
    let models = (0..).map(ModelId).zip(&snapshot.models).zip(&snapshot.described.models);
    let models = models.map(|((id, it), more)| match shared.has_model(id) {
        true => ModelOutline { name: it.label(), lane: it.lane.0, settings: BTreeMap::new() },
        false => model(snapshot, it, more),
    });
    let upstreams = (0..).map(UpstreamId).zip(&snapshot.upstreams);
    Outline {
        number: snapshot.number,
        settings: all,
        upstreams: upstreams.map(|(id, it)| upstream(snapshot, id, it, shared)).collect(),
        models: models.collect(),
        tenants: if shared.has_rules() { Vec::new() } else { tenants(snapshot) },
        issuers: if shared.has_rules() { Vec::new() } else { issuers(snapshot) },
    }
}

fn tenants(snapshot: &Snapshot) -> Vec<TenantOutline> {
    let policies = snapshot.admission.tenants.iter().zip(&snapshot.described.tenants);
    let mut tenants: Vec<TenantOutline> = policies
        .map(|(policy, settings)| TenantOutline {
            name: policy.name.to_string(),
            keys: 0,
            key_ids: Vec::new(),
            settings: described(settings).collect(),
        })
        .collect();
    for key in (0..snapshot.keys.len()).filter_map(|index| u32::try_from(index).ok()) {
        let key = snapshot.keys.get(KeyId(key));
        let Some(tenant) = tenants.get_mut(key.tenant.index()) else { continue };
        tenant.keys += 1;
        if tenant.key_ids.len() < KEYS_SHOWN {
            tenant.key_ids.push(key.name.to_owned());
        }
    }
    tenants
}

fn issuers(snapshot: &Snapshot) -> Vec<IssuerOutline> {
    let issuers = snapshot.admission.issuers.iter().zip(&snapshot.described.issuers);
    let outline = |(issuer, (name, settings)): (&jwt::Issuer, &(String, Settings))| IssuerOutline {
        name: name.clone(),
        keys: issuer.keys.len(),
        settings: described(settings).collect(),
    };
    issuers.map(outline).collect()
}

fn described(settings: &Settings) -> impl Iterator<Item = (String, String)> {
    settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone()))
}

fn upstream(
    snapshot: &Snapshot,
    id: UpstreamId,
    upstream: &Upstream,
    shared: &Shared,
) -> UpstreamOutline {
    let settings =
        if shared.has_upstream(id) { BTreeMap::new() } else { upstream_settings(upstream) };
    let endpoints = upstream.endpoints.iter().map(|id| &snapshot.endpoints[id.index()]);
    let endpoints =
        endpoints.zip(&upstream.weights).filter(|(endpoint, _)| !shared.has_endpoint(endpoint));
    UpstreamOutline {
        name: upstream.name.clone(),
        settings,
        endpoints: endpoints
            .map(|(endpoint, weight)| EndpointOutline {
                url: endpoint.url.clone(),
                weight: *weight,
                slot: endpoint.slot.0,
                addresses: endpoint.addresses.iter().map(ToString::to_string).collect(),
                source: endpoint.source.clone(),
                is_stale: endpoint.is_stale,
                traits: traits(&endpoint.traits),
            })
            .collect(),
    }
}

fn upstream_settings(upstream: &Upstream) -> BTreeMap<String, String> {
    let key = upstream.credential_from.clone().unwrap_or_else(|| "none".to_owned());
    let mut all = settings(words::of_upstream(upstream));
    all.extend(settings(streams::words::of_upstream(upstream)));
    all.extend(settings([
        ("dialect", upstream.dialect.name().to_owned()),
        ("api_key", key),
        ("ca", upstream.ca.clone().unwrap_or_else(|| "system".to_owned())),
        ("pool.idle_ms", millis(upstream.pool.idle)),
        ("pool.age_ms", millis(upstream.pool.age)),
    ]));
    all
}

/// What is known of an endpoint, as the file would say it.
fn traits(traits: &Traits) -> BTreeMap<String, String> {
    let texts = [
        ("region", &traits.region),
        ("zone", &traits.zone),
        ("model", &traits.model),
        ("version", &traits.version),
    ];
    let numbers = [("capacity", traits.capacity), ("headroom", traits.headroom)];
    let texts = texts.into_iter().filter_map(|(key, text)| Some((key, text.clone()?)));
    let numbers = numbers.into_iter().filter_map(|(key, number)| Some((key, number?.to_string())));
    let drain = traits.is_draining.then(|| ("drain", true.to_string()));
    texts.chain(numbers).chain(drain).map(|(key, text)| (key.to_owned(), text)).collect()
}

fn model(snapshot: &Snapshot, model: &Model, more: &Settings) -> ModelOutline {
    let aliases =
        if model.aliases.is_empty() { "none".to_owned() } else { model.aliases.join(", ") };
    let mut all = settings(words::of_model(snapshot, model));
    all.extend(settings(streams::words::of_model(&model.streams)));
    all.extend(settings([
        ("aliases", aliases),
        ("upstream", snapshot.upstream(model.upstream).name.clone()),
        ("upstream_model", model.upstream_model.clone()),
        ("deadlines.connect_ms", millis(model.deadlines.connect)),
        ("deadlines.first_byte_ms", millis(model.deadlines.first_byte)),
        ("deadlines.gap_ms", millis(model.deadlines.gap)),
        ("deadlines.whole_ms", millis(model.deadlines.whole)),
    ]));
    all.extend(described(more));
    ModelOutline { name: model.label(), lane: model.lane.0, settings: all }
}

fn settings<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
