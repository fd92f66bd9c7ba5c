//! How an answer is given: what a request may ask of the mock by `x-mock-...` fields, and the defaults.

use std::time::Duration;

use super::content::read_hex;

/// How the end of an answer is marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Chunked for streams, a length for whole answers.
    #[default]
    Usual,
    /// Chunked (each write is a chunk).
    Chunked,
    /// Content-Length; a stream is then of a known length.
    Length,
    /// The end of the connection is the end of the answer.
    Close,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// In order (FIN).
    Close,
    /// By a reset (RST).
    Reset,
}

/// What one answer does. Counts are of events in a stream, of bytes of the body in a whole answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Behaviour {
    /// Wait before the answer's first byte (`x-mock-delay-ms`).
    pub delay: Duration,
    /// Sealed events in a stream (`x-mock-events`); none: the friendly words of the demo.
    pub events: Option<u32>,
    /// Time from one event to the next (`x-mock-gap-ms`; fractions are fine).
    pub gap: Duration,
    /// Bytes of an event, or of the whole answer's body (`x-mock-bytes`); none: the friendly words.
    pub bytes: Option<usize>,
    /// Then say nothing more until the client leaves (`x-mock-stall-after`).
    pub stall_after: Option<u32>,
    /// Then close the connection (`x-mock-cut-after`).
    pub cut_after: Option<u32>,
    /// Then reset the connection (`x-mock-reset-after`).
    pub reset_after: Option<u32>,
    /// Send the first half of the next event before the cut or reset (`x-mock-cut-inside`).
    pub cuts_inside: bool,
    /// End the connection before any byte of the answer (`x-mock-hangup: close|reset`).
    pub hangup: Option<Hangup>,
    /// Another status than 200 (`x-mock-status`), with an error body.
    pub status: u16,
    /// Seconds for a Retry-After field (`x-mock-retry-after`).
    pub retry_after: Option<u32>,
    /// At most so many bytes a write, one write a tick (`x-mock-dribble`).
    pub dribble: usize,
    /// Writes of exactly so many bytes, wherever that cuts an event or a character (`x-mock-split`).
    pub split: usize,
    /// Events in one write (`x-mock-batch`).
    pub batch: u32,
    /// How the end is marked (`x-mock-framing: chunked|length|close`).
    pub framing: Framing,
    /// Number that the seals carry (`x-mock-stream`, hexadecimal); none: the mock counts.
    pub stream: Option<u64>,
    /// Close after the answer without having said so (`x-mock-close`).
    pub closes: bool,
    /// Send the head at once instead of together with the first event (`x-mock-early-head`).
    pub early_head: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            events: None,
            gap: Duration::from_millis(30),
            bytes: None,
            stall_after: None,
            cut_after: None,
            reset_after: None,
            cuts_inside: false,
            hangup: None,
            status: 200,
            retry_after: None,
            dribble: 0,
            split: 0,
            batch: 1,
            framing: Framing::Usual,
            stream: None,
            closes: false,
            early_head: false,
        }
    }
}

/// Beginning of the names that this module knows.
const PREFIX: &[u8] = b"x-mock-";
/// Largest sizes and counts that a request may ask for.
const BYTES_MAX: usize = 256 * 1024 * 1024;

impl Behaviour {
    /// Takes one field of a request into account; other fields and values that make no sense are passed over.
    pub fn apply(&mut self, name: &[u8], value: &[u8]) {
        let Some((prefix, name)) = name.split_at_checked(PREFIX.len()) else { return };
        if !prefix.eq_ignore_ascii_case(PREFIX) {
            return;
        }
        let Ok(text) = std::str::from_utf8(value) else { return };
        let text = text.trim();
        let name = name.to_ascii_lowercase();
        match name.as_slice() {
            b"delay-ms" => set(&mut self.delay, millis(text)),
            b"gap-ms" => set(&mut self.gap, millis(text)),
            b"events" => self.events = text.parse().ok(),
            b"bytes" => self.bytes = size(text),
            b"stall-after" => self.stall_after = text.parse().ok(),
            b"cut-after" => self.cut_after = text.parse().ok(),
            b"reset-after" => self.reset_after = text.parse().ok(),
            b"cut-inside" => self.cuts_inside = text != "0",
            b"hangup" => self.hangup = hangup(text),
            b"status" => {
                set(&mut self.status, text.parse().ok().filter(|s| (200..=599).contains(s)))
            }
            b"retry-after" => self.retry_after = text.parse().ok(),
            b"dribble" => set(&mut self.dribble, size(text)),
            b"split" => set(&mut self.split, size(text)),
            b"batch" => set(&mut self.batch, text.parse().ok().filter(|batch| *batch > 0)),
            b"framing" => self.framing = framing(text),
            b"stream" => self.stream = read_hex(text.as_bytes()),
            b"close" => self.closes = text != "0",
            b"early-head" => self.early_head = text != "0",
            _ => {}
        }
    }

    /// Takes the `x-mock-...` parameters of a query into account.
    pub fn apply_query(&mut self, query: &str) {
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, "1"));
            self.apply(name.as_bytes(), value.as_bytes());
        }
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// Milliseconds with an optional fraction, at most a day.
fn millis(text: &str) -> Option<Duration> {
    let millis: f64 = text.parse().ok()?;
    if !(0.0..=86_400_000.0).contains(&millis) {
        return None;
    }
    Some(Duration::from_secs_f64(millis / 1000.0))
}

fn size(text: &str) -> Option<usize> {
    text.parse().ok().filter(|size| *size <= BYTES_MAX)
}

fn hangup(text: &str) -> Option<Hangup> {
    match text {
        "close" => Some(Hangup::Close),
        "reset" => Some(Hangup::Reset),
        _ => None,
    }
}

fn framing(text: &str) -> Framing {
    match text {
        "chunked" => Framing::Chunked,
        "length" => Framing::Length,
        "close" => Framing::Close,
        _ => Framing::Usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_query_parameters_say_how_to_answer() {
        let mut behaviour = Behaviour::default();
        behaviour.apply(b"X-Mock-Delay-MS", b" 1.5 ");
        behaviour.apply(b"x-mock-events", b"12");
        behaviour.apply(b"x-mock-status", b"99");
        behaviour.apply(b"accept", b"*/*");
        behaviour.apply_query("x-mock-framing=close&x-mock-early-head&q=1&x-mock-stream=fF");
        let expected = Behaviour {
            delay: Duration::from_micros(1500),
            events: Some(12),
            framing: Framing::Close,
            early_head: true,
            stream: Some(255),
            ..Behaviour::default()
        };
        assert_eq!(behaviour, expected);
    }
}
