//! From a file and what was read of the world to a snapshot.

use crate::config;
use crate::config::Error;
use crate::config::File;
use crate::llm::rewrite::quote;
use crate::route;
use crate::snapshot::Ledger;
use crate::snapshot::Listen;
use crate::snapshot::Model;
use crate::snapshot::Networks;
use crate::snapshot::Secret;
use crate::snapshot::Snapshot;
use crate::snapshot::credentials::admin_token;
use crate::snapshot::credentials::credential;
use crate::snapshot::credentials::of_tenants;
use crate::snapshot::fallback::Chain;
use crate::snapshot::fallback::chains;
use crate::snapshot::list_of;
use crate::snapshot::merge::merged;
use crate::snapshot::policy::Builder;
use crate::snapshot::policy::Names;
use crate::snapshot::resilience;
use crate::snapshot::reuse::Plan;
use crate::snapshot::reuse::plan;
use crate::snapshot::routes;
use crate::snapshot::served::served;
use crate::snapshot::served::trust;
use crate::snapshot::streams;
use crate::units::UpstreamId;
use rustls::RootCertStore;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// What a file refers to, as the control thread found it.
#[derive(Debug, Default)]
pub struct World {
    /// Hosts' addresses; a host that is not here has none.
    pub addresses: HashMap<String, Vec<IpAddr>>,
    /// What `discover` has found, by upstream: each once, in an order that is always the same. Those that are the same `Arc` as
    /// before are quicker to build from.
    pub found: HashMap<String, Vec<Arc<config::Endpoint>>>,
    /// Every secret that the file speaks of, trimmed.
    pub secrets: Arc<HashMap<config::SecretPlace, Secret>>,
    /// The roots that upstreams without a `ca` are trusted by.
    pub system_roots: Option<RootCertStore>,
    /// The roots of each `ca`.
    pub ca_roots: HashMap<PathBuf, RootCertStore>,
    /// Lists of addresses, by the path that the file names.
    pub address_files: Arc<HashMap<PathBuf, Vec<config::Cidr>>>,
    /// Key files, in the order of their names. One that is the same as before may be the same `Arc`: comparing is quicker then.
    pub key_files: Vec<Arc<config::KeyFile>>,
    /// Key sets that were fetched or read from files, by the place of their `[[jwt]]`. Without one that has a url, no token of
    /// that issuer is believed.
    pub jwks: HashMap<usize, Vec<u8>>,
    /// Names of the embedder's steps, by their numbers.
    pub steps: Vec<String>,
    /// Seconds since 1970; when models that were not there before are said to be created.
    pub now_unix_s: u64,
}

/// Makes a snapshot.
///
/// # Errors
/// All that keeps the file from being served: names that two models want, secrets that cannot be sent, roots that
/// are missing, more models than there are counters for. The ledger has given out no number then.
pub fn build(
    file: &File,
    world: &World,
    ledger: &mut Ledger,
    number: u64,
) -> Result<Snapshot, Vec<Error>> {
    let file = &merged(file, &world.found);
    let mut errors = Vec::new();
    let route = match table(file, |_| true) {
        Ok(mut route) => {
            errors.extend(routes::lay(file, &mut route));
            route
        }
        Err(clashes) => {
            errors.extend(clashes);
            route::Table::default()
        }
    };
    let mut credentials = Vec::new();
    let mut trusts = Vec::new();
    for upstream in &file.upstreams {
        let source = upstream.api_key.as_ref();
        let field = source.and_then(|s| credential(file, s, upstream.dialect, world, &mut errors));
        credentials.push(field);
        trusts.push(trust(file, upstream, world, ledger, &mut errors));
    }
    let pairs: Vec<_> = file.models.iter().map(|m| (m.label(), m.upstream.clone())).collect();
    let plans = plan(file, world, ledger, &trusts);
    let new = plans.iter().filter_map(Plan::new_key);
    let wanting = [ledger.want_of_lanes(pairs.iter()), ledger.want_of_slots(new)];
    for text in wanting.into_iter().flatten() {
        errors.push(file.error(&config::Place::default(), text));
    }
    let upstream_keys = of_tenants(file, world, &mut errors);
    let admin_token = admin_token(file, world, &mut errors);
    let quotas_given = ledger.quotas_given();
    let names = Names::new(file);
    let mut builder = Builder::new(file, world, &names, ledger, &mut errors);
    let rules = builder.rules(&route);
    let kept = builder.keys();
    let chains = chains(file, &route, &mut errors);
    if !errors.is_empty() {
        ledger.take_quotas_back(quotas_given);
        errors.sort();
        return Err(errors);
    }
    let keys = kept.keys();
    ledger.keys = Some(kept);
    let (admission, described) = rules.both();
    ledger.rules = Some(rules);
    let (upstreams, endpoints) = served(file, world, ledger, credentials, &trusts, plans);
    let models = file.models.iter().zip(chains);
    let models =
        models.map(|(model, chain)| self::model(model, chain, file, &route, world, ledger));
    let models: Vec<Model> = models.collect();
    Ok(Snapshot {
        number,
        model_list: list_of(&models),
        models,
        upstreams,
        endpoints,
        route,
        node: file.node.clone(),
        listen: listen(file),
        admin_address: file.admin.address,
        admin_token,
        access_log: file.access_log.as_ref().map(|log| log.path.clone()),
        admission,
        described,
        keys,
        upstream_keys,
    })
}

