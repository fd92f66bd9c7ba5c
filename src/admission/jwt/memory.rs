//! Tokens that were verified lately: one that comes again costs a look-up instead of a signature.

use std::fmt;
use std::hash::BuildHasher;
use std::rc::Rc;

use foldhash::fast::RandomState;

use super::Claims;

/// Places that a token can be in. As few as that, so that a look-up is short whatever tokens there are.
const WAYS: usize = 8;
/// How many others one token may push out to make room for its bytes.
const PUSHED_MAX: usize = 64;

/// What there is room for on average, for each token.
const TOKEN_BYTES: usize = 2048;

/// The tokens of one shard: bounded in number and bytes, each until it expires or all are forgotten.
///
/// Only what was verified is in it, and only the same bytes find it. (That comparison takes longer the more of a token
/// is right; to be compared at all, the whole of it must have the same hash under a key that nobody knows.)
pub struct TokenMemory {
    places: Box<[Option<Entry>]>,
    hasher: RandomState,
    /// Bytes of the tokens held, and how many there may be.
    bytes: usize,
    bytes_max: usize,
    held: usize,
    /// Grows with each use: the smallest is what was not used for longest.
    turn: u64,
    /// Entries of another one are forgotten.
    generation: u64,
    /// Where to push out next.
    hand: usize,
}

struct Entry {
    hash: u64,
    token: Box<str>,
    claims: Rc<Claims>,
    generation: u64,
    used: u64,
}

impl fmt::Debug for TokenMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held, bytes, .. } = self;
        write!(formatter, "TokenMemory {{ held: {held}, bytes: {bytes} }}")
    }
}

impl Default for TokenMemory {
    fn default() -> Self {
        Self::new(0)
    }
}

impl TokenMemory {
    /// Memory for `tokens_max` tokens (rounded up to a multiple of 8) of 2 KiB on average; none if it is 0.
    #[must_use]
    pub fn new(tokens_max: usize) -> Self {
        Self::with_bytes(tokens_max, tokens_max.saturating_mul(TOKEN_BYTES))
    }

    /// Memory for `tokens_max` tokens (rounded up to a multiple of 8) of `bytes_max` bytes together; none if either is 0.
    #[must_use]
    pub fn with_bytes(tokens_max: usize, bytes_max: usize) -> Self {
        let places = tokens_max.div_ceil(WAYS) * WAYS;
        Self {
            places: std::iter::repeat_with(|| None).take(places).collect(),
            hasher: RandomState::default(),
            bytes: 0,
            bytes_max,
            held: 0,
            turn: 0,
            generation: 0,
            hand: 0,
        }
    }

    /// The claims of a token that was remembered, if it still holds at `now_unix_s`.
    pub fn find(&mut self, token: &str, now_unix_s: u64) -> Option<Rc<Claims>> {
        let hash = self.hasher.hash_one(token);
        let generation = self.generation;
        self.turn += 1;
        let turn = self.turn;
        let is_it = |entry: &&mut Entry| entry.hash == hash && *entry.token == *token;
        let entry = self.ways(hash).iter_mut().flatten().find(is_it)?;
        if entry.generation != generation || now_unix_s >= entry.claims.expires_unix_s {
            return None;
        }
        entry.used = turn;
        Some(Rc::clone(&entry.claims))
    }

    /// Remembers a token that was verified. What was not used for longest makes room.
    pub fn remember(&mut self, token: &str, claims: Rc<Claims>, now_unix_s: u64) {
        let is_worth_it = now_unix_s < claims.expires_unix_s && token.len() <= self.bytes_max;
        if !is_worth_it || self.places.is_empty() {
            return;
        }
        for _ in 0..PUSHED_MAX {
            if self.bytes + token.len() <= self.bytes_max {
                break;
            }
            self.push_out();
        }
        if self.bytes + token.len() > self.bytes_max {
            return;
        }
        self.turn += 1;
        let hash = self.hasher.hash_one(token);
        let (used, generation) = (self.turn, self.generation);
        let order = |place: &&mut Option<Entry>| match place {
            // The same token, where it has been forgotten.
            Some(entry) if entry.hash == hash && *entry.token == *token => (0, 0),
            None => (1, 0),
            Some(entry) if entry.generation != generation => (2, 0),
            Some(entry) if now_unix_s >= entry.claims.expires_unix_s => (2, 0),
            Some(entry) => (3, entry.used),
        };
        let Some(place) = self.ways(hash).iter_mut().min_by_key(order) else { return };
        let before = place.replace(Entry { hash, token: token.into(), claims, generation, used });
        match before {
            Some(entry) => self.bytes -= entry.token.len(),
            None => self.held += 1,
        }
        self.bytes += token.len();
    }

    /// Forgets all: keys, issuers or tenants may be others now.
    pub fn forget(&mut self) {
        self.generation += 1;
    }

    /// How many tokens take up room.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Bytes of the tokens that take up room.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The places of a hash; empty if there is no memory.
    fn ways(&mut self, hash: u64) -> &mut [Option<Entry>] {
        let sets = (self.places.len() / WAYS).max(1) as u64;
        let set = usize::try_from(hash % sets).unwrap_or(0);
        self.places.chunks_mut(WAYS).nth(set).unwrap_or_default()
    }

    /// Empties the next place that is not.
    fn push_out(&mut self) {
        for _ in 0..PUSHED_MAX {
            self.hand = (self.hand + 1) % self.places.len().max(1);
            if let Some(entry) = self.places.get_mut(self.hand).and_then(Option::take) {
                self.bytes -= entry.token.len();
                self.held -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
