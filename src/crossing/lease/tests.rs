//! That no order of steps lets more through than the rule: by trying all of them, and by many threads.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::admission::limit::Algorithm;
use crate::admission::limit::Kind;

type Modelled = loom::sync::atomic::AtomicU64;

/// The words of one limit, for some shards.
struct One<W> {
    pool: W,
    parts: Vec<W>,
    stripes: Vec<Box<[W]>>,
}

impl<W: Word> One<W> {
    fn new(shards: usize, zero: impl Fn() -> W) -> Self {
        Self {
            pool: zero(),
            parts: (0..WINDOW_PARTS).map(|_| zero()).collect(),
            stripes: (0..shards).map(|_| vec![zero()].into_boxed_slice()).collect(),
        }
    }

    /// A pool that does not slide needs no parts: fewer words to try orders of.
    fn small(shards: usize, zero: impl Fn() -> W) -> Self {
        Self { parts: Vec::new(), ..Self::new(shards, zero) }
    }

    fn cells(&self) -> Cells<'_, W> {
        Cells { pool: &self.pool, parts: &self.parts, stripes: &self.stripes, index: 0 }
    }
}

fn rule(algorithm: Algorithm, limit: u32) -> Rule {
    Rule::new(Kind::Requests, algorithm, limit, Duration::from_secs(60), None)
}

/// Tries every order of the steps of two threads (with at most three switches that are not needed).
fn in_every_order(check: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(check);
}

fn takes<const N: usize>(one: &One<impl Word>, rule: &Rule, shard: usize, epochs: [u32; N]) -> u32 {
    let got = epochs.map(|epoch| u32::from(one.cells().take(shard, rule, 1, epoch).is_ok()));
    got.iter().sum()
}

#[test]
fn in_one_epoch_exactly_the_limit_is_let_in() {
    in_every_order(|| {
        let rule = rule(Algorithm::FixedWindow, 18);
        let one = Arc::new(One::small(2, || Modelled::new(0)));
        // Most of it is used: so little is left that leases end in the middle of what follows.
        one.cells().charge(&rule, 8, 1);
        let other = Arc::clone(&one);
        let taking = loom::thread::spawn(move || takes(&other, &rule, 1, [1, 1]));
        let mine = takes(&one, &rule, 0, [1, 1]);
        let theirs = taking.join().unwrap();
        assert_eq!(mine + theirs, 4, "there was enough for all");
        // One after the other, all the rest can be had, by whichever shard: nothing has got lost in leases.
        let rest: u32 = (0..9).map(|turn| takes(&one, &rule, turn % 2, [1])).sum();
        assert_eq!(rest, 6);
    });
}

#[test]
fn at_the_end_of_a_limit_nobody_gets_what_is_not_there() {
    in_every_order(|| {
        let rule = rule(Algorithm::FixedWindow, 3);
        let one = Arc::new(One::small(2, || Modelled::new(0)));
        one.cells().charge(&rule, 1, 1);
        // A lease that was left lying.
        one.cells().keep(1, Count { epoch: 1, amount: 1 });
        one.cells().charge(&rule, 1, 1);
        let other = Arc::clone(&one);
        let taking = loom::thread::spawn(move || takes(&other, &rule, 1, [1, 1]));
        let mine = takes(&one, &rule, 0, [1, 1]);
        let now = mine + taking.join().unwrap();
        assert!(now <= 2, "{now} of 2");
        assert_eq!(now + takes(&one, &rule, 0, [1, 1, 1]), 2);
    });
}

#[test]
fn at_the_turn_of_an_epoch_leases_are_counted_once() {
    in_every_order(|| {
        let rule = Rule::new(
            Kind::Requests,
            Algorithm::TokenBucket,
            600,
            Duration::from_secs(60),
            Some(18),
        );
        let one = Arc::new(One::small(2, || Modelled::new(0)));
        // The bucket is nearly empty, and a part of what is used is leased.
        one.cells().charge(&rule, 16, 1);
        one.cells().keep(1, Count { epoch: 1, amount: 2 });
        let other = Arc::clone(&one);
        let taking = loom::thread::spawn(move || {
            let cells = other.cells();
            [1, 2].map(|epoch| cells.take(1, &rule, 1, epoch).ok())
        });
        let cells = one.cells();
        let mine = [2, 2].map(|epoch| cells.take(0, &rule, 1, epoch).ok());
        let theirs = taking.join().unwrap();
        let under = |epoch: u32| {
            let all = mine.iter().chain(&theirs);
            u32::try_from(all.filter(|taken| **taken == Some(epoch)).count()).unwrap()
        };
        // 4 were there in the first epoch (two of them leased), one more comes in the second.
        assert!(under(1) <= 4 && under(1) + under(2) <= 5, "{mine:?} {theirs:?}");
        let rest = takes(&one, &rule, 0, [2, 2, 2, 2, 2, 2]);
        assert!(under(1) + under(2) + rest <= 5, "{mine:?} {theirs:?} {rest}");
    });
}

#[test]
fn what_is_given_back_at_the_turn_of_an_epoch_is_not_there_twice() {
    in_every_order(|| {
        let rule = rule(Algorithm::FixedWindow, 2);
        let one = Arc::new(One::small(1, || Modelled::new(0)));
        one.cells().take(0, &rule, 2, 1).unwrap();
        let other = Arc::clone(&one);
        let giving = loom::thread::spawn(move || {
            other.cells().give(&rule, Count { epoch: 1, amount: 1 }, 1);
        });
        let early = takes(&one, &rule, 0, [2]);
        giving.join().unwrap();
        assert_eq!(early + takes(&one, &rule, 0, [2, 2, 2]), 2);
    });
}

#[test]
fn a_window_that_slides_counts_each_part_until_it_ends() {
    in_every_order(|| {
        let rule = rule(Algorithm::SlidingWindow, 2);
        let one = Arc::new(One::new(2, || Modelled::new(0)));
        one.cells().take(0, &rule, 1, 1).unwrap();
        let other = Arc::clone(&one);
        let late = 1 + WINDOW_PARTS;
        let taking = loom::thread::spawn(move || takes(&other, &rule, 1, [late]));
        let mine = takes(&one, &rule, 0, [late, late]);
        let all = mine + taking.join().unwrap();
        assert_eq!(all, 2);
    });
}

/// The same with a mistake: leases of an epoch that is over are brought back after time has refilled them.
#[test]
#[should_panic(expected = "too much")]
fn the_search_finds_a_mistake() {
    in_every_order(|| {
        let rule = rule(Algorithm::FixedWindow, 2);
        let one = Arc::new(One::small(2, || Modelled::new(0)));
        one.cells().charge(&rule, 1, 1);
        one.cells().keep(1, Count { epoch: 1, amount: 1 });
        let other = Arc::clone(&one);
        let beginning = loom::thread::spawn(move || takes(&other, &rule, 0, [2]));
        let unspent = one.cells().unlease(1);
        // Right would be: only while the pool is still in epoch 1.
        let used = Count::load(&one.pool);
        let amount = used.amount.saturating_sub(unspent);
        used.replace(&one.pool, Count { amount, ..used });
        let early = beginning.join().unwrap();
        assert!(early + takes(&one, &rule, 0, [2, 2, 2]) <= 2, "too much");
    });
}
