//! What sources have said, and what is believed of it: pure, the time is an argument.
//!
//! - A source that fails has its last answer kept for `keep_ms`, marked as stale.
//! - An answer that would leave an upstream fewer endpoints than `minimum_healthy` is not believed at once: what it leaves out is
//!   kept as stale, for `keep_ms` at most.
//! - An endpoint that comes and goes too often stays away for a while, unless it is needed for `minimum_healthy`.
//! - Changes that come together are given out together.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::config::Endpoint;
use crate::config::Upstream;
use crate::control::discover::flaps::Flaps;
use crate::control::metrics::SourceNumbers;

/// Changes are given out when nothing more has come for so long,
const SETTLE: Duration = Duration::from_millis(20);
/// and so long after the first of them at the latest.
const SETTLE_MAX: Duration = Duration::from_millis(200);

/// One source of one upstream, in one datacenter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::control) struct SourceId {
    /// The upstream's name in the file.
    pub(in crate::control) upstream: String,
    /// What the file says of the source, in short: `DiscoverSource::describe`.
    pub(in crate::control) entry: String,
    /// Consul's datacenter, where the file names some.
    pub(in crate::control) datacenter: Option<String>,
}

/// What is found, by upstream. An endpoint that is the same as before is the same `Arc`.
type Found = BTreeMap<String, Vec<Arc<Endpoint>>>;

/// What is believed.
#[derive(Debug, Default)]
pub(in crate::control) struct Board {
    upstreams: BTreeMap<String, Served>,
    sources: BTreeMap<SourceId, Source>,
    /// When it was looked at last.
    seen: Option<Instant>,
    /// What was given out last.
    given: Found,
    /// When the first change that is not given out yet was seen, and the last.
    changed: Option<(Instant, Instant)>,
    /// When the first change came of those that were given out and not asked after yet.
    since: Option<Instant>,
    /// What it will be once it has settled.
    coming: Found,
}

/// What the file says of an upstream.
#[derive(Debug, Default)]
struct Served {
    minimum: usize,
    /// Urls that the file lists itself.
    own: BTreeSet<String>,
    /// In the order of `discover`, with how long what each has found is kept.
    entries: Vec<(String, Duration)>,
    flaps: Flaps,
    /// Urls of endpoints that stay away as of the last look, because they came and went too often.
    damped: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Source {
    known: Vec<Endpoint>,
    /// Left out by the last answer and kept all the same, until then.
    kept: Vec<(Endpoint, Instant)>,
    answered: Option<Instant>,
    /// Since when it fails, and why.
    trouble: Option<(Instant, String)>,
    answers: u64,
    failures: u64,
}

impl Board {
    /// Takes on what the file says. What is known of sources that it still names stays known.
    pub(in crate::control) fn want(&mut self, upstreams: &[Upstream], now: Instant) {
        let mut before = std::mem::take(&mut self.upstreams);
        for upstream in upstreams.iter().filter(|upstream| !upstream.discover.is_empty()) {
            let flaps = before.remove(&upstream.name).map(|before| before.flaps);
            let entry = |entry: &crate::config::Discover| (entry.source.describe(), entry.keep);
            let served = Served {
                minimum: usize::try_from(upstream.minimum_healthy).unwrap_or(usize::MAX),
                own: upstream.endpoints.iter().map(|endpoint| endpoint.url.text.clone()).collect(),
                entries: upstream.discover.iter().map(entry).collect(),
                flaps: flaps.unwrap_or_default().under(upstream.damping),
                damped: BTreeSet::new(),
            };
            self.upstreams.insert(upstream.name.clone(), served);
        }
        let upstreams = &self.upstreams;
        self.sources.retain(|id, _| {
            let served = upstreams.get(&id.upstream);
            served.is_some_and(|served| served.entries.iter().any(|(entry, _)| *entry == id.entry))
        });
        self.look(now);
    }

    /// A source is asked from now on. Until it answers it is one that is not up.
    pub(in crate::control) fn expect(&mut self, id: SourceId) {
        self.sources.entry(id).or_default();
    }

    /// Forgets a source: nobody asks it any more.
    pub(in crate::control) fn forget(&mut self, id: &SourceId, now: Instant) {
        self.sources.remove(id);
        self.look(now);
    }

    /// A source has said something.
    pub(in crate::control) fn note(
        &mut self,
        id: SourceId,
        answer: Result<Vec<Endpoint>, String>,
        now: Instant,
    ) {
        let (keep, upstream) = (self.keep(&id), id.upstream.clone());
        match answer {
            Ok(endpoints) => self.learn(&id, endpoints, now, keep),
            Err(why) => {
                let source = self.sources.entry(id.clone()).or_default();
                source.failures += 1;
                if source.trouble.is_none() {
                    let (kept, source) = (source.believed(keep, now).count(), id.describe());
                    tracing::warn!(
                        upstream = id.upstream,
                        source,
                        why,
                        kept,
                        "a source cannot be asked"
                    );
                }
                let source = self.sources.entry(id).or_default();
                let since = source.trouble.as_ref().map_or(now, |(since, _)| *since);
                source.trouble = Some((since, why));
            }
        }
        let is_changed = self.look_at(&upstream, now);
        self.mark(is_changed, now);
    }

