//! The tasks that ask: one for each source of each upstream in each datacenter, begun and ended as the file says.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use rustls::ClientConfig;
use rustls::RootCertStore;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tokio::time;

use crate::config;
use crate::config::DiscoverSource;
use crate::config::Endpoint;
use crate::config::File;
use crate::config::Registry;
use crate::config::RegistryKind;
use crate::control::discover::Access;
use crate::control::discover::Question;
use crate::control::discover::board::Board;
use crate::control::discover::board::SourceId;
use crate::control::discover::consul;
use crate::control::discover::dns;
use crate::control::discover::etcd;
use crate::control::discover::file;
use crate::control::discover::tell::Mailbox;
use crate::control::discover::tell::Tell;
use crate::control::metrics::SourceNumbers;
use crate::snapshot::World;
use crate::snapshot::client_config;

/// Where a Consul is that no registry of the file is: the agent of this host.
const CONSUL_DEFAULT: &str = "http://127.0.0.1:8500";
/// Where an etcd is that no registry of the file is.
const ETCD_DEFAULT: &str = "http://127.0.0.1:2379";

/// All sources, and what they have said.
pub(in crate::control) struct Sources {
    board: Board,
    mailbox: Mailbox,
    asking: JoinSet<()>,
    running: BTreeMap<SourceId, Running>,
    /// Who has not said anything yet.
    silent: BTreeSet<SourceId>,
    trusts: Vec<(RootCertStore, Arc<ClientConfig>)>,
}

/// The task of one source.
struct Running {
    question: Question,
    task: AbortHandle,
}

impl Sources {
    pub(in crate::control) fn new() -> Self {
        Self {
            board: Board::default(),
            mailbox: Mailbox::default(),
            asking: JoinSet::new(),
            running: BTreeMap::new(),
            silent: BTreeSet::new(),
            trusts: Vec::new(),
        }
    }

    /// Asks whom `file` names, and nobody else any more. Who is asked the same as before goes on.
    pub(in crate::control) fn want(&mut self, file: &File, world: &World, now: Instant) {
        self.board.want(&file.upstreams, now);
        let wanted = self.questions(file, world);
        let board = &mut self.board;
        self.running.retain(|id, running| {
            let is_wanted =
                wanted.get(id).is_some_and(|question| question.is_same(&running.question));
            if !is_wanted {
                running.task.abort();
                self.silent.remove(id);
                board.forget(id, now);
            }
            is_wanted
        });
        for (id, question) in wanted {
            if self.running.contains_key(&id) {
                continue;
            }
            let tell = self.mailbox.tell(id.clone());
            let task = self.asking.spawn(watch(question.clone(), tell));
            self.silent.insert(id.clone());
            self.board.expect(id.clone());
            self.running.insert(id, Running { question, task });
        }
        self.trusts.retain(|(_, trust)| Arc::strong_count(trust) > 1);
    }

    /// Waits until everybody has said something, well or not, or patience is over.
    pub(in crate::control) async fn first(&mut self, patience: Duration) {
        let all = async {
            while !self.silent.is_empty() {
                self.mailbox.came().await;
                self.note();
            }
        };
        // Who has not answered by then is heard later.
        drop(time::timeout(patience, all).await);
    }

