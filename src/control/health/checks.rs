//! Which endpoints are checked and when, and what a result makes of what was known of one.
//!
//! Invariant: an endpoint is asked one check at a time, and of all endpoints [`ASKED_MAX`] are asked at once.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::hash::Hasher as _;
use std::hash::RandomState;
use std::mem;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::task::AbortHandle;
use tokio::task::Id;
use tokio::task::JoinSet;

use crate::control::health::ask::Question;
use crate::crossing::health::Check;
use crate::snapshot::HealthRule;
use crate::snapshot::Snapshot;
use crate::units::SlotId;

/// Checks under way at once, each with a descriptor. What is due beyond that waits, the longest due first.
const ASKED_MAX: usize = 256;
/// How much sooner or later than its time a check may begin, in parts of the interval: so that gateways that were
/// started together do not ask together for ever.
const JITTER: f64 = 0.1;

/// What is known of an endpoint, and how many results in a row speak against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    check: Check,
    against: u32,
}

impl Known {
    const NOTHING: Self = Self { check: Check::Unknown, against: 0 };

    /// Takes in one result; true if what is known is another now.
    ///
    /// Of whom nothing is known, one good answer is enough, and as many bad ones as of everybody are needed: until then
    /// requests find out.
    fn learn(&mut self, has_passed: bool, rule: &HealthRule) -> bool {
        let (other, needed) = match (self.check, has_passed) {
            (Check::Passing, true) | (Check::Failing, false) => {
                self.against = 0;
                return false;
            }
            (Check::Unknown, true) => (Check::Passing, 1),
            (Check::Failing, true) => (Check::Passing, rule.healthy_after),
            (Check::Unknown | Check::Passing, false) => (Check::Failing, rule.unhealthy_after),
        };
        self.against += 1;
        let is_another = self.against >= needed;
        if is_another {
            *self = Self { check: other, against: 0 };
        }
        is_another
    }
}

/// An endpoint that is checked.
struct Target {
    rule: HealthRule,
    question: Arc<Question>,
    /// No other question has this number: an answer to another one says nothing.
    number: u64,
    /// Ends the check that is under way.
    asking: Option<AbortHandle>,
    known: Known,
    /// When the last check began.
    begun: Instant,
    /// When the next one is due; none while it is being asked.
    due: Option<Instant>,
}

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Learned {
    /// Who was asked.
    pub(super) slot: SlotId,
    /// Why it has not passed, if it has not.
    pub(super) result: Result<(), String>,
    /// What is known now.
    pub(super) check: Check,
    /// Whether that is another than before.
    pub(super) is_changed: bool,
}

/// All endpoints that are checked.
pub(super) struct Checks {
    targets: HashMap<SlotId, Target>,
    /// Those that are not being asked, by when they are due.
    due: BTreeSet<(Instant, SlotId)>,
    asking: JoinSet<Result<(), String>>,
    /// Which question each task of `asking` asks.
    asked: HashMap<Id, (SlotId, u64)>,
    /// Questions so far.
    questions: u64,
    dice: RandomState,
    rolls: u64,
}

impl Checks {
    pub(super) fn new() -> Self {
        Self {
            targets: HashMap::new(),
            due: BTreeSet::new(),
            asking: JoinSet::new(),
            asked: HashMap::new(),
            questions: 0,
            dice: RandomState::new(),
            rolls: 0,
        }
    }

    /// Takes on the endpoints of `snapshot` whose upstreams have checks; what is known of them stays known. Gives the others
    /// back, that were checked before: of them nothing is known any more.
    pub(super) fn want(&mut self, snapshot: &Snapshot, now: Instant) -> Vec<SlotId> {
        let mut before = mem::take(&mut self.targets);
        self.due.clear();
        for upstream in &snapshot.upstreams {
            let Some(rule) = &upstream.health else { continue };
            for id in &upstream.endpoints {
                let endpoint = snapshot.endpoint(*id);
                let credential = upstream.credential.as_ref();
                let question = Question::new(endpoint, &rule.path, credential, rule.timeout);
                self.questions += 1;
                let asked = (question, self.questions);
                let target = match before.remove(&endpoint.slot) {
                    Some(target) => target.with(rule, asked, now),
                    None => Target::new(rule, asked, now),
                };
                self.due.extend(target.due.map(|due| (due, endpoint.slot)));
                self.targets.insert(endpoint.slot, target);
            }
        }
        let gone = before.into_iter();
        gone.map(|(slot, target)| {
            if let Some(check) = target.asking {
                check.abort();
            }
            slot
        })
        .collect()
    }

