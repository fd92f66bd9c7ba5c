//! What has come is passed on: in one send for one read, at the pace that is allowed.

use std::io;

use super::Exchange;
use super::Judged;
use super::Observer;
use super::Pace;
use crate::accept::client::Received;
use crate::record::Fault;
use crate::relay::response::Fed;
use crate::relay::upload::Upload;
use crate::ring::clock;
use crate::ring::turn;
use crate::units::Moment;

impl<O: Observer> Exchange<'_, O> {
    /// Reads what the endpoint has sent and passes it on in one send.
    pub(super) fn relay(&mut self) -> Result<(), Fault> {
        let began = clock::now();
        let buffers = self.buffers;
        self.response.note_time(began);
        buffers.with_scratch(|scratch, out| {
            if self.response.has_rest() {
                let fed = self.response.feed_rest(began, buffers, out);
                self.pass_on(began, out)?;
                return self.fed(fed.map_err(|_| Fault::UpstreamMalformed));
            }
            let room = self.response.allowance(began).min(scratch.len());
            let read = match self.link.try_recv(scratch.get_mut(..room).unwrap_or_default()) {
                Ok(count) => scratch.get(..count).unwrap_or_default(),
                Err(error) if is_transient(&error) => return Ok(()),
                Err(_) => return Err(self.broken()),
            };
            if self.response.events > 0 {
                turn::note_patient();
            }
            let is_first = self.progress.first_byte.is_none() && !read.is_empty();
            if is_first {
                self.progress.first_byte = Some(began);
                self.note_timing(began);
            }
            let fed = if read.is_empty() {
                self.response.feed_close(buffers, out).map(|()| Fed::All).map_err(|_| self.broken())
            } else {
                let fed = self.response.feed_at_pace(read, began, buffers, out);
                fed.map_err(|_| Fault::UpstreamMalformed)
            };
            self.look_at_error(out)?;
            self.pass_on(began, out)?;
            if is_first {
                self.progress.first_passing = clock::now().since(began);
            }
            self.fed(fed)
        })
    }

    fn fed(&self, fed: Result<Fed, Fault>) -> Result<(), Fault> {
        if fed? == Fed::Part {
            self.observer.throttled();
        }
        Ok(())
    }

    /// An error that has come whole is judged. What goes down of it in a stream that was opened is its last event.
    fn look_at_error(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let Some(held) = self.response.held() else { return Ok(()) };
        let Judged::PassOn { is_exhausted } = self.observer.judge(&held) else { return Ok(()) };
        if self.response.is_open() {
            self.response.speak(self.buffers);
            return Err(Fault::UpstreamStatus);
        }
        self.response.release(is_exhausted, self.buffers, out);
        Ok(())
    }

    fn pass_on(&mut self, began: Moment, out: &[u8]) -> Result<(), Fault> {
        let sent = self.send_down(out);
        self.observer.relayed(self.response);
        match sent {
            Ok(()) => Ok(()),
            Err(_) => self.lost_at(began),
        }
    }

    /// What a broken connection to the endpoint means at this point.
    pub(super) fn broken(&self) -> Fault {
        if self.response.has_head() || self.response.is_holding() {
            Fault::UpstreamTruncated
        } else if self.link.is_reused || self.response.is_untouched() {
            Fault::UpstreamClosedEarly
        } else {
            Fault::UpstreamTruncated
        }
    }

    /// Passes bytes on; they leave at the end of the turn.
    pub(super) fn send_down(&mut self, out: &[u8]) -> Result<(), Fault> {
        if out.is_empty() {
            return Ok(());
        }
        self.progress.has_answered = true;
        if self.progress.first_content.is_none() && self.response.content_bytes > 0 {
            self.progress.first_content = Some(clock::now());
        }
        self.alive();
        self.client.post(out);
        if self.client.is_half_closed() && self.client.is_gone() {
            return Err(Fault::ClientGone);
        }
        Ok(())
    }

    /// The client has sent more, has closed its sending direction, or is gone.
    pub(super) fn look_at_client(&mut self, pace: &mut Pace) -> Result<(), Fault> {
        match self.client.receive(self.buffers) {
            Received::Bytes(_) | Received::Nothing => Ok(()),
            Received::Gone => self.lost(pace),
            Received::End => {
                // A client that left answers this with a reset; one that only half-closed reads over it.
                self.buffers.with_scratch(|_, out| {
                    self.response.probe(out);
                    self.client.post(out);
                });
                if self.client.is_gone() { self.lost(pace) } else { Ok(()) }
            }
        }
    }

    /// Whether all of the response went down, to somebody or to nobody.
    pub(super) fn is_over(&self) -> bool {
        self.response.is_done() && !self.client.has_backlog() && !self.response.is_behind()
    }

    /// Whether the request will not be sent again: something of its answer went down, and nobody goes on from there.
    pub(super) fn may_forget(&self, upload: &Upload) -> bool {
        self.response.is_final(self.progress.has_answered) && !upload.may_go_on()
    }

    /// Whether more may be read although the client is slow.
    pub(super) fn may_buffer(&self) -> bool {
        match self.manners.slow {
            super::Slow::Buffer { bytes } => self.client.backlog_bytes() < bytes as usize,
            _ => false,
        }
    }

    /// Until when nothing more may go down.
    pub(super) fn throttled_until(&self) -> Moment {
        let until = self.response.throttled_until().filter(|until| clock::now() < *until);
        until.unwrap_or(Moment::NEVER)
    }

    pub(super) fn is_throttled(&self) -> bool {
        self.throttled_until() != Moment::NEVER
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
