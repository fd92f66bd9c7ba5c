//! What is written down of requests that took more than one attempt: who has answered, and what it has cost.

use super::*;
use crate::admission::ALICE;
use crate::admission::acme;
use crate::admission::bearing;

/// The first endpoint has said that it failed, and nobody was there after it.
#[test]
fn a_request_that_failed_costs_no_tokens() {
    let dead = Upstream::start();
    let (bad, gone) = (saying(500, "", "{}"), dead.url());
    drop(dead);
    let limits = "limits = { tokens_per_day = 100000, algorithm = \"fixed_window\" }";
    let config = upstream_of(&[&bad.url(), &gone], "breaker = false", "retry = { attempts = 2 }");
    let gateway = Setup::new(format!("{config}\n{}", acme(limits))).start();
    let long = format!(",\"max_tokens\":10,\"user\":\"{}\"", "x".repeat(40_000));
    let mut client = gateway.client();
    let mut left = Vec::new();
    for _ in 0..2 {
        client.send(bearing(ALICE, &chat("m", &long)));
        let answer = client.message();
        // From one that says so to one that is not there, and the other way round the next time.
        assert!([500, 502].contains(&answer.status()), "{}", answer.text());
        left.push(answer.field("x-ratelimit-remaining-tokens").map(str::to_owned));
    }
    assert!(left[0].is_some() && left[0] == left[1], "{left:?}");
}
