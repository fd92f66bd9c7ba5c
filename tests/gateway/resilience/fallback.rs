//! Other models: where a model's own endpoints do not help, and where a prompt is too long for it.

use super::*;
use crate::admission::ALICE;
use crate::admission::acme;
use crate::admission::bearing;

/// Models `m` (with these lines) of `first`, and `cheap` and `large` of `second`.
fn models(first: &str, second: &str, lines: &str) -> String {
    let (first, second) = (one(first, "breaker = false"), one(second, ""));
    let second = second.replace("\"u\"", "\"v\"").replace("\"m\"", "\"cheap\"");
    format!(
        "{first}{lines}\n\n{second}upstream_model = \"cheap-up\"\n\n[[model]]\nname = \"large\"\nupstream = \"v\"\n"
    )
}

#[test]
fn the_next_model_is_asked_when_the_first_cannot() {
    let (bad, good) = (saying(500, "", "{}"), Answering::saying("{\"model\":\"cheap-up\"}"));
    let lines = "retry = false\nfallback = [\"cheap\", \"large\"]";
    let gateway = Setup::new(models(&bad.url(), &good.url(), lines)).start();
    let answer = gateway.ask(chat("m", ""));
    assert_eq!((answer.status(), answer.text()), (200, "{\"model\":\"cheap-up\"}"));
    assert_eq!(good.asked()[0].json()["model"], "cheap-up");
    gateway.await_metric("ringway_fallbacks_total", &[("model", "m")], 1);
    gateway.await_metric("ringway_requests_total", &[("model", "cheap"), ("status", "200")], 1);
}

#[test]
fn and_when_nobody_is_there() {
    let dead = Upstream::start();
    let (url, good) = (dead.url(), Answering::saying("{}"));
    drop(dead);
    let lines = "retry = false\nfallback = [\"cheap\"]";
    let gateway = Setup::new(models(&url, &good.url(), lines)).start();
    assert_eq!(gateway.ask(chat("m", "")).status(), 200);
}

/// Everybody is at the fallback, for as long as that takes: neither the budget of repetitions nor endpoints that are not well
/// stand in between.
#[test]
fn however_many_requests_there_are() {
    let dead = Upstream::start();
    let dead_url = dead.url();
    drop(dead);
    for url in [saying(500, "", "{}").url(), dead_url] {
        let good = Answering::saying("{}");
        let config = models(&url, &good.url(), "retry = true\nfallback = [\"cheap\"]");
        let gateway = Setup::new(config.replace("breaker = false", "")).start();
        let mut client = gateway.client();
        for _ in 0..150 {
            client.send(chat("m", ""));
            assert_eq!(client.message().status(), 200);
        }
        assert_eq!(good.asked().len(), 150);
        let answer = gateway.page("/admin/explain?model=m");
        assert!(answer.text().contains("the next of its fallbacks is asked"), "{}", answer.text());
    }
}

/// Nobody multiplies what the gateway has tried already; where it could try nothing, asking later is of use.
#[test]
fn clients_are_told_whether_to_ask_again() {
    let (bad, worse) = (saying(500, "", "{}"), saying(500, "", "{}"));
    let lines = "retry = false\nfallback = [\"cheap\"]";
    let gateway = Setup::new(models(&bad.url(), &worse.url(), lines)).start();
    let answer = gateway.ask(chat("m", ""));
    assert_eq!((answer.status(), answer.field("x-should-retry")), (500, Some("false")));
    let server = Upstream::start();
    let lines = "max_in_flight = 1\nqueue = { waiting_max = 0 }";
    let gateway = Setup::one(&server.url(), lines).start();
    let mut first = gateway.client();
    first.send(chat("m", ""));
    let _held = server.request();
    let answer = gateway.ask(chat("m", ""));
    assert_eq!((answer.status(), answer.field("x-should-retry")), (503, None));
    assert!(answer.field("retry-after").is_some());
}

/// What waits for an endpoint that hangs is nothing to requests that have another one since.
#[test]
fn a_reload_leaves_old_lines_behind() {
    let (hanging, fine) = (Upstream::start(), Answering::saying("{}"));
    let lines = "max_in_flight = 1\nqueue = { waiting_max = 10, wait_ms = 60000 }";
    let gateway = Setup::one(&hanging.url(), lines).start();
    let mut clients: Vec<Connection> = (0..3).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send(chat("m", ""));
    }
    let _held = hanging.request();
    gateway.await_metric("ringway_endpoint_queue_waiting", &[], 2);
    gateway.reload(&one(&fine.url(), lines));
    assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    assert_eq!(gateway.metric("ringway_endpoint_queue_waiting", &[]), 2);
}

