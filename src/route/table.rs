//! Which model a name means.

use std::collections::HashMap;
use std::collections::hash_map;

use foldhash::fast::FixedState;

use crate::route::versions::Route;
use crate::route::versions::Rules;
use crate::route::versions::Spec;
use crate::route::versions::Version;
use crate::route::versions::Versions;
use crate::route::versions::Why;
use crate::units::ModelId;

/// One model as the config names it. Its place among the entries is its [`ModelId`].
#[derive(Clone, Copy, Debug)]
pub struct Entry<'e> {
    /// Its name.
    pub name: &'e str,
    /// Its version, where the name has several or may get them.
    pub version: Option<&'e str>,
    /// Other names for this model.
    pub aliases: &'e [String],
    /// Whether the bare name means this version. Where no entry of a name says so, it means the one without a
    /// version, else the first.
    pub is_default: bool,
}

/// Two entries that claim the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Both have the same name and version.
    SameModel {
        /// The name, with the version if there is one.
        called: String,
        /// Index of the earlier entry.
        first: usize,
        /// Index of the later one.
        second: usize,
    },
    /// A request for this name (or alias, or name@version) would mean both.
    SameName {
        /// The name.
        called: String,
        /// Index of the entry that has it.
        first: usize,
        /// Index of the entry that wants it as well; the same one if it names itself twice.
        second: usize,
    },
    /// Both say that they are the default version of their name.
    TwoDefaults {
        /// The name.
        called: String,
        /// Index of the earlier entry.
        first: usize,
        /// Index of the later one.
        second: usize,
    },
    /// A name, alias or version is empty.
    EmptyName {
        /// Index of the entry.
        first: usize,
    },
    /// A version has an `@`, so that it would not be clear where the name before it ends.
    AtInVersion {
        /// Index of the entry.
        first: usize,
    },
}

impl Conflict {
    /// What is wrong and what to write, as the end of a sentence; `describe` says how the entry of an index is
    /// called there, such as `models[2]`.
    #[must_use]
    pub fn explain(&self, describe: impl Fn(usize) -> String) -> String {
        match self {
            Self::SameModel { called, first, second } => format!(
                "\"{called}\" is both {} and {}; give one of them another name or version",
                describe(*first),
                describe(*second)
            ),
            Self::SameName { called, first, second } if first == second => {
                format!("{} is called \"{called}\" twice; remove one of them", describe(*first))
            }
            Self::SameName { called, first, second } => format!(
                "\"{called}\" means both {} and {}; remove it from one of them",
                describe(*first),
                describe(*second)
            ),
            Self::TwoDefaults { called, first, second } => format!(
                "both {} and {} are the default version of \"{called}\"; leave it to one of them",
                describe(*first),
                describe(*second)
            ),
            Self::EmptyName { first } => {
                format!("{} has an empty name, alias or version; write one", describe(*first))
            }
            Self::AtInVersion { first } => {
                format!("{} has an \"@\" in its version; write it without", describe(*first))
            }
        }
    }
}

/// All names by which models can be asked for.
#[derive(Clone, Debug, Default)]
pub struct Table {
    names: HashMap<Box<str>, Named, FixedState>,
    families: Vec<Family>,
}

/// What a name or alias means.
#[derive(Clone, Copy, Debug)]
struct Named {
    model: ModelId,
    /// Index of the versions that can be asked for under this name.
    family: usize,
    /// Whether it is the name of all versions, and not another one for one of them.
    is_bare: bool,
    /// Whether who asks decides which version it is.
    is_decided: bool,
}

/// All versions of one name.
#[derive(Clone, Debug, Default)]
struct Family {
    versions: Versions,
    route: Option<Box<Route>>,
}

/// What a name leads to.
#[derive(Clone, Copy, Debug)]
pub enum Found<'t> {
    /// One model; and why it is this version, where a version was asked for.
    Model(ModelId, Option<Why>),
    /// Who asks decides; the model that it is where that says nothing.
    Route(ModelId, &'t Route),
    /// A model is called so, and no version of it is as is asked for, or is there now.
    NoVersion,
    /// No model is called so.
    Nothing,
}

