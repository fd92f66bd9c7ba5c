//! What two snapshots have both, as they are in memory: it need not be put into words to be compared.

use crate::snapshot::Endpoint;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;
use crate::units::GroupId;
use crate::units::ModelId;
use crate::units::UpstreamId;
use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

/// What is the same in both; nothing by default.
#[derive(Debug, Default)]
pub(in crate::snapshot) struct Shared {
    /// Where in memory they are.
    endpoints: HashSet<usize, FixedState>,
    /// By number, whether the settings are the same.
    upstreams: Vec<bool>,
    models: Vec<bool>,
    has_rules: bool,
}

impl Shared {
    pub(super) fn of(old: &Snapshot, new: &Snapshot) -> Self {
        let upstreams = old.upstreams.iter().zip(&new.upstreams);
        let upstreams: Vec<bool> = upstreams.map(|(old, new)| is_set_alike(old, new)).collect();
        let is_upstream_there =
            |id: UpstreamId| upstreams.get(id.index()).copied().unwrap_or(false);
        // A model's settings speak of other models and of upstreams, which are numbers in it.
        let is_named_alike = old.upstreams.len() == new.upstreams.len()
            && old.models.len() == new.models.len()
            && old.upstreams.iter().zip(&new.upstreams).all(|(old, new)| old.name == new.name)
            && old
                .models
                .iter()
                .zip(&new.models)
                .all(|(old, new)| (&old.name, &old.version) == (&new.name, &new.version));
        let described = old.described.models.iter().zip(&new.described.models);
        let models = old.models.iter().zip(&new.models).zip(described);
        let models =
            models.map(|((old, new), (was, is))| is_named_alike && old == new && was == is);
        Self {
            endpoints: endpoints(old, new, is_upstream_there),
            models: models.collect(),
            upstreams,
            has_rules: Arc::ptr_eq(&old.admission, &new.admission)
                && Arc::ptr_eq(&old.described, &new.described)
                && Arc::ptr_eq(&old.keys, &new.keys),
        }
    }

    /// Whether an endpoint is in both, in the same upstream and with the same weight.
    pub(in crate::snapshot) fn has_endpoint(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.endpoints.contains(&place(endpoint))
    }

    /// Whether the upstream with this number is in both, with the same settings.
    pub(in crate::snapshot) fn has_upstream(&self, id: UpstreamId) -> bool {
        self.upstreams.get(id.index()).copied().unwrap_or(false)
    }

    /// Whether both have the same rules and keys, all of them.
    pub(in crate::snapshot) const fn has_rules(&self) -> bool {
        self.has_rules
    }

    /// The same of a model.
    pub(in crate::snapshot) fn has_model(&self, id: ModelId) -> bool {
        self.models.get(id.index()).copied().unwrap_or(false)
    }
}

/// Whether all is the same but which endpoints they have.
fn is_set_alike(old: &Upstream, new: &Upstream) -> bool {
    let plain = |upstream: &Upstream| Upstream {
        tiers: None,
        endpoints: Vec::new(),
        weights: Vec::new(),
        group: GroupId(0),
        ..upstream.clone()
    };
    old.name == new.name && (old == new || plain(old) == plain(new))
}

fn endpoints(
    old: &Snapshot,
    new: &Snapshot,
    is_upstream_there: impl Fn(UpstreamId) -> bool,
) -> HashSet<usize, FixedState> {
    let before: HashMap<usize, u32, FixedState> = weighted(old).collect();
    let is_shared = |(endpoint, weight): &(usize, u32)| before.get(endpoint) == Some(weight);
    let after = new.endpoints.iter().zip(weighted(new));
    let after = after.filter(|(endpoint, _)| is_upstream_there(endpoint.upstream));
    after.map(|(_, weighted)| weighted).filter(is_shared).map(|(place, _)| place).collect()
}

/// Where each endpoint is in memory, and its weight.
fn weighted(snapshot: &Snapshot) -> impl Iterator<Item = (usize, u32)> {
    // Endpoints stand in the order of upstreams, and so do weights.
    let weights = snapshot.upstreams.iter().flat_map(|upstream| upstream.weights.iter().copied());
    snapshot.endpoints.iter().map(place).zip(weights)
}

fn place(endpoint: &Arc<Endpoint>) -> usize {
    Arc::as_ptr(endpoint).addr()
}
