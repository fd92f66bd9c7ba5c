//! Which endpoint is next: of those that may be used, by the upstream's strategy.

mod robin;

use std::cmp::Ordering;

use crate::balance::hash::Ring;

pub use crate::balance::choose::robin::RoundRobin;

/// An endpoint that has no measured latency is given this many requests at once to get one, and no more.
const UNMEASURED_LOAD_MAX: u32 = 4;

/// How an upstream spreads its requests over its endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// In turn, all alike.
    RoundRobin,
    /// In turn, by weight.
    #[default]
    WeightedRoundRobin,
    /// To the one with the fewest requests in flight; a stream is in flight until its last byte.
    LeastConnections,
    /// To the one with the fewest requests in flight for its weight.
    WeightedLeastConnections,
    /// To the one of two, drawn by weight, that has the lower latency for what it has in flight.
    PeakEwma,
    /// To the one that the request's key belongs to, so that a model server meets again the prompts that it knows.
    Hash,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: &'static [Self] = &[
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::LeastConnections,
        Self::WeightedLeastConnections,
        Self::PeakEwma,
        Self::Hash,
    ];

    /// Its name in the config.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::WeightedRoundRobin => "weighted_round_robin",
            Self::LeastConnections => "least_connections",
            Self::WeightedLeastConnections => "weighted_least_connections",
            Self::PeakEwma => "peak_ewma",
            Self::Hash => "hash",
        }
    }

    /// Whether the weights of the config count.
    ///
    /// Where they do not, every endpoint's [`View::weight`] is to be made from the weight 1: what differs is then
    /// slow start alone, which counts always.
    #[must_use]
    pub const fn is_weighted(self) -> bool {
        !matches!(self, Self::RoundRobin | Self::LeastConnections)
    }
}

/// Whether an endpoint may be used for a request, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It may.
    Usable,
    /// Its breaker's time is over.
    Due,
    /// This request has been there.
    Tried,
    /// Its name leads nowhere.
    NoAddress,
    /// Its weight is 0.
    Weightless,
    /// Its health checks fail.
    Unhealthy,
    /// Its breaker is open.
    Open,
    /// It did worse than the others.
    Ejected,
    /// It said when to come back.
    Paused,
    /// It refused our credential.
    CredentialBad,
    /// It has as much in flight as it may.
    Full,
    /// Nearer ones have room.
    Far,
}

impl Standing {
    /// Every standing.
    pub const ALL: &'static [Self] = &[
        Self::Usable,
        Self::Due,
        Self::Tried,
        Self::NoAddress,
        Self::Weightless,
        Self::Unhealthy,
        Self::Open,
        Self::Ejected,
        Self::Paused,
        Self::CredentialBad,
        Self::Full,
        Self::Far,
    ];

    /// Its name in metrics and on the admin pages: snake case, never changed once published.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Due => "due",
            Self::Tried => "tried",
            Self::NoAddress => "no_address",
            Self::Weightless => "weightless",
            Self::Unhealthy => "unhealthy",
            Self::Open => "open",
            Self::Ejected => "ejected",
            Self::Paused => "paused",
            Self::CredentialBad => "credential_bad",
            Self::Full => "full",
            Self::Far => "far",
        }
    }

    /// What it means, in one sentence.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Usable => "It may be chosen.",
            Self::Due => "Its circuit breaker was open long enough, and one request may try it.",
            Self::Tried => "This request has tried it already.",
            Self::NoAddress => "Its name has no address now.",
            Self::Weightless => "Its weight is 0.",
            Self::Unhealthy => "Its health checks fail.",
            Self::Open => "Its circuit breaker is open after too many failures.",
            Self::Ejected => {
                "It failed much more often than the others, and is left out for a while."
            }
            Self::Paused => "It has asked with Retry-After to be left alone for a while.",
            Self::CredentialBad => "It has refused the gateway's own credential.",
            Self::Full => "It has as many requests in flight as max_in_flight allows.",
            Self::Far => "It is farther away than others that have room for the request.",
        }
    }

    /// In which order those that are not usable are resorted to, the least bad first; `None`: never.
    const fn badness(self) -> Option<u8> {
        match self {
            Self::Usable => Some(0),
            // It works, and is only busy.
            Self::Paused => Some(1),
            // It answers, if worse than the others.
            Self::Ejected => Some(2),
            Self::Due | Self::Open => Some(3),
            Self::Unhealthy => Some(4),
            // It can answer nothing but a refusal.
            Self::CredentialBad => Some(5),
            Self::Tried | Self::NoAddress | Self::Weightless | Self::Full | Self::Far => None,
        }
    }
}

