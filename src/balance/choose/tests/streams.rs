//! Streams that come and end at random, on shards that know of each other only what was so a while ago.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::*;
use crate::balance::load::PeakEwma;
use crate::balance::load::slow_start;
use crate::units::Moment;

/// What one shard knows.
#[derive(Clone)]
struct Shard {
    turn: Turn,
    /// In flight by endpoint: its own, exactly.
    own: Vec<u32>,
    /// Those of the others, as of the last tick.
    others: Vec<u32>,
    latencies: Vec<PeakEwma>,
}

/// Several shards in front of the same endpoints. Times are in microseconds.
struct Node {
    shards: Vec<Shard>,
    /// When streams end, and whose they are: shard and endpoint.
    ends: BinaryHeap<Reverse<(u64, usize, usize)>>,
    now: u64,
    ticked: u64,
    dice: Dice,
}

impl Node {
    fn new(shards: usize, endpoints: usize) -> Self {
        let shard = Shard {
            turn: Turn::default(),
            own: vec![0; endpoints],
            others: vec![0; endpoints],
            latencies: vec![PeakEwma::default(); endpoints],
        };
        Self {
            shards: vec![shard; shards],
            ends: BinaryHeap::new(),
            now: 0,
            ticked: 0,
            dice: Dice(2026),
        }
    }

    fn load(&self, endpoint: usize) -> u32 {
        self.shards.iter().map(|shard| shard.own[endpoint]).sum()
    }

    fn loads(&self) -> Vec<u32> {
        (0..self.shards[0].own.len()).map(|endpoint| self.load(endpoint)).collect()
    }

    /// Time goes on: streams end, and every so often shards learn of each other.
    fn advance(&mut self, micros: u64, tick: u64) {
        self.now += micros;
        while let Some(Reverse((end, shard, endpoint))) = self.ends.peek().copied() {
            if end > self.now {
                break;
            }
            self.ends.pop();
            self.shards[shard].own[endpoint] -= 1;
        }
        if self.now - self.ticked >= tick {
            self.ticked = self.now;
            let loads = self.loads();
            for shard in &mut self.shards {
                shard.others = loads.iter().zip(&shard.own).map(|(all, own)| all - own).collect();
            }
        }
    }

    /// A stream begins; where it goes.
    fn begin(&mut self, strategy: Strategy, weights: &[u32], mean: impl Fn(usize) -> f64) -> usize {
        let place = self.dice.below(self.shards.len());
        let now = Moment::from_nanos(self.now * 1000);
        let shard = &mut self.shards[place];
        let views: Vec<View> = (0..weights.len())
            .map(|index| View {
                weight: weights[index],
                load: shard.own[index] + shard.others[index],
                latency_us: shard.latencies[index].value(now),
                standing: Standing::Usable,
            })
            .collect();
        let chosen = shard.turn.choose(strategy, &views, None, None, self.dice.roll()).unwrap();
        shard.own[chosen] += 1;
        let span = Duration::from_secs_f64(self.dice.span(mean(chosen)));
        let end = self.now + u64::try_from(span.as_micros()).unwrap();
        self.ends.push(Reverse((end, place, chosen)));
        chosen
    }
}

/// How far the loads are from the weights: the greatest part of a share that one is off by.
fn worst(loads: &[u32], weights: &[u32]) -> f64 {
    let total: u32 = loads.iter().sum();
    let sum: u32 = weights.iter().sum();
    let off = |(load, weight): (&u32, &u32)| {
        let share = f64::from(total) * f64::from(*weight) / f64::from(sum);
        (f64::from(*load) - share).abs() / share
    };
    loads.iter().zip(weights).map(off).fold(0.0, f64::max)
}

#[test]
fn long_streams_stay_within_five_percent_of_the_weights_on_two_shards() {
    // 200 a second of 10 s each, that end at random: 2000 at once. Knowledge of the other shard is up to 50 ms old.
    for weights in [&[100, 100, 100][..], &[300, 200, 100], &[100, 100, 400, 400]] {
        let mut node = Node::new(2, weights.len());
        let mut most = 0.0_f64;
        while node.now < 120_000_000 {
            let wait = node.dice.below(10_000) as u64;
            node.advance(wait, 50_000);
            node.begin(Strategy::WeightedLeastConnections, weights, |_| 10.0);
            if node.now > 20_000_000 {
                most = most.max(worst(&node.loads(), weights));
            }
        }
        assert!(most < 0.05, "{weights:?}: {most}");
    }
}

