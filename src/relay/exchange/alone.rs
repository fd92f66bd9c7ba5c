//! A stream and its client: signs of life while nothing comes, and going on without one that has left.

use std::time::Duration;

use super::Exchange;
use super::Observer;
use super::Pace;
use super::Slow;
use crate::record::Fault;
use crate::ring::clock;
use crate::units::Moment;

/// How much of what a client has missed is sent in one go, in bytes.
const CATCH_UP_BYTES: usize = 64 << 10;

impl<O: Observer> Exchange<'_, O> {
    /// When the client is to be told that its stream lives.
    pub(super) fn beat_at(&self) -> Moment {
        let may_beat = !self.manners.heartbeat.is_zero()
            && self.response.may_beat()
            && !self.client.is_away()
            && !self.client.has_backlog();
        if may_beat { self.progress.beat_at } else { Moment::NEVER }
    }

    /// Something goes down: the client sees that its stream lives.
    pub(super) fn alive(&mut self) {
        self.progress.beats = 0;
        self.progress.beat_at = clock::recent().after(self.manners.heartbeat.span());
    }

    /// Tells the client that its stream lives.
    pub(super) fn beat(&mut self, now: Moment) {
        self.buffers.with_scratch(|_, out| {
            self.response.beat(out);
            self.client.post(out);
        });
        self.progress.beaten(self.manners, now);
        self.observer.beaten();
    }

    /// By when a client that has left must have come back.
    pub(super) fn return_by(&self) -> Moment {
        if self.client.is_away() { self.progress.return_by } else { Moment::NEVER }
    }

    /// The client has left. Its stream goes on without it if it can come back, or if somebody wants the answer anyway.
    pub(super) fn lost(&mut self, pace: &mut Pace) -> Result<(), Fault> {
        let now = clock::now();
        self.lost_at(now)?;
        pace.deadline = self.next_deadline(now);
        Ok(())
    }

    pub(super) fn lost_at(&mut self, now: Moment) -> Result<(), Fault> {
        let may_return = self.response.is_open() && self.response.kept().is_some();
        if !may_return && !self.manners.outlives_client {
            return Err(Fault::ClientGone);
        }
        if self.client.is_away() {
            return Ok(());
        }
        let mut gone = self.client.take();
        self.buffers.release(&mut gone.input);
        self.response.forget_behind();
        self.progress.has_left = true;
        self.progress.return_by = if self.manners.outlives_client {
            Moment::NEVER
        } else {
            now.after(self.manners.window.span())
        };
        self.observer.left();
        Ok(())
    }

    /// The client does not read what waits for it: its connection is cut, and its stream with it unless that can be resumed.
    /// One that reads, however slowly, gets more time, unless it is to be dropped for that.
    pub(super) fn too_slow(&mut self, pace: &mut Pace) -> Result<(), Fault> {
        let may_be_slow = !matches!(self.manners.slow, Slow::Drop { .. });
        if may_be_slow && self.client.backlog_bytes() < pace.waiting {
            self.moved(pace);
            return Ok(());
        }
        if self.response.kept().is_none() {
            return Err(Fault::ClientSlow);
        }
        self.lost(pace)
    }

    /// A client that has come back gets what it has missed, as fast as it reads.
    pub(super) fn catch_up(&mut self) -> Result<(), Fault> {
        while self.response.is_behind() && !self.client.has_backlog() {
            let buffers = self.buffers;
            let is_kept = buffers.with_scratch(|_, out| {
                let read = self.response.catch_up(CATCH_UP_BYTES, out);
                self.client.post(out);
                read.is_ok()
            });
            self.alive();
            if !is_kept {
                // Whoever asks again is told why.
                return self.lost_at(clock::now());
            }
        }
        Ok(())
    }
}

/// How long to wait for the next sign of life after so many in a row.
pub(super) fn interval(every: Duration, most: Duration, beats: u8) -> Duration {
    let mut wait = every;
    for _ in 0..beats {
        if wait >= most {
            break;
        }
        wait += wait / 2;
    }
    wait.min(most.max(every))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_streams_beat_more_slowly_and_not_too_slowly() {
        let (every, most) = (Duration::from_secs(4), Duration::from_secs(10));
        let waits = [0, 1, 2, 3, 255].map(|beats| interval(every, most, beats).as_secs());
        assert_eq!(waits, [4, 6, 9, 10, 10]);
        assert_eq!(interval(every, Duration::ZERO, 9), every);
    }
}
