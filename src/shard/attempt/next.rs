//! What an attempt has come to: what it says of the endpoint, and what is done next.

use std::time::Duration;

use crate::accept::incoming::Incoming;
use crate::balance::retry;
use crate::balance::retry::Cause;
use crate::balance::retry::Facts;
use crate::balance::retry::GaveUp;
use crate::balance::retry::Next;
use crate::balance::retry_after;
use crate::balance::verdict;
use crate::balance::verdict::Verdict;
use crate::llm::context;
use crate::record::Fault;
use crate::record::Retry;
use crate::record::Whose;
use crate::record::counters::RetryDenied;
use crate::relay::exchange::Ended;
use crate::relay::exchange::Judged;
use crate::relay::response::Held;
use crate::relay::response::Response;
use crate::ring::clock;
use crate::shard::attempt::Attempts;
use crate::shard::attempt::Way;
use crate::shard::attempt::pick;
use crate::snapshot::Model;
use crate::units::Millis;
use crate::units::ModelId;

/// What is done after an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Step {
    /// The same model once more, after so long.
    Again(Duration),
    /// One of these models instead, the first that the caller may have and that has room: from this place of the chain on.
    FallBack(u16),
    /// This model instead: it takes longer prompts.
    ToLarger(ModelId),
    /// The rest of a stream that has broken off, after so long: from another endpoint, or where the upstream was.
    GoOn { wait: Duration, is_elsewhere: bool },
}

/// What an error response that was held back says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) cause: Cause,
    pub(super) retry_after: Option<Millis>,
}

/// What is held against an endpoint whose attempt has ended so.
pub(super) fn verdict(
    outcome: &Result<Ended, Fault>,
    status: u16,
    is_credential_ours: bool,
) -> Verdict {
    match outcome {
        Ok(_) => verdict::of_status(status, is_credential_ours),
        // Our own clock: however well the endpoint works, some answers take longer than that.
        Err(Fault::WholeTimedOut | Fault::NoEndpoint) => Verdict::Neutral,
        Err(fault) if fault.whose() == Whose::Upstream => Verdict::Bad,
        Err(_) => Verdict::Neutral,
    }
}

/// What a fault is to those who decide whether to try again; none: nobody may.
fn cause(fault: Fault) -> Option<Cause> {
    Some(match fault {
        Fault::ConnectRefused
        | Fault::ConnectFailed
        | Fault::ConnectTimedOut
        | Fault::TlsFailed => Cause::Connect,
        Fault::UpstreamClosedEarly | Fault::UpstreamReset | Fault::UpstreamTruncated => {
            Cause::Reset
        }
        Fault::AttemptTimedOut => Cause::Timeout,
        Fault::UpstreamMalformed => Cause::Malformed,
        _ => return None,
    })
}

/// Whether there is nobody to ask for this model: others may still have somebody.
const fn is_nobody_there(fault: Fault) -> bool {
    matches!(fault, Fault::NoEndpoint | Fault::EndpointsFull | Fault::EndpointWaitTimedOut)
}

/// Why there is no other attempt, as it is counted.
const fn denied(why: GaveUp) -> RetryDenied {
    match why {
        GaveUp::NotRepeatable => RetryDenied::NotRepeatable,
        GaveUp::AttemptsUsed => RetryDenied::AttemptsUsed,
        GaveUp::NoTime => RetryDenied::NoTime,
        GaveUp::NoBudget => RetryDenied::NoBudget,
    }
}

/// What an error response is judged by, beside itself and the model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub(super) is_credential_ours: bool,
    /// There is another model to ask.
    pub(super) has_fallback: bool,
    /// The request was sent before.
    pub(super) has_repeated: bool,
}

