//! The page as shards and control use it: its rules one by one, and many threads at once.

mod threads;

use super::*;
use crate::balance::breaker::Rule;
use crate::balance::breaker::State;
use crate::balance::choose::Standing;

const SLOT: SlotId = SlotId(7);
const OTHER: SlotId = SlotId(8);
const FIRST: ShardId = ShardId(0);
const SECOND: ShardId = ShardId(1);

const RULE: Rule = Rule {
    consecutive: 5,
    error_percent: 50,
    requests_min: 20,
    window: Duration::from_secs(10),
    open: Duration::from_secs(1),
    open_max: Duration::from_secs(60),
    credential: Duration::from_secs(60),
};

/// Away from the beginning of the clock.
fn at(millis: u64) -> Moment {
    Moment::from_nanos((1_000_000 + millis) * 1_000_000)
}

fn shard(number: usize) -> ShardId {
    ShardId(u16::try_from(number).unwrap())
}

fn note(health: &Health, verdict: Verdict, millis: u64) {
    health.note(FIRST, SLOT, verdict, false, Some(&RULE), at(millis));
}

fn note_probe(health: &Health, verdict: Verdict, millis: u64) {
    health.note(SECOND, SLOT, verdict, true, Some(&RULE), at(millis));
}

fn standing(health: &Health, millis: u64) -> Standing {
    health.state(SLOT, at(millis)).standing()
}

/// On which the breaker of the endpoint has opened at 0.
fn opened() -> SharedHealth {
    let health = Health::new(2);
    (0..5).for_each(|_| note(&health, Verdict::Bad, 0));
    assert_eq!(standing(&health, 0), Standing::Open);
    health
}

#[test]
fn an_endpoint_is_well_and_idle_at_first() {
    let health = Health::new(2);
    let last = SlotId(u32::try_from(SLOTS_MAX - 1).unwrap());
    for slot in [SlotId(0), SLOT, last] {
        assert_eq!(health.state(slot, at(0)), SlotState::Well);
        assert_eq!(health.in_flight(slot), 0);
        assert_eq!(health.live(slot), Live::default());
        assert_eq!(health.since(slot), Moment::default());
        assert_eq!(health.totals(slot), Totals::default());
        assert_eq!(health.window(slot, at(0)), (0, 0));
        assert!(!health.claim_probe(slot, at(0)));
    }
}

#[test]
fn what_is_in_flight_is_known_by_shard() {
    let health = Health::new(3);
    for number in 0..3 {
        (0..=number).for_each(|_| health.begin(shard(number), SLOT));
    }
    health.begin(FIRST, OTHER);
    assert_eq!(health.in_flight(SLOT), 6);
    assert_eq!(health.in_flight_on(SECOND, SLOT), 2);
    assert_eq!(health.others(SECOND, SLOT), 4);
    health.end(SECOND, SLOT);
    assert_eq!(health.in_flight(SLOT), 5);
    assert_eq!(health.others(SECOND, SLOT), 4);
    assert_eq!(health.details(SLOT, at(0)).in_flight, [1, 1, 3]);
    assert_eq!(health.totals(SLOT).attempts, 6);
}

#[test]
fn failures_in_a_row_open_the_breaker_whichever_shard_sees_them() {
    let health = Health::new(2);
    for number in 0..4 {
        health.note(shard(number % 2), SLOT, Verdict::Bad, false, Some(&RULE), at(0));
    }
    note(&health, Verdict::Good, 0);
    (0..4).for_each(|_| note(&health, Verdict::Throttled, 1));
    assert_eq!(standing(&health, 1), Standing::Usable);
    assert_eq!(health.details(SLOT, at(1)).failures_in_a_row, 4);
    health.note(SECOND, SLOT, Verdict::Bad, false, Some(&RULE), at(1));
    assert_eq!(standing(&health, 1), Standing::Open);
    assert_eq!(health.state(OTHER, at(1)), SlotState::Well);
    assert_eq!(health.totals(SLOT).opened, [1, 0, 0]);
}

#[test]
fn the_share_of_failures_opens_the_breaker() {
    let health = Health::new(2);
    for number in 0..19 {
        let verdict = if number % 2 == 0 { Verdict::Bad } else { Verdict::Good };
        health.note(shard(number % 2), SLOT, verdict, false, Some(&RULE), at(100));
    }
    assert_eq!(standing(&health, 100), Standing::Usable, "too few to tell");
    note(&health, Verdict::Bad, 100);
    assert_eq!(standing(&health, 100), Standing::Open);
    assert_eq!(health.totals(SLOT).opened, [0, 1, 0]);
    assert_eq!(health.window(SLOT, at(100)), (9, 11));
}

