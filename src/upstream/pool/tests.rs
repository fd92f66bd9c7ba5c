//! Connections: which one is taken, which are kept and how many, that the count never passes its bound and none is lost.

mod model;

use super::*;

const SLOT: SlotId = SlotId(3);
const OTHER: SlotId = SlotId(4);
const LIMITS: Limits = Limits {
    idle_min: 0,
    idle_max: 100,
    idle: Duration::from_secs(20),
    age: Duration::from_secs(3600),
    connections_max: None,
};

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

fn none<C: std::fmt::Debug>(connection: C, reason: Retired) {
    panic!("nothing to retire, least of all {connection:?} as {reason:?}");
}

/// Opens one and gives it back at once.
fn put<C: std::fmt::Debug>(pool: &mut Pool<C>, slot: SlotId, connection: C, now: Moment) {
    pool.opened(slot, LIMITS, none);
    assert!(pool.give(slot, connection, now, LIMITS, now).is_ok());
}

/// So many in use at once, all given back then.
fn use_at_once(pool: &mut Pool<u32>, count: u32, limits: Limits, now: Moment) {
    let held: Vec<_> = (0..count)
        .map(|number| {
            pool.take(SLOT, limits, now, none).unwrap_or_else(|| {
                pool.opened(SLOT, limits, none);
                number
            })
        })
        .collect();
    for connection in held {
        pool.give(SLOT, connection, now, limits, now).unwrap();
    }
}

/// Sweeps with these limits; what was retired.
fn sweep<C>(pool: &mut Pool<C>, limits: Limits, now: Moment) -> Vec<(C, Retired)> {
    let mut retired = Vec::new();
    pool.sweep(now, |_| Some(limits), |_| true, |connection, why| retired.push((connection, why)));
    retired
}

#[test]
fn the_last_one_given_is_the_first_one_taken() {
    let limits = Limits { idle_max: 2, ..LIMITS };
    let mut pool = Pool::default();
    for _ in 0..3 {
        pool.opened(SLOT, limits, none);
    }
    pool.give(SLOT, 'a', at(0), limits, at(0)).unwrap();
    pool.give(SLOT, 'b', at(0), limits, at(1)).unwrap();
    assert_eq!(pool.give(SLOT, 'c', at(0), limits, at(1)), Err(('c', Retired::Surplus)));
    assert_eq!((pool.idle(), pool.in_use(SLOT)), (2, 0));
    assert_eq!(pool.take(SLOT, limits, at(2), none), Some('b'));
    assert_eq!(pool.take(SLOT, limits, at(2), none), Some('a'));
    assert_eq!(pool.take(SLOT, limits, at(2), none), None);
    assert_eq!(pool.take(SlotId(0), limits, at(2), none), None);
    assert_eq!((pool.idle(), pool.in_use(SLOT)), (0, 2));
}

#[test]
fn age_and_idleness_retire() {
    let limits = Limits { idle: Duration::from_secs(10), age: Duration::from_secs(60), ..LIMITS };
    let mut pool = Pool::default();
    for _ in 0..3 {
        pool.opened(SLOT, limits, none);
    }
    assert_eq!(pool.give(SLOT, 'o', at(0), limits, at(60)), Err(('o', Retired::Age)));
    assert_eq!(pool.in_use(SLOT), 2);
    pool.give(SLOT, 'a', at(0), limits, at(49)).unwrap();
    pool.give(SLOT, 'b', at(40), limits, at(50)).unwrap();
    let mut retired = Vec::new();
    assert_eq!(pool.take(SLOT, limits, at(61), |c, why| retired.push((c, why))), None);
    assert_eq!(retired, [('b', Retired::Idle), ('a', Retired::Age)]);
    assert_eq!((pool.idle(), pool.in_use(SLOT)), (0, 0));
}

#[test]
fn a_sweep_closes_what_is_broken_or_removed() {
    let mut pool = Pool::default();
    for _ in 0..2 {
        pool.opened(SLOT, LIMITS, none);
    }
    for name in ['a', 'b'] {
        pool.give(SLOT, name, at(0), LIMITS, at(0)).unwrap();
    }
    put(&mut pool, SlotId(1), 'r', at(0));
    let mut retired = Vec::new();
    pool.sweep(
        at(1),
        |slot| (slot == SLOT).then_some(LIMITS),
        |name| *name != 'a',
        |name, why| retired.push((name, why)),
    );
    assert_eq!(retired, [('r', Retired::Removed), ('a', Retired::Broken)]);
    assert_eq!(pool.idle(), 1);
}

