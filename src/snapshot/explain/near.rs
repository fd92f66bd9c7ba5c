//! The part of an explanation that says how near endpoints are, and why farther ones are left alone or help.

use crate::balance::choose::View;
use crate::balance::locality;
use crate::balance::locality::Near;
use crate::balance::locality::Order;
use crate::balance::locality::Reach;
use crate::balance::locality::TIERS_MAX;
use crate::balance::locality::Tally;
use crate::balance::locality::Tiers;
use crate::snapshot::Upstream;
use crate::snapshot::explain::Seen;

/// Not one of those that explore.
const DICE: u64 = 1;

/// The tiers of an upstream as they are at the moment of the question.
pub(super) struct Nearness<'s> {
    tiers: &'s Tiers,
    /// Numbers of tiers, the nearest first.
    order: Vec<u8>,
    tallies: [Tally; TIERS_MAX],
    medians_us: [u32; TIERS_MAX],
    reach: Reach,
}

impl<'s> Nearness<'s> {
    /// Marks views that are farther than need be; none where the upstream has no tiers.
    pub(super) fn narrow(
        upstream: &'s Upstream,
        seen: &[Option<Seen>],
        views: &mut [View],
    ) -> Option<Self> {
        let tiers = upstream.tiers.as_ref()?;
        let medians_us = tiers.medians(&mut Vec::new(), |index| {
            let pace = seen.get(index).copied().flatten().and_then(|seen| seen.pace);
            pace.map_or(0, |pace| u32::try_from(pace.as_micros()).unwrap_or(u32::MAX))
        });
        let mut order = Order::default();
        order.sort(tiers, &medians_us);
        let tallies = locality::tally(tiers, views);
        let reach = locality::narrow(tiers, &order, views, DICE);
        Some(Self { tiers, order: order.tiers(tiers).collect(), tallies, medians_us, reach })
    }

    /// Whether a request may see this endpoint.
    pub(super) fn is_in_reach(&self, index: usize) -> bool {
        self.reach.has(self.tiers, index)
    }

    /// Which tier an endpoint is in, in words.
    pub(super) fn tier(&self, index: usize) -> String {
        let number = self.tiers.of(index);
        let place = self.place(index) + 1;
        let Some(tier) = self.tiers.all().get(number) else { return place.to_string() };
        let region = match (tier.near, &tier.region) {
            (Near::Zone, _) => return format!("{place}, our zone"),
            (Near::Region, _) => return format!("{place}, our region"),
            (Near::Other, Some(region)) => format!("{place}, region {region}"),
            (Near::Other, None) => format!("{place}, elsewhere"),
        };
        if !self.tiers.is_measured() {
            return region;
        }
        match self.medians_us[number] {
            0 => format!("{region}, no latency known"),
            median_us => format!("{region}, {:.1} ms", f64::from(median_us) / 1000.0),
        }
    }

    /// Why an endpoint that is far is left alone.
    pub(super) fn why_far(&self, index: usize) -> String {
        if self.tiers.headroom(index) == Some(0) {
            return "It takes no requests of other zones.".to_owned();
        }
        let percent = self.tiers.spill_percent();
        match self.chosen() {
            Some((place, tally)) if tally.wants_help(percent) => format!(
                "All tiers that are usable want help, and tier {} is the nearest of them.",
                place + 1
            ),
            Some((place, tally)) if tally.is_endless => format!(
                "Tier {} states no capacity, so that only failure would lead to another one.",
                place + 1
            ),
            Some((place, tally)) => format!(
                "Tier {} has {} of {} in flight, and gets help from {percent}% on.",
                place + 1,
                tally.load,
                tally.capacity
            ),
            None => "Nearer ones may not be used either.".to_owned(),
        }
    }

    /// Whether an endpoint is full only of what comes from other zones.
    pub(super) fn is_full_of_others(&self, index: usize, places: u32) -> bool {
        self.tiers.headroom(index).is_some_and(|headroom| places >= headroom)
    }

    /// Why a request goes farther than to the nearest tier; none: it does not.
    pub(super) fn why_so_far(&self) -> Option<String> {
        let (place, _) = self.chosen().filter(|(place, _)| *place > 0)?;
        let nearer = self.order.iter().take(place).map(|tier| &self.tallies[usize::from(*tier)]);
        let usable: Vec<&Tally> = nearer.filter(|tally| tally.is_usable).collect();
        if usable.is_empty() {
            return Some("None of a nearer tier may be used.".to_owned());
        }
        let load: u64 = usable.iter().map(|tally| tally.load).sum();
        let capacity: u64 = usable.iter().map(|tally| tally.capacity).sum();
        let percent = self.tiers.spill_percent();
        Some(format!(
            "Nearer tiers have {load} of {capacity} in flight, and get help from {percent}% on."
        ))
    }

    fn place(&self, index: usize) -> usize {
        let number = self.tiers.of(index);
        self.order.iter().position(|tier| usize::from(*tier) == number).unwrap_or(0)
    }

    /// The tier that the request goes to: the last one in reach.
    fn chosen(&self) -> Option<(usize, &Tally)> {
        let is_seen = |tier: u8| self.reach.has_tier(tier);
        let place = self.order.iter().rposition(|tier| is_seen(*tier))?;
        let tally = &self.tallies[usize::from(*self.order.get(place)?)];
        tally.is_usable.then_some((place, tally))
    }
}
