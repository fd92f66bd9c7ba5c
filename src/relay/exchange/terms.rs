//! What an exchange is told before, and what is known of it after.

use std::task::Context;
use std::task::Poll;
use std::time::Duration;

#[cfg(doc)]
use crate::relay::response::Asked;
use crate::relay::response::Held;
use crate::relay::response::Response;
use crate::units::Millis;
use crate::units::Moment;

/// When an exchange must be where.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// The first byte of the response, counted from the receipt of the request.
    pub first_byte: Moment,
    /// The first byte of the response, counted from the start of this attempt; [`Moment::NEVER`] for none.
    pub attempt: Moment,
    /// When another endpoint should be asked as well, if this one is still silent; [`Moment::NEVER`] for never.
    pub hedge_at: Moment,
    /// When the head of a stream goes down although nothing of its content has come: from then on the client is kept
    /// alive, and what goes wrong comes as an event. Before that it is told the status that is true in the end.
    pub commit_at: Moment,
    /// The end.
    pub whole: Moment,
    /// The longest pause between two reads of the response.
    pub gap: Millis,
    /// The longest time that a client may read nothing of what waits for it.
    pub write: Millis,
    /// How long nothing may move before it is told, once: a connection is held and nobody uses it.
    pub leak: Millis,
}

/// How a client is treated while its stream lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manners {
    /// How long nothing may go down before the client is told that its stream lives; zero: however long.
    pub heartbeat: Millis,
    /// The same at most: each such sign in a row is waited for half as long again.
    pub heartbeat_most: Millis,
    /// What becomes of one that reads more slowly than it is sent to.
    pub slow: Slow,
    /// How long a stream that its client can come back to goes on without it.
    pub window: Millis,
    /// Whether the endpoint's answer is taken to its end although nobody reads it.
    pub outlives_client: bool,
}

/// What becomes of a client that reads more slowly than it is sent to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slow {
    /// Its endpoint waits for it, as long as [`Deadlines::write`] allows.
    #[default]
    Wait,
    /// Its endpoint waits for it so long; then its connection is cut.
    Drop {
        /// How long.
        after: Millis,
    },
    /// So much is kept for it before its endpoint waits.
    Buffer {
        /// How much, in bytes.
        bytes: u32,
    },
}

/// What is known of an exchange from outside, also of one that was given up. Of several attempts at one request it is
/// the last that shows here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// When the request had gone up whole.
    pub sent_up: Option<Moment>,
    /// When the first byte of the response came.
    pub first_byte: Option<Moment>,
    /// When the first byte of the response's content went down.
    pub first_content: Option<Moment>,
    /// Whether a byte of a response went down: from here on nothing can be repeated.
    pub has_answered: bool,
    /// Whether a byte of the request went up.
    pub has_sent: bool,
    /// From the first read of the response to the end of the send that passed it on.
    pub first_passing: Duration,
    /// When the client is to be told that its stream lives, if nothing goes down until then.
    pub beat_at: Moment,
    /// By when a client that has left must have come back; [`Moment::NEVER`]: it need not.
    pub return_by: Moment,
    /// Signs of life in a row.
    pub beats: u8,
    /// Whether the client has left, if only for a while, and the stream went on without it.
    pub has_left: bool,
}

impl Progress {
    /// Another attempt begins: what one before it had sent, or had got, does not count.
    pub fn begin(&mut self) {
        self.sent_up = None;
        self.first_byte = None;
        self.first_passing = Duration::ZERO;
    }
}

/// How an exchange ended that no fault has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The response went down, to its end.
    Done,
    /// The response was an error that stays here. Nothing went down: the request may be sent elsewhere.
    Withheld,
    /// Nothing has come until [`Deadlines::hedge_at`], and all has gone up. The exchange goes on when it is run again, with
    /// that deadline put off; nothing was lost in between.
    HedgeDue,
    /// Another connection of the client's wants to read on. The exchange goes on when it is run again, with that one.
    Joined,
}

/// What becomes of an error that was held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It goes down. If the gateway has tried all it may, the client is told not to multiply that.
    PassOn {
        /// Whether it has.
        is_exhausted: bool,
    },
    /// It stays here: the request goes elsewhere.
    Withhold,
}

/// Who is told what an exchange meets, and asked what to make of it.
pub trait Observer {
    /// A read of the response was passed on.
    fn relayed(&self, _response: &mut Response) {}

    /// An error has come whole, and nothing of it went down. Asked only if [`Asked::holds_errors`].
    fn judge(&self, _held: &Held<'_>) -> Judged {
        Judged::PassOn { is_exhausted: false }
    }

    /// Nothing has moved for this long, in either direction. Told once each time that the exchange is run.
    fn stalled(&self, _pause: Duration) {}

    /// The client was told that its stream lives.
    fn beaten(&self) {}

    /// The client has left, and the stream goes on without it.
    fn left(&self) {}

    /// Something that has come may not go down yet.
    fn throttled(&self) {}

    /// Whether the gateway ends: the exchange is broken off. Who says so also sees to it that the exchange is woken.
    fn is_ending(&self) -> bool {
        false
    }

    /// Ready when another connection of the client's wants to read on.
    fn poll_joined(&self, _cx: &Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// Nobody wants to know.
impl Observer for () {}

impl<O: Observer> Observer for &O {
    fn relayed(&self, response: &mut Response) {
        (*self).relayed(response);
    }

    fn judge(&self, held: &Held<'_>) -> Judged {
        (*self).judge(held)
    }

    fn stalled(&self, pause: Duration) {
        (*self).stalled(pause);
    }

    fn beaten(&self) {
        (*self).beaten();
    }

    fn left(&self) {
        (*self).left();
    }

    fn throttled(&self) {
        (*self).throttled();
    }

    fn is_ending(&self) -> bool {
        (*self).is_ending()
    }

    fn poll_joined(&self, cx: &Context<'_>) -> Poll<()> {
        (*self).poll_joined(cx)
    }
}