#[test]
fn what_the_client_did_is_no_failure() {
    let health = Health::new(2);
    (0..100).for_each(|_| note(&health, Verdict::Neutral, 0));
    assert_eq!(health.state(SLOT, at(0)), SlotState::Well);
    assert_eq!((health.totals(SLOT).neutral, health.window(SLOT, at(0))), (100, (0, 0)));
}

#[test]
fn without_a_rule_everything_is_counted_and_nothing_opens() {
    let health = Health::new(2);
    for verdict in Verdict::ALL {
        for _ in 0..50 {
            health.note(FIRST, SLOT, *verdict, false, None, at(0));
        }
    }
    assert_eq!(health.state(SLOT, at(0)), SlotState::Well);
    assert_eq!(health.window(SLOT, at(0)), (50, 100));
    let totals = health.totals(SLOT);
    assert_eq!([totals.good, totals.bad, totals.throttled, totals.credential_bad], [50; 4]);
    assert_eq!((totals.neutral, totals.opened), (50, [0; 3]));
}

#[test]
fn a_good_probe_closes_the_breaker_and_old_failures_do_not_count() {
    let health = opened();
    assert!(!health.claim_probe(SLOT, at(900)));
    assert_eq!(standing(&health, 1_200), Standing::Due);
    assert!(health.claim_probe(SLOT, at(1_200)));
    assert!(!health.claim_probe(SLOT, at(1_200)));
    assert_eq!(standing(&health, 1_200), Standing::Open, "nobody else may");
    note_probe(&health, Verdict::Good, 1_300);
    assert_eq!(health.state(SLOT, at(1_300)), SlotState::Well);
    assert_eq!(health.since(SLOT), at(1_300));
    // What failed before it opened is still in the window's memory, and is not counted.
    for number in 0..40 {
        let verdict = if number % 4 == 3 { Verdict::Bad } else { Verdict::Good };
        note(&health, verdict, 3_000);
    }
    assert_eq!(health.state(SLOT, at(3_000)), SlotState::Well);
    assert_eq!(health.window(SLOT, at(3_000)), (30, 10));
    assert_eq!(health.totals(SLOT).probes, 1);
}

#[test]
fn a_probe_that_fails_opens_for_longer() {
    let health = opened();
    assert!(health.claim_probe(SLOT, at(1_200)));
    note_probe(&health, Verdict::Bad, 1_300);
    assert_eq!(standing(&health, 1_300 + 1_999), Standing::Open);
    assert_eq!(standing(&health, 1_300 + 2_201), Standing::Due);
    assert_eq!(health.details(SLOT, at(1_300)).opened_in_a_row, 2);
    assert_eq!(health.totals(SLOT).opened, [2, 0, 0]);
}

#[test]
fn a_probe_that_was_cancelled_may_be_sent_again() {
    let health = opened();
    assert!(health.claim_probe(SLOT, at(1_200)));
    note_probe(&health, Verdict::Neutral, 1_300);
    assert_eq!(standing(&health, 1_300), Standing::Due);
    assert!(health.claim_probe(SLOT, at(1_300)));
    health.release_probe(SLOT);
    assert!(health.claim_probe(SLOT, at(1_300)));
    // One that never reports is taken for lost.
    assert!(!health.claim_probe(SLOT, at(1_300 + 59_000)));
    assert!(health.claim_probe(SLOT, at(1_300 + 61_000)));
    assert_eq!(health.totals(SLOT).probes, 4);
}

#[test]
fn what_was_sent_before_does_not_change_an_open_breaker() {
    let health = opened();
    let before = health.details(SLOT, at(500)).breaker;
    for verdict in [Verdict::Good, Verdict::Bad, Verdict::Throttled, Verdict::Neutral] {
        (0..50).for_each(|_| note(&health, verdict, 500));
    }
    assert_eq!(health.details(SLOT, at(500)).breaker, before);
    assert!(health.claim_probe(SLOT, at(1_200)));
    for verdict in [Verdict::Good, Verdict::Bad, Verdict::CredentialBad, Verdict::Neutral] {
        note(&health, verdict, 1_200);
    }
    assert_eq!(health.details(SLOT, at(1_200)).breaker, State::HalfOpen);
    assert_eq!(health.totals(SLOT).opened, [1, 0, 0]);
}

