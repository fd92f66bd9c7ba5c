//! What is to become of a request: pure, from its bytes and the world.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;

use crate::accept::incoming::Incoming;
use crate::accept::incoming::Limits;
use crate::accept::incoming::Trouble;
use crate::accept::overload::Overload;
use crate::accept::proxy;
use crate::llm::dialect::Dialect;
use crate::llm::dialect::Operation;
use crate::llm::request;
use crate::llm::request::Ask;
use crate::llm::request::Unreadable;
use crate::record::RequestId;
use crate::record::counters::Cap;
use crate::route::path;
use crate::route::path::Destination;
use crate::route::path::Unroutable;
use crate::snapshot::Listen;
use crate::snapshot::Snapshot;
use crate::units::ModelId;
use crate::wire::head::BodyLength;
use crate::wire::head::RequestHead;
use crate::wire::head::is_same_name;

/// What is to be done.
pub(super) enum Decision {
    /// A model server is asked.
    Forward(Plan),
    /// The gateway answers: the list of models.
    ListModels,
    /// The gateway answers: one model.
    DescribeModel(ModelId),
}

/// How a model server is asked.
pub(super) struct Plan {
    /// The model.
    pub(super) model: ModelId,
    /// Where its name stands in the body, if it has another one upstream.
    pub(super) span: Option<Range<usize>>,
    /// The path to ask for.
    pub(super) path: Cow<'static, str>,
    /// Name of the operation in metrics.
    pub(super) operation: &'static str,
    /// Shape of errors.
    pub(super) dialect: Dialect,
    /// Whether a stream was asked for.
    pub(super) is_stream: bool,
}

/// Why a request may not enter, in words for its sender.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: Cow<'static, str>,
    pub(super) param: Option<&'static str>,
    pub(super) code: Option<&'static str>,
    pub(super) allow: Option<&'static str>,
    /// Seconds after which it is worth another try.
    pub(super) retry_after: Option<u32>,
    /// The cap that was reached, if that is why.
    pub(super) cap: Option<Cap>,
    pub(super) label: &'static str,
    pub(super) dialect: Dialect,
    pub(super) operation: &'static str,
}

impl Refusal {
    fn new(status: u16, label: &'static str, message: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self {
            status,
            message: message.into(),
            param: None,
            code: Some(label),
            allow: None,
            retry_after: None,
            cap: None,
            label,
            dialect: Dialect::OpenAi,
            operation: "",
        })
    }

    pub(super) fn spoken(mut self: Box<Self>, dialect: Dialect) -> Box<Self> {
        self.dialect = dialect;
        self
    }

    fn of(mut self: Box<Self>, operation: Operation) -> Box<Self> {
        self.dialect = operation.dialect();
        self.operation = operation.name();
        self
    }
}

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
    /// Somewhere else: the path must be read again.
    Other,
}

