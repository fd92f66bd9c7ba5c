//! The breaker against a plain model of it: by example, by every short sequence of operations, and by long random ones.

use super::Reason;
use super::Rule;
use super::State;
use super::Word;
use super::is_too_bad;
use crate::balance::dice::Dice;
use crate::units::Moment;
use std::time::Duration;

const RULE: Rule = Rule {
    consecutive: 5,
    error_percent: 50,
    requests_min: 20,
    window: Duration::from_secs(10),
    open: Duration::from_secs(1),
    open_max: Duration::from_secs(60),
    credential: Duration::from_secs(300),
};

const fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

fn open(word: Word, reason: Reason, millis: u64) -> Word {
    word.open(reason, &RULE, at(millis), 0)
}

const fn is_open_until(word: Word, now: u64) -> Option<u64> {
    match word.state(at(now)) {
        State::Open { until, .. } => Some(until.as_nanos() / 1_000_000),
        _ => None,
    }
}

#[test]
fn a_share_is_too_much_only_of_enough() {
    for (good, bad, is_bad) in [
        (0, 0, false),
        (0, 19, false),
        (0, 20, true),
        (10, 10, true),
        (11, 10, false),
        (1000, 999, false),
        (u32::MAX, u32::MAX, true),
        (u32::MAX, u32::MAX - 1, false),
    ] {
        assert_eq!(is_too_bad(&RULE, good, bad), is_bad, "{good} {bad}");
    }
    let strict = Rule { error_percent: 0, requests_min: 0, ..RULE };
    assert!(!is_too_bad(&strict, 0, 0) && !is_too_bad(&strict, 50, 0));
    assert!(is_too_bad(&strict, 50, 1));
    let lax = Rule { error_percent: 100, ..RULE };
    assert!(is_too_bad(&lax, 0, 20) && !is_too_bad(&lax, 1, 2000));
}

#[test]
fn zero_is_closed_and_knows_of_nothing() {
    assert_eq!(Word::default(), Word::FRESH);
    for now in [Moment::default(), at(1), Moment::NEVER] {
        assert_eq!(Word::FRESH.state(now), State::Closed);
        assert_eq!(Word::FRESH.claim(now), None);
        assert_eq!(Word::FRESH.succeed(now), Word::FRESH);
    }
    assert_eq!((Word::FRESH.release(), Word::FRESH.times()), (Word::FRESH, 0));
}

#[test]
fn it_opens_is_tried_and_closes() {
    let word = open(Word::FRESH, Reason::ErrorRate, 10_000);
    assert_eq!(is_open_until(word, 10_000), Some(11_000));
    let State::Open { reason, .. } = word.state(at(10_999)) else { panic!("it is open") };
    assert_eq!(reason, Reason::ErrorRate);
    assert_eq!(word.claim(at(10_999)), None);
    assert_eq!(word.state(at(11_000)), State::Due);
    let probed = word.claim(at(11_000)).expect("it is due");
    assert_eq!(probed.state(at(11_000)), State::HalfOpen);
    assert_eq!(probed.claim(at(11_001)), None);
    let closed = probed.succeed(at(11_500));
    assert_eq!(closed.state(at(11_500)), State::Closed);
    assert!(closed.is_closed() && !probed.is_closed() && !word.is_closed());
}

#[test]
fn each_time_it_is_open_twice_as_long() {
    let mut word = open(Word::FRESH, Reason::Failures, 0);
    let mut now = 0;
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        assert_eq!(is_open_until(word, now), Some(now + seconds * 1000));
        now += seconds * 1000;
        let probed = word.claim(at(now)).expect("it is due");
        word = open(probed, Reason::Failures, now);
    }
    for _ in 0..100 {
        now += 60_000;
        word = open(word.claim(at(now)).expect("it is due"), Reason::Failures, now);
        assert_eq!(is_open_until(word, now), Some(now + 60_000));
    }
    assert_eq!(word.times(), 63);
}

#[test]
fn it_is_remembered_until_it_has_been_well_for_long() {
    let reopened = |millis_well: u64| {
        let probed = open(Word::FRESH, Reason::Failures, 0).claim(at(1000)).expect("it is due");
        let again = open(probed, Reason::Failures, 1000).claim(at(3000)).expect("it is due");
        open(again.succeed(at(5000)), Reason::Failures, 5000 + millis_well)
    };
    for (millis_well, open_for) in [(0, 4000), (59_999, 4000), (60_000, 1000), (900_000, 1000)] {
        let word = reopened(millis_well);
        let now = 5000 + millis_well;
        assert_eq!(is_open_until(word, now), Some(now + open_for), "{millis_well}");
    }
}