#[test]
fn a_refused_credential_opens_at_once_and_for_longer() {
    let health = Health::new(2);
    note(&health, Verdict::CredentialBad, 0);
    note(&health, Verdict::CredentialBad, 1);
    assert_eq!(standing(&health, 1), Standing::CredentialBad);
    assert_eq!(standing(&health, 59_999), Standing::CredentialBad);
    assert_eq!(health.totals(SLOT).opened, [0, 0, 1]);
    let due = 67_000;
    assert_eq!(standing(&health, due), Standing::Due);
    assert!(health.claim_probe(SLOT, at(due)));
    assert_eq!(standing(&health, due), Standing::CredentialBad);
    note_probe(&health, Verdict::CredentialBad, due);
    assert_eq!(standing(&health, due + 59_999), Standing::CredentialBad);
    assert_eq!(health.totals(SLOT).opened, [0, 0, 2]);
}

#[test]
fn a_refused_credential_outlasts_failures() {
    let health = opened();
    note(&health, Verdict::CredentialBad, 100);
    assert_eq!(standing(&health, 100), Standing::CredentialBad);
    assert_eq!(standing(&health, 50_000), Standing::CredentialBad);
    assert_eq!(health.totals(SLOT).opened, [1, 0, 1]);
}

#[test]
fn a_breaker_that_is_turned_off_while_its_probe_is_out_closes() {
    for verdict in [Verdict::Good, Verdict::Bad, Verdict::CredentialBad] {
        let health = opened();
        assert!(health.claim_probe(SLOT, at(1_200)));
        health.note(FIRST, SLOT, verdict, true, None, at(1_300));
        assert_eq!(health.state(SLOT, at(1_300)), SlotState::Well, "{verdict:?}");
    }
}

#[test]
fn the_longest_pause_counts_and_ends() {
    let health = Health::new(2);
    health.pause(SLOT, at(500));
    health.pause(SLOT, at(200));
    let trouble = Trouble::Paused { until: at(500) };
    assert_eq!(health.state(SLOT, at(499)), SlotState::Troubled(trouble));
    assert_eq!(health.state(SLOT, at(500)), SlotState::Well);
    assert_eq!(health.since(SLOT), Moment::default(), "it was never ill");
}

#[test]
fn an_ejected_endpoint_comes_back_as_a_new_one() {
    let health = Health::new(2);
    (0..4).for_each(|_| note(&health, Verdict::Bad, 0));
    health.eject(SLOT, at(5_000));
    assert_eq!(standing(&health, 4_999), Standing::Ejected);
    assert_eq!(health.details(SLOT, at(1)).ejected_until, Some(at(5_000)));
    assert_eq!(standing(&health, 5_000), Standing::Usable);
    assert_eq!(health.since(SLOT), at(5_000));
    assert_eq!(health.window(SLOT, at(5_000)), (0, 0));
    assert_eq!(health.details(SLOT, at(5_000)).ejected_until, None);
}

#[test]
fn checks_say_what_they_say() {
    let health = Health::new(2);
    health.appear(SLOT, at(10));
    assert_eq!(health.since(SLOT), at(10));
    health.set_check(SLOT, Check::Passing, at(20));
    assert_eq!((standing(&health, 20), health.since(SLOT)), (Standing::Usable, at(10)));
    health.set_check(SLOT, Check::Failing, at(30));
    assert_eq!((standing(&health, 30), health.since(SLOT)), (Standing::Unhealthy, at(10)));
    health.set_check(SLOT, Check::Passing, at(40));
    assert_eq!((standing(&health, 40), health.since(SLOT)), (Standing::Usable, at(40)));
    health.set_check(SLOT, Check::Failing, at(50));
    health.appear(SLOT, at(60));
    assert_eq!((standing(&health, 60), health.since(SLOT)), (Standing::Usable, at(60)));
}

#[test]
fn of_several_troubles_the_worst_is_told() {
    let health = Health::new(2);
    let expected = |change: &dyn Fn(), standing| {
        change();
        assert_eq!(health.state(SLOT, at(0)).standing(), standing);
    };
    expected(&|| health.pause(SLOT, at(9_000)), Standing::Paused);
    expected(&|| health.eject(SLOT, at(9_000)), Standing::Ejected);
    expected(&|| (0..5).for_each(|_| note(&health, Verdict::Bad, 0)), Standing::Open);
    expected(&|| health.set_check(SLOT, Check::Failing, at(0)), Standing::Unhealthy);
    expected(&|| note(&health, Verdict::CredentialBad, 0), Standing::CredentialBad);
    // Whoever may not be used for another reason is not probed.
    let health = opened();
    health.pause(SLOT, at(9_000));
    assert_eq!(standing(&health, 1_200), Standing::Paused);
    assert_eq!(standing(&health, 9_000), Standing::Due);
}

