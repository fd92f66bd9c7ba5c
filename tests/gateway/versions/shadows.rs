//! Copies of requests: who gets them, and that nobody else notices.

use std::time::Duration;
use std::time::Instant;

use super::*;

fn shadowed(first: &str, second: &str, more: &str) -> String {
    let route = "[[route]]\nmodel = \"llama\"\nshadow = { version = \"2.0.0\" }\n";
    llama(&[("1.2.0", first), ("2.0.0", second)], &format!("{route}{more}"))
}

fn await_shadows(gateway: &Gateway, outcome: &str, count: u64) {
    gateway.await_metric("ringway_shadow_total", &[("outcome", outcome)], count);
}

#[test]
fn a_copy_goes_to_the_shadow_and_its_answer_nowhere() {
    let fleet = Fleet::start();
    let config = shadowed(&fleet.0[0].url(), &fleet.0[2].url(), "");
    let gateway = Setup::new(config).start();
    let fields = "x-request-id: 00000000000000000000000000000007\r\nx-extra: kept\r\n";
    assert_eq!(asked(&gateway, "llama", fields), "1.2.0");
    await_shadows(&gateway, "answered", 1);
    let (first, copy) = (&fleet.0[0].asked()[0], &fleet.0[2].asked()[0]);
    assert_eq!(
        (&first.json()["model"], &copy.json()["model"]),
        (&"m1.2.0".into(), &"m2.0.0".into())
    );
    assert_eq!(first.json()["messages"], copy.json()["messages"]);
    assert_eq!(copy.field("x-extra"), Some("kept"));
    assert_eq!(first.field("x-request-id"), copy.field("x-request-id"));
    // It has a line of its own, by the name of the request, and counts for no model.
    let lines = lines(&gateway, 2);
    let copies: Vec<_> = lines.iter().filter(|line| line["operation"] == "shadow").collect();
    assert_eq!((copies.len(), &lines[0]["id"]), (1, &lines[1]["id"]));
    assert_eq!((&copies[0]["model"], &copies[0]["status"]), (&"llama@2.0.0".into(), &200.into()));
    gateway.await_metric("ringway_requests_total", &[("model", "llama@2.0.0")], 0);
    gateway.await_metric("ringway_requests_total", &[], 1);
    // The shadow is not its own.
    assert_eq!(asked(&gateway, "llama@2.0.0", ""), "2.0.0");
    assert_eq!(gateway.metric("ringway_shadow_total", &[]), 1);
    let page = gateway.page("/admin/explain?model=llama");
    assert!(
        page.text().contains("100 % of such requests are copied to llama@2.0.0"),
        "{}",
        page.text()
    );
}

#[test]
fn a_share_of_the_requests_is_copied() {
    let fleet = Fleet::start();
    let config = shadowed(&fleet.0[0].url(), &fleet.0[2].url(), "");
    let config = config.replace("\"2.0.0\" }\n", "\"2.0.0\", percent = 30.0 }\n");
    let gateway = Setup::new(config).start();
    let counts = shares(&gateway, 1_000);
    assert_eq!(counts.get("1.2.0"), Some(&1_000));
    await_true("a share is copied", || {
        let (all, copies) =
            (gateway.metric("ringway_shadow_total", &[]), fleet.0[2].asked().len() as u64);
        if (213..=387).contains(&all) && all == copies {
            Ok(())
        } else {
            Err(format!("{all} {copies}"))
        }
    });
}

