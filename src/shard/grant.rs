//! What a request was let in with: its caller, and what is reserved for it in the node's limits.

use std::cell::Cell;
use std::time::Duration;

use crate::admission::Caller;
use crate::admission::fields::Standings;
use crate::admission::limit::Kind;
use crate::admission::limit::Limit;
use crate::admission::limit::Scope;
use crate::admission::limit::Short;
use crate::admission::step::End;
use crate::ring::clock;
use crate::shard::Shard;

/// What a request was let in with. Dropping it gives back what was not used: also if the request was given up, and if a
/// bug ended it.
pub(super) struct Grant<'s> {
    shard: &'s Shard,
    /// Who asks.
    pub(super) caller: Caller,
    /// How long it has waited for its turn at a limit.
    pub(super) waited: Duration,
    held: Vec<Held>,
    /// Tokens that were used, once that is known.
    used: Cell<u32>,
    /// How it ended: the status, and what went wrong.
    end: Cell<(u16, Option<&'static str>)>,
}

/// What was taken of one limit.
#[derive(Clone, Copy)]
struct Held {
    limit: Limit,
    amount: u32,
    /// Under which epoch of the limit.
    epoch: u32,
}

/// A limit that has too little left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full {
    /// Which.
    pub(super) limit: Limit,
    /// How it stands.
    pub(super) short: Short,
}

impl<'s> Grant<'s> {
    /// What this caller was let in with: nothing is reserved yet.
    pub(super) fn new(shard: &'s Shard, caller: Caller) -> Self {
        let (used, end) = (Cell::new(0), Cell::new((0, None)));
        Self { shard, caller, waited: Duration::ZERO, held: Vec::new(), used, end }
    }

    /// Takes one request, one place and so many tokens of each of these limits of which nothing is held yet; of all, or of
    /// none. Returns how they stand then.
    pub(super) fn reserve(
        &mut self,
        limits: impl Iterator<Item = Limit>,
        tokens: u32,
    ) -> Result<Standings, Full> {
        let (book, id, now) = (&self.shard.book, self.shard.id, clock::recent());
        let mut standings = Standings::default();
        let before = self.held.len();
        for limit in limits {
            let kind = limit.rule.kind();
            let amount = if kind == Kind::Tokens { tokens } else { 1 };
            let is_held = self.held.iter().take(before).any(|held| held.limit.id == limit.id);
            if is_held {
                if kind != Kind::Concurrency {
                    standings.note(kind, book.standing(&limit, now));
                }
                continue;
            }
            match book.take(id, &limit, amount, now) {
                Ok(epoch) => self.held.push(Held { limit, amount, epoch }),
                Err(short) => {
                    self.give_back_from(before);
                    return Err(Full { limit, short });
                }
            }
            if kind != Kind::Concurrency {
                standings.note(kind, book.standing(&limit, now));
            }
        }
        Ok(standings)
    }

    /// Whether tokens are counted for this request.
    pub(super) fn counts_tokens(&self) -> bool {
        self.held.iter().any(|held| held.limit.rule.kind() == Kind::Tokens)
    }

    /// So many tokens were used. The request itself stays counted.
    pub(super) fn settle(&self, tokens: u64) {
        self.used.set(u32::try_from(tokens).unwrap_or(u32::MAX));
    }

    /// How it ended, for the steps that have seen it.
    pub(super) fn ended(&self, status: u16, trouble: Option<&'static str>) {
        self.end.set((status, trouble));
    }

    /// How many limits something is held of.
    pub(super) fn reserved(&self) -> usize {
        self.held.len()
    }

    /// Another model is asked than the one, or those, for which the first `reserved` limits were taken: gives back the places and
    /// the tokens of limits that are theirs. That they were asked stays counted.
    pub(super) fn leave_models(&mut self, reserved: usize) {
        let (book, now) = (&self.shard.book, clock::recent());
        let is_left = |limit: &Limit| {
            let is_of_model = matches!(limit.scope, Scope::Model | Scope::TenantModel);
            is_of_model && limit.rule.kind() != Kind::Requests
        };
        let left =
            self.held.extract_if(..reserved.min(self.held.len()), |held| is_left(&held.limit));
        for held in left {
            book.give(&held.limit, held.amount, held.epoch, now);
        }
    }

    /// Gives back what was taken after the first so many limits.
    pub(super) fn give_back_from(&mut self, first: usize) {
        let now = clock::recent();
        for held in self.held.drain(first..) {
            self.shard.book.give(&held.limit, held.amount, held.epoch, now);
        }
    }
}

impl Drop for Grant<'_> {
    fn drop(&mut self) {
        let (book, used, now) = (&self.shard.book, self.used.get(), clock::recent());
        for held in self.held.drain(..) {
            match held.limit.rule.kind() {
                Kind::Requests => {}
                Kind::Concurrency => book.give(&held.limit, held.amount, held.epoch, now),
                Kind::Tokens if used < held.amount => {
                    book.give(&held.limit, held.amount - used, held.epoch, now);
                }
                Kind::Tokens => book.charge(&held.limit, used - held.amount, now),
            }
        }
        if !self.caller.steps.is_empty() {
            let (status, trouble) = self.end.get();
            let end = End { number: self.caller.number, status, trouble };
            self.shard.state.with(|own| own.memory.steps.end(self.caller.steps, &end));
        }
    }
}
