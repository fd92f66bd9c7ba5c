//! Whether what arrives is what was sent: events in order, each once, every byte as it was.

use std::ops::Range;

use memchr::memchr;
use memchr::memrchr;
use ringway::mock::content;
use ringway::mock::content::Broken;
use ringway::units::Moment;

use crate::measure::tally::Tally;
use crate::measure::tally::record;

/// What one answer must be, and how far it has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// Its number.
    pub stream: u64,
    /// The status it has.
    pub status: u16,
    /// Sealed events to come, none for a whole body.
    pub events: u32,
    /// Sealed events that came.
    pub next: u32,
    /// Whether the end mark of the API came.
    pub is_done: bool,
    /// When the last event came.
    pub last: Moment,
    /// Whether its times count.
    pub is_timed: bool,
}

/// Takes whole events from the front of `bytes`; returns how many bytes they were.
pub fn take_events(
    bytes: &[u8],
    now: Moment,
    expected: &mut Expected,
    is_measured: bool,
    tally: &mut Tally,
) -> usize {
    whole_events(bytes, |event| take_event(event, now, expected, is_measured, tally))
}

/// Hands out the whole events at the front of `bytes`, each with its blank line; returns how many bytes they were.
pub fn whole_events(bytes: &[u8], mut each: impl FnMut(&[u8])) -> usize {
    let mut start = 0;
    let mut from = 0;
    while let Some(found) = memchr(b'\n', &bytes[from..]) {
        let feed = from + found;
        match bytes.get(feed + 1) {
            None => break,
            Some(b'\n') => {
                each(&bytes[start..feed + 2]);
                start = feed + 2;
                from = start;
            }
            Some(_) => from = feed + 1,
        }
    }
    start
}

/// Where the line with an event's id is, its line end included: the last one before the blank line.
#[must_use]
pub fn id_line(event: &[u8]) -> Option<Range<usize>> {
    let end = event.len().checked_sub(1)?;
    let start = memrchr(b'\n', event.get(..end.checked_sub(1)?)?).map_or(0, |feed| feed + 1);
    event.get(start..end)?.starts_with(b"id: ").then_some(start..end)
}

fn take_event(
    event: &[u8],
    now: Moment,
    expected: &mut Expected,
    is_measured: bool,
    tally: &mut Tally,
) {
    if event.starts_with(b":") {
        return; // a heartbeat
    }
    if is_measured {
        tally.counts.events += 1;
    }
    // What a gateway numbers is as it was but for the line that says the number.
    let mut bare = Vec::new();
    let event = match id_line(event) {
        None => event,
        Some(id) => {
            bare.reserve_exact(event.len());
            bare.extend_from_slice(&event[..id.start]);
            bare.extend_from_slice(&event[id.end..]);
            &bare
        }
    };
    match content::check(event) {
        Ok(seal) => {
            tally.counts.events_verified += 1;
            if seal.stream != expected.stream {
                tally.counts.foreign += 1;
                return;
            }
            if seal.number < expected.next {
                tally.counts.repeated += 1;
                return;
            }
            tally.counts.lost += u64::from(seal.number - expected.next);
            if is_measured && expected.is_timed {
                record(&mut tally.relay, now.since(Moment::from_nanos(seal.nanos)));
                if expected.next > 0 {
                    record(&mut tally.gap, now.since(expected.last));
                }
            }
            expected.next = seal.number.saturating_add(1);
            expected.last = now;
        }
        Err(Broken::Unsealed) => take_unsealed(event, expected, tally),
        Err(Broken::Torn | Broken::Changed) => tally.counts.corrupt += 1,
    }
}

fn take_unsealed(event: &[u8], expected: &mut Expected, tally: &mut Tally) {
    let is_end = event == b"data: [DONE]\n\n"
        || event.starts_with(b"event: message_stop\n")
        || event.starts_with(b"event: response.completed\n");
    if is_end {
        if expected.is_done {
            tally.counts.repeated += 1;
        }
        expected.is_done = true;
        return;
    }
    let is_error = event.starts_with(b"event: error") || event.starts_with(b"data: {\"error\"");
    if is_error {
        tally.fail("error event");
    }
}

