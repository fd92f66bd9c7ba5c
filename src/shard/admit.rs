//! May it enter: on its head, and again once the model is known; and what is done where a limit is full.

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::accept::client::Client;
use crate::accept::digest::BodyDigest;
use crate::accept::digest::DIGEST_BYTES_MAX;
use crate::accept::incoming::Incoming;
use crate::admission;
use crate::admission::Caller;
use crate::admission::Head;
use crate::admission::Late;
use crate::admission::WhenFull;
use crate::admission::fields;
use crate::admission::fields::Standings;
use crate::admission::limit::Kind;
use crate::admission::limit::Limit;
use crate::admission::limit::Scope;
use crate::admission::queue::Priority;
use crate::admission::signature::Expected;
use crate::admission::step::Ask;
use crate::admission::step::StepId;
use crate::crossing::nonces::Claim;
use crate::llm::estimate;
use crate::record::Tokens;
use crate::record::TokensSource;
use crate::relay::response::Response;
use crate::ring::clock;
use crate::shard::Shard;
use crate::shard::World;
use crate::shard::grant::Full;
use crate::shard::grant::Grant;
use crate::shard::look;
use crate::shard::look::Goal;
use crate::shard::look::Look;
use crate::shard::plan::Plan;
use crate::shard::refusal;
use crate::shard::refusal::Refusal;
use crate::shard::waiting;
use crate::units::ModelId;
use crate::units::QuotaId;
use crate::units::ShardId;
use crate::wire::head::RequestHead;

/// Models that one request may be passed on to, each full in its turn.
const DEGRADATIONS_MAX: usize = 8;

/// A request whose head was looked at.
pub(super) struct Knock<'s> {
    /// The world it sees from here to the end.
    pub(super) world: Rc<World>,
    /// What the head says.
    pub(super) look: Look,
    /// What it was let in with; nobody in particular asks if it may not enter.
    pub(super) grant: Grant<'s>,
}

impl Knock<'_> {
    /// The shard that has the stream which the client comes back to, if it is another one.
    pub(super) fn elsewhere(&self, shard: &Shard) -> Option<ShardId> {
        match self.look.goal {
            Ok(Goal::Resume(owner, _)) if shard.is_elsewhere(owner) => Some(owner),
            _ => None,
        }
    }
}

/// Why a request is not let in.
pub(super) enum Denied {
    /// It is told.
    Refused(Box<Refusal>),
    /// There is nobody to tell.
    Gone,
}

impl From<Box<Refusal>> for Denied {
    fn from(refusal: Box<Refusal>) -> Self {
        Self::Refused(refusal)
    }
}

/// Looks at a head: where does it go, and may whoever sent it come in? A shard that is full does not even ask that.
pub(super) fn look<'s>(shard: &'s Shard, head: &RequestHead<'_, '_>, peer: IpAddr) -> Knock<'s> {
    let world = shard.world();
    let mut look = look::look(head, &world.snapshot.listen, peer);
    if let Ok(Goal::Resume(owner, _)) = look.goal
        && shard.is_elsewhere(owner)
    {
        // Everything else is the business of the shard that has the stream.
        return Knock { world, look, grant: Grant::new(shard, Caller::default()) };
    }
    if let Ok(goal) = look.goal {
        look.goal = goal.unless(shard.overload(0));
    }
    let mut caller = Caller::default();
    if let Ok(goal) = look.goal {
        let (table, keys) = (&world.snapshot.admission, &world.snapshot.keys);
        let head = Head { request: head, address: look.client };
        let entered = shard.state.with(|own| {
            let now_unix_ms = own.unix_ms(clock::recent());
            admission::enter(table, keys, &mut own.memory, &head, now_unix_ms, |_| ())
                .map_err(|why| refusal::not_admitted(why, own.memory.steps.take_answer()))
        });
        match entered {
            Ok(entered) => caller = entered,
            Err(refusal) => look.goal = Err(refusal.spoken(goal.dialect())),
        }
    }
    Knock { world, look, grant: Grant::new(shard, caller) }
}

