//! The servers of a fault plan: mocks, the first of which can be made to fail, and a gateway before them.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use ringway::ring::clock;
use ringway::sys::affinity;

use crate::ask;
use crate::client::destination::Destination;
use crate::faults::namespace::Namespace;
use crate::faults::plan::Fault;
use crate::faults::plan::FaultPlan;
use crate::faults::watch::Watched;
use crate::server;
use crate::server::Endpoint;
use crate::server::Folder;
use crate::server::GatewayPlan;
use crate::server::MockPlace;
use crate::server::Server;

/// Servers that end when this is dropped; the first mock is the one that fails.
#[derive(Debug)]
pub struct Scene {
    // The gateway first: it shall not see the others end.
    gateway: Server,
    admin: SocketAddr,
    mocks: Vec<Mock>,
    namespace: Result<Namespace, String>,
    folder: Folder,
}

#[derive(Debug)]
struct Mock {
    /// None while it is killed.
    server: Option<Server>,
    place: MockPlace,
    control: SocketAddr,
}

/// Ports in the namespace, where nobody else is.
const FAR_PORT: u16 = 9001;
const FAR_CONTROL_PORT: u16 = 9002;
/// How long the endpoint may take to be well again between two phases.
const WELL_PATIENCE: Duration = Duration::from_secs(10);
const WELL_PAUSE: Duration = Duration::from_millis(50);

impl Scene {
    /// Starts everything.
    ///
    /// # Errors
    /// The system's; a server that does not come up, with what it says.
    pub fn start(plan: &FaultPlan) -> io::Result<Self> {
        let namespace = match plan.phases.iter().any(|phase| phase.fault == Fault::BlackHole) {
            true => Namespace::make().map_err(|error| error.to_string()),
            false => Err("not needed".to_owned()),
        };
        let folder = Folder::make()?;
        let mut mocks = Vec::new();
        for number in 0..plan.mocks {
            let place = match &namespace {
                Ok(namespace) if number == 0 => far_place(namespace),
                _ => near_place()?,
            };
            mocks.push(Mock::start(place)?);
        }
        let endpoints: Vec<Endpoint> =
            mocks.iter().map(|mock| Endpoint { address: mock.place.listen, weight: 1 }).collect();
        let (gateway, admin) = server::start_gateway(&GatewayPlan {
            model: plan.model(),
            endpoints: &endpoints,
            keys: &plan.gateway,
            shards: plan.shards,
            cpus: &affinity::allowed_cpus(),
            streams_max: plan.loads.iter().map(|load| load.connections).sum::<usize>() + 1000,
            replay_mib: None,
            directory: folder.path(),
        })?;
        Ok(Self { gateway, admin, mocks, namespace, folder })
    }

    /// Where requests go.
    #[must_use]
    pub fn destination(&self) -> Destination {
        self.gateway.destination.clone()
    }

    /// What is looked at while a phase goes on.
    #[must_use]
    pub fn watched(&self) -> Watched {
        let failing =
            self.mocks.first().map(|mock| Endpoint { address: mock.place.listen, weight: 1 });
        Watched {
            mocks: self.mocks.iter().map(|mock| mock.control).collect(),
            admin: self.admin,
            failing_url: failing.map_or_else(String::new, |endpoint| endpoint.url()),
        }
    }

    /// How a black hole is made here.
    #[must_use]
    pub fn black_hole(&self) -> String {
        match &self.namespace {
            Ok(namespace) => format!(
                "a blackhole route in the network namespace in which the endpoint {} lives",
                namespace.far
            ),
            Err(why) => format!(
                "a listener whose queue is full, older connections unanswered (no network namespace: {why})"
            ),
        }
    }

    /// Keeps the gateway's config and log, and says where.
    pub fn keep(&mut self) -> &Path {
        self.folder.keep()
    }

    /// Lets the first mock fail.
    ///
    /// # Errors
    /// Those of the means.
    pub fn strike(&mut self, fault: &Fault) -> io::Result<()> {
        let Some(mock) = self.mocks.first_mut() else { return Ok(()) };
        match (fault, &self.namespace) {
            (Fault::Behaviour(query), _) => mock.tell(&format!("behaviour?{query}")),
            (Fault::Refused, _) => mock.tell("listener?closed"),
            (Fault::Killed, _) => {
                drop(mock.server.take());
                Ok(())
            }
            (Fault::BlackHole, Ok(namespace)) => namespace.swallow(),
            (Fault::BlackHole, Err(_)) => mock.tell("listener?silent"),
        }
    }

    /// Makes it well.
    ///
    /// # Errors
    /// Those of the means.
    pub fn mend(&mut self, fault: &Fault) -> io::Result<()> {
        let Some(mock) = self.mocks.first_mut() else { return Ok(()) };
        match (fault, &self.namespace) {
            (Fault::Behaviour(_), _) => mock.tell("behaviour"),
            (Fault::Refused, _) | (Fault::BlackHole, Err(_)) => mock.tell("listener?open"),
            (Fault::Killed, _) => {
                *mock = Mock::start(mock.place)?;
                Ok(())
            }
            (Fault::BlackHole, Ok(namespace)) => namespace.release(),
        }
    }

    /// Waits until the gateway says that the first endpoint is usable again, if it says such things; but not for ever.
    ///
    /// # Errors
    /// The gateway has ended.
    pub fn rest(&mut self) -> io::Result<()> {
        let watched = self.watched();
        let patience = clock::now().after(WELL_PATIENCE);
        while watched.told().is_some_and(|told| !told.is_usable) && clock::now() < patience {
            thread::sleep(WELL_PAUSE);
        }
        match self.gateway.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let log = fs::read_to_string(self.folder.path().join("gateway.log"));
                Err(io::Error::other(format!("the gateway ended: {status}\n{}", log?)))
            }
        }
    }
}

impl Mock {
    fn start(place: MockPlace) -> io::Result<Self> {
        let server = server::start_mock(&place)?;
        let control = place.control.unwrap_or(place.listen);
        Ok(Self { server: Some(server), place, control })
    }

    fn tell(&self, what: &str) -> io::Result<()> {
        ask::post(self.control, &format!("/mock/{what}")).map(|_| ())
    }
}

/// A place at which a mock can be started again.
fn near_place() -> io::Result<MockPlace> {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let listen = at(server::free_port()?);
    Ok(MockPlace { listen, control: Some(at(server::free_port()?)), ..MockPlace::default() })
}

fn far_place(namespace: &Namespace) -> MockPlace {
    let at = |port| SocketAddr::new(IpAddr::V4(namespace.far), port);
    MockPlace {
        listen: at(FAR_PORT),
        control: Some(at(FAR_CONTROL_PORT)),
        namespace_of: Some(namespace.pid()),
        ..MockPlace::default()
    }
}