#[test]
fn stragglers_change_nothing() {
    let word = open(Word::FRESH, Reason::Failures, 0);
    for now in [0, 500, 1000, 90_000] {
        assert_eq!(open(word, Reason::Failures, now), word);
        assert_eq!(open(word, Reason::ErrorRate, now), word);
        assert_eq!(word.succeed(at(now)), word);
    }
    assert_eq!(word.release(), word);
}

#[test]
fn a_cancelled_probe_is_due_again() {
    let word = open(Word::FRESH, Reason::ErrorRate, 0);
    let probed = word.claim(at(1000)).expect("it is due");
    let released = probed.release();
    assert_eq!(released.state(at(1000)), State::Due);
    assert_eq!(released.reason(), Reason::ErrorRate);
    let again = released.claim(at(1000)).expect("it is due again");
    assert_eq!(is_open_until(open(again, Reason::Failures, 1200), 1200), Some(3200));
}

#[test]
fn a_lost_probe_is_due_again() {
    let word = open(Word::FRESH, Reason::Failures, 0);
    let probed = word.claim(at(2000)).expect("it is due");
    assert_eq!(probed.state(at(61_999)), State::HalfOpen);
    assert_eq!(probed.state(at(62_000)), State::Due);
    let second = probed.claim(at(70_000)).expect("it is due again");
    // The first one that comes back tells.
    assert_eq!(second.succeed(at(70_001)).state(at(70_001)), State::Closed);
    assert_eq!(probed.succeed(at(65_000)).state(at(65_000)), State::Closed);
}

#[test]
fn a_bad_credential_keeps_it_open_for_long() {
    let word = open(Word::FRESH, Reason::Credential, 0);
    assert_eq!((is_open_until(word, 0), word.times()), (Some(300_000), 0));
    // Found out while it is open already.
    let failing = open(Word::FRESH, Reason::Failures, 0);
    let refused = open(failing, Reason::Credential, 500);
    assert_eq!((is_open_until(refused, 500), refused.times()), (Some(300_500), 1));
    assert_eq!(refused.reason(), Reason::Credential);
    // Never shorter than it was.
    let short = Rule { credential: Duration::from_millis(10), ..RULE };
    assert_eq!(failing.open(Reason::Credential, &short, at(500), 0), failing);
    // Each time the same; and failures go on where they were.
    let probed = refused.claim(at(300_500)).expect("it is due");
    let again = open(probed, Reason::Credential, 301_000);
    assert_eq!(is_open_until(again, 301_000), Some(601_000));
    let failed = open(again.claim(at(601_000)).expect("due"), Reason::Failures, 601_000);
    assert_eq!(is_open_until(failed, 601_000), Some(603_000));
}

#[test]
fn up_to_a_tenth_is_chance() {
    let mut dice = Dice(1);
    let mut longest = 0;
    for _ in 0..1000 {
        let word = Word::FRESH.open(Reason::Failures, &RULE, at(0), dice.roll());
        let until = is_open_until(word, 0).expect("it is open");
        assert!((1000..=1100).contains(&until), "{until}");
        longest = longest.max(until);
    }
    assert!(longest > 1090);
}

#[test]
fn odd_rules_and_times_stay_in_their_bits() {
    let odd =
        Rule { open: Duration::MAX, open_max: Duration::MAX, credential: Duration::MAX, ..RULE };
    for reason in Reason::ALL {
        for now in [Moment::default(), at(7), Moment::NEVER] {
            let word = Word::FRESH.open(*reason, &odd, now, u64::MAX);
            assert_eq!(word.reason(), *reason);
            assert!(word.times() <= 1 && !word.is_closed());
            let end = is_open_until(word, 0).expect("it is open");
            assert_eq!(end, (1 << 40) - 1);
            // The clock ends before anything else.
            let probed = word.claim(Moment::NEVER).expect("it is due");
            assert!(probed.succeed(Moment::NEVER).is_closed());
        }
    }
    let never = Rule { open: Duration::ZERO, open_max: Duration::ZERO, ..RULE };
    let word = Word::FRESH.open(Reason::Failures, &never, at(50), 0);
    assert_eq!(word.state(at(50)), State::Due);
    let probed = word.claim(at(50)).expect("it is due");
    assert_eq!(probed.state(at(1049)), State::HalfOpen);
    assert_eq!(probed.state(at(1050)), State::Due);
}

