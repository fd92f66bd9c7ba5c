//! Near before far: in which tier each endpoint of an upstream is, and which tier a request goes to.

use crate::balance::choose::Standing;
use crate::balance::choose::View;
use std::collections::BTreeSet;

/// The most tiers of an upstream. Regions beyond are in the last one together.
pub const TIERS_MAX: usize = 32;

/// Of so many requests that leave the region while another one's latency is not known, one finds out.
const EXPLORED_ONE_IN: u64 = 64;

/// A region comes before another one when it is quicker by more than one part in so many of its own latency: those that are
/// nearly alike do not take turns.
const QUICKER_BY: u64 = 8;

/// Where an endpoint is, and how much it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Site<'s> {
    /// Its region, where that is known.
    pub region: Option<&'s str>,
    /// The zone of that region, where it is known.
    pub zone: Option<&'s str>,
    /// How many requests it takes at a time.
    pub capacity: Option<u32>,
    /// How many requests of other zones it takes at a time.
    pub headroom: Option<u32>,
}

/// In which order the regions are asked that are not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others<'o> {
    /// By their latency.
    Smart,
    /// These in this order, and then all others alike.
    Fixed(&'o [String]),
}

/// How near a tier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Near {
    /// In our zone.
    Zone,
    /// In our region.
    Region,
    /// In another one.
    Other,
}

impl Near {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Zone, Self::Region, Self::Other];

    /// Its name in metrics and explanations.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Zone => "zone",
            Self::Region => "region",
            Self::Other => "other",
        }
    }
}

/// Endpoints that are alike in how near they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// How near.
    pub near: Near,
    /// Their region; none: not known, or several.
    pub region: Option<String>,
}

/// The tiers of an upstream's endpoints, as they are from where this gateway is.
///
/// Who says nothing of its region is in another one, unless nobody says where the gateway is either. Who says nothing of its
/// zone is in another one of its region, but takes requests as if it were not: its headroom is for those that say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiers {
    spill_percent: u32,
    is_smart: bool,
    /// The nearest first; others in the fixed order, or by name.
    tiers: Box<[Tier]>,
    /// Of each endpoint, in the upstream's order.
    seats: Box<[Seat]>,
}

/// What is looked at of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seat {
    tier: u8,
    capacity: Option<u32>,
    /// Only where it is in another zone.
    headroom: Option<u32>,
}

impl Tiers {
    /// The tiers of `sites`, one for each endpoint, around a gateway at `node`: its region and its zone.
    #[must_use]
    pub fn new(
        node: (Option<&str>, Option<&str>),
        others: Others<'_>,
        spill_percent: u32,
        sites: &[Site<'_>],
    ) -> Self {
        let (region, zone) = node;
        // What sorts the tiers: how near, the place in the fixed order, the name of the region.
        let key = |site: &Site<'_>| -> (Near, usize, Option<String>) {
            if site.region != region {
                let name = site.region.map(str::to_owned);
                return match others {
                    Others::Smart => (Near::Other, usize::from(name.is_none()), name),
                    Others::Fixed(order) => {
                        let place = order.iter().position(|listed| site.region == Some(listed));
                        let is_listed = place.is_some();
                        let place = place.unwrap_or(order.len());
                        (Near::Other, place, name.filter(|_| is_listed))
                    }
                };
            }
            let is_same = zone.is_some() && site.zone == zone;
            let near = if is_same { Near::Zone } else { Near::Region };
            (near, 0, region.map(str::to_owned))
        };
        let keys: Vec<_> = sites.iter().map(key).collect();
        let sorted: Vec<_> = keys.iter().collect::<BTreeSet<_>>().into_iter().collect();
        let seat = |(site, key): (&Site<'_>, &_)| {
            let tier = sorted.binary_search(&key).unwrap_or(0).min(TIERS_MAX - 1);
            let is_elsewhere = zone.is_some() && site.zone.is_some() && site.zone != zone;
            let is_foreign = site.region != region || is_elsewhere;
            Seat {
                tier: u8::try_from(tier).unwrap_or(0),
                capacity: site.capacity,
                headroom: site.headroom.filter(|_| is_foreign),
            }
        };
        let is_last = |index: usize| index + 1 == TIERS_MAX && sorted.len() > TIERS_MAX;
        let tier = |(index, (near, _, name)): (usize, &&(Near, usize, Option<String>))| Tier {
            near: *near,
            region: name.clone().filter(|_| !is_last(index)),
        };
        Self {
            spill_percent,
            is_smart: others == Others::Smart,
            tiers: sorted.iter().enumerate().map(tier).take(TIERS_MAX).collect(),
            seats: sites.iter().zip(&keys).map(seat).collect(),
        }
    }

    /// All of them, the nearest first; others in no order that counts where that is by latency.
    #[must_use]
    pub fn all(&self) -> &[Tier] {
        &self.tiers
    }

