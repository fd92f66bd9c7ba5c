//! The life of a request. Read this file first.

use crate::accept::client::Client;
use crate::accept::incoming;
use crate::accept::incoming::Outline;
use crate::llm::dialect::ErrorText;
use crate::record::Fault;
use crate::relay::reply;
use crate::relay::reply::Reply;
use crate::relay::response::Asked;
use crate::relay::response::Response;
use crate::shard::Shard;
use crate::shard::World;
use crate::shard::attempt;
use crate::shard::attempt::Attempts;
use crate::shard::entry::Entry;
use crate::shard::plan;
use crate::shard::plan::Decision;
use crate::shard::plan::Look;
use crate::shard::plan::Plan;
use crate::shard::plan::Refusal;
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
}

/// Serves one request, of which the head has arrived.
///
/// `world` is the one it sees from here to the end. What happens rarely waits in a box of its own: an open stream must
/// not pay for the room it takes.
pub(super) async fn serve(
    shard: &Shard,
    world: &World,
    client: &mut Client,
    outline: &Outline,
    look: Look,
) -> Fate {
    let overload = shard.overload(outline, client.input.len());
    let mut entry = Entry::begin(shard, look.trusted_id, look.client);
    let limits = world.limits();
    let speaker = Speaker { shard, outline: *outline, is_keep_alive: outline.is_keep_alive };

    // The body: only if there is somebody to give it to, and room.
    let goal = match look.goal.and_then(|goal| goal.unless(overload)) {
        Ok(goal) => goal,
        Err(refusal) => {
            let has_body = client.input.len() >= outline.whole_bytes();
            if has_body {
                client.input.consume(outline.whole_bytes());
                shard.buffers.release_if_empty(&mut client.input);
            }
            return Box::pin(speaker.refuse(client, &mut entry, &refusal, has_body)).await;
        }
    };
    let has_waited = client.input.len() < outline.whole_bytes();
    let mut request = match incoming::body(client, &shard.buffers, limits, outline, None).await {
        Ok(request) => request,
        Err(trouble) => match plan::trouble(&trouble, limits) {
            Some(refusal) => {
                let refusal = refusal.spoken(goal.dialect());
                shard.buffers.release(&mut client.input);
                return Box::pin(speaker.refuse(client, &mut entry, &refusal, false)).await;
            }
            None => return entry.abandon(Fault::ClientGone),
        },
    };
    entry.received(request.body().len(), has_waited);

    // Route: which model, and what is asked of whom.
    let plan = match plan::decide(&world.snapshot, &request, goal) {
        Ok(Decision::Forward(plan)) => plan,
        Ok(Decision::ListModels) => {
            return Box::pin(speaker.say(client, &mut entry, &world.snapshot.model_list)).await;
        }
        Ok(Decision::DescribeModel(id)) => {
            let body = &world.snapshot.model(id).description;
            return Box::pin(speaker.say(client, &mut entry, body)).await;
        }
        Err(refusal) => {
            return Box::pin(speaker.refuse(client, &mut entry, &refusal, true)).await;
        }
    };
    entry.admitted(&world.snapshot, &plan);

    // Balance, upstream, relay: until it works, or may not be tried again.
    let mut attempts = Attempts::new(shard, world, &plan, entry.arrived());
    let mut response = speaker.response(&plan, &entry);
    let outcome = loop {
        let outcome =
            attempt::run(&mut attempts, client, &mut request, &mut response, &mut entry).await;
        match outcome {
            Err(fault) if attempts.may_repeat(fault) => response = speaker.response(&plan, &entry),
            outcome => break outcome,
        }
    };
    request.release(&shard.buffers);

    // Record: what happened; the entry writes it when it is dropped, whatever happens.
    entry.answered(&response, attempts.progress(), &outcome);
    match outcome {
        Ok(()) if response.is_client_reusable() => Fate::KeepAlive,
        Ok(()) if !outline.is_keep_alive && client.input.is_empty() => Fate::Close,
        Ok(()) => Fate::Linger,
        Err(fault) if attempts.progress().has_answered => {
            Box::pin(attempts.break_off(client, &mut response, fault)).await
        }
        Err(fault) => Box::pin(speaker.apologise(client, &plan, &entry, fault)).await,
    }
}

