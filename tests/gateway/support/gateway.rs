//! The gateway as a process: started with a config, asked over its sockets, told by signals, read by its logs.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::connection::Connection;
use super::connection::Message;
use super::connection::PATIENCE;

/// The binary that is tested.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_ringway");

/// How a gateway is started.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Lines of `[listen]` beside the address.
    pub(crate) listen: String,
    /// Everything after `[admin]`.
    pub(crate) rest: String,
    /// Variables of the environment.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// What the shell is told before it becomes the gateway.
    pub(crate) shell: Option<String>,
}

impl Setup {
    /// One shard, and these upstreams and models.
    pub(crate) fn new(rest: impl Into<String>) -> Self {
        static TURN: AtomicUsize = AtomicUsize::new(0);
        // A single shard would be pinned to the first CPU, and that of all tests to the same.
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let cpu = TURN.fetch_add(1, Ordering::Relaxed) % cpus;
        let variables = vec![("RINGWAY_SHARDS", "1".to_owned()), ("RINGWAY_CPUS", cpu.to_string())];
        Self { listen: String::new(), rest: rest.into(), variables, shell: None }
    }

    /// The model `m` of an upstream `u` with one endpoint, and these further lines in `[[upstream]]`.
    pub(crate) fn one(url: &str, lines: &str) -> Self {
        Self::new(one(url, lines))
    }

    /// As [`Self::one`], with one attempt for each request.
    pub(crate) fn once(url: &str, lines: &str) -> Self {
        Self::new(one(url, lines) + "retry = false\n")
    }

    /// With these lines in `[listen]`.
    pub(crate) fn listen(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.listen);
        self
    }

    /// With this variable.
    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
        self
    }

    /// With so many shards.
    pub(crate) fn shards(mut self, count: usize) -> Self {
        self.variables.retain(|(name, _)| *name != "RINGWAY_CPUS");
        self.variable("RINGWAY_SHARDS", count.to_string())
    }

    /// Through a shell that runs this first.
    pub(crate) fn shell(mut self, line: &str) -> Self {
        self.shell = Some(line.to_owned());
        self
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(&self) -> Gateway {
        Gateway::start(self)
    }
}

/// What the model of [`one`] says of streams: most tests want to see a head before anything else.
pub(crate) const COMMITS_SOON: &str = "commit_after_ms = 50\n";

/// The model `m` of an upstream `u` with one endpoint, and these further lines in `[[upstream]]`.
pub(crate) fn one(url: &str, lines: &str) -> String {
    format!(
        "[[upstream]]\nname = \"u\"\ndialect = \"openai\"\nendpoints = [{{ url = \"{url}\" }}]\n{lines}\n\n\
         [[model]]\nname = \"m\"\nupstream = \"u\"\n{COMMITS_SOON}"
    )
}

/// A gateway that runs.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    /// Where clients come in.
    pub(crate) listen: SocketAddr,
    /// Where operators come in.
    pub(crate) admin: SocketAddr,
    /// Where its config is.
    pub(crate) folder: PathBuf,
    listen_lines: String,
    log: Arc<Mutex<String>>,
}

/// An address of the loopback network that nothing else on this machine uses: every gateway has its own, so that no
/// port has to be guessed, and none is shared by accident (its listeners would share it without a word).
pub(crate) fn fresh_ip() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [.., process] = std::process::id().to_be_bytes();
    loop {
        let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let ip = Ipv4Addr::new(127, process | 128, high, low);
        if TcpListener::bind((ip, 9090)).is_ok() {
            return ip;
        }
    }
}

/// A folder of the test's own; removed when the gateway is.
pub(crate) fn fresh_folder(ip: Ipv4Addr) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("gateway-{ip}"));
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

impl Gateway {
    fn start(setup: &Setup) -> Self {
        let mut gateway = Self::begin(setup);
        gateway.await_ready();
        gateway
    }

