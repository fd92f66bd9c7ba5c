//! A stream of which nothing is under way: it waits for a place, a connection or its next attempt, and its client is to see
//! that it lives.

use super::Manners;
use super::Progress;
use super::alone::interval;
use crate::accept::client::Client;
use crate::relay::response::Response;
use crate::ring::clock;
use crate::units::Moment;
use crate::wire::buffer::Buffers;

/// What a waiting stream shows of itself.
pub struct Life<'l> {
    /// The response, as far as it went down.
    pub response: &'l mut Response,
    /// How far it came.
    pub progress: &'l mut Progress,
    /// When its head goes down although nothing has come.
    pub commit_at: Moment,
    /// How the client is treated.
    pub manners: &'l Manners,
    /// The shard's buffers.
    pub buffers: &'l Buffers,
}

impl Life<'_> {
    /// When something is to go down; [`Moment::NEVER`]: there is nothing to show.
    #[must_use]
    pub fn due(&self, client: &Client) -> Moment {
        if client.is_away() {
            return Moment::NEVER;
        }
        if self.response.may_open() {
            return self.commit_at;
        }
        let may_beat = !self.manners.heartbeat.is_zero() && self.response.may_beat();
        if may_beat && !client.has_backlog() { self.progress.beat_at } else { Moment::NEVER }
    }

    /// Shows what is due; whether that was a sign of life of a stream that was opened before.
    pub fn show(&mut self, client: &mut Client, now: Moment) -> bool {
        let opens = self.response.may_open();
        let response = &mut *self.response;
        self.buffers.with_scratch(|_, out| {
            if opens {
                response.note_time(clock::recent());
                response.open(out);
            } else {
                response.beat(out);
            }
            client.post(out);
        });
        if opens {
            self.progress.has_answered = true;
            self.progress.beats = 0;
            self.progress.beat_at = now.after(self.manners.heartbeat.span());
        } else {
            self.progress.beaten(self.manners, now);
        }
        !opens
    }

    /// The client has closed its sending direction: one that has left answers this with a reset, one that has not reads over it.
    pub fn probe(&self, client: &mut Client) {
        self.buffers.with_scratch(|_, out| {
            self.response.probe(out);
            client.post(out);
        });
    }
}

impl Progress {
    /// The client has been told that its stream lives: when it is told again.
    pub(super) fn beaten(&mut self, manners: &Manners, now: Moment) {
        self.beats = self.beats.saturating_add(1);
        let (every, most) = (manners.heartbeat.span(), manners.heartbeat_most.span());
        self.beat_at = now.after(interval(every, most, self.beats));
    }
}
