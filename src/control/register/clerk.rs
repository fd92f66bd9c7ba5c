//! The tasks that tell registries of the gateway: one for each entry of `node.register`, begun and ended as the config says.
//!
//! Invariant: nobody hears of the gateway before its listener takes connections, and the process does not end before
//! everybody has heard that it goes, or has had its time to.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tokio::time;
use tokio::time::Instant;

use crate::config;
use crate::config::File;
use crate::config::Node;
use crate::config::Register;
use crate::config::Registry;
use crate::control::discover::Access;
use crate::control::register::Load;
use crate::control::register::Notice;
use crate::control::register::Registration;
use crate::control::register::consul;
use crate::control::register::etcd;
use crate::control::state::Shared;

/// How often the load is looked at. Registries hear of it with the next sign of life.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long registries may take to hear that the gateway goes, all of them together. Their time to live does the rest.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);
/// Where Linux says what this machine is called (proc(5)).
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// An entry of the config, and how its registry is reached.
#[derive(Clone, Debug)]
pub(in crate::control) struct Wanted {
    register: Register,
    /// `consul` or `etcd`.
    kind: &'static str,
    access: Access,
    region: Option<String>,
    zone: Option<String>,
}

/// What is known of an entry, for metrics and people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisteredNumbers {
    /// The registry's name.
    pub registry: String,
    /// What the gateway is called there.
    pub name: String,
    /// Whether it is known there.
    pub is_registered: bool,
    /// Why the registry could not be told, the last time.
    pub trouble: Option<String>,
}

impl Wanted {
    /// All entries of `file`, each with what `access` says of its registry.
    pub(in crate::control) fn all(
        file: &File,
        mut access: impl FnMut(&Registry) -> Access,
    ) -> Vec<Self> {
        let Node { region, zone, register, .. } = &file.node;
        let wanted = |register: &Register| {
            let registry = file.registries.iter().find(|it| it.name == register.registry)?;
            // Where in the file it stands makes no difference.
            let register = Register { place: config::Place::default(), ..register.clone() };
            let (region, zone) = (region.clone(), zone.clone());
            let (kind, access) = (registry.kind.label(), access(registry));
            Some(Self { register, kind, access, region, zone })
        };
        register.iter().filter_map(wanted).collect()
    }

    /// Whether the same is told to the same.
    fn is_same(&self, other: &Self) -> bool {
        (&self.register, &self.region, &self.zone) == (&other.register, &other.region, &other.zone)
            && self.leads_where(other)
    }

    fn leads_where(&self, other: &Self) -> bool {
        self.kind == other.kind && self.access.is_same(&other.access)
    }

    /// Where others reach the gateway, which listens at `listener`.
    fn address(&self, listener: SocketAddr) -> SocketAddr {
        // The config has been checked: what is said is an address.
        let said = self.register.address.as_ref().and_then(|address| address.parse().ok());
        let mut address: SocketAddr = said.unwrap_or(listener);
        if address.port() == 0 {
            address.set_port(listener.port());
        }
        address
    }

    fn registration(&self, address: SocketAddr, notice: Notice) -> Registration {
        let Register { name, ttl, tags, .. } = &self.register;
        Registration {
            id: format!("{name}-{}", place(address)),
            name: name.clone(),
            address,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ttl: *ttl,
            tags: tags.clone(),
            region: self.region.clone(),
            zone: self.zone.clone(),
            notice,
        }
    }
}

/// The address, or where it is none, this machine's name and the port.
fn place(address: SocketAddr) -> String {
    let name = std::fs::read_to_string(HOSTNAME).unwrap_or_default();
    match name.trim() {
        name if address.ip().is_unspecified() && !name.is_empty() => {
            format!("{name}:{}", address.port())
        }
        _ => address.to_string(),
    }
}

