//! That no order of steps opens a breaker twice, sends two probes, or gives out a place too many: by trying all of them.

use std::sync::Arc;
use std::time::Duration;

use super::*;

type Modelled = loom::sync::atomic::AtomicU64;
type One = Arc<Shared<Modelled>>;

const RULE: Rule = Rule {
    consecutive: 3,
    error_percent: 50,
    requests_min: 20,
    window: Duration::from_secs(10),
    open: Duration::from_secs(1),
    open_max: Duration::from_secs(60),
    credential: Duration::from_secs(60),
};

impl<W> Shared<W> {
    fn new(zero: impl Fn() -> W) -> Self {
        Self {
            breaker: zero(),
            paused: zero(),
            ejected: zero(),
            check: zero(),
            failures: zero(),
            since: zero(),
            live: [zero(), zero()],
            first: zero(),
            second: Second {
                places: zero(),
                opened: std::array::from_fn(|_| zero()),
                probes: zero(),
            },
        }
    }
}

fn one() -> One {
    Arc::new(Shared::new(|| Modelled::new(0)))
}

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

/// Tries every order of the steps of the threads (with at most three switches that are not needed).
fn in_every_order(check: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(check);
}

/// Runs `other` on a thread of its own beside `mine`, on the same endpoint: what came of them.
fn beside<T: 'static, U>(
    one: &One,
    mine: impl FnOnce(&Shared<Modelled>) -> U,
    other: impl FnOnce(&Shared<Modelled>) -> T + 'static,
) -> (U, T) {
    let theirs = Arc::clone(one);
    let thread = loom::thread::spawn(move || other(&theirs));
    let mine = mine(one);
    (mine, thread.join().unwrap())
}

fn note(one: &Shared<Modelled>, verdict: Verdict, is_probe: bool, now: Moment) {
    let noted = Noted { verdict, is_probe, rule: Some(&RULE), now, dice: 0 };
    // Everything failed that was counted before the last time it became well.
    one.note(noted, |since| if since < at(90) { (0, 1_000) } else { (0, 1) });
}

/// With a breaker that opened at 100 s and is due.
fn due() -> One {
    let one = one();
    note(&one, Verdict::Bad, false, at(100));
    assert_eq!(one.opened(), [0, 1, 0]);
    one
}

const DUE: u64 = 102;

#[test]
fn a_breaker_opens_once_for_all() {
    in_every_order(|| {
        let one = one();
        one.well_from(at(95));
        note(&one, Verdict::Bad, false, at(100));
        let fail = |one: &Shared<Modelled>| {
            note(one, Verdict::Bad, false, at(100));
            note(one, Verdict::Throttled, false, at(100));
        };
        beside(&one, fail, fail);
        assert_eq!(one.opened(), [1, 0, 0]);
        assert_eq!(one.breaker().times(), 1);
        let until = at(101);
        assert_eq!(one.state(at(100)), SlotState::Troubled(Trouble::Open { until }));
        assert_eq!(one.state(at(101)), SlotState::Troubled(Trouble::Due));
    });
}

#[test]
fn of_many_who_want_the_probe_one_gets_it() {
    in_every_order(|| {
        let one = due();
        let claim = |one: &Shared<Modelled>| u32::from(one.claim_probe(at(DUE)));
        let third = Arc::clone(&one);
        let thread = loom::thread::spawn(move || claim(&third));
        let (mine, theirs) = beside(&one, claim, claim);
        assert_eq!(mine + theirs + thread.join().unwrap(), 1);
        assert_eq!(one.probes(), 1);
        let trouble = Trouble::Probed { is_refused: false };
        assert_eq!(one.state(at(DUE)), SlotState::Troubled(trouble));
    });
}

#[test]
fn a_probe_that_is_released_is_had_by_one_other() {
    in_every_order(|| {
        let one = due();
        assert!(one.claim_probe(at(DUE)));
        let release_and_claim = |one: &Shared<Modelled>| {
            note(one, Verdict::Neutral, true, at(DUE));
            u64::from(one.claim_probe(at(DUE)))
        };
        let claim = |one: &Shared<Modelled>| u64::from(one.claim_probe(at(DUE)));
        let (mine, theirs) = beside(&one, release_and_claim, claim);
        assert_eq!(mine + theirs, 1);
        assert_eq!(one.probes(), 1 + mine + theirs);
    });
}

