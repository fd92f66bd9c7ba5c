//! An endpoint that fails is left alone for a while, on all shards at once; one request finds out whether it is well again.

use super::*;

const SOON: &str = "breaker = { consecutive = 3, open_ms = 50, open_max_ms = 50 }";
const LATE: &str = "breaker = { consecutive = 3, open_ms = 60000, open_max_ms = 60000 }";

fn state(gateway: &Gateway, state: &str) -> u64 {
    gateway.metric("ringway_endpoint_state", &[("upstream", "u"), ("state", state)])
}

#[test]
fn an_endpoint_that_fails_is_left_alone() {
    let (bad, good) = (saying(500, "", "{}"), Answering::saying("{}"));
    let gateway = Setup::new(upstream_of(&[&bad.url(), &good.url()], LATE, "")).start();
    for _ in 0..20 {
        assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    }
    assert_eq!((bad.asked().len(), good.asked().len()), (3, 20));
    assert_eq!((state(&gateway, "open"), state(&gateway, "usable")), (1, 1));
    gateway.await_metric("ringway_endpoint_breaker_opened_total", &[("reason", "failures")], 1);
    gateway.await_log("breaker");
}

#[test]
fn it_opens_for_all_shards() {
    let (bad, good) = (saying(500, "", "{}"), Answering::saying("{}"));
    let setup = Setup::new(upstream_of(&[&bad.url(), &good.url()], LATE, ""));
    let gateway = setup.shards(2).start();
    // Connections go to either shard; what one has found out holds for the other.
    for _ in 0..40 {
        assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    }
    assert_eq!(bad.asked().len(), 3);
}

#[test]
fn it_closes_once_a_probe_was_answered() {
    let (server, switch) = Switch::server(answer(500, "", "{}"));
    let good = Answering::saying("{}");
    let gateway = Setup::new(upstream_of(&[&server.url(), &good.url()], SOON, "")).start();
    let mut client = gateway.client();
    let mut ask = || {
        client.send(chat("m", ""));
        client.message().status()
    };
    while server.asked().len() < 5 {
        // Three open it; two more are probes that fail: nobody notices any of it.
        assert_eq!(ask(), 200);
    }
    switch.set(ok("{}"));
    await_true("it is used again", || {
        assert_eq!(ask(), 200);
        if state(&gateway, "usable") == 2 { Ok(()) } else { Err(gateway.log()) }
    });
    let before = server.asked().len();
    for _ in 0..10 {
        assert_eq!(ask(), 200);
    }
    assert_eq!(server.asked().len(), before + 5, "its full share again");
}

#[test]
fn errors_of_clients_and_clients_that_leave_do_not_count() {
    let (server, switch) = Switch::server(answer(400, "", "{}"));
    let gateway = Setup::new(upstream_of(&[&server.url()], LATE, ONCE)).start();
    for status in [400, 404, 422] {
        switch.set(answer(status, "", "{}"));
        for _ in 0..5 {
            assert_eq!(gateway.ask(chat("m", "")).status(), status);
        }
    }
    assert_eq!(state(&gateway, "usable"), 1);

    let silent = Upstream::start();
    let gateway = Setup::new(upstream_of(&[&silent.url()], LATE, ONCE)).start();
    for _ in 0..5 {
        let mut client = gateway.client();
        client.send(chat("m", ""));
        let (mut server, _) = silent.request();
        drop(client);
        server.until_gone();
    }
    gateway.await_metric("ringway_faults_total", &[("fault", "client_gone")], 5);
    assert_eq!(state(&gateway, "usable"), 1);
}

/// A server that closes its idle connections does so now and then in the moment in which one is used.
#[test]
fn connections_that_were_closed_while_idle_do_not_count() {
    let server = Upstream::start();
    let gateway = Setup::new(upstream_of(&[&server.url()], LATE, ONCE)).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut old, _) = server.request();
    for _ in 0..4 {
        old.send(ok("{}"));
        assert_eq!(client.message().status(), 200);
        client.send(chat("m", ""));
        old.message();
        drop(old);
        old = server.request().0;
    }
    assert_eq!(state(&gateway, "usable"), 1);
    let neutral = [("result", "neutral")];
    assert_eq!(gateway.metric("ringway_endpoint_attempts_total", &neutral), 4);
}

#[test]
fn our_own_credential_being_refused_is_ours_to_mend() {
    let refusing = saying(401, "", "{\"error\":\"Incorrect API key provided: sk-o...urs\"}");
    let lines = "api_key = { env = \"OURS\" }";
    let config = upstream_of(&[&refusing.url()], lines, "");
    let gateway = Setup::new(config).variable("OURS", "sk-ours").start();
    let answer = gateway.ask(chat("m", ""));
    assert_eq!(answer.status(), 502, "{}", answer.text());
    assert!(!answer.text().contains("sk-o"), "{}", answer.text());
    assert_eq!(answer.field("x-should-retry"), Some("false"));
    gateway.await_metric("ringway_upstream_credential_bad", &[("upstream", "u")], 1);
    gateway.await_fault("credential_refused");
    gateway.await_log("credential");
}

#[test]
fn the_clients_own_credential_being_refused_is_the_clients() {
    let refusing = saying(401, "", "{\"error\":\"x\"}");
    let gateway = Setup::new(upstream_of(&[&refusing.url()], LATE, "")).start();
    for _ in 0..6 {
        let answer = gateway.ask(chat("m", ""));
        assert_eq!((answer.status(), answer.text()), (401, "{\"error\":\"x\"}"));
    }
    assert_eq!(state(&gateway, "usable"), 1);
}

