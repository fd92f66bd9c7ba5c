//! Does control do its work, seen from outside: over the admin listener, with shards that are not any?

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::mpsc as channel;
use std::thread;
use std::thread::JoinHandle;

use super::*;
use crate::balance::breaker;
use crate::balance::verdict::Verdict;
use crate::crossing::health::Health;
use crate::crossing::health::SharedHealth;
use crate::crossing::publish;
use crate::crossing::publish::Inlet;
use crate::crossing::publish::Phase;
use crate::record::Record;
use crate::record::counters::ShardCounter;
use crate::snapshot::SLOTS_MAX;
use crate::units::ShardId;
use crate::units::SlotId;

/// The shortest config there is.
const CONFIG: &str = r#"
[admin]
address = "127.0.0.1:0"
[[upstream]]
name = "local"
endpoints = [{ url = "http://127.0.0.1:9" }]
[[model]]
name = "m"
upstream = "local"
"#;

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
                if publication.phase != Phase::Serving {
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
    remote: Remote,
    admin: SocketAddr,
    control: JoinHandle<ExitReason>,
}

fn start(drain: Duration) -> (Running, Vec<Shard>) {
    start_with(Source::BuiltIn(CONFIG.to_owned()), drain)
}

fn start_with(source: Source, drain: Duration) -> (Running, Vec<Shard>) {
    start_on(source, drain, Health::new(2))
}

fn start_on(source: Source, drain: Duration, health: SharedHealth) -> (Running, Vec<Shard>) {
    let (publisher, inlets) = publish::channel(2).unwrap();
    let (mut shards, mut ends) = (Vec::new(), Vec::new());
    for inlet in inlets {
        let page = Page::new();
        let (records, receiver) = records::queue(64);
        ends.push(ShardEnd { page: Arc::clone(&page), records: receiver });
        shards.push(Shard { page, records, inlet });
    }
    let (remote, commands) = remote();
    let (told, ready) = channel::channel();
    let options = Options {
        source,
        steps: Vec::new(),
        admin: None,
        shards: ends,
        publisher,
        health,
        drain,
        endpoints_max: SLOTS_MAX,
        commands,
        ready: Box::new(move |ready| told.send(ready).unwrap()),
    };
    let control = thread::spawn(|| run(options));
    let admin = ready.recv_timeout(Duration::from_secs(10)).unwrap().admin;
    (Running { remote, admin, control }, shards)
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
    let (running, _shards) = start(Duration::ZERO);
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
    assert_eq!(running.ask("GET", "/admin/explain?model=m").0, 200);
    let (_, answer) = running.ask("GET", "/admin/explain?model=m&format=json");
    assert!(answer.contains("\"upstream\": \"local\""), "{answer}");
    assert_eq!(running.ask("GET", "/admin/explain?modle=x").0, 400);
    assert!(running.remote.tell(Command::Stop));
    assert!(matches!(running.control.join().unwrap(), ExitReason::Stopped));
}

#[test]
fn ready_once_every_shard_has_adopted_and_until_told_to_end() {
    let (running, shards) = start(Duration::from_secs(20));
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
    let (running, shards) = start(Duration::ZERO);
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
    let (running, _shards) = start(Duration::from_secs(600));
    assert!(running.remote.tell(Command::End));
    assert!(running.remote.tell(Command::End));
    assert!(matches!(running.control.join().unwrap(), ExitReason::Stopped));
}

/// A place for a file of one test.
fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ringway-control-{}-{name}", std::process::id()))
}

