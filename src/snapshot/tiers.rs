//! Where an upstream's endpoints are, seen from this gateway: what `locality` and `[node]` make of their traits.

use crate::balance::locality::Others;
use crate::balance::locality::Site;
use crate::balance::locality::Tiers;
use crate::config;
use crate::snapshot::Upstream;

/// The tiers of an upstream; none: all endpoints are alike.
pub(super) fn tiers(upstream: &config::Upstream, node: &config::Node) -> Option<Tiers> {
    let locality = upstream.locality.as_ref()?;
    let others = match &locality.others {
        config::Others::Smart => Others::Smart,
        config::Others::Fixed(order) => Others::Fixed(order),
    };
    let endpoints = upstream.endpoints.iter();
    let sites: Vec<Site<'_>> =
        endpoints.map(|endpoint| site(endpoint, upstream.max_in_flight)).collect();
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

impl Upstream {
    /// How many requests its endpoint with this index may have at a time, of all shards together; none: any number. Those in
    /// another zone have room for no more of ours than they say.
    #[must_use]
    pub fn places_max(&self, index: usize) -> Option<u32> {
        let headroom = self.tiers.as_ref().and_then(|tiers| tiers.headroom(index));
        match (self.max_in_flight, headroom) {
            (Some(max), Some(headroom)) => Some(max.min(headroom)),
            (max, headroom) => max.or(headroom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Ledger;
    use crate::snapshot::World;
    use crate::snapshot::build;

    fn upstream(locality: &str) -> Upstream {
        let text = format!(
            r#"
            [node]
            region = "eu"
            zone = "a"
            [[upstream]]
            name = "u"
            max_in_flight = 10
            {locality}
            endpoints = [
                {{ url = "http://127.0.0.1:1", region = "us", headroom = 3 }},
                {{ url = "http://127.0.0.1:2", region = "eu", zone = "a", headroom = 3 }},
                {{ url = "http://127.0.0.1:3", region = "eu", zone = "b", headroom = 30, capacity = 5 }},
                {{ url = "http://127.0.0.1:4" }},
            ]
            [[model]]
            name = "m"
            upstream = "u"
        "#
        );
        let file = config::parse(&text, "a.toml").unwrap();
        let snapshot = build(&file, &World::default(), &mut Ledger::default(), 1).unwrap();
        snapshot.upstreams[0].clone()
    }

    #[test]
    fn traits_and_node_make_tiers() {
        let upstream = upstream("locality = {}");
        let tiers = upstream.tiers.as_ref().unwrap();
        assert_eq!((0..4).map(|index| tiers.of(index)).collect::<Vec<_>>(), [2, 0, 1, 3]);
        let places: Vec<_> = (0..4).map(|index| upstream.places_max(index)).collect();
        assert_eq!(places, [Some(3), Some(10), Some(10), Some(10)]);
        assert!(tiers.has_capacity() && tiers.is_measured());
    }

    #[test]
    fn without_locality_all_are_alike() {
        let upstream = upstream("");
        assert_eq!((upstream.tiers.as_ref(), upstream.places_max(0)), (None, Some(10)));
    }
}
