//! Choices by the thousand, and what they add up to. Streams by the hour are in `streams.rs`.

use super::*;
use crate::balance::dice::Dice;
use crate::balance::hash::key;

fn view(weight: u32, load: u32) -> View {
    View { weight, load, latency_us: 0, standing: Standing::Usable }
}

fn views<const N: usize>(endpoints: [(u32, u32); N]) -> [View; N] {
    endpoints.map(|(weight, load)| view(weight, load))
}

fn choose(turn: &mut Turn, strategy: Strategy, views: &[View]) -> Option<usize> {
    turn.choose(strategy, views, None, None, 0)
}

/// How many of `count` choices each got.
fn shares(strategy: Strategy, views: &[View], count: usize) -> Vec<usize> {
    let (mut turn, mut dice) = (Turn::default(), Dice(1));
    let ring = ring(views);
    let mut shares = vec![0; views.len()];
    for _ in 0..count {
        let (key, dice) = (dice.roll(), dice.roll());
        shares[turn.choose(strategy, views, Some(&ring), Some(key), dice).unwrap()] += 1;
    }
    shares
}

fn ring(views: &[View]) -> Ring {
    let urls: Vec<String> = (0..views.len()).map(|index| format!("http://e{index}")).collect();
    let weights = views.iter().map(|view| view.weight);
    Ring::new(urls.iter().map(String::as_str).zip(weights), 125)
}

#[track_caller]
fn assert_shares(shares: &[usize], expected: &[usize], percent: usize) {
    for (share, expected) in shares.iter().zip(expected) {
        assert!(share.abs_diff(*expected) * 100 <= expected * percent, "{shares:?}");
    }
}

#[test]
fn labels_and_explanations_are_their_own() {
    let mut labels: Vec<&str> = Strategy::ALL.iter().map(|strategy| strategy.label()).collect();
    labels.extend(Standing::ALL.iter().map(|standing| standing.label()));
    let mut explanations: Vec<&str> = Standing::ALL.iter().map(|it| it.explain()).collect();
    assert!(explanations.iter().all(|text| text.starts_with("It") || text.starts_with("This")));
    assert!(explanations.iter().all(|text| text.ends_with('.')));
    for list in [&mut labels, &mut explanations] {
        let count = list.len();
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), count);
    }
}

#[test]
fn turns_are_by_weight_and_pass_over_who_is_not_usable() {
    for strategy in [Strategy::RoundRobin, Strategy::WeightedRoundRobin] {
        let mut endpoints = views([(300, 9), (200, 0), (100, 3)]);
        assert_eq!(shares(strategy, &endpoints, 6000), [3000, 2000, 1000]);
        endpoints[0].standing = Standing::Open;
        assert_eq!(shares(strategy, &endpoints, 6000), [0, 4000, 2000]);
        assert_eq!(shares(strategy, &views([(100, 0); 7]), 7000), [1000; 7]);
    }
}

#[test]
fn the_least_loaded_is_chosen_and_those_alike_take_turns() {
    let mut turn = Turn::default();
    for strategy in [Strategy::LeastConnections, Strategy::WeightedLeastConnections] {
        assert_eq!(choose(&mut turn, strategy, &views([(100, 5), (100, 3), (100, 4)])), Some(1));
        assert_eq!(choose(&mut turn, strategy, &views([(300, 7), (100, 3)])), Some(0));
        assert_eq!(choose(&mut turn, strategy, &views([(300, 12), (100, 3)])), Some(1));
        assert_eq!(shares(strategy, &views([(100, 4), (100, 7), (100, 4)]), 1000), [500, 0, 500]);
        // One after the other: the counts are always 0, and the weights decide.
        assert_eq!(shares(strategy, &views([(300, 0), (100, 0)]), 4000), [3000, 1000]);
    }
}

