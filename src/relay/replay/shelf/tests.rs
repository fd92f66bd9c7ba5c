//! Whatever is kept is exactly what was said, and never more than the budget.

use std::time::Duration;

use super::*;
use crate::units::ShardId;

fn id(number: u64) -> StreamId {
    let mut key = [7; 16];
    key[..8].copy_from_slice(&number.to_le_bytes());
    StreamId::new(ShardId(1), key)
}

fn at(millis: u64) -> Moment {
    Moment::from_nanos(1_000_000 * millis)
}

const RULE: Rule = Rule {
    window: Duration::from_secs(30),
    bytes_max: 1 << 20,
    events_max: 1 << 20,
    age: Duration::from_secs(1_000),
};

fn say(shelf: &Shelf, place: Place, event: &[u8]) -> u64 {
    shelf.append(place, event);
    shelf.end_event(place, at(1))
}

fn rest(shelf: &Shelf, place: Place, seq: u64) -> Result<Vec<u8>, Missing> {
    let (mut cursor, mut out) = (shelf.after(place, seq)?, Vec::new());
    // In portions of any size.
    while !shelf.read(place, &mut cursor, 1 + out.len() % 97, &mut out)? {}
    Ok(out)
}

#[test]
fn a_stream_is_read_on_from_any_event() {
    let shelf = Shelf::new(1 << 20);
    let place = shelf.open(id(1), 5, RULE, at(0)).unwrap();
    assert_eq!(shelf.next_seq(place), 1);
    for number in 1..=100 {
        assert_eq!(say(&shelf, place, format!("event {number}\n").as_bytes()), number);
    }
    shelf.append(place, b"half");
    for seq in 0..=100 {
        let expected: String = (seq + 1..=100).map(|number| format!("event {number}\n")).collect();
        assert_eq!(rest(&shelf, place, seq), Ok(format!("{expected}half").into_bytes()));
    }
    assert_eq!(shelf.after(place, 101), Err(Missing::Future));
    let found = shelf.find(id(1), at(1)).unwrap();
    assert_eq!((found.place, found.owner, found.is_finished), (place, 5, None));
    assert_eq!(shelf.find(id(2), at(1)), None);
}

#[test]
fn each_bound_of_a_stream_forgets_its_oldest_events() {
    let rules = [
        Rule { bytes_max: 30, ..RULE },
        Rule { events_max: 3, ..RULE },
        Rule { age: Duration::from_millis(2), ..RULE },
    ];
    for rule in rules {
        let shelf = Shelf::new(1 << 20);
        let place = shelf.open(id(1), 0, rule, at(0)).unwrap();
        for number in 1..=10_u64 {
            shelf.append(place, format!("event {number}. ").as_bytes());
            shelf.end_event(place, at(number));
        }
        shelf.sweep(at(10));
        assert_eq!(rest(&shelf, place, 6), Err(Missing::Forgotten), "{rule:?}");
        assert_eq!(
            rest(&shelf, place, 7),
            Ok(b"event 8. event 9. event 10. ".to_vec()),
            "{rule:?}"
        );
    }
}

#[test]
fn an_event_that_is_too_large_is_missed_by_who_needs_it_alone() {
    let shelf = Shelf::new(1 << 20);
    let place = shelf.open(id(1), 0, Rule { bytes_max: 100, ..RULE }, at(0)).unwrap();
    say(&shelf, place, b"one");
    shelf.append(place, &[b'x'; 60]);
    assert!(rest(&shelf, place, 1).is_ok());
    let mut behind = shelf.after(place, 0).unwrap();
    shelf.append(place, &[b'x'; 60]);
    for seq in [0, 1] {
        assert_eq!(rest(&shelf, place, seq), Err(Missing::Forgotten));
    }
    assert_eq!(shelf.read(place, &mut behind, 9, &mut Vec::new()), Err(Missing::Forgotten));
    assert_eq!(shelf.end_event(place, at(1)), 2);
    say(&shelf, place, b"three");
    assert_eq!(rest(&shelf, place, 1), Err(Missing::Forgotten));
    assert_eq!(rest(&shelf, place, 2), Ok(b"three".to_vec()));
}

#[test]
fn what_has_ended_stays_for_its_window_and_no_longer() {
    let shelf = Shelf::new(1 << 20);
    let place = shelf.open(id(1), 0, RULE, at(0)).unwrap();
    say(&shelf, place, b"all");
    shelf.finish(place, End::Done, at(1_000));
    assert_eq!(shelf.find(id(1), at(31_000)).unwrap().is_finished, Some(End::Done));
    assert_eq!(shelf.find(id(1), at(31_001)), None);
    assert_eq!(shelf.counts().bytes, 0);
    let second = shelf.open(id(2), 0, RULE, at(0)).unwrap();
    shelf.finish(second, End::Broken, at(0));
    shelf.sweep(at(30_001));
    assert_eq!(shelf.counts().streams, 0);
    // A place that was given up is nobody else's.
    let third = shelf.open(id(3), 0, RULE, at(0)).unwrap();
    say(&shelf, third, b"secret");
    for stale in [place, second] {
        assert_eq!(rest(&shelf, stale, 0), Err(Missing::Forgotten));
        shelf.append(stale, b"noise");
        shelf.remove(stale);
    }
    assert_eq!(rest(&shelf, third, 0), Ok(b"secret".to_vec()));
}

