//! An etcd as a process, and `etcdctl`.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::gateway::Mock;
use crate::gateway::until;
use crate::process::Folder;
use crate::process::Server;
use crate::process::bounded;
use crate::process::command;
use crate::process::free_address;
use crate::process::run;
use crate::process::succeed;

/// One member that is a cluster of its own.
pub(super) struct Etcd {
    pub(super) program: PathBuf,
    pub(super) ctl: PathBuf,
    pub(super) folder: Folder,
    pub(super) at: SocketAddr,
    pub(super) members: SocketAddr,
    pub(super) server: Server,
    /// Arguments of the server for TLS, and of those who ask it.
    pub(super) tls: Option<Tls>,
}

pub(super) struct Tls {
    pub(super) ca: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Etcd {
    pub(super) fn start(program: &Path, ctl: &Path, folder: &Folder) -> Self {
        Self::with(program, ctl, folder, None)
    }

    pub(super) fn with(program: &Path, ctl: &Path, folder: &Folder, tls: Option<Tls>) -> Self {
        let (at, members) = (free_address(), free_address());
        let folder = folder.within(&format!("etcd-{}", at.port()));
        let server = serve(program, &folder, at, members, tls.as_ref());
        let (program, ctl) = (program.to_owned(), ctl.to_owned());
        let etcd = Self { program, ctl, folder, at, members, server, tls };
        etcd.until_it_answers();
        etcd
    }

    fn until_it_answers(&self) {
        let get = || run(self.tell(bounded(5, &self.ctl)).args(["get", "x"]));
        until("etcd answers", || get().status.success());
    }

    pub(super) fn restart(&mut self) {
        self.server.kill();
        self.server = serve(&self.program, &self.folder, self.at, self.members, self.tls.as_ref());
    }

    pub(super) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.at)
    }

    /// `etcdctl` with these arguments; it must succeed.
    pub(super) fn ctl(&self, arguments: &[&str]) -> String {
        succeed(self.tell(bounded(20, &self.ctl)).args(arguments))
    }

    pub(super) fn tell(&self, mut ctl: Command) -> Command {
        ctl.env("ETCDCTL_API", "3").arg("--endpoints").arg(self.url());
        if let Some(tls) = &self.tls {
            ctl.arg("--cacert").arg(&tls.ca);
        }
        ctl
    }

    pub(super) fn put(&self, key: &str, mock: &Mock) {
        self.ctl(&["put", key, &format!("{{\"url\": \"http://{}\"}}", mock.address)]);
    }
}

fn serve(
    program: &Path,
    folder: &Folder,
    at: SocketAddr,
    members: SocketAddr,
    tls: Option<&Tls>,
) -> Server {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut etcd = command(program);
    etcd.args(["--name", "only", "--log-level", "error", "--data-dir"]).arg(folder.path("data"));
    for (option, url) in [
        ("--listen-client-urls", format!("{scheme}://{at}")),
        ("--advertise-client-urls", format!("{scheme}://{at}")),
        ("--listen-peer-urls", format!("http://{members}")),
        ("--initial-advertise-peer-urls", format!("http://{members}")),
        ("--initial-cluster", format!("only=http://{members}")),
    ] {
        etcd.arg(option).arg(url);
    }
    if let Some(tls) = tls {
        etcd.arg("--cert-file").arg(&tls.certificate).arg("--key-file").arg(&tls.key);
    }
    let mut server = Server::start(&mut etcd, folder, "etcd");
    server.until_listening(at);
    server
}