#[test]
fn whatever_the_number_each_holds_its_share_within_one() {
    let weights = [500, 300, 100, 50];
    let mut loads = [0; 4];
    let mut turn = Turn::default();
    for total in 1..=2000_u32 {
        let now: Vec<View> = (0..4).map(|index| view(weights[index], loads[index])).collect();
        loads[choose(&mut turn, Strategy::WeightedLeastConnections, &now).unwrap()] += 1;
        for (load, weight) in loads.iter().zip(weights) {
            let share = f64::from(total * weight) / 950.0;
            assert!((f64::from(*load) - share).abs() <= 1.0, "{loads:?} of {total}");
        }
    }
}

#[test]
fn a_new_endpoint_with_a_tenth_of_its_weight_is_not_flooded() {
    // At few requests at once most of the rest would go to it if nothing in flight were all that counts.
    let now = views([(100, 2), (100, 2), (10, 0)]);
    let chosen = choose(&mut Turn::default(), Strategy::LeastConnections, &now);
    assert_ne!(chosen, Some(2));
    let now = views([(100, 5), (100, 5), (10, 0)]);
    let chosen = choose(&mut Turn::default(), Strategy::LeastConnections, &now);
    assert_eq!(chosen, Some(2));
}

#[test]
fn two_are_drawn_by_weight() {
    // The same wait for all, so the first that was drawn is chosen.
    let mut endpoints = views([(100, 0), (300, 0), (600, 0)]);
    for endpoint in &mut endpoints {
        endpoint.latency_us = endpoint.weight * 10;
    }
    let found = shares(Strategy::PeakEwma, &endpoints, 100_000);
    assert_shares(&found, &[10_000, 30_000, 60_000], 3);
    endpoints[1].standing = Standing::Tried;
    let found = shares(Strategy::PeakEwma, &endpoints, 70_000);
    assert_shares(&found, &[10_000, 0, 60_000], 3);
}

#[test]
fn the_shorter_wait_of_two_wins() {
    let of = |endpoints: &[(u32, u32, u32)]| -> Vec<usize> {
        let view = |&(weight, load, latency_us): &(u32, u32, u32)| View {
            latency_us,
            ..view(weight, load)
        };
        shares(Strategy::PeakEwma, &endpoints.iter().map(view).collect::<Vec<View>>(), 30_000)
    };
    assert_eq!(of(&[(100, 0, 5000), (100, 0, 4000)]), [0, 30_000]);
    assert_eq!(of(&[(100, 9, 4000), (100, 6, 5000)]), [0, 30_000]);
    assert_eq!(of(&[(300, 2, 5000), (100, 0, 4000)]), [0, 30_000]);
    assert_eq!(of(&[(300, 1, 5000), (100, 0, 4000)]), [30_000, 0]);
    // Of three each pair is as likely; the slowest is never chosen, the quickest whenever it is drawn.
    assert_shares(&of(&[(100, 0, 3000), (100, 0, 2000), (100, 0, 1000)]), &[0, 10_000, 20_000], 3);
}

#[test]
fn who_is_not_measured_gets_a_few_and_then_waits() {
    let mut endpoints = views([(100, 0), (100, 50)]);
    endpoints[1].latency_us = 2;
    let mut turn = Turn::default();
    for dice in 0..100_u64 {
        let dice = dice.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let chosen = turn.choose(Strategy::PeakEwma, &endpoints, None, None, dice);
        endpoints[chosen.unwrap()].load += 1;
    }
    assert_eq!(endpoints[0].load, UNMEASURED_LOAD_MAX);
    // Where nobody is, they fill up evenly.
    let mut endpoints = views([(100, 0); 4]);
    let mut dice = Dice(3);
    for _ in 0..400 {
        let chosen = turn.choose(Strategy::PeakEwma, &endpoints, None, None, dice.roll());
        endpoints[chosen.unwrap()].load += 1;
    }
    assert!(endpoints.iter().all(|endpoint| (90..=110).contains(&endpoint.load)), "{endpoints:?}");
}

