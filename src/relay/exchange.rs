//! One exchange: sends the request up and the response down, and watches both sides and the deadlines meanwhile.

use std::future::poll_fn;
use std::io;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

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

/// How often a client that has closed its sending direction is looked at: is it still there?
const HALF_CLOSED_LOOK: Duration = Duration::from_millis(100);

/// When an exchange must be where.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// The first byte of the response.
    pub first_byte: Moment,
    /// The end.
    pub whole: Moment,
    /// The longest pause between two reads of the response.
    pub gap: Duration,
    /// The longest time that a client may read nothing of what waits for it.
    pub write: Duration,
}

/// What is known of an exchange from outside, also of one that was given up.
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
}

/// Both ends of an exchange and what it needs.
pub struct Exchange<'e> {
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
    /// Who wants to be told of each read of the response, once it was passed on.
    pub observer: Option<&'e dyn Fn(&mut Response)>,
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

impl Exchange<'_> {
    /// Sends the request, which `upload` has begun with these `edits`, and relays the response until its end. Once a byte of the
    /// response has come, the request is released: it cannot be sent again.
    ///
    /// # Errors
    /// Why it ended before. What was left undone on either side shows in `progress` and `response`.
    pub async fn run(
        &mut self,
        upload: &mut Upload,
        request: &mut Incoming,
        edits: &[Edit<'_>],
    ) -> Result<(), Fault> {
        self.progress.has_sent |= upload.has_sent;
        self.progress.sent_up = None; // What an attempt before this one had sent does not count.
        self.note_upload(upload);
        let mut deadline = self.deadlines.first_byte.min(self.deadlines.whole);
        loop {
            let has_backlog = self.client.has_backlog();
            let interest = Interest {
                link_readable: !has_backlog,
                link_writable: upload.may_go_on() || self.link.has_unsent(),
                client_drained: has_backlog,
            };
            match self.wait(interest, deadline).await {
                Wake::LinkReadable => {
                    self.relay()?;
                    if self.progress.first_byte.is_some() && !upload.may_go_on() {
                        request.release(self.buffers);
                    }
                    if self.response.is_done() && !self.client.has_backlog() {
                        return Ok(());
                    }
                    deadline = self.next_deadline();
                }
                Wake::LinkWritable => {
                    let body = Body { bytes: request.body(), edits };
                    if upload.go_on(self.link, self.buffers, body).is_err() {
                        // It takes no more; what it has said before that (401, 413) can still be read.
                        upload.give_up(self.buffers);
                    }
                    self.progress.has_sent |= upload.has_sent;
                    self.note_upload(upload);
                }
                Wake::ClientReadable => self.look_at_client()?,
                Wake::ClientDrained => {
                    if self.response.is_done() {
                        return Ok(());
                    }
                    deadline = self.next_deadline();
                }
                Wake::ClientLost => return Err(Fault::ClientGone),
                Wake::Due => self.judge_deadline(deadline)?,
            }
        }
    }

    /// Waits for one of the things that move this exchange on.
    async fn wait(&mut self, interest: Interest, deadline: Moment) -> Wake {
        let is_half_closed = self.client.is_half_closed();
        let look =
            if is_half_closed { clock::now().after(HALF_CLOSED_LOOK) } else { Moment::NEVER };
        self.link.set_deadline(deadline.min(look));
        poll_fn(|cx| self.poll(cx, interest)).await
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
            self.send_down(out)?;
            if let Some(observe) = self.observer {
                observe(self.response);
            }
            if is_first {
                self.progress.first_passing = clock::now().since(began);
            }
            fed
        })
    }

    /// What a broken connection to the endpoint means at this point.
    fn broken(&self) -> Fault {
        if self.response.has_head() {
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

    /// A deadline has passed: which, and what does it mean?
    fn judge_deadline(&self, deadline: Moment) -> Result<(), Fault> {
        let now = clock::now();
        if self.client.is_half_closed() && self.client.is_gone() {
            return Err(Fault::ClientGone);
        }
        if now < deadline {
            return Ok(());
        }
        if now >= self.deadlines.whole {
            return Err(Fault::WholeTimedOut);
        }
        if self.progress.first_byte.is_none() {
            return Err(Fault::FirstByteTimedOut);
        }
        Err(if self.client.has_backlog() { Fault::ClientSlow } else { Fault::GapTimedOut })
    }

    /// The deadline after something has moved.
    fn next_deadline(&self) -> Moment {
        if self.progress.first_byte.is_none() {
            return self.deadlines.first_byte.min(self.deadlines.whole);
        }
        let is_slow = self.client.has_backlog();
        let pause = if is_slow { self.deadlines.write } else { self.deadlines.gap };
        clock::recent().after(pause).min(self.deadlines.whole)
    }

    /// Where the time until the first byte went, for the head of the response.
    fn note_timing(&mut self, first_byte: Moment) {
        let Some(arrived) = self.arrived else { return };
        let sent_up = self.progress.sent_up.unwrap_or(first_byte);
        self.response.set_timing(sent_up.since(arrived), first_byte.since(sent_up));
    }

    fn note_upload(&mut self, upload: &Upload) {
        if upload.is_complete() && self.progress.sent_up.is_none() {
            self.progress.sent_up = Some(clock::now());
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
