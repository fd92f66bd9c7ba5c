//! The part of an explanation that says which endpoint gets the request: how each stands, what the balance sees in it, and why
//! it is chosen or not.

use std::fmt;
use std::time::Duration;

use crate::admission::Caller;
use crate::balance::choose;
use crate::balance::choose::Standing;
use crate::balance::choose::Strategy;
use crate::balance::choose::Turn;
use crate::balance::choose::View;
use crate::balance::deadline;
use crate::balance::hash;
use crate::balance::load;
use crate::snapshot::AllDown;
use crate::snapshot::Endpoint;
use crate::snapshot::HashBy;
use crate::snapshot::Model;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;
use crate::snapshot::explain::Asked;
use crate::snapshot::explain::near::Nearness;
use crate::snapshot::explain::shown::Choice;
use crate::units::SlotId;
use crate::wire::head::is_same_name;

/// Weights of the config in the hundredths that the balance counts in.
const WEIGHT_UNIT: u32 = 100;

/// How an endpoint is at the moment of the question: what shards know beyond the snapshot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// What its health says.
    pub standing: Standing,
    /// How long that lasts, where it is known.
    pub left: Option<Duration>,
    /// Attempts in flight on all shards.
    pub in_flight: u32,
    /// Places that are taken, where the upstream has `max_in_flight`.
    pub places: u32,
    /// How long it has been there, or been well again.
    pub age: Duration,
    /// How long it usually takes to its first byte, whatever it is asked.
    pub pace: Option<Duration>,
    /// Half of the first bytes came within this.
    pub p50: Option<Duration>,
    /// 95 of 100 did.
    pub p95: Option<Duration>,
    /// 99 of 100 did.
    pub p99: Option<Duration>,
    /// From how many attempts this is known.
    pub samples: u32,
}

/// Says how the endpoint with a slot is now; none: that is not known, for no running gateway was asked.
#[derive(Clone, Copy, Default)]
pub struct Look<'a>(pub Option<&'a dyn Fn(SlotId) -> Seen>);

impl fmt::Debug for Look<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_some() { "Look(..)" } else { "Look(none)" })
    }
}

/// Who may get a request.
pub(super) struct Candidates<'s> {
    upstream: &'s Upstream,
    endpoints: Vec<&'s Endpoint>,
    seen: Vec<Option<Seen>>,
    views: Vec<View>,
    /// Which of them are near; none: all are alike.
    nearness: Option<Nearness<'s>>,
    /// What leads it to one endpoint; none: nothing, or it is not known here.
    key: Option<u64>,
    has_fallback: bool,
}

/// Which endpoint is asked first.
enum First {
    /// This one, whatever the others are like.
    Probe(usize),
    /// This one, by the strategy.
    Best(usize),
    /// Each when its turn comes.
    InTurn,
    /// That depends on what is in flight and how quick they are, which is not known here.
    Unknown,
    /// This one, though it is not usable.
    LeastBad(usize),
    /// None.
    Nobody,
}

impl<'s> Candidates<'s> {
    /// The endpoints of `upstream` as `look` finds them.
    pub(super) fn new(
        snapshot: &'s Snapshot,
        upstream: &'s Upstream,
        key: Option<u64>,
        look: Look<'_>,
    ) -> Self {
        let endpoints: Vec<_> =
            upstream.endpoints.iter().map(|id| snapshot.endpoint(*id)).collect();
        let seen: Vec<_> =
            endpoints.iter().map(|endpoint| look.0.map(|look| look(endpoint.slot))).collect();
        let weights = upstream.weights.iter().copied();
        let views = endpoints.iter().zip(weights).zip(&seen).enumerate();
        let mut views: Vec<View> = views
            .map(|(index, ((endpoint, weight), seen))| {
                view((upstream, index), endpoint, weight, *seen)
            })
            .collect();
        let nearness = Nearness::narrow(upstream, &seen, &mut views);
        Self { upstream, endpoints, seen, views, nearness, key, has_fallback: false }
    }

    /// There is another model to ask, which comes before one that is not usable.
    pub(super) const fn before_fallback(mut self, has_fallback: bool) -> Self {
        self.has_fallback = has_fallback;
        self
    }

    /// Whether any of them may be asked now.
    pub(super) fn is_any_usable(&self) -> bool {
        self.views.iter().any(|view| matches!(view.standing, Standing::Usable | Standing::Due))
    }