/// The digest that the body of a signed request is compared with, ready to take it in.
pub(super) fn digest(caller: &Caller) -> Option<Box<BodyDigest>> {
    let expected = caller.signature.as_ref()?.digest.as_ref()?;
    // Boxed: few bodies have one, and an open stream must not pay for its room, nor for how that must lie in memory.
    Some(Box::new(match expected {
        Expected::Sha256(_) => BodyDigest::sha256(),
        Expected::Sha512(_) => BodyDigest::sha512(),
    }))
}

/// The body of a signed request has come: is it the one that was signed, and for the first time?
pub(super) fn signed(
    shard: &Shard,
    caller: &Caller,
    digest: Option<Box<BodyDigest>>,
) -> Result<(), Box<Refusal>> {
    let Some(signature) = caller.signature.as_deref() else { return Ok(()) };
    let refuse = |why| Err(refusal::not_admitted(why, None));
    if let (Some(expected), Some(digest)) = (&signature.digest, digest) {
        let mut room = [0; DIGEST_BYTES_MAX];
        if !expected.matches(digest.finish(&mut room)) {
            return refuse(admission::Refusal::DigestWrong);
        }
    }
    match shard.nonces.claim(signature.fingerprint, signature.created_unix_s) {
        Claim::New => Ok(()),
        Claim::Replay => refuse(admission::Refusal::SignatureReplayed),
        Claim::Full => refuse(admission::Refusal::NoncesFull),
    }
}

/// What there is to know of a request whose model is known.
pub(super) struct Asking<'r, 'w> {
    pub(super) shard: &'r Shard,
    pub(super) world: &'w World,
    pub(super) request: &'r Incoming,
    pub(super) address: IpAddr,
}

/// Decides once the model is known: lists, steps, parameters, limits. Where a limit is full, the request is refused, passed
/// on to a cheaper model, or waits for its turn, as the policies say.
pub(super) async fn admit<'w>(
    asking: &Asking<'_, 'w>,
    grant: &mut Grant<'_>,
    plan: &mut Plan<'w>,
    client: &mut Client,
) -> Result<(), Denied> {
    let dialect = plan.dialect;
    let spoken = |refusal: Box<Refusal>| refusal.spoken(dialect);
    for _ in 0..=DEGRADATIONS_MAX {
        let full = match asking.try_admit(grant, plan).map_err(spoken)? {
            Ok(()) => return Ok(()),
            Err(full) => full,
        };
        match asking.when_full(grant, plan, &full) {
            WhenFull::Queue { waiting_max, wait } => {
                let bounds = waiting::Bounds { waiting_max, wait };
                let began = clock::now();
                let waiting = waiting::for_turn(asking, grant, plan, client, full, bounds);
                let let_in = Box::pin(waiting).await;
                grant.waited = clock::now().since(began);
                return let_in;
            }
            WhenFull::Degrade => {
                let policy = asking.world.snapshot.admission.model(plan.model);
                let Some(model) = policy.and_then(|policy| policy.degrade_to) else {
                    return Err(spoken(limited(&full)).into());
                };
                plan.turn_to(&asking.world.snapshot, model);
            }
            WhenFull::Reject => return Err(spoken(limited(&full)).into()),
        }
    }
    Err(spoken(refusal::not_admitted(admission::Refusal::RequestsLimited, None)).into())
}

