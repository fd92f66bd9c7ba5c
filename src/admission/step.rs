//! Steps of those who build on the library: what one may see, what it may do, and who keeps it from doing harm.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

pub use crate::admission::added::Added;
pub use crate::admission::added::NotAField;

use crate::admission::chain;
use crate::admission::refusal::Refusal;
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
    /// 400 to 599; 500 is sent for any other.
    pub status: u16,
    /// The `code` of the error.
    pub code: Cow<'static, str>,
    /// The text of the error.
    pub message: Cow<'static, str>,
}

impl Answer {
    fn bounded(mut self) -> Self {
        if !(400..600).contains(&self.status) {
            self.status = 500;
        }
        self
    }
}

/// A step of one's own. Each shard has one of its own and calls it on its own thread: no call may wait, and none may read a
/// file or a socket. All of a shard's requests go through the same one, told apart by their numbers.
///
/// A call that panics is a bug: it is counted, the request is refused if it was still to be let in, and the shard goes on
/// with a new step in place of this one, which then hears of ends whose beginnings it has not seen.
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

    /// It is over; called once for each request that `on_request` has passed, also where another step refused it then.
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

/// Whether these can be the steps of one process.
///
/// # Errors
/// What is wrong with which name.
pub fn check(factories: &[Factory]) -> Result<(), String> {
    if factories.len() > STEPS_MAX {
        return Err(format!("{} steps are too many: there can be {STEPS_MAX}", factories.len()));
    }
    for (place, factory) in factories.iter().enumerate() {
        let name = factory.name;
        if chain::is_own(name) {
            return Err(format!(
                "\"{name}\" is a step of the gateway itself: call yours otherwise"
            ));
        }
        if factories.iter().take(place).any(|other| other.name == name) {
            return Err(format!("two steps are called \"{name}\""));
        }
    }
    Ok(())
}

/// A shard's own steps, by [`StepId`].
#[derive(Default)]
pub struct Steps {
    steps: Vec<(&'static Factory, Box<dyn Step>)>,
    is_absent: bool,
    answer: Option<Answer>,
    panics: u64,
}

impl Steps {
    /// One of each; `factories` have passed [`check`].
    #[must_use]
    pub fn new(factories: &'static [Factory]) -> Self {
        let steps = factories.iter().map(|factory| (factory, (factory.make)())).collect();
        Self { steps, ..Self::default() }
    }

    /// None, and none that is missed: for questions that are only asked.
    pub(super) fn absent() -> Self {
        Self { is_absent: true, ..Self::default() }
    }

    /// What the step that refused last has to say: to be taken when [`Refusal::StepRefused`] is returned.
    pub fn take_answer(&mut self) -> Option<Answer> {
        self.answer.take()
    }

    /// How many calls have panicked since this was asked last.
    pub fn take_panics(&mut self) -> u64 {
        std::mem::take(&mut self.panics)
    }

    /// Asks a step about a request. `Ok(false)`: it could not be asked, and need not be.
    pub(super) fn request(
        &mut self,
        step: StepId,
        request: &Request<'_>,
        added: &mut Added,
    ) -> Result<bool, Refusal> {
        if self.is_absent {
            return Ok(false);
        }
        match self.call(step, |step| step.on_request(request, added)) {
            Some(Ok(())) => Ok(true),
            Some(Err(answer)) => {
                self.answer = Some(answer.bounded());
                Err(Refusal::StepRefused)
            }
            None => Err(Refusal::StepFailed),
        }
    }

    /// Tells `steps` that the head of a response has come.
    pub fn response(&mut self, steps: StepSet, response: &Response) {
        for step in steps.iter() {
            self.call(step, |step| step.on_response(response));
        }
    }

    /// Tells `steps` of an event that was relayed.
    pub fn event(&mut self, steps: StepSet, number: u64, event: &[u8]) {
        for step in steps.iter() {
            self.call(step, |step| step.on_event(number, event));
        }
    }

    /// Tells `steps` that it is over.
    pub fn end(&mut self, steps: StepSet, end: &End) {
        for step in steps.iter() {
            self.call(step, |step| step.on_end(end));
        }
    }

    /// Calls a step, and puts a new one in its place if it panics. `None`: it did, or there is none.
    fn call<T>(&mut self, step: StepId, call: impl FnOnce(&mut dyn Step) -> T) -> Option<T> {
        let (factory, step) = self.steps.get_mut(usize::from(step.0))?;
        // Whatever state the step was in, nobody looks at it again.
        if let Ok(returned) = catch_unwind(AssertUnwindSafe(|| call(&mut **step))) {
            return Some(returned);
        }
        self.panics += 1;
        if let Ok(anew) = catch_unwind(AssertUnwindSafe(|| (factory.make)())) {
            // The old one may panic once more as it goes.
            let old = std::mem::replace(step, anew);
            drop(catch_unwind(AssertUnwindSafe(|| drop(old))));
        }
        None
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.steps.iter().map(|(factory, _)| factory.name)).finish()
    }
}

#[cfg(test)]
mod tests;
