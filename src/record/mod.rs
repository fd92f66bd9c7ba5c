//! What happened: one record for each admitted request, and how it is counted.

pub(crate) mod closed;
pub mod counters;
pub mod fault;
pub mod histogram;
pub mod refusal;
pub mod status;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::record::closed::closed;
use crate::record::counters::LaneCell;
use crate::record::counters::LaneCounter;
use crate::record::counters::Row;
use crate::record::histogram::Histogram;
use crate::record::histogram::nanos;
use crate::record::status::StatusLabel;
use crate::units::KeyId;
use crate::units::LaneId;
use crate::units::ShardId;
use crate::units::SlotId;
use crate::units::TenantId;

pub use crate::record::fault::Fault;
pub use crate::record::fault::Retry;
pub use crate::record::fault::Whose;
pub use crate::record::refusal::Reason;

/// The name of one request, in `x-request-id`, in the access log and in error bodies.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// An id of 128 bits that the caller made: random, or a random prefix and a count.
    #[must_use]
    pub const fn new(high: u64, low: u64) -> Self {
        Self((((high as u128) << 64) | low as u128).to_be_bytes())
    }

    /// An id as somebody else wrote it: 32 hexadecimal digits, or a UUID with its hyphens. Anything else is none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let hyphens = text.iter().filter(|&&byte| byte == b'-').count();
        let is_uuid =
            text.len() == 36 && hyphens == 4 && [8, 13, 18, 23].iter().all(|&at| text[at] == b'-');
        if text.len() != 32 && !is_uuid {
            return None;
        }
        let mut bits = 0_u128;
        for &byte in text.iter().filter(|&&byte| !(is_uuid && byte == b'-')) {
            bits = bits.checked_mul(16)? | u128::from(char::from(byte).to_digit(16)?);
        }
        Some(Self(bits.to_be_bytes()))
    }

    /// 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(self) -> [u8; 32] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        text
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// What happened to one request. Copied into a queue as it is: no heap, less than 256 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Record {
    /// The request's name.
    pub id: RequestId,
    /// When its first byte was received, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// Who served it.
    pub shard: ShardId,
    /// Where its connection came from.
    pub client: Option<IpAddr>,
    /// Number of the snapshot that it was served by: what `tenant` and `key` are places in. 0: of none.
    pub snapshot: u64,
    /// Whose request it was.
    pub tenant: Option<TenantId>,
    /// The API key it was sent with.
    pub key: Option<KeyId>,
    /// Model and upstream; none if it was refused before a model was known.
    pub lane: Option<LaneId>,
    /// The endpoint that answered or failed last.
    pub slot: Option<SlotId>,
    /// `chat`, `embeddings`, ... as in `gen_ai.operation.name`; `resume` of a client that comes back for the rest of a stream;
    /// `shadow` of a copy;
    /// empty if the path was not known.
    pub operation: &'static str,
    /// The status that was sent, or that would have been.
    pub status: u16,
    /// Why it failed, if it did after it was admitted.
    pub fault: Option<Fault>,
    /// Why it was not admitted, if it was not.
    pub refusal: Option<Reason>,
    /// The response was a stream of events.
    pub is_stream: bool,
    /// The client left before the end.
    pub is_cancelled: bool,
    /// How often it was sent or tried to be sent; 0 if it was refused.
    pub attempts: u8,
    /// A second endpoint was asked as well, because the first was slow to answer.
    pub hedged: bool,
    /// The model that was asked for, where another one of its fallback chain was asked in the end: its lane. Then `lane` is
    /// that of the other.
    pub fell_back_from: Option<LaneId>,
    /// Why it got this version of its model; none: its model has one, or it was asked for without a word about that.
    pub chosen: Option<Chosen>,
    /// How often its client was cut off and came back for the rest.
    pub resumed: u16,
    /// How often another endpoint, or the same one again, was asked to go on after the first of the content had gone down.
    pub continued: u8,
    /// It went on for a while, or to its end, without its client.
    pub client_left: bool,
    /// Bytes of the request's body.
    pub bytes_up: u64,
    /// Bytes of the response's body.
    pub bytes_down: u64,
    /// Events relayed.
    pub events: u64,
    /// Tokens it has cost, where they were counted.
    pub tokens: Option<Tokens>,
    /// From receipt to the first byte of the response's body; none if there was no such byte.
    pub ttft: Option<Duration>,
    /// From receipt to the end.
    pub duration: Duration,
    /// What the gateway added, see [`Histogram::Overhead`].
    pub overhead: Duration,
    /// How long it waited for its turn, at a full limit and at full endpoints, in microseconds, an hour at most; 0 if it
    /// had not to wait.
    pub queued_us: u32,
    /// How long its connection took, if it was opened for it.
    pub upstream_connect: Option<Duration>,
}

