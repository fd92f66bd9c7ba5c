//! Processes that the tester starts: a mock, a gateway; each has its own file table and its own bill, and ends with us.

use std::fs;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use ringway::ring::clock;
use serde::Deserialize;
use serde::Serialize;
use toml::Table;
use toml::Value;

use crate::client::destination::Destination;

/// A process that serves; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    /// The process.
    pub child: Child,
    /// Where it listens.
    pub destination: Destination,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// A folder for the files of servers, among the temporary ones; it goes when this is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    is_kept: bool,
}

impl Folder {
    /// Makes one for this process.
    ///
    /// # Errors
    /// The system's.
    pub fn make() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("ringway-loadtest-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self { path, is_kept: false })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets it stay, and says where it is.
    pub fn keep(&mut self) -> &Path {
        self.is_kept = true;
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.is_kept {
            // What cannot be removed lies among the temporary files.
            let _stays = fs::remove_dir_all(&self.path);
        }
    }
}

/// How long a server may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Where a mock runs.
#[derive(Clone, Copy, Debug)]
pub struct MockPlace {
    /// The CPU it is pinned to, if any.
    pub cpu: Option<usize>,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where it can be switched, if anywhere.
    pub control: Option<SocketAddr>,
    /// A process in whose network namespace it runs; none: in ours.
    pub namespace_of: Option<u32>,
}

impl Default for MockPlace {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { cpu: None, listen, control: None, namespace_of: None }
    }
}

/// Starts a mock.
///
/// # Errors
/// The system's; a mock that does not listen.
pub fn start_mock(place: &MockPlace) -> io::Result<Server> {
    let own = std::env::current_exe()?;
    let mut command = match place.namespace_of {
        None => Command::new(own),
        Some(pid) => {
            let mut command = Command::new("nsenter");
            command.args(["--target", &pid.to_string(), "--net", "--"]).arg(own);
            command
        }
    };
    command.args(["mock", "--listen", &place.listen.to_string()]).stdout(Stdio::piped());
    if let Some(control) = place.control {
        command.args(["--control", &control.to_string()]);
    }
    if let Some(cpu) = place.cpu {
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

/// Keys of the gateway's config that a scenario adds, as they stand there.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// Of `[[upstream]]`.
    pub upstream: Table,
    /// Of `[[model]]`.
    pub model: Table,
}

/// An endpoint of the gateway's one upstream.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its weight.
    pub weight: u32,
}

impl Endpoint {
    /// Its URL, as the config and the metrics of the gateway have it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The gateway to be started.
#[derive(Clone, Copy, Debug)]
pub struct GatewayPlan<'a> {
    /// The model asked for.
    pub model: &'a str,
    /// Endpoints of its upstream.
    pub endpoints: &'a [Endpoint],
    /// What else the config says.
    pub keys: &'a Keys,
    /// Shards.
    pub shards: usize,
    /// CPUs of the shards.
    pub cpus: &'a [usize],
    /// Streams at the same time.
    pub streams_max: usize,
    /// Memory in which each shard keeps streams for clients that may come back, in MiB; its own choice, if none.
    pub replay_mib: Option<u32>,
    /// Where its config and its log are kept: `ringway.toml`, `gateway.log`.
    pub directory: &'a Path,
}

