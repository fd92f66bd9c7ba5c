//! Registries that always name others: numbers are used again, and nobody inherits anything.

use super::*;

/// Endpoints of each change.
const EACH: usize = 8;
/// The fewest that a gateway can be told to have room for.
const ROOM: usize = 64;

/// Endpoints of one server: the same address, and a path of its own for each.
fn generation(server: &Answering, turn: usize) -> Vec<String> {
    (0..EACH).map(|place| format!("{}/t{turn}-{place}", server.url())).collect()
}

/// What an endpoint says that is called after this letter; the first of each generation fails.
fn server(name: &'static str) -> Answering {
    Answering::with(move |request| {
        if request.head.line.contains("-0/v1/") {
            return b"HTTP/1.1 500 X\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
                .to_vec();
        }
        ok(name)
    })
}

#[test]
fn more_endpoints_come_and_go_than_there_are_numbers_for() {
    let servers = [server("even"), server("odd")];
    let streaming = Upstream::start();
    let found = Found::with(&[streaming.url()]);
    let breaker =
        "breaker = { consecutive = 1, open_ms = 60000, open_max_ms = 60000 }\nslow_start_ms = 0";
    let config = found.config(breaker) + "retry = true\n";
    let setup = Setup::new(config).shards(2).variable("RINGWAY_ENDPOINTS_MAX", ROOM.to_string());
    let gateway = setup.start();
    // It holds its endpoint, and all the rest of its world, until the end.
    let mut client = gateway.client();
    client.send(chat("m", ",\"stream\":true"));
    let (mut server, _) = streaming.request();
    server.send(EVENTS);
    server.send(chunk("data: one\n\n"));
    client.head();
    client.await_content("data: one\n\n");

    for turn in 0..2 * ROOM / EACH {
        let (server, name) = (&servers[turn % 2], ["even", "odd"][turn % 2]);
        let endpoints = generation(server, turn);
        found.name(&endpoints);
        gateway.await_metric("ringway_publish_seconds_count", &[], turn as u64 + 1);
        // No breaker is open that an earlier owner's failures have opened, and nothing is counted.
        await_served(&gateway, EACH as u64);
        let page = gateway.page("/metrics");
        for name in ["ringway_endpoint_attempts_total", "ringway_endpoint_in_flight"] {
            assert_eq!(sum(page.text(), name, &[("upstream", "u")]), 0, "{turn}: {}", page.text());
        }
        let mut asked = gateway.client();
        for _ in 0..2 * EACH {
            asked.send(chat("m", ""));
            assert_eq!(asked.message().text(), name, "a connection of an earlier owner was used");
        }
        let label = format!("/t{turn}-0");
        let bad = endpoints.iter().find(|url| url.ends_with(&label)).expect("the first");
        gateway.await_metric("ringway_endpoint_state", &[("endpoint", bad), ("state", "open")], 1);
    }
    assert_eq!(gateway.metric("ringway_config_last_reload_successful", &[]), 1);
    server.send(chunk("data: two\n\n"));
    client.await_content("data: two\n\n");
    server.send("0\r\n\r\n");
    assert_eq!(client.chunk(), None);
    await_true("all the worlds are let go", || {
        let held = gateway.metric("ringway_snapshots_held", &[]);
        if held == 1 { Ok(()) } else { Err(format!("{held} are held")) }
    });
}

#[test]
fn more_endpoints_at_a_time_than_there_is_room_for_change_nothing() {
    let server = server("even");
    let found = Found::with(&generation(&server, 0));
    let setup = Setup::new(found.config("") + "retry = true\n");
    let gateway = setup.variable("RINGWAY_ENDPOINTS_MAX", ROOM.to_string()).start();
    let many: Vec<String> = (0..=ROOM).map(|place| format!("{}/x{place}", server.url())).collect();
    found.name(&many);
    gateway.await_log("there is room for 64 endpoints, and 8 are served");
    assert_eq!(gateway.metric("ringway_config_last_reload_successful", &[]), 0);
    assert_eq!(gateway.ask(chat("m", "")).text(), "even");
    await_served(&gateway, EACH as u64);
    found.name(&many[..40]);
    await_served(&gateway, 40);
    // There are numbers for these only once nobody holds the first ones: nobody has to say anything again.
    found.name(&many[20..ROOM]);
    await_served(&gateway, 44);
    assert_eq!(gateway.metric("ringway_config_last_reload_successful", &[]), 1);
    assert_eq!(gateway.ask(chat("m", "")).text(), "even");
}

/// The same of models: each has counters, of which there are 1,024.
#[test]
fn more_models_come_and_go_than_there_are_counters_for() {
    let server = Answering::saying("1");
    let upstream = one(&server.url(), "");
    let models = |turn: usize| {
        let model = |n| format!("[[model]]\nname = \"t{turn}-{n}\"\nupstream = \"u\"\n");
        upstream.clone() + &(0..400).map(model).collect::<String>()
    };
    let gateway = Setup::new(models(0)).start();
    for turn in 1..5 {
        let last = format!("t{}-399", turn - 1);
        let body = gateway.ask(chat(&last, ""));
        assert_eq!(body.text(), "1");
        let labels = [("model", last.as_str()), ("status", "200")];
        gateway.await_metric("ringway_requests_total", &labels, 1);
        gateway.reload(&models(turn));
        await_true("the world before is let go", || {
            let held = gateway.metric("ringway_snapshots_held", &[]);
            if held == 1 { Ok(()) } else { Err(format!("{held} are held")) }
        });
    }
    // Of those that are gone, as many are still shown as there are counters for.
    let page = gateway.page("/metrics");
    assert_eq!(sum(page.text(), "ringway_requests_total", &[("model", "t0-399")]), 0);
    assert_eq!(sum(page.text(), "ringway_requests_total", &[("model", "t3-399")]), 1);
    assert_eq!(gateway.ask(chat("t4-399", "")).text(), "1");
    gateway.await_metric("ringway_requests_total", &[("model", "t4-399")], 1);
}
