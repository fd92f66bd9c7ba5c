//! Numbers that outlive a snapshot: whatever is the same as before keeps its own, and what is in no snapshot any more that anybody
//! holds leaves its number to others.

use crate::admission::limit::Scope;
use crate::config::Count;
use crate::snapshot::Endpoint;
use crate::snapshot::keys::Kept;
use crate::snapshot::numbers::Given;
use crate::snapshot::numbers::Numbers;
use crate::snapshot::rules;
use crate::units::GroupId;
use crate::units::LaneId;
use crate::units::QuotaId;
use crate::units::SlotId;
use rustls::ClientConfig;
use rustls::RootCertStore;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// The most (model, upstream) pairs at a time: each has a fixed page of counters on every shard.
pub const LANES_MAX: usize = 1024;

/// The most endpoints at a time, those included that are gone and that some request may still hold.
pub const SLOTS_MAX: usize = 65_536;

/// One in so many slots is kept for endpoints that are gone and may come back, before it goes to another.
const SLOTS_KEPT_PART: usize = 64;

/// The most limits in the life of a process: each has a fixed place where its use is counted.
pub const QUOTAS_MAX: usize = 1 << 19;

/// The numbers given out so far.
#[derive(Debug)]
pub struct Ledger {
    /// The keys of the newest snapshot.
    pub(super) keys: Option<Kept>,
    /// Its rules.
    pub(super) rules: Option<rules::Kept>,
    /// The endpoints of the newest snapshot.
    pub(super) newest: Vec<Arc<Endpoint>>,
    quotas: HashMap<Quota, QuotaId>,
    lanes: Numbers<(String, String)>,
    slots: Numbers<SlotKey>,
    groups: HashMap<Group, GroupId>,
    groups_given: u32,
    /// When a model was first seen, in seconds since 1970.
    created: HashMap<String, u64>,
    trusts: Vec<Trust>,
    trusts_given: u64,
}

/// What makes an endpoint the same endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SlotKey {
    pub(super) upstream: String,
    pub(super) url: String,
    /// The number of its [`Trust`], where it has TLS.
    pub(super) trust: Option<u64>,
}

/// What makes places at endpoints the same places: whoever waits for one of them may take any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Group {
    pub(super) slots: Vec<SlotId>,
    pub(super) max_in_flight: Option<u32>,
    pub(super) connections_max: Option<u32>,
}

/// What makes a limit the same limit: what was used of it stays used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Quota {
    scope: Scope,
    name: Box<str>,
    count: Count,
}

/// One set of roots and the TLS configuration made from it.
#[derive(Debug)]
struct Trust {
    number: u64,
    roots: RootCertStore,
    config: Arc<ClientConfig>,
}

impl Ledger {
    /// With room for so many endpoints and so many (model, upstream) pairs at a time; at most [`SLOTS_MAX`] and [`LANES_MAX`].
    #[must_use]
    pub fn with_room(slots: usize, lanes: usize) -> Self {
        let (slots, lanes) = (slots.min(SLOTS_MAX), lanes.min(LANES_MAX));
        Self {
            keys: None,
            rules: None,
            newest: Vec::new(),
            quotas: HashMap::new(),
            // Counters of pairs that are gone are shown as long as nobody else needs them.
            lanes: Numbers::new(lanes, lanes),
            slots: Numbers::new(slots, slots / SLOTS_KEPT_PART),
            groups: HashMap::new(),
            groups_given: 0,
            created: HashMap::new(),
            trusts: Vec::new(),
            trusts_given: 0,
        }
    }

    /// Says which slots and lanes are in a snapshot that anybody holds, or in a record that was not read yet: all others
    /// may stand for something else in the next snapshot. To be called with what holds at the very moment before [`super::build`].
    pub fn note_held(
        &mut self,
        is_slot_held: impl Fn(SlotId) -> bool,
        is_lane_held: impl Fn(LaneId) -> bool,
    ) {
        self.slots.note_held(|number| is_slot_held(SlotId(number)));
        self.lanes.note_held(|number| is_lane_held(LaneId(number)));
    }