#[test]
fn failures_of_before_do_not_open_what_the_probe_has_closed() {
    in_every_order(|| {
        let one = due();
        assert!(one.claim_probe(at(DUE)));
        let probe = |one: &Shared<Modelled>| note(one, Verdict::Good, true, at(DUE));
        // Two that were sent before the breaker opened: whether they come before it closes or after, and by
        // themselves they are not too many.
        let late = |one: &Shared<Modelled>| {
            note(one, Verdict::Bad, false, at(DUE));
            note(one, Verdict::Bad, false, at(DUE));
        };
        beside(&one, probe, late);
        assert_eq!(one.state(at(DUE)), SlotState::Well);
        assert_eq!(one.opened(), [0, 1, 0]);
        assert_eq!(one.since(), at(DUE));
        assert!(one.failures() <= 2);
    });
}

#[test]
fn a_probe_that_fails_opens_once_whatever_else_fails() {
    in_every_order(|| {
        let one = due();
        assert!(one.claim_probe(at(DUE)));
        let probe = |one: &Shared<Modelled>| note(one, Verdict::Bad, true, at(DUE));
        let late = |one: &Shared<Modelled>| {
            note(one, Verdict::Bad, false, at(DUE));
            note(one, Verdict::Good, false, at(DUE));
            one.claim_probe(at(DUE))
        };
        let ((), has_claimed) = beside(&one, probe, late);
        assert!(!has_claimed);
        assert_eq!(one.opened(), [1, 1, 0]);
        assert_eq!(one.breaker().times(), 2);
        assert_eq!(one.state(at(DUE)).standing().label(), "open");
    });
}

#[test]
fn a_refused_credential_opens_once_whatever_else_fails() {
    in_every_order(|| {
        let one = one();
        let refused = |one: &Shared<Modelled>| note(one, Verdict::CredentialBad, false, at(100));
        let also = |one: &Shared<Modelled>| {
            note(one, Verdict::Bad, false, at(100));
            note(one, Verdict::CredentialBad, false, at(100));
        };
        beside(&one, refused, also);
        let [failures, rate, credential] = one.opened();
        assert!(failures == 0 && rate <= 1 && credential == 1);
        let until = at(160);
        assert_eq!(one.state(at(100)), SlotState::Troubled(Trouble::CredentialBad { until }));
    });
}

#[test]
fn as_many_get_a_place_as_there_are() {
    in_every_order(|| {
        let one = one();
        assert!(one.claim_place(3));
        let claim_two =
            |one: &Shared<Modelled>| u32::from(one.claim_place(3)) + u32::from(one.claim_place(3));
        let (mine, theirs) = beside(&one, claim_two, claim_two);
        assert_eq!((mine + theirs, one.places()), (2, 3));
    });
}

#[test]
fn nobody_is_in_a_place_that_another_has() {
    in_every_order(|| {
        let one = one();
        let inside = Arc::new(Modelled::new(0));
        let claim_and_give = |inside: Arc<Modelled>| {
            move |one: &Shared<Modelled>| {
                for _ in (0..2).filter(|_| one.claim_place(1)) {
                    assert!(inside.replace(0, 1) && inside.replace(1, 0));
                    one.give_place();
                }
            }
        };
        beside(&one, claim_and_give(Arc::clone(&inside)), claim_and_give(inside));
        assert_eq!(one.places(), 0);
    });
}

#[test]
fn the_longest_pause_counts() {
    in_every_order(|| {
        let one = one();
        beside(
            &one,
            |one| one.pause(at(110)),
            |one| {
                one.pause(at(120));
                one.pause(at(105));
            },
        );
        assert_eq!(one.paused(), at(120));
    });
}

/// Beside a failure that `late` notes, one opens the breaker, and a probe closes it again: how it is then.
fn closed_beside(late: impl FnOnce(&Shared<Modelled>) + 'static) -> SlotState {
    let one = one();
    one.well_from(at(95));
    one.failures.change(|_| Some(2));
    let open_and_close = |one: &Shared<Modelled>| {
        note(one, Verdict::Bad, false, at(100));
        assert!(one.claim_probe(at(DUE)));
        note(one, Verdict::Good, true, at(DUE));
    };
    beside(&one, open_and_close, late);
    one.state(at(DUE))
}

#[test]
fn who_has_slept_does_not_open_it_again() {
    in_every_order(|| {
        let state = closed_beside(|one| note(one, Verdict::Bad, false, at(100)));
        assert_eq!(state, SlotState::Well);
    });
}

/// The same with a mistake: it opens if it is closed by then, and not in the place of what was seen when the failure was
/// counted.
#[test]
#[should_panic(expected = "opened again")]
fn the_search_finds_a_mistake() {
    in_every_order(|| {
        let state = closed_beside(|one| {
            if one.breaker().is_closed() && increase(&one.failures) >= 2 {
                one.breaker.change(|word| {
                    let word = breaker::Word(word);
                    let open = word.open(Reason::Failures, &RULE, at(DUE), 0);
                    word.is_closed().then_some(open.0)
                });
            }
        });
        assert_eq!(state, SlotState::Well, "opened again");
    });
}
