//! The servers of a plan that names none: mocks and a gateway before them.

use std::io;
use std::path::Path;

use ringway::sys::affinity;
use toml::Table;

use crate::client::destination::Destination;
use crate::compare::DIRECT;
use crate::plan::Plan;
use crate::runner::Setting;
use crate::server;
use crate::server::Endpoint;
use crate::server::Folder;
use crate::server::GatewayPlan;
use crate::server::Keys;
use crate::server::MockPlace;
use crate::server::Server;

/// Servers that end when this is dropped.
#[derive(Debug)]
pub struct Stage {
    mocks: Vec<Server>,
    gateway: Server,
    tester_cpus: Vec<usize>,
    /// Holds the gateway's config and log.
    _folder: Folder,
}

impl Stage {
    /// Starts what the plan needs. With two CPUs or more, a gateway of one shard has the last one for itself.
    ///
    /// # Errors
    /// The system's; a gateway that is not built or does not come up.
    pub fn start(plan: &Plan) -> io::Result<Self> {
        let cpus = affinity::allowed_cpus();
        let (gateway_cpus, tester_cpus) = match cpus.split_last() {
            Some((last, rest)) if plan.shards == 1 && !rest.is_empty() => {
                (vec![*last], rest.to_vec())
            }
            _ => (cpus.clone(), Vec::new()),
        };
        let folder = Folder::make()?;
        let mocks = (0..plan.mocks)
            .map(|number| {
                let cpu = tester_cpus.get(number % tester_cpus.len().max(1)).copied();
                server::start_mock(&MockPlace { cpu, ..MockPlace::default() })
            })
            .collect::<io::Result<Vec<_>>>()?;
        let gateway = start_gateway(plan, &mocks, &gateway_cpus, folder.path())?;
        Ok(Self { mocks, gateway, tester_cpus, _folder: folder })
    }

    /// The mocks without a gateway, with their cost.
    #[must_use]
    pub fn direct(&self) -> Setting {
        let mocks = self.mocks();
        let mut destination = self.gateway.destination.clone();
        destination.addresses = mocks.iter().flat_map(|mock| mock.addresses.clone()).collect();
        Setting {
            name: DIRECT.to_owned(),
            destination,
            pids: self.mocks.iter().map(|mock| mock.child.id()).collect(),
            cpus: self.tester_cpus.clone(),
            serve: None,
            mocks,
        }
    }

    /// The gateway, with its cost.
    #[must_use]
    pub fn through(&self) -> Setting {
        Setting {
            name: "ringway".to_owned(),
            destination: self.gateway.destination.clone(),
            pids: vec![self.gateway.child.id()],
            cpus: self.tester_cpus.clone(),
            serve: None,
            mocks: self.mocks(),
        }
    }

    fn mocks(&self) -> Vec<Destination> {
        self.mocks.iter().map(|mock| mock.destination.clone()).collect()
    }
}

fn start_gateway(
    plan: &Plan,
    mocks: &[Server],
    cpus: &[usize],
    directory: &Path,
) -> io::Result<Server> {
    let addresses = mocks.iter().flat_map(|mock| &mock.destination.addresses);
    let endpoints: Vec<Endpoint> =
        addresses.map(|address| Endpoint { address: *address, weight: 1 }).collect();
    // Streams that say nothing for hours are a plan's right.
    let mut keys = Keys::default();
    let deadlines = [("gap_ms", 7_200_000), ("whole_ms", 14_400_000)];
    let deadlines = deadlines.map(|(name, millis)| (name.to_owned(), millis.into()));
    keys.upstream.insert("deadlines".to_owned(), Table::from_iter(deadlines).into());
    let (gateway, _) = server::start_gateway(&GatewayPlan {
        model: &plan.request.model,
        endpoints: &endpoints,
        keys: &keys,
        shards: plan.shards,
        cpus,
        streams_max: plan.connections + plan.clients.slow + 1000,
        replay_mib: None,
        directory,
    })?;
    Ok(gateway)
}