#[test]
fn bursts_and_endpoints_that_take_longer_change_nothing_in_that() {
    // The third endpoint's streams last four times as long, so it gets a quarter of the new ones.
    let weights = [100, 100, 100];
    let mut node = Node::new(2, 3);
    let mut begun = [0_u32; 3];
    let mut most = 0.0_f64;
    while node.now < 200_000_000 {
        node.advance(100_000, 50_000);
        for _ in 0..20 {
            let mean = |endpoint| if endpoint == 2 { 20.0 } else { 5.0 };
            let chosen = node.begin(Strategy::WeightedLeastConnections, &weights, mean);
            if node.now > 60_000_000 {
                begun[chosen] += 1;
            }
        }
        if node.now > 60_000_000 {
            most = most.max(worst(&node.loads(), &weights));
        }
    }
    assert!(most < 0.05, "{most}");
    let quarter = f64::from(begun[2]) / f64::from(begun[0] + begun[1]);
    assert!((0.11..0.14).contains(&quarter), "{begun:?}");
}

#[test]
fn endpoints_that_come_and_go_are_filled_up_and_drained() {
    let mut node = Node::new(2, 4);
    let phases: [&[u32]; 4] =
        [&[100, 100, 0, 0], &[100, 100, 100, 0], &[200, 0, 100, 100], &[100, 100, 100, 100]];
    for (number, weights) in phases.iter().enumerate() {
        let end = (number as u64 + 1) * 100_000_000;
        while node.now < end {
            let wait = node.dice.below(10_000) as u64;
            node.advance(wait, 50_000);
            let chosen = node.begin(Strategy::WeightedLeastConnections, weights, |_| 10.0);
            assert!(weights[chosen] > 0);
        }
        let in_it = |list: &[u32]| -> Vec<u32> {
            list.iter()
                .zip(*weights)
                .filter(|(_, weight)| **weight > 0)
                .map(|(it, _)| *it)
                .collect()
        };
        assert!(worst(&in_it(&node.loads()), &in_it(weights)) < 0.05, "{:?}", node.loads());
    }
}

#[test]
fn in_slow_start_the_share_grows_with_the_weight() {
    let window = Duration::from_secs(60);
    for strategy in [Strategy::RoundRobin, Strategy::LeastConnections] {
        let mut node = Node::new(2, 3);
        let mut begun = [[0_u32; 3]; 6];
        for step in 0..60_000_u64 {
            node.advance(1000, 50_000);
            let age = Duration::from_millis(step);
            let weights = [100, 100, slow_start(100, age, window)];
            let chosen = node.begin(strategy, &weights, |_| 0.5);
            begun[usize::try_from(step / 10_000).unwrap()][chosen] += 1;
        }
        for (part, begun) in begun.iter().enumerate() {
            // The weight in the middle of this part of the window.
            let weight = 10.0 + 90.0 * (part as f64 + 0.5) / 6.0;
            let expected = 10_000.0 * weight / (200.0 + weight);
            let found = f64::from(begun[2]);
            assert!((found / expected - 1.0).abs() < 0.07, "{strategy:?}: {begun:?}, {expected}");
            assert!((f64::from(begun[0]) / f64::from(begun[1]) - 1.0).abs() < 0.05, "{begun:?}");
        }
    }
}

#[test]
fn the_slow_endpoint_is_left_alone_and_tried_again_now_and_then() {
    // Five endpoints, one of which takes 400 ms instead of 20, and is as quick as the others after a minute.
    let weights = [100; 5];
    let mut node = Node::new(2, 5);
    let mut begun = [[0_u32; 5]; 2];
    while node.now < 120_000_000 {
        let wait = node.dice.below(4_000) as u64;
        node.advance(wait, 20_000);
        let is_slow = node.now < 60_000_000;
        let mean = move |endpoint| if endpoint == 3 && is_slow { 0.4 } else { 0.02 };
        let chosen = node.begin(Strategy::PeakEwma, &weights, mean);
        let minute = usize::from(!is_slow);
        // The first byte is seen at the end; that it is seen at once here makes the choice no easier.
        let sample = Duration::from_secs_f64(mean(chosen));
        let now = Moment::from_nanos(node.now * 1000);
        for shard in &mut node.shards {
            shard.latencies[chosen].observe(sample, now);
        }
        if node.now % 60_000_000 > 40_000_000 {
            begun[minute][chosen] += 1;
        }
    }
    let share =
        |minute: usize| f64::from(begun[minute][3]) / f64::from(begun[minute].iter().sum::<u32>());
    assert!(share(0) < 0.01, "{begun:?}");
    assert!((0.15..0.25).contains(&share(1)), "{begun:?}");
}