/// All that is looked at of an endpoint to choose it or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// In hundredths: 100 x the weight of the config, less in slow start. 0: never.
    pub weight: u32,
    /// Requests in flight on the whole node, as far as is known here.
    pub load: u32,
    /// Decayed peak of the time to the first byte, in microseconds; 0: not measured.
    pub latency_us: u32,
    /// Whether it may be used.
    pub standing: Standing,
}

impl View {
    fn is_usable(&self) -> bool {
        self.standing == Standing::Usable && self.weight > 0
    }

    /// What is in flight, for its weight, as half a request more than it is.
    ///
    /// The half makes it fair whatever the number (Webster's method): to fill up in this order keeps each endpoint
    /// within one request of its share. Without the half a small endpoint would get a request as soon as a large one
    /// has one; with a whole one in its place it would get none until the large one is full.
    fn compare_load(&self, other: &Self) -> Ordering {
        let cross =
            |one: &Self, other: &Self| (2 * u128::from(one.load) + 1) * u128::from(other.weight);
        cross(self, other).cmp(&cross(other, self))
    }

    /// The latency to reckon with, in microseconds. Not measured is next to nothing, so that it gets measured, until
    /// some are on their way to do so; then next to forever, since none of them has come back.
    fn assumed_latency_us(&self) -> u32 {
        match self.latency_us {
            0 if self.load < UNMEASURED_LOAD_MAX => 1,
            0 => u32::MAX,
            measured => measured,
        }
    }

    /// How long a request would take that waits for all before it, for its weight.
    fn compare_wait(&self, other: &Self) -> Ordering {
        let cross = |one: &Self, other: &Self| {
            u128::from(one.assumed_latency_us())
                * (u128::from(one.load) + 1)
                * u128::from(other.weight)
        };
        cross(self, other).cmp(&cross(other, self))
    }
}

/// What one upstream remembers on one shard from choice to choice.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    robin: RoundRobin,
}

impl Turn {
    /// The index of the endpoint that is next; `None` if none is usable.
    ///
    /// `ring` and `key` are for [`Strategy::Hash`]; where one is missing, the weighted least connections decide.
    /// `dice` is any number that was drawn for this choice. Allocates only when the number of endpoints grows.
    pub fn choose(
        &mut self,
        strategy: Strategy,
        views: &[View],
        ring: Option<&Ring>,
        key: Option<u64>,
        dice: u64,
    ) -> Option<usize> {
        match (strategy, ring, key) {
            (Strategy::RoundRobin | Strategy::WeightedRoundRobin, ..) => {
                self.in_turn(views, View::is_usable)
            }
            (Strategy::PeakEwma, ..) => quicker_of_two(views, dice),
            (Strategy::Hash, Some(ring), Some(key)) => nearest_with_room(views, ring, key),
            (Strategy::LeastConnections | Strategy::WeightedLeastConnections, ..)
            | (Strategy::Hash, ..) => self.least_loaded(views),
        }
    }

    fn in_turn(&mut self, views: &[View], may: impl Fn(&View) -> bool) -> Option<usize> {
        self.robin.next_of(views.iter().map(|view| view.weight), |index| may(&views[index]))
    }

    /// The one with the least in flight for its weight; of those that are alike, in turn.
    fn least_loaded(&mut self, views: &[View]) -> Option<usize> {
        let (_, least) = usable(views).min_by(|(_, one), (_, other)| one.compare_load(other))?;
        // Where nothing is in flight the counts say nothing, and would always name the one with the greatest weight.
        if least.load == 0 && usable(views).all(|(_, view)| view.load == 0) {
            return self.in_turn(views, View::is_usable);
        }
        self.in_turn(views, |view| view.is_usable() && view.compare_load(least).is_eq())
    }
}

