//! Attempts at one request: an endpoint, a connection to it, one exchange; and whether there may be another.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Context;
use std::task::Poll;

use crate::accept::client::Client;
use crate::accept::incoming::Incoming;
use crate::admission::Caller;
use crate::admission::step;
use crate::admission::step::FIELDS_MAX;
use crate::record::Fault;
use crate::record::Retry;
use crate::record::counters::Retirement;
use crate::record::counters::ShardCounter;
use crate::relay::exchange::Deadlines;
use crate::relay::exchange::Exchange;
use crate::relay::exchange::Progress;
use crate::relay::onward;
use crate::relay::onward::Onward;
use crate::relay::response::Response;
use crate::relay::response::Seen;
use crate::relay::upload::Body;
use crate::relay::upload::Upload;
use crate::ring::clock;
use crate::ring::stream::Dial;
use crate::shard::Shard;
use crate::shard::World;
use crate::shard::entry::Entry;
use crate::shard::plan::Plan;
use crate::shard::request::Fate;
use crate::snapshot::Endpoint;
use crate::snapshot::Model;
use crate::snapshot::Upstream;
use crate::units::Moment;
use crate::upstream::Link;
use crate::upstream::connect;
use crate::upstream::connect::Failure;
use crate::upstream::connect::Tls;
use crate::upstream::pool::Retired;
use crate::wire::buffer::Buffer;

/// Endpoints that one request may be tried on while nothing of it was sent.
const ENDPOINTS_TRIED_MAX: u32 = 3;

/// Fields that say on whose behalf a request goes up, those of the embedder's steps included.
const IDENTITY_FIELDS_MAX: usize = 3 + FIELDS_MAX;

/// What is known about the attempts at one request.
pub(super) struct Attempts<'r> {
    shard: &'r Shard,
    model: &'r Model,
    upstream: &'r Upstream,
    world: &'r World,
    plan: &'r Plan<'r>,
    caller: &'r Caller,
    arrived: Moment,
    deadlines: Deadlines,
    progress: Progress,
    /// One bit for each of the first 64 endpoints of the upstream that were tried.
    tried: u64,
    /// A connection that was used before has failed: the next attempt opens a fresh one, and is the last.
    has_repeated: bool,
    was_reused: bool,
}

impl<'r> Attempts<'r> {
    pub(super) fn new(
        shard: &'r Shard,
        world: &'r World,
        plan: &'r Plan<'r>,
        caller: &'r Caller,
        arrived: Moment,
    ) -> Self {
        let model = world.snapshot.model(plan.model);
        let deadlines = Deadlines {
            first_byte: arrived.after(model.deadlines.first_byte),
            whole: arrived.after(model.deadlines.whole),
            gap: model.deadlines.gap,
            write: world.snapshot.listen.write_timeout,
        };
        Self {
            shard,
            model,
            upstream: world.snapshot.upstream(model.upstream),
            world,
            plan,
            caller,
            arrived,
            deadlines,
            progress: Progress::default(),
            tried: 0,
            has_repeated: false,
            was_reused: false,
        }
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether the request may be tried once more after this fault, and notes that it is.
    pub(super) fn may_repeat(&mut self, fault: Fault) -> bool {
        if self.progress.has_answered || self.progress.first_byte.is_some() {
            return false;
        }
        let may = match fault.retry() {
            Retry::Never => false,
            Retry::IfUnsent => {
                !self.progress.has_sent
                    && fault != Fault::NoEndpoint
                    && self.tried.count_ones() < ENDPOINTS_TRIED_MAX
                    && (self.tried.count_ones() as usize) < self.upstream.endpoints.len()
                    && clock::now() < self.deadlines.first_byte
            }
            // Once: the connection that died was an old one, the next is a fresh one.
            Retry::IfReused => self.was_reused && !self.has_repeated,
        };
        if may && fault.retry() == Retry::IfReused {
            self.has_repeated = true;
            self.tried = 0;
        }
        may
    }

    /// What the gateway puts into the head for this endpoint.
    fn with_onward(
        &self,
        endpoint: &Endpoint,
        request_id: &[u8],
        body: Body<'_>,
        write: impl FnOnce(&Onward<'_>),
    ) {
        let (snapshot, caller, plan) = (&self.world.snapshot, self.caller, self.plan);
        let own = caller
            .tenant
            .and_then(|tenant| snapshot.tenant_credentials(tenant, self.model.upstream));
        let credential = own.or(self.upstream.credential.as_ref());
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
            path: &plan.path,
            host: &endpoint.host,
            credential: credential.map(|secret| secret.expose()),
            request_id,
            identity: identity.get(..count).unwrap_or_default(),
            stripped: &stripped,
            is_credential_ours: caller.has_used_credential,
            is_edited: !body.edits.is_empty(),
            is_stream: plan.is_stream,
            meters_usage: plan.meters_usage,
            body_bytes: body.len(),
        });
    }

