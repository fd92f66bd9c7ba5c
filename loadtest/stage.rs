//! The servers that the tester starts itself: mocks and a gateway before them, each a process of its own, so that
//! each has its own file table and its own bill.

use std::fs;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use ringway::ring::clock;
use ringway::sys::affinity;
use serde::Deserialize;
use serde::Serialize;

use crate::client::destination::Destination;
use crate::compare::DIRECT;
use crate::plan::Plan;
use crate::runner::Setting;

/// Servers that end when this is dropped.
#[derive(Debug)]
pub struct Stage {
    mocks: Vec<Server>,
    gateway: Server,
    directory: PathBuf,
    tester_cpus: Vec<usize>,
}

#[derive(Debug)]
struct Server {
    child: Child,
    destination: Destination,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A directory that stays is in the temporary one.
        let _stays = fs::remove_dir_all(&self.directory);
    }
}

/// How long a server may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(10);

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
        let directory =
            std::env::temp_dir().join(format!("ringway-loadtest-{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let mocks = (0..plan.mocks)
            .map(|number| start_mock(tester_cpus.get(number % tester_cpus.len().max(1)).copied()))
            .collect::<io::Result<Vec<_>>>()?;
        let gateway = start_gateway(plan, &mocks, &gateway_cpus, &directory)?;
        Ok(Self { mocks, gateway, directory, tester_cpus })
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
            mocks: self.mocks(),
        }
    }

    fn mocks(&self) -> Vec<Destination> {
        self.mocks.iter().map(|mock| mock.destination.clone()).collect()
    }
}

fn start_mock(cpu: Option<usize>) -> io::Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["mock", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    if let Some(cpu) = cpu {
        command.args(["--cpu", &cpu.to_string()]);
    }
    let mut child = command.spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let address = line.trim().strip_prefix("listening on ").unwrap_or_default();
    let destination = Destination::parse(address);
    let mut server = Server { child, destination: Destination::default() };
    server.destination =
        destination.map_err(|_| io::Error::other(format!("the mock did not start: {line:?}")))?;
    Ok(server)
}

fn start_gateway(
    plan: &Plan,
    mocks: &[Server],
    cpus: &[usize],
    directory: &std::path::Path,
) -> io::Result<Server> {
    let binary = std::env::current_exe()?.with_file_name("ringway");
    if !binary.exists() {
        return Err(io::Error::other(format!(
            "{} is not there: build it first (cargo build --release)",
            binary.display()
        )));
    }
    let (port, admin) = (free_port()?, free_port()?);
    let config = directory.join("ringway.toml");
    fs::write(&config, config_text(plan, mocks, port, admin))?;
    let list: Vec<String> = cpus.iter().map(usize::to_string).collect();
    let child = Command::new(&binary)
        .args(["serve", "--config"])
        .arg(&config)
        .env("RINGWAY_SHARDS", plan.shards.to_string())
        .env("RINGWAY_CPUS", list.join(","))
        .env("RINGWAY_STREAMS_MAX", (plan.connections + plan.clients.slow + 1000).to_string())
        .stdout(Stdio::null())
        .stderr(fs::File::create(directory.join("gateway.log"))?)
        .spawn()?;
    let url = format!("http://127.0.0.1:{port}");
    let destination = Destination::parse(&url).map_err(io::Error::other)?;
    let mut server = Server { child, destination };
    let patience = clock::now().after(START_PATIENCE);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if clock::now() > patience || server.child.try_wait()?.is_some() {
            let log = fs::read_to_string(directory.join("gateway.log")).unwrap_or_default();
            return Err(io::Error::other(format!("the gateway did not start: {log}")));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(server)
}

fn config_text(plan: &Plan, mocks: &[Server], port: u16, admin: u16) -> String {
    let endpoints: Vec<String> = mocks
        .iter()
        .flat_map(|mock| &mock.destination.addresses)
        .map(|address| format!("{{ url = \"http://{address}\" }}"))
        .collect();
    format!(
        "[listen]\naddress = \"127.0.0.1:{port}\"\n\n[admin]\naddress = \"127.0.0.1:{admin}\"\n\n\
         [[upstream]]\nname = \"mock\"\ndialect = \"openai\"\nendpoints = [{}]\n\
         deadlines = {{ gap_ms = 7200000, whole_ms = 14400000 }}\n\n\
         [[model]]\nname = {:?}\nupstream = \"mock\"\n",
        endpoints.join(", "),
        plan.request.model
    )
}

/// A port that was free a moment ago.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// What mocks say of themselves, added up.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct MockCounts {
    /// Requests asked of them.
    pub requests: u64,
    /// Streams under way.
    pub streams_open: u64,
    /// Answers whose client left early.
    pub cancelled: u64,
    /// Connections taken.
    pub connections_accepted: u64,
}

impl MockCounts {
    /// Asks mocks.
    ///
    /// # Errors
    /// The connection's, or an answer that is none.
    pub fn of(mocks: &[Destination]) -> io::Result<Self> {
        let mut sum = Self::default();
        for address in mocks.iter().flat_map(|mock| &mock.addresses) {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(START_PATIENCE))?;
            stream.write_all(b"GET /mock/stats HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            let one: Self = serde_json::from_str(body).map_err(io::Error::other)?;
            sum.requests += one.requests;
            sum.streams_open += one.streams_open;
            sum.cancelled += one.cancelled;
            sum.connections_accepted += one.connections_accepted;
        }
        Ok(sum)
    }
}
