//! What is different between two snapshots, in lines for people.

mod policy;

use crate::snapshot::Endpoint;
use crate::snapshot::Outline;
use crate::snapshot::Snapshot;
use crate::snapshot::outline;
use crate::snapshot::outline::EndpointOutline;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is taken up at the start of the process only.
const FIXED: &[&str] = &["listen.address", "admin.address"];

/// What `new` has differently from `old`, addresses and the presence of another secret included.
#[must_use]
pub fn diff(old: &Snapshot, new: &Snapshot) -> Vec<String> {
    let (old_outline, new_outline) = (outline(old), outline(new));
    let mut lines = diff_outlines(&old_outline, &new_outline);
    for upstream in &new.upstreams {
        let before = old.upstreams.iter().find(|before| before.name == upstream.name);
        let Some(before) = before else { continue };
        let has_both = before.credential.is_some() && upstream.credential.is_some();
        if has_both && before.credential != upstream.credential {
            lines.push(format!("upstream \"{}\": the key's value has changed", upstream.name));
        }
    }
    for endpoint in &new.endpoints {
        let name = &new.upstream(endpoint.upstream).name;
        let is_same =
            |e: &&Endpoint| e.url == endpoint.url && old.upstream(e.upstream).name == *name;
        let before = old.endpoints.iter().find(is_same).and_then(|before| before.tls.as_ref());
        let configs =
            before.map(|tls| &tls.config).zip(endpoint.tls.as_ref().map(|tls| &tls.config));
        if configs.is_some_and(|(before, after)| !Arc::ptr_eq(before, after)) {
            let url = &endpoint.url;
            lines.push(format!("upstream \"{name}\": {url}: other certificates are trusted"));
        }
    }
    policy::secrets(old, new, &mut lines);
    for upstream in &new_outline.upstreams {
        let before = old_outline.upstreams.iter().find(|before| before.name == upstream.name);
        for endpoint in &upstream.endpoints {
            let before = before.and_then(|u| u.endpoints.iter().find(|e| e.url == endpoint.url));
            if let Some(before) = before.filter(|before| before.addresses != endpoint.addresses) {
                let (was, is) = (list(&before.addresses), list(&endpoint.addresses));
                let name = &upstream.name;
                lines.push(format!("upstream \"{name}\": {}: {was} -> {is}", endpoint.url));
            }
        }
    }
    lines
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
    for upstream in &new.upstreams {
        let Some(before) = old.upstreams.iter().find(|u| u.name == upstream.name) else { continue };
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
    for model in &new.models {
        let Some(before) = old.models.iter().find(|m| m.name == model.name) else { continue };
        for (key, was, is) in changed(&before.settings, &model.settings) {
            lines.push(format!("model \"{}\": {key}: {was} -> {is}", model.name));
        }
    }
    policy::outlines(old, new, &mut lines);
    lines
}

fn endpoints(who: &str, old: &[EndpointOutline], new: &[EndpointOutline], lines: &mut Vec<String>) {
    for endpoint in old.iter().filter(|old| !new.iter().any(|new| new.url == old.url)) {
        lines.push(format!("{who}: endpoint {} removed", endpoint.url));
    }
    for endpoint in new {
        let Some(before) = old.iter().find(|old| old.url == endpoint.url) else {
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
    for name in old.iter().filter(|name| !new.contains(name)) {
        lines.push(format!("{what} \"{name}\" removed"));
    }
    for name in new.iter().filter(|name| !old.contains(name)) {
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

fn list(addresses: &[String]) -> String {
    if addresses.is_empty() { "no address".to_owned() } else { addresses.join(", ") }
}
