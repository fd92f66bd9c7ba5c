//! Which model a name means.

use std::collections::HashMap;
use std::collections::hash_map;

use foldhash::fast::FixedState;

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
    /// For each family, its versions.
    families: Vec<Vec<(Box<str>, ModelId)>>,
}

/// What a name or alias means.
#[derive(Clone, Copy, Debug)]
struct Named {
    model: ModelId,
    /// Index of the versions that can be asked for under this name.
    family: usize,
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
        let family = self.families.get(self.names.get(name)?.family)?;
        family.iter().find(|(called, _)| **called == *version).map(|&(_, model)| model)
    }

    fn add_model(&mut self, entries: &[Entry<'_>], index: usize, conflicts: &mut Vec<Conflict>) {
        let entry = entries[index];
        let model = model_id(index);
        let named = match self.names.entry(entry.name.into()) {
            hash_map::Entry::Vacant(place) => {
                let family = self.families.len();
                self.families.push(Vec::new());
                place.insert(Named { model, family })
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
            self.families[named.family].push((version.into(), model));
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
                place.insert(Named { model: model_id(index), family });
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
mod tests {
    use super::*;

    fn entry(name: &'static str, version: Option<&'static str>) -> Entry<'static> {
        Entry { name, version, aliases: &[], is_default: false }
    }

    fn conflicts(entries: &[Entry<'_>]) -> Vec<Conflict> {
        Table::new(entries).expect_err("a conflict")
    }

    #[test]
    fn names_aliases_and_versions_are_found() {
        let aliases = ["gpt-4".to_owned(), "best".to_owned()];
        let table = Table::new(&[
            Entry { aliases: &aliases, ..entry("gpt-4o", None) },
            entry("llama", Some("1")),
            Entry { is_default: true, ..entry("llama", Some("2")) },
            entry("org/m", Some("a/b")),
            entry("claude@2024", None),
        ])
        .unwrap();
        for (name, model) in [
            ("gpt-4o", Some(0)),
            ("gpt-4", Some(0)),
            ("best", Some(0)),
            ("llama", Some(2)),
            ("llama@1", Some(1)),
            ("llama@2", Some(2)),
            ("llama@3", None),
            ("llama@", None),
            ("@", None),
            ("", None),
            ("org/m", Some(3)),
            ("org/m@a/b", Some(3)),
            ("claude@2024", Some(4)),
            ("claude", None),
            ("GPT-4o", None),
        ] {
            assert_eq!(table.pick(name), model.map(ModelId), "{name}");
        }
        assert_eq!(table.pick_version("llama", "1"), Some(ModelId(1)));
        assert_eq!(table.pick_version("org/m", "a/b"), Some(ModelId(3)));
        assert_eq!(table.pick_version("gpt-4o", "1"), None);
        assert_eq!(table.pick_version("nobody", "1"), None);
    }

    #[test]
    fn an_alias_takes_versions_too() {
        let aliases = ["l".to_owned()];
        let table = Table::new(&[
            Entry { aliases: &aliases, ..entry("llama", Some("1")) },
            entry("llama", Some("2")),
        ])
        .unwrap();
        assert_eq!(table.pick("l"), Some(ModelId(0)));
        assert_eq!(table.pick("l@2"), Some(ModelId(1)));
        assert_eq!(table.pick_version("l", "2"), Some(ModelId(1)));
    }

    #[test]
    fn the_bare_name_means_the_default() {
        let pick = |entries: &[Entry<'_>]| Table::new(entries).unwrap().pick("m").unwrap().0;
        assert_eq!(pick(&[entry("m", Some("1")), entry("m", Some("2"))]), 0);
        assert_eq!(pick(&[entry("m", Some("1")), entry("m", None)]), 1);
        let marked = Entry { is_default: true, ..entry("m", Some("3")) };
        assert_eq!(pick(&[entry("m", None), entry("m", Some("1")), marked]), 2);
        assert_eq!(pick(&[marked, entry("m", None)]), 0);
    }

    #[test]
    fn conflicts_name_both() {
        let same = conflicts(&[entry("m", Some("1")), entry("n", None), entry("m", Some("1"))]);
        assert_eq!(same, [Conflict::SameModel { called: "m@1".into(), first: 0, second: 2 }]);
        assert_eq!(
            same[0].explain(|index| format!("models[{index}]")),
            "\"m@1\" is both models[0] and models[2]; give one of them another name or version"
        );

        let aliases = ["n".to_owned(), "a".to_owned(), "a".to_owned()];
        assert_eq!(
            conflicts(&[Entry { aliases: &aliases, ..entry("m", None) }, entry("n", None)]),
            [
                Conflict::SameName { called: "n".into(), first: 1, second: 0 },
                Conflict::SameName { called: "a".into(), first: 0, second: 0 },
            ]
        );

        let marked = |version| Entry { is_default: true, ..entry("m", Some(version)) };
        assert_eq!(
            conflicts(&[marked("1"), entry("m", None), marked("2")]),
            [Conflict::TwoDefaults { called: "m".into(), first: 0, second: 2 }]
        );

        assert_eq!(
            conflicts(&[entry("m", Some("1")), entry("m@1", None)]),
            [Conflict::SameName { called: "m@1".into(), first: 0, second: 1 }]
        );
        assert_eq!(conflicts(&[entry("", None)]), [Conflict::EmptyName { first: 0 }]);
        assert_eq!(conflicts(&[entry("m", Some("a@b"))]), [Conflict::AtInVersion { first: 0 }]);
    }
}