/// Starts the gateway that lies beside the tester; returns also its admin address.
///
/// # Errors
/// The system's; a gateway that is not built or does not come up, with what it says about it.
pub fn start_gateway(plan: &GatewayPlan<'_>) -> io::Result<(Server, SocketAddr)> {
    let binary = std::env::current_exe()?.with_file_name("ringway");
    if !binary.exists() {
        return Err(io::Error::other(format!(
            "{} is not there: build it first (cargo build --release)",
            binary.display()
        )));
    }
    let (port, admin) = (free_port()?, SocketAddr::from(([127, 0, 0, 1], free_port()?)));
    let config = plan.directory.join("ringway.toml");
    let text = toml::to_string(&config_of(plan, port, admin)).map_err(io::Error::other)?;
    fs::write(&config, text)?;
    let log = plan.directory.join("gateway.log");
    let list: Vec<String> = plan.cpus.iter().map(usize::to_string).collect();
    let mut command = Command::new(&binary);
    if let Some(mib) = plan.replay_mib {
        command.env("RINGWAY_REPLAY_MIB", mib.to_string());
    }
    let child = command
        .args(["serve", "--config"])
        .arg(&config)
        .env("RINGWAY_SHARDS", plan.shards.to_string())
        .env("RINGWAY_CPUS", list.join(","))
        .env("RINGWAY_STREAMS_MAX", plan.streams_max.to_string())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log)?)
        .spawn()?;
    let destination =
        Destination::parse(&format!("http://127.0.0.1:{port}")).map_err(io::Error::other)?;
    let mut server = Server { child, destination };
    let patience = clock::now().after(START_PATIENCE);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if clock::now() > patience || server.child.try_wait()?.is_some() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            return Err(io::Error::other(format!("the gateway did not start: {said}")));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok((server, admin))
}

/// The gateway's config.
fn config_of(plan: &GatewayPlan<'_>, port: u16, admin: SocketAddr) -> Table {
    let address = |address: String| Table::from_iter([("address".to_owned(), address.into())]);
    let endpoints: Vec<Value> = plan
        .endpoints
        .iter()
        .map(|endpoint| {
            let mut table = Table::from_iter([("url".to_owned(), endpoint.url().into())]);
            if endpoint.weight != 1 {
                table.insert("weight".to_owned(), i64::from(endpoint.weight).into());
            }
            table.into()
        })
        .collect();
    let mut upstream = plan.keys.upstream.clone();
    upstream.insert("name".to_owned(), "mock".into());
    upstream.insert("dialect".to_owned(), "openai".into());
    upstream.insert("endpoints".to_owned(), endpoints.into());
    let mut model = plan.keys.model.clone();
    model.insert("name".to_owned(), plan.model.into());
    model.insert("upstream".to_owned(), "mock".into());
    Table::from_iter([
        ("listen".to_owned(), address(format!("127.0.0.1:{port}")).into()),
        ("admin".to_owned(), address(admin.to_string()).into()),
        ("upstream".to_owned(), vec![Value::from(upstream)].into()),
        ("model".to_owned(), vec![Value::from(model)].into()),
    ])
}

/// A port that was free a moment ago.
///
/// # Errors
/// The system's.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_has_the_keys_of_the_scenario_beside_its_own() {
        let keys: Keys = toml::from_str(
            "upstream = { balance = 'peak_ewma', breaker = { consecutive = 5 } }\nmodel.retry = false",
        )
        .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let plan = GatewayPlan {
            model: "m \"x\"",
            endpoints: &[Endpoint { address, weight: 1 }, Endpoint { address, weight: 3 }],
            keys: &keys,
            shards: 1,
            cpus: &[0],
            streams_max: 10,
            replay_mib: None,
            directory: Path::new("/"),
        };
        let text = toml::to_string(&config_of(&plan, 80, address)).unwrap();
        let read: Table = toml::from_str(&text).unwrap();
        let upstream = &read["upstream"][0];
        assert_eq!(upstream["balance"].as_str(), Some("peak_ewma"));
        assert_eq!(upstream["breaker"]["consecutive"].as_integer(), Some(5));
        assert_eq!(upstream["endpoints"][0].as_table().unwrap().len(), 1);
        assert_eq!(upstream["endpoints"][1]["weight"].as_integer(), Some(3));
        assert_eq!(read["model"][0]["name"].as_str(), Some("m \"x\""));
        assert_eq!(read["model"][0]["retry"].as_bool(), Some(false));
        assert_eq!(read["listen"]["address"].as_str(), Some("127.0.0.1:80"));
    }
}
