//! Why a request goes to no model server, in words for its sender.

use std::borrow::Cow;

use crate::accept::incoming::Limits;
use crate::accept::incoming::Trouble;
use crate::accept::overload::Overload;
use crate::admission;
use crate::admission::step::Answer;
use crate::llm::dialect::Dialect;
use crate::llm::dialect::Operation;
use crate::llm::normalize;
use crate::llm::request::Unreadable;
use crate::llm::stream::translate::Untranslatable;
use crate::record::Reason;
use crate::record::counters::Cap;
use crate::record::refusal::Door;
use crate::route::path::Unroutable;
use crate::route::versions::Spec;
use crate::snapshot::Snapshot;

/// How much of a name that is not ours is repeated, in characters.
const NAME_CHARS_MAX: usize = 128;

/// Why a request may not enter, in words for its sender.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: Cow<'static, str>,
    pub(super) param: Option<Cow<'static, str>>,
    pub(super) code: Option<Cow<'static, str>>,
    pub(super) allow: Option<&'static str>,
    /// Seconds after which it is worth another try.
    pub(super) retry_after: Option<u32>,
    /// How a client may say who it is.
    pub(super) www_authenticate: Option<&'static str>,
    /// Whole field lines that tell the client how its limits stand.
    pub(super) fields: Vec<u8>,
    /// The cap that was reached, if that is why.
    pub(super) cap: Option<Cap>,
    pub(super) reason: Reason,
    pub(super) dialect: Dialect,
    pub(super) operation: &'static str,
}

impl Refusal {
    fn new(
        status: u16,
        reason: impl Into<Reason>,
        message: impl Into<Cow<'static, str>>,
    ) -> Box<Self> {
        let reason = reason.into();
        Box::new(Self {
            status,
            message: message.into(),
            param: None,
            code: Some(Cow::Borrowed(reason.label())),
            allow: None,
            retry_after: None,
            www_authenticate: None,
            fields: Vec::new(),
            cap: None,
            reason,
            dialect: Dialect::OpenAi,
            operation: "",
        })
    }

    pub(super) fn spoken(mut self: Box<Self>, dialect: Dialect) -> Box<Self> {
        self.dialect = dialect;
        self
    }

    pub(super) fn of(mut self: Box<Self>, operation: Operation) -> Box<Self> {
        self.dialect = operation.dialect();
        self.operation = operation.name();
        self
    }
}

pub(super) fn unroutable(why: Unroutable) -> Box<Refusal> {
    let mut refusal = Refusal::new(why.status(), door(why), why.explain());
    if let Unroutable::WrongMethod { allow } = why {
        refusal.allow = Some(allow);
    }
    refusal
}

fn door(why: Unroutable) -> Door {
    match why {
        Unroutable::UnknownPath => Door::UnknownPath,
        Unroutable::WrongMethod { .. } => Door::MethodNotAllowed,
        Unroutable::DotSegment => Door::DotSegment,
        Unroutable::BadEscape => Door::BadEscape,
        Unroutable::ControlCharacter => Door::ControlCharacter,
        Unroutable::NotUtf8 => Door::PathNotUtf8,
    }
}

pub(super) fn unreadable(why: Unreadable) -> Box<Refusal> {
    let mut message = String::new();
    why.explain(&mut message);
    let mut refusal = Refusal::new(400, Door::InvalidBody, message);
    refusal.param = why.param().map(Cow::Borrowed);
    refusal.code = Some(Cow::Borrowed(why.code()));
    refusal
}

/// A body whose parameters cannot be as the model wants them.
pub(super) fn unfit(why: &normalize::Why<'_>) -> Box<Refusal> {
    let mut message = String::new();
    why.explain(&mut message);
    let mut refusal = Refusal::new(400, admission::Refusal::ParameterWrong, message);
    refusal.param = why.param().map(|name| Cow::Owned(name.to_owned()));
    refusal.code = Some(Cow::Borrowed(why.code()));
    refusal
}

/// A request that admission does not let in. A step of the embedder's has words of its own.
pub(super) fn not_admitted(why: admission::Refusal, answer: Option<Answer>) -> Box<Refusal> {
    let mut refusal = Refusal::new(why.status(), why, why.explain());
    refusal.code = Some(Cow::Borrowed(why.code()));
    refusal.www_authenticate = why.www_authenticate();
    if why.status() == 503 {
        refusal.retry_after = Some(RETRY_AFTER_SECONDS);
    }
    if let Some(answer) = answer {
        refusal.status = answer.status;
        refusal.message = answer.message;
        refusal.code = Some(answer.code);
    }
    refusal
}

