//! What is done next: by example, and what holds in every case.

use super::Cause;
use super::Facts;
use super::GaveUp;
use super::Next;
use super::On;
use super::Policy;
use super::next;
use crate::balance::backoff::Backoff;
use std::time::Duration;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn policy() -> Policy {
    Policy { backoff: Backoff::Fixed(MS(40)), ..Policy::default() }
}

const FIRST: Facts = Facts {
    cause: Cause::Status(503),
    attempts: 1,
    has_untried: true,
    retry_after: None,
    time_left: Duration::from_secs(60),
    has_fallback: false,
};

#[track_caller]
fn check(facts: &Facts, expected: Next) {
    assert_eq!(next(&policy(), facts, 0, || true), expected, "{facts:?}");
    // The budget is asked exactly where it is needed.
    let mut asked = 0;
    let without = next(&policy(), facts, 0, || {
        asked += 1;
        false
    });
    match expected {
        Next::GiveUp(_) | Next::Fallback => assert_eq!((without, asked), (expected, 0)),
        Next::Again { .. } => {
            let may_fall_back = facts.has_fallback && facts.cause.may_fall_back();
            let other = if may_fall_back { Next::Fallback } else { Next::GiveUp(GaveUp::NoBudget) };
            assert_eq!((without, asked), (other, 1));
        }
    }
}

#[test]
fn another_endpoint_is_asked_at_once() {
    check(&FIRST, Next::Again { wait: Duration::ZERO });
    check(&Facts { attempts: 2, ..FIRST }, Next::Again { wait: Duration::ZERO });
    // Its own Retry-After is its own.
    let asked = Some(Duration::from_secs(600));
    check(&Facts { retry_after: asked, ..FIRST }, Next::Again { wait: Duration::ZERO });
    check(&Facts { attempts: 3, ..FIRST }, Next::GiveUp(GaveUp::AttemptsUsed));
    check(&Facts { time_left: Duration::ZERO, ..FIRST }, Next::GiveUp(GaveUp::NoTime));
}

#[test]
fn the_same_endpoint_is_asked_after_a_wait() {
    let alone = Facts { has_untried: false, ..FIRST };
    check(&alone, Next::Again { wait: MS(40) });
    check(&Facts { retry_after: Some(MS(30)), ..alone }, Next::Again { wait: MS(40) });
    check(&Facts { retry_after: Some(MS(900)), ..alone }, Next::Again { wait: MS(900) });
    check(&Facts { retry_after: Some(MS(5000)), ..alone }, Next::Again { wait: MS(5000) });
    check(&Facts { retry_after: Some(MS(5001)), ..alone }, Next::GiveUp(GaveUp::NoTime));
    check(&Facts { time_left: MS(40), ..alone }, Next::GiveUp(GaveUp::NoTime));
    check(&Facts { time_left: MS(41), ..alone }, Next::Again { wait: MS(40) });
    let short = Facts { time_left: MS(800), retry_after: Some(MS(900)), ..alone };
    check(&short, Next::GiveUp(GaveUp::NoTime));
    check(&Facts { has_fallback: true, ..short }, Next::Fallback);
    let long = Facts { retry_after: Some(MS(9000)), has_fallback: true, ..alone };
    check(&long, Next::Fallback);
}