    /// Starts it without waiting for anything.
    pub(crate) fn begin(setup: &Setup) -> Self {
        let ip = fresh_ip();
        let folder = fresh_folder(ip);
        let (listen, admin) = ((ip, 8080).into(), (ip, 9090).into());
        let config = folder.join("ringway.toml");
        fs::write(&config, text(listen, admin, &setup.listen, &setup.rest)).expect("a file");
        let mut command = match &setup.shell {
            None => Command::new(BINARY),
            Some(line) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{line}; exec \"$0\" \"$@\""), BINARY]);
                shell
            }
        };
        command.arg("serve").arg("--config").arg(&config);
        Self::launch(command, setup, listen, admin, folder)
    }

    /// Without a config, at its fixed addresses.
    pub(crate) fn demo() -> Self {
        let local = Ipv4Addr::LOCALHOST;
        let (listen, admin) = ((local, 8080).into(), (local, 9090).into());
        let folder = fresh_folder(fresh_ip());
        let mut gateway =
            Self::launch(Command::new(BINARY), &Setup::new(""), listen, admin, folder);
        gateway.await_ready();
        gateway
    }

    fn launch(
        mut command: Command,
        setup: &Setup,
        listen: SocketAddr,
        admin: SocketAddr,
        folder: PathBuf,
    ) -> Self {
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RINGWAY_")) {
            command.env_remove(name);
        }
        command.envs(setup.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().expect("piped"), &log);
        collect(child.stderr.take().expect("piped"), &log);
        Self { child, listen, admin, folder, listen_lines: setup.listen.clone(), log }
    }

    fn await_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.ready_status() != Some(200) {
            if let Some(status) = self.child.try_wait().expect("a child") {
                panic!("the gateway ended with {status}:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "not ready after {PATIENCE:?}:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn ready_status(&self) -> Option<u16> {
        let mut stream = std::net::TcpStream::connect(self.admin).ok()?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.get(9..12)?.parse().ok()
    }

    /// A new client.
    pub(crate) fn client(&self) -> Connection {
        Connection::to(self.listen)
    }

    /// Asks once, on a connection of its own.
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> Message {
        let mut client = self.client();
        client.send(request);
        client.message()
    }

    /// An admin page.
    pub(crate) fn page(&self, path: &str) -> Message {
        let mut client = Connection::to(self.admin);
        client.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
        client.message()
    }

    /// The sum of a metric's samples that have all these labels.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        sum(self.page("/metrics").text(), name, labels)
    }

    /// Waits until a metric is what it should be.
    pub(crate) fn await_metric(&self, name: &str, labels: &[(&str, &str)], expected: u64) {
        await_true(&format!("{name}{labels:?} is {expected}"), || {
            let found = self.metric(name, labels);
            if found == expected { Ok(()) } else { Err(format!("it is {found}")) }
        });
    }

    /// Waits until exactly one fault of this kind, and no other, is counted.
    pub(crate) fn await_fault(&self, fault: &str) {
        self.await_metric("ringway_faults_total", &[("fault", fault)], 1);
        assert_eq!(self.metric("ringway_faults_total", &[]), 1, "other faults than {fault}");
    }

    /// Sends a signal, for instance `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &line]).status().expect("a shell");
        assert!(sent.success(), "{line}");
    }

    /// Writes the config anew, all at once; it is the gateway's business to notice.
    pub(crate) fn write_config(&self, rest: &str) {
        let text = text(self.listen, self.admin, &self.listen_lines, rest);
        let next = self.folder.join("next.toml");
        fs::write(&next, text).expect("a file");
        fs::rename(&next, self.folder.join("ringway.toml")).expect("a file");
    }

    /// Writes the config anew, has it read, and waits until it is in force.
    pub(crate) fn reload(&self, rest: &str) {
        let number = self.metric("ringway_snapshot_number", &[]) + 1;
        self.write_config(rest);
        self.signal("HUP");
        self.await_metric("ringway_snapshot_number", &[], number);
        let shards = self.page("/metrics");
        let shards = shards.text().matches("\nringway_snapshot_adopted{").count() as u64;
        self.await_metric("ringway_snapshot_adopted", &[], number * shards);
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("only appended to").clone()
    }

    /// Waits until it has logged this.
    pub(crate) fn await_log(&self, part: &str) {
        await_true(&format!("the log has {part:?}"), || {
            let log = self.log();
            if log.contains(part) { Ok(()) } else { Err(log) }
        });
    }

    /// Waits until it has ended by itself.
    pub(crate) fn await_end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "still there after {PATIENCE:?}:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A line of `/proc/PID/status`, in KiB.
    pub(crate) fn memory_kib(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("a process");
        let found = status.lines().find_map(|text| text.strip_prefix(line)).expect("a line");
        found.trim_matches([':', ' ', '\t', 'k', 'B']).parse().expect("a number")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if thread::panicking() {
            let mut text = String::new();
            write!(text, "--- the gateway's log ---\n{}---\n", self.log()).ok();
            io::stderr().write_all(text.as_bytes()).ok();
        }
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn text(listen: SocketAddr, admin: SocketAddr, listen_lines: &str, rest: &str) -> String {
    format!(
        "[listen]\naddress = \"{listen}\"\n{listen_lines}\n\n[admin]\naddress = \"{admin}\"\n\n{rest}"
    )
}

fn collect(stream: impl Read + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut log = log.lock().expect("only appended to");
            log.push_str(&line);
            log.push('\n');
        }
    });
}

/// The sum of a metric's samples that have all these labels.
pub(crate) fn sum(page: &str, name: &str, labels: &[(&str, &str)]) -> u64 {
    let samples = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (shown, value) = rest.rsplit_once(' ')?;
        let is_it = shown.is_empty() || shown.starts_with('{');
        let has = |(key, value): &(&str, &str)| shown.contains(&format!("{key}=\"{value}\""));
        (is_it && labels.iter().all(has)).then(|| value.parse::<u64>().ok())?
    });
    samples.sum()
}

/// Waits until something is as it should be.
pub(crate) fn await_true(what: &str, mut look: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(()) => return,
            Err(found) => {
                assert!(Instant::now() < deadline, "after {PATIENCE:?} not yet: {what}; {found}");
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A chat request with these further keys, as a JSON fragment such as `,"stream":true`.
pub(crate) fn chat(model: &str, more: &str) -> String {
    post("/v1/chat/completions", &format!("{{\"model\":\"{model}\",\"messages\":[]{more}}}"))
}

/// A request with a body.
pub(crate) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// A request without a body.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n")
}
