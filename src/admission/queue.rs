//! Who waits for a limit or for an endpoint, and whose turn it is: by priority, between tenants in turn, and within a tenant
//! the first comes first.

use std::collections::HashMap;
use std::collections::VecDeque;

use crate::units::GroupId;
use crate::units::QuotaId;
use crate::units::TenantId;

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// That a limit has room.
    Limit(QuotaId),
    /// That one of an upstream's endpoints has a place, all of which are full. Where a change of the config has put others in their
    /// place, or has given them more places, those that come stand in a line of their own: they can be served while the others
    /// cannot.
    Endpoints(GroupId),
}

/// Whose requests wait shorter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Before the others.
    High,
    /// As most are.
    #[default]
    Normal,
    /// After the others.
    Low,
}

impl Priority {
    /// All of them, the highest first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The name in the config.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// Where a lower priority waits as well, one turn in so many is not for the higher one. So nobody starves: with all three
/// waiting all the time, of 64 turns 56 are for the high one, 7 for the normal one, and 1 for the low one.
const TURNS_PER_YIELD: u8 = 8;

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    line: Line,
    tenant: Option<TenantId>,
    priority: Priority,
    number: u64,
}

/// There is no room for one more to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The requests of one shard that wait, by what they wait for.
#[derive(Debug)]
pub struct Queue {
    lines: HashMap<Line, Crowd>,
    waiting: usize,
    waiting_max: usize,
    numbers: u64,
}

/// Those that wait in one line.
#[derive(Debug, Default)]
struct Crowd {
    /// By priority, the highest first.
    ranks: [Rank; Priority::ALL.len()],
    waiting: usize,
}

/// Those of one priority.
#[derive(Debug, Default)]
struct Rank {
    /// Tenants in the order of their turns, each with its requests in the order they came; none is empty.
    tenants: VecDeque<(Option<TenantId>, VecDeque<u64>)>,
    /// Turns it had since a lower one had the last, all of them while a lower one waited. Kept while nobody of this rank
    /// waits: one who always comes just in time must not pass the lower ones over for ever.
    turns: u8,
}

impl Queue {
    /// A queue in which at most `waiting_max` requests wait, in whatever line.
    #[must_use]
    pub fn new(waiting_max: usize) -> Self {
        Self { lines: HashMap::new(), waiting: 0, waiting_max, numbers: 0 }
    }

    /// How many wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many wait in this line.
    #[must_use]
    pub fn waiting_for(&self, line: Line) -> usize {
        self.lines.get(&line).map_or(0, |crowd| crowd.waiting)
    }

    /// Begins to wait in `line`, in which at most `line_max` may wait.
    ///
    /// # Errors
    /// So many wait already.
    pub fn enter(
        &mut self,
        line: Line,
        tenant: Option<TenantId>,
        priority: Priority,
        line_max: usize,
    ) -> Result<Ticket, Full> {
        if self.waiting >= self.waiting_max || self.waiting_for(line) >= line_max {
            return Err(Full);
        }
        let number = self.numbers;
        self.numbers += 1;
        self.waiting += 1;
        let crowd = self.lines.entry(line).or_default();
        crowd.waiting += 1;
        crowd.rank(priority).enter(tenant, number);
        Ok(Ticket { line, tenant, priority, number })
    }

    /// Whether it is this one's turn to try.
    #[must_use]
    pub fn is_first(&self, ticket: &Ticket) -> bool {
        self.first(ticket.line) == Some(*ticket)
    }

    /// Whose turn it is. Who enters may be it from then on, or it stays who it was; who leaves changes it only if it was
    /// this one's.
    #[must_use]
    pub fn first(&self, line: Line) -> Option<Ticket> {
        let (priority, rank) = self.lines.get(&line)?.turn()?;
        let (tenant, requests) = rank.tenants.front()?;
        Some(Ticket { line, tenant: *tenant, priority, number: *requests.front()? })
    }

    /// Whose turn it is in the line that this one waits in, or has waited in.
    #[must_use]
    pub fn next_after(&self, ticket: &Ticket) -> Option<Ticket> {
        self.first(ticket.line)
    }

    /// No longer waits: it was let in (`is_served`: it has used a turn of its tenant and of its priority) or has given up.
    pub fn leave(&mut self, ticket: &Ticket, is_served: bool) {
        let Some(crowd) = self.lines.get_mut(&ticket.line) else { return };
        if !crowd.rank(ticket.priority).leave(ticket.tenant, ticket.number, is_served) {
            return;
        }
        crowd.waiting -= 1;
        self.waiting -= 1;
        if crowd.waiting == 0 {
            self.lines.remove(&ticket.line);
        } else if is_served {
            crowd.note_turn(ticket.priority);
        }
    }
}

impl Crowd {
    fn rank(&mut self, priority: Priority) -> &mut Rank {
        let [high, normal, low] = &mut self.ranks;
        match priority {
            Priority::High => high,
            Priority::Normal => normal,
            Priority::Low => low,
        }
    }

    /// The priority whose turn it is: the highest that waits and does not owe one to a lower one that waits.
    fn turn(&self) -> Option<(Priority, &Rank)> {
        let mut turn = None;
        for (priority, rank) in Priority::ALL.into_iter().zip(&self.ranks) {
            if rank.is_empty() {
                continue;
            }
            turn = Some((priority, rank));
            if rank.turns < TURNS_PER_YIELD - 1 {
                break;
            }
        }
        turn
    }

    /// One of this priority was served: what the higher ones owed is paid, and it owes the lower ones more, if any wait.
    fn note_turn(&mut self, served: Priority) {
        let has_lower = (Priority::ALL.into_iter().zip(&self.ranks))
            .any(|(priority, rank)| priority > served && !rank.is_empty());
        for (priority, rank) in Priority::ALL.into_iter().zip(&mut self.ranks) {
            if priority < served {
                rank.turns = 0;
            } else if priority == served {
                let turns = rank.turns.saturating_add(1).min(TURNS_PER_YIELD - 1);
                rank.turns = if has_lower { turns } else { 0 };
            }
        }
    }
}

impl Rank {
    fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }

    fn enter(&mut self, tenant: Option<TenantId>, number: u64) {
        match self.tenants.iter_mut().find(|(known, _)| *known == tenant) {
            Some((_, requests)) => requests.push_back(number),
            // A tenant that had nobody waiting comes after those that have.
            None => self.tenants.push_back((tenant, VecDeque::from([number]))),
        }
    }

    /// Whether it was there.
    fn leave(&mut self, tenant: Option<TenantId>, number: u64, is_served: bool) -> bool {
        let place = self.tenants.iter().position(|(known, _)| *known == tenant);
        let Some(place) = place else { return false };
        let Some((_, requests)) = self.tenants.get_mut(place) else { return false };
        // Numbers rise, so that they are in order.
        let Ok(index) = requests.binary_search(&number) else { return false };
        requests.remove(index);
        if requests.is_empty() {
            self.tenants.remove(place);
        } else if is_served && let Some(tenant) = self.tenants.remove(place) {
            self.tenants.push_back(tenant);
        }
        true
    }
}

#[cfg(test)]
mod tests;
