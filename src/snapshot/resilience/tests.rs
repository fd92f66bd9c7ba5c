//! What a file says and what balance decides with are one thing under two names: none may drift from the other.

use super::*;

#[test]
fn names_are_the_same() {
    let balances = config::Balance::ALL;
    assert_eq!(balances.map(|balance| strategy(balance).label()), balances.map(|b| b.label()));
    assert_eq!(balances.len(), Strategy::ALL.len());
    assert_eq!(strategy(config::Balance::default()), Strategy::default());
    let priorities = config::Priority::ALL;
    assert_eq!(priorities.map(|of| priority(of).label()), priorities.map(|of| of.label()));
    assert_eq!(priority(config::Priority::default()), queue::Priority::default());
    let downs = config::AllDown::ALL;
    assert_eq!(downs.map(|of| all_down(of).label()), downs.map(|of| of.label()));
}

#[test]
fn whatever_the_file_tries_again_the_policy_does() {
    let statuses = (400..600).map(config::RetryOn::Status);
    let words = config::RetryOn::WORDS.iter().map(|(_, item)| *item);
    for item in words.chain(statuses) {
        let label = item.label();
        assert_eq!(config::RetryOn::parse(&label), Some(item));
        let list = config::Retry { on: vec![item], ..config::Retry::default() };
        assert_eq!(retry(Some(&list)).on.labels(), [label]);
    }
    for text in ["", "4xx", "399", "600", "+500", "0500", "Connect"] {
        assert_eq!(config::RetryOn::parse(text), None, "{text}");
    }
}

#[test]
fn defaults_are_the_same() {
    assert_eq!(retry(Some(&config::Retry::default())), retry::Policy::default());
    assert_eq!(retry(None), retry::Policy { attempts: 1, ..retry::Policy::default() });
}

#[test]
fn an_attempt_has_one_kind_of_deadline() {
    let second = Duration::from_secs(1);
    let upstream = config::Deadlines {
        connect: second,
        first_byte: second,
        gap: second,
        whole: second,
        attempt: Some(config::AttemptDeadline::Adaptive(config::Adaptive::default())),
    };
    let of = |attempt| {
        let overrides =
            config::DeadlineOverrides { attempt, ..config::DeadlineOverrides::default() };
        deadlines(upstream.overridden(&overrides))
    };
    assert!(of(None).adaptive.is_some() && of(None).attempt.is_none());
    let fixed = of(Some(config::AttemptDeadline::Fixed(second)));
    assert_eq!((fixed.attempt, fixed.adaptive), (Some(second), None));
}
