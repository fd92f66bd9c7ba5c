//! Upstreams and their endpoints, with the numbers that last.

use crate::config;
use crate::config::Error;
use crate::config::File;
use crate::llm::dialect::Dialect;
use crate::snapshot::Endpoint;
use crate::snapshot::Ledger;
use crate::snapshot::Secret;
use crate::snapshot::Tls;
use crate::snapshot::Upstream;
use crate::snapshot::World;
use crate::snapshot::build::id;
use crate::snapshot::ledger::Group;
use crate::snapshot::ledger::SlotKey;
use crate::snapshot::resilience;
use crate::snapshot::reuse;
use crate::snapshot::reuse::Plan;
use crate::snapshot::streams;
use crate::snapshot::tiers::tiers;
use crate::units::EndpointId;
use crate::units::GroupId;
use crate::units::SlotId;
use crate::units::UpstreamId;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

/// One TLS configuration and its number.
pub(super) type Trust = (u64, Arc<ClientConfig>);

/// The upstreams and their endpoints, with the numbers that last. `plans` has one for each endpoint of the file.
pub(super) fn served(
    file: &File,
    world: &World,
    ledger: &mut Ledger,
    credentials: Vec<Option<Secret>>,
    trusts: &[Option<Trust>],
    plans: Vec<Plan>,
) -> (Vec<Upstream>, Vec<Arc<Endpoint>>) {
    let mut endpoints: Vec<Arc<Endpoint>> = Vec::with_capacity(plans.len());
    let mut upstreams = Vec::new();
    let mut plans = plans.into_iter();
    for ((upstream, credential), trust) in file.upstreams.iter().zip(credentials).zip(trusts) {
        let (id, before) = (UpstreamId(id(upstreams.len())), endpoints.len());
        for (endpoint, plan) in upstream.endpoints.iter().zip(plans.by_ref()) {
            endpoints.push(match plan {
                Plan::Same(known) => known,
                Plan::New(key) => {
                    let number = ledger.slot(&key);
                    Arc::new(self::endpoint(endpoint, id, number, trust.as_ref(), world))
                }
            });
        }
        let slots = endpoints.iter().skip(before).map(|endpoint| endpoint.slot).collect();
        let group = ledger.group(Group {
            slots,
            max_in_flight: upstream.max_in_flight,
            connections_max: upstream.pool.connections_max,
        });
        upstreams.push(self::upstream(upstream, &file.node, credential, before, group));
    }
    ledger.keep_groups(&upstreams.iter().map(|upstream: &Upstream| upstream.group).collect());
    let used: Vec<u64> = trusts.iter().flatten().map(|(number, _)| *number).collect();
    ledger.keep_trusts(&used);
    ledger.newest.clone_from(&endpoints);
    (upstreams, endpoints)
}

/// What makes an endpoint of the file the one it is.
pub(super) fn slot_key(
    endpoint: &config::Endpoint,
    upstream: &config::Upstream,
    trust: Option<&Trust>,
) -> SlotKey {
    let trust = reuse::number(endpoint, trust);
    SlotKey { upstream: upstream.base.clone(), url: endpoint.url.text.clone(), trust }
}

/// What upstream is trusted by; none: it needs nothing, or that is an error.
pub(super) fn trust(
    file: &File,
    upstream: &config::Upstream,
    world: &World,
    ledger: &mut Ledger,
    errors: &mut Vec<Error>,
) -> Option<Trust> {
    if !upstream.endpoints.iter().any(|endpoint| endpoint.url.is_https) {
        return None;
    }
    let (place, roots) = match &upstream.ca {
        Some(ca) => (&ca.place, world.ca_roots.get(&ca.path)),
        None => (&upstream.place, world.system_roots.as_ref()),
    };
    let Some(roots) = roots.filter(|roots| !roots.is_empty()) else {
        let text = "there are no certificates to trust it by: write ca = \"PATH\" of a PEM file \
                    that holds some";
        errors.push(file.error(place, text));
        return None;
    };
    for endpoint in &upstream.endpoints {
        if endpoint.url.is_https && ServerName::try_from(endpoint.url.host.as_str()).is_err() {
            let text = format!("no certificate can name \"{}\"", endpoint.url.host);
            errors.push(file.error(&endpoint.place, text));
        }
    }
    match ledger.trust(roots) {
        Ok(trust) => Some(trust),
        Err(why) => {
            errors.push(file.error(place, format!("TLS cannot be set up: {why}")));
            None
        }
    }
}

