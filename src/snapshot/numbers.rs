//! Numbers that stand for things as long as anybody has these, and then for others.
//!
//! Who comes back soon gets the number from before: what is unheld is remembered, and of what is remembered too long or too much the
//! number that was unheld for longest goes to the next. Pure: who holds what is an argument.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::hash::Hash;

/// A number, and how many have had it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) number: u32,
    /// Another generation of a number is another thing: nothing that was counted for it holds.
    pub(super) generation: u32,
}

/// The numbers given out so far, from zero on.
#[derive(Debug)]
pub(super) struct Numbers<K> {
    /// How many there are.
    most: usize,
    /// How many things are remembered that nobody holds, as long as there are numbers that were never given out.
    remembered: usize,
    known: HashMap<K, u32>,
    /// By number.
    owners: Vec<Owner<K>>,
    /// Numbers that nobody holds, the one that was let go first at the front; and some that are held again.
    unheld: VecDeque<u32>,
    held: usize,
}

#[derive(Debug)]
struct Owner<K> {
    key: K,
    generation: u32,
    is_held: bool,
}

impl<K: Clone + Eq + Hash> Numbers<K> {
    /// Numbers below `most`; so many are kept for things that nobody holds, before they are given to others.
    pub(super) fn new(most: usize, remembered: usize) -> Self {
        let most = most.min(u32::MAX as usize);
        let (known, unheld) = (HashMap::new(), VecDeque::new());
        Self { most, remembered, known, owners: Vec::new(), unheld, held: 0 }
    }

    /// How many there are.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// How many stand for something that somebody holds.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Whether all of these can have a number beside what is held.
    pub(super) fn has_room_for<'k>(&self, keys: impl Iterator<Item = &'k K>) -> bool
    where
        K: 'k,
    {
        let is_new = |key: &&K| self.owner(key).is_none_or(|owner| !owner.is_held);
        let new: HashSet<&K> = keys.filter(is_new).collect();
        self.held + new.len() <= self.most
    }

    /// Whether a number that was given still stands for the same thing, which `is_key` knows, and is held.
    pub(super) fn has(&self, given: Given, is_key: impl Fn(&K) -> bool) -> bool {
        let owner = self.owners.get(given.number as usize);
        owner.is_some_and(|it| it.is_held && it.generation == given.generation && is_key(&it.key))
    }

    /// The number of a thing, which is held from now on until [`Self::note_held`] says otherwise; none: all are held.
    pub(super) fn give(&mut self, key: &K) -> Option<Given> {
        if let Some(number) = self.known.get(key).copied() {
            return self.hold(number);
        }
        let is_new_left = self.owners.len() < self.most;
        let is_enough_remembered = self.owners.len() - self.held > self.remembered;
        let number = match self.longest_unheld(!is_new_left || is_enough_remembered) {
            Some(number) => {
                let owner = self.owners.get_mut(number as usize)?;
                owner.generation = owner.generation.wrapping_add(1);
                let before = std::mem::replace(&mut owner.key, key.clone());
                self.known.remove(&before);
                number
            }
            None if is_new_left => {
                let number = u32::try_from(self.owners.len()).ok()?;
                let key = key.clone();
                self.owners.push(Owner { key, generation: 0, is_held: false });
                number
            }
            None => return None,
        };
        self.known.insert(key.clone(), number);
        self.hold(number)
    }

    /// Says of each number whether anybody holds what it stands for.
    pub(super) fn note_held(&mut self, is_held: impl Fn(u32) -> bool) {
        let owners = &self.owners;
        self.unheld
            .retain(|number| owners.get(*number as usize).is_some_and(|owner| !owner.is_held));
        for (number, owner) in (0..).zip(&mut self.owners) {
            match (owner.is_held, is_held(number)) {
                (true, false) => {
                    self.unheld.push_back(number);
                    self.held -= 1;
                }
                (false, true) => self.held += 1,
                _ => {}
            }
            owner.is_held = is_held(number);
        }
    }

    fn owner(&self, key: &K) -> Option<&Owner<K>> {
        self.owners.get(*self.known.get(key)? as usize)
    }

    fn hold(&mut self, number: u32) -> Option<Given> {
        let owner = self.owners.get_mut(number as usize)?;
        if !owner.is_held {
            owner.is_held = true;
            self.held += 1;
        }
        Some(Given { number, generation: owner.generation })
    }

    /// Takes the number out that was let go first, if one is wanted and there is one.
    fn longest_unheld(&mut self, is_wanted: bool) -> Option<u32> {
        let owners = &self.owners;
        let mut numbers = std::iter::from_fn(|| self.unheld.pop_front());
        let is_unheld = |number: &u32| owners.get(*number as usize).is_some_and(|it| !it.is_held);
        if is_wanted { numbers.find(is_unheld) } else { None }
    }
}

#[cfg(test)]
mod tests;
