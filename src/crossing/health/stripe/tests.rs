//! That a window holds what is in it: by time, by its length, and by what it must not count.

use super::*;
use crate::crossing::lines::Lines;

const WINDOW: Duration = Duration::from_secs(10);
const LONG_AGO: Moment = Moment::from_nanos(0);

/// Away from the beginning of the clock.
fn at(millis: u64) -> Moment {
    Moment::from_nanos((1_000_000 + millis) * 1_000_000)
}

fn one() -> Lines<Stripe> {
    Lines::new(1)
}

fn window(stripe: &Stripe, since: Moment, now: Moment) -> (u32, u32) {
    stripe.add_window((0, 0), since, now)
}

#[test]
fn what_is_older_than_the_window_is_not_in_it() {
    let lines = one();
    let stripe = lines.at(0);
    for second in 0..30 {
        stripe.count(Verdict::Good, WINDOW, at(second * 1_000));
        stripe.count(Verdict::Bad, WINDOW, at(second * 1_000 + 500));
        stripe.count(Verdict::Throttled, WINDOW, at(second * 1_000 + 999));
        let seconds = u32::try_from(second + 1).unwrap().min(10);
        let seen = window(stripe, LONG_AGO, at(second * 1_000 + 999));
        assert_eq!(seen, (seconds, 2 * seconds));
    }
    assert_eq!(window(stripe, LONG_AGO, at(34_000)), (5, 10));
    assert_eq!(window(stripe, LONG_AGO, at(38_999)), (1, 2));
    assert_eq!(window(stripe, LONG_AGO, at(39_000)), (0, 0));
    assert_eq!(stripe.counts().good, 30);
    assert_eq!(stripe.counts().bad + stripe.counts().throttled, 60);
}

#[test]
fn what_says_nothing_is_not_in_the_window() {
    let lines = one();
    let stripe = lines.at(0);
    stripe.count(Verdict::Neutral, WINDOW, at(0));
    stripe.count(Verdict::CredentialBad, WINDOW, at(0));
    assert_eq!(window(stripe, LONG_AGO, at(0)), (0, 0));
    assert_eq!((stripe.counts().neutral, stripe.counts().credential_bad), (1, 1));
}

#[test]
fn what_was_before_it_became_well_is_not_counted() {
    let lines = one();
    let stripe = lines.at(0);
    for second in 0..10 {
        stripe.count(Verdict::Bad, WINDOW, at(second * 1_000));
    }
    let seen = |since| window(stripe, since, at(9_500));
    assert_eq!(seen(LONG_AGO), (0, 10));
    assert_eq!(seen(at(6_000)), (0, 3), "the second in which it became well is mixed");
    assert_eq!(seen(at(9_500)), (0, 0));
    assert_eq!(seen(at(20_000)), (0, 0), "it is not well yet");
}

#[test]
fn a_writer_may_be_a_part_ahead_of_the_reader() {
    let lines = one();
    let stripe = lines.at(0);
    stripe.count(Verdict::Bad, WINDOW, at(1_000));
    assert_eq!(window(stripe, LONG_AGO, at(999)), (0, 1));
    assert_eq!(window(stripe, at(999), at(999)), (0, 1), "it came after that");
}

#[test]
fn a_window_of_another_length_begins_anew() {
    let lines = one();
    let stripe = lines.at(0);
    stripe.count(Verdict::Bad, WINDOW, at(0));
    stripe.count(Verdict::Good, Duration::from_millis(100), at(1));
    assert_eq!(window(stripe, LONG_AGO, at(1)), (1, 0));
    assert_eq!(window(stripe, LONG_AGO, at(99)), (1, 0));
    assert_eq!(window(stripe, LONG_AGO, at(100)), (0, 0));
    // Absurd ones harm nobody.
    for length in [Duration::ZERO, Duration::MAX] {
        stripe.count(Verdict::Good, length, at(200));
        assert_eq!(window(stripe, LONG_AGO, at(200)).1, 0);
    }
}

#[test]
fn a_part_that_is_full_keeps_its_proportion() {
    let lines = one();
    let stripe = lines.at(0);
    for number in 0..300_000 {
        let verdict = if number % 4 == 0 { Verdict::Bad } else { Verdict::Good };
        stripe.count(verdict, WINDOW, at(0));
    }
    let (good, bad) = window(stripe, LONG_AGO, at(0));
    assert!(good > 30_000 && good.abs_diff(3 * bad) < 10, "{good} {bad}");
    assert_eq!((stripe.counts().good, stripe.counts().bad), (225_000, 75_000));
}

#[test]
fn a_part_goes_through_its_word() {
    let part = Part { epoch: 0xdead_beef, good: 0x1234, bad: 0xfedc };
    assert_eq!(Part::of(part.word()), part);
    assert_eq!(Part::of(0), Part { epoch: 0, good: 0, bad: 0 });
}

#[test]
fn epochs_may_be_longer_than_a_part_can_hold() {
    let now = (7_u64 << 32) + 3;
    let part = |epoch: u64| Part::of(0).at(epoch);
    assert!(part(now).is_of(now, 0) && part(now - 9).is_of(now, 0));
    assert!(!part(now - 10).is_of(now, 0));
    assert!(part(now + 1).is_of(now, 0) && !part(now + 2).is_of(now, 0));
    assert!(!part(now - 4).is_of(now, now - 4) && part(now - 3).is_of(now, now - 4));
}

#[test]
fn an_end_too_many_is_none() {
    let lines = one();
    let stripe = lines.at(0);
    stripe.begin();
    stripe.end();
    stripe.end();
    assert_eq!(stripe.in_flight(), 0);
    stripe.begin();
    assert_eq!((stripe.in_flight(), stripe.counts().attempts), (1, 2));
}

#[test]
fn every_stripe_has_lines_of_its_own() {
    let lines = Lines::<Stripe>::new(1_000);
    let addresses = (0..1_000).map(|index| std::ptr::from_ref(lines.at(index)).addr());
    let addresses: Vec<usize> = addresses.collect();
    assert!(addresses.iter().all(|address| address % 128 == 0));
    assert!(addresses.windows(2).all(|pair| pair[1] - pair[0] == 512));
    // The last one is ours as well.
    lines.at(999).first_byte(Duration::MAX);
    assert_eq!(sum_buckets([lines.at(999), lines.at(0)].into_iter())[BUCKETS - 1], 1);
}

#[test]
#[should_panic(expected = "up to the bound")]
fn there_are_no_more_than_that() {
    one().at(1).begin();
}
