//! Made-up phases: 1,000 requests a second to three mocks, a fault from 2 s to 8 s, the end at 14 s.

use super::*;
use crate::faults::watch::Told;

const PROMISES: Promises =
    Promises { attempts_per_request: 1.2, p99_factor: 1.5, p99_back_ms: 1000, bucket_ms: 250 };

fn at(ms: u32) -> Moment {
    Moment::from_nanos(1_000_000_000).after(millis(ms))
}

fn borders() -> Borders {
    Borders { from: at(0), fault_from: at(2000), fault_to: at(8000), to: at(14_000) }
}

/// One request a millisecond, each answered after 40 ms or as `of` says.
fn samples(of: impl Fn(u32) -> (Option<u32>, Fate)) -> Vec<Sample> {
    (0..14_000)
        .map(|ms| {
            let (first, fate) = of(ms);
            Sample { start: at(ms), first: first.map(millis), fate }
        })
        .collect()
}

fn well(_ms: u32) -> (Option<u32>, Fate) {
    (Some(40), Fate::Whole)
}

/// A look each 50 ms; `away` is when the first mock gets nothing, `told` whether the gateway tells.
fn looks(away: std::ops::Range<u32>, told: bool) -> Vec<Look> {
    let mut had = [0u64; 3];
    (0..=280)
        .map(|number| {
            let ms = number * 50;
            let is_away = away.contains(&ms);
            let more = if is_away { [0, 25, 25] } else { [16, 17, 17] };
            had = [had[0] + more[0], had[1] + more[1], had[2] + more[2]];
            let attempts = had.iter().sum::<u64>() + if ms >= 3000 { 600 } else { 0 };
            Look {
                at: at(ms),
                requests: had.map(Some).to_vec(),
                told: told.then_some(Told { is_usable: !is_away, attempts }),
            }
        })
        .collect()
}

fn near(value: Option<f64>, expected: f64, slack: f64) {
    assert!(value.is_some_and(|value| (value - expected).abs() <= slack), "{value:?} {expected}");
}

#[test]
fn nothing_happens() {
    let figures = measure(&PROMISES, &borders(), &samples(well), &looks(0..0, true));
    assert_eq!((figures.requests, figures.hideable, figures.mid_answer), (14_000, 0, 0));
    assert_eq!((figures.ejected_ms, figures.back_ms), (None, Some(0.0)));
    near(figures.p99_before_ms, 40.0, 0.01);
    near(figures.p99_settled_ms, 40.0, 0.01);
    near(figures.recovered_ms, 250.0, 0.01);
}

#[test]
fn an_endpoint_is_slow_and_left_and_comes_back() {
    let slow = |ms| match ms {
        // Every third waits for the deadline, until the endpoint is left; then one a second probes.
        2000..2400 if ms % 3 == 0 => (Some(300), Fate::Whole),
        2400..8000 if ms % 1000 == 0 => (Some(300), Fate::Whole),
        _ => well(ms),
    };
    let figures = measure(&PROMISES, &borders(), &samples(slow), &looks(2400..9500, true));
    assert!(figures.has_told_ejection && figures.has_told_attempts);
    near(figures.ejected_ms, 400.0, 50.0);
    near(figures.back_ms, 500.0, 0.01);
    near(figures.p99_during_ms, 300.0, 0.01);
    near(figures.p99_settled_ms, 40.0, 0.01);
    near(figures.recovered_ms, 1750.0, 250.0);
    // 600 attempts that no mock saw, within 7,000 requests, all of them in one second.
    near(figures.attempts_per_request, 1.086, 0.02);
    near(figures.attempts_worst, 1.6, 0.1);
}

#[test]
fn without_the_gateways_word_the_mock_knows_that_it_was_left() {
    let figures = measure(&PROMISES, &borders(), &samples(well), &looks(2500..20_000, false));
    assert!(!figures.has_told_ejection && !figures.has_told_attempts);
    near(figures.ejected_ms, 500.0, 0.01);
    assert_eq!(figures.recovered_ms, None);
    near(figures.attempts_per_request, 1.0, 0.02);
}

#[test]
fn failures_are_told_apart_and_a_phase_that_stays_bad_is_never_back() {
    let bad = |ms| match ms {
        3000..8000 if ms % 20 == 0 => (None, Fate::Hideable),
        2000..8000 if ms % 30 == 0 => (Some(900), Fate::MidAnswer),
        _ => well(ms),
    };
    let figures = measure(&PROMISES, &borders(), &samples(bad), &looks(0..0, true));
    assert_eq!(figures.hideable, 250);
    assert_eq!(figures.mid_answer, 116);
    assert_eq!(figures.back_ms, None);
    near(figures.p99_settled_ms, 900.0, 0.01);
}

#[test]
fn a_span_in_which_nobody_is_answered_is_not_back() {
    let dead = |ms| if (2000..8000).contains(&ms) { (None, Fate::Hideable) } else { well(ms) };
    let figures = measure(&PROMISES, &borders(), &samples(dead), &looks(0..0, true));
    assert_eq!((figures.back_ms, figures.p99_settled_ms), (None, None));
}

#[test]
fn a_mock_that_is_started_anew_counts_on_and_times_between_looks_have_their_part() {
    let look = |ms, count| Look { at: at(ms), requests: vec![count], told: None };
    let looks = [look(0, Some(100)), look(10, Some(150)), look(20, None), look(30, Some(20))];
    let counted = Counted::of(&looks);
    let by = |ms| counted.reached(at(0), at(ms)).round();
    assert_eq!([by(0), by(5), by(10), by(20), by(30), by(99)], [0.0, 25.0, 50.0, 60.0, 70.0, 70.0]);
    assert_eq!(counted.part(at(0), at(10)), Some(1.0));
    assert_eq!(Counted::of(&[]).part(at(0), at(10)), None);
}
