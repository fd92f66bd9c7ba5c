//! Streams and the clients that come back to them, or only sit out their pauses: npm's `eventsource`, httpx-sse, curl, and the
//! SDKs of OpenAI and Anthropic. Browsers are in `browser.rs`.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use ringway::mock::content;
use serde_json::Value;

use crate::front;
use crate::front::Cut;
use crate::front::Line;
use crate::front::Visit;
use crate::gateway::Gateway;
use crate::gateway::Mock;
use crate::gateway::here;
use crate::needs::need;
use crate::process::Folder;
use crate::process::bounded;
use crate::process::run;
use crate::process::succeed;
use crate::process::text;

const PYTHON: &str = "target/clients-venv/bin/python";

/// Events of a stream that carry seals: two bursts, with a pause of 2 s between them.
pub(crate) const SEALED: usize = 40;
const STREAM: [&str; 4] =
    ["x-mock-events: 40", "x-mock-batch: 20", "x-mock-gap-ms: 100", "x-mock-stream: c0ffee"];
const ASK: &str = r#"{"model":"demo","stream":true,"messages":[]}"#;

/// Where streams are cut: within an event, within the first chunk, and within an event of the second burst, for as many
/// connections behind the first `uncut` ones.
pub(crate) fn cuts(uncut: usize) -> Vec<Cut> {
    let mut cuts = vec![Cut::Never; uncut];
    cuts.extend([Cut::Close(2000), Cut::Reset(1), Cut::Reset(5000), Cut::Close(321)]);
    cuts
}

/// A model server, the gateway, and between it and its clients whoever cuts their connections.
pub(crate) struct World {
    pub(crate) mock: Mock,
    pub(crate) gateway: Gateway,
    pub(crate) line: Line,
    /// Where clients come in that are to be cut.
    pub(crate) front: SocketAddr,
}

impl World {
    pub(crate) fn new(folder: &Folder, cuts: &[Cut]) -> Self {
        let mock = Mock::start(folder);
        let gateway = with_streams(folder, &mock);
        let line = Line::to(gateway.address, cuts);
        let passing = line.clone();
        let front = front::serve(move |request, client| passing.pass(&request, client));
        Self { mock, gateway, line, front }
    }

    /// Runs a script with the addresses in its environment.
    pub(crate) fn run(&self, command: &mut Command) -> String {
        let url = |address: SocketAddr| format!("http://{address}");
        command
            .env("FRONT", url(self.front))
            .env("GATEWAY", url(self.gateway.address))
            .env("ADMIN", url(self.gateway.admin))
            .env("MOCK", url(self.mock.address))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        succeed(command)
    }

    /// The client has come back after each cut, to the one stream, with what it had seen last; the model server was asked once.
    pub(crate) fn check_visits(&self, visits: &[Visit], stream: &str) {
        let visits: Vec<Visit> =
            visits.iter().filter(|visit| visit.path.starts_with("/v1/")).cloned().collect();
        assert!(self.line.is_through(), "cuts are left: {visits:?}");
        let (first, again) = visits.split_first().unwrap();
        assert_eq!((&*first.method, first.status), ("POST", 200));
        let mut last = 0;
        for visit in again {
            let seen: Option<usize> = visit.last_event_id.as_ref().map(|id| {
                let number = id.strip_prefix(stream).and_then(|rest| rest.strip_prefix('.'));
                number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{id}"))
            });
            // A stream that is named in the path needs no id at first.
            assert!(seen.is_some() || visit.path.ends_with(stream), "{visit:?}");
            assert!(seen.unwrap_or(0) >= last, "{visits:?}");
            last = seen.unwrap_or(0);
            let is_over = last == SEALED + 2;
            assert_eq!(visit.status, if is_over { 204 } else { 200 }, "{visits:?}");
        }
        assert_eq!(self.mock.count("requests"), 1, "the model server was asked once");
        assert!(self.gateway.metric("ringway_resumes_total", "live") >= 2.0, "{visits:?}");
        assert!(self.gateway.metric("ringway_heartbeats_total", "") >= 1.0, "it has paused");
        assert_eq!(self.gateway.metric("ringway_bugs_total", ""), 0.0);
    }
}

