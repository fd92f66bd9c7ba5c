//! Endpoints of the newest snapshot that the next one has too: the same and no copies, where nothing about them is another. That keeps
//! a change of one among thousands small, in time and in what snapshots that are held for long take.

use crate::config;
use crate::config::File;
use crate::snapshot::Endpoint;
use crate::snapshot::Ledger;
use crate::snapshot::World;
use crate::snapshot::build::id;
use crate::snapshot::ledger::SlotKey;
use crate::snapshot::served::Trust;
use crate::snapshot::served::addresses;
use crate::snapshot::served::authority;
use crate::snapshot::served::slot_key;
use crate::snapshot::served::tls;
use crate::units::UpstreamId;
use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::sync::Arc;

/// What becomes of an endpoint of the file.
#[derive(Debug)]
pub(super) enum Plan {
    /// It is there already.
    Same(Arc<Endpoint>),
    /// It is to be made, and this makes it the one it is.
    New(SlotKey),
}

impl Plan {
    /// What makes it the one it is, if it is to be made.
    pub(super) const fn new_key(&self) -> Option<&SlotKey> {
        match self {
            Self::Same(_) => None,
            Self::New(key) => Some(key),
        }
    }
}

/// What becomes of each endpoint of the file, in its order.
pub(super) fn plan(
    file: &File,
    world: &World,
    ledger: &Ledger,
    trusts: &[Option<Trust>],
) -> Vec<Plan> {
    let newest = ledger.newest.iter();
    let newest: HashMap<(UpstreamId, &str), &Arc<Endpoint>, FixedState> =
        newest.map(|endpoint| ((endpoint.upstream, endpoint.url.as_str()), endpoint)).collect();
    let mut plans = Vec::with_capacity(newest.len());
    for (index, (upstream, trust)) in file.upstreams.iter().zip(trusts).enumerate() {
        let (id, trust) = (UpstreamId(id(index)), trust.as_ref());
        for endpoint in &upstream.endpoints {
            let known = newest.get(&(id, endpoint.url.text.as_str()));
            let is_same = |known: &&&Arc<Endpoint>| {
                is_made_of(known, endpoint, trust, world)
                    && ledger.is_still(known, &upstream.base, number(endpoint, trust))
            };
            plans.push(match known.filter(is_same) {
                Some(known) => Plan::Same(Arc::clone(known)),
                None => Plan::New(slot_key(endpoint, upstream, trust)),
            });
        }
    }
    plans
}

/// The number of the trust that an endpoint has.
pub(super) fn number(endpoint: &config::Endpoint, trust: Option<&Trust>) -> Option<u64> {
    trust.filter(|_| endpoint.url.is_https).map(|(number, _)| *number)
}

/// Whether making it anew would make the same.
fn is_made_of(
    made: &Endpoint,
    of: &config::Endpoint,
    trust: Option<&Trust>,
    world: &World,
) -> bool {
    let is_tls_same = match (&made.tls, trust.filter(|_| of.url.is_https)) {
        (None, None) => true,
        (Some(made), Some(trust)) => tls(of, trust).is_some_and(|new| {
            Arc::ptr_eq(&made.config, &new.config) && made.server_name == new.server_name
        }),
        _ => false,
    };
    // The rest of a url is all in its text.
    made.url == of.url.text
        && made.host == authority(&of.url, of.name.as_deref())
        && (made.is_stale, &made.source, &made.traits) == (of.is_stale, &of.source, &of.traits)
        && made.addresses.iter().copied().eq(addresses(&of.url, world))
        && is_tls_same
}

#[cfg(test)]
mod tests;
