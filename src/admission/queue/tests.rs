//! Waiting: whose turn it is, that nobody starves, the bounds, and random comings and goings against a plain list.

use super::*;

const A: Option<TenantId> = Some(TenantId(1));
const B: Option<TenantId> = Some(TenantId(2));
const Q: Line = Line::Limit(QuotaId(7));

fn enter(queue: &mut Queue, tenant: Option<TenantId>, priority: Priority) -> Ticket {
    queue.enter(Q, tenant, priority, usize::MAX).unwrap()
}

fn normal(queue: &mut Queue, tenant: Option<TenantId>) -> Ticket {
    enter(queue, tenant, Priority::Normal)
}

fn serve(queue: &mut Queue) -> Ticket {
    let first = queue.first(Q).unwrap();
    assert!(queue.is_first(&first));
    queue.leave(&first, true);
    first
}

/// How many of so many turns were for high, normal and low, where one more comes for each that was served.
fn turns(queue: &mut Queue, count: usize) -> [usize; 3] {
    let mut served = [0; 3];
    for _ in 0..count {
        let ticket = serve(queue);
        served[ticket.priority as usize] += 1;
        enter(queue, ticket.tenant, ticket.priority);
    }
    served
}

#[test]
fn tenants_take_turns_and_within_one_the_first_comes_first() {
    let mut queue = Queue::new(10);
    let a: Vec<_> = (0..3).map(|_| normal(&mut queue, A)).collect();
    let b: Vec<_> = (0..2).map(|_| normal(&mut queue, B)).collect();
    let nobodys = normal(&mut queue, None);
    let served: Vec<_> = (0..6).map(|_| serve(&mut queue)).collect();
    assert_eq!(served, [a[0], b[0], nobodys, a[1], b[1], a[2]]);
    assert_eq!((queue.waiting(), queue.first(Q)), (0, None));
    assert!(queue.lines.is_empty(), "nothing is kept of a line that is over");
}

#[test]
fn who_gives_up_costs_its_tenant_no_turn() {
    let mut queue = Queue::new(10);
    let a: Vec<_> = (0..3).map(|_| normal(&mut queue, A)).collect();
    let b = normal(&mut queue, B);
    queue.leave(&a[0], false);
    assert_eq!(queue.first(Q), Some(a[1]));
    queue.leave(&a[2], false);
    queue.leave(&a[2], true);
    queue.leave(&a[1], true);
    assert_eq!((queue.first(Q), queue.waiting()), (Some(b), 1));
}

#[test]
fn lines_and_the_whole_are_bounded() {
    let line = |number| Line::Limit(QuotaId(number));
    let mut queue = Queue::new(3);
    let first = queue.enter(Q, A, Priority::Low, 2).unwrap();
    queue.enter(Q, B, Priority::Normal, 2).unwrap();
    assert_eq!(queue.enter(Q, B, Priority::High, 2), Err(Full));
    queue.enter(line(8), A, Priority::Normal, 2).unwrap();
    assert_eq!(queue.enter(line(9), A, Priority::High, 2), Err(Full));
    queue.leave(&first, false);
    assert!(queue.enter(line(9), A, Priority::Normal, 2).is_ok());
}

#[test]
fn a_limit_and_an_upstream_of_the_same_number_are_two_lines() {
    let (limit, endpoints) = (Line::Limit(QuotaId(1)), Line::Endpoints(GroupId(1)));
    let mut queue = Queue::new(10);
    let at_limit = queue.enter(limit, A, Priority::Normal, 1).unwrap();
    let at_endpoints = queue.enter(endpoints, A, Priority::Normal, 1).unwrap();
    assert!(queue.is_first(&at_limit) && queue.is_first(&at_endpoints));
    queue.leave(&at_limit, true);
    assert_eq!((queue.waiting_for(limit), queue.waiting_for(endpoints)), (0, 1));
    assert_eq!(queue.next_after(&at_limit), None);
}

#[test]
fn the_higher_comes_first() {
    let mut queue = Queue::new(10);
    let low = enter(&mut queue, A, Priority::Low);
    let normal = enter(&mut queue, A, Priority::Normal);
    let high = [A, B].map(|tenant| enter(&mut queue, tenant, Priority::High));
    let served: Vec<_> = (0..4).map(|_| serve(&mut queue)).collect();
    assert_eq!(served, [high[0], high[1], normal, low]);
}