/// What model servers say beside the events, with ids of their own.
const CHATTY: &str = ": OPENROUTER PROCESSING\n\nid: 7\n\ndata: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":null}]}\nid: 8\n\n: OPENROUTER PROCESSING\n\n\
    event: ping\n\nid\n\nretry: 5\n\ndata: [DONE]\n\n";

/// Models with pauses in mind: `demo` for those who come back, `plain`, `kept`, `told` and both for those who only wait. And one
/// that says more than its events.
fn with_streams(folder: &Folder, mock: &Mock) -> Gateway {
    let chatty = front::serve(|_, client| {
        front::answer(client, 200, "text/event-stream", CHATTY.as_bytes())
    });
    let mut config = format!(
        "[[upstream]]\nname = \"chatty\"\nendpoints = [{{ url = \"http://{chatty}\" }}]\n\
         [[model]]\nname = \"chatty\"\nupstream = \"chatty\"\nresume = true\n"
    );
    for (name, dialect) in [("", "openai"), ("claude-", "anthropic")] {
        config.push_str(&format!(
            "[[upstream]]\nname = \"{name}mock\"\ndialect = \"{dialect}\"\nendpoints = [{{ url = \"http://{}\" }}]\n",
            mock.address
        ));
        for (model, lines) in [
            ("demo", "reconnect_ms = 100"),
            ("plain", "commit_after_ms = 0"),
            ("kept", "commit_after_ms = 0\nresume = true"),
            ("told", "commit_after_ms = 0\nreconnect_ms = 1500"),
            ("kept-and-told", "commit_after_ms = 0\nresume = true\nreconnect_ms = 1500"),
        ] {
            config.push_str(&format!(
                "[[model]]\nname = \"{name}{model}\"\nupstream = \"{name}mock\"\nheartbeat_ms = 1000\n{lines}\n"
            ));
        }
    }
    Gateway::start(folder, &config)
}

/// What a client has made of a stream: each event once, in order, unaltered, with its number.
pub(crate) fn check_events(stream: &str, events: &[Value]) {
    assert_eq!(stream.len(), 36, "{stream}");
    assert_eq!(events.len(), SEALED + 2, "{events:#?}");
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["type"], "message", "{event}");
        assert_eq!(event["id"], format!("{stream}.{}", at + 1), "{event}");
        let data = event["data"].as_str().unwrap();
        if at < SEALED {
            let seal = content::check(format!("data: {data}\n\n").as_bytes());
            let seal = seal.unwrap_or_else(|why| panic!("{why:?}: {event}"));
            assert_eq!((seal.stream, seal.number as usize), (0x00c0_ffee, at), "{event}");
        }
    }
    assert!(events[SEALED].to_string().contains("finish_reason"), "{}", events[SEALED]);
    assert_eq!(events[SEALED + 1]["data"], "[DONE]");
}

/// Runs a script that reads a stream to its end although it is cut, and says what it got.
fn comes_back(command: impl Fn(&Folder) -> Command) {
    for way in ["get", "post"] {
        let folder = Folder::new();
        let world = World::new(&folder, &cuts(usize::from(way == "get")));
        let said = world.run(command(&folder).arg(way));
        let report: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
        let stream = report["stream"].as_str().unwrap();
        check_events(stream, report["events"].as_array().unwrap());
        let visits = world.line.visits();
        world.check_visits(&visits, stream);
        let expected = if way == "get" { "GET" } else { "POST" };
        assert!(visits[1..].iter().all(|visit| visit.method == expected), "{visits:?}");
        assert_eq!(visits.last().unwrap().status, 204, "who has it all is told so: {visits:?}");
        world.gateway.stop();
    }
}

