//! The law of the budget under many patterns of arrival, against plain lists of what happened.

use super::Budget;
use super::PART_NANOS;
use super::Rule;
use super::WINDOW;
use crate::balance::dice::Dice;
use crate::units::Moment;
use std::time::Duration;

const S: u64 = 1_000_000_000;

/// A budget together with everything that it ever did.
struct Watched {
    budget: Budget,
    rule: Rule,
    requests: Vec<u64>,
    taken: Vec<u64>,
}

impl Watched {
    fn new(percent: u8, min_per_second: u8) -> Self {
        let rule = Rule { percent, min_per_second };
        Self { budget: Budget::default(), rule, requests: Vec::new(), taken: Vec::new() }
    }

    fn earn(&mut self, nanos: u64) {
        self.budget.earn(self.rule, Moment::from_nanos(nanos));
        self.requests.push(nanos);
    }

    /// Takes one if there is one, and holds the law to it.
    fn take(&mut self, nanos: u64) -> bool {
        let has = self.budget.take(self.rule, Moment::from_nanos(nanos));
        if has {
            self.taken.push(nanos);
            let minimum = u64::from(self.rule.min_per_second) * WINDOW.as_secs();
            let allowed = u64::from(self.rule.percent) * within(&self.requests, nanos);
            assert!(within(&self.taken, nanos) * 100 <= allowed + minimum * 100);
        }
        has
    }

    /// Over all time, from any beginning to any end that has a repetition.
    fn check_all_time(&self) {
        let Some(&last) = self.taken.last() else { return };
        let windows = last / (WINDOW.as_secs() * S) + 1;
        let minimum = windows * u64::from(self.rule.min_per_second) * WINDOW.as_secs();
        let requests = self.requests.iter().filter(|&&nanos| nanos <= last).count();
        let allowed = requests * usize::from(self.rule.percent);
        assert!(self.taken.len() * 100 <= allowed + usize::try_from(minimum).unwrap() * 100);
    }
}

/// How many of the last ten seconds.
fn within(moments: &[u64], nanos: u64) -> u64 {
    let is_within = |moment: &&u64| **moment + WINDOW.as_secs() * S > nanos && **moment <= nanos;
    moments.iter().filter(is_within).count() as u64
}

#[test]
fn no_pattern_of_arrival_breaks_the_law() {
    let mut dice = Dice(3);
    for round in 0..60 {
        let (percent, min) = [(20, 3), (20, 0), (5, 0), (100, 1), (0, 2), (33, 0)][round % 6];
        let mut watched = Watched::new(percent, min);
        // From storms within one part to hours of silence.
        let pace = [S / 1000, S / 50, S / 3, 4 * S, 11 * S, PART_NANOS][round / 6 % 6];
        let mut now = dice.draw(20 * S);
        for _ in 0..1500 {
            now += dice.draw(pace + 1) * u64::from(dice.draw(4) != 0);
            if dice.draw(200) == 0 {
                now += dice.draw(40 * S);
            }
            match dice.draw(3) {
                0 => watched.earn(now),
                1 => (0..dice.draw(20)).for_each(|_| watched.earn(now)),
                _ => (0..dice.draw(30)).for_each(|_| {
                    watched.take(now);
                }),
            }
        }
        watched.check_all_time();
    }
}

/// Whoever wants as much as possible: requests at one edge of the window, repetitions at the other.
#[test]
fn the_edges_of_the_window_give_nothing_away() {
    for shift in (0..2 * PART_NANOS).step_by(49_999_999) {
        for delay in (0..12 * S).step_by(333_333_333) {
            storms(shift, delay);
        }
    }
}

/// Three storms seven seconds apart, and all that can be had of the budget so long after each.
fn storms(shift: u64, delay: u64) {
    let mut watched = Watched::new(20, 0);
    let starts = (0..3).map(|round| shift + round * 7 * S);
    let mut turns: Vec<(u64, bool)> =
        starts.flat_map(|start| [(start, true), (start + delay, false)]).collect();
    turns.sort_by_key(|&(nanos, is_storm)| (nanos, !is_storm));
    for (nanos, is_storm) in turns {
        if is_storm {
            (0..100).for_each(|_| watched.earn(nanos));
        } else {
            while watched.take(nanos) {}
        }
    }
    watched.check_all_time();
}

#[test]
fn even_traffic_may_repeat_what_the_rule_says() {
    let mut watched = Watched::new(20, 0);
    for request in 0..20_000_u64 {
        watched.earn(request * S / 200);
        watched.take(request * S / 200);
    }
    let share = watched.taken.len() as f64 / 20_000.0;
    assert!((0.188..=0.2).contains(&share), "{share}");
}

#[test]
fn few_requests_may_be_repeated_too() {
    let mut watched = Watched::new(20, 3);
    let takes = |watched: &mut Watched, nanos| (0..100).filter(|_| watched.take(nanos)).count();
    assert_eq!(takes(&mut watched, 0), 30);
    assert_eq!(takes(&mut watched, 10 * S - 1), 0);
    assert_eq!(takes(&mut watched, 11 * S), 30);
    let mut none = Watched::new(20, 0);
    assert_eq!(takes(&mut none, 5 * S), 0);
    (0..4).for_each(|_| none.earn(5 * S));
    assert_eq!(takes(&mut none, 5 * S), 0);
    none.earn(5 * S);
    assert_eq!(takes(&mut none, 5 * S), 1);
}

#[test]
fn time_that_goes_back_or_far_changes_nothing() {
    let mut budget = Budget::default();
    let rule = Rule { percent: 50, min_per_second: 0 };
    let at = |seconds| Moment::from_nanos(seconds * S);
    (0..4).for_each(|_| budget.earn(rule, at(100)));
    assert!(budget.take(rule, at(3)) && budget.take(rule, at(101)));
    assert!(!budget.take(rule, at(0)) && !budget.take(rule, at(102)));
    budget.earn(rule, Moment::NEVER);
    assert!(!budget.take(rule, Moment::NEVER));
    budget.earn(rule, Moment::NEVER.after(Duration::from_secs(1)));
    assert!(budget.take(rule, Moment::NEVER));
}
