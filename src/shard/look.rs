//! What the head of a request says alone: where it goes, and whose it is. Pure.

use std::net::IpAddr;

use crate::accept::incoming::Incoming;
use crate::accept::overload::Overload;
use crate::accept::proxy;
use crate::llm::dialect::Dialect;
use crate::llm::dialect::Operation;
use crate::record::RequestId;
use crate::relay::replay::EventId;
use crate::relay::replay::StreamId;
use crate::route::path;
use crate::route::path::Destination;
use crate::shard::refusal::NoStream;
use crate::shard::refusal::Refusal;
use crate::shard::refusal::no_stream;
use crate::shard::refusal::overloaded;
use crate::shard::refusal::too_large;
use crate::shard::refusal::unroutable;
use crate::snapshot::Listen;
use crate::units::ShardId;
use crate::wire::head::BodyLength;
use crate::wire::head::RequestHead;
use crate::wire::head::is_same_name;

/// What the head alone says.
pub(super) struct Look {
    /// Where it goes, or why nowhere.
    pub(super) goal: Result<Goal, Box<Refusal>>,
    /// The name that the client has given the request, where the config trusts it.
    pub(super) trusted_id: Option<RequestId>,
    /// Whose request it is: where the connection comes from, or whom trusted proxies name.
    pub(super) client: IpAddr,
}

/// Where a request goes by its head.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// To an operation of a model API; the body names the model.
    Generate(Operation),
    /// Back to a stream, which is this shard's.
    Resume(ShardId, Dialect),
    /// Somewhere else: the path must be read again.
    Other,
}

impl Goal {
    /// How its errors are written.
    pub(super) fn dialect(self) -> Dialect {
        match self {
            Self::Generate(operation) => operation.dialect(),
            Self::Resume(_, dialect) => dialect,
            Self::Other => Dialect::OpenAi,
        }
    }

    /// This goal, unless the shard has no room for the request.
    pub(super) fn unless(self, overload: Option<Overload>) -> Result<Self, Box<Refusal>> {
        match overload {
            None => Ok(self),
            Some(why) => Err(overloaded(why).spoken(self.dialect())),
        }
    }
}

/// Looks at the head alone: is there anything at this path for this method, and may its body be as large as it
/// says? So a body that nobody wants is refused before it is sent.
pub(super) fn look(head: &RequestHead<'_, '_>, listen: &Listen, peer: IpAddr) -> Look {
    let trusted_id = match head.fields.get("x-request-id") {
        Some(text) if listen.trust_request_id => RequestId::parse(text),
        _ => None,
    };
    Look { goal: goal(head, listen), trusted_id, client: client(head, listen, peer) }
}

fn client(head: &RequestHead<'_, '_>, listen: &Listen, peer: IpAddr) -> IpAddr {
    let trusted = &listen.trusted_proxies;
    if trusted.is_empty() {
        return peer;
    }
    let fields = head.fields.iter();
    let forwarded = fields.filter(|field| is_same_name(field.name, "x-forwarded-for"));
    let forwarded = forwarded.map(|field| field.value);
    proxy::client_address(peer, forwarded, |address| trusted.contains(address))
}

fn goal(head: &RequestHead<'_, '_>, listen: &Listen) -> Result<Goal, Box<Refusal>> {
    let destination = path::destination(head.method, head.path)
        .map_err(|why| unroutable(why).spoken(path::dialect(head.path)))?;
    if let BodyLength::Exact(length) = head.body
        && usize::try_from(length).is_ok_and(|length| length > listen.body_bytes_max)
    {
        return Err(too_large(listen.body_bytes_max).spoken(destination.dialect()));
    }
    if let Some(event) = resumed(head, &destination)? {
        return Ok(Goal::Resume(event.stream.shard(), destination.dialect()));
    }
    Ok(match destination {
        Destination::Generate(operation) => Goal::Generate(operation),
        _ => Goal::Other,
    })
}

/// The event behind which the client wants to read on, if it comes back to a stream of this gateway. An id that is none of
/// the gateway's is nobody's business here: it goes on with the request.
pub(super) fn resumed(
    head: &RequestHead<'_, '_>,
    destination: &Destination<'_>,
) -> Result<Option<EventId>, Box<Refusal>> {
    let last = head.fields.get("last-event-id");
    match destination {
        Destination::Stream { id } => {
            let stream = StreamId::parse(id.as_bytes())
                .ok_or_else(|| no_stream(NoStream::Unknown).spoken(Dialect::OpenAi))?;
            let seq = last.and_then(EventId::parse).filter(|event| event.stream == stream);
            Ok(Some(EventId { stream, seq: seq.map_or(0, |event| event.seq) }))
        }
        Destination::Generate(_) | Destination::Invoke { .. } => Ok(last.and_then(EventId::parse)),
        _ => Ok(None),
    }
}

/// The same of a request that has arrived whole.
pub(super) fn resumed_by(request: &Incoming) -> Option<EventId> {
    request.with_head(|head| {
        let destination = path::destination(head.method, head.path).ok()?;
        resumed(head, &destination).ok()?
    })
}

/// Whether the client asks that it may come back to its stream.
pub(super) fn asks_to_resume(head: &RequestHead<'_, '_>) -> bool {
    head.fields.get("x-ringway-resume").is_some_and(|value| value.eq_ignore_ascii_case(b"true"))
}