#[test]
fn the_oldest_streams_give_way_first() {
    let shelf = Shelf::new(64 << 10);
    let places: Vec<Place> =
        (0..4).map(|number| shelf.open(id(number), 0, RULE, at(0)).unwrap()).collect();
    for round in 0..9 {
        for place in &places {
            say(&shelf, *place, &vec![b'0' + round; 1_500]);
        }
    }
    let has_all = |index: usize| rest(&shelf, places[index], 0).is_ok();
    assert!(has_all(3), "there is room for all but a few blocks");
    for _ in 0..12 {
        say(&shelf, places[3], &[b'x'; 1_500]);
    }
    assert!(!has_all(0) && has_all(3));
    assert!(shelf.counts().gave_way_streams >= 1);
    // If nobody else has anything, a stream gives way to itself.
    for _ in 0..200 {
        say(&shelf, places[3], &[b'y'; 1_500]);
    }
    assert!(!has_all(3));
    let last = rest(&shelf, places[3], shelf.next_seq(places[3]) - 2);
    assert_eq!(last, Ok(vec![b'y'; 1_500]));
}

#[test]
fn only_so_many_streams_are_kept_and_those_that_have_ended_make_room() {
    let shelf = Shelf::new(64 << 10);
    let mut number = 0;
    let mut places = Vec::new();
    while let Some(place) = shelf.open(id(number), 0, RULE, at(0)) {
        places.push(place);
        number += 1;
    }
    assert_eq!(places.len(), (64 << 10) / 16 / STREAM_COST);
    shelf.finish(places[3], End::Done, at(0));
    assert!(shelf.open(id(1_000), 0, RULE, at(0)).is_some());
    assert_eq!(shelf.find(id(3), at(0)), None);
    assert!(shelf.open(id(1_001), 0, RULE, at(0)).is_none());
}

/// What one stream has said, kept for ever.
struct Plain {
    place: Place,
    log: Vec<u8>,
    /// Where events end.
    ends: Vec<usize>,
}

#[test]
fn whatever_is_read_on_is_what_was_said() {
    const BUDGET: usize = 40 << 10;
    for seed in 1..=12_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut dice = |sides: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % sides
        };
        let shelf = Shelf::new(BUDGET);
        let mut plain: Vec<Plain> = Vec::new();
        let (mut opened, mut now, mut read) = (0, 0, 0);
        for _ in 0..4_000 {
            now += dice(50);
            let chosen = usize::try_from(dice(plain.len().max(1) as u64)).unwrap();
            match dice(20) {
                0 if plain.len() < 12 => {
                    let rule = Rule {
                        window: Duration::from_millis(dice(5_000)),
                        bytes_max: u32::try_from(200 + dice(40_000)).unwrap(),
                        events_max: u32::try_from(1 + dice(200)).unwrap(),
                        age: Duration::from_millis(1 + dice(100_000)),
                    };
                    opened += 1;
                    if let Some(place) = shelf.open(id(opened), opened, rule, at(now)) {
                        plain.push(Plain { place, log: Vec::new(), ends: vec![0] });
                    }
                }
                1 => shelf.sweep(at(now)),
                2 if !plain.is_empty() => {
                    shelf.remove(plain.swap_remove(chosen).place);
                }
                3 if !plain.is_empty() => {
                    shelf.finish(plain.swap_remove(chosen).place, End::Done, at(now));
                }
                _ => {
                    let Some(stream) = plain.get_mut(chosen) else { continue };
                    let most = if dice(10) == 0 { 6_000 } else { 400 };
                    let length = usize::try_from(dice(most)).unwrap();
                    let bytes: Vec<u8> =
                        (0..length).map(|at| (at as u64 ^ now ^ opened).to_le_bytes()[0]).collect();
                    shelf.append(stream.place, &bytes);
                    stream.log.extend_from_slice(&bytes);
                    if dice(4) > 0 {
                        assert_eq!(
                            shelf.end_event(stream.place, at(now)),
                            stream.ends.len() as u64
                        );
                        stream.ends.push(stream.log.len());
                    }
                }
            }
            assert!(shelf.counts().bytes <= BUDGET);
            for stream in &plain {
                let last = stream.ends.len() as u64;
                assert_eq!(shelf.next_seq(stream.place), last);
                let seq = dice(last);
                match rest(&shelf, stream.place, seq) {
                    Ok(got) => {
                        let from = stream.ends[usize::try_from(seq).unwrap()];
                        assert!(got == stream.log[from..], "seed {seed}, event {seq} of {last}");
                        read += 1;
                    }
                    Err(missing) => assert_eq!(missing, Missing::Forgotten),
                }
            }
        }
        assert!(read > 1_000, "{read}");
        assert!(shelf.counts().gave_way_events > 0, "it was never full");
    }
}
