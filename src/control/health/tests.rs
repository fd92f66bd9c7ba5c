//! Does what a real endpoint answers reach the page, and does that follow the config?

use super::*;
use crate::balance::choose::Standing;
use crate::config;
use crate::control::fetch::tests::on_runtime;
use crate::crossing::gauges::Page;
use crate::crossing::health::Health;
use crate::crossing::publish;
use crate::record::counters::LaneCounter;
use crate::snapshot::Ledger;
use crate::snapshot::World;
use crate::snapshot::build;
use http_body_util::Full;
use hyper::Request;
use hyper::Response;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::ready;
use std::rc::Rc;
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use tokio::task::yield_now;

/// A model server that answers its checks as it is told.
struct Server {
    url: String,
    status: Rc<Cell<u16>>,
    asked: Rc<Cell<u32>>,
}

impl Server {
    /// On the runtime's local set, for as long as that lives.
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { url, status: Rc::new(Cell::new(200)), asked: Rc::default() };
        let (status, asked) = (Rc::clone(&server.status), Rc::clone(&server.asked));
        let answer = move |request: Request<Incoming>| {
            assert_eq!(request.uri(), "/v1/models");
            asked.set(asked.get() + 1);
            let mut answer = Response::new(Full::new(Bytes::from_static(b"{}")));
            *answer.status_mut() = status.get().try_into().unwrap();
            ready(Ok::<_, Infallible>(answer))
        };
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer.clone()));
                serving.await.ok();
            }
        });
        server
    }
}

fn snapshot(ledger: &mut Ledger, url: &str, of_upstream: &str) -> Arc<Snapshot> {
    let text = format!(
        "[[upstream]]\nname = \"u\"\nendpoints = [{{ url = \"{url}\" }}]\n{of_upstream}\n\
         [[model]]\nname = \"m\"\nupstream = \"u\"\n"
    );
    let file = config::parse(&text, "a.toml").unwrap();
    Arc::new(build(&file, &World::default(), ledger, 1).unwrap())
}

async fn until_is(what: &str, mut is_so: impl FnMut() -> bool) {
    let all = async {
        while !is_so() {
            yield_now().await;
        }
    };
    assert!(time::timeout(Duration::from_secs(30), all).await.is_ok(), "never: {what}");
}

#[test]
fn checks_reach_the_page_and_follow_the_config() {
    on_runtime(LocalSet::new().run_until(async {
        let server = Server::start().await;
        let health = Health::new(1);
        let (publisher, _inlets) = publish::channel(1).unwrap();
        let shared = Shared::new(State::new(Vec::new(), publisher, Arc::clone(&health)));
        let caring = tokio::spawn(run(shared.clone()));
        let mut ledger = Ledger::default();
        let checked = "health = { preset = \"models\", interval_ms = 100, timeout_ms = 100, unhealthy_after = 2 }";
        let first = snapshot(&mut ledger, &server.url, checked);
        let slot = first.endpoints[0].slot;
        shared.lock().publish(first, None);
        let check = || health.details(slot, clock::now()).check;
        let standing = || health.state(slot, clock::now()).standing();

        until_is("well", || check() == Check::Passing).await;
        server.status.set(503);
        until_is("unwell", || check() == Check::Failing).await;
        assert_eq!(standing(), Standing::Unhealthy);
        until_is("counted", || shared.lock().checked(slot).is_some_and(|it| it.failed >= 2)).await;
        let trouble = shared.lock().checked(slot).unwrap().trouble.clone();
        assert_eq!(trouble.as_deref(), Some("answered with 503 Service Unavailable"));
        assert!(shared.lock().metrics().contains("state=\"unhealthy\"} 1\n"));
        let before = clock::now();
        server.status.set(200);
        until_is("well again", || check() == Check::Passing).await;
        assert_eq!(standing(), Standing::Usable);
        assert!(health.since(slot) >= before, "slow start begins");

        // Without checks nothing is known, whatever the last one said.
        server.status.set(500);
        until_is("unwell again", || check() == Check::Failing).await;
        shared.lock().publish(snapshot(&mut ledger, &server.url, ""), None);
        until_is("unknown", || check() == Check::Unknown).await;
        assert_eq!(standing(), Standing::Usable);
        let asked = server.asked.get();
        assert!(asked >= 6, "{asked}");
        assert!(!shared.lock().metrics().contains("ringway_health_checks_total{"));
        caring.abort();
    }));
}