    /// The number of an endpoint's tier.
    #[must_use]
    pub fn of(&self, endpoint: usize) -> usize {
        self.seats.get(endpoint).map_or(0, |seat| usize::from(seat.tier))
    }

    /// How many of our requests an endpoint takes at a time, because it is in another zone; none: any number.
    #[inline]
    #[must_use]
    pub fn headroom(&self, endpoint: usize) -> Option<u32> {
        self.seats.get(endpoint).and_then(|seat| seat.headroom)
    }

    /// From which share of its capacity on a tier is helped, in percent.
    #[must_use]
    pub const fn spill_percent(&self) -> u32 {
        self.spill_percent
    }

    /// Whether the order of other regions follows their latencies, and there are several.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        let others = self.tiers.iter().filter(|tier| tier.near == Near::Other).count();
        self.is_smart && others > 1
    }

    /// Whether what is in flight matters.
    #[inline]
    #[must_use]
    pub fn has_capacity(&self) -> bool {
        self.tiers.len() > 1 && self.seats.iter().any(|seat| seat.capacity.is_some())
    }

    /// The median latency of the endpoints of each tier that have one, in microseconds; 0: none has. `latency_us` is that of
    /// an endpoint, 0: not measured. `room` is kept to save its memory.
    #[must_use]
    pub fn medians(
        &self,
        room: &mut Vec<(u8, u32)>,
        mut latency_us: impl FnMut(usize) -> u32,
    ) -> [u32; TIERS_MAX] {
        room.clear();
        let measured = self.seats.iter().enumerate().map(|(at, seat)| (seat.tier, latency_us(at)));
        room.extend(measured.filter(|(_, latency_us)| *latency_us > 0));
        room.sort_unstable();
        let mut medians = [0; TIERS_MAX];
        for of_one in room.chunk_by(|(one, _), (other, _)| one == other) {
            if let Some((tier, median)) = of_one.get((of_one.len() - 1) / 2) {
                medians[usize::from(*tier)] = *median;
            }
        }
        medians
    }
}

/// The order in which tiers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    tiers: [u8; TIERS_MAX],
    /// One bit for each tier of another region whose latency is not known, where that matters.
    unmeasured: u32,
}

impl Default for Order {
    /// That of the tiers as they are listed.
    fn default() -> Self {
        let mut tiers = [0; TIERS_MAX];
        for (place, tier) in (0..).zip(&mut tiers) {
            *tier = place;
        }
        Self { tiers, unmeasured: 0 }
    }
}

impl Order {
    /// Brings other regions into the order of their latencies in microseconds, those without one (0) behind. What is not
    /// clearly quicker than what it would pass stays where it is.
    pub fn sort(&mut self, tiers: &Tiers, medians_us: &[u32; TIERS_MAX]) {
        self.unmeasured = 0;
        if !tiers.is_measured() {
            return;
        }
        let is_other = |tier: u8| {
            tiers.tiers.get(usize::from(tier)).is_some_and(|tier| tier.near == Near::Other)
        };
        let median = |tier: u8| medians_us[usize::from(tier)];
        for place in 1..tiers.tiers.len() {
            let mut place = place;
            while let Some(before) = place.checked_sub(1) {
                let (first, second) = (self.tiers[before], self.tiers[place]);
                let may_pass = is_other(first) && is_other(second);
                if !may_pass || !is_clearly_quicker(median(second), median(first)) {
                    break;
                }
                self.tiers.swap(before, place);
                place = before;
            }
        }
        let unmeasured = (0..).take(tiers.tiers.len()).filter(|t| is_other(*t) && median(*t) == 0);
        self.unmeasured = unmeasured.fold(0, |all, tier| all | bit(tier));
    }

    /// Whether dice may be wanted to find out how quick a region is.
    #[inline]
    #[must_use]
    pub const fn has_unmeasured(&self) -> bool {
        self.unmeasured != 0
    }

    /// The numbers of the tiers, the nearest first.
    pub fn tiers(&self, tiers: &Tiers) -> impl Iterator<Item = u8> {
        self.tiers.into_iter().take(tiers.tiers.len())
    }
}

const fn is_clearly_quicker(one_us: u32, other_us: u32) -> bool {
    if one_us == 0 || other_us == 0 {
        return one_us != 0;
    }
    (one_us as u64) * (QUICKER_BY + 1) < (other_us as u64) * QUICKER_BY
}

const fn bit(tier: u8) -> u32 {
    1_u32.wrapping_shl(tier as u32)
}

/// The tiers that a request may see: the one it goes to, and those before it in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach(u32);

impl Reach {
    /// All tiers.
    pub const ALL: Self = Self(u32::MAX);

