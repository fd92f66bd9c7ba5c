//! One of the clients: the stream it reads, and how far its connection is; no sockets are touched here.

use std::os::fd::OwnedFd;
use std::time::Duration;

use ringway::units::Moment;

use crate::measure::tally::record;
use crate::streams::client::former::Former;
use crate::streams::course::Course;
use crate::streams::course::Heartbeat;
use crate::streams::dice::Dice;
use crate::streams::reader::Met;
use crate::streams::reader::Place;
use crate::streams::reader::Reader;
use crate::streams::reader::Step;
use crate::streams::story::Said;
use crate::streams::story::Story;
use crate::streams::tally::Tally;

/// How far a client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Asks for nothing.
    #[default]
    Free,
    /// Connects, or sends its request.
    Sending,
    /// Waits for a response, or reads it.
    Reading,
    /// Has left, and will come back.
    Away,
}

/// A client.
#[derive(Debug, Default)]
pub struct Slot {
    pub story: Story,
    /// What becomes of the stream.
    pub dice: Dice,
    pub is_resumable: bool,
    /// In which pieces the mock writes.
    pub split: u32,
    pub socket: Option<OwnedFd>,
    pub reader: Reader,
    pub phase: Phase,
    pub request: Vec<u8>,
    pub sent: usize,
    /// Whether it reads on a stream that it has left before.
    pub is_return: bool,
    /// Whether that was counted.
    pub has_resumed: bool,
    /// Bytes of the response so far.
    pub got: u64,
    /// Bytes of the response at which the client leaves.
    pub cut_at: u64,
    /// How often it was cut.
    pub cuts: u32,
    /// Timers of earlier turns mean nothing.
    pub turn: u32,
    /// When it asked.
    pub asked: Moment,
    /// A connection that was left open.
    pub former: Option<Box<Former>>,
    quiet: Quiet,
}

/// Since when nothing has come.
#[derive(Clone, Copy, Debug, Default)]
struct Quiet {
    /// When the last bytes came; none: nothing came yet.
    since: Option<Moment>,
    /// Heartbeats in a row before.
    beats: u8,
}

/// A heartbeat that is so much too early is counted.
const EARLY: Duration = Duration::from_millis(10);
/// A heartbeat that is so much too late when something else comes is taken for missing.
const MISSED: Duration = Duration::from_secs(1);

/// What a response was, to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The stream, or its rest.
    Stream,
    /// That nothing more comes.
    NothingMore,
    /// That the rest is not kept any more.
    Gone,
}

impl Slot {
    /// A new stream begins.
    pub fn begin(&mut self, story: Story, dice: Dice, is_resumable: bool, split: u32) {
        self.story = story;
        self.dice = dice;
        self.is_resumable = is_resumable;
        self.split = split;
        self.cuts = 0;
        self.former = None;
    }

    /// A request is about to be sent.
    pub fn ask(&mut self, request: Vec<u8>, is_return: bool, cut_at: u64, now: Moment) {
        self.request = request;
        self.is_return = is_return;
        self.has_resumed = false;
        self.cut_at = cut_at;
        self.asked = now;
        self.sent = 0;
        self.got = 0;
        self.reader = Reader::default();
        self.quiet = Quiet::default();
        self.phase = Phase::Sending;
        self.turn = self.turn.wrapping_add(1);
    }

    /// What a cut would tear apart now.
    #[must_use]
    pub fn place(&self, endings: &[Vec<u8>]) -> Place {
        if self.story.is_whole(endings) { Place::BehindDone } else { self.reader.place() }
    }

    /// Takes what has arrived.
    ///
    /// # Errors
    /// What is wrong with it; it is counted.
    pub fn take(
        &mut self,
        bytes: &[u8],
        now: Moment,
        course: &Course,
        tally: &mut Tally,
    ) -> Result<Step, String> {
        self.got += bytes.len() as u64;
        let Self { reader, story, is_return, is_resumable, asked, .. } = self;
        let mut first = None;
        let taken = reader.take(bytes, &mut |met| match met {
            Met::Head { status, name } => {
                if *is_return {
                    record(&mut tally.back, now.since(*asked));
                }
                // What another status says is judged when it has come whole.
                if status != 200 {
                    return Ok(());
                }
                story.take_head(name, !*is_return, *is_resumable)
            }
            Met::Event(event) => {
                let is_first = !*is_return && !story.has_begun();
                let said = story.take_event(event, &course.endings, &mut tally.counts)?;
                first.get_or_insert(said);
                let Said::Event(Some(written)) = said else { return Ok(()) };
                if is_first {
                    record(&mut tally.first, now.since(*asked));
                }
                if !*is_return {
                    record(&mut tally.relay, now.since(written));
                }
                Ok(())
            }
        });
        self.quiet.end(first == Some(Said::Beat), now, course.heartbeat, tally);
        taken
    }

