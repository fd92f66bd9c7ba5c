//! The life of a request. Read this file first.

use std::borrow::Cow;

use crate::accept::client::Client;
use crate::accept::incoming;
use crate::accept::incoming::Incoming;
use crate::accept::incoming::Outline;
use crate::llm::dialect::Dialect;
use crate::record::Fault;
use crate::relay::exchange::Ended;
use crate::shard::Shard;
use crate::shard::World;
use crate::shard::admit;
use crate::shard::admit::Asking;
use crate::shard::admit::Denied;
use crate::shard::admit::Knock;
use crate::shard::attempt;
use crate::shard::attempt::Way;
use crate::shard::entry::Entry;
use crate::shard::fallback;
use crate::shard::grant::Grant;
use crate::shard::look::Goal;
use crate::shard::look::Look;
use crate::shard::plan;
use crate::shard::plan::Decision;
use crate::shard::plan::Plan;
use crate::shard::refusal;
use crate::shard::refusal::Refusal;
use crate::shard::shadow;
use crate::shard::speaker::Speaker;
use crate::shard::version::Chooser;
use crate::wire::head::BodyLength;
use crate::wire::head::Method;
use crate::wire::head::Version;

/// What becomes of the client's connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It may carry another request.
    KeepAlive,
    /// It closes: the client has asked for that, and has nothing more to send.
    Close,
    /// It closes, once the client has read what it was sent.
    Linger,
    /// It is cut: the response is not complete, and the client must see that.
    Cut,
    /// Another shard has it.
    Moved,
}

/// Serves one request, of which the head has arrived.
///
/// The world that its head was looked at in is the one it sees to the end. What happens rarely waits in a box of its own:
/// an open stream must not pay for the room it takes.
pub(super) async fn serve(
    shard: &Shard,
    client: &mut Client,
    outline: &Outline,
    knock: &mut Knock<'_>,
) -> Fate {
    if let Ok(goal) = knock.look.goal {
        // As it is without this request.
        knock.look.goal = goal.unless(shard.overload(outline.missing_bytes(client.input.len())));
    }
    let mut entry = Entry::begin(shard, knock.look.trusted_id, knock.look.client);
    entry.entered(&knock.world.snapshot, &knock.grant.caller);
    let speaker = Speaker { shard, outline, is_keep_alive: outline.is_keep_alive };
    match pass(&speaker, client, knock, &mut entry).await {
        Ok(fate) => fate,
        Err(ending) => Box::pin(speaker.end(client, &mut entry, ending)).await,
    }
}

/// The way of a request to a model server, and of its response back.
#[expect(clippy::manual_async_fn, reason = "it would keep its arguments twice, in every stream")]
fn pass<'a, 'w>(
    speaker: &'a Speaker<'_>,
    client: &'a mut Client,
    knock: &'w mut Knock<'_>,
    entry: &'a mut Entry<'_>,
) -> impl Future<Output = Result<Fate, Ending<'w>>> {
    async move {
        let Knock { world, look, grant } = knock;
        let (shard, world, outline) = (speaker.shard, &**world, speaker.outline);

        // The body: only if there is somebody to give it to who may come in, and room.
        let (mut request, goal) = arrive(speaker, world, client, look, grant, entry).await?;

        if let Goal::Resume(..) = goal {
            let back =
                Box::pin(speaker.resume(world, client, &request, &grant.caller, entry)).await;
            request.release(&shard.buffers);
            return Ok(back?);
        }

        // Route: which model, and what is asked of whom. Admit: may the caller have it, and is as much left of its limits?
        let asking = Asking { shard, world, request: &request, address: look.client };
        let plan = route(asking, goal, grant, client).await;
        entry.waited(grant.waited);
        let mut plan = plan?;
        entry.admitted(&world.snapshot, &plan);
        shadow::cast(shard, world, &plan, &grant.caller, &request, entry);

        // Balance, upstream, relay: until it works, or may not be tried again.
        let body_bytes = request.body().len();
        let (mut attempts, mut response) = speaker.prepare(world, &plan, grant, &request, entry)?;
        let outcome = loop {
            let way = Way { plan: &plan, caller: &grant.caller };
            let outcome =
                attempt::run(&mut attempts, &way, client, &mut request, &mut response, entry).await;
            let Some(step) = attempts.step(&outcome, &way, &request, &response) else {
                break outcome;
            };
            let asking = Asking { shard, world, request: &request, address: look.client };
            let next = Box::pin(fallback::take(
                step,
                &mut attempts,
                &asking,
                grant,
                &mut plan,
                (client, &mut response),
                entry,
            ));
            match next.await {
                Ok(true) => {}
                Ok(false) => break outcome,
                Err(fault) => break Err(fault),
            }
            if !speaker.renew(&mut attempts, &mut response, &plan, grant, &request, entry) {
                break outcome;
            }
        };
        let outcome = match outcome {
            Ok(Ended::Withheld) => Box::pin(attempts.pass_on(client, &mut response)).await,
            outcome => outcome.map(|_| ()),
        };
        request.release(&shard.buffers);

        // Record: what happened; entry and grant see to the rest when they are dropped, whatever happens.
        // Nothing of this may be kept beside an open stream, hence no name for the progress.
        let has_answered = attempts.progress().has_answered;
        entry.answered(&response, attempts.progress(), &outcome);
        if let Some(tokens) = admit::tokens(&plan, &response, body_bytes) {
            entry.cost(tokens);
            grant.settle(tokens.sum());
        }
        grant.ended(response.status, outcome.err().map(Fault::label));
        let fate = match outcome {
            Ok(()) if response.is_client_reusable() => Fate::KeepAlive,
            Ok(()) if !outline.is_keep_alive && client.input.is_empty() => Fate::Close,
            Ok(()) => Fate::Linger,
            Err(fault) if has_answered => {
                Box::pin(attempts.break_off(client, &mut response, fault)).await
            }
            Err(fault) => {
                let limits = plan.fields().unwrap_or_default();
                Box::pin(speaker.apologise(client, plan.dialect, limits, entry, fault)).await
            }
        };
        Ok(attempts.part(fate))
    }
}