    /// Tells a client that has a part of its response already that there will be no more.
    pub(super) async fn break_off(
        &mut self,
        client: &mut Client,
        response: &mut Response,
        fault: Fault,
    ) -> Fate {
        if matches!(fault, Fault::ClientGone | Fault::ClientSlow) {
            return Fate::Cut;
        }
        let mut last = Buffer::default();
        let is_told = self.shard.buffers.with_scratch(|_, out| {
            let is_told = response.feed_fault(fault, &self.shard.buffers, out);
            self.shard.buffers.append(&mut last, out);
            is_told
        });
        let sent = client.send_all(last.filled(), self.shard.write_deadline()).await;
        self.shard.buffers.release(&mut last);
        if is_told && sent.is_ok() { Fate::Linger } else { Fate::Cut }
    }
}

/// Tries once: the endpoint whose turn it is, a connection to it, and the exchange.
pub(super) async fn run(
    attempts: &mut Attempts<'_>,
    client: &mut Client,
    request: &mut Incoming,
    response: &mut Response,
    entry: &mut Entry<'_>,
) -> Result<(), Fault> {
    let (shard, upstream) = (attempts.shard, attempts.upstream);
    let endpoint = choose(attempts).ok_or(Fault::NoEndpoint)?;
    entry.attempted(endpoint.slot);
    let mut link = InUse::new(shard, connection(attempts, endpoint, client, entry).await?);
    attempts.was_reused = link.link().is_reused;

    let name = attempts.plan.name_edit(&attempts.world.snapshot);
    let edits = match attempts.plan.edits() {
        [] => name.as_slice(),
        edits => edits,
    };
    let body = Body { bytes: request.body(), edits };
    let upload = Upload::begin(link.link(), &shard.buffers, body, |out| {
        let id = entry.id();
        attempts.with_onward(endpoint, &id, body, |onward| {
            request.with_head(|head| onward::encode(head, onward, out));
        });
    });
    let mut upload = upload.map_err(|_| Fault::UpstreamClosedEarly)?;
    let (caller, has_told) = (attempts.caller, Cell::new(false));
    let has_steps = !caller.steps.is_empty();
    let observe = |response: &mut Response| tell_steps(shard, caller, response, &has_told);
    let mut exchange = Exchange {
        client,
        link: link.link(),
        buffers: &shard.buffers,
        deadlines: &attempts.deadlines,
        arrived: attempts.world.snapshot.listen.server_timing.then_some(attempts.arrived),
        progress: &mut attempts.progress,
        response,
        observer: has_steps.then_some(&observe),
    };
    exchange.run(&mut upload, request, edits).await?;
    // An answer that came before all of the request was sent: the rest must not be taken for the next request.
    if response.is_reusable() && attempts.progress.sent_up.is_some() {
        link.give_back(endpoint, upstream);
    } else {
        link.retire(Retirement::NotReusable);
    }
    Ok(())
}

/// Tells the embedder's steps of the head of a response, once, and of each event.
fn tell_steps(shard: &Shard, caller: &Caller, response: &mut Response, has_told: &Cell<bool>) {
    shard.state.with(|own| {
        let steps = &mut own.memory.steps;
        if response.has_head() && !has_told.replace(true) {
            let (status, is_stream) = (response.status, response.is_events());
            let head = step::Response { number: caller.number, status, is_stream };
            steps.response(caller.steps, &head);
        }
        for event in response.take_seen().iter().flat_map(Seen::events) {
            steps.event(caller.steps, caller.number, event);
        }
    });
}

/// The next endpoint in turn that has an address and was not tried yet.
fn choose<'r>(attempts: &mut Attempts<'r>) -> Option<&'r Endpoint> {
    let (world, upstream, tried) = (attempts.world, attempts.upstream, attempts.tried);
    let is_usable = |index: usize| {
        let is_tried = index < 64 && tried & (1 << index) != 0;
        let endpoint = upstream.endpoints.get(index);
        !is_tried && endpoint.is_some_and(|id| !world.snapshot.endpoint(*id).addresses.is_empty())
    };
    let index = attempts
        .shard
        .state
        .with(|own| own.turn(attempts.model.upstream).next(&upstream.weights, is_usable))?;
    attempts.tried |= 1_u64.checked_shl(u32::try_from(index).unwrap_or(64)).unwrap_or(0);
    upstream.endpoints.get(index).map(|id| world.snapshot.endpoint(*id))
}

