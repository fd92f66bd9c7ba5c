//! Where an upstream's endpoints are, seen from this gateway: what `locality` and `[node]` make of their traits.

use crate::balance::locality::Others;
use crate::balance::locality::Site;
use crate::balance::locality::Tiers;
use crate::config;

/// The tiers of an upstream; none: all endpoints are alike.
pub(super) fn tiers(upstream: &config::Upstream, node: &config::Node) -> Option<Tiers> {
    let locality = upstream.locality.as_ref()?;
    let others = match &locality.others {
        config::Others::Smart => Others::Smart,
        config::Others::Fixed(order) => Others::Fixed(order),
    };
    let site = |endpoint| site(endpoint, upstream.max_in_flight);
    let sites: Vec<Site<'_>> = upstream.endpoints.iter().map(site).collect();
    let node = (node.region.as_deref(), node.zone.as_deref());
    Some(Tiers::new(node, others, locality.spill_percent, &sites))
}

fn site(endpoint: &config::Endpoint, max_in_flight: Option<u32>) -> Site<'_> {
    let traits = &endpoint.traits;
    Site {
        region: traits.region.as_deref(),
        zone: traits.zone.as_deref(),
        // What may never be in flight is no capacity.
        capacity: [traits.capacity, max_in_flight].into_iter().flatten().min(),
        headroom: traits.headroom,
    }
}