/// Verifies the body of a whole answer. A refusal has the gateway's own body.
pub fn take_body(body: &[u8], expected: &Expected, tally: &mut Tally) -> bool {
    if expected.status != 200 {
        return true;
    }
    match content::check(body) {
        Ok(seal) if seal.stream == expected.stream => true,
        Ok(_) => {
            tally.counts.foreign += 1;
            false
        }
        Err(_) => {
            tally.counts.corrupt += 1;
            false
        }
    }
}

/// Verifies that a stream that ended was whole.
pub fn take_end(expected: &Expected, tally: &mut Tally) -> bool {
    if !expected.is_done {
        tally.fail("stream without its end mark");
    }
    tally.counts.lost += u64::from(expected.events.saturating_sub(expected.next));
    expected.is_done && expected.next == expected.events
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway::mock::content::Seal;
    use ringway::mock::content::Template;

    fn events(numbers: &[u32]) -> Vec<u8> {
        let template = Template::new("data: {\"content\":\"", "\"}\n\n", 200);
        let mut bytes = Vec::new();
        for number in numbers {
            template.write(Seal { stream: 9, number: *number, nanos: 5 }, &mut bytes);
        }
        bytes.extend_from_slice(b"data: [DONE]\n\n");
        bytes
    }

    fn run(bytes: &[u8], piece: usize) -> (Expected, Tally) {
        let mut expected = Expected { stream: 9, status: 200, events: 3, ..Expected::default() };
        let mut tally = Tally::default();
        let mut rest = Vec::new();
        for piece in bytes.chunks(piece) {
            rest.extend_from_slice(piece);
            let taken = take_events(&rest, Moment::from_nanos(7), &mut expected, true, &mut tally);
            rest.drain(..taken);
        }
        assert!(rest.is_empty());
        take_end(&expected, &mut tally);
        (expected, tally)
    }

    #[test]
    fn a_whole_stream_is_clean_however_it_is_cut() {
        for piece in [1, 7, 200, 10_000] {
            let (expected, tally) = run(&events(&[0, 1, 2]), piece);
            assert!(tally.is_clean() && expected.is_done, "{:?}", tally.counts);
            assert_eq!((tally.counts.events, tally.counts.events_verified), (4, 3));
        }
    }

    #[test]
    fn numbered_events_are_the_same_events() {
        let text = String::from_utf8(events(&[0, 1, 2])).unwrap();
        let mut number = 0;
        let numbered: String = text
            .split_inclusive("\n\n")
            .map(|event| {
                number += 1;
                event.replace("\n\n", &format!("\nid: abc.{number}\n\n"))
            })
            .collect();
        let (expected, tally) = run(numbered.as_bytes(), 50);
        assert!(tally.is_clean() && expected.is_done, "{:?}", tally.counts);
        for (event, line) in [
            ("data: 1\nid: 7\n\n", Some(8..14)),
            ("id: 7\n\n", Some(0..6)),
            ("id: 7\ndata: 1\n\n", None),
            ("data: id: 7\n\n", None),
            ("\n", None),
            ("", None),
        ] {
            assert_eq!(id_line(event.as_bytes()), line, "{event:?}");
        }
    }

    #[test]
    fn losses_repeats_and_changes_are_found() {
        assert_eq!(run(&events(&[0, 2]), 50).1.counts.lost, 1);
        assert_eq!(run(&events(&[0, 1]), 50).1.counts.lost, 1);
        assert_eq!(run(&events(&[0, 1, 1, 2]), 50).1.counts.repeated, 1);
        let mut bytes = events(&[0, 1, 2]);
        bytes[100] ^= 1;
        assert_eq!(run(&bytes, 50).1.counts.corrupt, 1);
        let whole = events(&[0, 1, 2]);
        assert_eq!(run(&whole[..600], 50).1.errors.len(), 1);
    }
}