const _: () = assert!(size_of::<Record>() < 256);

/// What a request has cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// What was read: the prompt.
    pub input: u64,
    /// What was written.
    pub output: u64,
    /// Who says so.
    pub source: TokensSource,
}

impl Tokens {
    /// Of question and answer together.
    #[must_use]
    pub const fn sum(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

closed! {
    /// Who has counted tokens.
    pub enum TokensSource {
        /// The model server: its answer said so.
        Reported => "reported",
        /// We, by the bytes that passed: its answer said nothing, or was not complete.
        Estimated => "estimated",
    }
}

closed! {
    /// Why a request got the version of its model that it got, in the words of the route.
    pub enum Chosen {
        /// It has named it.
        Exact => "exact",
        /// It is the highest in the range that the request has named.
        Range => "range",
        /// The request has named a label of it.
        Label => "label",
        /// It was drawn.
        Split => "split",
        /// A field of the request leads to it.
        Match => "match",
        /// What the request has in common with others leads all of them to it.
        Sticky => "sticky",
    }
}

closed! {
    /// What came of copying a request to another version.
    pub enum ShadowResult {
        /// It was answered, to the end.
        Answered => "answered",
        /// It was answered with an error.
        Refused => "refused",
        /// It was not answered, or not to the end.
        Failed => "failed",
        /// It was not sent: as many were under way as may be, too much memory was held, or the version has no words for it.
        Skipped => "skipped",
        /// The gateway was about to stop.
        Cancelled => "cancelled",
    }
}

/// Counts `record` in the row of its lane: eight stores, and one or two more for each thing that not every request has.
pub fn apply(record: &Record, row: &impl Row) {
    row.add(StatusLabel::of(record.status).into(), 1);
    row.add(LaneCounter::BytesUp.into(), record.bytes_up);
    row.add(LaneCounter::BytesDown.into(), record.bytes_down);
    note(Histogram::Duration, record.duration, row);
    note(Histogram::Overhead, record.overhead, row);
    if record.events > 0 {
        row.add(LaneCounter::Events.into(), record.events);
    }
    if record.is_cancelled {
        row.add(LaneCounter::Cancelled.into(), 1);
    }
    if record.attempts > 1 {
        row.add(LaneCounter::Repeated.into(), u64::from(record.attempts - 1));
    }
    if let Some(time) = record.ttft {
        note(Histogram::TimeToFirstToken, time, row);
    }
    if let Some(time) = record.upstream_connect {
        note(Histogram::Connect, time, row);
    }
    if record.queued_us > 0 {
        note(Histogram::Queue, Duration::from_micros(record.queued_us.into()), row);
    }
    if let Some(why) = record.chosen {
        row.add(why.into(), 1);
    }
    if let Some(fault) = record.fault {
        row.add(fault.into(), 1);
    }
    if let Some(tokens) = record.tokens {
        count(Histogram::InputTokens, tokens.input, row);
        count(Histogram::OutputTokens, tokens.output, row);
        row.add(LaneCounter::Estimated.into(), u64::from(tokens.source == TokensSource::Estimated));
    }
}

/// Counts one time in a histogram.
fn note(histogram: Histogram, time: Duration, row: &impl Row) {
    count(histogram, nanos(time), row);
}

/// Counts one value in a histogram.
fn count(histogram: Histogram, value: u64, row: &impl Row) {
    row.add(LaneCell::bucket(histogram, histogram.bucket(value)), 1);
    row.add(LaneCell::sum(histogram), value);
}

#[cfg(test)]
mod tests;