#[test]
fn what_a_busy_spell_has_left_goes_bit_by_bit_longest_unused_first() {
    let mut pool = Pool::default();
    use_at_once(&mut pool, 40, LIMITS, at(0));
    // Half the time that one may be idle is 10 s: a tenth goes each second.
    assert_eq!(sweep(&mut pool, LIMITS, at(0)), []);
    let retired = sweep(&mut pool, LIMITS, at(1));
    assert_eq!(retired, [0, 1, 2, 3].map(|number| (number, Retired::Surplus)));
    let left: Vec<_> = (2..=10)
        .map(|second| {
            sweep(&mut pool, LIMITS, at(second));
            pool.idle()
        })
        .collect();
    assert_eq!(left, [33, 30, 27, 24, 22, 20, 18, 16, 14]);
    // What was not used at all goes in time, however much would be kept.
    let retired = sweep(&mut pool, LIMITS, at(20));
    assert!(retired.iter().all(|(_, why)| *why == Retired::Idle), "{retired:?}");
    assert_eq!(pool.idle(), 0);
}

/// A burst each second: the sweep between two of them must not close what the next one opens again.
#[test]
fn what_is_needed_time_and_again_stays() {
    let mut pool = Pool::default();
    for second in 0..100 {
        use_at_once(&mut pool, 30, LIMITS, at(second));
        assert_eq!(sweep(&mut pool, LIMITS, at(second)), []);
        assert_eq!(pool.idle(), 30);
    }
    // Less is needed: only the rest of it goes.
    let mut retired = 0;
    for second in 100..200 {
        use_at_once(&mut pool, 10, LIMITS, at(second));
        retired += sweep(&mut pool, LIMITS, at(second)).len();
        assert_eq!(pool.idle(), 30 - retired);
    }
    assert_eq!(retired, 20);
}

#[test]
fn what_is_in_use_counts_as_needed() {
    let mut pool = Pool::default();
    for _ in 0..12 {
        pool.opened(SLOT, LIMITS, none);
    }
    for number in 0..2 {
        pool.give(SLOT, number, at(0), LIMITS, at(0)).unwrap();
    }
    // 12 were needed, 10 of them still are.
    assert_eq!(sweep(&mut pool, LIMITS, at(0)), []);
    assert_eq!(sweep(&mut pool, LIMITS, at(1)), [(0, Retired::Surplus)]);
    assert_eq!(sweep(&mut pool, LIMITS, at(2)), [(1, Retired::Surplus)]);
    for second in 3..50 {
        sweep(&mut pool, LIMITS, at(second));
        assert_eq!(pool.in_use(SLOT), 10);
    }
    // The peak is as high as it ever was since: those that come back are kept.
    for number in 0..10 {
        pool.give(SLOT, number, at(50), LIMITS, at(50)).unwrap();
    }
    assert_eq!(sweep(&mut pool, LIMITS, at(50)), []);
    assert_eq!(pool.idle(), 10);
}

#[test]
fn the_least_is_there_and_stays() {
    let limits = Limits { idle_min: 4, idle: Duration::from_secs(1000), ..LIMITS };
    let mut pool = Pool::default();
    assert_eq!(pool.short(SLOT, limits), 4);
    for left in (0..4).rev() {
        pool.opened(SLOT, limits, none);
        // Those being opened are not opened twice.
        assert_eq!(pool.short(SLOT, limits), left);
    }
    for number in 0..4 {
        pool.give(SLOT, number, at(0), limits, at(0)).unwrap();
    }
    use_at_once(&mut pool, 9, limits, at(0));
    for second in 0..900 {
        sweep(&mut pool, limits, at(second));
        assert!(pool.idle() >= 4, "{} at {second}", pool.idle());
    }
    assert_eq!(pool.idle(), 4, "and no more");
    assert_eq!(pool.short(SLOT, limits), 0);
    // One that could not be opened or has broken is short again.
    assert!(pool.take(SLOT, limits, at(900), none).is_some());
    assert_eq!(pool.short(SLOT, limits), 0);
    pool.closed(SLOT);
    assert_eq!(pool.short(SLOT, limits), 1);
    // The most is the most.
    assert_eq!(pool.short(SLOT, Limits { idle_max: 2, ..limits }), 0);
    assert_eq!(pool.short(SlotId(9), Limits { connections_max: Some(3), ..limits }), 3);
    assert_eq!(pool.short(SlotId(9), Limits { idle_max: 2, ..limits }), 2);
}

