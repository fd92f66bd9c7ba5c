//! All keys, of the file and of its key files, and whether they are still the same.

use crate::admission::Keys;
use crate::admission::ModelSet;
use crate::admission::key::Key;
use crate::admission::key::KeyDigest;
use crate::admission::key::SameKey;
use crate::admission::limit::Scope;
use crate::config;
use crate::config::Error;
use crate::config::File;
use crate::config::KEYS_MAX;
use crate::config::KeyFile;
use crate::config::Place;
use crate::snapshot::World;
use crate::snapshot::policy::Builder;
use crate::units::TenantId;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

/// The most errors that are said of the lines of one key file.
const ERRORS_MAX: usize = 20;

/// All that keys are made of: where it is the same, they are.
#[derive(Debug)]
pub(super) struct Source {
    tenants: Arc<[config::Tenant]>,
    /// Names that lead to models, by model.
    models: Vec<Vec<String>>,
    files: Vec<Arc<KeyFile>>,
}

impl Source {
    fn new(file: &File, world: &World) -> Self {
        let names = |model: &config::Model| {
            let names = [model.name.clone(), model.label()];
            names.into_iter().chain(model.aliases.iter().cloned()).collect()
        };
        Self {
            tenants: Arc::clone(&file.tenants),
            models: file.models.iter().map(names).collect(),
            files: world.key_files.clone(),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        let is_listed_same = Arc::ptr_eq(&self.tenants, &other.tenants)
            || (listed(&self.tenants).eq(listed(&other.tenants)));
        is_listed_same && (&self.models, &self.files) == (&other.models, &other.files)
    }
}

/// Tenants with their keys, without places.
fn listed(tenants: &[config::Tenant]) -> impl Iterator<Item = (&str, Vec<config::TenantKey>)> {
    let key = |key: &config::TenantKey| {
        let mut key = config::TenantKey { place: Place::default(), ..key.clone() };
        for model in key.models.iter_mut().flatten() {
            model.place = Place::default();
        }
        key
    };
    tenants.iter().map(move |it| (it.name.as_str(), it.keys.iter().map(key).collect()))
}

/// The keys of the newest snapshot, and what they were made of.
#[derive(Debug)]
pub(super) struct Kept {
    source: Source,
    keys: Arc<Keys>,
}

impl Builder<'_> {
    /// The keys: those of before if nothing about them has changed.
    pub(super) fn keys(&mut self) -> Kept {
        let source = Source::new(self.file, self.world);
        if let Some(kept) = self.ledger.keys.as_ref().filter(|kept| kept.source.is_same(&source)) {
            return Kept { source, keys: Arc::clone(&kept.keys) };
        }
        let mut gathered = Gathered::default();
        for (id, tenant) in (0..).map(TenantId).zip(self.file.tenants.iter()) {
            for (index, key) in tenant.keys.iter().enumerate() {
                gathered.origins.push(Origin::Listed(id.index(), index));
                self.listed_key(id, &tenant.name, key, &mut gathered);
            }
        }
        for file in &self.world.key_files {
            self.key_file(file, &mut gathered);
        }
        let count = gathered.list.len();
        if count > KEYS_MAX {
            let text = format!("there are {count} keys: at most {KEYS_MAX} are supported");
            self.error(&Place::default(), text);
        }
        let Gathered { list, origins, .. } = gathered;
        let keys = Keys::new(list.into_iter()).unwrap_or_else(|same| {
            self.same_key(same, &origins);
            Keys::default()
        });
        Kept { source, keys: Arc::new(keys) }
    }

    fn listed_key(
        &mut self,
        id: TenantId,
        tenant: &str,
        key: &config::TenantKey,
        gathered: &mut Gathered,
    ) {
        let models = key.models.as_ref();
        let models = models.map(|m| self.names.set(m.iter().map(|model| model.name.as_str())));
        let limits = self.limits(Scope::Key, &format!("{tenant}\0{}", key.id), &key.limits);
        gathered.names.insert((id, key.id.as_str().into()));
        let name = key.id.as_str().into();
        let expires_unix_s = key.expires_unix_s;
        let key =
            (KeyDigest::new(key.sha256), Key { name, tenant: id, expires_unix_s, models, limits });
        gathered.list.push(key);
    }