#[test]
fn the_lower_have_their_turns_all_the_same() {
    let [high, normal, low] = Priority::ALL;
    for (waiting, expected) in [
        (&[high, normal, low][..], [56, 7, 1]),
        (&[high, normal], [56, 8, 0]),
        (&[high, low], [56, 0, 8]),
        (&[normal, low], [0, 56, 8]),
        (&[low], [0, 0, 64]),
    ] {
        let mut queue = Queue::new(10);
        for priority in waiting {
            enter(&mut queue, A, *priority);
        }
        for _ in 0..10 {
            assert_eq!(turns(&mut queue, 64), expected, "{waiting:?}");
        }
    }
}

/// A turn for a lower priority is one for the tenant that has waited longest for it.
#[test]
fn within_each_priority_tenants_take_turns() {
    let mut queue = Queue::new(10);
    for priority in [Priority::High, Priority::Low] {
        enter(&mut queue, A, priority);
        enter(&mut queue, B, priority);
    }
    let mut last = [A, A];
    for _ in 0..100 {
        let ticket = serve(&mut queue);
        enter(&mut queue, ticket.tenant, ticket.priority);
        let last = &mut last[usize::from(ticket.priority == Priority::Low)];
        assert_eq!(ticket.tenant, *last);
        *last = if ticket.tenant == A { B } else { A };
    }
}

/// At each turn there is exactly one of high priority, which was not there at the last: it is passed over in the end.
#[test]
fn one_who_comes_just_in_time_does_not_starve_the_others() {
    let mut queue = Queue::new(10);
    let low = enter(&mut queue, B, Priority::Low);
    let before = (0..100).take_while(|_| {
        enter(&mut queue, A, Priority::High);
        serve(&mut queue) != low
    });
    assert_eq!(before.count(), 7);
}

#[test]
fn turns_that_nobody_was_passed_over_for_count_for_nothing() {
    let mut queue = Queue::new(1000);
    for _ in 0..100 {
        enter(&mut queue, A, Priority::High);
    }
    for _ in 0..50 {
        serve(&mut queue);
    }
    let low = enter(&mut queue, B, Priority::Low);
    for _ in 0..7 {
        assert_ne!(serve(&mut queue), low);
    }
    assert_eq!(serve(&mut queue), low);
}

#[test]
fn who_gives_up_costs_its_priority_no_turn() {
    let mut queue = Queue::new(1000);
    let low = enter(&mut queue, B, Priority::Low);
    for _ in 0..20 {
        let high = enter(&mut queue, A, Priority::High);
        assert!(queue.is_first(&high));
        queue.leave(&high, false);
    }
    // And who was to have the turn that is owed and gives up leaves it to the next of the lower ones.
    let other = enter(&mut queue, A, Priority::Low);
    for _ in 0..7 {
        let high = enter(&mut queue, A, Priority::High);
        assert_eq!(serve(&mut queue), high);
    }
    enter(&mut queue, A, Priority::High);
    assert!(queue.is_first(&low));
    queue.leave(&low, false);
    assert!(queue.is_first(&other));
}

#[test]
fn labels_are_those_of_the_config() {
    assert_eq!(Priority::ALL.map(Priority::label), ["high", "normal", "low"]);
    assert_eq!(Priority::default(), Priority::Normal);
    assert!(Priority::ALL.is_sorted());
}

/// What a line must do, told in the plainest way: all that wait, the order of the tenants, and every turn so far.
#[derive(Default)]
struct Model {
    /// In the order they came.
    waiting: Vec<Ticket>,
    /// Of each priority, the tenants that wait in the order of their turns.
    order: [Vec<Option<TenantId>>; 3],
    /// The priority of each turn so far, and whether a lower one waited then.
    turns: Vec<(Priority, bool)>,
}

impl Model {
    fn has(&self, is_it: impl Fn(&Ticket) -> bool) -> bool {
        self.waiting.iter().any(is_it)
    }

    /// How many turns it had, each while a lower one waited, since a lower one had one.
    fn owes(&self, priority: Priority) -> usize {
        let since = self
            .turns
            .iter()
            .rev()
            .take_while(|(of, has_lower)| *of < priority || (*of == priority && *has_lower));
        since.filter(|(of, _)| *of == priority).count()
    }

    fn first(&self) -> Option<Ticket> {
        let waits = |priority: &Priority| self.has(|ticket| ticket.priority == *priority);
        let waiting: Vec<_> = Priority::ALL.into_iter().filter(waits).collect();
        let last = waiting.last()?;
        let turn = waiting.iter().find(|priority| self.owes(**priority) < 7).unwrap_or(last);
        let tenant = self.order[*turn as usize].first()?;
        let is_it = |ticket: &&Ticket| ticket.priority == *turn && ticket.tenant == *tenant;
        self.waiting.iter().find(is_it).copied()
    }

