//! Which version of a model a request gets, where who asks decides.

use crate::accept::incoming::Incoming;
use crate::admission::Caller;
use crate::llm::features;
use crate::record::Chosen;
use crate::route::Found;
use crate::route::Route;
use crate::route::Why;
use crate::route::versions;
use crate::route::versions::Split;
use crate::route::versions::Sticky;
use crate::shard::refusal::Refusal;
use crate::shard::refusal::no_version;
use crate::shard::refusal::unknown_model;
use crate::shard::refusal::unknown_version;
use crate::snapshot::Snapshot;
use crate::units::ModelId;

/// Who asks, as far as that leads to a version.
pub(super) struct Chooser<'r> {
    pub(super) request: &'r Incoming,
    pub(super) caller: &'r Caller,
    /// Any number, another one each time.
    pub(super) dice: &'r dyn Fn() -> u64,
}

/// Why a request got its version, as it is counted.
pub(super) const fn chosen(why: Why) -> Chosen {
    match why {
        Why::Exact => Chosen::Exact,
        Why::Range => Chosen::Range,
        Why::Label => Chosen::Label,
        Why::Split => Chosen::Split,
        Why::Match => Chosen::Match,
        Why::Sticky => Chosen::Sticky,
    }
}

/// A model, and why it is this version; none: nobody had to choose.
pub(super) type Picked = (ModelId, Option<Why>);

impl Chooser<'_> {
    /// The model called `name` or, if a path says which version, that one.
    pub(super) fn pick(
        &self,
        world: &Snapshot,
        name: &str,
        version: Option<&str>,
    ) -> Result<Picked, Box<Refusal>> {
        let found = match version {
            Some(version) => world.route.find_version(name, version),
            None => world.route.find(name),
        };
        match found {
            Found::Model(model, why) => Ok((model, why)),
            Found::Route(model, route) => {
                self.follow(world, model, route).ok_or_else(|| no_version(name))
            }
            Found::NoVersion => {
                let (name, spec) = version.map_or_else(
                    || name.rsplit_once('@').unwrap_or((name, "")),
                    |version| (name, version),
                );
                Err(unknown_version(name, spec))
            }
            Found::Nothing => {
                let called = version.map(|version| format!("{name}@{version}"));
                Err(unknown_model(world, called.as_deref().unwrap_or(name)))
            }
        }
    }

    /// Where the operator sends the request; none: that version is not there now.
    fn follow(&self, world: &Snapshot, model: ModelId, route: &Route) -> Option<Picked> {
        if !route.matches().is_empty() {
            let matching = self.request.with_head(|head| {
                route.matching(head.fields.iter().map(|field| (field.name, field.value)))
            });
            if let Some(matching) = matching {
                return Some((matching.model?, Some(Why::Match)));
            }
        }
        let Some(split) = route.split() else { return Some((model, None)) };
        let key = self.key(world, split);
        let dice = if key.is_none() { (self.dice)() } else { 0 };
        split.choose(key, dice).map(|(model, why)| (model, Some(why)))
    }

    /// What requests that are led to the same version have in common.
    fn key(&self, world: &Snapshot, split: &Split) -> Option<u64> {
        match split.sticky()? {
            Sticky::Tenant => {
                let tenant = world.admission.tenant(self.caller.tenant?)?;
                Some(versions::key(tenant.name.as_bytes()))
            }
            Sticky::User => match self.caller.user() {
                Some(user) => Some(versions::key(user.as_bytes())),
                None => features::user(self.request.body()),
            },
            Sticky::Field(name) => {
                self.request.with_head(|head| head.fields.get(name).map(versions::key))
            }
        }
    }
}
