//! That no number ever stands for two things that are held, against a naive model.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::*;

fn given(number: u32, generation: u32) -> Option<Given> {
    Some(Given { number, generation })
}

#[test]
fn what_comes_back_has_its_number_from_before() {
    let mut numbers = Numbers::new(8, 8);
    assert_eq!(numbers.give(&"a"), given(0, 0));
    assert_eq!(numbers.give(&"b"), given(1, 0));
    assert_eq!(numbers.give(&"a"), given(0, 0));
    numbers.note_held(|number| number == 1);
    assert_eq!(numbers.held(), 1);
    assert_eq!(numbers.give(&"c"), given(2, 0));
    assert_eq!(numbers.give(&"a"), given(0, 0));
    assert_eq!(numbers.held(), 3);
}

#[test]
fn the_number_that_was_let_go_first_goes_to_the_next() {
    let mut numbers = Numbers::new(3, 0);
    for key in ["a", "b", "c"] {
        numbers.give(&key);
    }
    assert_eq!(numbers.give(&"d"), None, "all are held");
    numbers.note_held(|number| number != 1);
    numbers.note_held(|number| number == 2);
    assert_eq!(numbers.give(&"d"), given(1, 1));
    assert_eq!(numbers.give(&"b"), given(0, 1), "it was forgotten");
    assert_eq!(numbers.give(&"a"), None);
    numbers.note_held(|number| number == 1);
    // Held again meanwhile: not to be given away.
    assert_eq!(numbers.give(&"c"), given(2, 0));
    assert_eq!(numbers.give(&"e"), given(0, 2));
    assert_eq!(numbers.give(&"f"), None);
}

#[test]
fn some_are_remembered_before_any_is_used_again() {
    let mut numbers = Numbers::new(100, 2);
    for key in 0..3 {
        numbers.give(&key);
    }
    numbers.note_held(|number| number == 0);
    assert_eq!(numbers.give(&10), given(3, 0), "two are remembered");
    numbers.note_held(|number| number == 3);
    assert_eq!(numbers.give(&11), given(1, 1), "a third is too much");
    // Where there is no other way fewer are remembered.
    let mut numbers = Numbers::new(2, 2);
    numbers.give(&1);
    numbers.give(&2);
    numbers.note_held(|_| false);
    assert_eq!(numbers.give(&3), given(0, 1));
}

#[test]
fn room_is_what_nobody_holds() {
    let mut numbers = Numbers::new(3, 0);
    for key in [1, 2, 3] {
        numbers.give(&key);
    }
    assert!(numbers.has_room_for([1, 2, 3, 3].iter()));
    assert!(!numbers.has_room_for([4].iter()));
    numbers.note_held(|number| number != 0);
    assert!(numbers.has_room_for([4, 4].iter()));
    assert!(!numbers.has_room_for([4, 1].iter()), "nobody holds the one, but both need a number");
}

/// Numbers like random ones.
fn roll(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

#[test]
fn two_things_that_are_held_never_have_the_same_number() {
    for seed in 0..200 {
        let mut dice = seed;
        let mut numbers = Numbers::new(8, usize::try_from(roll(&mut dice, 8)).unwrap());
        // What is held by worlds that are still there, as sets of keys; and who had a number in which generation.
        let mut worlds: Vec<BTreeMap<u64, Given>> = Vec::new();
        let mut owners: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for _ in 0..300 {
            let wanted: BTreeSet<u64> =
                (0..roll(&mut dice, 6)).map(|_| roll(&mut dice, 30)).collect();
            let held: BTreeSet<u32> =
                worlds.iter().flat_map(|world| world.values().map(|given| given.number)).collect();
            numbers.note_held(|number| held.contains(&number));
            assert_eq!(numbers.held(), held.len());
            if numbers.has_room_for(wanted.iter()) {
                let give = |key: &u64| (*key, numbers.give(key).expect("there is room"));
                worlds.push(wanted.iter().map(give).collect());
            } else {
                let keys: BTreeSet<u64> = worlds.iter().flat_map(|w| w.keys().copied()).collect();
                assert!(keys.union(&wanted).count() > 8, "there was room");
            }
            let mut now: BTreeMap<u32, u64> = BTreeMap::new();
            for (key, given) in worlds.iter().flatten() {
                assert!(given.number < 8);
                assert_eq!(*now.entry(given.number).or_insert(*key), *key, "seed {seed}");
                let id = (given.number, given.generation);
                assert_eq!(*owners.entry(id).or_insert(*key), *key, "seed {seed}");
            }
            if roll(&mut dice, 3) > 0 && !worlds.is_empty() {
                let gone = usize::try_from(roll(&mut dice, worlds.len() as u64)).unwrap();
                worlds.swap_remove(gone);
            }
        }
    }
}
