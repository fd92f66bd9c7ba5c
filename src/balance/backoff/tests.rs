//! The waits, at the ends of the dice and by distribution.

use super::Backoff;
use crate::balance::dice::Dice;
use std::time::Duration;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn without_jitter(base: u64, factor_percent: u32, max: u64) -> Backoff {
    Backoff::Exponential { base: MS(base), factor_percent, max: MS(max), has_jitter: false }
}

#[test]
fn each_wait_is_longer_up_to_the_longest() {
    let backoff = without_jitter(50, 200, 2000);
    let waits: Vec<Duration> = (1..=8).map(|nth| backoff.wait(nth, 7)).collect();
    assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 2000, 2000].map(MS));
    assert_eq!(backoff.wait(0, 7), MS(50));
    assert_eq!(backoff.wait(u8::MAX, 7), MS(2000));
    let slow = without_jitter(100, 150, 100_000);
    assert_eq!(slow.wait(4, 0), Duration::from_micros(337_500));
    assert_eq!(without_jitter(50, 100, 2000).wait(9, 0), MS(50));
    assert_eq!(without_jitter(50, 200, 20).wait(1, 0), MS(20));
    assert_eq!(without_jitter(0, 1000, 20).wait(200, 0), Duration::ZERO);
}

#[test]
fn a_fixed_wait_is_fixed() {
    for (nth, dice) in [(1, 0), (9, u64::MAX)] {
        assert_eq!(Backoff::Fixed(MS(70)).wait(nth, dice), MS(70));
    }
}

#[test]
fn absurd_waits_are_only_long() {
    let absurd = |has_jitter| Backoff::Exponential {
        base: Duration::MAX,
        factor_percent: u32::MAX,
        max: Duration::MAX,
        has_jitter,
    };
    let longest = Duration::from_nanos(u64::MAX);
    for nth in [1, 2, u8::MAX] {
        assert_eq!(absurd(false).wait(nth, 0), longest);
        assert_eq!(absurd(true).wait(nth, u64::MAX), longest);
        assert_eq!(absurd(true).wait(nth, 0), Duration::ZERO);
    }
}

#[test]
fn jitter_is_full_and_even() {
    let Backoff::Exponential { base, .. } = Backoff::default() else { panic!("it grows") };
    let mut dice = Dice(5);
    for nth in 1..=3 {
        let longest = base * 2_u32.pow(u32::from(nth) - 1);
        assert_eq!(Backoff::default().wait(nth, u64::MAX), longest);
        assert_eq!(Backoff::default().wait(nth, 0), Duration::ZERO);
        let mut tenths = [0_u32; 10];
        for _ in 0..20_000 {
            let wait = Backoff::default().wait(nth, dice.roll());
            assert!(wait <= longest);
            let tenth = wait.as_nanos() * 10 / (longest.as_nanos() + 1);
            tenths[usize::try_from(tenth).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (1800..2200).contains(count)), "{tenths:?}");
    }
}