    /// The index of the one that is asked though none is usable, if one is.
    pub(super) fn resort(&self) -> Option<usize> {
        match self.first() {
            First::LeastBad(index) => Some(index),
            _ => None,
        }
    }

    /// All of them, in the order of the config. `path` is what is asked for there.
    pub(super) fn shown(&self, model: &Model, path: &str) -> Vec<Choice> {
        let total: u64 = self.views.iter().map(|view| u64::from(view.weight)).sum();
        let first = self.first();
        let all = self.endpoints.iter().zip(&self.views).zip(&self.seen).enumerate();
        all.map(|(index, ((endpoint, view), seen))| {
            let score = choose::score(self.upstream.strategy, view);
            let of = &model.deadlines;
            let (p99, samples) = seen.map_or((None, 0), |seen| (seen.p99, seen.samples));
            let wait = deadline::attempt(of.attempt, of.adaptive.as_ref(), p99, samples);
            Choice {
                url: format!("{}{path}", endpoint.url),
                percent: u64::from(view.weight) * 100 / total.max(1),
                addresses: endpoint.addresses.iter().map(ToString::to_string).collect(),
                state: match seen {
                    None if view.standing == Standing::Usable => "unknown",
                    _ => view.standing.label(),
                },
                score: (view.weight > 0).then_some(score),
                in_flight: seen.map(|seen| seen.in_flight),
                attempt_deadline_ms: wait.map(|wait| wait.as_millis()),
                tier: self.nearness.as_ref().map(|near| near.tier(index)),
                is_first: first.is(index),
                why: self.why(index, &first),
            }
        })
        .collect()
    }

    fn first(&self) -> First {
        let is_due = |index: &usize| {
            let is_in_reach = self.nearness.as_ref().is_none_or(|near| near.is_in_reach(*index));
            is_in_reach && self.views[*index].standing == Standing::Due
        };
        if let Some(due) = (0..self.views.len()).find(is_due) {
            return First::Probe(due);
        }
        if self.is_any_usable() {
            let strategy = self.upstream.strategy;
            if matches!(strategy, Strategy::RoundRobin | Strategy::WeightedRoundRobin) {
                return First::InTurn;
            }
            let is_by_key = strategy == Strategy::Hash && self.key.is_some();
            if !is_by_key && self.seen.iter().all(Option::is_none) {
                return First::Unknown;
            }
            let best = match strategy {
                Strategy::PeakEwma => self.lowest(),
                _ => {
                    let ring = self.upstream.hash.as_ref().map(|hash| &hash.ring);
                    Turn::default().choose(strategy, &self.views, ring, self.key, 0)
                }
            };
            return best.map_or(First::Nobody, First::Best);
        }
        let may_be_bad = self.upstream.all_down == AllDown::LeastBad && !self.has_fallback;
        if !may_be_bad || self.is_any_full() {
            return First::Nobody;
        }
        choose::least_bad(&self.views).map_or(First::Nobody, First::LeastBad)
    }

    /// Whether one that is well has no place left.
    pub(super) fn is_any_full(&self) -> bool {
        self.views.iter().any(|view| view.standing == Standing::Full)
    }

    /// The usable one with the lowest score.
    fn lowest(&self) -> Option<usize> {
        let score = |index: &usize| choose::score(self.upstream.strategy, &self.views[*index]);
        let usable = |index: &usize| self.views[*index].standing == Standing::Usable;
        let all = (0..self.views.len()).filter(usable);
        all.min_by(|one, other| score(one).total_cmp(&score(other)))
    }

    /// Why an endpoint is asked first or not.
    fn why(&self, index: usize, first: &First) -> String {
        let standing = self.views[index].standing;
        match first {
            First::Probe(probe) if *probe == index => {
                return "It gets the request, to find out whether it is well again.".to_owned();
            }
            First::LeastBad(least) if *least == index => {
                return format!("None is usable, and it is the least bad. {}", standing.explain());
            }
            _ => {}
        }
        if let Some(near) = &self.nearness {
            let places = self.seen[index].map_or(0, |seen| seen.places);
            match standing {
                Standing::Far => return near.why_far(index),
                Standing::Full if near.is_full_of_others(index, places) => {
                    return "It has as many requests of other zones as it takes.".to_owned();
                }
                _ => {}
            }
        }
        if standing != Standing::Usable {
            let left = self.seen[index].and_then(|seen| seen.left);
            let left = left
                .map_or_else(String::new, |left| format!(" For another {} ms.", left.as_millis()));
            return format!("{}{left}", standing.explain());
        }
        let why = self.why_usable(index, first);
        match self.nearness.as_ref().and_then(Nearness::why_so_far) {
            Some(so_far) => format!("{why} {so_far}"),
            None => why.to_owned(),
        }
    }