/// Looks at an error response before it goes down: is it worth another attempt?
pub(super) fn judge(
    model: &Model,
    circumstances: Circumstances,
    held: &Held<'_>,
    now_unix_s: u64,
) -> (Judged, Option<Said>) {
    let Circumstances { is_credential_ours, has_fallback, has_repeated } = circumstances;
    let is_refused = verdict::of_status(held.status, is_credential_ours) == Verdict::CredentialBad;
    let cause = if is_refused {
        Cause::Credential
    } else if model.context_fallback.is_some() && context::is_too_long(held.status, held.body) {
        Cause::ContextLength
    } else {
        Cause::Status(held.status)
    };
    let is_wanted = match cause {
        Cause::Status(_) => model.retry.on.has(cause) || (has_fallback && cause.may_fall_back()),
        _ => true,
    };
    if !is_wanted {
        let is_exhausted = has_repeated && cause.may_fall_back();
        return (Judged::PassOn { is_exhausted }, None);
    }
    let in_millis = held.retry_after_ms.and_then(retry_after::parse_millis);
    let retry_after = in_millis
        .or_else(|| held.retry_after.and_then(|value| retry_after::parse(value, now_unix_s)));
    (Judged::Withhold, Some(Said { cause, retry_after: retry_after.map(Millis::of) }))
}

impl Attempts<'_> {
    /// What is done after an attempt that has ended so; none: it stays at that.
    pub(in crate::shard) fn step(
        &mut self,
        outcome: &Result<Ended, Fault>,
        way: &Way<'_>,
        request: &Incoming,
        response: &Response,
    ) -> Option<Step> {
        if response.is_final(self.progress.has_answered) {
            return None;
        }
        let has_content = self.progress.has_answered && response.content_bytes > 0;
        let fault = match outcome {
            Ok(Ended::Withheld) if has_content => Fault::UpstreamStatus,
            Ok(Ended::Withheld) => return self.after_answer(),
            Ok(_) => return None,
            Err(fault) => *fault,
        };
        if has_content {
            return self.go_on(fault, way, request, response);
        }
        if self.is_stale(fault) && !self.is_fresh_wanted {
            self.is_fresh_wanted = true;
            return Some(Step::Again(Duration::ZERO));
        }
        if is_nobody_there(fault) {
            return self.fall_back();
        }
        self.after(Said { cause: cause(fault)?, retry_after: None })
    }

    /// Whether the endpoint has closed an old connection in the moment in which it was used: nothing is held against it.
    pub(super) fn is_stale(&self, fault: Fault) -> bool {
        let is_unheard = self.progress.first_byte.is_none() && !self.progress.has_answered;
        fault.retry() == Retry::IfReused && self.was_reused && is_unheard
    }

    fn after_answer(&mut self) -> Option<Step> {
        let said = self.said.get()?;
        if said.cause == Cause::ContextLength {
            let larger = self.model().context_fallback.filter(|_| !self.has_turned_larger)?;
            self.has_turned_larger = true;
            return Some(Step::ToLarger(larger));
        }
        self.after(said)
    }

    fn after(&mut self, said: Said) -> Option<Step> {
        let (shard, model) = (self.shard, self.model());
        let now = clock::now();
        let facts = Facts {
            cause: said.cause,
            attempts: self.count,
            has_untried: pick::has_untried(shard, self.wish(), self.tried),
            retry_after: said.retry_after.map(Millis::span),
            time_left: self.deadlines.first_byte.since(now),
            has_fallback: self.has_fallback(),
        };
        let dice = shard.state.with(|own| own.dice.roll());
        let rule = model.retry.budget;
        let withdraw = || shard.state.with(|own| own.budget(model.lane).retries.take(rule, now));
        match retry::next(&model.retry, &facts, dice, withdraw) {
            Next::Again { wait } => Some(Step::Again(wait)),
            Next::Fallback => self.fall_back(),
            Next::GiveUp(why) => {
                self.is_exhausted |= self.has_repeated() || why == GaveUp::NoBudget;
                shard.page.add(denied(why), 1);
                None
            }
        }
    }

    /// Whether it was sent more than once, to whatever model.
    pub(super) fn has_repeated(&self) -> bool {
        self.count > 1 || self.model != self.asked
    }

    /// None of the chain is of use to this caller: it stays at what was tried before.
    pub(in crate::shard) fn give_up_chain(&mut self) {
        self.is_exhausted |= self.has_repeated();
    }

    fn fall_back(&mut self) -> Option<Step> {
        let from = self.chain_at;
        self.has_fallback().then_some(Step::FallBack(from))
    }

    pub(super) fn has_fallback(&self) -> bool {
        let asked = self.world.snapshot.model(self.asked);
        usize::from(self.chain_at) < asked.fallback.len()
            && clock::now() < self.deadlines.first_byte
    }
}
