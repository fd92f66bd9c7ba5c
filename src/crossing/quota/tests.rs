//! Limits as shards use them.

use std::sync::atomic::AtomicU64;
use std::thread;

use super::*;
use crate::admission::limit::Algorithm;
use crate::admission::limit::Kind;
use crate::admission::limit::Scope;

const MINUTE: Duration = Duration::from_secs(60);
const ALGORITHMS: [Algorithm; 3] =
    [Algorithm::TokenBucket, Algorithm::SlidingWindow, Algorithm::FixedWindow];

fn at(millis: u64) -> Moment {
    // Away from the beginning of the clock, where windows would be cut short.
    Moment::from_nanos((millis + 1_000_000_020) * 1_000_000)
}

fn limit(id: u32, kind: Kind, algorithm: Algorithm, limit: u32) -> Limit {
    let rule = Rule::new(kind, algorithm, limit, MINUTE, None);
    Limit { id: QuotaId(id), scope: Scope::Tenant, rule }
}

fn shard(number: usize) -> ShardId {
    ShardId(u16::try_from(number).unwrap())
}

#[test]
fn while_time_stands_still_exactly_the_limit_is_let_in() {
    const SHARDS: usize = 4;
    for (id, algorithm) in (0..).zip(ALGORITHMS) {
        let book = Book::new(SHARDS);
        let limit = limit(id, Kind::Requests, algorithm, 10_007);
        let taken: usize = thread::scope(|scope| {
            let taking = (0..SHARDS).map(|number| {
                let book = &book;
                scope.spawn(move || {
                    let takes = (0..6000).map(|_| book.take(shard(number), &limit, 1, at(0)));
                    takes.filter(Result::is_ok).count()
                })
            });
            let taking: Vec<_> = taking.collect();
            taking.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let late =
            (0..100).filter(|turn| book.take(shard(turn % SHARDS), &limit, 1, at(0)).is_ok());
        // What a thread held in its hand while another looked for the last ones is found by who comes next.
        assert_eq!(taken + late.count(), 10_007, "{algorithm:?}");
        assert_eq!(book.standing(&limit, at(0)).remaining, 0);
    }
}

/// Tries to take one, and three: the time, once for each that was had.
fn times_let_in(
    book: &Book,
    shard: ShardId,
    limit: &Limit,
    time: u64,
) -> impl Iterator<Item = u64> + use<> {
    let one = book.take(shard, limit, 1, at(time));
    let three = book.take(shard, limit, 3, at(time));
    let count = usize::from(one.is_ok()) + 3 * usize::from(three.is_ok());
    std::iter::repeat_n(time, count)
}

#[test]
fn in_no_stretch_of_time_more_is_let_in_than_the_rule_allows() {
    const SHARDS: usize = 4;
    const STEPS: u64 = 400;
    for (id, algorithm) in (0..).zip(ALGORITHMS) {
        let book = Book::new(SHARDS);
        let limit = limit(id, Kind::Requests, algorithm, 6000);
        let clock = AtomicU64::new(0);
        // When each was let in, by the clock as it was before.
        let times: Vec<u64> = thread::scope(|scope| {
            let taking = (0..SHARDS).map(|number| {
                let (book, clock) = (&book, &clock);
                scope.spawn(move || {
                    let steps = std::iter::from_fn(|| {
                        let step = clock.fetch_add(1, Ordering::SeqCst) / 64;
                        (step < STEPS).then_some(step * 50)
                    });
                    steps.flat_map(|time| times_let_in(book, shard(number), &limit, time)).collect()
                })
            });
            let taking: Vec<thread::ScopedJoinHandle<'_, Vec<u64>>> = taking.collect();
            taking.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let span_ms = STEPS * 50;
        let bound = match algorithm {
            Algorithm::TokenBucket => 6000 + 10 * (span_ms / 100 + 1),
            Algorithm::SlidingWindow => 6000,
            Algorithm::FixedWindow => 12_000,
        };
        let count = u64::try_from(times.len()).unwrap();
        assert!(count <= bound, "{algorithm:?}: {count} of {bound}");
        assert!(count >= 6000, "{algorithm:?}: {count} is too few");
    }
}

#[test]
fn a_bucket_gives_its_burst_and_then_its_rate() {
    let book = Book::new(2);
    let rule = Rule::new(Kind::Requests, Algorithm::TokenBucket, 600, MINUTE, Some(20));
    let limit = Limit { id: QuotaId(9), scope: Scope::Key, rule };
    let taken_at = |millis| {
        let takes = (0..100).map(|turn| book.take(shard(turn % 2), &limit, 1, at(millis)));
        takes.filter(Result::is_ok).count()
    };
    assert_eq!([taken_at(0), taken_at(50), taken_at(80), taken_at(1080)], [20, 0, 1, 10]);
    assert_eq!(taken_at(3_600_000), 20, "no more than the burst, however long it was quiet");
    let short = book.take(shard(0), &limit, 3, at(3_600_000)).unwrap_err();
    assert_eq!((short.standing.limit, short.standing.remaining), (20, 0));
    assert_eq!(short.wait, Duration::from_millis(280));
    assert_eq!(short.standing.reset, Duration::from_millis(1980));
    assert_eq!(book.take(shard(0), &limit, 21, at(0)).unwrap_err().wait, Duration::MAX);
}

#[test]
fn a_window_slides_by_its_parts() {
    let book = Book::new(2);
    let limit = limit(3, Kind::Tokens, Algorithm::SlidingWindow, 100);
    // Parts of 4 s; time here begins 20 ms into one.
    assert!(book.take(shard(0), &limit, 60, at(0)).is_ok());
    assert!(book.take(shard(1), &limit, 30, at(30_000)).is_ok());
    assert_eq!(book.standing(&limit, at(59_000)).remaining, 10);
    let short = book.take(shard(1), &limit, 40, at(59_000)).unwrap_err();
    assert_eq!(
        short.wait,
        Duration::from_millis(4980),
        "until the part of the first 60 is out of every minute"
    );
    assert!(book.take(shard(1), &limit, 40, at(59_000).after(short.wait)).is_ok());
    assert_eq!(book.standing(&limit, at(64_000)).remaining, 30);
    assert_eq!(book.standing(&limit, at(95_000)).remaining, 60);
    assert_eq!(book.standing(&limit, at(1_000_000)).remaining, 100);
}

#[test]
fn what_was_not_used_comes_back_and_what_was_used_beyond_is_owed() {
    for algorithm in ALGORITHMS {
        let book = Book::new(1);
        let limit = limit(4, Kind::Tokens, algorithm, 1000);
        let epoch = book.take(shard(0), &limit, 900, at(0)).unwrap();
        book.give(&limit, 700, epoch, at(10));
        assert_eq!(book.standing(&limit, at(10)).remaining, 800, "{algorithm:?}");
        book.charge(&limit, 1500, at(10));
        assert_eq!(book.standing(&limit, at(10)).remaining, 0);
        assert!(book.take(shard(0), &limit, 1, at(10)).is_err());
        // Long after its period there is nothing to give back any more.
        assert_eq!(book.standing(&limit, at(200_000)).remaining, 1000, "{algorithm:?}");
        book.take(shard(0), &limit, 600, at(200_000)).unwrap();
        book.give(&limit, 900, epoch, at(200_000));
        assert_eq!(book.standing(&limit, at(200_000)).remaining, 400, "{algorithm:?}");
    }
}

#[test]
fn places_come_back_when_they_are_given() {
    let book = Book::new(2);
    let limit = limit(5, Kind::Concurrency, Algorithm::TokenBucket, 2);
    let first = book.take(shard(0), &limit, 1, at(0)).unwrap();
    book.take(shard(1), &limit, 1, at(0)).unwrap();
    assert!(book.take(shard(0), &limit, 1, at(900_000)).is_err());
    book.give(&limit, 1, first, at(900_000));
    assert!(book.take(shard(1), &limit, 1, at(900_000)).is_ok());
}

#[test]
fn a_clock_that_lags_behind_takes_from_the_same_limit() {
    let book = Book::new(2);
    let limit = limit(6, Kind::Requests, Algorithm::TokenBucket, 600);
    let count = |number, millis| {
        (0..1000).filter(|_| book.take(shard(number), &limit, 1, at(millis)).is_ok()).count()
    };
    assert_eq!(count(0, 1000), 600);
    assert_eq!((count(1, 900), count(1, 999)), (0, 0));
    assert_eq!(count(1, 1080), 1);
}

#[test]
fn debt_is_bounded_and_no_number_overflows() {
    let book = Book::new(1);
    for algorithm in ALGORITHMS {
        let limit = limit(7, Kind::Tokens, algorithm, u32::MAX);
        assert_eq!(limit.rule.limit(), crate::admission::limit::LIMIT_MAX);
        book.charge(&limit, u32::MAX, at(0));
        book.charge(&limit, u32::MAX, at(0));
        assert!(book.take(shard(0), &limit, u32::MAX, at(0)).is_err());
        assert_eq!(book.standing(&limit, at(0)).remaining, 0);
        book.give(&limit, u32::MAX, 0, Moment::NEVER);
        let _any = book.standing(&limit, Moment::NEVER);
    }
}

#[test]
fn subjects_have_places_of_their_own_until_they_are_forgotten() {
    let book = Book::new(1);
    let first = book.subject(77, at(0)).unwrap();
    assert_eq!(book.subject(77, at(5)), Some(first));
    let second = book.subject(78, at(0)).unwrap();
    assert!(second.index().abs_diff(first.index()) >= SUBJECT_LIMITS);
    assert!(first.index() >= QUOTAS_MAX && first.index() + SUBJECT_LIMITS <= PLACES);
    // Sixteen with the same beginning fit, the next does not.
    let same = |turn: u64| 5 + turn * u64::try_from(SUBJECTS_MAX).unwrap();
    for turn in 0..16 {
        assert!(book.subject(same(turn), at(0)).is_some());
    }
    assert_eq!(book.subject(same(16), at(0)), None);
    let rule = Rule::new(Kind::Requests, Algorithm::FixedWindow, 1, MINUTE, None);
    let limit = Limit { id: book.subject(same(0), at(0)).unwrap(), scope: Scope::Subject, rule };
    assert!(book.take(shard(0), &limit, 1, at(0)).is_ok());
    assert!(book.take(shard(0), &limit, 1, at(0)).is_err());
    assert_eq!(book.forget_subjects(at(80_000_000)), 18, "not yet a day and an hour");
    assert!(book.subject(same(1), at(80_000_000)).is_some());
    assert_eq!(book.forget_subjects(at(100_000_000)), 1);
    assert!(book.subject(same(16), at(100_000_000)).is_some());
}
