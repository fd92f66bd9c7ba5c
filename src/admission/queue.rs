//! Who waits for a limit, and whose turn it is: tenants take turns, and within a tenant the first comes first.

use std::collections::HashMap;
use std::collections::VecDeque;

use crate::units::QuotaId;
use crate::units::TenantId;

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    quota: QuotaId,
    tenant: Option<TenantId>,
    number: u64,
}

/// There is no room for one more to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The requests of one shard that wait, by the limit they wait for.
#[derive(Debug)]
pub struct Queue {
    lines: HashMap<QuotaId, Line>,
    waiting: usize,
    waiting_max: usize,
    numbers: u64,
}

/// Those that wait for one limit.
#[derive(Debug, Default)]
struct Line {
    /// Tenants in the order of their turns, each with its requests in the order they came; none is empty.
    tenants: VecDeque<(Option<TenantId>, VecDeque<u64>)>,
    waiting: usize,
}

impl Queue {
    /// A queue in which at most `waiting_max` requests wait, for whatever limit.
    #[must_use]
    pub fn new(waiting_max: usize) -> Self {
        Self { lines: HashMap::new(), waiting: 0, waiting_max, numbers: 0 }
    }

    /// How many wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many wait for this limit.
    #[must_use]
    pub fn waiting_for(&self, quota: QuotaId) -> usize {
        self.lines.get(&quota).map_or(0, |line| line.waiting)
    }

    /// Begins to wait for `quota`, for which at most `line_max` may wait.
    ///
    /// # Errors
    /// So many wait already.
    pub fn enter(
        &mut self,
        quota: QuotaId,
        tenant: Option<TenantId>,
        line_max: usize,
    ) -> Result<Ticket, Full> {
        if self.waiting >= self.waiting_max || self.waiting_for(quota) >= line_max {
            return Err(Full);
        }
        let number = self.numbers;
        self.numbers += 1;
        self.waiting += 1;
        let line = self.lines.entry(quota).or_default();
        line.waiting += 1;
        match line.tenants.iter_mut().find(|(known, _)| *known == tenant) {
            Some((_, requests)) => requests.push_back(number),
            // A tenant that had nobody waiting comes after those that have.
            None => line.tenants.push_back((tenant, VecDeque::from([number]))),
        }
        Ok(Ticket { quota, tenant, number })
    }

    /// Whether it is this one's turn to try.
    #[must_use]
    pub fn is_first(&self, ticket: &Ticket) -> bool {
        self.first(ticket.quota) == Some(*ticket)
    }

    /// Whose turn it is.
    #[must_use]
    pub fn first(&self, quota: QuotaId) -> Option<Ticket> {
        let (tenant, requests) = self.lines.get(&quota)?.tenants.front()?;
        Some(Ticket { quota, tenant: *tenant, number: *requests.front()? })
    }

    /// No longer waits: it was let in (`is_served`: the turn goes to the next tenant) or has given up.
    pub fn leave(&mut self, ticket: &Ticket, is_served: bool) {
        let Some(line) = self.lines.get_mut(&ticket.quota) else { return };
        let Some(place) = line.tenants.iter().position(|(tenant, _)| *tenant == ticket.tenant)
        else {
            return;
        };
        let Some((_, requests)) = line.tenants.get_mut(place) else { return };
        let before = requests.len();
        requests.retain(|number| *number != ticket.number);
        if requests.len() == before {
            return;
        }
        line.waiting -= 1;
        self.waiting -= 1;
        if requests.is_empty() {
            line.tenants.remove(place);
        } else if is_served && let Some(tenant) = line.tenants.remove(place) {
            line.tenants.push_back(tenant);
        }
        if line.waiting == 0 {
            self.lines.remove(&ticket.quota);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Option<TenantId> = Some(TenantId(1));
    const B: Option<TenantId> = Some(TenantId(2));
    const Q: QuotaId = QuotaId(7);

    #[test]
    fn tenants_take_turns_and_within_one_the_first_comes_first() {
        let mut queue = Queue::new(10);
        let a: Vec<_> = (0..3).map(|_| queue.enter(Q, A, 10).unwrap()).collect();
        let b: Vec<_> = (0..2).map(|_| queue.enter(Q, B, 10).unwrap()).collect();
        let nobodys = queue.enter(Q, None, 10).unwrap();
        let mut served = Vec::new();
        while let Some(first) = queue.first(Q) {
            assert!(queue.is_first(&first));
            queue.leave(&first, true);
            served.push(first);
        }
        assert_eq!(served, [a[0], b[0], nobodys, a[1], b[1], a[2]]);
        assert_eq!(queue.waiting(), 0);
        assert!(queue.lines.is_empty(), "nothing is kept of a line that is over");
    }

    #[test]
    fn who_gives_up_costs_its_tenant_no_turn() {
        let mut queue = Queue::new(10);
        let a: Vec<_> = (0..3).map(|_| queue.enter(Q, A, 10).unwrap()).collect();
        let b = queue.enter(Q, B, 10).unwrap();
        queue.leave(&a[0], false);
        assert_eq!(queue.first(Q), Some(a[1]));
        queue.leave(&a[2], false);
        queue.leave(&a[2], true);
        queue.leave(&a[1], true);
        assert_eq!((queue.first(Q), queue.waiting()), (Some(b), 1));
    }

    #[test]
    fn lines_and_the_whole_are_bounded() {
        let mut queue = Queue::new(3);
        let first = queue.enter(Q, A, 2).unwrap();
        queue.enter(Q, B, 2).unwrap();
        assert_eq!(queue.enter(Q, B, 2), Err(Full));
        queue.enter(QuotaId(8), A, 2).unwrap();
        assert_eq!(queue.enter(QuotaId(9), A, 2), Err(Full));
        queue.leave(&first, false);
        assert!(queue.enter(QuotaId(9), A, 2).is_ok());
    }

    /// Against a model that looks at everything each time.
    #[test]
    fn it_does_as_a_plain_list_does() {
        let mut dice = 12_345_u64;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % sides
        };
        let mut queue = Queue::new(1000);
        // In the order they came, with how often their tenants had been served when it mattered.
        let mut waiting: Vec<Ticket> = Vec::new();
        let mut order: Vec<Option<TenantId>> = Vec::new();
        for _ in 0..5000 {
            let tenant = Some(TenantId(u32::try_from(roll(5)).unwrap()));
            if roll(2) == 0 {
                waiting.push(queue.enter(Q, tenant, 1000).unwrap());
                if !order.contains(&tenant) {
                    order.push(tenant);
                }
            } else if !waiting.is_empty() {
                let is_served = roll(3) > 0;
                let place = if is_served {
                    waiting.iter().position(|ticket| ticket.tenant == order[0]).unwrap()
                } else {
                    usize::try_from(roll(u64::try_from(waiting.len()).unwrap())).unwrap()
                };
                let ticket = waiting.remove(place);
                if is_served {
                    assert_eq!(queue.first(Q), Some(ticket));
                }
                queue.leave(&ticket, is_served);
                let has_more = waiting.iter().any(|other| other.tenant == ticket.tenant);
                if is_served || !has_more {
                    order.retain(|tenant| *tenant != ticket.tenant);
                }
                if is_served && has_more {
                    order.push(ticket.tenant);
                }
            }
            assert_eq!(queue.waiting(), waiting.len());
        }
    }
}