#[test]
fn a_bad_config_keeps_the_last_good_snapshot() {
    let path = temporary("reload.toml");
    std::fs::write(&path, CONFIG).unwrap();
    let (running, _shards) = start_with(Source::File(path.clone()), Duration::ZERO);
    let shown = |text: &str| {
        for _ in 0..500 {
            let (_, answer) = running.ask("GET", "/admin/snapshot");
            if answer.contains(text) {
                return answer;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{text} is never shown");
    };
    shown("\"number\": 1");
    std::fs::write(&path, CONFIG.replace("upstream = ", "upstraem = ")).unwrap();
    assert!(running.remote.tell(Command::Reread));
    shown("upstraem");
    let (_, metrics) = running.ask("GET", "/metrics");
    assert!(metrics.contains("ringway_config_last_reload_successful 0\n"));
    assert!(metrics.contains("ringway_config_reloads_total{result=\"failed\"} 1\n"));
    assert!(metrics.contains("ringway_snapshot_number 1\n"));

    std::fs::write(&path, CONFIG.replace("\"m\"", "\"n\"")).unwrap();
    assert!(running.remote.tell(Command::Reread));
    let answer = shown("\"number\": 2");
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let outline: crate::snapshot::Outline = serde_json::from_str(body).unwrap();
    assert_eq!(outline.models[0].name, "n", "as `ringway check` reads it");
    let shown: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(shown["history"].as_array().unwrap().len(), 2);
    assert_eq!(shown["is_last_reload_successful"], true);
    assert_eq!(shown["shards"][1]["adopted_snapshot"], 0);
    running.remote.tell(Command::Stop);
    running.control.join().unwrap();
    std::fs::remove_file(path).unwrap();
}

/// What shards note is what operators see, wherever they look.
#[test]
fn the_health_of_endpoints_is_shown() {
    let config = CONFIG.replace(
        "127.0.0.1:9\" }]",
        "127.0.0.1:9\" }, { url = \"http://127.0.0.1:7\" }]\ndeadlines = { attempt_ms = 700 }\nhealth = { preset = \"health\" }",
    );
    let health = Health::new(2);
    let (running, _shards) = start_on(Source::BuiltIn(config), Duration::ZERO, Arc::clone(&health));
    let (shard, slot) = (ShardId(1), SlotId(0));
    health.begin(shard, slot);
    let rule = breaker::Rule {
        consecutive: 1,
        error_percent: 100,
        requests_min: 10,
        window: Duration::from_secs(10),
        open: Duration::from_secs(60),
        open_max: Duration::from_secs(60),
        credential: Duration::from_secs(60),
    };
    health.note(shard, slot, Verdict::Bad, false, Some(&rule), crate::sys::clock::now());

    let (_, answer) = running.ask("GET", "/admin/snapshot");
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let shown: serde_json::Value = serde_json::from_str(body).unwrap();
    let live = |index: usize| &shown["upstreams"][0]["endpoints"][index]["live"];
    assert_eq!(live(0)["state"], "open", "{answer}");
    assert_eq!(live(0)["breaker"]["reason"], "failures");
    assert!(live(0)["breaker"]["for_ms"].as_f64().unwrap() > 1_000.0);
    assert_eq!(live(0)["in_flight_by_shard"], serde_json::json!([0, 1]));
    assert_eq!(live(0)["attempts"]["bad"], 1);
    assert_eq!(live(0)["attempt_deadline_ms"]["m"], 700.0);
    assert_eq!(live(1)["state"], "usable");
    assert_eq!(live(1)["check"]["state"], "unknown");
    let outline: crate::snapshot::Outline = serde_json::from_str(body).unwrap();
    assert_eq!(outline.upstreams[0].endpoints.len(), 2, "as `ringway check` reads it");

    let (_, metrics) = running.ask("GET", "/metrics");
    let of = |port: u16| format!("{{upstream=\"local\",endpoint=\"http://127.0.0.1:{port}\"");
    for line in [
        format!("ringway_endpoint_state{},state=\"open\"}} 1\n", of(9)),
        format!("ringway_endpoint_state{},state=\"usable\"}} 1\n", of(7)),
        format!("ringway_endpoint_in_flight{}}} 1\n", of(9)),
        format!("ringway_endpoint_breaker_opened_total{},reason=\"failures\"}} 1\n", of(9)),
    ] {
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    let (_, answer) = running.ask("GET", "/admin/explain?model=m");
    assert!(answer.contains("open, score 1.000, 1 in flight, each attempt 700 ms: "), "{answer}");
    assert!(answer.contains("Its circuit breaker is open after too many failures."), "{answer}");
    running.remote.tell(Command::Stop);
    running.control.join().unwrap();
}

#[test]
fn records_become_lines_of_the_access_log() {
    let path = temporary("access.log");
    std::fs::remove_file(&path).ok();
    let config = format!("{CONFIG}[access_log]\npath = \"{}\"\n", path.display());
    let (running, shards) = start_with(Source::BuiltIn(config), Duration::from_secs(20));
    for shard in &shards {
        let lane = Some(crate::units::LaneId(0));
        assert!(shard.records.offer(Record { status: 200, lane, ..Record::default() }));
    }
    assert!(running.remote.tell(Command::End));
    for shard in shards {
        shard.run();
    }
    assert!(matches!(running.control.join().unwrap(), ExitReason::Drained));
    let lines = std::fs::read_to_string(&path).unwrap();
    assert_eq!(lines.matches(r#""model":"m","upstream":"local""#).count(), 2, "{lines}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_head_that_does_not_end_costs_nobody_anything() {
    let (running, _shards) = start(Duration::ZERO);
    let slow: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(running.admin).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nx: ").unwrap();
            stream
        })
        .collect();
    assert_eq!(running.ask("GET", "/healthz").0, 200);
    drop(slow);
    running.remote.tell(Command::Stop);
    running.control.join().unwrap();
}

#[test]
fn what_keeps_control_from_beginning_is_said() {
    let options = |config: &str, admin| Options {
        source: Source::BuiltIn(config.to_owned()),
        steps: Vec::new(),
        admin,
        shards: Vec::new(),
        publisher: publish::channel(0).unwrap().0,
        health: Health::new(0),
        drain: Duration::ZERO,
        endpoints_max: SLOTS_MAX,
        commands: remote().1,
        ready: Box::new(|_| panic!("it is not ready")),
    };
    let reason = run(options("[lisen]", None));
    assert!(matches!(&reason, ExitReason::Config(errors) if errors.len() == 1), "{reason:?}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = Some(taken.local_addr().unwrap());
    match run(options(CONFIG, admin)) {
        ExitReason::AdminAddress { address, error } => {
            assert_eq!(Some(address), admin);
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        other => panic!("{other:?}"),
    }
}