/// Every name that two models of a file want, and every route that leads nowhere. Part of [`build`], and of use before it on a file that has other errors.
#[must_use]
pub fn clashes(file: &File) -> Vec<Error> {
    // Of a name that is missing or cannot be, the reading of the file has told already.
    let is_clash = |conflict: &route::Conflict| match conflict {
        route::Conflict::SameModel { called, .. }
        | route::Conflict::SameName { called, .. }
        | route::Conflict::TwoDefaults { called, .. } => !called.is_empty(),
        route::Conflict::EmptyName { .. } | route::Conflict::AtInVersion { .. } => false,
    };
    match table(file, is_clash) {
        Ok(mut route) => routes::lay(file, &mut route),
        Err(clashes) => clashes,
    }
}

pub(super) fn table(
    file: &File,
    is_told: impl Fn(&route::Conflict) -> bool,
) -> Result<route::Table, Vec<Error>> {
    let entries: Vec<route::Entry<'_>> = file
        .models
        .iter()
        .map(|model| route::Entry {
            name: &model.name,
            version: model.version.as_deref(),
            aliases: &model.aliases,
            is_default: false,
        })
        .collect();
    let describe = |index: usize| {
        let line = file.models.get(index).map_or(0, |model| model.place.line);
        format!("model[{index}] (line {line})")
    };
    let explain = |conflict: &route::Conflict| {
        let later = match conflict {
            route::Conflict::SameModel { second, .. }
            | route::Conflict::SameName { second, .. }
            | route::Conflict::TwoDefaults { second, .. } => *second,
            route::Conflict::EmptyName { first } | route::Conflict::AtInVersion { first } => *first,
        };
        let place = file.models.get(later).map(|model| model.place.clone()).unwrap_or_default();
        file.error(&place, conflict.explain(describe))
    };
    let is_told = |conflict: &&route::Conflict| is_told(conflict);
    route::Table::new(&entries)
        .map_err(|conflicts| conflicts.iter().filter(is_told).map(explain).collect())
}

fn model(
    model: &config::Model,
    chain: Chain,
    file: &File,
    route: &route::Table,
    world: &World,
    ledger: &mut Ledger,
) -> Model {
    let position = file.upstreams.iter().position(|upstream| upstream.name == model.upstream);
    let position = position.expect("the file was checked: the upstream exists");
    let deadlines = file.upstreams[position].deadlines.overridden(&model.deadlines);
    let mut upstream_model_json = Vec::new();
    quote(&model.upstream_model, &mut upstream_model_json);
    let mut description = Vec::new();
    let label = model.label();
    let created = ledger.created(&label, world.now_unix_s);
    let own = route.pick(&label);
    let is_default = route.pick(&model.name) == own;
    let of_name = route.route_of(&model.name);
    let shadow = of_name.and_then(route::Route::shadow);
    let labels = of_name.map_or(&[][..], route::Route::labels).iter();
    let labels = labels.filter(|(_, version)| *version == own);
    let labels = labels.map(|(label, _)| format!("{}@{label}", model.name)).collect();
    describe(if is_default { &model.name } else { &label }, created, &mut description);
    let (lane, lane_generation) = ledger.lane(&(label, model.upstream.clone()));
    Model {
        name: model.name.clone(),
        version: model.version.clone(),
        aliases: model.aliases.clone(),
        upstream: UpstreamId(id(position)),
        upstream_model: model.upstream_model.clone(),
        upstream_model_json,
        deadlines: resilience::deadlines(deadlines),
        retry: resilience::retry(model.retry.as_ref()),
        fallback: chain.fallback,
        context_fallback: chain.context,
        hedge: model.hedge.map(resilience::hedge),
        streams: streams::streams(model.streams),
        lane,
        lane_generation,
        shadow: shadow.filter(|shadow| Some(shadow.model) != own),
        description,
        entries: entries(model, is_default, labels, created),
    }
}

/// One entry of the list of models.
fn describe(name: &str, created: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    quote(name, out);
    out.extend_from_slice(b",\"object\":\"model\",\"created\":");
    out.extend_from_slice(created.to_string().as_bytes());
    out.extend_from_slice(b",\"owned_by\":\"ringway\"}");
}

/// Every name that a model may be asked for by, as entries of the list of models: its name, if that means this version,
/// then with the version, then aliases, then the labels that lead to it.
fn entries(model: &config::Model, is_default: bool, labels: Vec<String>, created: u64) -> Vec<u8> {
    let label = model.label();
    let plain = is_default.then_some(model.name.as_str());
    let versioned = model.version.is_some().then_some(label.as_str());
    let aliases = model.aliases.iter().map(String::as_str);
    let mut entries = Vec::new();
    let labels = labels.iter().map(String::as_str);
    for name in plain.into_iter().chain(versioned).chain(aliases).chain(labels) {
        if !entries.is_empty() {
            entries.push(b',');
        }
        describe(name, created, &mut entries);
    }
    entries
}

fn listen(file: &File) -> Listen {
    let listen = &file.listen;
    Listen {
        address: listen.address,
        server_timing: listen.server_timing,
        trust_request_id: listen.trust_request_id,
        proxy_protocol: listen.proxy_protocol,
        trusted_proxies: Networks::new(&listen.trusted_proxies),
        body_bytes_max: listen.limits.body_bytes_max,
        head_timeout: listen.limits.head_timeout,
        idle_timeout: listen.limits.idle_timeout,
        body_timeout: listen.limits.body_timeout,
        write_timeout: listen.limits.write_timeout,
    }
}

pub(super) fn id(index: usize) -> u32 {
    u32::try_from(index).expect("a file has at most 4096 entries")
}
