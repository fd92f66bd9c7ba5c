//! Steps of an embedder's: in their place, with what they may see, and harmless when they fail.

use std::cell::Cell;
use std::cell::OnceCell;
use std::rc::Rc;

use super::*;
use crate::admission::Head;
use crate::admission::Memory;
use crate::admission::ask;
use crate::admission::tests::ACME;
use crate::admission::tests::World;

thread_local! {
    /// What the steps of this test's thread have been called with.
    static CALLS: Cell<Vec<String>> = const { Cell::new(Vec::new()) };
}

fn call(text: String) {
    let mut calls = CALLS.take();
    calls.push(text);
    CALLS.set(calls);
}

/// Does what the field `x-NAME` says.
struct Told(&'static str);

impl Step for Told {
    fn on_request(&mut self, request: &Request<'_>, added: &mut Added) -> Result<(), Answer> {
        let Self(name) = self;
        let ask = request.ask.map(|ask| (ask.model, ask.body.len()));
        call(format!("{name} {} {:?} {:?} {ask:?}", request.number, request.tenant, request.key));
        match request.head.fields.get(&format!("x-{name}")) {
            Some(b"refuse") => Err(Answer {
                status: 402,
                code: "no_money".into(),
                message: format!("{name} wants money").into(),
            }),
            Some(b"wrong") => Err(Answer { status: 200, code: "".into(), message: "".into() }),
            Some(b"panic") => panic!("as told"),
            _ => {
                added.add("x-seen", name.as_bytes()).unwrap();
                Ok(())
            }
        }
    }

    fn on_response(&mut self, response: &Response) {
        call(format!("{} response {}", self.0, response.status));
    }

    fn on_event(&mut self, number: u64, event: &[u8]) {
        assert!(event != b"panic");
        call(format!("{} event {number}", self.0));
    }

    fn on_end(&mut self, end: &End) {
        call(format!("{} end {} {:?}", self.0, end.number, end.trouble));
    }
}

fn steps() -> Steps {
    let factories = Box::new([
        Factory::new("first", || Box::new(Told("first"))),
        Factory::new("second", || Box::new(Told("second"))),
    ]);
    check(&*factories).unwrap();
    Steps::new(Box::leak(factories))
}

fn world(listen: &str) -> World {
    let mut world = World::new(listen);
    world.memory = Memory::with_steps(0, steps());
    world
}

const OWN: &str = "x-api-key: sk-own\r\n";

#[test]
fn each_is_asked_in_its_place_and_told_of_the_end() {
    let mut world = world("first > key").tenant(ACME, "first > second");
    let caller = world.enter(&[OWN]).unwrap();
    assert_eq!(
        CALLS.take(),
        ["first 1 None None None", "second 1 Some(\"acme\") Some(\"own\") None"]
    );
    assert_eq!(
        world.noted(),
        [
            "listen first: Passed",
            "listen key: Key(KeyId(0))",
            "tenant first: Before",
            "tenant second: Passed"
        ]
    );
    assert_eq!(caller.added.iter().collect::<Vec<_>>(), [("x-seen", &b"second"[..])]);
    assert_eq!(caller.steps.iter().collect::<Vec<_>>(), [StepId(0), StepId(1)]);
    let steps = &mut world.memory.steps;
    steps.response(caller.steps, &Response { number: 1, status: 200, is_stream: true });
    steps.event(caller.steps, 1, b"data: x\n\n");
    steps.end(caller.steps, &End { number: 1, status: 200, trouble: None });
    assert_eq!(CALLS.take().len(), 6);
}

#[test]
fn one_that_refuses_has_its_words() {
    let mut world = world("first > second > key");
    let lines = [OWN, "x-second: refuse\r\n"];
    assert_eq!(world.enter(&lines).unwrap_err(), Refusal::StepRefused);
    let answer = world.memory.steps.take_answer().unwrap();
    assert_eq!((answer.status, &*answer.message), (402, "second wants money"));
    assert_eq!(world.memory.steps.take_answer(), None);
    // The first one had passed it, and hears of its end; the second refused it, and does not.
    let calls = CALLS.take();
    assert_eq!(calls[2..], ["first end 1 Some(\"step_refused\")"]);
    assert_eq!(world.enter(&[OWN, "x-first: wrong\r\n"]).unwrap_err(), Refusal::StepRefused);
    assert_eq!(world.memory.steps.take_answer().unwrap().status, 500);
    // Whoever is refused later on is over for both.
    CALLS.take();
    assert_eq!(world.enter(&[]).unwrap_err(), Refusal::CredentialMissing);
    assert_eq!(CALLS.take().len(), 4);
}

#[test]
fn one_that_panics_is_made_anew_and_lets_nobody_in() {
    let mut world = world("first > second > key");
    assert_eq!(world.enter(&[OWN, "x-second: panic\r\n"]).unwrap_err(), Refusal::StepFailed);
    assert_eq!(CALLS.take().last().unwrap(), "first end 1 Some(\"step_failed\")");
    let caller = world.enter(&[OWN]).unwrap();
    world.memory.steps.event(caller.steps, 2, b"panic");
    assert_eq!((world.memory.steps.take_panics(), world.memory.steps.take_panics()), (3, 0));
    assert!(world.enter(&[OWN]).is_ok());
}

#[test]
fn once_the_model_is_known_so_is_the_body() {
    let mut world = world("key");
    let mut caller = world.enter(&[OWN]).unwrap();
    let text = b"POST / HTTP/1.1\r\nhost: h\r\n\r\n";
    let mut slots = crate::wire::http1::parse::Slots::new();
    let request = crate::wire::http1::parse::request(text, &mut slots).unwrap().unwrap();
    let head = Head { request: &request, address: world.address };
    let asked = Ask { model: "small", body: b"{}" };
    let (table, keys, memory) = (&world.table, &world.keys, &mut world.memory);
    ask(table, keys, memory, &mut caller, &head, asked, StepId(1)).unwrap();
    assert_eq!(CALLS.take(), ["second 1 Some(\"acme\") Some(\"own\") Some((\"small\", 2))"]);
    assert!(caller.steps.has(StepId(1)) && !caller.steps.has(StepId(0)));
    let nobody = ask(table, keys, memory, &mut caller, &head, asked, StepId(9));
    assert_eq!(nobody, Err(Refusal::StepFailed));
}

#[test]
fn names_are_their_own() {
    let make = || -> Box<dyn Step> { Box::new(Told("x")) };
    let names = |names: &[&'static str]| {
        check(&names.iter().map(|name| Factory::new(name, make)).collect::<Vec<_>>())
    };
    assert_eq!(names(&["a", "b"]), Ok(()));
    assert!(names(&["a", "a"]).unwrap_err().contains("two steps are called \"a\""));
    assert!(names(&["limit"]).unwrap_err().contains("of the gateway itself"));
    assert!(names(&["a"; STEPS_MAX + 1]).unwrap_err().contains("too many"));
}

/// A step may own what is of its thread only.
#[test]
fn a_step_need_not_be_sent() {
    struct Counted(Rc<OnceCell<u8>>);
    impl Step for Counted {
        fn on_request(&mut self, _: &Request<'_>, _: &mut Added) -> Result<(), Answer> {
            self.0.set(1).map_err(|_| Answer { status: 429, code: "".into(), message: "".into() })
        }
    }
    let factory = Factory::new("counted", || Box::new(Counted(Rc::default())));
    assert_eq!(format!("{factory:?}"), "Factory { name: \"counted\", .. }");
}
