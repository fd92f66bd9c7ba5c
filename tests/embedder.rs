//! What somebody who builds on the library writes: a step of their own, named in a chain, asked by admission and on the way
//! of a response.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by ending")]

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use ringway::admission::Head;
use ringway::admission::Keys;
use ringway::admission::Level;
use ringway::admission::Memory;
use ringway::admission::Refusal;
use ringway::admission::Table;
use ringway::admission::chain::Chain;
use ringway::admission::chain::LevelKind;
use ringway::admission::chain::Listed;
use ringway::admission::enter;
use ringway::admission::step;
use ringway::admission::step::Added;
use ringway::admission::step::Answer;
use ringway::admission::step::End;
use ringway::admission::step::Factory;
use ringway::admission::step::Request;
use ringway::admission::step::Response;
use ringway::admission::step::Step;
use ringway::admission::step::Steps;
use ringway::serve::serve_with;
use ringway::wire::http1::parse;
use ringway::wire::http1::parse::Slots;

/// Wants each request to name a project, passes the name on, and counts the events that a project was sent.
#[derive(Default)]
struct Projects {
    open: HashMap<u64, String>,
    events: HashMap<String, u64>,
}

impl Step for Projects {
    fn on_request(&mut self, request: &Request<'_>, added: &mut Added) -> Result<(), Answer> {
        let named = request.head.fields.get("x-project").and_then(|name| str::from_utf8(name).ok());
        let Some(name) = named.filter(|name| !name.is_empty()) else {
            return Err(Answer {
                status: 400,
                code: "project_missing".into(),
                message: "Name your project in the field x-project.".into(),
            });
        };
        let sent = self.events.get(name).copied().unwrap_or_default();
        let is_added = added.add("x-events-before", sent.to_string().as_bytes());
        assert_eq!(is_added, Ok(()));
        self.open.insert(request.number, name.to_owned());
        Ok(())
    }

    fn on_response(&mut self, response: &Response) {
        assert!(self.open.contains_key(&response.number));
    }

    fn on_event(&mut self, number: u64, _event: &[u8]) {
        if let Some(project) = self.open.get(&number) {
            *self.events.entry(project.clone()).or_default() += 1;
        }
    }

    fn on_end(&mut self, end: &End) {
        self.open.remove(&end.number);
    }
}

#[test]
fn a_step_of_ones_own_stands_in_a_chain() {
    // Once, at the start of the process: steps by name.
    let factories = Box::new([Factory::new("project", || Box::new(Projects::default()))]);
    step::check(&*factories).unwrap();
    let factories: &'static [Factory] = Box::leak(factories);
    let names: Vec<&str> = factories.iter().map(Factory::name).collect();

    // At each build of a snapshot: `middleware = ["project"]`.
    let listed = [Listed::One("project".to_owned())];
    let chain = Chain::compile(LevelKind::Listen, &listed, &names, |_, _| String::new()).unwrap();
    let table = Table { listen: Level { chain, addresses: None }, ..Table::default() };

    // On each shard: steps of its own, which see its requests and no others.
    let mut memory = Memory::with_steps(0, Steps::new(factories));
    let keys = Keys::default();
    let enter = |memory: &mut Memory, line: &str| {
        let text = format!("GET /v1/models HTTP/1.1\r\nhost: h\r\n{line}\r\n");
        let mut slots = Slots::new();
        let request = parse::request(text.as_bytes(), &mut slots).unwrap().unwrap();
        let head = Head { request: &request, address: [127, 0, 0, 1].into() };
        enter(&table, &keys, memory, &head, 0, |_| {})
    };
    assert_eq!(enter(&mut memory, "").unwrap_err(), Refusal::StepRefused);
    assert_eq!(memory.steps.take_answer().unwrap().code, "project_missing");
    for events in ["0", "2"] {
        let caller = enter(&mut memory, "x-project: apollo\r\n").unwrap();
        let added: Vec<_> = caller.added.iter().collect();
        assert_eq!(added, [("x-events-before", events.as_bytes())]);
        let number = caller.number;
        memory.steps.response(caller.steps, &Response { number, status: 200, is_stream: true });
        memory.steps.event(caller.steps, number, b"data: a\n\n");
        memory.steps.event(caller.steps, number, b"data: [DONE]\n\n");
        memory.steps.end(caller.steps, &End { number, status: 200, trouble: None });
    }
    assert_eq!(memory.steps.take_panics(), 0);
}

/// The bytes of one message, which ends with its announced length or its last chunk.
fn message(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut room = [0; 4096];
    loop {
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            match length {
                Some(length) => body.len() >= length.parse().unwrap(),
                None => body.ends_with("0\r\n\r\n"),
            }
        });
        if whole {
            return text;
        }
        let count = stream.read(&mut room).unwrap();
        assert!(count > 0, "cut after {text}");
        text.push_str(std::str::from_utf8(&room[..count]).unwrap());
    }
}

/// A model server that answers each request with two events, and tells the test what it was asked.
fn upstream(asked: mpsc::Sender<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        loop {
            let request = message(&mut stream);
            asked.send(request).unwrap();
            let events = "data: {\"a\":1}\n\ndata: [DONE]\n\n";
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{events}\r\n0\r\n\r\n",
                events.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

#[test]
fn a_gateway_with_a_step_of_ones_own_serves() {
    let (asked, asking) = mpsc::channel();
    let upstream = upstream(asked);
    let config = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedder.toml");
    let text = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\nmiddleware = [\"project\"]\n\n[admin]\naddress = \"127.0.0.1:0\"\n\n\
         [[upstream]]\nname = \"u\"\nendpoints = [{{ url = \"http://{upstream}\" }}]\n\n[[model]]\nname = \"m\"\nupstream = \"u\"\n"
    );
    fs::write(&config, text).unwrap();
    let (told, serving) = mpsc::channel();
    thread::spawn(move || {
        let steps = vec![Factory::new("project", || Box::new(Projects::default()))];
        let one_shard = |name: &str| (name == "RINGWAY_SHARDS").then(|| "1".to_owned());
        // It serves until the process ends.
        serve_with(steps, Some(config), one_shard, move |serving| {
            told.send(serving.listen).unwrap()
        })
    });
    let mut client = TcpStream::connect(serving.recv().unwrap()).unwrap();
    let body = "{\"model\":\"m\",\"stream\":true}";
    let mut ask = |field: &str| {
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\n{field}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        client.write_all(request.as_bytes()).unwrap();
        message(&mut client)
    };
    let refused = ask("");
    assert!(
        refused.starts_with("HTTP/1.1 400 ") && refused.contains("project_missing"),
        "{refused}"
    );
    for events in ["0", "2", "4"] {
        let answer = ask("x-project: apollo\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("[DONE]"), "{answer}");
        let request = asking.recv().unwrap();
        let field = format!("x-events-before: {events}\r\n");
        assert!(request.contains(&field), "{field} is not in {request}");
    }
}