    fn why_usable(&self, index: usize, first: &First) -> &'static str {
        let is_best = matches!(first, First::Best(best) if *best == index);
        match (first, self.upstream.strategy, self.key) {
            (First::Probe(_), ..) => "Another one is tried first: is it well again?",
            (First::InTurn, ..) => "Its turn comes in proportion to its weight.",
            (First::Unknown, ..) => "Whether it is chosen depends on how the endpoints are now.",
            (_, Strategy::PeakEwma, _) if is_best => {
                "It is chosen whenever it is one of the two that are drawn."
            }
            (_, Strategy::PeakEwma, _) => {
                "It is chosen where the other one that is drawn has a higher score."
            }
            (_, Strategy::Hash, Some(_)) if is_best => {
                "It is nearest to the request's key of those that have room."
            }
            (_, Strategy::Hash, Some(_)) => "Another one is nearer to the request's key.",
            _ if is_best => "It has the lowest score; of several that have, each in turn.",
            _ => "Another one has a lower score, or has its turn first.",
        }
    }
}

impl First {
    fn is(&self, index: usize) -> bool {
        match self {
            Self::Probe(first) | Self::Best(first) | Self::LeastBad(first) => *first == index,
            Self::InTurn | Self::Unknown | Self::Nobody => false,
        }
    }
}

/// What the balance looks at. Of what is not known, nothing is wrong.
fn view(
    (upstream, index): (&Upstream, usize),
    endpoint: &Endpoint,
    weight: u32,
    seen: Option<Seen>,
) -> View {
    let weight = weight.saturating_mul(WEIGHT_UNIT);
    let is_full = |seen: &Seen| upstream.places_max(index).is_some_and(|max| seen.places >= max);
    let standing = match seen {
        _ if endpoint.addresses.is_empty() => Standing::NoAddress,
        _ if weight == 0 => Standing::Weightless,
        Some(seen) if seen.standing == Standing::Usable && is_full(&seen) => Standing::Full,
        seen => seen.map_or(Standing::Usable, |seen| seen.standing),
    };
    View {
        weight: seen.map_or(weight, |seen| load::slow_start(weight, seen.age, upstream.slow_start)),
        load: seen.map_or(0, |seen| seen.in_flight),
        latency_us: seen
            .and_then(|seen| seen.p50)
            .map_or(0, |half| u32::try_from(half.as_micros()).unwrap_or(u32::MAX)),
        standing,
    }
}

/// The key that leads a request to an endpoint, and how it is come by, in words.
pub(super) fn key(
    snapshot: &Snapshot,
    upstream: &Upstream,
    asked: &Asked<'_>,
    caller: &Caller,
) -> Option<(Option<u64>, String)> {
    let by = &upstream.hash.as_ref()?.by;
    let tenant = caller.tenant.and_then(|tenant| snapshot.admission.tenant(tenant));
    let (what, value) = match by {
        HashBy::Header(name) => {
            let value = asked.fields.iter().find(|(other, _)| is_same_name(other, name));
            (format!("the field {name}"), value.map(|(_, value)| &**value))
        }
        HashBy::Tenant => ("the tenant".to_owned(), tenant.map(|tenant| &*tenant.name)),
        HashBy::User => ("the user".to_owned(), caller.user()),
        HashBy::Prompt { bytes } => (format!("the first {bytes} bytes of the prompt"), None),
    };
    let text = match (value, by) {
        (Some(_), _) => format!("{what} says which endpoint it belongs to"),
        (None, HashBy::Prompt { .. } | HashBy::User) => format!(
            "{what} says which endpoint it belongs to, and is in the body, which is not asked with: \
             shown is who has the least in flight"
        ),
        (None, _) => format!("{what} would say which endpoint it belongs to, and is not there"),
    };
    Some((value.map(|value| hash::key(value.as_bytes())), text))
}