/// The breaker in plain words.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Closed { forgotten_at: u64 },
    Open { until: u64 },
    Probed { lost_at: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Model {
    phase: Phase,
    times: u32,
    reason: Reason,
}

impl Model {
    const fn is_due(&self, now: u64) -> bool {
        match self.phase {
            Phase::Open { until: time } | Phase::Probed { lost_at: time } => now >= time,
            Phase::Closed { .. } => false,
        }
    }

    const fn state(&self, now: u64) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            _ if self.is_due(now) => State::Due,
            Phase::Open { until } => State::Open { until: at(until), reason: self.reason },
            Phase::Probed { .. } => State::HalfOpen,
        }
    }

    fn open(&mut self, reason: Reason, now: u64) {
        if let Phase::Closed { forgotten_at } = self.phase
            && now >= forgotten_at
        {
            self.times = 0;
        }
        let until = match (reason, self.phase) {
            (Reason::Credential, Phase::Open { until }) if until >= now + 300_000 => return,
            (Reason::Credential, _) => now + 300_000,
            (_, Phase::Open { .. }) => return,
            _ => {
                self.times = (self.times + 1).min(63);
                now + (1000 << (self.times - 1).min(6)).min(60_000)
            }
        };
        self.phase = Phase::Open { until };
        self.reason = reason;
    }

    fn claim(&mut self, now: u64) -> bool {
        let is_due = self.is_due(now);
        if is_due {
            self.phase = Phase::Probed { lost_at: now + 60_000 };
        }
        is_due
    }

    fn succeed(&mut self, now: u64) {
        if let Phase::Probed { .. } = self.phase {
            self.phase = Phase::Closed { forgotten_at: now + 60_000 };
        }
    }

    fn release(&mut self) {
        if let Phase::Probed { .. } = self.phase {
            self.phase = Phase::Open { until: 0 };
        }
    }
}

/// Both, which must stay the same.
#[derive(Clone, Copy)]
struct Pair {
    word: Word,
    model: Model,
    now: u64,
}

const OPERATIONS: u64 = 10;

impl Pair {
    const fn new() -> Self {
        let phase = Phase::Closed { forgotten_at: 0 };
        let model = Model { phase, times: 0, reason: Reason::Failures };
        Self { word: Word::FRESH, model, now: 5 }
    }

    fn step(&mut self, operation: u64, wait: u64) {
        match operation {
            0..=2 => {
                let reason = Reason::ALL[usize::try_from(operation).unwrap()];
                self.word = open(self.word, reason, self.now);
                self.model.open(reason, self.now);
            }
            3 => {
                let claimed = self.word.claim(at(self.now));
                assert_eq!(claimed.is_some(), self.model.claim(self.now));
                self.word = claimed.unwrap_or(self.word);
            }
            4 => {
                self.word = self.word.succeed(at(self.now));
                self.model.succeed(self.now);
            }
            5 => {
                self.word = self.word.release();
                self.model.release();
            }
            6 => self.now += 1,
            7 => self.now += 1000,
            8 => self.now += 60_000,
            _ => self.now += wait,
        }
        let (word, model) = (self.word, self.model);
        assert_eq!(word.state(at(self.now)), model.state(self.now), "{model:?}");
        assert_eq!(word.is_closed(), matches!(model.phase, Phase::Closed { .. }));
        assert_eq!((word.times(), word.reason()), (model.times, model.reason));
    }
}

/// Every sequence of six operations, after one opening.
#[test]
fn every_short_sequence_is_as_in_the_model() {
    fn go_on(pair: Pair, left: u32) {
        for operation in 0..OPERATIONS {
            let mut pair = pair;
            pair.step(operation, 2000);
            if left > 1 {
                go_on(pair, left - 1);
            }
        }
    }
    let mut pair = Pair::new();
    go_on(pair, 4);
    pair.step(0, 0);
    go_on(pair, 5);
}

#[test]
fn long_random_sequences_are_as_in_the_model() {
    let mut dice = Dice(17);
    for _ in 0..200 {
        let mut pair = Pair::new();
        let pace = [2, 500, 3000, 100_000][dice.below(4)];
        for _ in 0..1000 {
            let (operation, wait) = (dice.draw(OPERATIONS), dice.draw(pace));
            // Long waits seldom, or it would be forgotten always.
            let operation = if operation == 8 && dice.draw(8) > 0 { 9 } else { operation };
            pair.step(operation, wait);
        }
    }
}

/// Of many that claim at the same time, one gets the probe; until it reports or is lost, nobody else does.
#[test]
fn one_probe_at_a_time() {
    let mut dice = Dice(23);
    let mut word = open(Word::FRESH, Reason::Failures, 0);
    let (mut now, mut claimed_at) = (0, None::<u64>);
    for _ in 0..50_000 {
        now += dice.draw(400);
        match (word.claim(at(now)), claimed_at) {
            (Some(claimed), before) => {
                assert!(before.is_none_or(|before| now >= before + 60_000));
                // Whoever had read the old word finds another one there.
                assert_ne!(claimed, word);
                assert_eq!(claimed.claim(at(now)), None);
                (word, claimed_at) = (claimed, Some(now));
            }
            (None, Some(_)) if dice.draw(50) == 0 => {
                word = match dice.draw(3) {
                    0 => word.release(),
                    1 => open(word, Reason::Failures, now),
                    _ => open(word.succeed(at(now)), Reason::ErrorRate, now),
                };
                claimed_at = None;
            }
            (None, _) => {}
        }
    }
}