    fn learn(&mut self, id: &SourceId, endpoints: Vec<Endpoint>, now: Instant, keep: Duration) {
        let is_enough = self.is_enough(id, &endpoints, now);
        let source = self.sources.entry(id.clone()).or_default();
        source.answers += 1;
        source.answered = Some(now);
        if source.trouble.take().is_some() {
            let (found, source) = (endpoints.len(), id.describe());
            tracing::info!(upstream = id.upstream, source, found, "a source can be asked again");
        }
        let before = std::mem::replace(&mut source.known, endpoints);
        if is_enough {
            source.kept.clear();
            return;
        }
        let known = &source.known;
        let is_gone = |endpoint: &Endpoint| known.iter().all(|known| known.url != endpoint.url);
        source.kept.retain(|(endpoint, _)| is_gone(endpoint));
        let gone: Vec<Endpoint> = before.into_iter().filter(is_gone).collect();
        if !gone.is_empty() {
            let (kept, source) = (gone.len(), id.describe());
            tracing::warn!(
                upstream = id.upstream,
                source,
                kept,
                "a source says suddenly that too little is there: what was there is kept"
            );
        }
        source.kept.extend(gone.into_iter().map(|endpoint| (endpoint, now + keep)));
    }

    /// Whether the upstream has as many endpoints as it must have, if this source finds these.
    fn is_enough(&self, id: &SourceId, endpoints: &[Endpoint], now: Instant) -> bool {
        let Some(served) = self.upstreams.get(&id.upstream) else { return true };
        let mut urls: BTreeSet<&str> = served.own.iter().map(String::as_str).collect();
        urls.extend(endpoints.iter().map(|endpoint| endpoint.url.text.as_str()));
        let others = self.sources.iter();
        let others = others.filter(|(other, _)| other.upstream == id.upstream && *other != id);
        for (other, source) in others {
            let keep = self.keep(other);
            let believed = source.believed(keep, now).filter(|(_, is_stale)| !is_stale);
            urls.extend(believed.map(|(endpoint, _)| endpoint.url.text.as_str()));
        }
        urls.len() >= served.minimum
    }

    /// When to look again, if nobody says anything before.
    pub(in crate::control) fn due(&self) -> Option<Instant> {
        let settled = self.changed.map(|(first, last)| (last + SETTLE).min(first + SETTLE_MAX));
        settled.into_iter().chain(self.ends()).min()
    }

    /// When something ends by itself that was not over at the last look.
    fn ends(&self) -> impl Iterator<Item = Instant> {
        let kept = self.sources.iter().flat_map(|(id, source)| {
            let failing = source.trouble.as_ref().map(|(since, _)| *since + self.keep(id));
            failing.into_iter().chain(source.kept.iter().map(|(_, until)| *until))
        });
        let held = self.upstreams.values().flat_map(|served| served.flaps.ends());
        kept.chain(held).filter(|at| self.seen.is_none_or(|seen| *at > seen))
    }

    /// What is found now, by upstream, if that is another than what was given out last and has settled.
    pub(in crate::control) fn take(
        &mut self,
        now: Instant,
    ) -> Option<HashMap<String, Vec<Arc<Endpoint>>>> {
        if self.ends().any(|at| at <= now) {
            self.look(now);
        }
        let (first, last) = self.changed?;
        if now < (last + SETTLE).min(first + SETTLE_MAX) {
            return None;
        }
        Some(self.found())
    }

    /// What is found by now, settled or not.
    pub(in crate::control) fn found(&mut self) -> HashMap<String, Vec<Arc<Endpoint>>> {
        let first = self.changed.take().map(|(first, _)| first);
        self.since = self.since.or(first);
        self.given = self.coming.clone();
        self.given.clone().into_iter().collect()
    }

    /// When the first change came of those given out since this was last asked.
    pub(in crate::control) fn since(&mut self) -> Option<Instant> {
        self.since.take()
    }

    /// Looks at everything as of `now`.
    fn look(&mut self, now: Instant) {
        self.seen = Some(now);
        let names: Vec<String> = self.upstreams.keys().cloned().collect();
        let is_gone = |name: &String| !self.upstreams.contains_key(name);
        let gone: Vec<String> = self.coming.keys().filter(|name| is_gone(name)).cloned().collect();
        let mut is_changed = false;
        for name in gone {
            is_changed |= self.coming.remove(&name).is_some();
        }
        for name in names {
            is_changed |= self.look_at(&name, now);
        }
        self.mark(is_changed, now);
    }

