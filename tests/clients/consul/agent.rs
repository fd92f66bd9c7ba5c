//! A Consul agent that the tests start, and what they tell it.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use serde_json::json;

use crate::gateway::until;
use crate::process::Folder;
use crate::process::Server;
use crate::process::bounded;
use crate::process::command;
use crate::process::free_address;
use crate::process::run;
use crate::process::text;

/// A token that may do everything.
pub(super) const TOKEN: &str = "6a1253d2-1785-24fd-91c2-f8e78c745511";

/// An agent that is a datacenter of its own. It forgets everything when it ends.
pub(super) struct Agent {
    program: PathBuf,
    folder: Folder,
    datacenter: &'static str,
    http: SocketAddr,
    /// Of servers, of the datacenter, and of all datacenters.
    pub(super) ports: [u16; 3],
    /// Settings, and where another datacenter is.
    more: Vec<String>,
    pub(super) server: Server,
}

impl Agent {
    pub(super) fn start(
        program: PathBuf,
        folder: &Folder,
        datacenter: &'static str,
        more: Vec<String>,
    ) -> Self {
        let folder = folder.within(datacenter);
        let http = free_address();
        let ports = [(); 3].map(|()| free_address().port());
        let server = serve(&program, &folder, datacenter, http, ports, &more);
        let agent = Self { program, folder, datacenter, http, ports, more, server };
        agent.until_leads();
        agent
    }

    /// Kills it, and starts it again at the same addresses, without what it knew.
    pub(super) fn restart(&mut self) {
        self.server.kill();
        let Self { program, folder, datacenter, http, ports, more, .. } = self;
        self.server = serve(program, folder, datacenter, *http, *ports, more);
        self.until_leads();
    }

    fn until_leads(&self) {
        until(&format!("{} has a leader", self.datacenter), || {
            let leader = self.asked("GET", "/v1/status/leader", "");
            leader.status.success() && leader.stdout.len() > 2
        });
        // Before its own node is there, it does not say who is well.
        let nodes = format!("/v1/catalog/nodes?dc={}", self.datacenter);
        until("its node is there", || text(&self.asked("GET", &nodes, "").stdout).contains("ID"));
    }

    /// Waits until the token counts.
    pub(super) fn until_closed(&self) {
        until("the token is known", || {
            self.asked("GET", "/v1/acl/token/self", "").status.success()
        });
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    pub(super) fn asked(&self, method: &str, path: &str, body: &str) -> Output {
        let token = format!("x-consul-token: {TOKEN}");
        let mut curl = bounded(10, "curl");
        curl.args(["-sS", "--fail", "-X", method, "-H", &token, "-d", body]);
        run(curl.arg(format!("{}{path}", self.url())))
    }

    /// What it answers with.
    pub(super) fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let output = self.asked(method, path, body);
        assert!(output.status.success(), "{method} {path}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(super) fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.ask("GET", path, "")).unwrap()
    }

    /// Registers an instance of the service `llm`.
    pub(super) fn add(&self, id: &str, at: SocketAddr, more: &Value) {
        let mut service = json!({
            "ID": id, "Name": "llm", "Address": at.ip().to_string(), "Port": at.port(),
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            service[key] = value.clone();
        }
        self.ask("PUT", "/v1/agent/service/register", &service.to_string());
    }

    pub(super) fn remove(&self, id: &str) {
        self.ask("PUT", &format!("/v1/agent/service/deregister/{id}"), "");
    }

    /// Writes a key; whether it was still as `index` says.
    pub(super) fn put(&self, key: &str, value: &str, index: u64) -> bool {
        self.ask("PUT", &format!("/v1/kv/{key}?cas={index}"), value).trim() == "true"
    }

    /// The gateways that are well, as others see them.
    pub(super) fn gateways(&self) -> Vec<Value> {
        let found = self.get("/v1/health/service/ringway?passing=1");
        found.as_array().unwrap().clone()
    }
}

fn serve(
    program: &Path,
    folder: &Folder,
    datacenter: &str,
    http: SocketAddr,
    ports: [u16; 3],
    more: &[String],
) -> Server {
    let mut consul = command(program);
    consul.args(["agent", "-dev", "-datacenter", datacenter, "-node", datacenter]);
    consul.args(["-bind", "127.0.0.1", "-client", "127.0.0.1", "-dns-port", "-1"]);
    consul.args(["-grpc-port", "-1", "-http-port", &http.port().to_string()]);
    for (kind, port) in ["-server-port", "-serf-lan-port", "-serf-wan-port"].iter().zip(ports) {
        consul.args([kind, port.to_string().as_str()]);
    }
    let mut server = Server::start(consul.args(more), folder, datacenter);
    server.drain();
    server.until_listening(http);
    server
}

/// A Consul that lets nobody in without a token.
pub(super) fn closed(folder: &Folder) -> Vec<String> {
    let acl = "acl { enabled = true default_policy = \"deny\" tokens { master = \"TOKEN\" agent = \"TOKEN\" } }";
    let file = folder.write("acl.hcl", &acl.replace("TOKEN", TOKEN));
    vec![format!("-config-file={}", file.display())]
}