    fn key_file(&mut self, file: &Arc<KeyFile>, gathered: &mut Gathered) {
        let mut errors = FileErrors { file, list: Vec::new(), more: 0 };
        let tenants: HashMap<&str, TenantId> = {
            let names = self.file.tenants.iter().map(|tenant| tenant.name.as_str());
            names.zip((0..).map(TenantId)).collect()
        };
        let tenants: Vec<Option<TenantId>> =
            file.tenants.iter().map(|name| tenants.get(&**name).copied()).collect();
        let sets: Vec<Result<Option<ModelSet>, String>> =
            file.grants.iter().map(|grant| self.grant_models(grant)).collect();
        let origin = gathered.files;
        gathered.files += 1;
        let mut quota_name = String::new();
        for line in &file.lines {
            let name = file.tenant(line);
            let Some(id) = tenants.get(index(line.tenant)).copied().flatten() else {
                errors.add(line.line, "tenant", || {
                    let tenants = self.file.tenants.iter().map(|t| t.name.as_str());
                    config::unknown("tenant", "[[tenant]]", name, &tenants.collect::<Vec<_>>())
                });
                continue;
            };
            let models = match sets.get(index(line.grant)) {
                Some(Err(why)) => {
                    errors.add(line.line, "models", || why.clone());
                    continue;
                }
                Some(Ok(models)) => models.clone(),
                None => None,
            };
            if !gathered.names.insert((id, line.id.clone())) {
                errors.add(line.line, "id", || {
                    let id = &line.id;
                    format!(
                        "\"{name}\" has another key called \"{id}\": give one of them another id"
                    )
                });
                continue;
            }
            quota_name.clear();
            quota_name.extend([name, "\0", &line.id]);
            let counts = file.grant(line).map_or(&[][..], |grant| &grant.limits);
            let key = Key {
                name: line.id.clone(),
                tenant: id,
                expires_unix_s: line.expires_unix_s,
                models,
                limits: self.limits(Scope::Key, &quota_name, counts),
            };
            gathered.origins.push(Origin::File(origin, line.line));
            gathered.list.push((KeyDigest::new(line.sha256), key));
        }
        self.errors.extend(errors.finish());
    }

    fn grant_models(&self, grant: &config::Grant) -> Result<Option<ModelSet>, String> {
        let Some(models) = &grant.models else { return Ok(None) };
        if let Some(name) = models.iter().find(|name| self.names.find(name).is_none()) {
            return Err(config::unknown("model", "[[model]]", name, &self.names.known()));
        }
        Ok(Some(self.names.set(models.iter().map(String::as_str))))
    }

    fn same_key(&mut self, same: SameKey, origins: &[Origin]) {
        let find = |index: usize| match *origins.get(index)? {
            Origin::Listed(tenant, key) => {
                let place = &self.file.tenants.get(tenant)?.keys.get(key)?.place;
                let place = Place { path: format!("{}.sha256", place.path), ..place.clone() };
                Some(self.file.error(&place, ""))
            }
            Origin::File(file, line) => {
                Some(self.world.key_files.get(file)?.error(line, "sha256", ""))
            }
        };
        let (Some(first), Some(second)) = (find(same.first), find(same.second)) else { return };
        let text = format!(
            "is the same key as at {}:{}: a key belongs to one, mint another with `ringway key new`",
            first.file, first.place.line
        );
        self.errors.push(Error { text, ..second });
    }
}

impl Kept {
    pub(super) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys)
    }
}

/// Where a key is written.
#[derive(Clone, Copy)]
enum Origin {
    /// By the places of a tenant and of its key.
    Listed(usize, usize),
    /// By the place of a key file, and its line.
    File(usize, u32),
}

/// Keys on their way into [`Keys`].
#[derive(Default)]
struct Gathered {
    list: Vec<(KeyDigest, Key)>,
    /// Of each of `list`.
    origins: Vec<Origin>,
    names: HashSet<(TenantId, Box<str>)>,
    files: usize,
}

/// What is wrong with the lines of a key file: the first errors, and how many there are more.
struct FileErrors<'f> {
    file: &'f KeyFile,
    list: Vec<Error>,
    more: usize,
}

impl FileErrors<'_> {
    fn add(&mut self, line: u32, path: &str, text: impl FnOnce() -> String) {
        if self.list.len() < ERRORS_MAX {
            self.list.push(self.file.error(line, path, text()));
        } else {
            self.more += 1;
        }
    }

    fn finish(mut self) -> Vec<Error> {
        if self.more > 0 {
            let text = format!("{} more lines are wrong", self.more);
            self.list.push(self.file.error(0, "", text));
        }
        self.list
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