impl Goal {
    /// How its errors are written.
    pub(super) fn dialect(self) -> Dialect {
        match self {
            Self::Generate(operation) => operation.dialect(),
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
    Ok(match destination {
        Destination::Generate(operation) => Goal::Generate(operation),
        _ => Goal::Other,
    })
}

/// Decides about a request that has arrived whole.
pub(super) fn decide(
    world: &Snapshot,
    request: &Incoming,
    goal: Goal,
) -> Result<Decision, Box<Refusal>> {
    match goal {
        Goal::Generate(operation) => {
            generate(world, request.body(), operation).map_err(|refusal| refusal.of(operation))
        }
        Goal::Other => request.with_head(|head| other(world, request, head)),
    }
}

fn other(
    world: &Snapshot,
    request: &Incoming,
    head: &RequestHead<'_, '_>,
) -> Result<Decision, Box<Refusal>> {
    match path::destination(head.method, head.path).map_err(unroutable)? {
        Destination::Generate(operation) => generate(world, request.body(), operation),
        Destination::Invoke { model, version } => {
            invoke(world, request.body(), &model, version.as_deref())
        }
        Destination::ListModels => Ok(Decision::ListModels),
        Destination::DescribeModel { model } => match world.route.pick(&model) {
            Some(id) => Ok(Decision::DescribeModel(id)),
            None => Err(unknown_model(world, &model)),
        },
    }
}

fn generate(world: &Snapshot, body: &[u8], operation: Operation) -> Result<Decision, Box<Refusal>> {
    let ask = request::peek(body).map_err(unreadable)?;
    let name = ask.named_model().map_err(unreadable)?;
    let decoded = name.decode();
    let Some(id) = world.route.pick(&decoded) else { return Err(unknown_model(world, &decoded)) };
    let is_renamed = *decoded != world.model(id).upstream_model;
    Ok(Decision::Forward(Plan {
        model: id,
        span: is_renamed.then(|| name.span.clone()),
        path: Cow::Borrowed(operation.path()),
        operation: operation.name(),
        dialect: operation.dialect(),
        is_stream: ask.is_stream,
    }))
}

fn invoke(
    world: &Snapshot,
    body: &[u8],
    model: &str,
    version: Option<&str>,
) -> Result<Decision, Box<Refusal>> {
    let ask: Ask<'_> = request::peek_any(body).map_err(unreadable)?;
    let picked = match version {
        Some(version) => world.route.pick_version(model, version),
        None => world.route.pick(model),
    };
    let Some(id) = picked else {
        let asked = version.map_or(model.to_owned(), |version| format!("{model}@{version}"));
        return Err(unknown_model(world, &asked));
    };
    Ok(Decision::Forward(Plan {
        model: id,
        span: None,
        path: Cow::Owned(path::of_invoke(&world.model(id).upstream_model, version)),
        operation: "invoke",
        dialect: Dialect::OpenAi,
        is_stream: ask.is_stream,
    }))
}

fn unroutable(why: Unroutable) -> Box<Refusal> {
    let mut refusal = Refusal::new(why.status(), why.code(), why.explain());
    if let Unroutable::WrongMethod { allow } = why {
        refusal.allow = Some(allow);
    }
    refusal
}

fn unreadable(why: Unreadable) -> Box<Refusal> {
    let mut message = String::new();
    why.explain(&mut message);
    let mut refusal = Refusal::new(400, "invalid_body", message);
    refusal.param = why.param();
    refusal.code = Some(why.code());
    refusal
}

fn unknown_model(world: &Snapshot, name: &str) -> Box<Refusal> {
    const NAME_CHARS_MAX: usize = 128;
    let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
    let message = if world.models.is_empty() {
        format!("The model `{shown}` does not exist: this gateway has no models yet.")
    } else {
        format!("The model `{shown}` does not exist. GET /v1/models lists those that do.")
    };
    let mut refusal = Refusal::new(404, "model_not_found", message);
    refusal.param = Some("model");
    refusal
}

fn too_large(bound: usize) -> Box<Refusal> {
    Refusal::new(
        413,
        "request_too_large",
        format!("The request body is larger than this gateway takes ({bound} bytes)."),
    )
}

/// There is no room for it now; the body, if it has not come, is not waited for.
pub(super) fn overloaded(why: Overload) -> Box<Refusal> {
    let message = "The gateway is at its capacity. Try again later.";
    let mut refusal = Refusal::new(503, why.label(), message);
    refusal.code = Some("overloaded");
    refusal.retry_after = Some(RETRY_AFTER_SECONDS);
    refusal.cap = Some(match why {
        Overload::Requests => Cap::Requests,
        Overload::HeldBytes => Cap::HeldBytes,
    });
    refusal
}

/// What a client is told to wait when nothing is known of when it will be better.
pub(super) const RETRY_AFTER_SECONDS: u32 = 1;

/// What the sender of a request that did not arrive is told, if there is anybody to tell.
pub(super) fn trouble(trouble: &Trouble, limits: &Limits) -> Option<Box<Refusal>> {
    match trouble {
        Trouble::Closed | Trouble::Gone => None,
        Trouble::Malformed(why) => {
            let mut refusal = Refusal::new(why.status(), why.label(), why.explain());
            refusal.code = Some("malformed_request");
            Some(refusal)
        }
        Trouble::TooSlow => Some(Refusal::new(
            408,
            "request_timeout",
            "The request did not arrive in time. Send it without long pauses.",
        )),
        Trouble::TooLarge => Some(too_large(limits.body_bytes_max)),
        Trouble::NoRoom => Some(overloaded(Overload::HeldBytes)),
    }
}