pub(super) fn unknown_model(world: &Snapshot, name: &str) -> Box<Refusal> {
    let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
    let message = if world.models.is_empty() {
        format!("The model `{shown}` does not exist: this gateway has no models yet.")
    } else {
        format!("The model `{shown}` does not exist. GET /v1/models lists those that do.")
    };
    let mut refusal = Refusal::new(404, Door::ModelNotFound, message);
    refusal.param = Some(Cow::Borrowed("model"));
    refusal
}

/// A model is called so, and has no such version now.
pub(super) fn unknown_version(name: &str, spec: &str) -> Box<Refusal> {
    let [name, shown] =
        [name, spec].map(|text| text.chars().take(NAME_CHARS_MAX).collect::<String>());
    let why = match Spec::read(spec) {
        Spec::Named(_) => format!(
            "The model `{name}` has no version `{shown}`. A range begins with a sign, such as `{name}@^1.2`."
        ),
        Spec::Range(_) => format!("No version of the model `{name}` fits `{shown}` now."),
        Spec::Broken => {
            format!("`{shown}` is no range of versions. Write one such as `{name}@^1.2`.")
        }
    };
    let message = format!("{why} GET /v1/models lists the models that exist.");
    let mut refusal = Refusal::new(404, Door::VersionNotFound, message);
    refusal.code = Some(Cow::Borrowed(Door::ModelNotFound.label()));
    refusal.param = Some(Cow::Borrowed("model"));
    refusal
}

/// The operator sends the request to a version that is not there now.
pub(super) fn no_version(name: &str) -> Box<Refusal> {
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    let message = format!(
        "The version of `{name}` that serves this request is not there now. Try again later."
    );
    let mut refusal = Refusal::new(503, Door::VersionUnavailable, message);
    refusal.code = Some(Cow::Borrowed("overloaded"));
    refusal.retry_after = Some(RETRY_AFTER_SECONDS);
    refusal
}

/// A request for which its upstream has no words.
#[expect(clippy::needless_pass_by_value, reason = "as an error is mapped")]
pub(super) fn untranslatable(why: Untranslatable) -> Box<Refusal> {
    let message = match why {
        Untranslatable::Asks(key) => {
            format!("This model's server has no `{key}`: leave it out, or ask another model.")
        }
        _ => "This model's server cannot be asked this: its API has no words for it.".to_owned(),
    };
    Refusal::new(400, Door::InvalidBody, message)
}

/// A stream that its client cannot come back to.
pub(super) fn no_stream(why: NoStream) -> Box<Refusal> {
    match why {
        NoStream::Unknown => Refusal::new(
            404,
            Door::StreamNotFound,
            "There is no such stream. Its name is in the x-ringway-stream header of its response.",
        ),
        NoStream::Gone => Refusal::new(
            410,
            Door::StreamGone,
            "What you have missed of this stream is not kept any more. Send the request anew, without Last-Event-ID.",
        ),
        NoStream::Future => Refusal::new(
            400,
            Door::EventUnknown,
            "This stream has no such event yet: Last-Event-ID must be the id of an event that it has sent.",
        ),
    }
}

/// Why a client cannot come back to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoStream {
    /// There is none of this name, for this tenant.
    Unknown,
    /// What was missed is not kept.
    Gone,
    /// It has not got so far.
    Future,
}

pub(super) fn too_large(bound: usize) -> Box<Refusal> {
    Refusal::new(
        413,
        Door::RequestTooLarge,
        format!("The request body is larger than this gateway takes ({bound} bytes)."),
    )
}

/// There is no room for it now; the body, if it has not come, is not waited for.
pub(super) fn overloaded(why: Overload) -> Box<Refusal> {
    let message = "The gateway is at its capacity. Try again later.";
    let (door, cap) = match why {
        Overload::Requests => (Door::OverloadRequests, Cap::Requests),
        Overload::HeldBytes => (Door::OverloadHeldBytes, Cap::HeldBytes),
    };
    let mut refusal = Refusal::new(503, door, message);
    refusal.code = Some(Cow::Borrowed("overloaded"));
    refusal.retry_after = Some(RETRY_AFTER_SECONDS);
    refusal.cap = Some(cap);
    refusal
}

/// What a client is told to wait when nothing is known of when it will be better.
pub(super) const RETRY_AFTER_SECONDS: u32 = 1;

/// What the sender of a request that did not arrive is told, if there is anybody to tell.
pub(super) fn trouble(trouble: &Trouble, limits: &Limits) -> Option<Box<Refusal>> {
    match trouble {
        Trouble::Closed | Trouble::Gone => None,
        Trouble::Malformed(why) => Some(Refusal::new(why.status(), *why, why.explain())),
        Trouble::TooSlow => Some(Refusal::new(
            408,
            Door::RequestTimeout,
            "The request did not arrive in time. Send it without long pauses.",
        )),
        Trouble::TooLarge => Some(too_large(limits.body_bytes_max)),
        Trouble::NoRoom => Some(overloaded(Overload::HeldBytes)),
    }
}