impl<'w> Asking<'_, 'w> {
    /// Everything but waiting. The inner error: a limit is full.
    pub(super) fn try_admit(
        &self,
        grant: &mut Grant<'_>,
        plan: &mut Plan<'w>,
    ) -> Result<Result<(), Full>, Box<Refusal>> {
        let snapshot = &self.world.snapshot;
        let (table, keys) = (&snapshot.admission, &snapshot.keys);
        admission::authorize(table, keys, &grant.caller, self.address, plan.model, |_| ())
            .map_err(|why| refusal::not_admitted(why, None))?;
        for late in admission::late(table, &grant.caller, plan.model) {
            match late {
                Late::Normalize => plan.normalize(snapshot, self.request.body())?,
                Late::Step(step) => self.ask(grant, plan.model, step)?,
                Late::Limit => match self.reserve(grant, plan)? {
                    Ok(standings) => tell(plan, &standings),
                    Err(full) => return Ok(Err(full)),
                },
            }
        }
        if grant.counts_tokens() {
            plan.meter(self.request.body());
        }
        plan.close_edits(snapshot);
        Ok(Ok(()))
    }

    /// The same request to another model, if its caller may have that one and the limits have room. The first one's own limits
    /// are left then: its places are free, and no tokens are used there. None: it goes nowhere else, and all is as before.
    pub(super) fn turned(
        &self,
        grant: &mut Grant<'_>,
        plan: &Plan<'w>,
        model: ModelId,
    ) -> Option<Plan<'w>> {
        let mut turned = plan.turned(&self.world.snapshot, model, self.request.body());
        let reserved = grant.reserved();
        if !matches!(self.try_admit(grant, &mut turned), Ok(Ok(()))) {
            grant.give_back_from(reserved);
            return None;
        }
        grant.leave_models(reserved);
        if turned.fields().is_none()
            && let Some(fields) = plan.fields()
        {
            turned.tell(fields.into());
        }
        Some(turned)
    }

    fn reserve(
        &self,
        grant: &mut Grant<'_>,
        plan: &Plan<'w>,
    ) -> Result<Result<Standings, Full>, Box<Refusal>> {
        let snapshot = &self.world.snapshot;
        let of_subject = self.of_subject(&grant.caller)?;
        let limits =
            admission::limits(&snapshot.admission, &snapshot.keys, &grant.caller, plan.model);
        let limits = limits.copied().chain(of_subject.into_iter().flatten());
        let tokens = plan.tokens(snapshot, self.request.body());
        Ok(grant.reserve(limits, tokens))
    }

    /// The limits that the caller's token brings along.
    fn of_subject(&self, caller: &Caller) -> Result<[Option<Limit>; 3], Box<Refusal>> {
        let Some(claims) = caller.claims.as_deref() else { return Ok([None; 3]) };
        if claims.rules.iter().all(Option::is_none) {
            return Ok([None; 3]);
        }
        let Some(first) = self.shard.book.subject(claims.subject, clock::recent()) else {
            return Err(refusal::not_admitted(admission::Refusal::SubjectsFull, None));
        };
        let mut places = first.0..;
        Ok(claims.rules.map(|rule| {
            let id = QuotaId(places.next()?);
            Some(Limit { id, scope: Scope::Subject, rule: rule? })
        }))
    }

    fn ask(&self, grant: &mut Grant<'_>, model: ModelId, step: StepId) -> Result<(), Box<Refusal>> {
        let snapshot = &self.world.snapshot;
        let (table, keys) = (&snapshot.admission, &snapshot.keys);
        let label = table.model(model).map_or("", |policy| &policy.name);
        let ask = Ask { model: label, body: self.request.body() };
        self.request.with_head(|head| {
            let head = Head { request: head, address: self.address };
            self.shard.state.with(|own| {
                let caller = &mut grant.caller;
                admission::ask(table, keys, &mut own.memory, caller, &head, ask, step)
                    .map_err(|why| refusal::not_admitted(why, own.memory.steps.take_answer()))
            })
        })
    }

    /// What is done about a full limit: what the tenant says or, for limits of the model, what that says; else the other.
    fn when_full(&self, grant: &Grant<'_>, plan: &Plan<'_>, full: &Full) -> WhenFull {
        if full.short.wait == Duration::MAX {
            return WhenFull::Reject;
        }
        let table = &self.world.snapshot.admission;
        let of_tenant = grant.caller.tenant.and_then(|tenant| table.tenant(tenant)?.when_full);
        let of_model = table.model(plan.model).and_then(|model| model.when_full);
        let (first, second) = match full.limit.scope {
            Scope::Model => (of_model, of_tenant),
            _ => (of_tenant, of_model),
        };
        first.or(second).unwrap_or(WhenFull::Reject)
    }
}

