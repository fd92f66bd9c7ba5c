//! One connection of the tester and how far its answer has come; no sockets are touched here.

use std::os::fd::OwnedFd;

use ringway::units::Moment;
use ringway::wire::head::Method;
use ringway::wire::http1::body::Body;
use ringway::wire::http1::parse;
use ringway::wire::http1::parse::Slots;

use crate::client::verify;
use crate::client::verify::Expected;
use crate::measure::tally::Fate;
use crate::measure::tally::Sample;
use crate::measure::tally::Tally;
use crate::measure::tally::record;
use crate::schedule::Times;

/// How far a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Not connected.
    #[default]
    Free,
    /// Connecting, or sending the rest of a request.
    Sending,
    /// Waiting for the head of the answer.
    Waiting,
    /// Inside the answer's body.
    Body,
    /// Connected, nothing asked.
    Idle,
    /// Answered; waiting for the other side to close.
    Closing,
}

/// One connection.
#[derive(Debug, Default)]
pub struct Connection {
    pub socket: Option<OwnedFd>,
    pub state: State,
    pub expected: Expected,
    /// When the request was meant to start.
    pub intended: Moment,
    /// Bytes of the request already sent.
    pub sent: usize,
    /// Number of events after which the client leaves; 0 for never.
    pub leave_at: u32,
    pub is_slow: bool,
    /// The other side has said that it sends no more; what it had sent may still wait to be read.
    pub is_hung_up: bool,
    /// When the first event came, or the head of a whole answer; only of answers, not of errors.
    first: Option<Moment>,
    body: Option<Body>,
    status: u16,
    is_keep_alive: bool,
    /// Bytes of an unfinished head, event or whole body.
    rest: Vec<u8>,
}

/// What the arrival of bytes led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// More must come.
    More,
    /// The answer ended; the connection may be used again if `is_reusable`.
    Ended { is_reusable: bool, is_right: bool },
    /// The client leaves, as planned.
    Leaves,
    /// Something is wrong with the answer.
    Failed(String),
}

/// A connection without an unfinished answer keeps no more memory than this.
const REST_KEPT_BYTES: usize = 4096;

