//! Latencies that come and go, and weights that grow.

use super::*;

fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[track_caller]
fn assert_near(found: u32, expected: f64) {
    assert!((f64::from(found) - expected).abs() <= 1.0 + expected * 0.001, "{found}, {expected}");
}

#[test]
fn what_was_never_seen_is_nothing() {
    let ewma = PeakEwma::default();
    assert_eq!(ewma.value(Moment::default()), 0);
    assert_eq!(ewma.value(at(1_000_000)), 0);
    assert_eq!(ewma.value(Moment::NEVER), 0);
}

#[test]
fn it_jumps_up_at_once_and_comes_down_slowly() {
    let mut ewma = PeakEwma::default();
    ewma.observe(millis(20), at(1000));
    assert_eq!(ewma.value(at(1000)), 20_000);
    ewma.observe(millis(500), at(1001));
    assert_eq!(ewma.value(at(1001)), 500_000);
    // Nothing more is seen: down to nothing.
    assert_near(ewma.value(at(11_001)), 500_000.0 / std::f64::consts::E);
    assert_near(ewma.value(at(31_001)), 500_000.0 * (-3.0_f64).exp());
    assert_eq!(ewma.value(at(200_000)), 0);
    // 20 ms is seen all the time: down to that.
    let mut quick = ewma;
    for step in 1..=60_000 {
        quick.observe(millis(20), at(1001 + step));
        if step == 10_000 {
            assert_near(quick.value(at(11_001)), 20_000.0 + 480_000.0 / std::f64::consts::E);
        }
    }
    assert!((20_000..22_000).contains(&quick.value(at(61_001))));
    // However often it is looked at or seen, the time alone counts.
    let mut seldom = ewma;
    seldom.observe(millis(20), at(61_001));
    assert_near(seldom.value(at(61_001)), f64::from(quick.value(at(61_001))));
}

#[test]
fn clocks_and_samples_at_their_bounds_do_no_harm() {
    let mut ewma = PeakEwma::default();
    ewma.observe(Duration::ZERO, at(50));
    assert_eq!(ewma.value(at(50)), 1, "measured, if quick");
    ewma.observe(Duration::MAX, at(40));
    assert_eq!(ewma.value(at(40)), u32::MAX);
    assert_eq!(ewma.value(Moment::NEVER), 0);
    ewma.observe(millis(1), Moment::NEVER);
    assert_eq!(ewma.value(Moment::NEVER), 1000);
    assert_eq!(size_of::<PeakEwma>(), 16);
}

#[test]
fn a_new_endpoint_grows_in_a_line() {
    let window = millis(60_000);
    for (age, percent) in [(0, 10), (6000, 19), (30_000, 55), (54_000, 91), (59_999, 99)] {
        let weight = slow_start(10_000, millis(age), window);
        assert_eq!(weight / 100, percent, "{age}");
    }
    for age in [60_000, 60_001, 10_000_000] {
        assert_eq!(slow_start(10_000, millis(age), window), 10_000);
    }
    let mut last = 0;
    for age in 0..=60_000 {
        let weight = slow_start(300, millis(age), window);
        assert!(weight >= last && (30..=300).contains(&weight));
        last = weight;
    }
}

#[test]
fn no_weight_vanishes_and_none_appears() {
    for age in [Duration::ZERO, millis(1), Duration::MAX] {
        for window in [Duration::ZERO, millis(2), Duration::MAX] {
            assert_eq!(slow_start(0, age, window), 0);
            assert_eq!(slow_start(1, age, window), 1);
            let most = slow_start(u32::MAX, age, window);
            assert!(most >= u32::MAX / 10 && (age < window || most == u32::MAX));
        }
    }
    // Without slow start there is nothing to wait for.
    assert_eq!(slow_start(500, Duration::ZERO, Duration::ZERO), 500);
}
