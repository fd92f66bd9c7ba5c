//! What registries hold of the config: each prefix is watched by a task of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tokio::time;

use crate::config::File;
use crate::config::RegistryKind;
use crate::control::discover::Access;
use crate::control::discover::consul;
use crate::control::discover::etcd;
use crate::control::discover::overlay::Held;

/// All registries that hold config.
pub(in crate::control) struct Registries {
    /// In the file's order.
    holders: Vec<Holder>,
    asking: JoinSet<()>,
    shelf: Arc<Shelf>,
    /// What was given out last.
    given: Vec<Held>,
}

/// One of them.
struct Holder {
    name: String,
    prefix: String,
    wins: bool,
    kind: &'static str,
    access: Access,
    task: AbortHandle,
}

/// What they said last, by name.
#[derive(Debug, Default)]
struct Shelf {
    said: Mutex<BTreeMap<String, Said>>,
    came: Notify,
}

#[derive(Clone, Debug, Default)]
struct Said {
    /// As of the last good answer; none before the first.
    entries: Option<Vec<(String, Vec<u8>)>>,
    /// Why the last answer was none.
    trouble: Option<String>,
}

impl Registries {
    pub(in crate::control) fn new() -> Self {
        let (holders, shelf, given) = (Vec::new(), Arc::default(), Vec::new());
        Self { holders, asking: JoinSet::new(), shelf, given }
    }

    /// Watches those of `file` that hold config, and no others any more.
    pub(in crate::control) fn want(
        &mut self,
        file: &File,
        mut access: impl FnMut(usize) -> Access,
    ) {
        let mut before = std::mem::take(&mut self.holders);
        for (index, registry) in file.registries.iter().enumerate() {
            let Some(config) = &registry.config else { continue };
            let access = access(index);
            let is_same = |holder: &Holder| {
                (&holder.name, &holder.prefix) == (&registry.name, &config.prefix)
                    && holder.kind == registry.kind.label()
                    && holder.access.is_same(&access)
            };
            if let Some(at) = before.iter().position(is_same) {
                let kept = before.swap_remove(at);
                self.holders.push(Holder { wins: config.wins, ..kept });
                continue;
            }
            let task = self.watch(&registry.name, &registry.kind, &access, &config.prefix);
            self.holders.push(Holder {
                name: registry.name.clone(),
                prefix: config.prefix.clone(),
                wins: config.wins,
                kind: registry.kind.label(),
                access,
                task,
            });
        }
        for gone in before {
            gone.task.abort();
            if !self.holders.iter().any(|holder| holder.name == gone.name) {
                self.shelf.lock().remove(&gone.name);
            }
        }
    }

    fn watch(
        &mut self,
        name: &str,
        kind: &RegistryKind,
        access: &Access,
        prefix: &str,
    ) -> AbortHandle {
        let (shelf, name) = (Arc::clone(&self.shelf), name.to_owned());
        let tell = move |answer| shelf.put(&name, answer);
        let (access, prefix) = (access.clone(), prefix.to_owned());
        match kind {
            RegistryKind::Consul { .. } => {
                self.asking.spawn(consul::kv::watch_config(access, prefix, tell))
            }
            RegistryKind::Etcd { .. } => {
                self.asking.spawn(etcd::kv::watch_config(access, prefix, tell))
            }
        }
    }

    /// Waits until each has said something, well or not, or patience is over.
    pub(in crate::control) async fn first(&mut self, patience: Duration) {
        let all = async {
            while !self.has_heard_all() {
                self.shelf.came.notified().await;
            }
        };
        // Who has not answered by then is heard later.
        drop(time::timeout(patience, all).await);
    }

    fn has_heard_all(&self) -> bool {
        let said = self.shelf.lock();
        self.holders.iter().all(|holder| said.contains_key(&holder.name))
    }

    /// Waits until one of them holds something else than what was given out last. May be dropped.
    pub(in crate::control) async fn changed(&self) {
        loop {
            self.shelf.came.notified().await;
            if self.now() != self.given {
                return;
            }
        }
    }

    /// What they hold, in the file's order; of one that cannot be asked, as it was.
    pub(in crate::control) fn held(&mut self) -> Vec<Held> {
        self.given = self.now();
        self.given.clone()
    }

    /// What is wrong with each that cannot be asked.
    pub(in crate::control) fn troubles(&self) -> Vec<(String, String)> {
        let said = self.shelf.lock();
        let trouble = |(name, said): (&String, &Said)| Some((name.clone(), said.trouble.clone()?));
        said.iter().filter_map(trouble).collect()
    }

    fn now(&self) -> Vec<Held> {
        let said = self.shelf.lock();
        let held = |holder: &Holder| {
            let entries = said.get(&holder.name)?.entries.clone()?;
            Some(Held { registry: holder.name.clone(), wins: holder.wins, entries })
        };
        self.holders.iter().filter_map(held).collect()
    }
}

impl Shelf {
    fn put(&self, name: &str, answer: Result<Vec<(String, Vec<u8>)>, String>) {
        {
            let mut all = self.lock();
            let said = all.entry(name.to_owned()).or_default();
            match answer {
                Ok(mut entries) => {
                    entries.sort();
                    if said.trouble.take().is_some() {
                        tracing::info!(registry = name, "its config can be read again");
                    }
                    said.entries = Some(entries);
                }
                Err(why) => {
                    if said.trouble.is_none() {
                        let kept = said.entries.as_ref().map_or(0, Vec::len);
                        tracing::warn!(registry = name, why, kept, "its config cannot be read");
                    }
                    said.trouble = Some(why);
                }
            }
        }
        self.came.notify_one();
    }

    /// What was said is whole between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Said>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
