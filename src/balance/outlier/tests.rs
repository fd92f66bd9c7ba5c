//! Who is left out: by example, and by chance that must leave nobody out.

use super::Rule;
use super::Sample;
use super::judge;
use crate::balance::dice::Dice;
use std::time::Duration;

const RULE: Rule = Rule {
    requests_min: 50,
    stdev_percent: 190,
    eject: Duration::from_secs(30),
    ejected_percent_max: 50,
};

fn samples(counts: &[(u32, u32)]) -> Vec<Sample> {
    counts.iter().map(|&(good, bad)| Sample { good, bad, is_out: false }).collect()
}

#[test]
fn the_odd_one_out_is_left_out() {
    for endpoints in 3..=12 {
        for odd in 0..endpoints {
            let mut all = vec![(1000, 2); endpoints];
            all[odd] = (800, 200);
            assert_eq!(judge(&RULE, &samples(&all)), [odd], "{odd} of {endpoints}");
            all[odd] = (0, 50);
            assert_eq!(judge(&RULE, &samples(&all)), [odd], "{odd} of {endpoints}");
        }
    }
}

#[test]
fn those_alike_stay() {
    for all in [vec![], vec![(1000, 0); 5], vec![(0, 1000); 5], vec![(700, 300); 4]] {
        assert!(judge(&RULE, &samples(&all)).is_empty(), "{all:?}");
    }
    // A single failure among few is chance, even where nobody else has had one.
    assert!(judge(&RULE, &samples(&[(49, 1), (50, 0), (50, 0), (50, 0)])).is_empty());
    // Better than the others is no fault.
    assert!(judge(&RULE, &samples(&[(1000, 0), (700, 300), (705, 295)])).is_empty());
}

#[test]
fn two_cannot_be_compared_nor_those_who_did_little() {
    assert!(judge(&RULE, &samples(&[(1000, 0), (0, 1000)])).is_empty());
    assert!(judge(&RULE, &samples(&[(1000, 0), (0, 1000), (49, 0)])).is_empty());
    assert!(judge(&RULE, &samples(&[(1000, 0), (0, 49), (1000, 0), (1000, 0)])).is_empty());
    assert_eq!(judge(&RULE, &samples(&[(1000, 0), (0, 1000), (50, 0)])), [1]);
    let none = Rule { requests_min: 0, ..RULE };
    assert_eq!(judge(&none, &samples(&[(0, 0), (0, 0), (0, 0)])), [0_usize; 0]);
}

#[test]
fn never_more_than_the_share_are_out() {
    let mut all = samples(&[(1000, 0); 10]);
    for (index, bad) in [(2, 300), (5, 500), (7, 400)] {
        all[index] = Sample { good: 1000 - bad, bad, is_out: false };
    }
    let keen = Rule { stdev_percent: 50, ..RULE };
    assert_eq!(judge(&keen, &all), [5, 7, 2]);
    let shy = Rule { ejected_percent_max: 29, ..keen };
    assert_eq!(judge(&shy, &all), [5, 7]);
    all[0].is_out = true;
    assert_eq!(judge(&shy, &all), [5]);
    all[1].is_out = true;
    assert!(judge(&shy, &all).is_empty());
    assert!(judge(&Rule { ejected_percent_max: 0, ..keen }, &all).is_empty());
    assert!(judge(&Rule { ejected_percent_max: 9, ..keen }, &samples(&[(0, 99); 10])).is_empty());
}

#[test]
fn those_out_are_not_compared_with() {
    let mut all = samples(&[(1000, 0), (1000, 0), (900, 100), (0, 1000), (0, 1000)]);
    assert!(judge(&RULE, &all).is_empty());
    all[3].is_out = true;
    all[4].is_out = true;
    assert_eq!(judge(&Rule { ejected_percent_max: 60, ..RULE }, &all), [2]);
}

#[test]
fn chance_rarely_leaves_anybody_out() {
    let mut dice = Dice(9);
    let (mut judged, mut ejected) = (0, 0);
    for round in 0..4000 {
        let failures_percent = [1, 5, 20][round % 3];
        let all: Vec<Sample> = (0..5)
            .map(|_| {
                let bad = (0..100).filter(|_| dice.draw(100) < failures_percent).count();
                let bad = u32::try_from(bad).unwrap();
                Sample { good: 100 - bad, bad, is_out: false }
            })
            .collect();
        judged += 1;
        ejected += usize::from(!judge(&RULE, &all).is_empty());
    }
    assert!(ejected * 500 <= judged, "{ejected} of {judged}");
}
