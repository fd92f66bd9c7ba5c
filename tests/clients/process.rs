//! Processes that the tests start: always bounded in time, always killed.

use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Lines;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// How long a server may take to start, on a machine that is busy with other tests.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A command that is killed when this process dies, however it dies.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).stdin(Stdio::null());
    command
}

/// A command that ends after so many seconds at the latest.
pub(crate) fn bounded(seconds: u32, program: impl AsRef<OsStr>) -> Command {
    let mut command = command("timeout");
    // What it runs ends with it, also where it is killed itself.
    command.args(["-k", "1", &seconds.to_string(), "setpriv", "--pdeathsig", "KILL", "--"]);
    command.arg(program);
    command
}

/// Runs a bounded command to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a bounded command, which must succeed; what it wrote to standard output.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = run(command);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out
}

/// Bytes for people.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server, killed at the end.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Server {
    /// Starts a server; what it writes to standard error goes to a file in `folder`.
    pub(crate) fn start(command: &mut Command, folder: &Folder, name: &str) -> Self {
        let log = folder.path(&format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let spawned = command.stdout(Stdio::piped()).stderr(file).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = child.stdout.take().map(|out| BufReader::new(out).lines());
        Self { child, log, lines }
    }

    /// The next line it writes to standard output.
    pub(crate) fn line(&mut self) -> String {
        match self.lines.as_mut().and_then(Iterator::next) {
            Some(Ok(line)) => line,
            ended => panic!("it says nothing ({ended:?}); its log:\n{}", self.log()),
        }
    }

    /// Reads and forgets what it writes from now on.
    pub(crate) fn drain(&mut self) {
        let Some(lines) = self.lines.take() else { return };
        thread::spawn(move || lines.for_each(drop));
    }

    /// Waits until it accepts connections.
    pub(crate) fn until_listening(&mut self, address: SocketAddr) {
        let end = Instant::now() + START_TIMEOUT;
        // Servers of others do not say when they listen: asking is the only signal.
        while TcpStream::connect_timeout(&address, START_TIMEOUT).is_err() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{status}; its log:\n{}", self.log());
            }
            assert!(Instant::now() < end, "nobody listens on {address}:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it at once and waits until it has ended.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        succeed(bounded(5, "kill").args(["-s", name, &self.child.id().to_string()]));
    }

    /// Waits for its end; the exit code.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<i32> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "it did not end within {limit:?}:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        text(&fs::read(&self.log).unwrap_or_default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already: then there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            // A failed test is explained by what its servers said; the harness shows it with the panic.
            let mut log = self.log();
            log.insert_str(0, &format!("--- {}\n", self.log.display()));
            std::io::Write::write_all(&mut std::io::stderr(), log.as_bytes()).ok();
        }
    }
}

/// A folder of one test's own, emptied when the test begins.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let test = thread::current().name().unwrap_or("main").replace("::", "-");
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients").join(test);
        fs::remove_dir_all(&path).ok();
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The path of a file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A folder in it.
    pub(crate) fn within(&self, name: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

/// An address on which nobody listens, below the ports that the kernel gives to connections.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 120).unwrap();
    loop {
        let port = 20_000 + process * 100 + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