    /// Why these pairs cannot all have a lane, if they cannot.
    pub(super) fn want_of_lanes<'a>(
        &self,
        pairs: impl Iterator<Item = &'a (String, String)>,
    ) -> Option<String> {
        let (most, held) = (self.lanes.most(), self.lanes.held());
        (!self.lanes.has_room_for(pairs)).then(|| {
            format!(
                "there are counters for {most} pairs of model and upstream, and {held} are served, or held by requests that \
                 began before: name fewer, or wait until these requests are over, or restart it"
            )
        })
    }

    /// Why these endpoints cannot all have a slot, if they cannot.
    pub(super) fn want_of_slots<'a>(
        &self,
        keys: impl Iterator<Item = &'a SlotKey>,
    ) -> Option<String> {
        let (most, held) = (self.slots.most(), self.slots.held());
        (!self.slots.has_room_for(keys)).then(|| {
            format!(
                "there is room for {most} endpoints, and {held} are served, or held by requests that began before: name \
                 fewer, or wait until these requests are over, or set RINGWAY_ENDPOINTS_MAX (up to {SLOTS_MAX})"
            )
        })
    }

    /// The lane of a (model, upstream) pair, and its generation. Ask [`Self::want_of_lanes`] first.
    pub(super) fn lane(&mut self, pair: &(String, String)) -> (LaneId, u32) {
        let Given { number, generation } = self.lanes.give(pair).expect("there was room");
        (LaneId(number), generation)
    }

    /// The slot of an endpoint, and its generation. Ask [`Self::want_of_slots`] first.
    pub(super) fn slot(&mut self, key: &SlotKey) -> (SlotId, u32) {
        let Given { number, generation } = self.slots.give(key).expect("there was room");
        (SlotId(number), generation)
    }

    /// Whether an endpoint of the newest snapshot has the slot still that one of this upstream with this trust would get.
    pub(super) fn is_still(&self, endpoint: &Endpoint, upstream: &str, trust: Option<u64>) -> bool {
        let given = Given { number: endpoint.slot.0, generation: endpoint.generation };
        self.slots.has(given, |key| {
            key.upstream == upstream && key.trust == trust && key.url == endpoint.url
        })
    }

    pub(super) fn group(&mut self, group: Group) -> GroupId {
        *self.groups.entry(group).or_insert_with(|| {
            self.groups_given = self.groups_given.wrapping_add(1);
            GroupId(self.groups_given)
        })
    }

    /// Forgets the groups that the newest snapshot does not have.
    pub(super) fn keep_groups(&mut self, used: &HashSet<GroupId>) {
        self.groups.retain(|_, group| used.contains(group));
    }

    /// The number of a limit; none: there is no place left.
    pub(super) fn quota(&mut self, scope: Scope, name: &str, count: Count) -> Option<QuotaId> {
        let next = self.quotas.len();
        match self.quotas.entry(Quota { scope, name: name.into(), count }) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(_) if next >= QUOTAS_MAX => None,
            Entry::Vacant(new) => Some(*new.insert(QuotaId(self::count(next)))),
        }
    }

    /// How many limits have a number.
    pub(super) fn quotas_given(&self) -> usize {
        self.quotas.len()
    }

    /// Takes back the numbers of limits from the `given`th on: the snapshot they were for was not made.
    pub(super) fn take_quotas_back(&mut self, given: usize) {
        if self.quotas.len() > given {
            self.quotas.retain(|_, id| id.index() < given);
        }
    }

    pub(crate) fn created(&mut self, model: &str, now_unix_s: u64) -> u64 {
        *self.created.entry(model.to_owned()).or_insert(now_unix_s)
    }

    /// The configuration that trusts exactly `roots`, and its number.
    ///
    /// # Errors
    /// What rustls says where it cannot be made.
    pub(crate) fn trust(
        &mut self,
        roots: &RootCertStore,
    ) -> Result<(u64, Arc<ClientConfig>), rustls::Error> {
        if let Some(trust) = self.trusts.iter().find(|trust| trust.roots.roots == roots.roots) {
            return Ok((trust.number, Arc::clone(&trust.config)));
        }
        let config = Arc::new(super::tls::client_config(roots)?);
        self.trusts_given += 1;
        let number = self.trusts_given;
        self.trusts.push(Trust { number, roots: roots.clone(), config: Arc::clone(&config) });
        Ok((number, config))
    }

    /// Forgets the configurations that the newest snapshot does not use.
    pub(crate) fn keep_trusts(&mut self, used: &[u64]) {
        self.trusts.retain(|trust| used.contains(&trust.number));
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::with_room(SLOTS_MAX, LANES_MAX)
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).expect("fewer than 2^32 were given out")
}
