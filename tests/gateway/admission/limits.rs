//! Limits: exact for the node, told rightly, and what happens when they are full.

use std::thread;

use super::*;

fn gateway(url: &str, more: &str, shards: usize) -> Gateway {
    Setup::new(world(url, more)).shards(shards).start()
}

/// How many of `count` requests, sent by `clients` at the same time, get each of 200 and 429.
fn storm(gateway: &Gateway, secret: &str, clients: usize, each: usize) -> (usize, usize) {
    let request = bearing(secret, &chat("m", ""));
    let asking = (0..clients).map(|_| {
        let (address, request) = (gateway.listen, request.clone());
        thread::spawn(move || {
            let mut client = Connection::to(address);
            let statuses: Vec<u16> = (0..each)
                .map(|_| {
                    client.send(&request);
                    client.message().status()
                })
                .collect();
            statuses
        })
    });
    let asking: Vec<_> = asking.collect();
    let statuses: Vec<u16> =
        asking.into_iter().flat_map(|thread| thread.join().expect("a client")).collect();
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!(count(200) + count(429), clients * each, "{statuses:?}");
    (count(200), count(429))
}

#[test]
fn fifty_clients_get_exactly_as_many_requests_as_the_limit() {
    let upstream = Answering::saying("{}");
    for algorithm in ["fixed_window", "sliding_window", "token_bucket"] {
        // A day: nothing comes back while the test runs.
        let limits = format!("limits = {{ requests_per_day = 137, algorithm = \"{algorithm}\" }}");
        let gateway = gateway(&upstream.url(), &acme(&limits), 2);
        assert_eq!(storm(&gateway, ALICE, 50, 6), (137, 163), "{algorithm}");
        gateway.await_metric("ringway_refusals_total", &[("reason", "requests_limited")], 163);
    }
}

#[test]
fn the_caller_is_told_how_it_stands() {
    let upstream = Answering::with(|_| {
        let text = "{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":7,\"total_tokens\":10}}";
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-ratelimit-remaining-requests: 77\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        )
        .into_bytes()
    });
    let limits =
        "limits = { requests_per_day = 2, tokens_per_day = 100000, algorithm = \"fixed_window\" }";
    let gateway = gateway(&upstream.url(), &acme(limits), 1);
    let first = gateway.ask(bearing(ALICE, &chat("m", ",\"max_tokens\":50")));
    assert_eq!(first.field("x-ratelimit-limit-requests"), Some("2"));
    assert_eq!(first.field("x-ratelimit-remaining-requests"), Some("1"));
    assert!(first.field("x-ratelimit-reset-requests").is_some_and(|text| text.ends_with('s')));
    assert_eq!(first.field("x-ratelimit-limit-tokens"), Some("100000"));
    let left: u32 = first.field("x-ratelimit-remaining-tokens").unwrap().parse().unwrap();
    assert!(
        (99_900..99_950).contains(&left),
        "{left}: what was reserved counts until it is settled"
    );
    let second = gateway.ask(bearing(ALICE, &chat("m", ",\"max_tokens\":50")));
    let left: u32 = second.field("x-ratelimit-remaining-tokens").unwrap().parse().unwrap();
    assert!((99_890..99_940).contains(&left), "{left}: the first was settled at 10");
    let third = gateway.ask(bearing(ALICE, &chat("m", "")));
    assert_eq!((third.status(), code(&third).as_str()), (429, "rate_limit_exceeded"));
    assert_eq!(third.json()["error"]["type"], "rate_limit_error");
    assert_eq!(third.field("x-ratelimit-remaining-requests"), Some("0"));
    let wait: u64 = third.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&wait), "{wait}");
}