    /// Looks at one upstream as of `now`. Whether anything is another there.
    fn look_at(&mut self, name: &str, now: Instant) -> bool {
        let Some(mut served) = self.upstreams.remove(name) else { return false };
        let mut all = self.merged(name, &served, now);
        served.flaps.note(all.iter().map(|endpoint| endpoint.url.text.as_str()), now);
        let room = (all.len() + served.own.len()).saturating_sub(served.minimum);
        let damped = served.flaps.held(now, room);
        all.retain(|endpoint| !damped.contains(&endpoint.url.text));
        served.damped = damped;
        self.upstreams.insert(name.to_owned(), served);
        let before = self.coming.get(name).map_or(&[][..], Vec::as_slice);
        if before.iter().map(|endpoint| &**endpoint).eq(&all) {
            return false;
        }
        let all = shared(all, before);
        if all.is_empty() {
            self.coming.remove(name);
        } else {
            self.coming.insert(name.to_owned(), all);
        }
        true
    }

    fn mark(&mut self, is_changed: bool, now: Instant) {
        if is_changed {
            let first = self.changed.map_or(now, |(first, _)| first);
            self.changed = (self.coming != self.given).then_some((first, now));
        }
    }

    /// What all sources of an upstream have found, each endpoint once: as the first of them has it that is sure of it.
    fn merged(&self, name: &str, served: &Served, now: Instant) -> Vec<Endpoint> {
        let mut all: Vec<(&Endpoint, bool)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (entry, keep) in &served.entries {
            let of = |id: &SourceId| id.upstream == name && id.entry == *entry;
            let sources = self.sources.iter().filter(|(id, _)| of(id));
            for (endpoint, is_stale) in sources.flat_map(|(_, source)| source.believed(*keep, now))
            {
                let place = *places.entry(&endpoint.url.text).or_insert(all.len());
                match all.get_mut(place) {
                    None => all.push((endpoint, is_stale)),
                    Some(known) if known.1 && !is_stale => *known = (endpoint, is_stale),
                    Some(_) => {}
                }
            }
        }
        let found =
            |(endpoint, is_stale): (&Endpoint, bool)| Endpoint { is_stale, ..endpoint.clone() };
        all.into_iter().map(found).collect()
    }

    fn keep(&self, id: &SourceId) -> Duration {
        let served = self.upstreams.get(&id.upstream);
        let entry =
            served.and_then(|served| served.entries.iter().find(|(entry, _)| *entry == id.entry));
        entry.map_or(Duration::ZERO, |(_, keep)| *keep)
    }

    /// What is known of each source.
    pub(in crate::control) fn numbers(&self, now: Instant) -> Vec<SourceNumbers> {
        self.sources.iter().map(|(id, source)| self.number(id, source, now)).collect()
    }

    fn number(&self, id: &SourceId, source: &Source, now: Instant) -> SourceNumbers {
        let believed: Vec<(&Endpoint, bool)> = source.believed(self.keep(id), now).collect();
        let damped = self.upstreams.get(&id.upstream).map(|served| &served.damped);
        let is_damped = |url: &String| damped.is_some_and(|damped| damped.contains(url));
        let urls = believed.iter().map(|(endpoint, _)| &endpoint.url.text);
        SourceNumbers {
            upstream: id.upstream.clone(),
            source: id.describe(),
            is_up: source.answered.is_some() && source.trouble.is_none(),
            endpoints: believed.len() as u64,
            stale: believed.iter().filter(|(_, is_stale)| *is_stale).count() as u64,
            damped: urls.filter(|url| is_damped(url)).count() as u64,
            answers: source.answers,
            failures: source.failures,
            since_answer: source.answered.map(|at| now.saturating_duration_since(at)),
            trouble: source.trouble.as_ref().map(|(_, why)| why.clone()),
        }
    }
}

impl SourceId {
    /// For people.
    pub(in crate::control) fn describe(&self) -> String {
        match &self.datacenter {
            Some(datacenter) => format!("{}@{datacenter}", self.entry),
            None => self.entry.clone(),
        }
    }
}

impl Source {
    /// What is believed of what it has found, and whether that is stale.
    fn believed(&self, keep: Duration, now: Instant) -> impl Iterator<Item = (&Endpoint, bool)> {
        let since = self.trouble.as_ref().map(|(since, _)| *since);
        let is_over = since.is_some_and(|since| now >= since + keep);
        let known = self.known.iter().filter(move |_| !is_over);
        let known = known.map(move |endpoint| (endpoint, since.is_some()));
        let kept = self.kept.iter().filter(move |(_, until)| now < *until);
        known.chain(kept.map(|(endpoint, _)| (endpoint, true)))
    }
}

/// All of these; those that were there before, as they are shared already.
fn shared(all: Vec<Endpoint>, before: &[Arc<Endpoint>]) -> Vec<Arc<Endpoint>> {
    let known: HashMap<&str, &Arc<Endpoint>> =
        before.iter().map(|endpoint| (endpoint.url.text.as_str(), endpoint)).collect();
    let share = |endpoint: Endpoint| match known.get(endpoint.url.text.as_str()) {
        Some(known) if ***known == endpoint => Arc::clone(known),
        _ => Arc::new(endpoint),
    };
    all.into_iter().map(share).collect()
}

#[cfg(test)]
mod tests;
