//! Who speaks for the gateway itself: refusals, answers of its own, apologies; and how a response is to look.

use crate::accept::client::Client;
use crate::accept::incoming::Incoming;
use crate::accept::incoming::Outline;
use crate::admission::Caller;
use crate::llm::dialect::Dialect;
use crate::llm::dialect::ErrorText;
use crate::record::Fault;
use crate::relay::reply;
use crate::relay::reply::Reply;
use crate::relay::response::Asked;
use crate::relay::response::Response;
use crate::shard::Shard;
use crate::shard::World;
use crate::shard::attempt::Attempts;
use crate::shard::attempt::Way;
use crate::shard::entry::Entry;
use crate::shard::grant::Grant;
use crate::shard::plan::Plan;
use crate::shard::refusal;
use crate::shard::refusal::Refusal;
use crate::shard::request::Ending;
use crate::shard::request::Fate;
use crate::shard::resume::Answer;
use crate::shard::resume::Return;
use crate::wire::head::Method;
use crate::wire::head::Version;

/// Who speaks for the gateway itself.
pub(super) struct Speaker<'s> {
    pub(super) shard: &'s Shard,
    pub(super) outline: &'s Outline,
    pub(super) is_keep_alive: bool,
}

impl Speaker<'_> {
    /// Whether the client's connection may carry another request, as of now: a drain may have begun since this one came.
    fn may_persist(&self) -> bool {
        self.is_keep_alive && self.shard.world().is_serving()
    }

    /// A request that goes to no model server.
    pub(super) async fn end(
        &self,
        client: &mut Client,
        entry: &mut Entry<'_>,
        ending: Ending<'_>,
    ) -> Fate {
        match ending {
            Ending::Refused(refusal, has_body) => {
                self.refuse(client, entry, &refusal, has_body).await
            }
            Ending::Said(body) => self.say(client, entry, &body).await,
            Ending::Gone(dialect) => {
                let fault = self.shard.gone();
                entry.abandon(fault);
                self.apologise(client, dialect, &[], entry, fault).await
            }
        }
    }

    /// A request that may not enter. If its body has not arrived (whole), the connection cannot go on.
    pub(super) async fn refuse(
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
            fields: &refusal.fields,
            www_authenticate: refusal.www_authenticate,
            ..self.reply(refusal.status, &id, is_keep_alive)
        };
        let text = ErrorText {
            status: refusal.status,
            message: &refusal.message,
            kind: None,
            param: refusal.param.as_deref(),
            code: refusal.code.as_deref(),
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
    pub(super) async fn apologise(
        &self,
        client: &mut Client,
        dialect: Dialect,
        limits: &[u8],
        entry: &Entry<'_>,
        fault: Fault,
    ) -> Fate {
        if fault == Fault::ClientGone {
            return Fate::Cut;
        }
        let (id, is_keep_alive) = (entry.id(), self.may_persist());
        let reply = Reply {
            retry_after: (fault.status() == 503).then_some(refusal::RETRY_AFTER_SECONDS),
            // Where nobody could be asked, asking again later is of use.
            is_exhausted: fault.status() != 503 || entry.has_attempted(),
            fields: limits,
            ..self.reply(fault.status(), &id, is_keep_alive)
        };
        let mut out = Vec::new();
        reply::error(&reply, dialect, &reply::text_of(fault), &mut out);
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

    pub(super) fn response(&self, plan: &Plan<'_>, caller: &Caller, entry: &Entry<'_>) -> Response {
        Response::new(Asked {
            method: self.outline.method,
            version: self.outline.version,
            is_keep_alive: self.may_persist(),
            dialect: plan.dialect,
            request_id: entry.request_id(),
            fields: plan.fields().map(Box::from),
            meters_usage: plan.meters_usage,
            keeps_events: plan.is_stream && !caller.steps.is_empty(),
            drops_usage_event: plan.drops_usage_event,
            // What a model server that is asked for anything at all will say is not known: it may be no stream.
            may_open: plan.is_stream && plan.kind().is_some(),
            holds_errors: true,
        })
    }

    /// What is known before the first attempt, and the response of which nothing has come.
    pub(super) fn prepare<'w>(
        &self,
        world: &'w World,
        plan: &Plan<'w>,
        grant: &Grant<'_>,
        request: &Incoming,
        entry: &Entry<'_>,
    ) -> Result<(Attempts<'w>, Response), Box<Refusal>>
    where
        Self: 'w,
    {
        let way = Way { plan, caller: &grant.caller };
        let mut attempts = Attempts::new(self.shard, world, &way, request, entry.arrived());
        let mut response = self.response(plan, &grant.caller, entry);
        attempts.equip(&mut response, &way, request).map_err(refusal::untranslatable)?;
        Ok((attempts, response))
    }

    /// The response to the next attempt, which goes on with what went down of the last one. False: there is no such attempt,
    /// for the upstream that would be asked has no words for the request.
    pub(super) fn renew(
        &self,
        attempts: &mut Attempts<'_>,
        response: &mut Response,
        plan: &Plan<'_>,
        grant: &Grant<'_>,
        request: &Incoming,
        entry: &Entry<'_>,
    ) -> bool {
        let way = Way { plan, caller: &grant.caller };
        let fresh = self.response(plan, &grant.caller, entry);
        attempts.renew(response, fresh, &way, request).is_ok()
    }

    /// A client that comes back to a stream, which another request has begun.
    pub(super) async fn resume(
        &self,
        world: &World,
        client: &mut Client,
        request: &Incoming,
        caller: &Caller,
        entry: &mut Entry<'_>,
    ) -> Result<Fate, Box<Refusal>> {
        let is_keep_alive = self.may_persist();
        let coming =
            Return { shard: self.shard, world, outline: self.outline, caller, is_keep_alive };
        let asked = Asked {
            method: self.outline.method,
            version: self.outline.version,
            is_keep_alive,
            dialect: Dialect::OpenAi,
            request_id: entry.request_id(),
            fields: None,
            meters_usage: false,
            keeps_events: false,
            drops_usage_event: false,
            may_open: false,
            holds_errors: false,
        };
        match coming.serve(request, client, &asked).await? {
            Answer::Served(fate) => {
                entry.returned(200);
                Ok(fate)
            }
            Answer::NothingMore => {
                entry.returned(204);
                let mut out = Vec::new();
                reply::nothing(&self.reply(204, &entry.id(), is_keep_alive), &mut out);
                Ok(self.send(client, &out, is_keep_alive).await)
            }
        }
    }
}
