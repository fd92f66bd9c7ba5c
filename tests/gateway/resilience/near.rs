//! Near endpoints before far ones: when these help, how much they take, and which of them is asked.

use std::thread;
use std::time::Duration;

use super::balancing::taken;
use super::*;

/// The model `m` of an upstream whose endpoints have these traits, for a gateway in zone a of eu.
fn located(endpoints: &[(String, &str)], lines: &str) -> String {
    let urls: Vec<&str> = endpoints.iter().map(|(url, _)| url.as_str()).collect();
    let mut config = upstream_of(&urls, lines, "");
    for (url, traits) in endpoints {
        let plain = format!("{{ url = \"{url}\" }}");
        config = config.replace(&plain, &format!("{{ url = \"{url}\", {traits} }}"));
    }
    format!("[node]\nregion = \"eu\"\nzone = \"a\"\n{config}")
}

const ZONE: &str = "region = \"eu\", zone = \"a\", capacity = 5";
const REGION: &str = "region = \"eu\", zone = \"b\", capacity = 50, headroom = 2";
const FAR: &str = "region = \"us\", capacity = 50, headroom = 3";

/// Who has one client's stream, and both its ends, which stay open.
fn begin(gateway: &Gateway, servers: &[Upstream]) -> (usize, Connection, Connection) {
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (index, mut server) = taken(servers);
    server.send(EVENTS);
    server.send(chunk("data: 1\n\n"));
    assert_eq!(client.head().status(), 200);
    client.await_content("data: 1\n\n");
    (index, client, server)
}

#[test]
fn a_zone_that_is_loaded_sends_on_what_others_take_and_no_more() {
    for strategy in ["round_robin", "least_connections", "peak_ewma"] {
        let servers: Vec<Upstream> = (0..3).map(|_| Upstream::start()).collect();
        let sites = [FAR, ZONE, REGION];
        let endpoints: Vec<_> = servers.iter().map(Upstream::url).zip(sites).collect();
        let lines = format!("balance = \"{strategy}\"\nlocality = {{ spill_percent = 80 }}");
        let gateway = Setup::new(located(&endpoints, &lines)).shards(1).start();
        let mut open: Vec<_> = (0..11).map(|_| begin(&gateway, &servers)).collect();
        let order: Vec<usize> = open.iter().map(|(index, ..)| *index).collect();
        // Four of five, then the next zone's headroom, then the other region's, and then there is none but our own.
        assert_eq!(order, [1, 1, 1, 1, 2, 2, 0, 0, 0, 1, 1], "{strategy}");
        // What has become free near by is used before anything far away.
        for _ in 0..3 {
            let place = open.iter().rposition(|(index, ..)| *index == 1).expect("it has six");
            let (_, mut client, mut server) = open.remove(place);
            server.send("0\r\n\r\n");
            assert_eq!(client.chunk(), None);
        }
        gateway.await_metric("ringway_requests_open", &[], 8);
        assert_eq!(begin(&gateway, &servers).0, 1, "{strategy}");
    }
}

#[test]
fn headroom_is_exact_however_many_shards_ask_at_once() {
    const CLIENTS: usize = 40;
    let server = Upstream::start();
    let endpoints = [(server.url(), FAR)];
    let gateway = Setup::new(located(&endpoints, "locality = {}")).shards(2).start();
    let mut clients: Vec<Connection> = (0..CLIENTS).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send(chat("m", ""));
    }
    gateway.await_metric("ringway_endpoint_queue_waiting", &[], CLIENTS as u64 - 3);
    let mut asking = Vec::new();
    for answered in 0..CLIENTS {
        let expected = (CLIENTS - answered).min(3);
        await_true("the next one is asked for", || {
            asking.extend(server.try_request().map(|(connection, _)| connection));
            if asking.len() >= expected { Ok(()) } else { Err(format!("{}", asking.len())) }
        });
        assert_eq!(asking.len(), expected);
        assert!(server.try_request().is_none(), "one more than it takes");
        asking.remove(0).send(ok("{}").as_slice());
        // One of the clients has its answer now; which, is for the gateway to say.
    }
    for client in &mut clients {
        assert_eq!(client.message().status(), 200);
    }
}