impl Connection {
    /// Whether a request is under way.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        matches!(self.state, State::Sending | State::Waiting | State::Body)
    }

    /// A request begins that was meant to start at `intended`.
    pub fn begin(&mut self, expected: Expected, intended: Moment) {
        self.expected = expected;
        self.intended = intended;
        self.first = None;
        self.status = 0;
        self.sent = 0;
        self.state = State::Sending;
    }

    /// What became of the request.
    #[must_use]
    pub fn sample(&self, is_right: bool) -> Sample {
        let has_begun = self.status == 200;
        let fate = match (is_right, has_begun) {
            (true, _) => Fate::Whole,
            (false, true) => Fate::MidAnswer,
            (false, false) => Fate::Hideable,
        };
        let first = self.first.map(|first| first.since(self.intended));
        Sample { start: self.intended, first, fate }
    }

    /// Closes the socket and forgets the answer.
    pub fn close(&mut self) {
        self.socket = None;
        self.is_hung_up = false;
        self.state = State::Free;
        self.rest = Vec::new();
        self.body = None;
    }

    /// Takes in bytes that have arrived.
    pub fn take(&mut self, bytes: &[u8], now: Moment, times: &Times, tally: &mut Tally) -> Step {
        if self.state == State::Body {
            return self.take_content(bytes, now, times, tally);
        }
        if self.rest.is_empty() {
            return self.take_head(bytes, now, times, tally);
        }
        let mut whole = std::mem::take(&mut self.rest);
        whole.extend_from_slice(bytes);
        self.take_head(&whole, now, times, tally)
    }

    fn take_head(&mut self, bytes: &[u8], now: Moment, times: &Times, tally: &mut Tally) -> Step {
        let mut at = 0;
        loop {
            let mut slots = Slots::new();
            match parse::response(&bytes[at..], &mut slots, Method::Post) {
                Ok(None) => {
                    self.rest = bytes[at..].to_vec();
                    return Step::More;
                }
                Ok(Some(head)) => {
                    at += head.bytes;
                    if head.status >= 200 {
                        self.status = head.status;
                        self.is_keep_alive = head.is_keep_alive;
                        self.body = Some(Body::new(head.body));
                        break;
                    }
                }
                Err(malformed) => return Step::Failed(format!("head: {}", malformed.explain())),
            }
        }
        self.state = State::Body;
        let is_whole = self.expected.events == 0;
        if is_whole && self.status == 200 {
            self.first = Some(now);
        }
        if is_whole && self.expected.is_timed && times.measures(self.intended) {
            record(&mut tally.first, now.since(self.intended));
        }
        self.take_content(&bytes[at..], now, times, tally)
    }

    fn take_content(
        &mut self,
        bytes: &[u8],
        now: Moment,
        times: &Times,
        tally: &mut Tally,
    ) -> Step {
        let Some(mut body) = self.body else { return Step::Failed("no body".to_owned()) };
        let mut at = 0;
        while at < bytes.len() && !body.is_end() {
            match body.next(&bytes[at..]) {
                Ok(piece) => {
                    let content = &bytes[at + piece.body.start..at + piece.body.end];
                    at += piece.consumed;
                    self.take_piece(content, now, times, tally);
                }
                Err(malformed) => return Step::Failed(format!("body: {}", malformed.explain())),
            }
        }
        self.body = Some(body);
        if self.leave_at > 0 && self.expected.next >= self.leave_at {
            return Step::Leaves;
        }
        if !body.is_end() {
            return Step::More;
        }
        if at < bytes.len() {
            return Step::Failed("bytes after the answer".to_owned());
        }
        self.end(now, times, tally)
    }

    fn take_piece(&mut self, content: &[u8], now: Moment, times: &Times, tally: &mut Tally) {
        if self.expected.events == 0 || self.status != 200 {
            self.rest.extend_from_slice(content);
            return;
        }
        let is_first = self.expected.next == 0;
        let is_measured = times.measures(now);
        let expected = &mut self.expected;
        if self.rest.is_empty() {
            let taken = verify::take_events(content, now, expected, is_measured, tally);
            if taken < content.len() {
                self.rest.extend_from_slice(&content[taken..]);
            }
        } else {
            self.rest.extend_from_slice(content);
            let taken = verify::take_events(&self.rest, now, expected, is_measured, tally);
            self.rest.drain(..taken);
            if self.rest.is_empty() {
                // An idle stream owns no buffer, here as in the gateway.
                self.rest = Vec::new();
            }
        }
        if !is_first || self.expected.next == 0 {
            return;
        }
        self.first = Some(now);
        if self.expected.is_timed && times.measures(self.intended) {
            record(&mut tally.first, now.since(self.intended));
        }
    }

    /// The other side has closed.
    pub fn take_close(&mut self, now: Moment, times: &Times, tally: &mut Tally) -> Step {
        let may_end = self.body.as_mut().is_some_and(|body| body.at_close().is_ok());
        match (self.state, may_end) {
            (State::Body, true) => match self.end(now, times, tally) {
                Step::Ended { is_right, .. } => Step::Ended { is_reusable: false, is_right },
                step => step,
            },
            (State::Body, false) => Step::Failed("cut inside the answer".to_owned()),
            _ => Step::Failed("closed before the answer".to_owned()),
        }
    }

    fn end(&mut self, now: Moment, times: &Times, tally: &mut Tally) -> Step {
        if self.status != self.expected.status {
            return Step::Failed(format!("status {}", self.status));
        }
        let is_right = if self.expected.events == 0 {
            verify::take_body(&self.rest, &self.expected, tally)
        } else {
            verify::take_end(&self.expected, tally)
        };
        self.rest.clear();
        if self.rest.capacity() > REST_KEPT_BYTES {
            self.rest = Vec::new();
        }
        self.body = None;
        if is_right {
            tally.counts.requests_all += 1;
            tally.counts.requests += u64::from(times.measures(now));
            if self.expected.is_timed && times.measures(self.intended) {
                record(&mut tally.latency, now.since(self.intended));
            }
        }
        Step::Ended { is_reusable: self.is_keep_alive, is_right }
    }
}
