//! Steps of those who build on the library: what one may see, what it may do, and who keeps it from doing harm.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use crate::wire::head::RequestHead;

/// Steps that a process may have: a set of them is one word.
pub const STEPS_MAX: usize = 32;

/// Place of a step among the embedder's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u8);

/// Some of the embedder's steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StepSet(u32);

impl StepSet {
    /// Whether `step` is one of them.
    #[must_use]
    pub const fn has(self, step: StepId) -> bool {
        self.0 & 1 << step.0 != 0
    }

    /// These and `step`.
    #[must_use]
    pub const fn with(self, step: StepId) -> Self {
        Self(self.0 | 1 << step.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One by one, in the order of their places.
    pub fn iter(self) -> impl Iterator<Item = StepId> {
        (0..32).map(StepId).filter(move |step| self.has(*step))
    }
}

/// What a step may know of a request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// Number of the request on its shard; the later calls name it by this.
    pub number: u64,
    /// The head, as it came.
    pub head: &'r RequestHead<'r, 'r>,
    /// The client's address.
    pub address: IpAddr,
    /// Name of the tenant, if a credential has named it already.
    pub tenant: Option<&'r str>,
    /// Name of the key.
    pub key: Option<&'r str>,
    /// The user that a token names.
    pub user: Option<&'r str>,
    /// The model and the body, once they are known: not for a step that stands before `normalize` and `limit` in a chain of
    /// the listener's or of a tenant's.
    pub ask: Option<Ask<'r>>,
}

/// What is asked, once it is known.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'r> {
    /// Label of the model.
    pub model: &'r str,
    /// The body, as it came.
    pub body: &'r [u8],
}

/// What a step may know of a response, when its head has come.
#[derive(Clone, Copy, Debug)]
pub struct Response {
    /// Number of the request.
    pub number: u64,
    /// The status.
    pub status: u16,
    /// Whether a stream of events follows.
    pub is_stream: bool,
}

/// What a step may know of a request's end.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// Number of the request.
    pub number: u64,
    /// The status that the client got; 0 if it left before.
    pub status: u16,
    /// Why it was refused or failed, as in the access log; `None`: it was served.
    pub trouble: Option<&'static str>,
}

/// What a client is told that a step has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 400 to 599.
    pub status: u16,
    /// The `code` of the error.
    pub code: Cow<'static, str>,
    /// The text of the error.
    pub message: Cow<'static, str>,
}

/// Fields that steps want sent on to the model server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added(Vec<(Box<str>, Box<[u8]>)>);

impl Added {
    /// The fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A step of one's own. Each shard has one of its own and calls it on its own thread: no call may wait, and none may read a
/// file or a socket. All of a shard's requests go through the same one, told apart by their numbers.
pub trait Step {
    /// A request wants to enter. It passes with `Ok`; `added` takes fields to be sent on.
    ///
    /// # Errors
    /// What its sender is told instead.
    fn on_request(&mut self, request: &Request<'_>, added: &mut Added) -> Result<(), Answer>;

    /// The head of its response has come.
    fn on_response(&mut self, response: &Response) {
        let _ = response;
    }

    /// An event of its stream has been relayed: the whole block, as it went down.
    fn on_event(&mut self, number: u64, event: &[u8]) {
        let _ = (number, event);
    }

    /// It is over; called once for each request that `on_request` has passed.
    fn on_end(&mut self, end: &End) {
        let _ = end;
    }
}

/// How a shard gets a step of its own.
pub struct Factory {
    name: &'static str,
    make: Box<dyn Fn() -> Box<dyn Step> + Send + Sync>,
}

impl Factory {
    /// Steps called `name` in `middleware`, made by `make` on each shard's own thread.
    #[must_use]
    pub fn new(
        name: &'static str,
        make: impl Fn() -> Box<dyn Step> + Send + Sync + 'static,
    ) -> Self {
        Self { name, make: Box::new(make) }
    }

    /// The name in `middleware`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl fmt::Debug for Factory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Factory").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A shard's own steps, by [`StepId`].
#[derive(Default)]
pub struct Steps {
    steps: Vec<(&'static Factory, Box<dyn Step>)>,
}

impl Steps {
    /// One of each.
    #[must_use]
    pub fn new(factories: &'static [Factory]) -> Self {
        Self { steps: factories.iter().map(|factory| (factory, (factory.make)())).collect() }
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.steps.iter().map(|(factory, _)| factory.name)).finish()
    }
}
