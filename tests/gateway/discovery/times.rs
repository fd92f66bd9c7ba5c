//! How long it takes until what a source says is served is counted.

use super::*;

fn seconds(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.trim().parse().expect("a number")
}

#[test]
fn a_change_is_timed_from_the_answer_to_the_last_shard_and_to_the_first_request() {
    let (first, second) = (Answering::saying("1"), Answering::saying("2"));
    let found = Found::with(&[first.url()]);
    let gateway = Setup::new(found.config("")).shards(2).start();
    assert_eq!(gateway.ask(chat("m", "")).text(), "1");
    // What is there at the start was waited for by nobody.
    assert_eq!(gateway.metric("ringway_publish_seconds_count", &[]), 0);
    assert_eq!(gateway.metric("ringway_endpoint_first_request_seconds_count", &[]), 0);

    found.name(&[second.url()]);
    await_found(&gateway, 1);
    gateway.await_metric("ringway_publish_seconds_count", &[], 1);
    let page = gateway.page("/metrics");
    let published = seconds(page.text(), "ringway_publish_seconds_sum");
    // It settles for 20 ms first.
    assert!(published >= 0.02, "{published}");
    assert_eq!(gateway.metric("ringway_endpoint_first_request_seconds_count", &[]), 0);

    assert_eq!(gateway.ask(chat("m", "")).text(), "2");
    assert_eq!(gateway.ask(chat("m", "")).text(), "2");
    let page = gateway.page("/metrics");
    assert_eq!(sum(page.text(), "ringway_endpoint_first_request_seconds_count", &[]), 1);
    let asked = seconds(page.text(), "ringway_endpoint_first_request_seconds_sum");
    assert!(asked >= published, "{asked} after {published}");
    assert_eq!(sum(page.text(), "ringway_publish_seconds_count", &[]), 1);

    // Back again, and new again.
    found.name(&[first.url(), second.url()]);
    gateway.await_metric("ringway_publish_seconds_count", &[], 2);
    for _ in 0..4 {
        assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    }
    gateway.await_metric("ringway_endpoint_first_request_seconds_count", &[], 2);
}

/// Reloads count too, from when the file was noticed.
#[test]
fn a_reload_is_timed() {
    let upstream = Answering::saying("1");
    let gateway = Setup::one(&upstream.url(), "").start();
    gateway.reload(&format!("{}aliases = [\"n\"]\n", one(&upstream.url(), "")));
    gateway.await_metric("ringway_publish_seconds_count", &[], 1);
}
