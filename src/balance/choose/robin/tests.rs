//! Turns: counted, and by hand.

use super::*;

fn turns(robin: &mut RoundRobin, weights: &[u32], count: usize) -> Vec<usize> {
    (0..count).map(|_| robin.next(weights, |_| true).unwrap()).collect()
}

fn shares(chosen: &[usize], endpoints: usize) -> Vec<usize> {
    (0..endpoints).map(|index| chosen.iter().filter(|&&c| c == index).count()).collect()
}

#[test]
fn turns_are_spread_out() {
    let chosen = turns(&mut RoundRobin::default(), &[5, 1, 1], 14);
    assert_eq!(chosen, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    let equal = turns(&mut RoundRobin::default(), &[7, 7, 7], 6);
    assert_eq!(equal, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn every_stretch_is_shared_by_weight() {
    for weights in [vec![1], vec![3, 2, 1], vec![10, 0, 1], vec![1, 1, 1, 9], vec![4, 6, 8]] {
        let sum: usize = weights.iter().map(|&weight| weight as usize).sum();
        let expected: Vec<usize> = weights.iter().map(|&weight| weight as usize).collect();
        let chosen = turns(&mut RoundRobin::default(), &weights, sum * 5);
        for stretch in chosen.chunks(sum) {
            assert_eq!(shares(stretch, weights.len()), expected);
        }
    }
}

#[test]
fn nobody_usable_is_nobody() {
    let mut robin = RoundRobin::default();
    assert_eq!(robin.next(&[], |_| true), None);
    assert_eq!(robin.next(&[0, 0], |_| true), None);
    assert_eq!(robin.next(&[1, 1], |_| false), None);
    assert_eq!(robin.next(&[0, 3], |index| index == 0), None);
    assert_eq!(robin.next(&[0, 3], |index| index == 1), Some(1));
}

#[test]
fn the_rest_share_when_one_is_out() {
    let mut robin = RoundRobin::default();
    turns(&mut robin, &[2, 1, 1], 3);
    let chosen: Vec<usize> =
        (0..300).map(|_| robin.next(&[2, 1, 1], |index| index != 1).unwrap()).collect();
    assert_eq!(shares(&chosen, 3)[1], 0);
    assert!((199..=201).contains(&shares(&chosen, 3)[0]), "{chosen:?}");
    // Back again, it gets its share and no flood.
    let chosen = turns(&mut robin, &[2, 1, 1], 40);
    assert!((9..=11).contains(&shares(&chosen, 3)[1]), "{chosen:?}");
}

#[test]
fn another_number_of_endpoints_begins_anew() {
    let mut robin = RoundRobin::default();
    turns(&mut robin, &[1, 1], 1);
    assert_eq!(turns(&mut robin, &[1, 1, 2], 4), [2, 0, 1, 2]);
    assert_eq!(turns(&mut robin, &[1], 2), [0, 0]);
    assert_eq!(shares(&turns(&mut robin, &[u32::MAX; 9], 90), 9), [10; 9]);
}

#[test]
fn other_weights_keep_what_was_earned_and_bring_no_flood() {
    // Weights that are others at every turn, as in slow start, do not make the first one the only one.
    let mut robin = RoundRobin::default();
    let chosen: Vec<usize> =
        (0..300).map(|turn| robin.next(&[100, 100, 10 + turn / 10], |_| true).unwrap()).collect();
    let [first, second, third] = shares(&chosen, 3)[..] else { panic!() };
    assert!(first.abs_diff(second) <= 1, "{first} {second}");
    // The mean of 10 to 39 beside 200: 10.9%.
    assert!((31..=34).contains(&third), "{third}");
    // Credit of millions is worth a turn or two under weights of one.
    let mut robin = RoundRobin::default();
    turns(&mut robin, &[u32::MAX, u32::MAX - 1, 1], 1001);
    let chosen = turns(&mut robin, &[1, 1, 1], 12);
    assert!(shares(&chosen, 3).iter().all(|share| (3..=6).contains(share)), "{chosen:?}");
    let chosen = turns(&mut robin, &[1, 1, 1], 30);
    assert_eq!(shares(&chosen, 3), [10; 3]);
}

#[test]
fn whatever_comes_and_goes_nobody_runs_ahead() {
    let mut robin = RoundRobin::default();
    let weights = [1, 50, 3, 0, 7, 7];
    let sum: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
    let mut dice = 1_u32;
    for _ in 0..50_000 {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let is_usable = |index: usize| (dice >> (24 + index)) & 1 == 1;
        match robin.next(&weights, is_usable) {
            Some(chosen) => assert!(is_usable(chosen) && weights[chosen] > 0),
            None => assert!(!(0..6).any(|index| is_usable(index) && weights[index] > 0)),
        }
        assert_eq!(robin.credits.iter().sum::<i64>(), 0);
        assert!(robin.credits.iter().all(|credit| credit.abs() <= 2 * sum), "{robin:?}");
    }
}