    /// Whether an endpoint's tier is one of them.
    #[inline]
    #[must_use]
    pub fn has(self, tiers: &Tiers, endpoint: usize) -> bool {
        tiers.seats.get(endpoint).is_none_or(|seat| self.has_tier(seat.tier))
    }

    /// Whether a tier is one of them.
    #[inline]
    #[must_use]
    pub const fn has_tier(self, tier: u8) -> bool {
        self.0 & bit(tier) != 0
    }
}

/// What is known of one tier's endpoints that are well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests in flight.
    pub load: u64,
    /// How many they take at a time, as far as they say.
    pub capacity: u64,
    /// One of them says nothing: there is no end to what they take.
    pub is_endless: bool,
    /// One of them may be chosen.
    pub is_usable: bool,
}

impl Tally {
    /// Whether a part of the requests is better sent farther away.
    #[must_use]
    pub const fn wants_help(&self, spill_percent: u32) -> bool {
        // More than 2^57 requests are not in flight.
        !self.is_endless && self.load * 100 >= self.capacity * spill_percent as u64
    }
}

/// What is known of each tier. Those that are far are counted as what they are beside that: usable.
#[must_use]
pub fn tally(tiers: &Tiers, views: &[View]) -> [Tally; TIERS_MAX] {
    let mut tallies = [Tally::default(); TIERS_MAX];
    for (seat, view) in tiers.seats.iter().zip(views) {
        let tally = &mut tallies[usize::from(seat.tier)];
        let is_usable = may_be_usable(seat, view);
        // One that is full, or that this very request was sent to, is busy all the same.
        let is_busy = matches!(view.standing, Standing::Full | Standing::Tried);
        if is_usable || (is_busy && seat.headroom != Some(0)) {
            tally.load += u64::from(view.load);
            tally.capacity += u64::from(seat.capacity.unwrap_or(0));
            tally.is_endless |= seat.capacity.is_none();
            tally.is_usable |= is_usable;
        }
    }
    tallies
}

fn may_be_usable(seat: &Seat, view: &View) -> bool {
    matches!(view.standing, Standing::Usable | Standing::Far)
        && view.weight > 0
        && seat.headroom != Some(0)
}

/// Leaves only those endpoints usable that are of the tier which a request goes to, and marks the others as
/// [`Standing::Far`].
///
/// That is the nearest one that has a usable endpoint and is not in want of help; where all are, the nearest with a usable
/// endpoint. Now and then, where it is not in our region, it is one whose latency is not known. Who takes no requests of other
/// zones is far whatever happens. May be called again on the same views after one of them has changed.
pub fn narrow(tiers: &Tiers, order: &Order, views: &mut [View], dice: u64) -> Reach {
    let tallies = tally(tiers, views);
    let chosen = choose(tiers, order, &tallies, dice);
    for (seat, view) in tiers.seats.iter().zip(views) {
        if may_be_usable(seat, view) {
            let is_here = chosen.is_none_or(|tier| tier == seat.tier);
            view.standing = if is_here { Standing::Usable } else { Standing::Far };
        } else if seat.headroom == Some(0) && is_there(view.standing) {
            view.standing = Standing::Far;
        }
    }
    let Some(chosen) = chosen else { return Reach::ALL };
    let before = order.tiers(tiers).take_while(|tier| *tier != chosen);
    Reach(before.fold(bit(chosen), |reach, tier| reach | bit(tier)))
}

const fn is_there(standing: Standing) -> bool {
    !matches!(standing, Standing::Weightless | Standing::NoAddress)
}

/// The tier that a request goes to; none: no endpoint is usable.
fn choose(tiers: &Tiers, order: &Order, tallies: &[Tally; TIERS_MAX], dice: u64) -> Option<u8> {
    let tally = |tier: u8| &tallies[usize::from(tier)];
    let has_room = |tier: &u8| {
        let tally = tally(*tier);
        tally.is_usable && !tally.wants_help(tiers.spill_percent)
    };
    let roomy = order.tiers(tiers).find(has_room);
    let chosen = roomy.or_else(|| order.tiers(tiers).find(|tier| tally(*tier).is_usable))?;
    let is_away = tiers.tiers.get(usize::from(chosen))?.near == Near::Other;
    if !is_away || !order.has_unmeasured() || !dice.is_multiple_of(EXPLORED_ONE_IN) {
        return Some(chosen);
    }
    let is_explored = |tier: &u8| order.unmeasured & bit(*tier) != 0 && has_room(tier);
    let count = order.tiers(tiers).filter(is_explored).count();
    let place = (dice / EXPLORED_ONE_IN).checked_rem(count as u64).unwrap_or(0);
    let place = usize::try_from(place).unwrap_or(0);
    order.tiers(tiers).filter(is_explored).nth(place).or(Some(chosen))
}

#[cfg(test)]
mod tests;