impl Table {
    /// The table of these entries.
    ///
    /// # Errors
    ///
    /// All pairs of entries that claim the same thing.
    pub fn new(entries: &[Entry<'_>]) -> Result<Self, Vec<Conflict>> {
        let mut table = Self::default();
        let mut conflicts = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let texts = entry.aliases.iter().map(String::as_str).chain(entry.version);
            if texts.chain([entry.name]).any(str::is_empty) {
                conflicts.push(Conflict::EmptyName { first: index });
            }
            if entry.version.is_some_and(|version| version.contains('@')) {
                conflicts.push(Conflict::AtInVersion { first: index });
            }
            table.add_model(entries, index, &mut conflicts);
        }
        for (index, entry) in entries.iter().enumerate() {
            for alias in entry.aliases {
                table.add_alias(entry, alias, index, &mut conflicts);
            }
        }
        table.check_versions(&mut conflicts);
        if conflicts.is_empty() { Ok(table) } else { Err(conflicts) }
    }

    /// What `name` leads to: a name, an alias, or either with `@` and a version, a label or a range. Allocates nothing, but for a
    /// range.
    #[must_use]
    pub fn find(&self, name: &str) -> Found<'_> {
        let Some(named) = self.names.get(name) else {
            return match name.rsplit_once('@') {
                Some((name, spec)) => self.find_version(name, spec),
                None => Found::Nothing,
            };
        };
        let route = named.is_decided.then(|| self.families.get(named.family)?.route.as_deref());
        match route.flatten() {
            Some(route) => Found::Route(named.model, route),
            None => Found::Model(named.model, None),
        }
    }

    /// What `spec` leads to: a version, a label or a range of the model called `name`, a name or an alias.
    #[must_use]
    pub fn find_version(&self, name: &str, spec: &str) -> Found<'_> {
        let Some(named) = self.names.get(name) else { return Found::Nothing };
        let Some(family) = self.families.get(named.family) else { return Found::Nothing };
        if let Some(model) = family.versions.named(spec) {
            return Found::Model(model, Some(Why::Exact));
        }
        let of = |why| move |model| Found::Model(model, Some(why));
        if let Some(labelled) = family.route.as_ref().and_then(|route| route.label(spec)) {
            return labelled.map_or(Found::NoVersion, of(Why::Label));
        }
        match Spec::read(spec) {
            Spec::Range(range) => {
                let highest = family.versions.highest(&range);
                highest.map_or(Found::NoVersion, of(Why::Range))
            }
            Spec::Named(_) | Spec::Broken => Found::NoVersion,
        }
    }

    /// The version that `spec` is of the model called `name`, where no label means anything.
    #[must_use]
    pub fn fit(&self, name: &str, spec: &Spec<'_>) -> Option<ModelId> {
        let versions = &self.family(name)?.versions;
        match spec {
            Spec::Named(text) => versions.named(text),
            Spec::Range(range) => versions.highest(range),
            Spec::Broken => None,
        }
    }

    /// The versions of the model called `name`, in the order in which they were given.
    pub fn versions(&self, name: &str) -> impl Iterator<Item = &str> {
        self.family(name).into_iter().flat_map(|family| family.versions.texts())
    }

    /// What the operator has said of the versions of the model called `name`.
    #[must_use]
    pub fn route_of(&self, name: &str) -> Option<&Route> {
        self.family(name)?.route.as_deref()
    }

    /// Says which versions take requests: where it matters, those come first.
    pub fn open(&mut self, is_open: impl Fn(ModelId) -> bool) {
        for family in &mut self.families {
            family.versions.open(&is_open);
        }
    }

    /// Has requests for the model called `name` go as the operator says.
    pub fn lay(&mut self, name: &str, rules: Rules) {
        let Some(named) = self.names.get(name) else { return };
        let at = named.family;
        let Some(family) = self.families.get_mut(at) else { return };
        let route = Route::new(name, &family.versions, rules);
        for named in self.names.values_mut().filter(|named| named.family == at) {
            named.is_decided = named.is_bare && route.decides();
        }
        family.route = Some(Box::new(route));
    }

    /// The model called `name`, which may be a name, an alias, or either with `@` and a version. Allocates nothing.
    #[must_use]
    pub fn pick(&self, name: &str) -> Option<ModelId> {
        if let Some(named) = self.names.get(name) {
            return Some(named.model);
        }
        let (name, version) = name.rsplit_once('@')?;
        self.pick_version(name, version)
    }

    /// This version of the model called `name`, a name or an alias. Allocates nothing.
    #[must_use]
    pub fn pick_version(&self, name: &str, version: &str) -> Option<ModelId> {
        self.family(name)?.versions.named(version)
    }

    fn family(&self, name: &str) -> Option<&Family> {
        self.families.get(self.names.get(name)?.family)
    }

    fn add_model(&mut self, entries: &[Entry<'_>], index: usize, conflicts: &mut Vec<Conflict>) {
        let entry = entries[index];
        let model = model_id(index);
        let named = match self.names.entry(entry.name.into()) {
            hash_map::Entry::Vacant(place) => {
                let family = self.families.len();
                self.families.push(Family::default());
                place.insert(Named { model, family, is_bare: true, is_decided: false })
            }
            hash_map::Entry::Occupied(place) => {
                let named = place.into_mut();
                let rival = &entries[named.model.index()];
                if entry.is_default && rival.is_default {
                    conflicts.push(Conflict::TwoDefaults {
                        called: entry.name.to_owned(),
                        first: named.model.index(),
                        second: index,
                    });
                } else if rank(&entry) > rank(rival) {
                    named.model = model;
                }
                named
            }
        };
        let same = entries[..index]
            .iter()
            .position(|other| other.name == entry.name && other.version == entry.version);
        if let Some(first) = same {
            conflicts.push(Conflict::SameModel { called: full_name(&entry), first, second: index });
        } else if let Some(version) = entry.version {
            self.families[named.family].versions.add(Version::new(version, model));
        }
    }

    fn add_alias(
        &mut self,
        entry: &Entry<'_>,
        alias: &str,
        index: usize,
        conflicts: &mut Vec<Conflict>,
    ) {
        let Some(&Named { family, .. }) = self.names.get(entry.name) else { return };
        match self.names.entry(alias.into()) {
            hash_map::Entry::Vacant(place) => {
                // Of a model without a version it is another name for all that its name means.
                let is_bare = entry.version.is_none();
                let model = model_id(index);
                place.insert(Named { model, family, is_bare, is_decided: false });
            }
            hash_map::Entry::Occupied(place) => conflicts.push(Conflict::SameName {
                called: alias.to_owned(),
                first: place.get().model.index(),
                second: index,
            }),
        }
    }

    /// A name with an `@` in it must not also be another name with a version.
    fn check_versions(&self, conflicts: &mut Vec<Conflict>) {
        let mut names: Vec<_> = self.names.iter().collect();
        names.sort_by_key(|(called, _)| *called);
        for (called, named) in names {
            let Some((name, version)) = called.rsplit_once('@') else { continue };
            match self.pick_version(name, version) {
                Some(model) if model != named.model => conflicts.push(Conflict::SameName {
                    called: called.to_string(),
                    first: model.index().min(named.model.index()),
                    second: model.index().max(named.model.index()),
                }),
                _ => {}
            }
        }
    }
}

/// Which of a name's versions the bare name means: the one with the highest rank, the first of equals.
fn rank(entry: &Entry<'_>) -> u8 {
    match (entry.is_default, entry.version) {
        (true, _) => 2,
        (false, None) => 1,
        (false, Some(_)) => 0,
    }
}

fn full_name(entry: &Entry<'_>) -> String {
    match entry.version {
        Some(version) => format!("{}@{version}", entry.name),
        None => entry.name.to_owned(),
    }
}

fn model_id(index: usize) -> ModelId {
    ModelId(u32::try_from(index).expect("fewer than 2^32 models"))
}

#[cfg(test)]
mod tests;