#[test]
fn only_models_that_the_caller_may_have() {
    let (bad, good) = (saying(500, "", "{\"error\":\"first\"}"), Answering::saying("{}"));
    let lines = "retry = false\nfallback = [\"cheap\", \"large\"]";
    let config = models(&bad.url(), &good.url(), lines);
    for (may, status) in [("[\"m\"]", 500), ("[\"m\", \"large\"]", 200)] {
        let tenant = acme(&format!("models = {may}"));
        let gateway = Setup::new(format!("{config}\n{tenant}")).start();
        let answer = gateway.ask(bearing(ALICE, &chat("m", "")));
        assert_eq!(answer.status(), status, "{}", answer.text());
    }
    let asked = good.asked();
    assert_eq!((asked.len(), &asked[0].json()["model"]), (1, &"large".into()));
}

#[test]
fn limits_of_the_other_model_hold() {
    let (bad, good) = (saying(500, "", "{\"error\":\"first\"}"), Answering::saying("{}"));
    let lines = "retry = false\nfallback = [\"cheap\"]";
    let config = models(&bad.url(), &good.url(), lines).replace(
        "upstream_model = \"cheap-up\"",
        "upstream_model = \"cheap-up\"\nlimits = { requests_per_hour = 2 }",
    );
    let gateway = Setup::new(config).start();
    for status in [200, 200, 500] {
        let answer = gateway.ask(chat("m", ""));
        assert_eq!(answer.status(), status, "{}", answer.text());
    }
    assert_eq!(good.asked().len(), 2);
}

#[test]
fn a_prompt_that_is_too_long_goes_to_the_larger_model() {
    let error = "{\"error\":{\"message\":\"This model's maximum context length is 8192 tokens.\",\
                 \"type\":\"invalid_request_error\",\"param\":\"messages\",\"code\":\"context_length_exceeded\"}}";
    let (small, large) = (saying(400, "", error), Answering::saying("{}"));
    let lines = "context_fallback = \"large\"";
    let config = models(&small.url(), &large.url(), lines).replace("breaker = false", "");
    let gateway = Setup::new(config).start();
    for _ in 0..6 {
        assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    }
    assert_eq!(small.asked().len(), 6, "it is not held against the endpoint");
    assert_eq!(large.asked()[0].json()["model"], "large");
    let why = [("model", "m"), ("reason", "too_long")];
    gateway.await_metric("ringway_fallbacks_total", &why, 6);

    // Another 400 is the client's.
    let (small, large) = (saying(400, "", "{\"error\":\"x\"}"), Answering::saying("{}"));
    let gateway = Setup::new(models(&small.url(), &large.url(), lines)).start();
    assert_eq!(gateway.ask(chat("m", "")).status(), 400);
    assert_eq!(large.asked(), []);
}

/// An outage of one model is what a fallback is for: nobody sees it, however many ask.
#[test]
fn in_an_outage_every_request_goes_to_the_other_model() {
    for lines in ["retry = false", "retry = { attempts = 2, backoff = { fixed_ms = 0 } }"] {
        let (bad, good) = (saying(500, "", "{}"), Answering::saying("{}"));
        let lines = format!("{lines}\nfallback = [\"cheap\"]");
        let gateway = Setup::new(models(&bad.url(), &good.url(), &lines)).start();
        let mut client = gateway.client();
        for _ in 0..100 {
            client.send(chat("m", ""));
            assert_eq!(client.message().status(), 200);
        }
    }
}