/// Has the response tell how the limits stand.
fn tell(plan: &mut Plan<'_>, standings: &Standings) {
    if !standings.is_empty() {
        let mut lines = Vec::with_capacity(256);
        standings.write(&mut lines);
        plan.tell(lines.into_boxed_slice());
    }
}

/// What a caller is told whose limit is full: which, how it stands, and when to come again.
pub(super) fn limited(full: &Full) -> Box<Refusal> {
    let Full { limit, short } = full;
    let never = short.wait == Duration::MAX;
    let why = match limit.rule.kind() {
        Kind::Requests => admission::Refusal::RequestsLimited,
        Kind::Tokens if never => admission::Refusal::TokensNever,
        Kind::Tokens => admission::Refusal::TokensLimited,
        Kind::Concurrency => admission::Refusal::ConcurrencyLimited,
    };
    let mut refusal = refusal::not_admitted(why, None);
    tell_limit(&mut refusal, full);
    refusal
}

/// Adds to a refusal how the limit behind it stands, and when it is worth another try.
pub(super) fn tell_limit(refusal: &mut Refusal, full: &Full) {
    let Full { limit, short } = full;
    let mut standings = Standings::default();
    standings.note(limit.rule.kind(), short.standing);
    standings.write(&mut refusal.fields);
    if short.wait != Duration::MAX {
        // Places come back when others end, of which nothing is known.
        let wait = short.wait.max(Duration::from_millis(1));
        let (seconds, millis) = fields::retry_after(wait);
        refusal.retry_after = Some(seconds);
        refusal.fields.extend_from_slice(format!("retry-after-ms: {millis}\r\n").as_bytes());
    }
}

/// How soon a caller's requests have their turn where they wait.
pub(super) fn priority(world: &World, caller: &Caller) -> Priority {
    let tenant = caller.tenant.and_then(|tenant| world.snapshot.admission.tenant(tenant));
    tenant.map(|tenant| tenant.priority).unwrap_or_default()
}

/// Whether a caller may know of a model: whether it could have it by the lists of tenant, key and token.
pub(super) fn sees(world: &World, caller: &Caller, model: ModelId) -> bool {
    let (table, keys) = (&world.snapshot.admission, &world.snapshot.keys);
    admission::may_have(table, keys, caller, model)
}

/// The list of models that a caller may have.
pub(super) fn models<'w>(world: &'w World, caller: &Caller) -> Cow<'w, [u8]> {
    let (table, keys) = (&world.snapshot.admission, &world.snapshot.keys);
    if admission::has_lists(table, keys, caller) {
        Cow::Owned(world.snapshot.model_list_of(|id| sees(world, caller, id)))
    } else {
        Cow::Borrowed(&world.snapshot.model_list)
    }
}

/// The tokens that a request has cost, if they are counted: what the model server says or, where it does not, what was
/// relayed. None, if no answer of one has begun, or it was refused there.
pub(super) fn tokens(plan: &Plan<'_>, response: &Response, body_bytes: usize) -> Option<Tokens> {
    if !plan.meters_usage && !response.is_events() {
        return None;
    }
    let reported = |input, output| Tokens { input, output, source: TokensSource::Reported };
    let estimated = |input, output| Tokens { input, output, source: TokensSource::Estimated };
    let relayed = estimate::relayed_tokens(response.events, response.content_bytes);
    Some(match response.usage() {
        Some(usage) if response.is_done() => reported(usage.input, usage.output),
        // What a stream says at its beginning of its output is not yet all of it.
        Some(usage) => estimated(usage.input, usage.output.max(relayed)),
        // Of no answer: what came of attempts before the last one is not looked at.
        None if !(1..400).contains(&response.status) => estimated(0, 0),
        // A stream that the gateway itself has opened, and nobody has filled.
        None if response.is_open() && response.content_bytes == 0 => estimated(0, 0),
        None => estimated(estimate::input_tokens(body_bytes as u64), relayed),
    })
}
