//! One exchange: sends the request up and the response down, and watches both sides and the deadlines meanwhile.

use std::future::poll_fn;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

pub use self::life::Life;
pub use self::race::Ahead;
pub use self::terms::Deadlines;
pub use self::terms::Ended;
pub use self::terms::Judged;
pub use self::terms::Manners;
pub use self::terms::Observer;
pub use self::terms::Progress;
pub use self::terms::Slow;
use super::response::Response;
use super::upload::Body;
use super::upload::Upload;
use crate::accept::client::Client;
use crate::accept::incoming::Incoming;
use crate::llm::edit::Edit;
use crate::record::Fault;
use crate::ring::clock;
use crate::units::Moment;
use crate::upstream::Link;
use crate::wire::buffer::Buffers;

mod alone;
mod life;
mod passing;
mod race;
mod terms;

/// How often a client that has closed its sending direction is looked at: is it still there?
const HALF_CLOSED_LOOK: Duration = Duration::from_millis(100);

/// Both ends of an exchange and what it needs. What belongs to one connection is given to [`Exchange::run`] or is a
/// reference here, so that after [`Ended::HedgeDue`] it goes on with either of two.
pub struct Exchange<'e, O> {
    /// Who asked.
    pub client: &'e mut Client,
    /// Who answers.
    pub link: &'e mut Link,
    /// The shard's buffers.
    pub buffers: &'e Buffers,
    /// When it must be where.
    pub deadlines: &'e Deadlines,
    /// How the client is treated.
    pub manners: &'e Manners,
    /// When the request had arrived, if the client is to be told where its time went.
    pub arrived: Option<Moment>,
    /// How far it came.
    pub progress: &'e mut Progress,
    /// The response.
    pub response: &'e mut Response,
    /// Who is told of it.
    pub observer: O,
}

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    LinkReadable,
    LinkWritable,
    ClientReadable,
    ClientDrained,
    ClientLost,
    Joined,
    Ending,
    Due,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, Default)]
struct Interest {
    /// What has come before may go down now.
    has_rest: bool,
    link_readable: bool,
    link_writable: bool,
    client_drained: bool,
}

/// How long it may still wait.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// When it is over unless something moves.
    deadline: Moment,
    /// When something moved last.
    moved: Moment,
    /// Bytes that waited for the client then.
    waiting: usize,
    /// Whether it was told that nothing moves, or need not be.
    has_told: bool,
    /// Whether a second connection is of use: one alone is run.
    may_hedge: bool,
}

