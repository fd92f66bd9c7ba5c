//! How clients that leave and come back behave, and what they are to get.

use std::time::Duration;

use ringway::units::Moment;

use crate::plan::Request;

/// The behaviour of all clients of a run; each thread has its share of them.
#[derive(Clone, Debug)]
pub struct Course {
    /// What is asked.
    pub request: Request,
    /// What the mock is told, by what follows `x-mock-`.
    pub mock: Vec<(String, String)>,
    /// Sealed events of a stream.
    pub events: u32,
    /// Bytes of each, about.
    pub event_bytes: usize,
    /// What the mock says behind the sealed events, event by event.
    pub endings: Vec<Vec<u8>>,
    /// Sizes of the pieces in which the mock writes, one of them for each stream; 0: event by event.
    pub splits: Vec<u32>,
    /// Streams at the same time.
    pub connections: usize,
    /// Addresses 127.0.0.1, .2, ... that connections come from.
    pub sources: usize,
    /// Time over which the first streams start.
    pub ramp: Duration,
    /// Share of the streams that ask to be resumable.
    pub resumable: f64,
    /// When clients leave.
    pub leave: Leave,
    /// Share of those that leave by a reset, not in order.
    pub resets: f64,
    /// How long they stay away, at least and at most.
    pub away: (Duration, Duration),
    /// How long the gateway may take to close a connection that was left open, once another one reads on.
    pub closes_within: Duration,
    /// Whether the gateway may have forgotten what was missed.
    pub may_be_gone: bool,
    /// When a quiet stream is given a heartbeat, if it is.
    pub heartbeat: Option<Heartbeat>,
    /// No stream begins when clients have come back so often, over all threads.
    pub resumes_max: u64,
    /// No stream begins from here on.
    pub until: Moment,
    /// How long streams may go on then.
    pub patience: Duration,
    /// The seed of all dice.
    pub seed: u64,
}

/// When clients leave.
#[derive(Clone, Copy, Debug)]
pub enum Leave {
    /// When so many bytes of a response have come, any number up to about its length, and then they come back.
    AtByte {
        /// Share of the responses that are cut, of those to a client that has come back.
        again: f64,
        /// A stream is cut so often at most.
        cuts_max: u32,
        /// Share of those that leave without a word: the connection stays open.
        stays: f64,
    },
    /// At any moment, as likely as at any other.
    AtTime {
        /// How long they stay in the mean.
        mean: Duration,
        /// Share of those that come back, of the streams that can be resumed.
        returns: f64,
    },
}

/// When a quiet stream is given a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// After so long without a byte.
    pub every: Duration,
    /// Each beat in a row waits half as long again, and at most so long.
    pub most: Duration,
}

impl Heartbeat {
    /// How long after the last bytes a heartbeat is due, of which so many came in a row before.
    #[must_use]
    pub fn wait(&self, beats: u8) -> Duration {
        let wait = self.every.mul_f64(1.5f64.powi(i32::from(beats.min(32))));
        wait.min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_are_due_later_and_later_and_not_too_late() {
        let beat = Heartbeat { every: Duration::from_secs(4), most: Duration::from_secs(12) };
        assert_eq!([0, 1, 2, 3, 255].map(|beats| beat.wait(beats).as_secs()), [4, 6, 9, 12, 12]);
    }
}