/// Neither one that is dead, nor one that answers with errors or nonsense, nor one that never answers.
#[test]
fn nobody_notices_a_shadow_that_does_not_work() {
    let fleet = Fleet::start();
    let dead = Upstream::start();
    let dead_url = dead.url();
    drop(dead);
    let failing = Answering::with(|_| b"HTTP/1.1 500 X\r\ncontent-length: 2\r\n\r\n{}".to_vec());
    let broken = Answering::with(|_| b"not HTTP at all\r\n\r\n".to_vec());
    let more = "[[model]]\nname = \"other\"\nupstream = \"u1.2.0\"\n";
    for (url, outcome) in
        [(&dead_url, "failed"), (&failing.url(), "refused"), (&broken.url(), "failed")]
    {
        let gateway = Setup::new(shadowed(&fleet.0[0].url(), url, more)).start();
        let mut client = gateway.client();
        let stranger = gateway.ask(chat("other", ""));
        for _ in 0..5 {
            client.send(chat("llama", ""));
            let answer = client.message();
            assert_eq!(version(&answer), "1.2.0");
            // Not even the fields tell.
            assert_eq!(names(&answer), names(&stranger));
        }
        await_shadows(&gateway, outcome, 5);
        assert_eq!(gateway.metric("ringway_faults_total", &[]), 0);
        assert_eq!(gateway.metric("ringway_requests_open", &[]), 0);
    }
}

/// The names of an answer's fields.
fn names(answer: &Message) -> Vec<&str> {
    answer.head.fields.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_shadow_that_hangs_delays_nobody_and_there_are_so_many_and_no_more() {
    const COPIES_MAX: u64 = 64;
    let fleet = Fleet::start();
    let hanging = Upstream::start();
    let mut gateway = Setup::new(shadowed(&fleet.0[0].url(), &hanging.url(), "")).start();
    let began = Instant::now();
    let counts = shares(&gateway, 100);
    assert_eq!(counts.get("1.2.0"), Some(&100));
    assert!(began.elapsed() < Duration::from_secs(20));
    await_shadows(&gateway, "skipped", 100 - COPIES_MAX);
    gateway.await_metric("ringway_requests_open", &[], 0);
    // They do not keep the gateway from ending.
    let _held: Vec<_> = (0..COPIES_MAX).map(|_| hanging.request()).collect();
    let began = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.await_end().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10));
    let text = fs::read_to_string(gateway.folder.join("access.jsonl")).expect("a log");
    let ended = text
        .lines()
        .filter(|line| line.contains("\"operation\":\"shadow\"") && line.contains("draining"));
    assert_eq!(ended.count() as u64, COPIES_MAX);
}

#[test]
fn a_copy_takes_nothing_of_a_tenants_limits() {
    let fleet = Fleet::start();
    let tenant = acme("limits = { requests_per_hour = 3, concurrent = 1 }");
    let config = shadowed(&fleet.0[0].url(), &fleet.0[2].url(), &tenant);
    let gateway = Setup::new(config).start();
    for count in 1..=3 {
        assert_eq!(version(&gateway.ask(bearing(ALICE, &chat("llama", "")))), "1.2.0");
        await_shadows(&gateway, "answered", count);
    }
    // What is refused is not copied.
    assert_eq!(gateway.ask(bearing(ALICE, &chat("llama", ""))).status(), 429);
    assert_eq!(gateway.metric("ringway_shadow_total", &[]), 3);
    assert!(lines(&gateway, 7).iter().all(|line| line["tenant"] == "acme"));
}

#[test]
fn a_stream_is_read_to_its_end_for_nobody() {
    let fleet = Fleet::start();
    let shadow = Upstream::start();
    let gateway = Setup::new(shadowed(&fleet.0[0].url(), &shadow.url(), "")).start();
    let answer = gateway.ask(chat("llama", ",\"stream\":true"));
    assert_eq!(version(&answer), "1.2.0");
    let (mut server, _) = shadow.request();
    server.send(EVENTS);
    // More than any buffer on the way holds.
    for number in 0..2_000 {
        server.send(chunk(format!("data: {number} {}\n\n", "x".repeat(4_000))));
    }
    server.send(chunk("data: [DONE]\n\n"));
    server.send("0\r\n\r\n");
    await_shadows(&gateway, "answered", 1);
    let lines = lines(&gateway, 2);
    let copy = lines.iter().find(|line| line["operation"] == "shadow").expect("a line");
    assert_eq!((&copy["events"], &copy["is_stream"]), (&2_001.into(), &true.into()));
    // The connection is used again.
    gateway.ask(chat("llama", ""));
    let body = server.message();
    assert_eq!(body.json()["model"], "m2.0.0");
}