/// If the task ends, nobody would find out that an endpoint is well again.
#[test]
fn checks_that_nobody_makes_say_nothing() {
    let health = Health::new(1);
    let (publisher, _inlets) = publish::channel(1).unwrap();
    let mut state = State::new(Vec::new(), publisher, Arc::clone(&health));
    let snapshot = snapshot(&mut Ledger::default(), "http://127.0.0.1:9", "");
    let slot = snapshot.endpoints[0].slot;
    state.publish(snapshot, None);
    health.set_check(slot, Check::Failing, clock::now());
    abandon(&state);
    assert_eq!(health.state(slot, clock::now()).standing(), Standing::Usable);
}

/// All are new at the start of the process; those that come later begin slowly.
#[test]
fn endpoints_that_come_later_are_new() {
    let health = Health::new(1);
    let (publisher, _inlets) = publish::channel(1).unwrap();
    let mut state = State::new(Vec::new(), publisher, Arc::clone(&health));
    let mut ledger = Ledger::default();
    let (one, other) = ("http://127.0.0.1:1", "http://127.0.0.1:2");
    let before = clock::now();
    let first = snapshot(&mut ledger, one, "");
    let second = snapshot(&mut ledger, other, "");
    let slots = [first.endpoints[0].slot, second.endpoints[0].slot];
    state.publish(Arc::clone(&first), None);
    assert!(health.since(slots[0]) < before);
    state.publish(second, None);
    assert!(health.since(slots[0]) < before && health.since(slots[1]) >= before);
    state.publish(first, None);
    assert!(health.since(slots[0]) >= before, "it is back, and cold");
}

/// What was known of an endpoint that is gone is not taken for what is known of the one that has its number now.
#[test]
fn whoever_gets_a_number_that_was_another_ones_begins_anew() {
    let health = Health::new(1);
    let (publisher, _inlets) = publish::channel(1).unwrap();
    let page = Page::new();
    let mut state = State::new(vec![Arc::clone(&page)], publisher, Arc::clone(&health));
    let mut ledger = Ledger::with_room(2, 2);
    let mut make = |state: &State, number: u64| {
        state.release(&mut ledger);
        let text = format!(
            "[[upstream]]\nname = \"u\"\nendpoints = [{{ url = \"http://192.0.2.{number}\" }}]\n\
             [[model]]\nname = \"m{number}\"\nupstream = \"u\"\n"
        );
        let file = config::parse(&text, "a.toml").unwrap();
        build(&file, &World::default(), &mut ledger, number).map(Arc::new)
    };
    let first = make(&state, 1).unwrap();
    let (slot, lane) = (first.endpoints[0].slot, first.models[0].lane);
    state.publish(Arc::clone(&first), None);
    state.note_check(slot, Err("no".to_owned()));
    health.set_check(slot, Check::Failing, clock::now());
    page.add_lane(Some(lane), LaneCounter::Events, 5);
    state.publish(make(&state, 2).unwrap(), None);

    // A request still holds the first: there is no number for a third.
    assert!(state.unheld().is_empty());
    assert!(make(&state, 3).is_err());
    drop(first);
    let unheld = state.unheld();
    assert_eq!(unheld, [1]);
    assert!(make(&state, 3).is_err(), "its records may still be read");
    state.free(&unheld);
    let third = make(&state, 3).unwrap();
    assert_eq!((third.endpoints[0].slot, third.models[0].lane), (slot, lane));
    assert_eq!(state.names().slot(slot), Some("http://192.0.2.1"), "until it is published");
    state.publish(third, None);
    assert_eq!(state.names().slot(slot), Some("http://192.0.2.3"));
    assert_eq!(state.names().lane(lane).map(|name| name.model.as_str()), Some("m3"));
    assert_eq!(state.checked(slot), None);
    assert_eq!(health.details(slot, clock::now()).check, Check::Unknown);
    assert_eq!(page.load_lane(Some(lane), LaneCounter::Events), 0);
}