impl<O: Observer> Exchange<'_, O> {
    /// Sends the request, which `upload` has begun with these `edits`, and relays the response until its end. Once a byte of the
    /// response went down, the request is released: it cannot be sent again.
    ///
    /// # Errors
    /// Why it ended before. What was left undone on either side shows in `progress` and `response`.
    pub fn run<'a>(
        &'a mut self,
        upload: &'a mut Upload,
        request: &'a mut Incoming,
        edits: &'a [Edit<'a>],
    ) -> impl Future<Output = Result<Ended, Fault>> {
        // An async fn would keep its arguments twice, in every open stream.
        let mut pace = self.begin(upload, true);
        async move {
            loop {
                let wake = self.wait(upload, &pace).await;
                if let Some(ended) = self.step(wake, upload, request, edits, &mut pace)? {
                    return Ok(ended);
                }
            }
        }
    }

    fn begin(&mut self, upload: &mut Upload, may_hedge: bool) -> Pace {
        // What an attempt before this one had sent, or had got, does not count.
        self.progress.sent_up = None;
        self.progress.first_byte = None;
        self.note_upload(upload);
        let moved = clock::recent();
        let waiting = self.client.backlog_bytes();
        Pace { deadline: self.next_deadline(moved), moved, waiting, has_told: false, may_hedge }
    }

    /// Does what has become possible.
    fn step(
        &mut self,
        wake: Wake,
        upload: &mut Upload,
        request: &mut Incoming,
        edits: &[Edit<'_>],
        pace: &mut Pace,
    ) -> Result<Option<Ended>, Fault> {
        match wake {
            Wake::LinkReadable => {
                self.relay()?;
                if self.may_forget(upload) {
                    request.release(self.buffers);
                }
                if self.response.is_held() {
                    return Ok(Some(Ended::Withheld));
                }
                if self.is_over() {
                    return Ok(Some(Ended::Done));
                }
                self.moved(pace);
            }
            Wake::LinkWritable => {
                let body = Body { bytes: request.body(), edits };
                if upload.go_on(self.link, self.buffers, body).is_err() {
                    // It takes no more; what it has said before that (401, 413) can still be read.
                    upload.give_up(self.buffers);
                }
                self.note_upload(upload);
                pace.moved = clock::recent();
            }
            Wake::ClientReadable => self.look_at_client(pace)?,
            Wake::ClientDrained => {
                self.catch_up()?;
                if self.is_over() {
                    return Ok(Some(Ended::Done));
                }
                self.moved(pace);
            }
            Wake::ClientLost => self.lost(pace)?,
            Wake::Joined => return Ok(Some(Ended::Joined)),
            Wake::Ending => return Err(Fault::Draining),
            Wake::Due if clock::now() >= self.commit_at() => self.commit(pace)?,
            Wake::Due => return self.look_at_clock(upload, pace),
        }
        Ok(None)
    }

    /// Waits for one of the things that move this exchange on.
    fn wait(&mut self, upload: &Upload, pace: &Pace) -> impl Future<Output = Wake> {
        let interest = self.prepare(upload, pace);
        poll_fn(move |cx| self.poll(cx, interest))
    }

    /// What to wait for; sets the clock.
    fn prepare(&mut self, upload: &Upload, pace: &Pace) -> Interest {
        self.link.set_deadline(self.wake_at(upload, pace));
        let has_backlog = self.client.has_backlog();
        let is_behind = self.response.is_behind();
        let may_read = !is_behind && (!has_backlog || self.may_buffer()) && !self.is_throttled();
        Interest {
            has_rest: may_read && self.response.has_rest(),
            link_readable: may_read,
            link_writable: upload.waits_for_room(self.link),
            client_drained: has_backlog || is_behind,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, interest: Interest) -> Poll<Wake> {
        if self.observer.is_ending() {
            return Poll::Ready(Wake::Ending);
        }
        if self.observer.poll_joined(cx).is_ready() {
            return Poll::Ready(Wake::Joined);
        }
        if interest.has_rest || (interest.link_readable && self.link.poll_readable(cx).is_ready()) {
            return Poll::Ready(Wake::LinkReadable);
        }
        if interest.client_drained
            && let Poll::Ready(drained) = self.client.poll_drained(cx)
        {
            return Poll::Ready(drained.map_or(Wake::ClientLost, |()| Wake::ClientDrained));
        }
        if interest.link_writable && self.link.poll_room(cx).is_ready() {
            return Poll::Ready(Wake::LinkWritable);
        }
        if self.client.poll_input(cx).is_ready() {
            return Poll::Ready(Wake::ClientReadable);
        }
        self.link.poll_deadline(cx).map(|()| Wake::Due)
    }

    /// When the head of a stream goes down although nothing of its content has come.
    fn commit_at(&self) -> Moment {
        if self.response.may_open() { self.deadlines.commit_at } else { Moment::NEVER }
    }

    /// The head of a stream goes down. What goes wrong before its first content is still repeated, silently.
    fn commit(&mut self, pace: &mut Pace) -> Result<(), Fault> {
        let buffers = self.buffers;
        self.response.note_time(clock::recent());
        let sent = buffers.with_scratch(|_, out| {
            self.response.open(out);
            self.send_down(out)
        });
        self.moved(pace);
        sent.or_else(|_| self.lost(pace))
    }

    /// It is time for something: for what?
    fn look_at_clock(&mut self, upload: &Upload, pace: &mut Pace) -> Result<Option<Ended>, Fault> {
        let now = clock::now();
        if self.client.is_half_closed() && self.client.is_gone() {
            return self.lost(pace).map(|()| None);
        }
        if now >= self.return_by() {
            return Err(Fault::ClientGone);
        }
        if now >= pace.deadline {
            return match self.overdue(now) {
                Fault::ClientSlow => self.too_slow(pace).map(|()| None),
                fault => Err(fault),
            };
        }
        if now >= self.beat_at() {
            self.beat(now);
        }
        if now >= self.hedge_at(upload, pace) {
            return Ok(Some(Ended::HedgeDue));
        }
        if now >= self.leak_at(pace) {
            pace.has_told = true;
            self.observer.stalled(now.since(pace.moved));
        }
        Ok(None)
    }

    /// Which deadline has passed, and what does it mean?
    fn overdue(&self, now: Moment) -> Fault {
        if now >= self.deadlines.whole {
            Fault::WholeTimedOut
        } else if !self.is_unanswered() {
            if self.client.has_backlog() { Fault::ClientSlow } else { Fault::GapTimedOut }
        } else if now >= self.deadlines.first_byte {
            Fault::FirstByteTimedOut
        } else if now >= self.deadlines.attempt {
            Fault::AttemptTimedOut
        } else {
            Fault::GapTimedOut
        }
    }

    /// Whether the client is still without an answer for which the deadlines of the first byte count.
    const fn is_unanswered(&self) -> bool {
        self.progress.first_byte.is_none() || self.response.is_holding() || self.response.is_early()
    }

    /// Something has moved.
    fn moved(&self, pace: &mut Pace) {
        pace.moved = clock::recent();
        pace.waiting = self.client.backlog_bytes();
        pace.deadline = self.next_deadline(pace.moved);
    }

    /// When it is over unless something moves.
    fn next_deadline(&self, now: Moment) -> Moment {
        let whole = self.deadlines.whole;
        if self.is_unanswered() {
            let first = self.deadlines.first_byte.min(self.deadlines.attempt).min(whole);
            // An error that is held has begun: it may not pause longer than what goes down.
            let is_begun = self.response.is_holding();
            return if is_begun { first.min(now.after(self.deadlines.gap.span())) } else { first };
        }
        let pause = match self.manners.slow {
            _ if !self.client.has_backlog() => self.deadlines.gap,
            Slow::Drop { after } => after,
            Slow::Wait | Slow::Buffer { .. } => self.deadlines.write,
        };
        now.after(pause.span()).min(whole)
    }

    /// When to look at the clock, whatever moves.
    fn wake_at(&self, upload: &Upload, pace: &Pace) -> Moment {
        let is_half_closed = self.client.is_half_closed();
        let look =
            if is_half_closed { clock::now().after(HALF_CLOSED_LOOK) } else { Moment::NEVER };
        let due = pace.deadline.min(look).min(self.commit_at());
        let due = due.min(self.hedge_at(upload, pace)).min(self.leak_at(pace));
        due.min(self.beat_at()).min(self.return_by()).min(self.throttled_until())
    }

    /// When a second connection is of use: while nothing has come, and there is nothing more to send on this one.
    fn hedge_at(&self, upload: &Upload, pace: &Pace) -> Moment {
        let is_silent = self.progress.first_byte.is_none() && upload.is_complete();
        if pace.may_hedge && is_silent { self.deadlines.hedge_at } else { Moment::NEVER }
    }

    fn leak_at(&self, pace: &Pace) -> Moment {
        if pace.has_told { Moment::NEVER } else { pace.moved.after(self.deadlines.leak.span()) }
    }

    /// Where the time until the first byte went, for the head of the response.
    fn note_timing(&mut self, first_byte: Moment) {
        let Some(arrived) = self.arrived else { return };
        let sent_up = self.progress.sent_up.unwrap_or(first_byte);
        self.response.set_timing(sent_up.since(arrived), first_byte.since(sent_up));
    }

    fn note_upload(&mut self, upload: &mut Upload) {
        self.progress.has_sent |= upload.has_sent;
        self.progress.sent_up = upload.completed(clock::now);
    }
}

#[cfg(test)]
mod tests;
