//! A browser: Chromium, headless, with a page that the test serves itself, at the same origin as the gateway behind it. Its
//! EventSource is the reference for how streams are read and when one comes back.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use ringway::wire::sse::field::MARK;
use serde_json::Value;

use crate::cases;
use crate::cases::Case;
use crate::front;
use crate::front::Line;
use crate::front::Request;
use crate::gateway::Gateway;
use crate::gateway::here;
use crate::needs::need;
use crate::process::Folder;
use crate::process::Server;
use crate::process::command;
use crate::streams::World;
use crate::streams::check_events;
use crate::streams::cuts;

/// Where our own reader is stricter than a browser: ids that cannot be sent back are none.
const STRICTER: [&str; 2] = [
    "== stream: an id that is too long to come back with",
    "== stream: an id that no field of a head can hold",
];
/// How long a page may take to report, on a machine that is busy with other tests.
const REPORT_TIMEOUT: Duration = Duration::from_secs(90);

/// What the browser sees as one server: pages, the place where they report, and the gateway.
struct Site {
    address: SocketAddr,
    reports: Receiver<Value>,
}

impl Site {
    /// `other` answers what is no page, and gives back what it does not know; that goes to the gateway.
    fn before(
        line: &Line,
        other: impl Fn(Request, TcpStream) -> Option<(Request, TcpStream)> + Send + Sync + 'static,
    ) -> Self {
        let (sender, reports) = mpsc::channel();
        let (sender, line) = (Mutex::new(sender), line.clone());
        let address = front::serve(move |request, client| {
            if request.path == "/report" {
                let report = serde_json::from_slice(&request.body).unwrap();
                front::answer(client, 204, "text/plain", b"");
                // Nobody waits for a second report.
                sender.lock().unwrap().send(report).ok();
            } else if let Some(page) = request.path.strip_prefix("/pages/") {
                let page = page.split('?').next().unwrap();
                let html = fs::read(here().join("pages").join(page)).unwrap();
                front::answer(client, 200, "text/html; charset=utf-8", &html);
            } else if let Some((request, client)) = other(request, client) {
                line.pass(&request, client);
            }
        });
        Self { address, reports }
    }

    /// Opens a page and waits for what it reports.
    fn report(&self, chromium: &Path, folder: &Folder, page: &str) -> Value {
        let mut browser = command(chromium);
        browser.args([
            "--headless",
            // Tests often run as root, where there is no sandbox.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-proxy-server",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-breakpad",
        ]);
        browser.arg(format!("--user-data-dir={}", folder.path("profile").display()));
        browser.arg(format!("http://{}/pages/{page}", self.address));
        let mut browser = Server::start(&mut browser, folder, "chromium");
        browser.drain();
        let report = self.reports.recv_timeout(REPORT_TIMEOUT).expect("the page reports in time");
        assert_eq!(report.get("failed"), None, "{report}");
        report
    }
}

#[test]
fn event_source_comes_back_until_it_has_it_all() {
    let chromium = need!("chromium");
    let folder = Folder::new();
    let world = World::new(&folder, &cuts(1));
    let site = Site::before(&world.line, |request, client| Some((request, client)));
    let report = site.report(&chromium, &folder, "resume.html");
    let stream = report["stream"].as_str().unwrap();
    check_events(stream, report["events"].as_array().unwrap());
    // Four cuts and the end; and what opened was the first one, each cut's successor, but not the 204.
    assert_eq!((&report["opens"], &report["errors"]), (&5.into(), &6.into()), "{report}");
    let fetched = report["fetched"].as_str().unwrap();
    assert!(fetched.contains("\n: this stream is read on another connection now\n"), "{fetched}");
    let visits = world.line.visits();
    world.check_visits(&visits, stream);
    let statuses: Vec<u16> = visits
        .iter()
        .filter(|visit| visit.path.starts_with("/v1/streams/"))
        .map(|visit| visit.status)
        .collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 204]);
    world.gateway.stop();
}

/// The streams of the golden files, which our own reader is held against.
fn odd_streams() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/files/sse");
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let cases = paths.iter().flat_map(|path| cases::parse(&fs::read_to_string(path).unwrap()).1);
    cases.filter(|case| case.title.starts_with("== stream:")).collect()
}

/// The lines about events.
fn dispatched(case: &Case) -> impl Iterator<Item = &str> {
    let lines = case.expected.iter().map(|line| &**line);
    lines.filter(|line| !line.starts_with("comes back") && !line.starts_with("not dispatched"))
}

/// Answers with a stream, in chunks of the sizes in turn.
fn stream(mut client: TcpStream, bytes: &[u8]) {
    let mut out = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let mut rest = bytes;
    for size in [1, 7, 2, 13, 3, 1000].into_iter().cycle() {
        let (chunk, after) = rest.split_at(rest.len().min(size));
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        if chunk.is_empty() {
            break;
        }
        rest = after;
    }
    // Who has left does not want it.
    client.write_all(&out).ok();
}