/// Why a request goes to no model server.
pub(super) enum Ending<'w> {
    /// It may not, or cannot; its body has arrived whole, or has not.
    Refused(Box<Refusal>, bool),
    /// The gateway answers by itself.
    Said(Cow<'w, [u8]>),
    /// Nobody waits for an answer any more: [`Shard::gone`] says why. Who does, speaks this.
    Gone(Dialect),
}

impl From<Box<Refusal>> for Ending<'_> {
    fn from(refusal: Box<Refusal>) -> Self {
        Self::Refused(refusal, true)
    }
}

/// Waits for the body of a request that may enter, by its head; a signed one must be the one that was signed.
async fn arrive<'w>(
    speaker: &Speaker<'_>,
    world: &'w World,
    client: &mut Client,
    look: &mut Look,
    grant: &Grant<'_>,
    entry: &mut Entry<'_>,
) -> Result<(Incoming, Goal), Ending<'w>> {
    let (shard, outline) = (speaker.shard, speaker.outline);
    // Nobody looks at it again.
    let goal = std::mem::replace(&mut look.goal, Ok(Goal::Other));
    let goal = wanted(shard, client, outline, goal)
        .map_err(|(refusal, has_body)| Ending::Refused(refusal, has_body))?;
    let has_waited = client.input.len() < outline.whole_bytes();
    let (limits, buffers) = (world.limits(), &shard.buffers);
    let mut digest = admit::digest(&grant.caller);
    let arrived = match incoming::whole(client, buffers, limits, outline, digest.as_deref_mut()) {
        Some(request) => Ok(request),
        // Boxed: most bodies come with their heads, and an open stream must not pay for the room the wait takes.
        None => {
            Box::pin(incoming::body(client, buffers, limits, outline, digest.as_deref_mut())).await
        }
    };
    let request = match arrived {
        Ok(request) => request,
        Err(trouble) => {
            let refusal = refusal::trouble(&trouble, limits).ok_or(Ending::Gone(goal.dialect()))?;
            buffers.release(&mut client.input);
            return Err(Ending::Refused(refusal.spoken(goal.dialect()), false));
        }
    };
    entry.received(request.body().len(), has_waited);
    admit::signed(shard, &grant.caller, digest)
        .map_err(|refusal| refusal.spoken(goal.dialect()))?;
    Ok((request, goal))
}

/// Whether the body is worth waiting for; if not, and it is there already, it is thrown away.
fn wanted(
    shard: &Shard,
    client: &mut Client,
    outline: &Outline,
    goal: Result<Goal, Box<Refusal>>,
) -> Result<Goal, (Box<Refusal>, bool)> {
    goal.map_err(|refusal| {
        let has_body = client.input.len() >= outline.whole_bytes();
        if has_body {
            client.input.consume(outline.whole_bytes());
            shard.buffers.release_if_empty(&mut client.input);
        }
        (refusal, has_body)
    })
}

/// Finds out which model is asked and how, and whether its caller may have it now.
async fn route<'w>(
    asking: Asking<'_, 'w>,
    goal: Goal,
    grant: &mut Grant<'_>,
    client: &mut Client,
) -> Result<Plan<'w>, Ending<'w>> {
    let (world, snapshot) = (asking.world, &asking.world.snapshot);
    let dice = || asking.shard.state.with(|own| own.dice.roll());
    let chooser = Chooser { request: asking.request, caller: &grant.caller, dice: &dice };
    let mut plan = match plan::decide(snapshot, &chooser, goal)? {
        Decision::Forward(plan) => plan,
        Decision::ListModels => return Err(Ending::Said(admit::models(world, &grant.caller))),
        Decision::DescribeModel(id) if admit::sees(world, &grant.caller, id) => {
            return Err(Ending::Said(Cow::Borrowed(&snapshot.model(id).description)));
        }
        Decision::DescribeModel(id) => {
            return Err(refusal::unknown_model(snapshot, &snapshot.model(id).name).into());
        }
    };
    match admit::admit(&asking, grant, &mut plan, client).await {
        Ok(()) => Ok(plan),
        Err(Denied::Gone) => Err(Ending::Gone(plan.dialect)),
        Err(Denied::Refused(refusal)) => Err(refusal.into()),
    }
}

/// Tells a client whose request did not even have a whole head what is wrong, if there is anybody to tell.
pub(super) async fn reject(
    shard: &Shard,
    client: &mut Client,
    world: &World,
    trouble: &incoming::Trouble,
) -> Fate {
    let Some(refusal) = refusal::trouble(trouble, world.limits()) else { return Fate::Cut };
    let mut entry = Entry::begin(shard, None, client.address);
    entry.note_malformed();
    let outline = Outline {
        head_bytes: 0,
        method: Method::Other,
        version: Version::Http11,
        body: BodyLength::Empty,
        is_keep_alive: false,
        expects_continue: false,
    };
    let speaker = Speaker { shard, outline: &outline, is_keep_alive: false };
    speaker.refuse(client, &mut entry, &refusal, false).await
}
