//! Random operations on the connections of some endpoints, against plain lists.

use super::*;

/// What a pool must do, told in the plainest way: all connections in lists, all sweeps remembered.
#[derive(Default)]
struct Model {
    /// Idle ones: number, when it was opened, when it was given back.
    idle: Vec<(u32, Moment, Moment)>,
    /// In use, with the moment they were opened.
    in_use: Vec<(u32, Moment)>,
    peak: usize,
    /// Each sweep so far: when it was, and the peak that it found.
    sweeps: Vec<(Moment, usize)>,
}

impl Model {
    fn why(
        &(_, opened, since): &(u32, Moment, Moment),
        limits: Limits,
        now: Moment,
    ) -> Option<Retired> {
        if now.since(opened) >= limits.age {
            Some(Retired::Age)
        } else if now.since(since) >= limits.idle {
            Some(Retired::Idle)
        } else {
            None
        }
    }

    fn begin(&mut self, number: u32, opened: Moment) {
        self.in_use.push((number, opened));
        self.peak = self.peak.max(self.in_use.len());
    }

    fn max(limits: Limits) -> usize {
        limits.connections_max.map_or(usize::MAX, |max| max as usize)
    }

    /// How many idle ones are kept: the highest of all peaks, each faded by every sweep since.
    fn kept(&self, limits: Limits) -> usize {
        let fading = limits.idle.as_secs_f64() / 2.0;
        let (mut needed, mut left) = (0.0_f64, 1.0_f64);
        let mut later = None;
        for (when, peak) in self.sweeps.iter().rev() {
            if let Some(later) = later {
                left *=
                    1.0 - (f64::min(Moment::since(later, *when).as_secs_f64(), fading) / fading);
            }
            needed = needed.max(left * f64::from(u32::try_from(*peak).unwrap()));
            later = Some(*when);
        }
        // The pool's own figure is a fraction of whole numbers.
        let needed = (0..=100_000).find(|whole| f64::from(*whole) >= needed - 1e-6).unwrap();
        let all = usize::try_from(needed).unwrap().max(limits.idle_min).min(Self::max(limits));
        all.saturating_sub(self.in_use.len()).min(limits.idle_max)
    }
}

/// Random operations on one endpoint of several, against the model: the same connection is taken, the same ones are retired
/// for the same reasons, and the counts are right after each step.
#[test]
fn it_does_as_plain_lists_do() {
    for seed in 0..40 {
        walk(seed);
    }
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % sides
    }

    fn pick(&mut self, of: usize) -> usize {
        usize::try_from(self.roll(of.try_into().unwrap())).unwrap()
    }
}

fn walk(seed: u64) {
    let mut dice = Dice(seed);
    let limits = Limits {
        idle_min: dice.pick(4),
        idle_max: 1 + dice.pick(30),
        idle: Duration::from_secs(2 + dice.roll(60)),
        age: Duration::from_secs(30 + dice.roll(200)),
        connections_max: (dice.roll(2) == 0).then(|| 1 + u32::try_from(dice.roll(30)).unwrap()),
    };
    let mut pool: Pool<u32> = Pool::default();
    let mut models: [Model; 3] = Default::default();
    let (mut now, mut numbers) = (at(1), 0);
    for step in 0..2000 {
        // Busy spells and quiet ones.
        let may_begin = if step / 200 % 2 == 0 { 5 } else { 2 };
        now = now.after(Duration::from_millis(dice.roll(200)));
        let index = dice.pick(models.len());
        let (slot, model) = (SlotId(u32::try_from(index).unwrap() * 2), &mut models[index]);
        match dice.roll(10) {
            roll if roll < may_begin => begin(&mut pool, slot, model, limits, now, &mut numbers),
            0..=7 => end(&mut pool, slot, model, limits, now, &mut dice),
            8 => {
                let most = limits.idle_min.min(limits.idle_max).min(Model::max(limits));
                let there = model.idle.len() + model.in_use.len();
                assert_eq!(pool.short(slot, limits), most.saturating_sub(there));
            }
            _ => look_after(&mut pool, &mut models, limits, now, &mut dice),
        }
        assert_eq!(pool.idle(), models.iter().map(|model| model.idle.len()).sum::<usize>());
        for (index, model) in (0..).zip(&models) {
            let count = model.in_use.len();
            assert_eq!(pool.in_use(SlotId(index * 2)), count);
            assert_eq!(pool.is_full(SlotId(index * 2), limits), count >= Model::max(limits));
            assert!(count + model.idle.len() <= Model::max(limits));
            assert!(model.idle.len() <= limits.idle_max);
        }
    }
}

/// A request begins: it takes a connection, or opens one if it may.
fn begin(
    pool: &mut Pool<u32>,
    slot: SlotId,
    model: &mut Model,
    limits: Limits,
    now: Moment,
    numbers: &mut u32,
) {
    let mut retired = Vec::new();
    let taken = pool.take(slot, limits, now, |number, why| retired.push((number, why)));
    let mut expected = Vec::new();
    let good = loop {
        let Some(idle) = model.idle.pop() else { break None };
        match Model::why(&idle, limits, now) {
            None => break Some(idle),
            Some(why) => expected.push((idle.0, why)),
        }
    };
    assert_eq!(retired, expected);
    assert_eq!(taken, good.map(|(number, ..)| number));
    if let Some((number, opened, _)) = good {
        return model.begin(number, opened);
    }
    if !pool.is_full(slot, limits) {
        *numbers += 1;
        pool.opened(slot, limits, none);
        model.begin(*numbers, now);
    }
}

/// A request ends: its connection is given back, or it was of no more use.
fn end(
    pool: &mut Pool<u32>,
    slot: SlotId,
    model: &mut Model,
    limits: Limits,
    now: Moment,
    dice: &mut Dice,
) {
    if model.in_use.is_empty() {
        return;
    }
    let (number, opened) = model.in_use.swap_remove(dice.pick(model.in_use.len()));
    if dice.roll(8) == 0 {
        return pool.closed(slot);
    }
    let expected = if now.since(opened) >= limits.age {
        Err((number, Retired::Age))
    } else if model.idle.len() >= limits.idle_max {
        Err((number, Retired::Surplus))
    } else {
        model.idle.push((number, opened, now));
        Ok(())
    };
    assert_eq!(pool.give(slot, number, opened, limits, now), expected);
}

/// The sweep of all endpoints, of which one connection in ten has broken.
fn look_after(
    pool: &mut Pool<u32>,
    models: &mut [Model; 3],
    limits: Limits,
    now: Moment,
    dice: &mut Dice,
) {
    let broken = u32::try_from(dice.roll(10)).unwrap();
    let is_alive = |number: &mut u32| *number % 10 != broken;
    let mut retired = Vec::new();
    pool.sweep(now, |_| Some(limits), is_alive, |number, why| retired.push((number, why)));
    let mut expected = Vec::new();
    for model in models {
        model.idle.retain(|idle| {
            let broken = (idle.0 % 10 == broken).then_some(Retired::Broken);
            let why = Model::why(idle, limits, now).or(broken);
            expected.extend(why.map(|why| (idle.0, why)));
            why.is_none()
        });
        model.sweeps.push((now, model.peak));
        model.peak = model.in_use.len();
        let surplus = model.idle.len().saturating_sub(model.kept(limits));
        expected.extend(model.idle.drain(..surplus).map(|idle| (idle.0, Retired::Surplus)));
    }
    assert_eq!(retired, expected);
}
