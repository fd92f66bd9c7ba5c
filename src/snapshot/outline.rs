//! A snapshot as operators may see it: JSON for the admin page, and what `ringway check` compares. No secrets.

use crate::config::LogPath;
use crate::snapshot::Model;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

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
}

/// An upstream without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamOutline {
    /// Its name.
    pub name: String,
    /// `dialect`, `balance`, `api_key` (where it is from), `ca`, `pool.*`.
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
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelOutline {
    /// `name` or `name@version`.
    pub name: String,
    /// The stable number of its counters.
    pub lane: u32,
    /// `aliases`, `upstream`, `upstream_model`, `deadlines.*`.
    pub settings: BTreeMap<String, String>,
}

/// What operators may see of a snapshot.
#[must_use]
pub fn outline(snapshot: &Snapshot) -> Outline {
    let listen = &snapshot.listen;
    let log = match &snapshot.access_log {
        None => "none".to_owned(),
        Some(LogPath::Stdout) => "stdout".to_owned(),
        Some(LogPath::File(path)) => path.display().to_string(),
    };
    Outline {
        number: snapshot.number,
        settings: settings([
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
            ("access_log.path", log),
        ]),
        upstreams: snapshot.upstreams.iter().map(|u| upstream(snapshot, u)).collect(),
        models: snapshot.models.iter().map(|m| model(snapshot, m)).collect(),
    }
}

fn upstream(snapshot: &Snapshot, upstream: &Upstream) -> UpstreamOutline {
    let key = upstream.credential_from.clone().unwrap_or_else(|| "none".to_owned());
    let endpoints = upstream.endpoints.iter().zip(&upstream.weights);
    UpstreamOutline {
        name: upstream.name.clone(),
        settings: settings([
            ("dialect", upstream.dialect.name().to_owned()),
            ("balance", upstream.balance.label().to_owned()),
            ("api_key", key),
            ("ca", upstream.ca.clone().unwrap_or_else(|| "system".to_owned())),
            ("pool.idle_max", upstream.pool.idle_max.to_string()),
            ("pool.idle_ms", millis(upstream.pool.idle)),
            ("pool.age_ms", millis(upstream.pool.age)),
        ]),
        endpoints: endpoints
            .map(|(id, weight)| {
                let endpoint = snapshot.endpoint(*id);
                EndpointOutline {
                    url: endpoint.url.clone(),
                    weight: *weight,
                    slot: endpoint.slot.0,
                    addresses: endpoint.addresses.iter().map(ToString::to_string).collect(),
                }
            })
            .collect(),
    }
}

fn model(snapshot: &Snapshot, model: &Model) -> ModelOutline {
    let aliases =
        if model.aliases.is_empty() { "none".to_owned() } else { model.aliases.join(", ") };
    ModelOutline {
        name: model.label(),
        lane: model.lane.0,
        settings: settings([
            ("aliases", aliases),
            ("upstream", snapshot.upstream(model.upstream).name.clone()),
            ("upstream_model", model.upstream_model.clone()),
            ("deadlines.connect_ms", millis(model.deadlines.connect)),
            ("deadlines.first_byte_ms", millis(model.deadlines.first_byte)),
            ("deadlines.gap_ms", millis(model.deadlines.gap)),
            ("deadlines.whole_ms", millis(model.deadlines.whole)),
        ]),
    }
}

fn settings<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