/// A connection to the endpoint: the one used last that is still good, or a fresh one.
async fn connection(
    attempts: &mut Attempts<'_>,
    endpoint: &Endpoint,
    client: &mut Client,
    entry: &mut Entry<'_>,
) -> Result<Link, Fault> {
    let shard = attempts.shard;
    // After an old connection has died under a request, only a fresh one will do.
    if !attempts.has_repeated
        && let Some(link) = poll_fn(|cx| Poll::Ready(pooled(attempts, endpoint, cx))).await
    {
        return Ok(link);
    }
    let began = clock::now();
    let deadline = began.after(attempts.model.deadlines.connect).min(attempts.deadlines.first_byte);
    let tls = endpoint.tls.as_ref();
    let tls = tls.map(|tls| Tls { config: &tls.config, server_name: &tls.server_name });
    let opened =
        open_while_wanted(&endpoint.addresses, tls.as_ref(), deadline, client, shard).await?;
    entry.connected(began);
    shard.page.add(ShardCounter::PoolOpened, 1);
    Ok(opened)
}

/// The connection used last on which nothing has happened since.
fn pooled(attempts: &Attempts<'_>, endpoint: &Endpoint, cx: &mut Context<'_>) -> Option<Link> {
    let shard = attempts.shard;
    let limits = World::pool_limits(attempts.upstream);
    loop {
        let mut link = shard.state.with(|own| {
            let retire = |_, reason| shard.note_retired(reason);
            own.pool.take(endpoint.slot, limits, clock::recent(), retire)
        })?;
        if link.is_quiet(cx) {
            shard.page.add(ShardCounter::PoolReused, 1);
            link.is_reused = true;
            return Some(link);
        }
        shard.note_retired(Retired::Broken);
    }
}

/// Opens a connection, unless the client leaves first.
async fn open_while_wanted(
    addresses: &[SocketAddr],
    tls: Option<&Tls<'_>>,
    deadline: Moment,
    client: &mut Client,
    shard: &Shard,
) -> Result<Link, Fault> {
    let dial = Dial { receive_bytes: shard.socket_bytes, ..Dial::default() };
    // Boxed: a connection is opened rarely, and an open stream must not pay for the room it takes.
    let mut opening = Box::pin(connect::open(addresses, tls, dial, deadline));
    let opened = poll_fn(|cx| {
        if let Poll::Ready(opened) = opening.as_mut().poll(cx) {
            return Poll::Ready(Some(opened));
        }
        if client.poll_input(cx).is_ready() {
            let is_gone = client.receive(&shard.buffers) == crate::accept::client::Received::Gone;
            if is_gone {
                return Poll::Ready(None);
            }
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
    match opened {
        None => Err(Fault::ClientGone),
        Some(Ok(link)) => Ok(link),
        Some(Err(Failure::NoAddress)) => Err(Fault::NoEndpoint),
        Some(Err(Failure::TimedOut)) => Err(Fault::ConnectTimedOut),
        Some(Err(Failure::Tls(_))) => Err(Fault::TlsFailed),
        Some(Err(Failure::Refused(error))) => Err(match error.kind() {
            std::io::ErrorKind::ConnectionRefused => Fault::ConnectRefused,
            _ => Fault::ConnectFailed,
        }),
    }
}

/// A connection that serves a request. If it is dropped instead of given back, it was left in the middle of a
/// message, and is closed.
struct InUse<'s> {
    shard: &'s Shard,
    link: Option<Link>,
    fate: Retirement,
}

impl<'s> InUse<'s> {
    fn new(shard: &'s Shard, link: Link) -> Self {
        shard.page.add(ShardCounter::PoolInUse, 1);
        Self { shard, link: Some(link), fate: Retirement::Broken }
    }

    fn link(&mut self) -> &mut Link {
        self.link.as_mut().expect("the link is there until it is given back")
    }

    fn give_back(mut self, endpoint: &Endpoint, upstream: &Upstream) {
        let Some(mut link) = self.link.take() else { return };
        link.set_deadline(Moment::NEVER);
        let (opened, limits, now) = (link.opened, World::pool_limits(upstream), clock::recent());
        let given =
            self.shard.state.with(|own| own.pool.give(endpoint.slot, link, opened, limits, now));
        if let Err((_, reason)) = given {
            self.shard.note_retired(reason);
        }
    }

    fn retire(mut self, reason: Retirement) {
        self.fate = reason;
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.shard.page.sub(ShardCounter::PoolInUse, 1);
        if self.link.is_some() {
            self.shard.page.add(self.fate, 1);
        }
    }
}