/// Who speaks for the gateway itself.
struct Speaker<'s> {
    shard: &'s Shard,
    outline: Outline,
    is_keep_alive: bool,
}

impl Speaker<'_> {
    /// Whether the client's connection may carry another request, as of now: a drain may have begun since this one came.
    fn may_persist(&self) -> bool {
        self.is_keep_alive && self.shard.world().is_serving()
    }

    /// A request that may not enter. If its body has not arrived (whole), the connection cannot go on.
    async fn refuse(
        &self,
        client: &mut Client,
        entry: &mut Entry<'_>,
        refusal: &Refusal,
        has_body: bool,
    ) -> Fate {
        let id = entry.id();
        entry.refused(refusal);
        let is_keep_alive = has_body && self.may_persist();
        let reply = Reply {
            allow: refusal.allow,
            retry_after: refusal.retry_after,
            ..self.reply(refusal.status, &id, is_keep_alive)
        };
        let text = ErrorText {
            status: refusal.status,
            message: &refusal.message,
            kind: None,
            param: refusal.param,
            code: refusal.code,
        };
        let mut out = Vec::new();
        reply::error(&reply, refusal.dialect, &text, &mut out);
        self.send(client, &out, is_keep_alive).await
    }

    /// An answer of the gateway's own.
    async fn say(&self, client: &mut Client, entry: &mut Entry<'_>, body: &[u8]) -> Fate {
        let id = entry.id();
        entry.said(body.len());
        let mut out = Vec::new();
        let is_keep_alive = self.may_persist();
        reply::json(&self.reply(200, &id, is_keep_alive), body, &mut out);
        self.send(client, &out, is_keep_alive).await
    }

    /// A request that failed before anything of an answer went down.
    async fn apologise(
        &self,
        client: &mut Client,
        plan: &Plan,
        entry: &Entry<'_>,
        fault: Fault,
    ) -> Fate {
        if fault == Fault::ClientGone {
            return Fate::Cut;
        }
        let (id, is_keep_alive) = (entry.id(), self.may_persist());
        let reply = Reply {
            retry_after: (fault.status() == 503).then_some(plan::RETRY_AFTER_SECONDS),
            is_exhausted: true,
            ..self.reply(fault.status(), &id, is_keep_alive)
        };
        let mut out = Vec::new();
        reply::error(&reply, plan.dialect, &reply::text_of(fault), &mut out);
        self.send(client, &out, is_keep_alive).await
    }

    async fn send(&self, client: &mut Client, out: &[u8], is_keep_alive: bool) -> Fate {
        match client.send_all(out, self.shard.write_deadline()).await {
            Ok(()) if is_keep_alive => Fate::KeepAlive,
            Ok(()) => Fate::Linger,
            Err(_) => Fate::Cut,
        }
    }

    fn reply<'r>(&self, status: u16, request_id: &'r [u8; 32], is_keep_alive: bool) -> Reply<'r> {
        Reply {
            status,
            request_id,
            is_keep_alive,
            is_http10: self.outline.version == Version::Http10,
            is_head: self.outline.method == Method::Head,
            retry_after: None,
            fields: &[],
            www_authenticate: None,
            allow: None,
            is_exhausted: false,
        }
    }

    fn response(&self, plan: &Plan, entry: &Entry<'_>) -> Response {
        Response::new(Asked {
            method: self.outline.method,
            version: self.outline.version,
            is_keep_alive: self.may_persist(),
            dialect: plan.dialect,
            request_id: entry.id(),
            fields: None,
            meters_usage: false,
            drops_usage_event: false,
        })
    }
}

/// Tells a client whose request did not even have a whole head what is wrong, if there is anybody to tell.
pub(super) async fn reject(
    shard: &Shard,
    client: &mut Client,
    world: &World,
    trouble: &incoming::Trouble,
) -> Fate {
    let Some(refusal) = plan::trouble(trouble, world.limits()) else { return Fate::Cut };
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
    let speaker = Speaker { shard, outline, is_keep_alive: false };
    speaker.refuse(client, &mut entry, &refusal, false).await
}
