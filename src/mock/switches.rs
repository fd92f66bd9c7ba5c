//! What can be switched while the mock runs: the fault that every answer has, and whether there is a server at all.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use crate::ring::clock;

use super::answer::quoted;
use super::behaviour::Behaviour;
use super::options::BEHAVIOURS;
use super::world::World;

/// What clients find at the mock's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Door {
    /// A server.
    #[default]
    Open,
    /// Nobody: connecting is refused, and a request on an older connection is answered by a reset.
    Closed,
    /// Somebody who never answers: connections are not taken, requests on older ones stay without an answer. The kernel
    /// completes one or two connections into the queue and drops what asks for more.
    Silent,
}

impl Door {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "open" => Some(Self::Open),
            "closed" => Some(Self::Closed),
            "silent" => Some(Self::Silent),
            _ => None,
        }
    }
}

/// The switches of one mock; it runs on one thread.
#[derive(Default)]
pub(super) struct Switches {
    /// As a query, taken into account after everything that a request says of itself.
    fault: Cell<String>,
    wanted: Cell<Door>,
    is: Cell<Door>,
    /// Who waits for a wish: the one task that has the listener.
    waiting: Cell<Option<Waker>>,
}

/// How long a listener may take to close or to open.
const DOOR_PATIENCE: Duration = Duration::from_secs(2);
const DOOR_PAUSE: Duration = Duration::from_millis(1);

impl Switches {
    /// Puts the fault in place of what the request has asked for.
    pub(super) fn apply(&self, behaviour: &mut Behaviour) {
        let fault = self.fault.take();
        if !fault.is_empty() {
            behaviour.apply_query(&fault);
        }
        self.fault.set(fault);
    }

    /// What clients find now.
    pub(super) const fn door(&self) -> Door {
        self.is.get()
    }

    /// Waits until the door is wanted otherwise than it is.
    pub(super) fn poll_wish(&self, waker: &Waker) -> Poll<Door> {
        let wanted = self.wanted.get();
        if wanted != self.is.get() {
            return Poll::Ready(wanted);
        }
        self.waiting.set(Some(waker.clone()));
        Poll::Pending
    }

    /// The wish is fulfilled.
    pub(super) fn note_door(&self, door: Door) {
        self.is.set(door);
    }

    fn wish(&self, door: Door) {
        self.wanted.set(door);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

/// `POST /mock/behaviour?x-mock-status=500&...`: from now on, for every answer; without a query, none any more.
pub(super) fn set_fault(world: &Rc<World>, query: &str) -> (u16, String) {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        if !name.strip_prefix("x-mock-").is_some_and(|name| BEHAVIOURS.contains(&name)) {
            return (400, format!("{{\"error\":{}}}", quoted(&format!("{name}: no behaviour"))));
        }
    }
    let told = format!("{{\"behaviour\":{}}}", quoted(query));
    world.switches.fault.set(query.to_owned());
    (200, told)
}

/// `POST /mock/listener?open|closed|silent`; answered when it is so.
pub(super) async fn set_door(world: &Rc<World>, query: &str) -> (u16, String) {
    let Some(door) = Door::parse(query) else {
        return (400, "{\"error\":\"open, closed or silent\"}".to_owned());
    };
    world.switches.wish(door);
    let patience = clock::now().after(DOOR_PATIENCE);
    while world.switches.door() != door {
        if clock::now() > patience {
            return (503, "{\"error\":\"the listener cannot be had\"}".to_owned());
        }
        clock::sleep(DOOR_PAUSE).await;
    }
    (200, format!("{{\"listener\":{}}}", quoted(query)))
}

/// Waits for one of two: a wish for the door, or what `other` waits for.
pub(super) async fn wish_or<T>(
    switches: &Switches,
    mut other: impl FnMut(&mut std::task::Context<'_>) -> Poll<T>,
) -> Result<T, Door> {
    poll_fn(|cx| match switches.poll_wish(cx.waker()) {
        Poll::Ready(door) => Poll::Ready(Err(door)),
        Poll::Pending => other(cx).map(Ok),
    })
    .await
}