#[test]
fn never_more_connections_than_may_be() {
    let limits = Limits { connections_max: Some(2), ..LIMITS };
    let mut pool = Pool::default();
    assert!(!pool.is_full(SLOT, limits));
    for name in ['a', 'b'] {
        pool.opened(SLOT, limits, none);
        pool.opened(SLOT, limits, none);
        assert!(pool.is_full(SLOT, limits));
        pool.closed(SLOT);
        assert!(!pool.is_full(SLOT, limits));
        pool.give(SLOT, name, at(0), limits, at(0)).unwrap();
        pool.take(SLOT, limits, at(0), none).unwrap();
        pool.give(SLOT, name, at(0), limits, at(0)).unwrap();
        pool.opened(SLOT, limits, none);
        pool.take(SLOT, limits, at(0), none).unwrap();
        assert!(pool.is_full(SLOT, limits));
        pool.closed(SLOT);
        pool.closed(SLOT);
    }
    // A fresh one is wanted although idle ones are there: the one unused for longest makes room.
    for _ in 0..2 {
        pool.opened(SLOT, limits, none);
    }
    for name in ['a', 'b'] {
        pool.give(SLOT, name, at(0), limits, at(0)).unwrap();
    }
    assert!(!pool.is_full(SLOT, limits));
    let mut retired = Vec::new();
    pool.opened(SLOT, limits, |name, why| retired.push((name, why)));
    assert_eq!(retired, [('a', Retired::Surplus)]);
    assert_eq!((pool.idle(), pool.in_use(SLOT)), (1, 1));
    // Fewer may be, now.
    let fewer = Limits { connections_max: Some(1), ..limits };
    assert!(pool.is_full(SLOT, fewer));
    assert_eq!(pool.give(SLOT, 'c', at(0), fewer, at(0)), Err(('c', Retired::Surplus)));
    pool.opened(SLOT, limits, none);
    assert_eq!(sweep(&mut pool, fewer, at(0)), [('b', Retired::Surplus)]);
}

#[test]
fn an_endpoint_that_comes_back_begins_anew() {
    let mut pool = Pool::default();
    use_at_once(&mut pool, 8, LIMITS, at(0));
    pool.opened(SLOT, LIMITS, none);
    pool.sweep(at(0), |_| None, |_| true, |_, why| assert_eq!(why, Retired::Removed));
    // The request that was on its way there is through.
    assert_eq!((pool.idle(), pool.in_use(SLOT)), (0, 1));
    pool.closed(SLOT);
    // One at a time needs one, whatever was needed before.
    for number in 0..8 {
        put(&mut pool, SLOT, number, at(1));
    }
    assert_eq!(sweep(&mut pool, LIMITS, at(1)).len(), 7);
    assert_eq!(pool.take(SLOT, LIMITS, at(1), none), Some(7));
}

#[test]
fn what_may_not_be_idle_at_all_is_no_trouble() {
    let limits = Limits { idle: Duration::ZERO, idle_min: 5, ..LIMITS };
    let mut pool = Pool::default();
    use_at_once(&mut pool, 1, LIMITS, at(0));
    assert_eq!(sweep(&mut pool, limits, at(0)), [(0, Retired::Idle)]);
    let for_ever = Limits { idle: Duration::MAX, age: Duration::MAX, ..LIMITS };
    use_at_once(&mut pool, 3, for_ever, at(0));
    sweep(&mut pool, for_ever, Moment::NEVER);
    assert_eq!(pool.idle(), 3);
}

#[test]
fn who_takes_a_slot_over_gets_no_connection_of_the_old_one() {
    let mut pool: Pool<u32> = Pool::default();
    put(&mut pool, SLOT, 1, at(0));
    put(&mut pool, SLOT, 2, at(0));
    put(&mut pool, OTHER, 3, at(0));
    let mut retired = Vec::new();
    pool.hand_over(SLOT, |connection, reason| retired.push((connection, reason)));
    assert_eq!(retired, [(1, Retired::Removed), (2, Retired::Removed)]);
    assert_eq!(pool.idle(), 1);
    assert_eq!(pool.take(SLOT, LIMITS, at(1), none), None);
    assert_eq!(pool.take(OTHER, LIMITS, at(1), none), Some(3));
    pool.hand_over(SlotId(1_000), none);
}