#[test]
fn a_key_goes_home_and_from_there_to_the_next_with_room() {
    let mut endpoints = views([(100, 0), (200, 0), (100, 0), (100, 0)]);
    let ring = ring(&endpoints);
    let mut turn = Turn::default();
    for number in 0..1000_u64 {
        let key = key(&number.to_le_bytes());
        let mut at = |views: &[View]| {
            turn.choose(Strategy::Hash, views, Some(&ring), Some(key), number).unwrap()
        };
        let home = at(&endpoints);
        assert_eq!(Some(home), ring.home(key));
        // Out, or full: the same next one; back again: home.
        endpoints[home].standing = Standing::Ejected;
        let next = at(&endpoints);
        endpoints[home].standing = Standing::Usable;
        endpoints[home].load = 10;
        assert_eq!(at(&endpoints), next);
        endpoints[home].load = 0;
        assert_ne!(home, next);
        assert_eq!(at(&endpoints), home);
    }
    // Without a key or without a ring the least loaded.
    endpoints[0].load = 1;
    endpoints[1].load = 9;
    endpoints[2].load = 1;
    for (ring, key) in [(Some(&ring), None), (None, Some(7)), (None, None)] {
        assert_eq!(turn.choose(Strategy::Hash, &endpoints, ring, key, 0), Some(3));
    }
}

#[test]
fn nobody_takes_more_than_the_bound() {
    for (factor, weights) in [(100, [100, 100, 100]), (125, [300, 200, 100]), (300, [100, 10, 1])] {
        let mut endpoints = weights.map(|weight| view(weight, 0));
        let urls = ["http://a", "http://b", "http://c"];
        let ring = Ring::new(urls.into_iter().zip(weights), factor);
        let (mut turn, mut dice) = (Turn::default(), Dice(9));
        let sum: u32 = weights.iter().sum();
        for step in 0..20_000 {
            let total: u32 = endpoints.iter().map(|endpoint| endpoint.load).sum();
            let is_end = total > 0 && dice.below(1000) < if step < 5000 { 300 } else { 499 };
            if is_end {
                let busy: Vec<usize> = (0..3).filter(|at| endpoints[*at].load > 0).collect();
                endpoints[busy[dice.below(busy.len())]].load -= 1;
                continue;
            }
            // One key in the world: the worst there is.
            let dice = dice.roll();
            let chosen =
                turn.choose(Strategy::Hash, &endpoints, Some(&ring), Some(5), dice).unwrap();
            let endpoint = &mut endpoints[chosen];
            endpoint.load += 1;
            let bound = (u64::from(factor) * u64::from(total) * u64::from(endpoint.weight))
                .div_ceil(100 * u64::from(sum));
            assert!(u64::from(endpoint.load) <= bound + 1, "{endpoint:?} of {total}");
        }
    }
}

#[test]
fn keys_share_by_weight_and_come_slowly_to_who_starts_slowly() {
    let endpoints = views([(100, 0), (200, 0), (300, 0), (400, 0)]);
    let found = shares(Strategy::Hash, &endpoints, 100_000);
    assert_shares(&found, &[10_000, 20_000, 30_000, 40_000], 3);
    let found = shares(Strategy::Hash, &views([(100, 0), (100, 0), (10, 0)]), 105_000);
    assert_shares(&found, &[50_000, 50_000, 5_000], 5);
}

/// A view of any kind, with the bounds of its numbers now and then.
fn any(dice: &mut Dice) -> View {
    let mut number = || match dice.below(5) {
        0 => 0,
        1 => u32::MAX,
        _ => u32::try_from(dice.below(1000)).unwrap(),
    };
    let (weight, load, latency_us) = (number(), number(), number());
    let standing = match dice.below(2) {
        0 => Standing::Usable,
        _ => Standing::ALL[dice.below(Standing::ALL.len())],
    };
    View { weight, load, latency_us, standing }
}

