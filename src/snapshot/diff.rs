//! What is different between two snapshots, in lines for people.

mod policy;
pub(super) mod shared;

use crate::snapshot::Endpoint;
use crate::snapshot::Outline;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;
use crate::snapshot::diff::shared::Shared;
use crate::snapshot::outline::EndpointOutline;
use crate::snapshot::outline::ModelOutline;
use crate::snapshot::outline::UpstreamOutline;
use crate::snapshot::outline::outline_without;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

/// What is taken up at the start of the process only.
const FIXED: &[&str] = &["listen.address", "admin.address"];

/// What `new` has differently from `old`, addresses and the presence of another secret included.
#[must_use]
pub fn diff(old: &Snapshot, new: &Snapshot) -> Vec<String> {
    let shared = Shared::of(old, new);
    let [old_outline, new_outline] = [old, new].map(|snapshot| outline_without(snapshot, &shared));
    let mut lines = diff_outlines(&old_outline, &new_outline);
    let before: HashMap<&str, &Upstream> =
        old.upstreams.iter().map(|upstream| (upstream.name.as_str(), upstream)).collect();
    for upstream in &new.upstreams {
        let Some(before) = before.get(upstream.name.as_str()) else { continue };
        let has_both = before.credential.is_some() && upstream.credential.is_some();
        if has_both && before.credential != upstream.credential {
            lines.push(format!("upstream \"{}\": the key's value has changed", upstream.name));
        }
    }
    let before: HashMap<(&str, &str), &Endpoint> = others(old, &shared).collect();
    let pairs: Vec<_> = others(new, &shared)
        .filter_map(|(named, after)| Some((named, *before.get(&named)?, after)))
        .collect();
    for ((name, url), before, after) in &pairs {
        let configs = [before, after].map(|endpoint| endpoint.tls.as_ref().map(|tls| &tls.config));
        let [Some(before), Some(after)] = configs else { continue };
        if !Arc::ptr_eq(before, after) {
            lines.push(format!("upstream \"{name}\": {url}: other certificates are trusted"));
        }
    }
    policy::secrets(old, new, &mut lines);
    for ((name, url), before, after) in &pairs {
        if before.addresses != after.addresses {
            let (was, is) = (list(&before.addresses), list(&after.addresses));
            lines.push(format!("upstream \"{name}\": {url}: {was} -> {is}"));
        }
    }
    lines
}

/// The endpoints that are not shared, each with its upstream's name and its url.
fn others<'s>(
    snapshot: &'s Snapshot,
    shared: &Shared,
) -> impl Iterator<Item = ((&'s str, &'s str), &'s Endpoint)> {
    let others = snapshot.endpoints.iter().filter(|endpoint| !shared.has_endpoint(endpoint));
    others.map(|it| ((snapshot.upstream(it.upstream).name.as_str(), it.url.as_str()), &**it))
}

/// What `new` has differently from `old`, as far as a file says it.
#[must_use]
pub fn diff_outlines(old: &Outline, new: &Outline) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, was, is) in changed(&old.settings, &new.settings) {
        let note = if FIXED.contains(&key) { " (needs a restart)" } else { "" };
        lines.push(format!("{key}: {was} -> {is}{note}"));
    }
    let names = |outline: &Outline| -> Vec<String> {
        outline.upstreams.iter().map(|upstream| upstream.name.clone()).collect()
    };
    come_and_gone("upstream", &names(old), &names(new), &mut lines);
    let known: HashMap<&str, &UpstreamOutline> =
        old.upstreams.iter().map(|upstream| (upstream.name.as_str(), upstream)).collect();
    for upstream in &new.upstreams {
        let Some(before) = known.get(upstream.name.as_str()) else { continue };
        let who = format!("upstream \"{}\"", upstream.name);
        for (key, was, is) in changed(&before.settings, &upstream.settings) {
            lines.push(format!("{who}: {key}: {was} -> {is}"));
        }
        endpoints(&who, &before.endpoints, &upstream.endpoints, &mut lines);
    }
    let names = |outline: &Outline| -> Vec<String> {
        outline.models.iter().map(|model| model.name.clone()).collect()
    };
    come_and_gone("model", &names(old), &names(new), &mut lines);
    let known: HashMap<&str, &ModelOutline> =
        old.models.iter().map(|model| (model.name.as_str(), model)).collect();
    for model in &new.models {
        let Some(before) = known.get(model.name.as_str()) else { continue };
        for (key, was, is) in changed(&before.settings, &model.settings) {
            lines.push(format!("model \"{}\": {key}: {was} -> {is}", model.name));
        }
    }
    policy::outlines(old, new, &mut lines);
    lines
}

fn endpoints(who: &str, old: &[EndpointOutline], new: &[EndpointOutline], lines: &mut Vec<String>) {
    let before: HashMap<&str, &EndpointOutline> =
        old.iter().map(|endpoint| (endpoint.url.as_str(), endpoint)).collect();
    let there: HashSet<&str> = new.iter().map(|endpoint| endpoint.url.as_str()).collect();
    for endpoint in old.iter().filter(|endpoint| !there.contains(endpoint.url.as_str())) {
        lines.push(format!("{who}: endpoint {} removed", endpoint.url));
    }
    for endpoint in new {
        let Some(before) = before.get(endpoint.url.as_str()) else {
            let (url, weight) = (&endpoint.url, endpoint.weight);
            lines.push(format!("{who}: endpoint {url} added, weight {weight}"));
            continue;
        };
        let who = format!("{who}: endpoint {}", endpoint.url);
        if before.weight != endpoint.weight {
            lines.push(format!("{who}: weight {} -> {}", before.weight, endpoint.weight));
        }
        let keys: BTreeSet<&String> = before.traits.keys().chain(endpoint.traits.keys()).collect();
        for key in keys {
            let shown =
                |of: &EndpointOutline| of.traits.get(key).map_or("none", String::as_str).to_owned();
            let (was, is) = (shown(before), shown(endpoint));
            if was != is {
                lines.push(format!("{who}: {key} {was} -> {is}"));
            }
        }
        if before.is_stale != endpoint.is_stale {
            let is = if endpoint.is_stale { "stale" } else { "stale no more" };
            lines.push(format!("{who} is {is}"));
        }
    }
}

fn come_and_gone(what: &str, old: &[String], new: &[String], lines: &mut Vec<String>) {
    let [before, there]: [HashSet<&String>; 2] = [old, new].map(|names| names.iter().collect());
    for name in old.iter().filter(|name| !there.contains(name)) {
        lines.push(format!("{what} \"{name}\" removed"));
    }
    for name in new.iter().filter(|name| !before.contains(name)) {
        lines.push(format!("{what} \"{name}\" added"));
    }
}

fn changed<'s>(
    old: &'s BTreeMap<String, String>,
    new: &'s BTreeMap<String, String>,
) -> impl Iterator<Item = (&'s str, &'s str, &'s str)> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter().filter_map(move |key| {
        let value = |of: &'s BTreeMap<String, String>| of.get(key).map_or("none", String::as_str);
        let (was, is) = (value(old), value(new));
        (was != is).then_some((key.as_str(), was, is))
    })
}

fn list(addresses: &[SocketAddr]) -> String {
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    if shown.is_empty() { "no address".to_owned() } else { shown.join(", ") }
}
