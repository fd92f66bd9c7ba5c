//! When a client leaves and how, and whether it comes back.

use std::cmp::Reverse;
use std::os::fd::AsRawFd;

use ringway::sys::socket;
use ringway::units::Moment;

use crate::streams::client::Crew;
use crate::streams::client::Due;
use crate::streams::client::former::Former;
use crate::streams::client::slot::Phase;
use crate::streams::course::Leave;

/// Bytes of a head, about.
const HEAD_BYTES: u64 = 330;
/// Bytes that come with each event: its id and the framing, about.
const AROUND_EVENT_BYTES: usize = 51;
/// Share of the cuts that fall into the head's length and no further, so that enough of them do.
const CUTS_EARLY: f64 = 0.1;

impl Crew {
    /// At which byte of the response its client leaves.
    pub(super) fn cut_at(&mut self, at: usize, is_return: bool) -> u64 {
        let Leave::AtByte { again, cuts_max, .. } = self.job.course.leave else { return u64::MAX };
        let slot = &mut self.slots[at];
        if slot.cuts >= cuts_max || (is_return && !slot.dice.is(again)) {
            return u64::MAX;
        }
        let course = &self.job.course;
        let sealed = (course.events - slot.story.next) as usize;
        let endings = course.endings.iter().skip(slot.story.ending as usize);
        let endings: usize = endings.map(|ending| ending.len() + AROUND_EVENT_BYTES).sum();
        let bytes = sealed * (course.event_bytes + AROUND_EVENT_BYTES) + endings;
        let limit = HEAD_BYTES + if slot.dice.is(CUTS_EARLY) { 0 } else { bytes as u64 };
        slot.dice.below(limit)
    }

    /// The client leaves, and comes back or not.
    pub(super) fn leave(&mut self, at: usize, now: Moment) {
        let endings = &self.job.course.endings;
        let slot = &mut self.slots[at];
        self.tally.counts.cuts += 1;
        *self.tally.places.entry(slot.place(endings)).or_default() += 1;
        slot.cuts += 1;
        slot.turn = slot.turn.wrapping_add(1);
        let is_whole = slot.story.is_whole(endings);
        let (returns, stays) = match self.job.course.leave {
            // Who has it all need not come back; who does is told.
            Leave::AtByte { stays, .. } => (if is_whole { 0.5 } else { 1.0 }, stays),
            Leave::AtTime { returns, .. } => (if is_whole { 0.0 } else { returns }, 0.0),
        };
        let is_named = slot.story.name.is_some();
        let will_return = is_named && slot.dice.is(returns);
        let stays = will_return && slot.former.is_none() && slot.dice.is(stays);
        self.let_go(at, stays);
        let slot = &mut self.slots[at];
        if will_return {
            slot.phase = Phase::Away;
            let (least, most) = self.job.course.away;
            let back = now.after(slot.dice.between(least, most));
            self.timers.push(Reverse((back, at, slot.turn, Due::Go)));
            return;
        }
        match (is_whole, is_named || !slot.is_resumable) {
            (true, _) => self.tally.counts.whole += 1,
            (false, true) => self.tally.counts.left += 1,
            (false, false) => self.tally.counts.unnamed += 1,
        }
        self.begin(at, now);
    }

    /// Closes the connection of a client that leaves, or leaves it open.
    fn let_go(&mut self, at: usize, stays: bool) {
        let slot = &mut self.slots[at];
        let Some(socket) = slot.socket.take() else { return };
        if stays {
            let reader = std::mem::take(&mut slot.reader);
            let former = Former { socket, reader, story: slot.story, due: Moment::NEVER };
            slot.former = Some(Box::new(former));
            self.tally.note_way("left without a word");
        } else if slot.dice.is(self.job.course.resets) {
            socket::reset_on_close(socket.as_raw_fd());
            self.tally.note_way("left by a reset");
        } else {
            self.tally.note_way("left in order");
        }
    }
}