    fn enter(&mut self, ticket: Ticket) {
        self.waiting.push(ticket);
        let order = &mut self.order[ticket.priority as usize];
        if !order.contains(&ticket.tenant) {
            order.push(ticket.tenant);
        }
    }

    fn leave(&mut self, ticket: Ticket, is_served: bool) {
        self.waiting.retain(|other| *other != ticket);
        let has_more =
            self.has(|other| other.priority == ticket.priority && other.tenant == ticket.tenant);
        let order = &mut self.order[ticket.priority as usize];
        if is_served || !has_more {
            order.retain(|tenant| *tenant != ticket.tenant);
        }
        if is_served && has_more {
            order.push(ticket.tenant);
        }
        if is_served {
            let has_lower = self.has(|other| other.priority > ticket.priority);
            self.turns.push((ticket.priority, has_lower));
        }
        if self.waiting.is_empty() {
            self.turns.clear();
        }
    }
}

fn roll(dice: &mut u64, sides: usize) -> usize {
    *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    usize::try_from(*dice >> 33).unwrap() % sides
}

/// Random comings and goings in three lines, against a model that looks at everything each time. Besides: who is first
/// stays so until it leaves or one enters that is first then.
#[test]
fn it_does_as_plain_lists_do() {
    let mut dice = 12_345;
    let lines = [Q, Line::Limit(QuotaId(8)), Line::Endpoints(GroupId(7))];
    let mut models: [Model; 3] = Default::default();
    let mut queue = Queue::new(60);
    for step in 0..60_000 {
        let index = roll(&mut dice, 3);
        let (line, model) = (lines[index], &mut models[index]);
        let before = model.first();
        // Times of more and of less to do.
        if roll(&mut dice, 10) < if step / 500 % 2 == 0 { 6 } else { 4 } {
            let tenant = Some(TenantId(u32::try_from(roll(&mut dice, 4)).unwrap()));
            let priority = Priority::ALL[roll(&mut dice, 3)];
            let entered = queue.enter(line, tenant, priority, 25);
            assert_eq!(entered.is_ok(), queue_has_room(&models, index));
            if let Ok(ticket) = entered {
                models[index].enter(ticket);
                let first = queue.first(line).unwrap();
                assert!(Some(first) == before || first == ticket);
            }
        } else if let Some(first) = before {
            let is_served = roll(&mut dice, 3) > 0;
            let count = model.waiting.len();
            let ticket = if is_served { first } else { model.waiting[roll(&mut dice, count)] };
            queue.leave(&ticket, is_served);
            model.leave(ticket, is_served);
            assert!(ticket == first || queue.is_first(&first));
            // Leaving twice is leaving once.
            queue.leave(&ticket, !is_served);
        }
        let model = &models[index];
        assert_eq!(queue.first(line), model.first());
        assert_eq!(queue.waiting_for(line), model.waiting.len());
        assert_eq!(queue.waiting(), models.iter().map(|model| model.waiting.len()).sum::<usize>());
    }
}

fn queue_has_room(models: &[Model; 3], line: usize) -> bool {
    let all: usize = models.iter().map(|model| model.waiting.len()).sum();
    all < 60 && models[line].waiting.len() < 25
}

/// Whatever comes and goes, one that waits is let in within a bounded number of turns: its priority has one of 64, and
/// each tenant before it one of those.
#[test]
fn nobody_starves() {
    let mut dice = 99;
    for _ in 0..200 {
        let mut queue = Queue::new(1000);
        for _ in 0..5 {
            let tenant = Some(TenantId(u32::try_from(roll(&mut dice, 3)).unwrap()));
            enter(&mut queue, tenant, Priority::Low);
        }
        let patient = enter(&mut queue, Some(TenantId(9)), Priority::Low);
        let mut turns = 0;
        while queue.first(Q) != Some(patient) {
            turns += 1;
            for _ in 0..=roll(&mut dice, 2) {
                let tenant = Some(TenantId(u32::try_from(roll(&mut dice, 3)).unwrap()));
                let priority = Priority::ALL[roll(&mut dice, 3)];
                queue.enter(Q, tenant, priority, 900).ok();
            }
            serve(&mut queue);
            assert!(turns <= 64 * 4, "it waits for ever");
        }
    }
}
