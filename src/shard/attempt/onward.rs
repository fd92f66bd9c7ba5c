//! The way a request goes up: what is sent to whichever endpoint is asked.

use crate::accept::incoming::Incoming;
use crate::admission::Caller;
use crate::admission::step::FIELDS_MAX;
use crate::balance::hash;
use crate::llm::edit::Edit;
use crate::llm::features;
use crate::llm::stream::translate;
use crate::record::Fault;
use crate::relay::onward;
use crate::relay::onward::Onward;
use crate::relay::upload::Body;
use crate::relay::upload::Upload;
use crate::shard::World;
use crate::shard::attempt::Attempts;
use crate::shard::plan::Plan;
use crate::snapshot::Endpoint;
use crate::snapshot::Format;
use crate::snapshot::HashBy;
use crate::snapshot::Upstream;
use crate::units::UpstreamId;
use crate::upstream::Link;

/// Fields that say on whose behalf a request goes up, those of the embedder's steps included.
const IDENTITY_FIELDS_MAX: usize = 3 + FIELDS_MAX;

/// What is asked, and on whose behalf.
#[derive(Clone, Copy)]
pub(in crate::shard) struct Way<'r> {
    pub(in crate::shard) plan: &'r Plan<'r>,
    pub(in crate::shard) caller: &'r Caller,
}

impl<'r> Way<'r> {
    /// Whether an upstream is shown a credential of ours; if not, it is the tenant's own or the client's.
    pub(super) fn is_credential_ours(&self, world: &World, upstream: UpstreamId) -> bool {
        let own = self
            .caller
            .tenant
            .and_then(|tenant| world.snapshot.tenant_credentials(tenant, upstream));
        own.is_none() && world.snapshot.upstream(upstream).credential.is_some()
    }

    /// What requests that belong to the same endpoint have in common; none: they may go anywhere.
    pub(super) fn key(
        &self,
        world: &World,
        upstream: &Upstream,
        request: &Incoming,
    ) -> Option<u64> {
        match &upstream.hash.as_ref()?.by {
            HashBy::Header(name) => request.with_head(|head| head.fields.get(name).map(hash::key)),
            HashBy::Tenant => {
                let tenant = self.caller.tenant?;
                Some(hash::key(world.snapshot.admission.tenant(tenant)?.name.as_bytes()))
            }
            HashBy::User => match self.caller.user() {
                Some(user) => Some(hash::key(user.as_bytes())),
                None => features::user(request.body()),
            },
            HashBy::Prompt { bytes } => features::prompt_fingerprint(request.body(), *bytes),
        }
    }

    /// Begins to send the request.
    pub(super) fn upload(
        &self,
        attempts: &Attempts<'_>,
        endpoint: &Endpoint,
        link: &mut Link,
        request: &Incoming,
        request_id: &[u8; 32],
    ) -> Result<Upload, Fault> {
        let upload = self.with_body(attempts, request, |body| {
            Upload::begin(link, &attempts.shard.buffers, body, |out| {
                self.with_onward(attempts, endpoint, request_id, body, |onward| {
                    request.with_head(|head| onward::encode(head, onward, out));
                });
            })
        });
        upload.map_err(|_| Fault::UpstreamClosedEarly)
    }

    /// The body as it goes up.
    pub(super) fn with_body<R>(
        &self,
        attempts: &Attempts<'_>,
        request: &Incoming,
        work: impl FnOnce(Body<'_>) -> R,
    ) -> R {
        if let Some(instead) = attempts.instead.as_ref().and_then(|it| it.request.as_ref()) {
            return work(Body { bytes: instead.body(), edits: &[] });
        }
        let name = self.plan.name_edit(&attempts.world.snapshot);
        work(Body { bytes: request.body(), edits: self.edits(&name) })
    }

    /// What changes of the body, if its model's name does so.
    pub(super) fn edits<'e>(&'e self, name: &'e Option<Edit<'r>>) -> &'e [Edit<'e>] {
        match self.plan.edits() {
            [] => name.as_slice(),
            edits => edits,
        }
    }

    /// What the gateway puts into the head for this endpoint.
    fn with_onward(
        &self,
        attempts: &Attempts<'_>,
        endpoint: &Endpoint,
        request_id: &[u8],
        body: Body<'_>,
        write: impl FnOnce(&Onward<'_>),
    ) {
        let (snapshot, caller, plan) = (&attempts.world.snapshot, self.caller, self.plan);
        let upstream = attempts.model().upstream;
        let own = caller.tenant.and_then(|tenant| snapshot.tenant_credentials(tenant, upstream));
        let credential = own.or(snapshot.upstream(upstream).credential.as_ref());
        let names = &snapshot.admission.identity;
        let names = [&names.tenant, &names.key, &names.user];
        let stripped = names.map(|name| name.as_deref().unwrap_or_default());
        let values = caller.names(&snapshot.admission, &snapshot.keys);
        let known = stripped.into_iter().zip(values);
        let known = known.filter(|(name, _)| !name.is_empty());
        let known = known.filter_map(|(name, value)| Some((name, value?.as_bytes())));
        let mut identity = [("", &b""[..]); IDENTITY_FIELDS_MAX];
        let mut count = 0;
        for (place, field) in identity.iter_mut().zip(known.chain(caller.added.iter())) {
            *place = field;
            count += 1;
        }
        write(&Onward {
            path_prefix: &endpoint.path_prefix,
            path: path_up(attempts, plan),
            host: &endpoint.host,
            credential: credential.map(|secret| secret.expose()),
            request_id,
            identity: identity.get(..count).unwrap_or_default(),
            stripped: &stripped,
            is_credential_ours: caller.has_used_credential,
            is_edited: !body.edits.is_empty() || attempts.is_rewritten(),
            last_event_id: attempts.instead.as_ref().map_or(&[], |it| &it.last_event_id),
            is_stream: plan.is_stream,
            meters_usage: plan.meters_usage,
            body_bytes: body.len(),
        });
    }
}

/// The path to ask for.
fn path_up<'p>(attempts: &Attempts<'_>, plan: &'p Plan<'_>) -> &'p str {
    match (attempts.upstream().format, plan.kind()) {
        (Format::Ollama, Some(operation)) => translate::path_up(operation),
        _ => &plan.path,
    }
}
