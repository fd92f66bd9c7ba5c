//! The gateway and a model server behind it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::process::Folder;
use crate::process::Server;
use crate::process::bounded;
use crate::process::command;
use crate::process::free_address;
use crate::process::succeed;

/// How long anything may take that another process does.
const PATIENCE: Duration = Duration::from_secs(30);
const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway");

/// A model server that behaves as requests ask.
pub(crate) struct Mock {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
}

impl Mock {
    pub(crate) fn start(folder: &Folder) -> Self {
        let mut mock = command(RINGWAY);
        mock.args(["mock", "--listen", "127.0.0.1:0"]);
        let mut server = Server::start(&mut mock, folder, "mock");
        let address = addresses(&server.line())[0];
        server.drain();
        Self { server, address }
    }

    /// One of its counters.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let page = get(&format!("http://{}/mock/stats", self.address));
        let stats: serde_json::Value = serde_json::from_str(&page).unwrap();
        stats[name].as_u64().unwrap_or_else(|| panic!("no {name} in {page}"))
    }

    /// Waits until a counter is what it must become.
    pub(crate) fn until(&self, name: &str, expected: u64) {
        until(&format!("{name} of the mock is {expected}"), || self.count(name) == expected);
    }
}

/// The gateway.
pub(crate) struct Gateway {
    pub(crate) server: Server,
    /// Where clients come in.
    pub(crate) address: SocketAddr,
    /// Where operators come in.
    pub(crate) admin: SocketAddr,
}

impl Gateway {
    /// Starts it with this config, to which the addresses are added.
    pub(crate) fn start(folder: &Folder, config: &str) -> Self {
        let any = "address = \"127.0.0.1:0\"\n";
        folder.write("ringway.toml", &format!("[listen]\n{any}[admin]\n{any}{config}"));
        Self::serve(folder)
    }

    fn serve(folder: &Folder) -> Self {
        let mut serve = command(RINGWAY);
        serve.arg("serve").arg("--config").arg(folder.path("ringway.toml"));
        let mut server = Server::start(&mut serve, folder, "ringway");
        let [address, admin] = addresses(&server.line())[..] else { panic!("two addresses") };
        server.drain();
        Self { server, address, admin }
    }

    /// Starts one that has ended again, at the same addresses.
    pub(crate) fn restart(&mut self, folder: &Folder) {
        let mut config = std::fs::read_to_string(folder.path("ringway.toml")).unwrap();
        for address in [self.address, self.admin] {
            config = config.replacen("127.0.0.1:0", &address.to_string(), 1);
        }
        folder.write("ringway.toml", &config);
        self.server = Self::serve(folder).server;
    }

    /// Starts it in front of one upstream at `url`, with the model `demo`.
    pub(crate) fn before(folder: &Folder, url: &str, more: &str) -> Self {
        Self::before_these(folder, &format!("{{ url = \"{url}\" }}"), more, "")
    }

    /// Starts it in front of one upstream with these endpoints, with the model `demo`; further lines for either.
    pub(crate) fn before_these(folder: &Folder, endpoints: &str, more: &str, model: &str) -> Self {
        Self::start(
            folder,
            &format!(
                "[[upstream]]\nname = \"only\"\nendpoints = [{endpoints}]\n{more}\n\
                 [[model]]\nname = \"demo\"\nupstream = \"only\"\n{model}\n"
            ),
        )
    }

    /// The demo, as somebody starts it who has just cloned it; and what it prints.
    pub(crate) fn demo(folder: &Folder) -> (Self, Vec<String>) {
        let mut server = Server::start(&mut command(RINGWAY), folder, "demo");
        let first = server.line();
        let lines = (0..5).map(|_| server.line()).collect();
        server.drain();
        let [address, admin] = addresses(&first)[..] else { panic!("two addresses") };
        (Self { server, address, admin }, lines)
    }

    /// A URL of it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The sum of all series of a metric whose labels hold `label`.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let page = get(&format!("http://{}/metrics", self.admin));
        page.lines()
            .filter(|line| {
                let rest = line.strip_prefix(name);
                rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(label)
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Asks for a change below `/admin/`: the status, and what was said.
    pub(crate) fn change(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut curl = bounded(20, "curl");
        curl.args(["-s", "-w", "\n%{http_code}", "-X", method, "-d", body]);
        curl.args(["-H", "content-type: application/json"]);
        let said = succeed(curl.arg(format!("http://{}/admin/{path}", self.admin)));
        let (text, status) = said.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), text.to_owned())
    }

    /// Ends it as an operator would; it must end in order.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    /// As `stop`, for one that is started again.
    pub(crate) fn end(&mut self) {
        self.server.signal("TERM");
        assert_eq!(self.server.wait(Duration::from_secs(10)), Some(0), "{}", self.server.log());
    }
}

/// The addresses of the URLs in a line.
fn addresses(line: &str) -> Vec<SocketAddr> {
    let urls = line.split("http://").skip(1);
    urls.filter_map(|url| url.split([',', '/', ' ']).next()?.parse().ok()).collect()
}

/// Every kind of model that the SDKs ask for, behind one gateway.
pub(crate) fn with_all_models(folder: &Folder, mock: &Mock) -> Gateway {
    let mock = mock.address;
    let dead = free_address();
    let upstreams = [
        ("mock", "openai", mock.to_string()),
        ("claude", "anthropic", mock.to_string()),
        ("dead", "openai", dead.to_string()),
        ("nowhere", "openai", "nowhere.invalid".to_owned()),
    ];
    let mut config = String::new();
    for (name, dialect, host) in upstreams {
        config.push_str(&format!(
            "[[upstream]]\nname = \"{name}\"\ndialect = \"{dialect}\"\nendpoints = [{{ url = \"http://{host}\" }}]\n"
        ));
    }
    for (name, upstream, more) in [
        ("demo", "mock", "version = \"v2\"\naliases = [\"demo-alias\"]"),
        ("renamed", "mock", "upstream_model = \"upstream-name\""),
        ("hasty", "mock", "deadlines = { first_byte_ms = 300, gap_ms = 300 }"),
        ("dead", "dead", ""),
        ("nowhere", "nowhere", ""),
        ("claude", "claude", ""),
        ("claude-dead", "dead", ""),
        ("claude-nowhere", "nowhere", ""),
    ] {
        config.push_str(&format!(
            "[[model]]\nname = \"{name}\"\nupstream = \"{upstream}\"\n{more}\n"
        ));
    }
    Gateway::start(folder, &config)
}

/// Gets a page that must be there.
pub(crate) fn get(url: &str) -> String {
    succeed(bounded(10, "curl").args(["-sSf", url]))
}

/// Waits for what another process does and does not announce.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The folder of this suite.
pub(crate) fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}