fn upstream(
    upstream: &config::Upstream,
    node: &config::Node,
    credential: Option<Secret>,
    endpoints_before: usize,
    group: GroupId,
) -> Upstream {
    let strategy = resilience::strategy(upstream.balance);
    let is_weighted = strategy.is_weighted();
    let weights = upstream.endpoints.iter().map(|endpoint| match endpoint.traits.is_draining {
        true => 0,
        false if is_weighted => endpoint.weight,
        false => 1,
    });
    Upstream {
        name: upstream.name.clone(),
        base: upstream.base.clone(),
        locality: upstream.locality.clone(),
        tiers: tiers(upstream, node),
        dialect: match upstream.dialect {
            config::Dialect::OpenAi => Dialect::OpenAi,
            config::Dialect::Anthropic => Dialect::Anthropic,
        },
        format: streams::format(upstream.format),
        continues: upstream.continues,
        is_resumable: upstream.is_resumable,
        endpoints: (endpoints_before..endpoints_before + upstream.endpoints.len())
            .map(|index| EndpointId(id(index)))
            .collect(),
        group,
        weights: weights.collect(),
        strategy,
        hash: resilience::hash(upstream),
        slow_start: upstream.slow_start,
        max_in_flight: upstream.max_in_flight,
        queue: resilience::queue(upstream.queue),
        all_down: resilience::all_down(upstream.all_down),
        health: upstream.health.as_ref().map(resilience::health),
        breaker: upstream.breaker.map(resilience::breaker),
        outlier: upstream.outlier.map(resilience::outlier),
        credential,
        credential_from: upstream.api_key.as_ref().map(|key| key.from.describe()),
        ca: upstream.ca.as_ref().map(|ca| ca.path.display().to_string()),
        pool: resilience::pool(upstream.pool),
    }
}

fn endpoint(
    endpoint: &config::Endpoint,
    id: UpstreamId,
    (slot, generation): (SlotId, u32),
    trust: Option<&Trust>,
    world: &World,
) -> Endpoint {
    let url = &endpoint.url;
    Endpoint {
        upstream: id,
        slot,
        generation,
        url: url.text.clone(),
        addresses: addresses(url, world).collect(),
        host: authority(url, endpoint.name.as_deref()).into_owned(),
        path_prefix: url.path_prefix.clone(),
        traits: endpoint.traits.clone(),
        source: endpoint.source.clone(),
        is_stale: endpoint.is_stale,
        tls: trust.filter(|_| url.is_https).and_then(|trust| tls(endpoint, trust)),
    }
}

/// How to speak TLS to an endpoint; none: no certificate can name it.
pub(super) fn tls(endpoint: &config::Endpoint, (_, config): &Trust) -> Option<Tls> {
    let server_name = endpoint.name.as_ref().unwrap_or(&endpoint.url.host).clone();
    let server_name = ServerName::try_from(server_name).ok()?;
    Some(Tls { config: Arc::clone(config), server_name })
}

/// Where an endpoint is, as far as that is known.
pub(super) fn addresses(url: &config::Url, world: &World) -> impl Iterator<Item = SocketAddr> {
    let ip = url.ip();
    let known = if ip.is_some() { None } else { world.addresses.get(&url.host) };
    let ips = ip.into_iter().chain(known.into_iter().flatten().copied());
    ips.map(|ip| SocketAddr::new(ip, url.port))
}

/// What `Host` says: the url's authority, with the name that was looked up for it.
pub(super) fn authority<'u>(url: &'u config::Url, name: Option<&str>) -> Cow<'u, str> {
    let Some(name) = name else { return Cow::Borrowed(&url.authority) };
    let host_length = url.authority.rfind(']').map_or(url.host.len(), |end| end + 1);
    format!("{name}{}", url.authority.get(host_length..).unwrap_or_default()).into()
}