#[test]
fn event_source_of_npm_comes_back() {
    let (node, packages) = (need!("node"), need!("target/clients-node/stamp"));
    comes_back(|_| {
        let mut command = bounded(60, &node);
        command.arg(here().join("node/event_source.mjs"));
        command.env("NODE_PACKAGES", packages.parent().unwrap());
        command
    });
}

#[test]
fn httpx_sse_comes_back() {
    let python = need!(PYTHON);
    comes_back(|_| {
        let mut command = bounded(60, &python);
        command.arg(here().join("python/httpx_sse_client.py"));
        command
    });
}

/// What is joined by hand is what a client gets who was never cut, byte for byte.
#[test]
fn curl_comes_back_by_hand() {
    need!("curl");
    let folder = Folder::new();
    let world = World::new(&folder, &cuts(0));
    let head = folder.path("head.txt");
    let ask = |after: Option<&str>| {
        let mut curl = bounded(30, "curl");
        curl.args(["-sSN", "--noproxy", "*", "-d", ASK, "-H", "x-ringway-resume: true"]);
        curl.args(["-H", "content-type: application/json", "-D"]).arg(&head);
        for field in STREAM {
            curl.args(["-H", field]);
        }
        curl.args(after.map(|id| format!("-Hlast-event-id: {id}")));
        let output = run(curl.arg(format!("http://{}/v1/chat/completions", world.front)));
        (output.status.success(), text(&output.stdout))
    };
    let (mut is_whole, mut joined) = ask(None);
    let begun = fs::read_to_string(&head).unwrap();
    let stream = begun.lines().find_map(|line| line.strip_prefix("x-ringway-stream: ")).unwrap();
    while !is_whole {
        // Behind the last blank line is half an event.
        joined.truncate(joined.rfind("\n\n").map_or(0, |at| at + 2));
        let id = joined.lines().rev().find_map(|line| line.strip_prefix("id: "));
        let (is_end, rest) = ask(Some(id.unwrap_or(&format!("{stream}.0"))));
        is_whole = is_end;
        joined.push_str(&rest);
    }
    let mut curl = bounded(30, "curl");
    let url = world.gateway.url(&format!("/v1/streams/{stream}"));
    let whole = succeed(curl.args(["-sS", "--noproxy", "*", &url]));
    // What the gateway says between the events is of the moment.
    let events = |text: &str| -> String {
        let lines = text.split_inclusive('\n');
        lines.filter(|line| !line.starts_with(": ping") && !line.starts_with("retry: ")).collect()
    };
    assert_eq!(events(&joined), whole);
    let (is_end, rest) = ask(Some(&format!("{stream}.{}", SEALED + 2)));
    assert_eq!((is_end, &*rest), (true, ""));
    assert!(fs::read_to_string(&head).unwrap().starts_with("HTTP/1.1 204 "));
    world.check_visits(&world.line.visits(), stream);
    world.gateway.stop();
}

/// Pauses before and between events, heartbeats within them, ids and `retry`: the SDKs see the answer and nothing else.
fn sits_out_pauses(command: &mut Command) {
    let folder = Folder::new();
    let world = World::new(&folder, &[]);
    let said = world.run(command);
    assert!(said.contains(" checks, 0 failed"), "{said}");
    assert_eq!(world.gateway.metric("ringway_bugs_total", ""), 0.0);
    world.gateway.stop();
}

#[test]
fn the_sdks_for_python_sit_out_pauses() {
    let python = need!(PYTHON);
    sits_out_pauses(bounded(60, python).arg(here().join("python/pauses.py")));
}

#[test]
fn the_sdks_for_node_sit_out_pauses() {
    let (node, packages) = (need!("node"), need!("target/clients-node/stamp"));
    let mut command = bounded(60, node);
    command.env("NODE_PACKAGES", packages.parent().unwrap());
    sits_out_pauses(command.arg(here().join("node/pauses.mjs")));
}