#[test]
fn what_shards_measure_is_published_for_all() {
    let health = Health::new(2);
    let mut merged = Merged::default();
    for millis in 1..=100 {
        let number = usize::try_from(millis).unwrap();
        health.first_byte(shard(number % 2), SLOT, Duration::from_millis(millis));
    }
    assert_eq!(health.live(SLOT), Live::default(), "nobody has looked");
    let live = health.merge(&mut merged, SLOT, at(1_000));
    assert_eq!(health.live(SLOT), live);
    assert_eq!(health.live(OTHER), Live::default());
    assert_eq!(live.samples, 100);
    let p95 = live.p95.unwrap();
    assert!(p95.abs_diff(Duration::from_millis(95)) < Duration::from_millis(8), "{p95:?}");
    assert_eq!(health.merge(&mut merged, SLOT, at(31_000)).samples, 50);
    assert_eq!(health.details(SLOT, at(31_000)).live.samples, 50);
}

#[test]
fn the_pace_is_that_of_streams_or_of_other_answers_of_late() {
    let health = Health::new(2);
    let millis = |count| Some(Duration::from_millis(count));
    assert_eq!(health.pace(SLOT, at(0)), None);
    health.answered(FIRST, SLOT, Duration::from_millis(100), at(0));
    assert_eq!(health.pace(SLOT, at(0)), millis(100));
    health.answered(SECOND, SLOT, Duration::from_millis(300), at(0));
    assert_eq!((health.pace(SLOT, at(0)), health.pace(OTHER, at(0))), (millis(200), None));
    health.answered(FIRST, SLOT, Duration::from_millis(900), at(1_000));
    assert_eq!(health.pace(SLOT, at(1_000)), millis(250), "100 with an eighth of 900, and 300");
    assert_eq!(health.pace(SLOT, at(31_000)), millis(200), "the second shard's is too old");
    assert_eq!(health.pace(SLOT, at(33_000)), None);
    health.answered(FIRST, SLOT, Duration::ZERO, at(33_000));
    assert_eq!(health.pace(SLOT, at(33_000)), Some(Duration::from_micros(1)), "begun anew");
    health.first_byte(FIRST, SLOT, Duration::from_millis(50));
    let live = health.merge(&mut Merged::default(), SLOT, at(33_000));
    assert_eq!(health.pace(SLOT, at(33_000)), live.p50);
}

/// Everything that can be known of an endpoint is known of it.
fn known(health: &Health, slot: SlotId) {
    let now = at(5_000);
    for shard in [shard(0), shard(1)] {
        health.begin(shard, slot);
        for verdict in Verdict::ALL {
            health.note(shard, slot, *verdict, false, Some(&RULE), now);
        }
        health.first_byte(shard, slot, Duration::from_millis(7));
        health.answered(shard, slot, Duration::from_millis(9), now);
    }
    assert!(health.claim_place(slot, 3));
    health.appear(slot, now);
    health.ask(slot, now);
    health.pause(slot, at(9_000));
    health.eject(slot, at(9_000));
    health.set_check(slot, Check::Failing, now);
    let _once = health.claim_probe(slot, at(500_000));
    let _published = health.merge(&mut Merged::default(), slot, now);
}

#[test]
fn who_takes_a_slot_over_inherits_nothing() {
    let health = Health::new(2);
    let (other, fresh) = (SlotId(SLOT.0 + 1), SlotId(SLOT.0 + 2));
    known(&health, SLOT);
    known(&health, other);
    health.hand_over(SLOT);
    let now = at(6_000);
    assert_eq!(health.details(SLOT, now), health.details(fresh, now));
    assert_eq!(health.totals(SLOT), Totals::default());
    assert_eq!((health.pace(SLOT, now), health.first_asked(SLOT)), (None, None));
    let mut memory = Merged::default();
    assert_eq!(health.merge(&mut memory, SLOT, now), Live::default());
    // Its neighbour keeps all.
    assert_ne!(health.details(other, now), health.details(fresh, now));
    assert_eq!((health.in_flight(other), health.totals(other).attempts), (2, 2));
}