#[test]
fn where_all_are_down_the_least_bad_is_asked_or_nobody() {
    let (server, switch) = Switch::server(answer(500, "", "{}"));
    let lines = |all_down: &str| format!("{LATE}\nwhen_all_down = \"{all_down}\"");
    let config = upstream_of(&[&server.url()], &lines("least_bad"), ONCE);
    let gateway = Setup::new(config).start();
    for _ in 0..3 {
        assert_eq!(gateway.ask(chat("m", "")).status(), 500);
    }
    assert_eq!(state(&gateway, "open"), 1);
    switch.set(ok("{}"));
    assert_eq!(gateway.ask(chat("m", "")).status(), 200);

    switch.set(answer(500, "", "{}"));
    let gateway = Setup::new(upstream_of(&[&server.url()], &lines("refuse"), ONCE)).start();
    for _ in 0..3 {
        assert_eq!(gateway.ask(chat("m", "")).status(), 500);
    }
    let before = server.asked().len();
    let answer = gateway.ask(chat("m", ""));
    assert_eq!((answer.status(), server.asked().len()), (503, before));
    assert!(answer.field("retry-after").is_some());
    gateway.await_fault("no_endpoint");
}

/// Left alone, it has got well; the other one, which is used, fails: nobody has to see that.
#[test]
fn one_that_was_left_alone_is_asked_before_one_that_has_just_failed() {
    let (server, switch) = Switch::server(answer(500, "", "{}"));
    let (other, turn) = Switch::server(ok("{}"));
    let gateway = Setup::new(upstream_of(&[&server.url(), &other.url()], LATE, "")).start();
    for _ in 0..8 {
        assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    }
    assert_eq!(state(&gateway, "open"), 1);
    switch.set(ok("{}"));
    turn.set(answer(500, "", "{}"));
    assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    assert_eq!((server.asked().len(), other.asked().len()), (4, 9));
}

#[test]
fn active_checks_keep_requests_away() {
    let (sick, good) = (Arc::new(Mutex::new(true)), Answering::saying("{}"));
    let is_sick = Arc::clone(&sick);
    let server = Answering::with(move |request| {
        let is_check = request.head.line.starts_with("GET /ready");
        let is_sick = *is_sick.lock().expect("no test has failed here");
        if is_check && is_sick { answer(500, "", "no") } else { ok("{}") }
    });
    let lines = "health = { path = \"/ready\", interval_ms = 500, timeout_ms = 500, unhealthy_after = 2, healthy_after = 2 }";
    let gateway = Setup::new(upstream_of(&[&server.url(), &good.url()], lines, "")).start();
    gateway.await_metric("ringway_endpoint_state", &[("state", "unhealthy")], 1);
    let asked = |server: &Answering| {
        server.asked().iter().filter(|request| request.head.line.starts_with("POST")).count()
    };
    for _ in 0..6 {
        assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    }
    assert_eq!((asked(&server), asked(&good)), (0, 6));
    *sick.lock().expect("no test has failed here") = false;
    gateway.await_metric("ringway_endpoint_state", &[("state", "usable")], 2);
    for _ in 0..6 {
        assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    }
    assert_eq!((asked(&server), asked(&good)), (3, 9));
}

/// Where all are down the least bad is asked: no more often at a time than it may be.
#[test]
fn the_least_bad_has_no_more_connections_than_may_be() {
    let server = Upstream::start();
    let lines = "breaker = { consecutive = 1, open_ms = 60000 }\npool = { connections_max = 1 }";
    let gateway = Setup::new(upstream_of(&[&server.url()], lines, ONCE)).start();
    let mut first = gateway.client();
    first.send(chat("m", ""));
    let (mut link, _) = server.request();
    link.send(answer(500, "", "{}"));
    assert_eq!(first.message().status(), 500);
    first.send(chat("m", ""));
    link.message();
    assert_eq!(state(&gateway, "open"), 1);
    let mut second = gateway.client();
    second.send(chat("m", ""));
    gateway.await_metric("ringway_endpoint_queue_waiting", &[], 1);
    assert!(server.is_untouched());
    link.send(ok("1"));
    assert_eq!(first.message().text(), "1");
    link.message();
    link.send(ok("2"));
    assert_eq!(second.message().text(), "2");
}

/// Its time is over, and all its places are taken: whoever waits for one sends no probe meanwhile.
#[test]
fn a_probe_is_claimed_by_who_has_a_place() {
    let server = Upstream::start();
    let lines = "breaker = { consecutive = 1, open_ms = 20, open_max_ms = 20 }\nmax_in_flight = 2";
    let gateway = Setup::new(upstream_of(&[&server.url()], lines, ONCE)).start();
    let mut clients = [gateway.client(), gateway.client()];
    clients[0].send(chat("m", ""));
    let (_held, _) = server.request();
    clients[1].send(chat("m", ""));
    let (mut link, _) = server.request();
    link.send(answer(500, "", "{}"));
    assert_eq!(clients[1].message().status(), 500);
    // The least bad is asked at once, or it is the probe, and takes the other place.
    clients[1].send(chat("m", ""));
    link.message();
    let probes = || {
        let page = gateway.page("/admin/snapshot").json();
        page["upstreams"][0]["endpoints"][0]["live"]["attempts"]["probes"]
            .as_u64()
            .expect("it is shown")
    };
    let before = probes();
    let mut third = gateway.client();
    third.send(chat("m", ""));
    gateway.await_metric("ringway_endpoint_queue_waiting", &[], 1);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(probes(), before);
    link.send(ok("{}"));
    assert_eq!(clients[1].message().status(), 200);
    link.message();
    link.send(ok("{}"));
    assert_eq!(third.message().status(), 200);
}