#[test]
fn the_wait_grows_with_the_attempts() {
    let grows = Policy {
        attempts: 10,
        backoff: Backoff::Exponential {
            base: MS(50),
            factor_percent: 200,
            max: MS(300),
            has_jitter: false,
        },
        ..policy()
    };
    let waits = (1..10).map(|attempts| {
        let facts = Facts { attempts, has_untried: false, ..FIRST };
        match next(&grows, &facts, 0, || true) {
            Next::Again { wait } => wait,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(waits.collect::<Vec<_>>()[..4], [50, 100, 200, 300].map(MS));
}

#[test]
fn where_there_were_too_many_repetitions_another_model_is_asked() {
    let chained = Facts { has_fallback: true, ..FIRST };
    assert_eq!(next(&policy(), &chained, 0, || true), Next::Again { wait: Duration::ZERO });
    assert_eq!(next(&policy(), &chained, 0, || false), Next::Fallback);
    let theirs = Facts { cause: Cause::ContextLength, ..chained };
    assert_eq!(next(&policy(), &theirs, 0, || false), Next::GiveUp(GaveUp::NotRepeatable));
}

#[test]
fn a_refused_credential_leads_to_another_model_or_nowhere() {
    let refused = Facts { cause: Cause::Credential, ..FIRST };
    check(&refused, Next::GiveUp(GaveUp::NotRepeatable));
    check(&Facts { has_fallback: true, ..refused }, Next::Fallback);
    let late = Facts { has_fallback: true, time_left: Duration::ZERO, ..refused };
    check(&late, Next::GiveUp(GaveUp::NoTime));
}

#[test]
fn the_chain_is_for_the_endpoints_own_trouble() {
    for (cause, may_fall_back) in [
        (Cause::Connect, true),
        (Cause::Reset, true),
        (Cause::Timeout, true),
        (Cause::Malformed, true),
        (Cause::Status(429), true),
        (Cause::Status(500), true),
        (Cause::Status(599), true),
        (Cause::Status(400), false),
        (Cause::Status(404), false),
        (Cause::ContextLength, false),
    ] {
        let facts = Facts { cause, attempts: 3, has_fallback: true, ..FIRST };
        let is_listed = On::USUAL.has(cause);
        let reason = if is_listed { GaveUp::AttemptsUsed } else { GaveUp::NotRepeatable };
        check(&facts, if may_fall_back { Next::Fallback } else { Next::GiveUp(reason) });
        check(&Facts { has_fallback: false, ..facts }, Next::GiveUp(reason));
    }
}

#[test]
fn one_attempt_is_one_attempt() {
    let policy = Policy { attempts: 1, ..policy() };
    let given_up = next(&policy, &FIRST, 0, || panic!("nothing to pay for"));
    assert_eq!(given_up, Next::GiveUp(GaveUp::AttemptsUsed));
    let chained = Facts { has_fallback: true, ..FIRST };
    assert_eq!(next(&policy, &chained, 0, || true), Next::Fallback);
}

/// Every combination: nothing is repeated that may not be, and no wait ends after the deadline.
#[test]
fn no_case_breaks_the_rules() {
    let causes = [
        Cause::Connect,
        Cause::Reset,
        Cause::Timeout,
        Cause::Malformed,
        Cause::Status(429),
        Cause::Status(503),
        Cause::Status(404),
        Cause::Credential,
        Cause::ContextLength,
    ];
    let times = [Duration::ZERO, MS(1), MS(41), MS(5000), MS(60_000)];
    let policy = Policy::default();
    for case in 0..causes.len() * times.len() * 5 * 6 * 4 {
        let (cause, case) = (causes[case % causes.len()], case / causes.len());
        let (time_left, case) = (times[case % times.len()], case / times.len());
        let (attempts, case) = (1 + case % 5, case / 5);
        let retry_after = [None, Some(0), Some(30), Some(900), Some(5000), Some(5001)][case % 6];
        let facts = Facts {
            cause,
            attempts: u8::try_from(attempts).unwrap(),
            has_untried: case / 6 % 2 == 0,
            retry_after: retry_after.map(MS),
            time_left,
            has_fallback: case / 12 % 2 == 0,
        };
        for dice in [0, u64::MAX / 2, u64::MAX] {
            match next(&policy, &facts, dice, || true) {
                Next::Again { wait } => {
                    assert!(policy.on.has(cause) && attempts < 3 && wait < time_left, "{facts:?}");
                    let asked = facts.retry_after.unwrap_or_default();
                    assert!(facts.has_untried && wait.is_zero() || wait >= asked, "{facts:?}");
                    assert!(wait <= MS(5000));
                }
                Next::Fallback => assert!(facts.has_fallback && !time_left.is_zero()),
                Next::GiveUp(reason) => assert_ne!(reason, GaveUp::NoBudget),
            }
        }
    }
}
