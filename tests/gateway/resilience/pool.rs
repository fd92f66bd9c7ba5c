//! How many connections there are, who waits where there may be no more, and whose turn it is then.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;

use crate::admission::bearing;
use crate::admission::digest;
use crate::support::*;

const OPENED: &str = "ringway_upstream_connections_opened_total";
const REUSED: &str = "ringway_upstream_connections_reused_total";
const RETIRED: &str = "ringway_upstream_connections_retired_total";

fn await_waiting(gateway: &Gateway, count: u64) {
    gateway.await_metric("ringway_endpoint_queue_waiting", &[], count);
}

fn await_queued(gateway: &Gateway, result: &str, count: u64) {
    gateway.await_metric("ringway_endpoint_queue_total", &[("result", result)], count);
}

/// A client that has asked, and must wait.
fn waiting(gateway: &Gateway, request: &str, count: u64) -> Connection {
    let mut client = gateway.client();
    client.send(request);
    await_waiting(gateway, count);
    client
}

/// A client whose request a model server has got, on this connection.
fn asking(gateway: &Gateway, upstream: &Upstream) -> (Connection, Connection) {
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (server, _) = upstream.request();
    (client, server)
}

fn finish(client: &mut Connection, server: &mut Connection, text: &str) {
    server.send(ok(text));
    assert_eq!(client.message().text(), text);
}

/// A model server that answers one request for each permit, and all of them once there are no more permits to come.
struct Busy {
    server: Answering,
    seen: Arc<Mutex<Seen>>,
    permits: mpsc::Sender<()>,
}

#[derive(Default)]
struct Seen {
    /// The `user` of each request, in the order they came.
    users: Vec<String>,
    /// Requests there now, and most of them at once.
    now: usize,
    most: usize,
}

impl Busy {
    fn start() -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (permits, taken) = mpsc::channel();
        let (sees, taken) = (Arc::clone(&seen), Mutex::new(taken));
        let server = Answering::with(move |request| {
            {
                let mut seen = sees.lock().expect("no test has failed here");
                seen.users.push(request.json()["user"].as_str().unwrap_or_default().to_owned());
                seen.now += 1;
                seen.most = seen.most.max(seen.now);
            }
            taken.lock().expect("no test has failed here").recv().ok();
            sees.lock().expect("no test has failed here").now -= 1;
            ok("{}")
        });
        Self { server, seen, permits }
    }

    fn await_arrived(&self, count: usize) {
        await_true(&format!("{count} requests have come"), || {
            let seen = self.seen.lock().expect("no test has failed here");
            if seen.users.len() == count { Ok(()) } else { Err(format!("{:?}", seen.users)) }
        });
    }

    /// Answers everything one by one from now on: who came when, and most that were there at once.
    fn answer_all(self, clients: &mut [Connection]) -> (Vec<String>, usize) {
        drop(self.permits);
        for client in clients {
            assert_eq!(client.message().status(), 200);
        }
        let seen = self.seen.lock().expect("no test has failed here");
        (seen.users.clone(), seen.most)
    }
}

/// A request of this user, with the key of this tenant.
fn request_of(tenant: &str, user: &str) -> String {
    bearing(tenant, &chat("m", &format!(",\"user\":\"{user}\"")))
}

/// A tenant whose key is its name.
fn tenant(name: &str, priority: &str) -> String {
    let digest = digest(name);
    format!(
        "[[tenant]]\nname = \"{name}\"\npriority = \"{priority}\"\n\
         keys = [{{ id = \"{name}\", sha256 = \"{digest}\" }}]\n\n"
    )
}

/// One place at a model server that is taken, and those that wait for it in this order: who came when.
fn order_of(tenants: &str, waiters: &[(&str, &str)]) -> Vec<String> {
    let busy = Busy::start();
    let upstream = one(&busy.server.url(), "max_in_flight = 1");
    let gateway = Setup::new(format!("{upstream}\n{tenants}")).start();
    let mut clients = vec![gateway.client()];
    let (first, _) = waiters[0];
    clients[0].send(request_of(first, "first"));
    busy.await_arrived(1);
    for (count, (tenant, user)) in (1..).zip(waiters) {
        clients.push(waiting(&gateway, &request_of(tenant, user), count));
    }
    let (mut order, most) = busy.answer_all(&mut clients);
    assert_eq!(most, 1, "one place is one place");
    assert_eq!(order.remove(0), "first");
    await_waiting(&gateway, 0);
    await_queued(&gateway, "served", waiters.len() as u64);
    order
}

#[test]
fn the_least_is_opened_before_anybody_asks() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "pool = { idle_min = 2 }").start();
    let mut warm = [upstream.connection(), upstream.connection()];
    gateway.await_metric("ringway_upstream_connections", &[("state", "idle")], 2);
    let mut client = gateway.client();
    client.send(chat("m", ""));
    await_true("one of the two has the request", || {
        let is_asked = warm.iter_mut().any(|server| !server.is_silent());
        if is_asked { Ok(()) } else { Err("neither".to_owned()) }
    });
    let asked = warm.iter_mut().position(|server| !server.is_silent()).expect("one is");
    warm[asked].message();
    finish(&mut client, &mut warm[asked], "{}");
    assert_eq!(gateway.metric(OPENED, &[]), 2);
    // One that is closed is replaced, before anybody asks again.
    let [kept, closed] = warm;
    drop(closed);
    let _another = upstream.connection();
    gateway.await_metric("ringway_upstream_connections", &[("state", "idle")], 2);
    assert_eq!((gateway.metric(OPENED, &[]), gateway.metric(RETIRED, &[])), (3, 1));
    drop(kept);
}

