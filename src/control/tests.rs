//! Does control do its work, seen from outside: over the admin listener, with shards that are not any?

use std::collections::VecDeque;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc as channel;
use std::thread;
use std::thread::JoinHandle;

use super::*;
use crate::crossing::publish;
use crate::crossing::publish::Inlet;
use crate::crossing::publish::Phase;
use crate::record::Record;
use crate::record::counters::ShardCounter;

type Script = Arc<Mutex<VecDeque<Result<Reading, Vec<String>>>>>;

/// A source that gives what it was told to give, when it is asked.
struct Scripted(Script);

impl Source for Scripted {
    async fn changed(&mut self) {
        std::future::pending().await
    }

    async fn read(&mut self) -> Result<Reading, Vec<String>> {
        let next = self.0.lock().unwrap().pop_front();
        next.expect("the script goes on")
    }
}

fn reading(number: u64) -> Reading {
    Reading {
        snapshot: Some(Snapshot { number, ..Snapshot::empty() }),
        changes: vec![format!("this is number {number}")],
        admin: ([127, 0, 0, 1], 0).into(),
        access_log: None,
    }
}

/// A shard that adopts and does nothing else.
struct Shard {
    page: Arc<Page>,
    records: records::Sender,
    inlet: Inlet,
}

impl Shard {
    /// Adopts until it is told to drain and has no connection open.
    fn run(&self) {
        loop {
            if let Some(publication) = self.inlet.adopt() {
                self.page.add(ShardCounter::Turns, 1);
                self.page.set(ShardCounter::AdoptedSnapshot, publication.snapshot.number);
                if publication.phase == Phase::Draining {
                    self.page.set(ShardCounter::Draining, 1);
                    return;
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Control on a thread of its own.
struct Running {
    script: Script,
    remote: Remote,
    admin: SocketAddr,
    control: JoinHandle<ExitReason>,
}

fn start(readings: Vec<Result<Reading, Vec<String>>>, drain: Duration) -> (Running, Vec<Shard>) {
    let (publisher, inlets) = publish::channel(2).unwrap();
    let (mut shards, mut ends) = (Vec::new(), Vec::new());
    for inlet in inlets {
        let page = Page::new();
        let (records, receiver) = records::queue(64);
        ends.push(ShardEnd { page: Arc::clone(&page), records: receiver });
        shards.push(Shard { page, records, inlet });
    }
    let script: Script = Arc::new(Mutex::new(readings.into()));
    let source = Scripted(Arc::clone(&script));
    let (remote, commands) = remote();
    let (told, ready) = channel::channel();
    let options = Options {
        source,
        admin: None,
        shards: ends,
        publisher,
        drain,
        commands,
        ready: Box::new(move |ready| told.send(ready).unwrap()),
    };
    let control = thread::spawn(|| run(options));
    let admin = ready.recv_timeout(Duration::from_secs(10)).unwrap().admin;
    (Running { script, remote, admin, control }, shards)
}

impl Running {
    /// Status and the rest of the answer.
    fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }

    fn until(&self, path: &str, expected: u16) -> String {
        for _ in 0..500 {
            let (status, answer) = self.ask("GET", path);
            if status == expected {
                return answer;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("{path} never answered {expected}");
    }
}

#[test]
fn pages_that_exist_and_pages_that_do_not() {
    let (running, _shards) = start(vec![Ok(reading(1))], Duration::ZERO);
    assert_eq!(running.ask("GET", "/healthz").0, 200);
    let (status, answer) = running.ask("HEAD", "/metrics");
    assert_eq!(status, 200);
    assert!(answer.ends_with("\r\n\r\n"), "no body");
    let (status, answer) = running.ask("GET", "/nothing");
    assert_eq!(status, 404);
    assert!(answer.contains("/admin/explain?model=NAME"), "{answer}");
    let (status, answer) = running.ask("POST", "/metrics");
    assert_eq!(status, 405);
    assert!(answer.to_ascii_lowercase().contains("allow: get, head"), "{answer}");
    assert_eq!(running.ask("GET", "/admin/explain?model=x&path=/v1/models").0, 200);
    assert_eq!(running.ask("GET", "/admin/explain?modle=x").0, 400);
    assert!(running.remote.tell(Command::Stop));
    assert!(matches!(running.control.join().unwrap(), ExitReason::Stopped));
}

#[test]
fn ready_once_every_shard_has_adopted_and_until_told_to_end() {
    let (running, shards) = start(vec![Ok(reading(1))], Duration::from_secs(20));
    let (status, answer) = running.ask("GET", "/readyz");
    assert_eq!(status, 503);
    assert!(answer.contains("shard 1 has not adopted a snapshot yet"), "{answer}");
    let shards: Vec<_> = shards.into_iter().map(Arc::new).collect();
    shards[1].page.add(ShardCounter::ConnectionsOpen, 1);
    let threads: Vec<_> = shards
        .iter()
        .map(|shard| {
            let shard = Arc::clone(shard);
            thread::spawn(move || shard.run())
        })
        .collect();
    running.until("/readyz", 200);
    assert_eq!(running.ask("GET", "/livez").0, 200);

    assert!(running.remote.tell(Command::End));
    let answer = running.until("/readyz", 503);
    assert!(answer.contains("shutting down"), "{answer}");
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(running.ask("GET", "/healthz").0, 200, "serves until the last connection is gone");
    shards[1].page.sub(ShardCounter::ConnectionsOpen, 1);
    assert!(matches!(running.control.join().unwrap(), ExitReason::Drained));
}

#[test]
fn a_shard_without_turns_is_not_alive() {
    let (running, shards) = start(vec![Ok(reading(1))], Duration::ZERO);
    let mut shards = shards.into_iter();
    let first = shards.next().unwrap();
    let runs = thread::spawn(move || first.run());
    let (status, answer) = running.ask("GET", "/livez");
    assert_eq!(status, 503);
    assert!(answer.contains("shard 1 has made no turn"), "{answer}");
    assert!(!answer.contains("shard 0"), "{answer}");
    assert!(running.remote.tell(Command::End));
    runs.join().unwrap();
    let reason = running.control.join().unwrap();
    assert!(matches!(reason, ExitReason::DrainTimedOut { connections_open: 0 }), "{reason:?}");
}

#[test]
fn a_second_order_to_end_ends_at_once() {
    let (running, _shards) = start(vec![Ok(reading(1))], Duration::from_secs(600));
    assert!(running.remote.tell(Command::End));
    assert!(running.remote.tell(Command::End));
    assert!(matches!(running.control.join().unwrap(), ExitReason::Stopped));
}

#[test]
fn a_bad_reading_keeps_the_last_good_snapshot() {
    let (running, _shards) = start(vec![Ok(reading(1))], Duration::ZERO);
    let bad = || Err(vec!["ringway.toml:3: listen.adress: unknown".to_owned()]);
    running.script.lock().unwrap().extend([bad(), Ok(reading(2))]);
    let shown = |text: &str| {
        for _ in 0..500 {
            if running.ask("GET", "/admin/snapshot").1.contains(text) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("{text} is never shown");
    };
    shown("this is number 1");
    assert!(running.remote.tell(Command::Reread));
    shown("listen.adress: unknown");
    let (_, metrics) = running.ask("GET", "/metrics");
    assert!(metrics.contains("ringway_config_last_reload_successful 0\n"));
    assert!(metrics.contains("ringway_snapshot_number 1\n"));
    assert!(running.remote.tell(Command::Reread));
    shown("this is number 2");
    let (_, metrics) = running.ask("GET", "/metrics");
    assert!(metrics.contains("ringway_config_last_reload_successful 1\n"));
    assert!(metrics.contains("ringway_config_reloads_total{result=\"failed\"} 1\n"));
    let (_, page) = running.ask("GET", "/admin/snapshot");
    let body = page.split_once("\r\n\r\n").unwrap().1;
    let shown: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(shown["snapshot"]["number"], 2);
    assert_eq!(shown["history"].as_array().unwrap().len(), 3);
    assert_eq!(shown["last_reload"]["result"], "published");
    running.remote.tell(Command::Stop);
    running.control.join().unwrap();
}

#[test]
fn a_source_that_panics_ends_nothing_but_itself() {
    let (running, _shards) = start(vec![Ok(reading(1))], Duration::ZERO);
    assert!(running.remote.tell(Command::Reread), "the script is over: this panics");
    for _ in 0..500 {
        if running.ask("GET", "/metrics").1.contains("ringway_config_last_reload_successful 0") {
            running.remote.tell(Command::Stop);
            running.control.join().unwrap();
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("nobody noticed");
}

#[test]
fn records_become_lines_of_the_access_log() {
    let name = format!("ringway-{}-control.log", std::process::id());
    let path: PathBuf = std::env::temp_dir().join(name);
    std::fs::remove_file(&path).ok();
    let access_log = Some(Destination::File(path.clone()));
    let (running, shards) =
        start(vec![Ok(Reading { access_log, ..reading(1) })], Duration::from_secs(20));
    for shard in &shards {
        assert!(shard.records.offer(Record { status: 200, ..Record::default() }));
    }
    assert!(running.remote.tell(Command::End));
    for shard in shards {
        shard.run();
    }
    assert!(matches!(running.control.join().unwrap(), ExitReason::Drained));
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_keeps_control_from_beginning_is_said() {
    let options = |reading, admin| Options {
        source: Scripted(Arc::new(Mutex::new(VecDeque::from([reading])))),
        admin,
        shards: Vec::new(),
        publisher: publish::channel(0).unwrap().0,
        drain: Duration::ZERO,
        commands: remote().1,
        ready: Box::new(|_| panic!("it is not ready")),
    };
    let reason = run(options(Err(vec!["wrong".to_owned()]), None));
    assert!(matches!(reason, ExitReason::Config(errors) if errors == ["wrong"]));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = Some(taken.local_addr().unwrap());
    match run(options(Ok(reading(1)), admin)) {
        ExitReason::AdminAddress { address, error } => {
            assert_eq!(Some(address), admin);
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        other => panic!("{other:?}"),
    }
}