/// While the other model serves, a place of the first one is free, and tokens are counted where they are used.
#[test]
fn limits_of_the_model_that_failed_are_left_to_it() {
    let (bad, other) = (saying(500, "", "{}"), Upstream::start());
    let lines = "retry = false\nfallback = [\"cheap\"]\nlimits = { concurrent = 1 }";
    let gateway = Setup::new(models(&bad.url(), &other.url(), lines)).start();
    let mut pairs = Vec::new();
    for _ in 0..3 {
        let mut client = gateway.client();
        client.send(chat("m", ""));
        pairs.push((client, other.request().0));
    }
    for (client, server) in &mut pairs {
        server.send(ok("{}"));
        assert_eq!(client.message().status(), 200);
    }

    let (server, switch) = Switch::server(answer(500, "", "{}"));
    let usage =
        "{\"usage\":{\"prompt_tokens\":3000,\"completion_tokens\":4000,\"total_tokens\":7000}}";
    let good = Answering::saying(usage);
    let lines = "retry = false\nfallback = [\"cheap\"]\nlimits = { tokens_per_day = 100000, algorithm = \"fixed_window\" }";
    let gateway = Setup::new(models(&server.url(), &good.url(), lines)).start();
    assert_eq!(gateway.ask(chat("m", ",\"max_tokens\":10")).status(), 200);
    switch.set(ok("{}"));
    let answer = gateway.ask(chat("m", ",\"max_tokens\":10"));
    let left: u32 =
        answer.field("x-ratelimit-remaining-tokens").expect("told").parse().expect("a number");
    assert!(left > 99_900, "{left}");
}

/// A model that was not asked after all holds nothing of its limits.
#[test]
fn a_model_that_is_passed_over_keeps_no_place() {
    let (bad, other) = (saying(500, "", "{}"), Upstream::start());
    let lines = "retry = false\nfallback = [\"cheap\", \"large\"]";
    let strict = "upstream_model = \"cheap-up\"\nlimits = { concurrent = 1 }\nparameters = { temperature = { max = 1 } }";
    let config =
        models(&bad.url(), &other.url(), lines).replace("upstream_model = \"cheap-up\"", strict);
    let gateway = Setup::new(config).listen("middleware = [\"limit\", \"normalize\"]").start();
    let mut client = gateway.client();
    client.send(chat("m", ",\"temperature\":\"hot\""));
    let (mut server, request) = other.request();
    assert_eq!(request.json()["model"], "large");
    let mut second = gateway.client();
    second.send(chat("cheap", ""));
    let (mut another, _) = other.request();
    for (client, server) in [(&mut client, &mut server), (&mut second, &mut another)] {
        server.send(ok("{}"));
        assert_eq!(client.message().status(), 200);
    }
}

#[test]
fn clients_are_told_not_to_multiply_what_went_through_a_chain() {
    let (bad, worse) = (saying(500, "", "{}"), saying(503, "", "{}"));
    let once = "retry = false\nfallback = [\"cheap\"]";
    let gateway = Setup::new(models(&bad.url(), &worse.url(), once)).start();
    let answer = gateway.ask(chat("m", ""));
    assert_eq!((answer.status(), answer.field("x-should-retry")), (503, Some("false")));

    // Nor what was tried as often as it may be, where the chain is of no use to this caller.
    let twice = "retry = { attempts = 2, backoff = { fixed_ms = 0 } }\nfallback = [\"cheap\"]";
    let config = models(&bad.url(), &worse.url(), twice);
    let gateway = Setup::new(format!("{config}\n{}", acme("models = [\"m\"]"))).start();
    let answer = gateway.ask(bearing(ALICE, &chat("m", "")));
    assert_eq!((answer.status(), answer.field("x-should-retry")), (500, Some("false")));
}

/// The other model's upstream chooses by what requests have in common, for these as for its own.
#[test]
fn what_belongs_together_stays_together_at_the_other_model() {
    let bad = saying(500, "", "{}");
    let servers: Vec<Answering> = (0..4).map(|_| Answering::saying("{}")).collect();
    let urls: Vec<String> =
        servers.iter().map(|at| format!("{{ url = \"{}\" }}", at.url())).collect();
    let hash = format!(
        "endpoints = [{}]\nbalance = \"hash\"\nhash = {{ by = \"user\" }}",
        urls.join(", ")
    );
    let config = models(&bad.url(), "x", "retry = false\nfallback = [\"cheap\"]")
        .replace("endpoints = [{ url = \"x\" }]", &hash);
    let gateway = Setup::new(config).start();
    for _ in 0..8 {
        assert_eq!(gateway.ask(chat("m", ",\"user\":\"one\"")).status(), 200);
    }
    let mut counts: Vec<usize> = servers.iter().map(|server| server.asked().len()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [0, 0, 0, 8]);
}
