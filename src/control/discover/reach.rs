//! A registry as somebody sees it who changes what it holds.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time;

use crate::config::ConfigPrefix;
use crate::config::Registry;
use crate::config::RegistryKind;
use crate::control::discover::Access;
use crate::control::discover::consul;
use crate::control::discover::etcd;
use crate::control::discover::overlay::Held;

/// How long a registry may take to write something, or to say what it holds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keys, without the prefix, and values.
pub(in crate::control) type Entries = Vec<(String, Vec<u8>)>;

/// A registry of the file, how it is reached, and what it held when the file was read last.
#[derive(Clone, Debug)]
pub(in crate::control) struct Reach {
    /// Its name in the file.
    pub(in crate::control) name: String,
    /// Where it keeps models and tenants; none: it keeps none.
    pub(in crate::control) config: Option<ConfigPrefix>,
    /// What it held below that: keys without the prefix, and values.
    pub(in crate::control) entries: Entries,
    kind: Kind,
    access: Access,
}

/// Which API it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Consul,
    Etcd,
}

impl Reach {
    pub(in crate::control) fn new(registry: &Registry, access: Access, held: &[Held]) -> Self {
        let kind = match registry.kind {
            RegistryKind::Consul { .. } => Kind::Consul,
            RegistryKind::Etcd { .. } => Kind::Etcd,
        };
        let held = held.iter().find(|held| held.registry == registry.name);
        Self {
            name: registry.name.clone(),
            config: registry.config.clone(),
            entries: held.map_or_else(Vec::new, |held| held.entries.clone()),
            kind,
            access,
        }
    }

    /// Whether it is an etcd.
    pub(in crate::control) fn is_etcd(&self) -> bool {
        self.kind == Kind::Etcd
    }

    /// What it holds now below its prefix, as the overlay wants it; none: it keeps no config.
    pub(in crate::control) fn held(&self) -> Option<Held> {
        let config = self.config.as_ref()?;
        let (registry, entries) = (self.name.clone(), self.entries.clone());
        Some(Held { registry, wins: config.wins, entries })
    }

    /// Puts `after` under `key` (the whole of it, with the prefix), or deletes it where there is none, unless it is no longer
    /// what it was `before`. False: it is something else by now.
    ///
    /// # Errors
    /// Why it cannot be written, in the registry's own words.
    pub(in crate::control) async fn change(
        &self,
        key: &str,
        before: Option<&[u8]>,
        after: Option<Vec<u8>>,
    ) -> Result<bool, String> {
        let changing = async {
            match self.kind {
                Kind::Consul => {
                    let kept = consul::kv::get(&self.access, key).await?;
                    if kept.as_ref().map(|kept| kept.value.as_slice()) != before {
                        return Ok(false);
                    }
                    let index = kept.map_or(0, |kept| kept.index);
                    match after {
                        Some(value) => consul::kv::put(&self.access, key, value, index).await,
                        None => consul::kv::delete(&self.access, key, index).await,
                    }
                }
                Kind::Etcd => {
                    let kept = etcd::kv::get(&self.access, key).await?;
                    if kept.as_ref().map(|kept| kept.value.as_slice()) != before {
                        return Ok(false);
                    }
                    let revision = kept.map_or(0, |kept| kept.revision);
                    match after {
                        Some(value) => etcd::kv::put(&self.access, key, &value, revision).await,
                        None => etcd::kv::delete(&self.access, key, revision).await,
                    }
                }
            }
        };
        time::timeout(PATIENCE, changing).await.unwrap_or_else(|_| Err(self.silent()))
    }

    /// What etcd holds below `prefix` now: keys without it, and values.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub(in crate::control) async fn below(&self, prefix: &str) -> Result<Entries, String> {
        let answer: Arc<Mutex<Option<Result<Entries, String>>>> = Arc::default();
        let (said, came) = (Arc::clone(&answer), Arc::new(Notify::new()));
        let ring = Arc::clone(&came);
        let tell = move |entries| {
            said.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(entries);
            ring.notify_one();
        };
        // The first answer of a watch is all that there is.
        let watching = etcd::kv::watch_config(self.access.clone(), prefix.to_owned(), tell);
        tokio::select! {
            () = watching => {}
            () = came.notified() => {}
            () = time::sleep(PATIENCE) => {}
        }
        let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        answer.unwrap_or_else(|| Err(self.silent()))
    }

    fn silent(&self) -> String {
        format!("registry \"{}\" has not answered for {PATIENCE:?}", self.name)
    }
}