#[test]
fn what_a_busy_spell_has_opened_goes_again_longest_unused_first() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "pool = { idle_ms = 10000 }").start();
    let mut pairs: Vec<_> = (0..8).map(|_| asking(&gateway, &upstream)).collect();
    for (client, server) in &mut pairs {
        finish(client, server, "{}");
    }
    pairs[0].1.until_gone();
    assert!(gateway.metric(RETIRED, &[("reason", "full")]) >= 1);
    let (client, server) = &mut pairs[7];
    client.send(chat("m", ""));
    server.message();
    finish(client, server, "again");
    assert_eq!(gateway.metric(OPENED, &[]), 8);
}

#[test]
fn never_more_connections_than_may_be() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "pool = { connections_max = 1 }").start();
    let (mut first, mut server) = asking(&gateway, &upstream);
    let mut second = waiting(&gateway, &chat("m", ""), 1);
    gateway.await_metric("ringway_pool_waiting", &[], 1);
    assert!(upstream.is_untouched());
    finish(&mut first, &mut server, "1");
    server.message();
    await_waiting(&gateway, 0);
    gateway.await_metric("ringway_pool_waiting", &[], 0);
    finish(&mut second, &mut server, "2");
    assert!(upstream.is_untouched());
    await_queued(&gateway, "served", 1);
    assert_eq!((gateway.metric(OPENED, &[]), gateway.metric(REUSED, &[])), (1, 1));
}

/// The connection that the request has was closed under it: what comes next is not one too many.
#[test]
fn one_that_is_closed_makes_room() {
    let upstream = Upstream::start();
    let lines = "pool = { connections_max = 1 }";
    let gateway = Setup::new(format!("{}retry = false\n", one(&upstream.url(), lines))).start();
    let (mut first, server) = asking(&gateway, &upstream);
    let mut second = waiting(&gateway, &chat("m", ""), 1);
    drop(server);
    assert_eq!(first.message().status(), 502);
    let (mut server, _) = upstream.request();
    finish(&mut second, &mut server, "2");
    assert_eq!(gateway.metric(OPENED, &[]), 2);
}

#[test]
fn fewer_may_be_after_a_reload() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut pairs = [asking(&gateway, &upstream), asking(&gateway, &upstream)];
    gateway.reload(&one(&upstream.url(), "pool = { connections_max = 1 }"));
    for (client, server) in &mut pairs {
        finish(client, server, "{}");
    }
    let [(_, mut first), (_, mut second)] = pairs;
    first.until_gone();
    gateway.await_metric(RETIRED, &[("reason", "full")], 1);
    assert!(second.is_silent());
    let mut client = gateway.client();
    client.send(chat("m", ""));
    second.message();
    finish(&mut client, &mut second, "{}");
}

#[test]
fn who_waits_goes_where_a_place_is_first() {
    let (a, b) = (Upstream::start(), Upstream::start());
    let endpoints =
        format!("endpoints = [{{ url = \"{}\" }}, {{ url = \"{}\" }}]", a.url(), b.url());
    let text = one("x", "max_in_flight = 1").replace("endpoints = [{ url = \"x\" }]", &endpoints);
    let gateway = Setup::new(text).start();
    let mut clients = [gateway.client(), gateway.client()];
    for client in &mut clients {
        client.send(chat("m", ""));
    }
    let ((_held, _), (mut server, _)) = (a.request(), b.request());
    let mut third = waiting(&gateway, &chat("m", ""), 1);
    server.send(ok("b"));
    let answered = await_either(&mut clients);
    assert_eq!(clients[answered].message().text(), "b");
    await_waiting(&gateway, 0);
    server.message();
    server.send(ok("b again"));
    assert_eq!(third.message().text(), "b again");
    assert!(a.is_untouched());
}

/// Which of two has something to read.
fn await_either(connections: &mut [Connection; 2]) -> usize {
    let mut found = None;
    await_true("one has something to read", || {
        found = connections.iter_mut().position(|connection| !connection.is_silent());
        found.map(|_| ()).ok_or_else(|| "neither".to_owned())
    });
    found.expect("it was awaited")
}

#[test]
fn places_are_counted_for_the_node() {
    let busy = Busy::start();
    let gateway = Setup::one(&busy.server.url(), "max_in_flight = 2").shards(2).start();
    let mut clients: Vec<_> = (0..8).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send(chat("m", ""));
    }
    busy.await_arrived(2);
    await_waiting(&gateway, 6);
    let (users, most) = busy.answer_all(&mut clients);
    assert_eq!((users.len(), most), (8, 2));
    await_waiting(&gateway, 0);
    await_queued(&gateway, "served", 6);
    gateway.await_metric("ringway_endpoint_in_flight", &[], 0);
}