    /// Waits until what is found is another, and has settled. May be dropped.
    pub(in crate::control) async fn changed(&mut self) {
        loop {
            if self.board.take(Instant::now()).is_some() {
                return;
            }
            let due = self.board.due();
            let due = async {
                match due {
                    Some(due) => time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.mailbox.came() => {}
                () = due => {}
                Some(ended) = self.asking.join_next() => look_at(&ended),
            }
            self.note();
        }
    }

    /// What is found by now, settled or not.
    pub(in crate::control) fn found(&mut self) -> HashMap<String, Vec<Arc<Endpoint>>> {
        self.board.found()
    }

    /// When the first change came of those given out last; said once.
    pub(in crate::control) fn since(&mut self) -> Option<Instant> {
        self.board.since()
    }

    /// What is known of each source.
    pub(in crate::control) fn numbers(&self, now: Instant) -> Vec<SourceNumbers> {
        self.board.numbers(now)
    }

    fn note(&mut self) {
        for (id, (answer, at)) in self.mailbox.take() {
            self.silent.remove(&id);
            // Who was asked last before the file had another one may have had its last word after.
            if self.running.contains_key(&id) {
                let source = id.describe();
                let named = |endpoint| Endpoint { source: Some(source.clone()), ..endpoint };
                let answer = answer.map(|found| found.into_iter().map(named).collect());
                self.board.note(id, answer, at);
            }
        }
    }

    fn questions(&mut self, file: &File, world: &World) -> BTreeMap<SourceId, Question> {
        let mut questions = BTreeMap::new();
        for upstream in &file.upstreams {
            for discover in &upstream.discover {
                let datacenters = match &discover.source {
                    DiscoverSource::Consul { datacenters, .. } if !datacenters.is_empty() => {
                        datacenters.iter().cloned().map(Some).collect()
                    }
                    _ => vec![None],
                };
                let registry = registry(file, &discover.source);
                let access = self.access_of(&discover.source, registry, world);
                for datacenter in datacenters {
                    let id = SourceId {
                        upstream: upstream.name.clone(),
                        entry: discover.source.describe(),
                        datacenter: datacenter.clone(),
                    };
                    let region = registry.and_then(|registry| registry.region.clone());
                    let (discover, access) = (discover.clone(), access.clone());
                    questions.insert(id, Question { discover, datacenter, region, access });
                }
            }
        }
        questions
    }

    fn access_of(
        &mut self,
        source: &DiscoverSource,
        registry: Option<&Registry>,
        world: &World,
    ) -> Option<Access> {
        let default = match source {
            DiscoverSource::Consul { .. } => CONSUL_DEFAULT,
            DiscoverSource::Etcd { .. } => ETCD_DEFAULT,
            _ => return None,
        };
        match registry {
            Some(registry) => Some(self.access(registry, world)),
            None => Some(Access {
                urls: config::Url::parse(default).into_iter().collect(),
                ..Access::default()
            }),
        }
    }

    /// How a registry of the file is reached.
    pub(in crate::control) fn access(&mut self, registry: &Registry, world: &World) -> Access {
        let ca: Option<&PathBuf> = registry.ca.as_ref().map(|ca| &ca.path);
        let roots = match ca {
            Some(path) => world.ca_roots.get(path),
            None => world.system_roots.as_ref(),
        };
        let has_tls = registry.kind.urls().iter().any(|url| url.is_https);
        let secret = |source: &config::KeySource| world.secrets.get(&source.from).cloned();
        let (token, login) = match &registry.kind {
            RegistryKind::Consul { token, .. } => (token.as_ref().and_then(secret), None),
            RegistryKind::Etcd { login, .. } => {
                let login = login.as_ref();
                (None, login.and_then(|(user, from)| Some((user.clone(), secret(from)?))))
            }
        };
        let tls = roots.filter(|_| has_tls).and_then(|roots| self.trust(roots));
        Access { urls: registry.kind.urls().to_vec(), tls, token, login }
    }

    /// The same roots have the same configuration, so that who is asked the same is not asked anew.
    fn trust(&mut self, roots: &RootCertStore) -> Option<Arc<ClientConfig>> {
        if let Some((_, trust)) = self.trusts.iter().find(|(known, _)| known.roots == roots.roots) {
            return Some(Arc::clone(trust));
        }
        let trust = Arc::new(client_config(roots).ok()?);
        self.trusts.push((roots.clone(), Arc::clone(&trust)));
        Some(trust)
    }
}

impl Question {
    /// Whether it asks the same of the same.
    fn is_same(&self, other: &Self) -> bool {
        let place = other.discover.place.clone();
        let moved = config::Discover { place, ..self.discover.clone() };
        moved == other.discover
            && self.datacenter == other.datacenter
            && self.region == other.region
            && match (&self.access, &other.access) {
                (Some(one), Some(other)) => one.is_same(other),
                (one, other) => one.is_none() && other.is_none(),
            }
    }
}

impl Access {
    /// Whether it leads to the same registry in the same way.
    pub(in crate::control) fn is_same(&self, other: &Self) -> bool {
        let is_trust_same = match (&self.tls, &other.tls) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        is_trust_same
            && (&self.urls, &self.token, &self.login) == (&other.urls, &other.token, &other.login)
    }
}

/// The registry of the file that a source means: the one that it names, or the only one of its kind.
fn registry<'f>(file: &'f File, source: &DiscoverSource) -> Option<&'f Registry> {
    let (kind, named) = match source {
        DiscoverSource::Consul { registry, .. } => ("consul", registry),
        DiscoverSource::Etcd { registry, .. } => ("etcd", registry),
        _ => return None,
    };
    let mut of_kind = file.registries.iter().filter(|registry| registry.kind.label() == kind);
    match named {
        Some(named) => of_kind.find(|registry| registry.name == named.name),
        None => of_kind.next(),
    }
}

/// Asks for ever.
async fn watch(question: Question, tell: Tell) {
    match &question.discover.source {
        DiscoverSource::Consul { .. } => consul::watch(question, tell).await,
        DiscoverSource::Etcd { .. } => etcd::watch(question, tell).await,
        DiscoverSource::Dns { .. } | DiscoverSource::Srv { .. } => dns::watch(question, tell).await,
        DiscoverSource::File(_) => file::watch(question, tell).await,
    }
}

/// A source asks for ever, unless a bug ends it.
fn look_at(ended: &Result<(), tokio::task::JoinError>) {
    if ended.as_ref().is_err_and(tokio::task::JoinError::is_panic) {
        tracing::error!("a source is not asked any more because of a bug");
    }
}
