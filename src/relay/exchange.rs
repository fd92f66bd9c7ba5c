//! One exchange: sends the request up and the response down, and watches both sides and the deadlines meanwhile.

use std::future::poll_fn;
use std::io;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

pub use self::race::Ahead;
pub use self::terms::Deadlines;
pub use self::terms::Ended;
pub use self::terms::Judged;
pub use self::terms::Observer;
pub use self::terms::Progress;
use super::response::Response;
use super::upload::Body;
use super::upload::Upload;
use crate::accept::client::Client;
use crate::accept::client::Received;
use crate::accept::incoming::Incoming;
use crate::llm::edit::Edit;
use crate::record::Fault;
use crate::ring::clock;
use crate::units::Moment;
use crate::upstream::Link;
use crate::wire::buffer::Buffers;

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
    Due,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, Default)]
struct Interest {
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
        Pace { deadline: self.next_deadline(moved), moved, has_told: false, may_hedge }
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
                if self.progress.has_answered && !upload.may_go_on() {
                    request.release(self.buffers);
                }
                if self.response.is_held() {
                    return Ok(Some(Ended::Withheld));
                }
                if self.response.is_done() && !self.client.has_backlog() {
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
            Wake::ClientReadable => self.look_at_client()?,
            Wake::ClientDrained => {
                if self.response.is_done() {
                    return Ok(Some(Ended::Done));
                }
                self.moved(pace);
            }
            Wake::ClientLost => return Err(Fault::ClientGone),
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
        Interest {
            link_readable: !has_backlog,
            link_writable: upload.waits_for_room(self.link),
            client_drained: has_backlog,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, interest: Interest) -> Poll<Wake> {
        if interest.link_readable && self.link.poll_readable(cx).is_ready() {
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

    /// Reads what the endpoint has sent and passes it on in one send.
    fn relay(&mut self) -> Result<(), Fault> {
        let began = clock::now();
        let buffers = self.buffers;
        buffers.with_scratch(|scratch, out| {
            let read = match self.link.try_recv(scratch) {
                Ok(count) => scratch.get(..count).unwrap_or_default(),
                Err(error) if is_transient(&error) => return Ok(()),
                Err(_) => return Err(self.broken()),
            };
            let is_first = self.progress.first_byte.is_none() && !read.is_empty();
            if is_first {
                self.progress.first_byte = Some(began);
                self.note_timing(began);
            }
            let fed = if read.is_empty() {
                self.response.feed_close(buffers, out).map_err(|_| self.broken())
            } else {
                self.response.feed(read, buffers, out).map_err(|_| Fault::UpstreamMalformed)
            };
            if let Some(held) = self.response.held()
                && let Judged::PassOn { is_exhausted } = self.observer.judge(&held)
            {
                self.response.release(is_exhausted, buffers, out);
            }
            self.send_down(out)?;
            self.observer.relayed(self.response);
            if is_first {
                self.progress.first_passing = clock::now().since(began);
            }
            fed
        })
    }

    /// What a broken connection to the endpoint means at this point.
    fn broken(&self) -> Fault {
        if self.response.has_head() || self.response.is_holding() {
            Fault::UpstreamTruncated
        } else if self.link.is_reused || self.response.is_untouched() {
            Fault::UpstreamClosedEarly
        } else {
            Fault::UpstreamTruncated
        }
    }

    /// Passes bytes on; they leave at the end of the turn.
    fn send_down(&mut self, out: &[u8]) -> Result<(), Fault> {
        if out.is_empty() {
            return Ok(());
        }
        self.progress.has_answered = true;
        if self.progress.first_content.is_none() && self.response.content_bytes > 0 {
            self.progress.first_content = Some(clock::now());
        }
        self.client.post(out);
        if self.client.is_half_closed() && self.client.is_gone() {
            return Err(Fault::ClientGone);
        }
        Ok(())
    }

    /// The client has sent more, has closed its sending direction, or is gone.
    fn look_at_client(&mut self) -> Result<(), Fault> {
        match self.client.receive(self.buffers) {
            Received::Bytes(_) | Received::Nothing => Ok(()),
            Received::Gone => Err(Fault::ClientGone),
            Received::End => {
                // A client that left answers this with a reset; one that only half-closed reads over it.
                self.buffers.with_scratch(|_, out| {
                    self.response.probe(out);
                    self.client.post(out);
                });
                if self.client.is_gone() { Err(Fault::ClientGone) } else { Ok(()) }
            }
        }
    }

    /// When the head of a stream goes down although nothing of its content has come.
    fn commit_at(&self) -> Moment {
        let first_byte = self.progress.first_byte.filter(|_| self.response.is_early());
        first_byte
            .map_or(Moment::NEVER, |first_byte| first_byte.after(self.deadlines.commit.span()))
    }

    /// The head of a stream goes down. From here on nothing is repeated.
    fn commit(&mut self, pace: &mut Pace) -> Result<(), Fault> {
        let buffers = self.buffers;
        buffers.with_scratch(|_, out| {
            self.response.commit(out);
            self.send_down(out)
        })?;
        self.moved(pace);
        Ok(())
    }

    /// It is time for something: for what?
    fn look_at_clock(&self, upload: &Upload, pace: &mut Pace) -> Result<Option<Ended>, Fault> {
        let now = clock::now();
        if self.client.is_half_closed() && self.client.is_gone() {
            return Err(Fault::ClientGone);
        }
        if now >= pace.deadline {
            return Err(self.overdue(now));
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
        let is_slow = self.client.has_backlog();
        let pause = if is_slow { self.deadlines.write } else { self.deadlines.gap }.span();
        now.after(pause).min(whole)
    }

    /// When to look at the clock, whatever moves.
    fn wake_at(&self, upload: &Upload, pace: &Pace) -> Moment {
        let is_half_closed = self.client.is_half_closed();
        let look =
            if is_half_closed { clock::now().after(HALF_CLOSED_LOOK) } else { Moment::NEVER };
        let due = pace.deadline.min(look).min(self.commit_at());
        due.min(self.hedge_at(upload, pace)).min(self.leak_at(pace))
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

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests;