#[test]
fn who_waits_too_long_is_told() {
    // So long, and not longer than the first byte may take.
    for lines in [
        "queue = { wait_ms = 100 }",
        "queue = { wait_ms = 600000 }\ndeadlines = { first_byte_ms = 2000 }",
    ] {
        let upstream = Upstream::start();
        let gateway = Setup::one(&upstream.url(), &format!("max_in_flight = 1\n{lines}")).start();
        // A stream: once it has begun, only its own gaps end it.
        let mut first = gateway.client();
        first.send(chat("m", ",\"stream\":true"));
        let (mut server, _) = upstream.request();
        server.send([EVENTS.as_bytes(), &chunk("data: 1\n\n")].concat());
        first.head();
        first.await_content("data: 1\n\n");
        let late = gateway.ask(chat("m", ""));
        assert_eq!(late.status(), 503);
        assert_eq!(late.json()["error"]["type"], "server_error");
        await_queued(&gateway, "timed_out", 1);
        gateway.await_fault("endpoint_wait_timed_out");
        await_waiting(&gateway, 0);
        server.send(chunk("data: 2\n\n"));
        first.await_content("data: 2\n\n");
        assert!(upstream.is_untouched());
    }
}

#[test]
fn only_so_many_wait() {
    let upstream = Upstream::start();
    let lines = "max_in_flight = 1\nqueue = { waiting_max = 1, wait_ms = 600000 }";
    let gateway = Setup::one(&upstream.url(), lines).start();
    let (mut first, mut server) = asking(&gateway, &upstream);
    let mut second = waiting(&gateway, &chat("m", ""), 1);
    assert_eq!(gateway.ask(chat("m", "")).status(), 503);
    await_queued(&gateway, "full", 1);
    gateway.await_fault("endpoints_full");
    // And where none may, none does.
    let lines = "max_in_flight = 1\nqueue = { waiting_max = 0 }";
    gateway.reload(&one(&upstream.url(), lines));
    assert_eq!(gateway.ask(chat("m", "")).status(), 503);
    await_queued(&gateway, "full", 2);
    // Those that were there before are served.
    finish(&mut first, &mut server, "1");
    server.message();
    finish(&mut second, &mut server, "2");
    await_waiting(&gateway, 0);
}

#[test]
fn who_leaves_waits_no_longer() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "max_in_flight = 1").start();
    let (mut first, mut server) = asking(&gateway, &upstream);
    let gone = waiting(&gateway, &chat("m", ",\"user\":\"gone\""), 1);
    let mut third = waiting(&gateway, &chat("m", ",\"user\":\"third\""), 2);
    drop(gone);
    await_queued(&gateway, "gone", 1);
    await_waiting(&gateway, 1);
    finish(&mut first, &mut server, "1");
    assert_eq!(server.message().json()["user"], "third");
    finish(&mut third, &mut server, "3");
    await_waiting(&gateway, 0);
    await_queued(&gateway, "served", 1);
    assert_eq!(gateway.metric("ringway_faults_total", &[("fault", "endpoints_full")]), 0);
}

#[test]
fn the_higher_priority_comes_first() {
    let tenants = ["low", "normal", "high"].map(|name| tenant(name, name)).concat();
    let waiters = [("low", "1"), ("normal", "2"), ("high", "3"), ("normal", "4"), ("high", "5")];
    assert_eq!(order_of(&tenants, &waiters), ["3", "5", "2", "4", "1"]);
}

#[test]
fn and_nobody_starves() {
    let tenants = ["low", "high"].map(|name| tenant(name, name)).concat();
    let waiters: Vec<_> = std::iter::once(("low", "low")).chain([("high", "high"); 9]).collect();
    let order = order_of(&tenants, &waiters);
    assert_eq!(order.iter().position(|user| user == "low"), Some(7), "{order:?}");
}

#[test]
fn tenants_take_turns() {
    let tenants = ["a", "b"].map(|name| tenant(name, "normal")).concat();
    let waiters = [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("b", "b2")];
    assert_eq!(order_of(&tenants, &waiters), ["a1", "b1", "a2", "b2", "a3"]);
}

#[test]
fn a_connection_on_which_nothing_moves_is_told_once() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "pool = { leak_ms = 100 }").start();
    let mut pairs = Vec::new();
    for count in 1..=2 {
        let mut client = gateway.client();
        client.send(chat("m", ""));
        let (server, request) = upstream.request();
        let id = request.field("x-request-id").expect("it has a name").to_owned();
        // By the time the second is told, the first would have been told again.
        gateway.await_metric("ringway_pool_leaks_total", &[], count);
        gateway.await_log(&id);
        pairs.push((client, server, id));
    }
    let log = gateway.log();
    for (client, server, id) in &mut pairs {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&**id)).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("model"), "{lines:?}");
        // It is told, and no more than that.
        finish(client, server, "{}");
    }
    assert_eq!(gateway.metric("ringway_pool_leaks_total", &[]), 2);
}
