//! Lines at full endpoints while the config changes: nobody waits for what others are waiting for.

use super::*;

/// A client that has asked for `m`, and waits for a place.
fn waiting(gateway: &Gateway) -> Connection {
    let mut client = gateway.client();
    client.send(chat("m", ""));
    gateway.await_metric("ringway_endpoint_queue_waiting", &[], 1);
    client
}

/// One place at a model server, which is taken, and one that waits for it: client and server of the first, and the second.
fn full(gateway: &Gateway, server: &Upstream) -> (Connection, Connection, Connection) {
    let mut first = gateway.client();
    first.send(chat("m", ""));
    let (server, _) = server.request();
    let second = waiting(gateway);
    (first, server, second)
}

fn finish(mut first: Connection, mut server: Connection, mut second: Connection) {
    server.send(ok("1"));
    assert_eq!(first.message().text(), "1");
    server.message();
    server.send(ok("2"));
    assert_eq!(second.message().text(), "2");
}

#[test]
fn an_upstream_that_is_put_before_another_has_a_line_of_its_own() {
    let (busy, idle) = (Upstream::start(), Answering::saying("n"));
    let config = one(&busy.url(), "max_in_flight = 1");
    let gateway = Setup::new(config.clone()).start();
    let (first, server, second) = full(&gateway, &busy);
    let before = one(&idle.url(), "max_in_flight = 1").replace("\"u\"", "\"v\"");
    gateway.reload(&format!("{}\n{config}", before.replace("\"m\"", "\"n\"")));
    assert_eq!(gateway.ask(chat("n", "")).text(), "n");
    assert_eq!(gateway.metric("ringway_endpoint_queue_total", &[]), 0);
    finish(first, server, second);
}

#[test]
fn what_was_waited_for_a_place_is_written_down_and_is_not_what_we_added() {
    let busy = Upstream::start();
    let config = one(&busy.url(), "max_in_flight = 1");
    let log = "[access_log]\npath = \"access.jsonl\"\n\n";
    let gateway = Setup::new(format!("{log}{config}")).start();
    let (first, server, second) = full(&gateway, &busy);
    // It takes its time, so that it can be told from what the gateway needs.
    (0..50).for_each(|_| assert_eq!(gateway.page("/metrics").status(), 200));
    finish(first, server, second);
    gateway.await_metric("ringway_queue_wait_seconds_count", &[("model", "m")], 1);
    let path = gateway.folder.join("access.jsonl");
    await_true("both are written down", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if text.lines().count() == 2 { Ok(()) } else { Err(text) }
    });
    let text = std::fs::read_to_string(&path).expect("a log");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let waited: Vec<serde_json::Value> =
        lines.filter(|line: &serde_json::Value| line.get("queued_ms").is_some()).collect();
    assert_eq!(waited.len(), 1, "{text}");
    let [queued_ms, overhead_us, duration_ms] = ["queued_ms", "overhead_us", "duration_ms"]
        .map(|name| waited[0][name].as_f64().expect("a number"));
    assert!(overhead_us / 1e3 < queued_ms && queued_ms < duration_ms, "{text}");
}

#[test]
fn who_comes_when_there_is_more_room_does_not_wait_for_those_who_cannot_use_it() {
    // One more endpoint, and more places at the one there is.
    for has_another in [true, false] {
        let (busy, idle) = (Upstream::start(), Answering::saying("3"));
        let gateway = Setup::new(one(&busy.url(), "max_in_flight = 1")).start();
        let (first, server, second) = full(&gateway, &busy);
        if has_another {
            gateway.reload(&upstream_of(&[&busy.url(), &idle.url()], "max_in_flight = 1", ""));
            assert_eq!(gateway.ask(chat("m", "")).text(), "3");
        } else {
            gateway.reload(&one(&busy.url(), "max_in_flight = 2"));
            let mut third = gateway.client();
            third.send(chat("m", ""));
            let (mut server, _) = busy.request();
            server.send(ok("3"));
            assert_eq!(third.message().text(), "3");
        }
        finish(first, server, second);
    }
}