/// Those that may be chosen, with their places.
fn usable(views: &[View]) -> impl Iterator<Item = (usize, &View)> {
    views.iter().enumerate().filter(|(_, view)| view.is_usable())
}

/// Draws two different ones by weight and takes the one with the shorter wait.
///
/// Two are enough to keep away from slow ones, and few enough that not everybody runs to the one that was last seen
/// to be quick.
fn quicker_of_two(views: &[View], dice: u64) -> Option<usize> {
    let sum: u64 = usable(views).map(|(_, view)| u64::from(view.weight)).sum();
    // The dice as a fraction of 1: its whole part times the sum is a place, what is left is the next dice.
    let (dice, place) = dice.carrying_mul(sum, 0);
    let (first, one) = drawn(usable(views), place)?;
    let (_, place) = dice.carrying_mul(sum - u64::from(one.weight), 0);
    match drawn(usable(views).filter(|(index, _)| *index != first), place) {
        Some((second, other)) if other.compare_wait(one).is_lt() => Some(second),
        _ => Some(first),
    }
}

/// The one at a place on the line on which each is as long as its weight.
fn drawn<'v>(
    mut from: impl Iterator<Item = (usize, &'v View)>,
    mut place: u64,
) -> Option<(usize, &'v View)> {
    from.find(|(_, view)| match place.checked_sub(u64::from(view.weight)) {
        Some(beyond) => {
            place = beyond;
            false
        }
        None => true,
    })
}

/// The one that is nearest to the key of those that have room for it.
fn nearest_with_room(views: &[View], ring: &Ring, key: u64) -> Option<usize> {
    let sums = usable(views).fold((0, 0), |(load, weight): (u64, u64), (_, view)| {
        (load + u64::from(view.load), weight + u64::from(view.weight))
    });
    usable(views)
        .filter(|(_, view)| ring.has_room((view.load, view.weight), sums))
        .map(|(index, view)| (index, ring.distance(index, key, view.weight)))
        .min_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(index, _)| index)
}

/// The one to resort to when none is usable; `None` if none could serve whatever happens.
///
/// First those that only asked for a pause, then those that did worse than the others, those whose breaker is open,
/// those whose checks fail, those that refuse our credential; of the same kind the one with the least in flight for its
/// weight, then the first.
#[must_use]
pub fn least_bad(views: &[View]) -> Option<usize> {
    let (index, _) = views
        .iter()
        .enumerate()
        .filter(|(_, view)| view.weight > 0 && view.standing.badness().is_some())
        .min_by(|(_, one), (_, other)| {
            let badness = one.standing.badness().cmp(&other.standing.badness());
            badness.then_with(|| one.compare_load(other))
        })?;
    Some(index)
}

/// What a strategy sees in an endpoint, for people to read: the lower, the sooner it is chosen. Always finite; an endpoint
/// without a weight counts as having the least there is, and its standing says that it is never chosen.
///
/// - in turn: 1 / weight, which is how often its turn comes;
/// - least connections, and hash before it knows a key: (in flight + 1/2) / weight; of those alike, in turn;
/// - peak EWMA: microseconds of latency x (in flight + 1) / weight, where an endpoint without a latency counts
///   as 1 us, and with more than a few requests in flight as 71 minutes. Only two endpoints are compared at a time.
///
/// The weight is that of the config, less in slow start.
#[must_use]
pub fn score(strategy: Strategy, view: &View) -> f64 {
    let cost = match strategy {
        Strategy::RoundRobin | Strategy::WeightedRoundRobin => 1.0,
        Strategy::LeastConnections | Strategy::WeightedLeastConnections | Strategy::Hash => {
            f64::from(view.load) + 0.5
        }
        Strategy::PeakEwma => f64::from(view.assumed_latency_us()) * (f64::from(view.load) + 1.0),
    };
    cost * 100.0 / f64::from(view.weight.max(1))
}

#[cfg(test)]
mod tests;
