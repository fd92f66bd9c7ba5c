//! Numbers that outlive a snapshot: whatever is the same as before keeps its own.

use crate::admission::limit::Scope;
use crate::config::Count;
use crate::snapshot::keys::Kept;
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

/// The most (model, upstream) pairs in the life of a process: each has a fixed page of counters on every shard.
pub const LANES_MAX: usize = 1024;

/// The most endpoints in the life of a process.
pub const SLOTS_MAX: usize = 65_536;

/// The most limits in the life of a process: each has a fixed place where its use is counted.
pub const QUOTAS_MAX: usize = 1 << 19;

/// The numbers given out so far.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The keys of the newest snapshot.
    pub(super) keys: Option<Kept>,
    quotas: HashMap<Quota, QuotaId>,
    lanes: HashMap<(String, String), LaneId>,
    slots: HashMap<SlotKey, SlotId>,
    groups: HashMap<Group, GroupId>,
    groups_given: u32,
    /// When a model was first seen, in seconds since 1970.
    created: HashMap<String, u64>,
    trusts: Vec<Trust>,
    trusts_given: u64,
}

/// What makes an endpoint the same endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SlotKey {
    upstream: String,
    url: String,
    /// The number of its [`Trust`], where it has TLS.
    trust: Option<u64>,
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
    /// Whether all of these pairs have a lane or can get one.
    pub(crate) fn has_room<'a>(&self, pairs: impl Iterator<Item = &'a (String, String)>) -> bool {
        let new: HashSet<_> = pairs.filter(|pair| !self.lanes.contains_key(*pair)).collect();
        self.lanes.len() + new.len() <= LANES_MAX
    }

    /// Whether `count` endpoints can get a slot even if all are new.
    pub(crate) fn has_slots_for(&self, count: usize) -> bool {
        self.slots.len() + count <= SLOTS_MAX
    }

    /// The lane of a (model, upstream) pair. Ask [`Self::has_room`] first.
    pub(crate) fn lane(&mut self, pair: (String, String)) -> LaneId {
        let next = LaneId(count(self.lanes.len()));
        *self.lanes.entry(pair).or_insert(next)
    }

    pub(crate) fn slot(&mut self, upstream: &str, url: &str, trust: Option<u64>) -> SlotId {
        let next = SlotId(count(self.slots.len()));
        let key = SlotKey { upstream: upstream.to_owned(), url: url.to_owned(), trust };
        *self.slots.entry(key).or_insert(next)
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

fn count(len: usize) -> u32 {
    u32::try_from(len).expect("fewer than 2^32 were given out")
}