    /// What the response was that has ended.
    ///
    /// # Errors
    /// It has ended too early, or is not what it must be.
    pub fn answer(&self, course: &Course, tally: &mut Tally) -> Result<Answer, String> {
        let is_whole = self.story.is_whole(&course.endings);
        match self.reader.status() {
            200 if is_whole => Ok(Answer::Stream),
            200 => {
                let missing = self.story.events - self.story.next;
                tally.counts.lost += u64::from(missing.max(1));
                Err("a response ended before its stream".to_owned())
            }
            204 if self.is_return && is_whole => Ok(Answer::NothingMore),
            410 if self.is_return && course.may_be_gone => Ok(Answer::Gone),
            status => {
                let error = serde_json::from_slice::<serde_json::Value>(self.reader.said());
                let code = error.map(|error| error["error"]["code"].to_string());
                Err(format!("status {status} {}", code.unwrap_or_default()))
            }
        }
    }
}

impl Quiet {
    /// Something came, first of all a heartbeat or anything else.
    fn end(&mut self, is_beat: bool, now: Moment, beat: Option<Heartbeat>, tally: &mut Tally) {
        let Self { since, beats } = std::mem::take(self);
        self.since = Some(now);
        if is_beat {
            tally.counts.beats += 1;
            self.beats = beats.saturating_add(1);
        }
        let (Some(since), Some(beat)) = (since, beat) else { return };
        let due = since.after(beat.wait(beats));
        let late = now.since(due);
        if is_beat {
            record(&mut tally.late, late);
            tally.counts.beats_early += u64::from(due.since(now) > EARLY);
        } else if late > MISSED {
            record(&mut tally.late, late);
            tally.counts.beats_missed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::request::tests::course;

    #[test]
    fn heartbeats_are_timed_from_the_last_bytes() {
        let seconds = |seconds: f64| Moment::default().after(Duration::from_secs_f64(seconds));
        let beat = Some(Heartbeat { every: Duration::from_secs(4), most: Duration::from_secs(9) });
        let (mut quiet, mut tally) = (Quiet::default(), Tally::default());
        for (is_beat, at) in [
            (false, 1.0),
            (true, 5.002),
            // The second in a row waits half as long again.
            (true, 11.004),
            (false, 12.0),
            (true, 15.0),
            (false, 16.0),
            (false, 21.5),
        ] {
            quiet.end(is_beat, seconds(at), beat, &mut tally);
        }
        let counts = &tally.counts;
        assert_eq!((counts.beats, counts.beats_early, counts.beats_missed), (3, 1, 1));
        assert_eq!(tally.late.len(), 4);
        let worst = tally.late.max();
        assert!((1_490_000_000..1_510_000_000).contains(&worst), "{worst}");
        assert!((1_900_000..2_100_000).contains(&tally.late.value_at_quantile(0.5)));
    }

    #[test]
    fn a_client_that_comes_back_may_be_told_that_there_is_nothing() {
        let mut course = course();
        let none = b"HTTP/1.1 204 No Content\r\n\r\n";
        let gone = b"HTTP/1.1 410 Gone\r\ncontent-length: 22\r\n\r\n{\"error\":{\"code\":\"x\"}}";
        let told = |bytes: &[u8], events, is_return, course: &Course| {
            let mut slot = Slot { is_return, is_resumable: true, ..Slot::default() };
            slot.story = Story::new(1, events);
            let mut tally = Tally::default();
            slot.take(bytes, Moment::default(), course, &mut tally)?;
            slot.answer(course, &mut tally)
        };
        assert_eq!(told(none, 0, true, &course), Ok(Answer::NothingMore));
        assert_eq!(told(none, 1, true, &course), Err("status 204 ".to_owned()));
        assert_eq!(told(none, 0, false, &course), Err("status 204 ".to_owned()));
        assert_eq!(told(gone, 1, true, &course), Err("status 410 \"x\"".to_owned()));
        course.may_be_gone = true;
        assert_eq!(told(gone, 1, true, &course), Ok(Answer::Gone));
        assert_eq!(told(gone, 1, false, &course), Err("status 410 \"x\"".to_owned()));
        let name = "a".repeat(36);
        let empty =
            format!("HTTP/1.1 200 OK\r\nx-ringway-stream: {name}\r\ncontent-length: 0\r\n\r\n");
        let early = told(empty.as_bytes(), 3, false, &course);
        assert_eq!(early, Err("a response ended before its stream".to_owned()));
    }
}