/// An event in the words of the golden files.
fn words(event: &Value) -> String {
    let [kind, data, id] = ["type", "data", "id"].map(|name| event[name].as_str().unwrap());
    format!("{kind} {data:?}, id {id:?}")
}

fn all_words(events: &Value) -> Vec<String> {
    events.as_array().unwrap().iter().map(words).collect()
}

/// The model and the number of `/plain/7`.
fn asked_of(path: &str) -> Option<(String, String)> {
    let (model, number) = path.strip_prefix('/')?.split_once('/')?;
    ["plain", "told"].contains(&model).then(|| (model.to_owned(), number.to_owned()))
}

#[test]
fn odd_streams_are_read_as_without_the_gateway() {
    let chromium = need!("chromium");
    let folder = Folder::new();
    let bytes: Vec<Vec<u8>> = odd_streams().iter().map(Case::bytes).collect();
    let count = bytes.len();
    let find = move |number: &str| bytes[number.parse::<usize>().unwrap()].clone();
    let upstream = {
        let find = find.clone();
        front::serve(move |request, client| stream(client, &find(request.field("x-odd").unwrap())))
    };
    let gateway = Gateway::start(
        &folder,
        &format!(
            "[[upstream]]\nname = \"odd\"\nendpoints = [{{ url = \"http://{upstream}\" }}]\n\
             [[model]]\nname = \"plain\"\nupstream = \"odd\"\n\
             [[model]]\nname = \"told\"\nupstream = \"odd\"\nreconnect_ms = 3000\n"
        ),
    );
    let line = Line::to(gateway.address, &[]);
    let site = Site::before(&line, move |mut request, client| {
        if let Some(number) = request.path.strip_prefix("/direct/") {
            stream(client, &find(number));
            return None;
        }
        // EventSource does not POST: what it asks for is made one.
        if let Some((model, number)) = asked_of(&request.path) {
            request.method = "POST".to_owned();
            request.path = "/v1/chat/completions".to_owned();
            request.body =
                format!(r#"{{"model":"{model}","stream":true,"messages":[]}}"#).into_bytes();
            let length = request.body.len().to_string();
            for (name, value) in [
                ("x-odd", number),
                ("content-type", "application/json".to_owned()),
                ("content-length", length),
            ] {
                request.fields.push((name.to_owned(), value));
            }
        }
        Some((request, client))
    });
    let cases = odd_streams();
    let kinds: BTreeSet<&str> =
        cases.iter().flat_map(dispatched).filter_map(|line| line.split(" \"").next()).collect();
    let kinds: Vec<&str> = kinds.into_iter().collect();
    let page = format!("parse.html?count={count}&types={}", kinds.join(","));
    let report = site.report(&chromium, &folder, &page);
    let read = report["cases"].as_array().unwrap();
    assert_eq!(read.len(), count);
    let mut wrong = Vec::new();
    for (case, read) in cases.iter().zip(read) {
        wrong.extend(faults(case, read));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    gateway.stop();
}

/// What Chromium dispatches directly is what the golden file says; through the gateway the same; and where the stream can be
/// resumed the same but for the ids, which are the gateway's.
fn faults(case: &Case, read: &Value) -> Vec<String> {
    let expected: Vec<String> = dispatched(case)
        .map(|line| line.split_once(", says ").map_or(line, |(event, _)| event).to_owned())
        .collect();
    let numbered: Vec<String> = read["kept"]["events"]
        .as_array()
        .unwrap()
        .iter()
        .zip(1..)
        .map(|(event, number)| {
            let id = format!("{}.{number}", read["kept"]["stream"].as_str().unwrap());
            if event["id"] == id { words(event) } else { format!("not {id}: {event}") }
        })
        .collect();
    let without_id = |lines: &[String]| -> Vec<String> {
        lines.iter().map(|line| line.rsplit_once(", id ").unwrap().0.to_owned()).collect()
    };
    let directly = all_words(&read["directly"]);
    // A byte order mark is one at the very start only, and there the gateway has said something already.
    let told = if case.bytes().starts_with(MARK) { &read["plain"] } else { &read["told"] };
    let mut wrong = Vec::new();
    let expected = if STRICTER.contains(&&*case.title) {
        assert_eq!(without_id(&directly), without_id(&expected), "{}", case.title);
        directly.clone()
    } else {
        expected
    };
    for (how, found, expected) in [
        ("directly", &directly, &expected),
        ("through the gateway", &all_words(&read["plain"]), &directly),
        ("behind a `retry` of the gateway's", &all_words(told), &directly),
        ("resumed", &without_id(&numbered), &without_id(&directly)),
    ] {
        if found != expected {
            wrong.push(format!("{} {how}: {found:#?}, not {expected:#?}", case.title));
        }
    }
    wrong.extend(numbered.into_iter().filter(|line| line.starts_with("not ")));
    wrong
}
