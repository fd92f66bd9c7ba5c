//! Registries are told where this gateway is, that it lives, how busy it is, and that it goes.
//!
//! Invariant: who is not heard of for its time to live is forgotten by the registry itself, so that no way to end leaves anything.

pub(super) mod clerk;
mod consul;
mod etcd;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::time;
use tokio::time::Instant;

use crate::control::register::clerk::RegisteredNumbers;

/// Signs of life in a time to live: one that is lost does not matter.
const BEATS: u32 = 3;
/// The shortest time between two signs of life, however short the time to live is.
const BEAT_MIN: Duration = Duration::from_millis(500);
/// How often a registry is told that the gateway goes, if it cannot be reached. It forgets the gateway in any case.
const GOODBYES_MAX: u32 = 3;

/// What a registry is told of the gateway.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    /// Unique among those of its name; the same again when the gateway comes back at the same address.
    pub(super) id: String,
    /// In Consul the name of the service, in etcd the prefix of the key.
    pub(super) name: String,
    /// Where others reach it. Without an address (`0.0.0.0`) Consul takes its agent's.
    pub(super) address: SocketAddr,
    /// The gateway's version.
    pub(super) version: String,
    /// How long it is believed in without a sign of life.
    pub(super) ttl: Duration,
    /// Consul's tags.
    pub(super) tags: Vec<String>,
    /// Where the gateway is.
    pub(super) region: Option<String>,
    /// The zone of that region.
    pub(super) zone: Option<String>,
    /// Where is said whether the registry knows it.
    pub(super) notice: Notice,
}

impl Registration {
    /// How often the registry hears of it.
    fn beat(&self) -> Duration {
        (self.ttl / BEATS).max(BEAT_MIN)
    }
}

/// Whether a registry knows the gateway, as of the last that was heard: said by the task that tells it, shown by others.
#[derive(Clone, Debug, Default)]
pub(super) struct Notice(Arc<Mutex<Standing>>);

/// What a [`Notice`] says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The registry knows it.
    pub(super) is_registered: bool,
    /// Why the registry could not be told, the last time.
    pub(super) trouble: Option<String>,
}

impl Notice {
    /// The registry has taken a sign of life.
    pub(super) fn registered(&self) {
        *self.lock() = Standing { is_registered: true, trouble: None };
    }

    /// The registry could not be told, for what reason. How long it believes in the gateway nevertheless, nobody knows.
    pub(super) fn failed(&self, why: String) {
        *self.lock() = Standing { is_registered: false, trouble: Some(why) };
    }

    /// The registry does not know it any more, as it should be.
    pub(super) fn left(&self) {
        *self.lock() = Standing::default();
    }

    /// What was said last.
    pub(super) fn standing(&self) -> Standing {
        self.lock().clone()
    }

    /// It is whole between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What control knows of it: where the listener is, and what came of telling registries.
#[derive(Debug, Default)]
pub(crate) struct Registrations {
    listener: Option<SocketAddr>,
    bell: Arc<Notify>,
    numbers: Vec<RegisteredNumbers>,
    /// How many are told, or have still to hear that the gateway goes.
    open: usize,
}

impl Registrations {
    /// Notes that every shard listens.
    pub(super) fn listen(&mut self, address: SocketAddr) {
        self.listener = Some(address);
        self.ring();
    }

    /// Where clients come in; none before every shard listens.
    pub(super) fn listener(&self) -> Option<SocketAddr> {
        self.listener
    }

    /// Registries may have to be told something else.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Rings then. For one who waits.
    pub(super) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    /// Notes what registries know, and how many of them are told or have still to hear that the gateway goes.
    pub(super) fn note(&mut self, numbers: Vec<RegisteredNumbers>, open: usize) {
        (self.numbers, self.open) = (numbers, open);
    }

    /// Every registry has heard that the gateway goes, or had its time to.
    pub(super) fn is_over(&self) -> bool {
        self.open == 0
    }

    /// What is known of each entry.
    pub(super) fn numbers(&self) -> Vec<RegisteredNumbers> {
        self.numbers.clone()
    }

    /// What is wrong with registries that cannot be told, a line each.
    pub(super) fn troubles(&self) -> impl Iterator<Item = String> {
        self.numbers.iter().filter_map(|known| {
            let (registry, name) = (&known.registry, &known.name);
            let trouble = known.trouble.as_ref()?;
            Some(format!("registry \"{registry}\": not registered as \"{name}\": {trouble}"))
        })
    }
}

/// How busy the gateway is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Requests in flight.
    pub(super) in_flight: u64,
    /// Connections of clients that are open.
    pub(super) connections: u64,
    /// Whether it takes nothing new: time to go.
    pub(super) is_draining: bool,
}

impl Load {
    /// As registries show it: JSON on one line.
    pub(super) fn text(self) -> String {
        let Self { in_flight, connections, is_draining } = self;
        format!(
            "{{\"in_flight\":{in_flight},\"connections\":{connections},\"is_draining\":{is_draining}}}"
        )
    }
}

/// Waits until `due`, or until it is time to go: the gateway drains, or nobody tells its load any more. Whether it is.
async fn goes_before(load: &mut watch::Receiver<Load>, due: Instant) -> bool {
    let gone = async {
        // An error: who told is gone, and so is the gateway.
        drop(load.wait_for(|load| load.is_draining).await);
    };
    time::timeout_at(due, gone).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fetch::tests::on_runtime;

    #[test]
    fn a_registry_that_cannot_be_told_is_a_trouble() {
        let mut all = Registrations::default();
        let known = |name: &str, trouble: Option<&str>| RegisteredNumbers {
            registry: "fleet".to_owned(),
            name: name.to_owned(),
            is_registered: trouble.is_none(),
            trouble: trouble.map(str::to_owned),
        };
        all.note(vec![known("one", None), known("other", Some("no"))], 2);
        let troubles: Vec<String> = all.troubles().collect();
        assert_eq!(troubles, ["registry \"fleet\": not registered as \"other\": no"]);
        assert!(!all.is_over());
        all.note(Vec::new(), 0);
        assert!(all.is_over());
    }

    #[test]
    fn a_load_is_json() {
        let load = Load { in_flight: 3, connections: 7, is_draining: false };
        let read: serde_json::Value = serde_json::from_str(&load.text()).unwrap();
        let expected = serde_json::json!({"in_flight": 3, "connections": 7, "is_draining": false});
        assert_eq!(read, expected);
    }

    #[test]
    fn it_is_time_to_go_when_the_gateway_drains_or_is_gone() {
        on_runtime(async {
            let far = Instant::now() + Duration::from_secs(60);
            let (tell, mut load) = watch::channel(Load::default());
            assert!(!goes_before(&mut load, Instant::now()).await);
            tell.send_replace(Load { is_draining: true, ..Load::default() });
            assert!(goes_before(&mut load, far).await);
            let (tell, mut load) = watch::channel(Load::default());
            drop(tell);
            assert!(goes_before(&mut load, far).await);
        });
    }
}
