//! The page with many threads at once: what is counted is exact, and what is given once is given once.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread;

use super::*;

/// Runs `work` on so many threads, one for each shard.
fn on_shards(shards: usize, work: impl Fn(ShardId) + Sync) {
    thread::scope(|scope| {
        for number in 0..shards {
            let work = &work;
            scope.spawn(move || work(shard(number)));
        }
    });
}

#[test]
fn counts_are_exact_when_all_threads_are_done() {
    const SHARDS: usize = 4;
    const EACH: u64 = 20_000;
    let health = Health::new(SHARDS);
    on_shards(SHARDS, |shard| {
        for number in 0..EACH {
            health.begin(shard, SLOT);
            let verdict = if number % 100 == 0 { Verdict::Bad } else { Verdict::Good };
            health.note(shard, SLOT, verdict, false, Some(&RULE), at(0));
            health.first_byte(shard, SLOT, Duration::from_millis(number % 50));
            if number % 1_000 > 0 {
                health.end(shard, SLOT);
            }
        }
    });
    let totals = health.totals(SLOT);
    assert_eq!((totals.attempts, totals.good, totals.bad), (80_000, 79_200, 800));
    assert_eq!(health.in_flight(SLOT), 80);
    assert_eq!(health.window(SLOT, at(0)), (79_200, 800));
    assert_eq!(health.merge(&mut Merged::default(), SLOT, at(1_000)).samples, 80_000);
    assert_eq!(totals.opened, [0; 3]);
}

#[test]
fn of_many_threads_one_opens_it_and_one_gets_each_probe() {
    const SHARDS: usize = 4;
    const ROUNDS: u64 = 200;
    let health = Health::new(SHARDS);
    let claimed = AtomicU32::new(0);
    let mut now = 0;
    for round in 1..=ROUNDS {
        // Closed: all of them fail at the same time. Later than the longest memory, so each opening is a first.
        now += 200_000;
        on_shards(SHARDS, |shard| {
            (0..20).for_each(|_| {
                health.note(shard, SLOT, Verdict::Bad, false, Some(&RULE), at(now));
            });
        });
        assert_eq!(health.totals(SLOT).opened.iter().sum::<u64>(), round);
        now += 2_000;
        on_shards(SHARDS, |shard| {
            for _ in 0..20 {
                if health.claim_probe(SLOT, at(now)) {
                    claimed.fetch_add(1, Ordering::Relaxed);
                    health.note(shard, SLOT, Verdict::Good, true, Some(&RULE), at(now));
                }
            }
        });
        assert_eq!(health.state(SLOT, at(now)), SlotState::Well);
        assert_eq!(u64::from(claimed.load(Ordering::Relaxed)), round);
    }
    assert_eq!(health.totals(SLOT).opened[2], 0);
}

#[test]
fn places_never_exceed_what_there_is() {
    const SHARDS: usize = 4;
    const MAX: u32 = 3;
    let health = Health::new(SHARDS);
    let inside = AtomicU32::new(0);
    on_shards(SHARDS, |_| {
        let mut held = 0;
        for step in 0..20_000_u32 {
            if step % 3 < 2 && health.claim_place(SLOT, MAX) {
                held += 1;
                assert!(inside.fetch_add(1, Ordering::SeqCst) < MAX);
            } else if held > 0 {
                held -= 1;
                inside.fetch_sub(1, Ordering::SeqCst);
                health.give_place(SLOT);
            }
        }
        for _ in 0..held {
            inside.fetch_sub(1, Ordering::SeqCst);
            health.give_place(SLOT);
        }
    });
    assert_eq!(health.details(SLOT, at(0)).places, 0);
    health.give_place(SLOT);
    assert!(health.claim_place(SLOT, 1) && !health.claim_place(SLOT, 1), "one given too often");
}