#[test]
fn on_two_shards_nothing_leaves_a_zone_before_it_is_loaded() {
    let servers: Vec<Upstream> = (0..2).map(|_| Upstream::start()).collect();
    let endpoints: Vec<_> = servers.iter().map(Upstream::url).zip([ZONE, FAR]).collect();
    let gateway = Setup::new(located(&endpoints, "locality = {}")).shards(2).start();
    let open: Vec<_> = (0..10).map(|_| begin(&gateway, &servers)).collect();
    let order: Vec<usize> = open.iter().map(|(index, ..)| *index).collect();
    assert_eq!(order[..4], [0; 4], "{order:?}");
    assert_eq!(order.iter().filter(|index| **index == 1).count(), 3, "{order:?}");
}

#[test]
fn a_zone_that_is_down_is_helped_and_has_its_requests_back_when_it_is_well() {
    let (near, switch) = Switch::server(answer(500, "", "near is down"));
    let far = Answering::saying("far");
    let endpoints = [(near.url(), "region = \"eu\""), (far.url(), "region = \"us\"")];
    let lines = "locality = {}\nbreaker = { consecutive = 1, open_ms = 100 }";
    let config = located(&endpoints, lines).replace("retry = true", "retry = false");
    let gateway = Setup::new(config).start();
    assert_eq!(gateway.ask(chat("m", "")).status(), 500);
    assert_eq!(gateway.ask(chat("m", "")).text(), "far");
    switch.set(ok("near"));
    await_true("the near one is asked again", || {
        let message = gateway.ask(chat("m", ""));
        if message.text() == "near" { Ok(()) } else { Err(message.text().to_owned()) }
    });
    for _ in 0..8 {
        assert_eq!(gateway.ask(chat("m", "")).text(), "near");
    }
}

#[test]
fn who_takes_nothing_from_other_zones_is_not_resorted_to() {
    let closed = Answering::saying("closed");
    let endpoints = [(closed.url(), "region = \"us\", headroom = 0")];
    let gateway = Setup::new(located(&endpoints, "locality = {}")).start();
    assert_eq!(gateway.ask(chat("m", "")).status(), 503);
    assert!(closed.asked().is_empty());
}

#[test]
fn the_quicker_region_is_found_and_asked() {
    const IN_A_ROW: usize = 8;
    let slow = Answering::with(|_| {
        thread::sleep(Duration::from_millis(10));
        ok("slow")
    });
    let quick = Answering::saying("quick");
    let endpoints = [(slow.url(), "region = \"ap\""), (quick.url(), "region = \"us\"")];
    let gateway = Setup::new(located(&endpoints, "locality = {}")).shards(1).start();
    let mut row = 0;
    let mut client = gateway.client();
    await_true("the quicker one is asked", || {
        client.send(chat("m", ""));
        row = if client.message().text() == "quick" { row + 1 } else { 0 };
        if row >= IN_A_ROW { Ok(()) } else { Err(format!("{row} in a row")) }
    });
    let explained = gateway.page("/admin/explain?model=m").text().to_owned();
    let lines: Vec<&str> = explained.lines().filter(|line| line.contains(", tier ")).collect();
    assert!(lines[0].contains("far, tier 2, region ap, "), "{explained}");
    assert!(lines[1].contains("usable, tier 1, region us, "), "{explained}");
    assert!(lines.iter().all(|line| line.contains(" ms, score")), "{explained}");
}

#[test]
fn a_fixed_order_is_followed_and_a_reload_changes_it() {
    let (one, other) = (Answering::saying("ap"), Answering::saying("us"));
    let endpoints = [(one.url(), "region = \"ap\""), (other.url(), "region = \"us\"")];
    let config = |order: &str| located(&endpoints, &format!("locality = {{ others = {order} }}"));
    let gateway = Setup::new(config("[\"us\"]")).start();
    for _ in 0..4 {
        assert_eq!(gateway.ask(chat("m", "")).text(), "us");
    }
    gateway.reload(&config("[\"ap\", \"us\"]"));
    for _ in 0..4 {
        assert_eq!(gateway.ask(chat("m", "")).text(), "ap");
    }
}
