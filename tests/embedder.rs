//! What somebody who builds on the library writes: a step of their own, named in a chain, asked by admission.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by ending")]

use std::collections::HashMap;

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