    /// Begins the checks that are due, as far as there is room for them.
    pub(super) fn begin(&mut self, now: Instant) {
        while self.asking.len() < ASKED_MAX
            && let Some((due, slot)) = self.due.first().copied()
            && due <= now
        {
            self.due.pop_first();
            let Some(target) = self.targets.get_mut(&slot) else { continue };
            let question = Arc::clone(&target.question);
            let check = self.asking.spawn(async move { question.ask().await });
            self.asked.insert(check.id(), (slot, target.number));
            (target.due, target.begun, target.asking) = (None, now, Some(check));
        }
    }

    /// When [`Self::begin`] has something to do again; none: not before one has [`arrived`](Self::arrived).
    pub(super) fn next(&self) -> Option<Instant> {
        let (due, _) = self.due.first()?;
        (self.asking.len() < ASKED_MAX).then_some(*due)
    }

    /// Waits for one result, and says what is known then; none: nothing was learned. Waits for ever where nobody is asked.
    /// May be dropped.
    pub(super) async fn arrived(&mut self, now: impl Fn() -> Instant) -> Option<Learned> {
        let (id, result) = match self.asking.join_next_with_id().await {
            None => std::future::pending().await,
            Some(Ok((id, result))) => (id, Some(result)),
            Some(Err(end)) => {
                if end.is_panic() {
                    tracing::error!(%end, "a health check has ended because of a bug");
                }
                (end.id(), None)
            }
        };
        self.learn(id, result, now())
    }

    /// Takes in what came of a check; none where nothing did, for reasons of our own.
    fn learn(
        &mut self,
        id: Id,
        result: Option<Result<(), String>>,
        now: Instant,
    ) -> Option<Learned> {
        let fraction = self.roll();
        let (slot, number) = self.asked.remove(&id)?;
        let target = self.targets.get_mut(&slot)?;
        // The endpoint may have gone meanwhile, and come back.
        target.asking.take_if(|check| check.id() == id)?;
        let is_answered = target.number == number;
        let due = if is_answered {
            let jitter = 1.0 - JITTER + 2.0 * JITTER * fraction;
            now.max(target.begun + target.rule.interval.mul_f64(jitter))
        } else {
            now
        };
        target.due = Some(due);
        self.due.insert((due, slot));
        let result = result.filter(|_| is_answered)?;
        let is_changed = target.known.learn(result.is_ok(), &target.rule);
        Some(Learned { slot, result, check: target.known.check, is_changed })
    }

    /// A number from 0 to 1.
    fn roll(&mut self) -> f64 {
        self.rolls += 1;
        let mut hasher = self.dice.build_hasher();
        hasher.write_u64(self.rolls);
        (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl Target {
    fn new(rule: &HealthRule, (question, number): (Question, u64), now: Instant) -> Self {
        Self {
            rule: rule.clone(),
            question: Arc::new(question),
            number,
            asking: None,
            known: Known::NOTHING,
            begun: now,
            due: Some(now),
        }
    }

    /// The same endpoint as another snapshot has it. Who is asked something else is asked at once, and what spoke against
    /// what is known was said to another question.
    fn with(self, rule: &HealthRule, (question, number): (Question, u64), now: Instant) -> Self {
        let is_same = self.question.is_same(&question);
        // The interval may have become shorter.
        let latest = if is_same { latest(self.begun, rule.interval).max(now) } else { now };
        let known = if is_same { self.known } else { Known { against: 0, ..self.known } };
        Self {
            rule: rule.clone(),
            question: Arc::new(question),
            number: if is_same { self.number } else { number },
            due: self.due.map(|due| due.min(latest)),
            known,
            ..self
        }
    }
}

/// The latest time at which the next check begins.
fn latest(begun: Instant, interval: Duration) -> Instant {
    begun + interval.mul_f64(1.0 + JITTER)
}

#[cfg(test)]
mod tests;
