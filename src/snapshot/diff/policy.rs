//! What is different between two snapshots of who may enter. Ten thousand changes are a number and not ten thousand lines.

use crate::admission::Keys;
use crate::admission::key::KeyView;
use crate::snapshot::Outline;
use crate::snapshot::Snapshot;
use crate::snapshot::diff::changed;
use crate::snapshot::outline::TenantOutline;
use crate::units::KeyId;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt::Display;
use std::sync::Arc;

/// Tenants or keys of one kind of change that are named one by one.
const SHOWN_MAX: usize = 10;

/// The first of many lines, and how many there would be more.
struct First {
    lines: Vec<String>,
    more: usize,
}

impl First {
    const fn new() -> Self {
        Self { lines: Vec::new(), more: 0 }
    }

    fn add(&mut self, line: impl FnOnce() -> String) {
        if self.lines.len() < SHOWN_MAX {
            self.lines.push(line());
        } else {
            self.more += 1;
        }
    }

    /// `what` says what there is more of, as in `tenants added`.
    fn finish(self, what: impl Display, lines: &mut Vec<String>) {
        lines.extend(self.lines);
        if self.more > 0 {
            lines.push(format!("{} more {what}", self.more));
        }
    }
}

/// Tenants and issuers, as far as a file says it.
pub(super) fn outlines(old: &Outline, new: &Outline, lines: &mut Vec<String>) {
    let before: HashMap<&str, &TenantOutline> =
        old.tenants.iter().map(|tenant| (tenant.name.as_str(), tenant)).collect();
    let after: HashSet<&str> = new.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
    let (mut gone, mut come, mut other) = (First::new(), First::new(), First::new());
    for tenant in old.tenants.iter().filter(|tenant| !after.contains(tenant.name.as_str())) {
        gone.add(|| format!("tenant \"{}\" removed", tenant.name));
    }
    for tenant in &new.tenants {
        let name = &tenant.name;
        let Some(before) = before.get(name.as_str()) else {
            let count = tenant.keys;
            come.add(|| format!("tenant \"{name}\" added, with {count} key(s)"));
            continue;
        };
        let mut words: Vec<String> = changed(&before.settings, &tenant.settings)
            .map(|(key, was, is)| format!("{key}: {was} -> {is}"))
            .collect();
        if before.keys != tenant.keys {
            words.push(format!("{} -> {} keys", before.keys, tenant.keys));
        }
        if !words.is_empty() {
            other.add(|| format!("tenant \"{name}\": {}", words.join("; ")));
        }
    }
    gone.finish("tenants removed", lines);
    come.finish("tenants added", lines);
    other.finish("tenants changed", lines);
    issuers(old, new, lines);
}

fn issuers(old: &Outline, new: &Outline, lines: &mut Vec<String>) {
    for issuer in &old.issuers {
        if !new.issuers.iter().any(|other| other.name == issuer.name) {
            lines.push(format!("issuer \"{}\" removed", issuer.name));
        }
    }
    for issuer in &new.issuers {
        let name = &issuer.name;
        let Some(before) = old.issuers.iter().find(|before| before.name == *name) else {
            lines.push(format!("issuer \"{name}\" added, with {} key(s)", issuer.keys));
            continue;
        };
        for (key, was, is) in changed(&before.settings, &issuer.settings) {
            lines.push(format!("issuer \"{name}\": {key}: {was} -> {is}"));
        }
        if before.keys != issuer.keys {
            lines.push(format!("issuer \"{name}\": {} -> {} keys", before.keys, issuer.keys));
        }
    }
}

/// What only the snapshots themselves know: keys one by one, and that secrets have other values.
pub(super) fn secrets(old: &Snapshot, new: &Snapshot, lines: &mut Vec<String>) {
    if let (Some(was), Some(is)) = (&old.admin_token, &new.admin_token)
        && was.from == is.from
        && was.secret != is.secret
    {
        lines.push("admin.token: its value has changed".to_owned());
    }
    if !Arc::ptr_eq(&old.keys, &new.keys) {
        keys(old, new, lines);
    }
    if new.upstream_keys.iter().all(|fields| fields.is_empty()) {
        return;
    }
    let before: HashMap<&str, usize> =
        (0..).zip(&old.admission.tenants).map(|(index, t)| (&*t.name, index)).collect();
    let mut other = First::new();
    for (tenant, fields) in new.admission.tenants.iter().zip(&new.upstream_keys) {
        let Some(before) = before.get(&*tenant.name).and_then(|at| old.upstream_keys.get(*at))
        else {
            continue;
        };
        for (id, field) in fields {
            let upstream = &new.upstream(*id).name;
            let was = before.iter().find(|(id, _)| old.upstream(*id).name == *upstream);
            if was.is_some_and(|(_, was)| was != field) {
                other.add(|| {
                    let name = &tenant.name;
                    format!(
                        "tenant \"{name}\": the value of its key for \"{upstream}\" has changed"
                    )
                });
            }
        }
    }
    other.finish("tenants' keys for upstreams changed", lines);
}

fn keys(old: &Snapshot, new: &Snapshot, lines: &mut Vec<String>) {
    let (mut gone, mut come, mut other) = (First::new(), First::new(), First::new());
    let mut before: BTreeMap<(&str, &str), KeyId> =
        all(&old.keys).map(|(id, key)| ((tenant(old, key), key.name), id)).collect();
    for (id, key) in all(&new.keys) {
        let (tenant, name) = (tenant(new, key), key.name);
        let Some(was) = before.remove(&(tenant, name)) else {
            come.add(|| format!("key \"{tenant}/{name}\" added"));
            continue;
        };
        let mut words = Vec::new();
        if old.keys.digest(was) != new.keys.digest(id) {
            words.push("another secret");
        }
        let was = old.keys.get(was);
        if was.expires_unix_s != key.expires_unix_s {
            words.push("another time of expiry");
        }
        if labels(old, was) != labels(new, key) {
            words.push("other models");
        }
        // A limit that is the same has the same number.
        if was.limits != key.limits {
            words.push("other limits");
        }
        if !words.is_empty() {
            other.add(|| format!("key \"{tenant}/{name}\": {}", words.join(", ")));
        }
    }
    for (tenant, name) in before.into_keys() {
        gone.add(|| format!("key \"{tenant}/{name}\" removed"));
    }
    gone.finish("keys removed", lines);
    come.finish("keys added", lines);
    other.finish("keys changed", lines);
}

fn all(keys: &Keys) -> impl Iterator<Item = (KeyId, KeyView<'_>)> {
    let ids = (0..keys.len()).filter_map(|index| u32::try_from(index).ok()).map(KeyId);
    ids.map(|id| (id, keys.get(id)))
}

fn tenant<'s>(snapshot: &'s Snapshot, key: KeyView<'_>) -> &'s str {
    snapshot.admission.tenant(key.tenant).map_or("", |tenant| &tenant.name)
}

/// The models of a key by their names: their numbers mean something in their own snapshot only.
fn labels(snapshot: &Snapshot, key: KeyView<'_>) -> Option<Vec<String>> {
    let models = key.models?.models();
    Some(models.iter().map(|id| snapshot.model(*id).label()).collect())
}