#[test]
fn whatever_the_views_only_who_is_usable_is_chosen_and_somebody_if_anybody() {
    let mut dice = Dice(77);
    for &strategy in Strategy::ALL {
        let mut turn = Turn::default();
        for _ in 0..20_000 {
            let count = dice.below(9);
            let endpoints: Vec<View> = (0..count).map(|_| any(&mut dice)).collect();
            let ring = ring(&endpoints[..count.min(dice.below(40))]);
            let ring = (dice.below(5) > 0).then_some(&ring);
            let key = (dice.below(5) > 0).then(|| dice.roll());
            let edge = [0, u64::MAX, dice.roll(), dice.roll()][dice.below(4)];
            let chosen = turn.choose(strategy, &endpoints, ring, key, edge);
            let may = |view: &View| view.standing == Standing::Usable && view.weight > 0;
            assert!(chosen.is_none_or(|index| may(&endpoints[index])), "{strategy:?}");
            assert_eq!(chosen.is_some(), endpoints.iter().any(may), "{strategy:?} {endpoints:?}");
            if let Some(index) = least_bad(&endpoints) {
                assert!(endpoints[index].standing.badness().is_some());
            }
        }
    }
}

#[test]
fn the_least_bad_is_the_least_bad() {
    let order = [
        &[Standing::Paused][..],
        &[Standing::Ejected],
        &[Standing::Due, Standing::Open],
        &[Standing::Unhealthy],
        &[Standing::CredentialBad],
    ];
    let never =
        [Standing::Tried, Standing::NoAddress, Standing::Weightless, Standing::Full, Standing::Far];
    assert_eq!(
        order.iter().map(|same| same.len()).sum::<usize>() + never.len() + 1,
        Standing::ALL.len()
    );
    let at = |standing, load| View { standing, ..view(100, load) };
    for (place, &better) in order.iter().enumerate() {
        for &good in better {
            for &bad in order[place + 1..].iter().copied().flatten().chain(&never) {
                assert_eq!(least_bad(&[at(bad, 0), at(good, 9)]), Some(1), "{bad:?} {good:?}");
                assert_eq!(least_bad(&[at(good, 9), at(bad, 0)]), Some(0), "{bad:?} {good:?}");
            }
            for &same in better {
                assert_eq!(least_bad(&[at(good, 2), at(same, 1)]), Some(1));
                assert_eq!(least_bad(&[at(good, 1), at(same, 1)]), Some(0));
                assert_eq!(least_bad(&[at(good, 2), View { weight: 300, ..at(same, 4) }]), Some(1));
            }
        }
    }
    for never in never {
        assert_eq!(least_bad(&[at(never, 0)]), None);
    }
    assert_eq!(least_bad(&[]), None);
    assert_eq!(least_bad(&[View { weight: 0, ..at(Standing::Open, 0) }]), None);
}

#[test]
fn the_score_says_what_decides() {
    let mut dice = Dice(5);
    let mut turn = Turn::default();
    for _ in 0..5000 {
        let endpoints: Vec<View> = (0..5)
            .map(|_| View {
                weight: 1 + u32::try_from(dice.below(500)).unwrap(),
                load: 1 + u32::try_from(dice.below(50)).unwrap(),
                latency_us: u32::try_from(dice.below(90_000)).unwrap(),
                standing: Standing::Usable,
            })
            .collect();
        let strategy = Strategy::WeightedLeastConnections;
        let chosen = choose(&mut turn, strategy, &endpoints).unwrap();
        let least = endpoints.iter().map(|view| score(strategy, view)).fold(f64::MAX, f64::min);
        assert!(score(strategy, &endpoints[chosen]) <= least * 1.000_001);
        let strategy = Strategy::PeakEwma;
        let two = &endpoints[..2];
        let chosen = turn.choose(strategy, two, None, None, dice.roll()).unwrap();
        assert!(score(strategy, &two[chosen]) <= score(strategy, &two[1 - chosen]) * 1.000_001);
    }
    assert!(
        score(Strategy::RoundRobin, &view(300, 1)) < score(Strategy::RoundRobin, &view(100, 0))
    );
    for &strategy in Strategy::ALL {
        assert!(score(strategy, &view(0, u32::MAX)).is_finite());
    }
}

mod streams;
