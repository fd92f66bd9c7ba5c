//! Streams of events as a browser reads them (WHATWG HTML, section 9.2.6): what it dispatches, and where it would come back.
//!
//! Cases stand in files like those of `wire.rs`, as `== stream: title`. For each event that is dispatched there is a line with its
//! type, its data, the last id, and what it says as a piece of a model's stream; then what is left, and what the next request
//! would be made with.

use std::fmt::Write;

use ringway::llm::stream::Event;
use ringway::llm::stream::Format;
use ringway::llm::stream::Reader;
use ringway::wire::sse::Scanner;
use ringway::wire::sse::field;
use ringway::wire::sse::origin::Origin;
use ringway::wire::sse::origin::with_id;

/// What a stream comes to when it comes in pieces.
pub(crate) fn find(bytes: &[u8], length: impl FnMut(usize) -> usize) -> Vec<String> {
    let browser = Browser::read(bytes, length);
    let numbered = Browser::read(&browser.numbered, |_| usize::MAX);
    let data = |browser: &Browser| -> Vec<String> {
        browser.dispatched.iter().map(|(data, _)| data.clone()).collect()
    };
    assert_eq!(data(&numbered), data(&browser), "ids change nothing else");
    let mut ids = (0..browser.events).map(|number| format!("s.{number}"));
    for (_, id) in &numbered.dispatched {
        assert!(ids.any(|other| other == *id), "ids are in order, and each is there once");
    }
    browser.lines
}

#[derive(Default)]
struct Browser {
    lines: Vec<String>,
    origin: Origin,
    /// Data and last id of what was dispatched.
    dispatched: Vec<(String, String)>,
    /// The last id, as long as it can be sent back.
    last_id: Vec<u8>,
    /// Whole events, and other runs of lines.
    events: usize,
    /// The stream with ids in it.
    numbered: Vec<u8>,
}

impl Browser {
    fn read(bytes: &[u8], mut length: impl FnMut(usize) -> usize) -> Self {
        let mut browser = Self::default();
        let mut scanner = Scanner::default();
        let mut reader = Reader::new(Format::OpenAi);
        let (mut held, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let (mut piece, after) = rest.split_at(length(rest.len()).clamp(1, rest.len()));
            rest = after;
            while !piece.is_empty() {
                let (length, scan) = scanner.feed_event(piece);
                let (part, after) = piece.split_at(length);
                piece = after;
                held.extend_from_slice(part);
                if scan.boundary.is_some() {
                    browser.take(&held, scan.events == 1, &mut reader);
                    held.clear();
                }
            }
        }
        browser.numbered.extend_from_slice(&held);
        browser.finish(&held);
        browser
    }

    fn take(&mut self, event: &[u8], is_dispatched: bool, reader: &mut Reader) {
        self.origin.feed_event(event);
        let id = format!("s.{}", self.events);
        with_id(event, id.as_bytes(), &mut self.numbered);
        let unmarked = event.strip_prefix(field::MARK).filter(|_| self.events == 0);
        let event_text = unmarked.unwrap_or(event);
        self.events += 1;
        let mut said = String::new();
        reader.read(event, &mut |event| {
            if event != Event::Other {
                write!(said, " {event:?}").expect("a string takes all");
            }
        });
        let data = field::data(event_text);
        assert_eq!(data.is_some(), is_dispatched);
        let Some(data) = data else { return };
        let data = String::from_utf8_lossy(&data).into_owned();
        self.last_id = self.origin.last_id().unwrap_or_default().to_vec();
        let id = String::from_utf8_lossy(&self.last_id).into_owned();
        let says = if said.is_empty() { said } else { format!(", says{said}") };
        self.lines.push(format!("{} {data:?}, id {id:?}{says}", kind(event_text)));
        self.dispatched.push((data, id));
    }

    fn finish(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            // A wait counts once its line has ended; nothing else does.
            self.origin.feed_event(rest);
            self.lines.push(format!("not dispatched: {:?}", String::from_utf8_lossy(rest)));
        }
        let id = self.origin.last_id().map(String::from_utf8_lossy);
        let id = id.map_or("nothing".to_owned(), |id| format!("{id:?}"));
        let wait = self.origin.retry().map(|wait| format!(" after {} ms", wait.0));
        self.lines.push(format!("comes back with {id}{}", wait.unwrap_or_default()));
    }
}

/// The type of an event: its last `event` field, unless that is empty.
fn kind(event: &[u8]) -> String {
    let text = String::from_utf8_lossy(event).replace("\r\n", "\n").replace('\r', "\n");
    let value = |line: &str| {
        let value = line.strip_prefix("event")?;
        let value = value.strip_prefix(':').or_else(|| value.is_empty().then_some(""))?;
        Some(value.strip_prefix(' ').unwrap_or(value).to_owned())
    };
    let kind = text.split('\n').filter_map(value).next_back();
    kind.filter(|kind| !kind.is_empty()).unwrap_or("message".to_owned())
}
