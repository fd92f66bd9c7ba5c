//! Keys and where they go: how many to each, and how few move.

use super::*;

const KEYS: u64 = 60_000;

fn keys() -> impl Iterator<Item = u64> {
    (0..KEYS).map(|number| key(&number.to_le_bytes()))
}

fn url(number: usize) -> String {
    format!("http://10.0.0.{number}:8000")
}

fn ring(weights: &[(usize, u32)]) -> Ring {
    let urls: Vec<String> = weights.iter().map(|(number, _)| url(*number)).collect();
    Ring::new(urls.iter().map(String::as_str).zip(weights.iter().map(|(_, weight)| *weight)), 125)
}

/// The number of the endpoint each key belongs to.
fn homes(weights: &[(usize, u32)]) -> Vec<usize> {
    let ring = ring(weights);
    keys().map(|key| weights[ring.home(key).unwrap()].0).collect()
}

fn count(homes: &[usize], number: usize) -> f64 {
    homes.iter().filter(|home| **home == number).count() as f64
}

#[test]
fn each_has_its_share() {
    let weights = [(1, 100), (2, 100), (3, 200), (4, 400), (5, 10)];
    let homes = homes(&weights);
    let sum: u32 = weights.iter().map(|(_, weight)| weight).sum();
    for (number, weight) in weights {
        let expected = KEYS as f64 * f64::from(weight) / f64::from(sum);
        // Four times what chance would explain.
        let off = (count(&homes, number) - expected).abs();
        assert!(off < 4.0 * expected.sqrt(), "{number}: {off} of {expected}");
    }
}

#[test]
fn who_comes_takes_its_share_and_nothing_else_moves() {
    let before: Vec<(usize, u32)> = (1..=9).map(|number| (number, 100)).collect();
    let mut after = before.clone();
    after.insert(4, (10, 100));
    let (before, after) = (homes(&before), homes(&after));
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
    let mut count = 0.0;
    for (_, to) in moved {
        assert_eq!(*to, 10);
        count += 1.0;
    }
    assert!((count / KEYS as f64 - 0.1).abs() < 0.005, "{count}");
}

#[test]
fn who_goes_leaves_its_keys_to_all_others() {
    let before: Vec<(usize, u32)> = (1..=6).map(|number| (number, 100)).collect();
    let after: Vec<(usize, u32)> = before.iter().copied().filter(|at| at.0 != 3).collect();
    let (before, after) = (homes(&before), homes(&after));
    let mut heirs = [0_u32; 7];
    for (from, to) in before.iter().zip(&after) {
        if from != to {
            assert_eq!(*from, 3);
            heirs[*to] += 1;
        }
    }
    for number in [1, 2, 4, 5, 6] {
        let share = f64::from(heirs[number]) / count(&before, 3);
        assert!((share - 0.2).abs() < 0.02, "{heirs:?}");
    }
}

#[test]
fn more_weight_only_brings_and_less_only_takes() {
    let less = homes(&[(1, 100), (2, 100), (3, 100)]);
    let more = homes(&[(1, 100), (2, 150), (3, 100)]);
    for (less, more) in less.iter().zip(&more) {
        assert!(less == more || *more == 2);
    }
    let gained = count(&more, 2) - count(&less, 2);
    assert!((gained / KEYS as f64 - (1.5 / 3.5 - 1.0 / 3.0)).abs() < 0.01, "{gained}");
}

#[test]
fn the_order_of_the_list_means_nothing() {
    assert_eq!(homes(&[(1, 100), (2, 50), (3, 200)]), homes(&[(3, 200), (1, 100), (2, 50)]));
}

#[test]
fn keys_and_homes_stay_the_same_from_version_to_version() {
    // FNV-1a of these, through the end of splitmix64: several gateways are to agree.
    assert_eq!(key(b""), 0xf52a_15e9_a9b5_e89b);
    assert_eq!(key(b"session-1"), 0x8f9d_4a83_e238_4785);
    let homes = homes(&[(1, 100), (2, 100), (3, 100), (4, 200)]);
    assert_eq!(homes[..12], [2, 2, 4, 1, 3, 4, 3, 4, 4, 3, 2, 1]);
}

#[test]
fn the_weightless_and_the_unknown_are_infinitely_far() {
    let ring = ring(&[(1, 0), (2, 100)]);
    assert!(keys().take(100).all(|key| ring.home(key) == Some(1)));
    assert!(ring.distance(0, 7, 0).is_infinite());
    assert!(ring.distance(2, 7, 100).is_infinite());
    assert_eq!(Ring::new(std::iter::empty(), 125).home(7), None);
    assert_eq!(Ring::new([("a", 0)].into_iter(), 125).home(7), None);
    assert!(ring.distance(1, 7, u32::MAX).is_finite());
}

#[test]
fn room_is_what_the_bound_says() {
    for factor in [0, 100, 125, 200, u32::MAX] {
        let ring = Ring::new([("a", 1)].into_iter(), factor);
        let factor = f64::from(factor.max(100)) / 100.0;
        for load in 0..40_u32 {
            for rest in 0..40_u32 {
                for weight in [1, 3, 7] {
                    let (sum, weights) = (load + rest, weight + 5);
                    let share = factor * f64::from(sum) * f64::from(weight) / f64::from(weights);
                    let expected = f64::from(load) < (share - 1e-9).ceil() + 1.0;
                    let sums = (sum.into(), weights.into());
                    assert_eq!(
                        ring.has_room((load, weight), sums),
                        expected,
                        "{load} {rest} {weight}"
                    );
                }
            }
        }
        assert!(!ring.has_room((u32::MAX, 1), (u64::from(u32::MAX), u64::MAX)));
    }
}

#[test]
fn rings_are_equal_when_they_say_the_same() {
    assert_eq!(ring(&[(1, 100)]), ring(&[(1, 100)]));
    assert_ne!(ring(&[(1, 100)]), ring(&[(2, 100)]));
    assert_ne!(ring(&[(1, 100)]), ring(&[(1, 200)]));
    assert_ne!(ring(&[(1, 100)]), Ring::new([(url(1).as_str(), 100)].into_iter(), 200));
}