#[test]
fn tokens_are_settled_by_what_the_upstream_reports() {
    let upstream = Answering::with(|_| {
        ok("{\"usage\":{\"prompt_tokens\":300,\"completion_tokens\":400,\"total_tokens\":700}}")
    });
    let limits = "limits = { tokens_per_day = 1000, algorithm = \"fixed_window\" }";
    let gateway = gateway(&upstream.url(), &acme(limits), 1);
    let ask =
        |bound: u32| gateway.ask(bearing(ALICE, &chat("m", &format!(",\"max_tokens\":{bound}"))));
    assert_eq!(ask(5000).status(), 429, "more than the limit ever has");
    assert_eq!(ask(5000).field("retry-after"), None, "waiting does not help");
    assert_eq!(ask(10).status(), 200);
    // 300 are left, whatever the first request had said it wanted.
    assert_eq!(ask(400).status(), 429);
    assert_eq!(ask(200).status(), 200);
    assert_eq!(ask(10).status(), 429, "the second took 700 of 300: the limit is in debt");
}

#[test]
fn concurrent_requests_are_bounded_and_come_back() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream.url(), &acme("limits = { concurrent = 2 }"), 1);
    let request = bearing(ALICE, &chat("m", ""));
    let (mut one, mut two) = (gateway.client(), gateway.client());
    one.send(&request);
    let (mut first, _) = upstream.request();
    two.send(&request);
    let (second, _) = upstream.request();
    let answer = gateway.ask(&request);
    assert_eq!(answer.status(), 429);
    assert!(
        answer.text().contains("concurrent") || answer.text().contains("same time"),
        "{}",
        answer.text()
    );
    first.send(ok("{}"));
    assert_eq!(one.message().status(), 200);
    // A client that leaves gives its place back as well.
    drop(two);
    gateway.await_metric("ringway_requests_cancelled_total", &[], 1);
    drop(second);
    for client in [&mut one, &mut gateway.client()] {
        client.send(&request);
    }
    assert_eq!(first.message().head.line, "POST /v1/chat/completions HTTP/1.1");
    let _fourth = upstream.request();
    assert_eq!(gateway.ask(&request).status(), 429);
}

#[test]
fn limits_of_keys_models_and_pairs_count_apart() {
    let upstream = Answering::saying("{}");
    let two_keys = format!(
        "[[tenant]]\nname = \"acme\"\nlimits = {{ requests_per_day = 6, algorithm = \"fixed_window\", models = {{ cheap = {{ requests_per_day = 1, algorithm = \"fixed_window\" }} }} }}\n\
         keys = [{{ id = \"alice\", sha256 = \"{}\", limits = {{ requests_per_day = 4, algorithm = \"fixed_window\" }} }}, {{ id = \"bob\", sha256 = \"{}\" }}]\n",
        digest(ALICE),
        digest(BOB)
    );
    let gateway = gateway(&upstream.url(), &two_keys, 1);
    let status =
        |secret: &str, model: &str| gateway.ask(bearing(secret, &chat(model, ""))).status();
    assert_eq!(
        [status(ALICE, "cheap"), status(ALICE, "cheap"), status(BOB, "cheap")],
        [200, 429, 429]
    );
    assert_eq!(
        [status(ALICE, "m"), status(ALICE, "m"), status(ALICE, "m"), status(ALICE, "m")],
        [200, 200, 200, 429]
    );
    assert_eq!([status(BOB, "m"), status(BOB, "m"), status(BOB, "m")], [200, 200, 429]);
}

#[test]
fn a_reload_forgets_no_usage() {
    let upstream = Answering::saying("{}");
    let tenants = acme("limits = { requests_per_day = 3, algorithm = \"fixed_window\" }");
    let gateway = gateway(&upstream.url(), &tenants, 1);
    assert_eq!(storm(&gateway, ALICE, 1, 2), (2, 0));
    gateway.reload(&world(&upstream.url(), &(tenants + &zeta(""))));
    assert_eq!(storm(&gateway, ALICE, 1, 2), (1, 1));
}