/// Follows what the config wants until the task is dropped.
pub(in crate::control) async fn run(shared: Shared, mut wanted: watch::Receiver<Vec<Wanted>>) {
    let bell = shared.lock().registrations().bell();
    let mut clerk = Clerk::default();
    loop {
        let (listener, load) = {
            let mut state = shared.lock();
            (state.registrations().listener(), state.load())
        };
        if let Some(listener) = listener
            && !load.is_draining
        {
            clerk.want(&wanted.borrow_and_update(), listener, load);
        }
        clerk.tell(load, Instant::now());
        shared.lock().registrations().note(clerk.numbers(), clerk.tasks.len());
        let due = clerk.due(Instant::now());
        tokio::select! {
            () = bell.notified() => {}
            () = changed(&mut wanted) => {}
            Some(ended) = clerk.tasks.join_next() => clerk.note(&ended),
            () = until(due) => {}
        }
    }
}

/// Waits until the config wants something else. Who watched it may have ended because of a bug: then never.
async fn changed(wanted: &mut watch::Receiver<Vec<Wanted>>) {
    if wanted.changed().await.is_err() {
        pending().await
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => time::sleep_until(moment).await,
        None => pending().await,
    }
}

/// What the task works on.
#[derive(Default)]
struct Clerk {
    running: Vec<Running>,
    /// Those that run, and those that say goodbye.
    tasks: JoinSet<()>,
    /// When those that say goodbye have had their time; none as long as the gateway does not drain.
    ends_at: Option<Instant>,
}

/// The task of one entry.
struct Running {
    wanted: Wanted,
    address: SocketAddr,
    /// Dropped, it makes the task say goodbye.
    load: watch::Sender<Load>,
    notice: Notice,
    task: AbortHandle,
}

impl Clerk {
    /// Tells those whom the config names, and says goodbye to all others. Who is told the same as before goes on.
    fn want(&mut self, wanted: &[Wanted], listener: SocketAddr, load: Load) {
        let mut before = std::mem::take(&mut self.running);
        for wanted in wanted {
            let address = wanted.address(listener);
            let is_same =
                |running: &Running| running.address == address && running.wanted.is_same(wanted);
            if let Some(at) = before.iter().position(is_same) {
                self.running.push(before.swap_remove(at));
                continue;
            }
            // What is told anew of the same takes the place of what was told before, without a gap.
            let is_heir = |running: &Running| {
                running.address == address
                    && running.wanted.register.name == wanted.register.name
                    && running.wanted.leads_where(wanted)
            };
            if let Some(at) = before.iter().position(is_heir) {
                before.swap_remove(at).task.abort();
            }
            self.begin(wanted, address, load);
        }
    }

    fn begin(&mut self, wanted: &Wanted, address: SocketAddr, load: Load) {
        let notice = Notice::default();
        let registration = wanted.registration(address, notice.clone());
        let (access, wanted) = (wanted.access.clone(), wanted.clone());
        let (load, told) = watch::channel(load);
        let task = match wanted.kind {
            "consul" => self.tasks.spawn(consul::consul(registration, access, told)),
            _ => self.tasks.spawn(etcd::etcd(registration, access, told)),
        };
        self.running.push(Running { wanted, address, load, notice, task });
    }

    /// Tells the load; a gateway that drains has only so much time left.
    fn tell(&mut self, load: Load, now: Instant) {
        for running in &self.running {
            running.load.send_if_modified(|told| std::mem::replace(told, load) != load);
        }
        if !load.is_draining {
            return;
        }
        let ends_at = *self.ends_at.get_or_insert(now + GOODBYE_TIMEOUT);
        if ends_at <= now {
            self.tasks.abort_all();
        }
    }

    /// When there is something to look at; who is not registered anywhere has nothing to wake up for.
    fn due(&self, now: Instant) -> Option<Instant> {
        (!self.tasks.is_empty()).then(|| self.ends_at.unwrap_or(now + LOOK_EVERY))
    }

    fn note(&self, ended: &Result<(), tokio::task::JoinError>) {
        if ended.as_ref().is_err_and(tokio::task::JoinError::is_panic) {
            tracing::error!("a registry is not told of the gateway any more because of a bug");
        }
    }

    fn numbers(&self) -> Vec<RegisteredNumbers> {
        let numbers = |running: &Running| {
            let standing = running.notice.standing();
            RegisteredNumbers {
                registry: running.wanted.register.registry.clone(),
                name: running.wanted.register.name.clone(),
                is_registered: standing.is_registered,
                trouble: standing.trouble,
            }
        };
        self.running.iter().map(numbers).collect()
    }
}

#[cfg(test)]
mod tests;
