//! Idle connections of one shard, by endpoint: the last one given back is the first one taken.

use std::time::Duration;

use crate::units::Moment;
use crate::units::SlotId;

/// What is kept of one endpoint's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Idle connections kept, for each shard.
    pub idle_max: usize,
    /// How long one may be idle.
    pub idle: Duration,
    /// How old one may get.
    pub age: Duration,
}

/// Why a connection was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retired {
    /// It was idle for too long.
    Idle,
    /// It has reached its age.
    Age,
    /// There are enough idle ones.
    Surplus,
    /// The endpoint closed it or sent what nobody asked for.
    Broken,
    /// Its endpoint is not in the snapshot any more.
    Removed,
}

/// Idle connections of type `C`.
pub struct Pool<C> {
    shelves: Vec<Vec<Idle<C>>>,
    idle: usize,
}

struct Idle<C> {
    connection: C,
    opened: Moment,
    since: Moment,
}

impl<C> Default for Pool<C> {
    fn default() -> Self {
        Self { shelves: Vec::new(), idle: 0 }
    }
}

impl<C> Pool<C> {
    /// Takes the connection that was given back last and has not outlived its limits.
    /// Those found to have outlived them are handed to `retire`.
    pub fn take(
        &mut self,
        slot: SlotId,
        limits: Limits,
        now: Moment,
        mut retire: impl FnMut(C, Retired),
    ) -> Option<C> {
        let shelf = self.shelves.get_mut(slot.index())?;
        while let Some(idle) = shelf.pop() {
            self.idle -= 1;
            match outlived(&idle, limits, now) {
                None => return Some(idle.connection),
                Some(reason) => retire(idle.connection, reason),
            }
        }
        None
    }

    /// Gives a connection back that was opened at `opened`.
    ///
    /// # Errors
    /// The connection and why it is not kept.
    pub fn give(
        &mut self,
        slot: SlotId,
        connection: C,
        opened: Moment,
        limits: Limits,
        now: Moment,
    ) -> Result<(), (C, Retired)> {
        if now.since(opened) >= limits.age {
            return Err((connection, Retired::Age));
        }
        while self.shelves.len() <= slot.index() {
            self.shelves.push(Vec::new());
        }
        let Some(shelf) = self.shelves.get_mut(slot.index()) else {
            return Err((connection, Retired::Surplus));
        };
        if shelf.len() >= limits.idle_max {
            return Err((connection, Retired::Surplus));
        }
        shelf.push(Idle { connection, opened, since: now });
        self.idle += 1;
        Ok(())
    }

    /// Retires what has outlived its limits or is not alive any more. `limits` knows an endpoint's limits, or
    /// that it is gone.
    pub fn sweep(
        &mut self,
        now: Moment,
        limits: impl Fn(SlotId) -> Option<Limits>,
        mut is_alive: impl FnMut(&mut C) -> bool,
        mut retire: impl FnMut(C, Retired),
    ) {
        for (slot, shelf) in (0_u32..).map(SlotId).zip(&mut self.shelves) {
            let Some(kept_by) = limits(slot) else {
                self.idle -= shelf.len();
                shelf.drain(..).for_each(|idle| retire(idle.connection, Retired::Removed));
                continue;
            };
            let worn = shelf.extract_if(.., |idle| {
                outlived(idle, kept_by, now).is_some() || !is_alive(&mut idle.connection)
            });
            for idle in worn {
                self.idle -= 1;
                let reason = outlived(&idle, kept_by, now).unwrap_or(Retired::Broken);
                retire(idle.connection, reason);
            }
        }
    }

    /// How many connections are idle.
    #[must_use]
    pub const fn idle(&self) -> usize {
        self.idle
    }
}

fn outlived<C>(idle: &Idle<C>, limits: Limits, now: Moment) -> Option<Retired> {
    if now.since(idle.opened) >= limits.age {
        return Some(Retired::Age);
    }
    (now.since(idle.since) >= limits.idle).then_some(Retired::Idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: SlotId = SlotId(3);
    const LIMITS: Limits =
        Limits { idle_max: 2, idle: Duration::from_secs(10), age: Duration::from_secs(60) };

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn the_last_one_given_is_the_first_one_taken() {
        let mut pool = Pool::default();
        pool.give(SLOT, 'a', at(0), LIMITS, at(0)).unwrap();
        pool.give(SLOT, 'b', at(0), LIMITS, at(1)).unwrap();
        assert_eq!(pool.give(SLOT, 'c', at(0), LIMITS, at(1)), Err(('c', Retired::Surplus)));
        let mut none = |_, _| panic!("nothing to retire");
        assert_eq!(pool.take(SLOT, LIMITS, at(2), &mut none), Some('b'));
        assert_eq!(pool.take(SLOT, LIMITS, at(2), &mut none), Some('a'));
        assert_eq!(pool.take(SLOT, LIMITS, at(2), &mut none), None);
        assert_eq!(pool.take(SlotId(0), LIMITS, at(2), &mut none), None);
        assert_eq!(pool.idle(), 0);
    }

    #[test]
    fn age_and_idleness_retire() {
        let mut pool = Pool::default();
        assert_eq!(pool.give(SLOT, 'o', at(0), LIMITS, at(60)), Err(('o', Retired::Age)));
        pool.give(SLOT, 'a', at(0), LIMITS, at(49)).unwrap();
        pool.give(SLOT, 'b', at(40), LIMITS, at(50)).unwrap();
        let mut retired = Vec::new();
        assert_eq!(pool.take(SLOT, LIMITS, at(61), |c, why| retired.push((c, why))), None);
        assert_eq!(retired, [('b', Retired::Idle), ('a', Retired::Age)]);
    }

    #[test]
    fn a_sweep_closes_what_is_broken_or_removed() {
        let mut pool = Pool::default();
        for (slot, name) in [(SLOT, 'a'), (SLOT, 'b'), (SlotId(1), 'r')] {
            pool.give(slot, name, at(0), LIMITS, at(0)).unwrap();
        }
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
}