#[test]
fn who_waits_gets_its_turn() {
    let upstream = Upstream::start();
    let tenant = acme(
        "limits = { concurrent = 1 }\nwhen_full = { queue = { waiting_max = 1, wait_ms = 15000 } }",
    );
    let gateway = gateway(&upstream.url(), &tenant, 1);
    let request = bearing(ALICE, &chat("m", ""));
    let (mut one, mut two) = (gateway.client(), gateway.client());
    one.send(&request);
    let (mut up, _) = upstream.request();
    two.send(&request);
    gateway.await_metric("ringway_queue_waiting", &[], 1);
    let third = gateway.ask(&request);
    assert_eq!((third.status(), code(&third).as_str()), (429, "rate_limit_exceeded"));
    up.send(ok("{\"n\":1}"));
    assert_eq!(one.message().text(), "{\"n\":1}");
    up.message();
    up.send(ok("{\"n\":2}"));
    assert_eq!(two.message().text(), "{\"n\":2}");
    gateway.await_metric("ringway_queue_waiting", &[], 0);
    // Of those three only one has waited.
    gateway.await_metric("ringway_queue_wait_seconds_count", &[("model", "m")], 1);
}

#[test]
fn who_waits_too_long_is_told() {
    let upstream = Upstream::start();
    let tenant = acme(
        "limits = { concurrent = 1 }\nwhen_full = { queue = { waiting_max = 5, wait_ms = 50 } }",
    );
    let gateway = gateway(&upstream.url(), &tenant, 1);
    let request = bearing(ALICE, &chat("m", ""));
    let mut one = gateway.client();
    one.send(&request);
    let _up = upstream.request();
    assert_eq!(gateway.ask(&request).status(), 429);
    gateway.await_metric("ringway_refusals_total", &[("reason", "queue_timed_out")], 1);
    // One that leaves while it waits is not asked for.
    let mut gone = gateway.client();
    gone.send(&request);
    drop(gone);
    gateway.await_metric("ringway_queue_waiting", &[], 0);
}

#[test]
fn a_full_model_degrades_to_its_cheaper_one() {
    let upstream = Answering::saying("{}");
    let text = world(&upstream.url(), &acme("")).replacen(
        "name = \"m\"\n",
        "name = \"m\"\nlimits = { requests_per_day = 1, algorithm = \"fixed_window\" }\nwhen_full = \"degrade\"\ndegrade_to = \"cheap\"\n",
        1,
    );
    let gateway = Setup::new(text).start();
    for model in ["m", "cheap", "cheap"] {
        assert_eq!(gateway.ask(bearing(ALICE, &chat("m", ""))).status(), 200);
        let asked = upstream.asked().pop().expect("a request");
        assert_eq!(asked.json()["model"], model);
    }
}

#[test]
fn requests_that_never_reached_a_model_give_their_tokens_back() {
    let upstream = Upstream::start();
    let url = upstream.url();
    drop(upstream);
    let limits = "limits = { tokens_per_day = 1000, algorithm = \"fixed_window\" }";
    let gateway = gateway(&url, &acme(limits), 1);
    for _ in 0..5 {
        let answer = gateway.ask(bearing(ALICE, &chat("m", ",\"max_tokens\":900")));
        assert_eq!(answer.status(), 502, "{}", answer.text());
    }
}

#[test]
fn an_interrupted_stream_is_settled_by_what_was_relayed() {
    let upstream = Upstream::start();
    let limits = "limits = { tokens_per_day = 100000, algorithm = \"fixed_window\" }";
    let gateway = gateway(&upstream.url(), &acme(limits), 1);
    let request = bearing(ALICE, &chat("m", ",\"stream\":true,\"max_tokens\":50000"));
    let mut client = gateway.client();
    client.send(&request);
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    for _ in 0..20 {
        server.send(chunk("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n"));
    }
    let head = client.head();
    assert_eq!(head.status(), 200);
    // While it goes on, all of it is reserved: another one of this size does not fit.
    assert_eq!(gateway.ask(&request).status(), 429);
    client.await_content("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n".repeat(20));
    drop(server);
    while client.chunk().is_some() {}
    gateway.await_metric("ringway_tokens_total", &[("kind", "output")], 20);
    gateway.await_metric("ringway_requests_estimated_total", &[], 1);
    let mut next = gateway.client();
    next.send(&request);
    let (mut server, _) = upstream.request();
    server.send(EVENTS);
    server.send("0\r\n\r\n");
    let left: u32 = next.head().field("x-ratelimit-remaining-tokens").unwrap().parse().unwrap();
    assert!((49_900..49_980).contains(&left), "{left}: 20 tokens and the question are gone");
}
