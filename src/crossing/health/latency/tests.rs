//! That buckets join, and that what is published is near the truth and forgets.

use super::*;

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// Counts times as a shard does.
fn counted(times: impl IntoIterator<Item = Duration>) -> [u32; BUCKETS] {
    let mut counts = [0; BUCKETS];
    for time in times {
        counts[bucket(time)] += 1;
    }
    counts
}

#[test]
fn every_time_is_in_its_bucket() {
    for bucket in 0..BUCKETS {
        assert!(bound(bucket) < bound(bucket + 1), "{bucket}");
        assert_eq!(super::bucket(micros(bound(bucket))), bucket);
        assert_eq!(super::bucket(micros(bound(bucket + 1) - 1)), bucket);
    }
    assert_eq!(bucket(Duration::ZERO), 0);
    assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    // As fine as a quarter of an octave from 128 us on, and long enough for a model that thinks.
    assert!((4..BUCKETS).all(|bucket| bound(bucket + 1) * 4 <= bound(bucket) * 5));
    assert_eq!(bound(BUCKETS), 268_435_456);
}

#[test]
fn percentiles_are_near_the_truth() {
    // 1 ms to 100 ms, evenly.
    let times = || (0..10_000).map(|n| micros(1_000 + n * 99 / 10));
    let live = Memory::default().take(&counted(times()), at(1));
    assert_eq!(live.samples, 10_000);
    for (found, exact) in [(live.p50, 50_500), (live.p95, 95_050), (live.p99, 99_010)] {
        let found = found.unwrap().as_micros();
        assert!(found.abs_diff(exact) * 100 < exact * 8, "{found} {exact}");
    }
}

#[test]
fn one_sample_is_all_percentiles() {
    let live = Memory::default().take(&counted([micros(70_000)]), at(1));
    assert_eq!(live.samples, 1);
    for found in [live.p50, live.p95, live.p99] {
        let found = found.unwrap();
        assert!((micros(65_536)..=micros(81_920)).contains(&found), "{found:?}");
    }
}

#[test]
fn what_was_seen_counts_for_half_after_a_while_and_for_nothing_in_the_end() {
    let mut memory = Memory::default();
    let counts = counted([micros(1_000); 1_000]);
    assert_eq!(memory.take(&counts, at(10)).samples, 1_000);
    let published = (11..=40).map(|second| memory.take(&counts, at(second)));
    let last = published.last().unwrap();
    assert!((499..=501).contains(&last.samples), "{last:?}");
    assert_eq!(memory.take(&counts, at(100)).samples, 125);
    assert_eq!(memory.take(&counts, at(1_000)), Live::default());
}

#[test]
fn what_is_new_soon_outweighs_what_was() {
    let mut memory = Memory::default();
    let mut counts = counted([micros(1_000); 1_000]);
    memory.take(&counts, at(1));
    counts[bucket(micros(500_000))] += 1_000;
    let live = memory.take(&counts, at(61));
    assert_eq!(live.samples, 1_250);
    assert!(live.p50.unwrap() > micros(400_000), "{live:?}");
}

#[test]
fn counts_may_wrap() {
    let mut memory = Memory::default();
    let mut counts = [0; BUCKETS];
    counts[20] = u32::MAX - 4;
    memory.take(&counts, at(1));
    counts[20] = 5;
    assert_eq!(memory.take(&counts, at(10_000)).samples, 10);
}

#[test]
fn what_is_published_is_what_is_read() {
    let time = |micros| Some(Duration::from_micros(micros));
    let live = Live { p50: time(1), p95: time(123_456), p99: time(4_000_000_000), samples: 77 };
    assert_eq!(Live::of(live.words()), live);
    assert_eq!(Live::of([0, 0]), Live::default());
    assert_eq!(Live::default().words(), [0, 0]);
    let fast = Live { p50: Some(Duration::ZERO), ..live };
    assert_eq!(Live::of(fast.words()).p50, time(1), "too fast to tell is not unknown");
}

#[test]
fn the_gone_are_forgotten() {
    let mut merged = Merged::default();
    for slot in 0..10 {
        merged.of(SlotId(slot)).take(&[1; BUCKETS], at(1));
    }
    merged.retain(|slot| slot.0 < 3);
    assert_eq!(merged.slots.len(), 3);
}
