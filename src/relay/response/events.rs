//! Content on its way down: whole events at a time, each of them counted, and looked at by whoever wants to.

use super::EVENT_BYTES_HELD_MAX;
use super::Response;
use super::Unfit;
use crate::llm::dialect;
use crate::llm::dialect::ErrorText;
use crate::llm::stream::translate::Translator;
use crate::llm::stream::translate::Untranslatable;
use crate::wire::buffer::Buffers;
use crate::wire::sse::Scan;

impl Response {
    /// Content goes down, translated where the endpoint speaks otherwise than the client.
    pub(super) fn pass(
        &mut self,
        content: &[u8],
        buffers: &Buffers,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        if self.rare.as_ref().is_none_or(|rare| rare.translator.is_none()) {
            self.pass_content(content, buffers, out);
            return Ok(());
        }
        self.pass_translated(buffers, out, |translator, room| translator.feed(content, room))
    }

    /// The endpoint has said everything: what its translation has still to say goes down.
    pub(super) fn pass_rest(&mut self, buffers: &Buffers, out: &mut Vec<u8>) -> Result<(), Unfit> {
        if self.rare.as_ref().is_none_or(|rare| rare.translator.is_none()) {
            return Ok(());
        }
        let start = self.open_chunk(out);
        let passed = self.pass_translated(buffers, out, Translator::finish);
        self.close_chunk(start, out);
        passed
    }

    fn pass_translated(
        &mut self,
        buffers: &Buffers,
        out: &mut Vec<u8>,
        work: impl FnOnce(&mut Translator, &mut Vec<u8>) -> Result<(), Untranslatable>,
    ) -> Result<(), Unfit> {
        let rare = self.rare();
        let mut room = std::mem::take(&mut rare.room);
        room.clear();
        let translated =
            rare.translator.as_mut().map_or(Ok(()), |it| work(&mut it.translator, &mut room));
        self.pass_content(&room, buffers, out);
        self.rare().room = room;
        translated.map_err(|why| {
            if let Untranslatable::Said(message) = why {
                self.say_last(&message);
            }
            Unfit::Untranslatable
        })
    }

    /// The stream is to end with an error that the endpoint has told.
    fn say_last(&mut self, message: &str) {
        let error = ErrorText {
            status: 502,
            message,
            kind: None,
            param: None,
            code: Some("upstream_error"),
        };
        let id = self.asked.request_id.hex();
        let id = std::str::from_utf8(&id).unwrap_or_default();
        let mut words = Vec::new();
        dialect::error_event(self.asked.dialect, &error, id, &mut words);
        self.rare().last_words = Some(words);
    }

    /// Content goes down, whole events at a time.
    fn pass_content(&mut self, content: &[u8], buffers: &Buffers, out: &mut Vec<u8>) {
        let Some(scanner) = &mut self.scanner else {
            if let Some(meter) = &mut self.meter {
                meter.feed_json(content);
            }
            self.content_bytes += content.len() as u64;
            out.extend_from_slice(content);
            return;
        };
        let is_looked_at = self.rare.as_ref().is_some_and(|rare| rare.wants_events());
        if self.asked.drops_usage_event || is_looked_at {
            return self.pass_each(content, buffers, out);
        }
        let scan = scanner.feed(content);
        self.note(&scan);
        let (whole, begun) =
            content.split_at_checked(scan.boundary.unwrap_or(0)).unwrap_or((content, &[]));
        match &mut self.meter {
            Some(meter) => meter.feed_events(content),
            None if !self.is_split && may_say_usage(self.held.filled(), whole) => {
                let meter = self.meter.insert(Box::default());
                meter.feed_events(self.held.filled());
                meter.feed_events(content);
            }
            None => {}
        }
        self.pass_parts(whole, begun, buffers, out);
    }

    /// Events go down one by one.
    fn pass_each(&mut self, content: &[u8], buffers: &Buffers, out: &mut Vec<u8>) {
        let mut rest = content;
        while let Some(scanner) = &mut self.scanner
            && !rest.is_empty()
        {
            let (length, scan) = scanner.feed_event(rest);
            let (event, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            rest = after;
            let has_seam = self.rare.as_ref().is_some_and(|rare| rare.seam.is_some());
            if let Some(meter) = self.meter.as_mut().filter(|_| !has_seam) {
                meter.feed_events(event);
            }
            // One too large to be held goes down, whether it came in parts or at once.
            let is_held = !self.is_split && self.held.len() + event.len() <= EVENT_BYTES_HELD_MAX;
            if scan.boundary.is_none() {
                self.pass_parts(&[], event, buffers, out);
            } else if !is_held {
                self.note(&scan);
                self.pass_large_end(event, &scan, buffers, out);
            } else if self.held.is_empty() {
                self.pass_event(event, &scan, out);
            } else {
                buffers.append(&mut self.held, event);
                let mut whole = std::mem::take(&mut self.held);
                self.pass_event(whole.filled(), &scan, out);
                buffers.release(&mut whole);
            }
        }
    }

    /// A whole event goes down, but for that of the usage where it is not wanted, and what a seam keeps.
    fn pass_event(&mut self, event: &[u8], scan: &Scan, out: &mut Vec<u8>) {
        let before = out.len();
        let Self { asked, meter, rare, .. } = self;
        if meter.is_none() && may_say_usage(&[], event) {
            meter.insert(Box::default()).feed_events(event);
        }
        let mut is_seen = true;
        if let Some(rare) = rare.as_deref_mut() {
            let mut room = std::mem::take(&mut rare.room);
            let mut event = event;
            if let Some(seam) = &mut rare.seam {
                room.clear();
                seam.pass(event, &mut room);
                event = &room;
                if let Some(meter) = meter {
                    meter.feed_events(event);
                }
            }
            let is_usage = meter.as_ref().is_some_and(|meter| meter.is_usage_event());
            let is_kept_here = is_usage && asked.drops_usage_event;
            is_seen = !event.is_empty() && !is_kept_here;
            if is_seen {
                rare.see(event, scan, out);
            }
            rare.room = room;
        } else if asked.drops_usage_event
            && meter.as_ref().is_some_and(|meter| meter.is_usage_event())
        {
            is_seen = false;
        } else {
            out.extend_from_slice(event);
        }
        if is_seen {
            self.is_split = false;
            self.note(scan);
            self.content_bytes += (out.len() - before) as u64;
        }
    }

    fn note(&mut self, scan: &Scan) {
        self.events += u64::from(scan.events);
        self.has_said_done |= scan.is_done;
    }

    /// The end of an event goes down that was too large to be held; it is numbered, and nobody else looks at it.
    fn pass_large_end(&mut self, event: &[u8], scan: &Scan, buffers: &Buffers, out: &mut Vec<u8>) {
        if self.numbers().is_none() {
            return self.pass_parts(event, &[], buffers, out);
        }
        let before = out.len();
        let mut held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            out.extend_from_slice(held.filled());
            self.log(held.filled());
        }
        buffers.release(&mut held);
        if let Some(numbers) = self.numbers_mut() {
            numbers.write(event, scan.events > 0, out);
        }
        self.is_split = false;
        self.content_bytes += (out.len() - before) as u64;
    }

    /// The whole events go down, with what was held of the first of them; what of another one has begun is held.
    fn pass_parts(&mut self, whole: &[u8], begun: &[u8], buffers: &Buffers, out: &mut Vec<u8>) {
        let before = out.len();
        if !whole.is_empty() {
            self.is_split = false;
            out.extend_from_slice(self.held.filled());
            buffers.release(&mut self.held);
            out.extend_from_slice(whole);
        }
        if !begun.is_empty() {
            if self.held.len() + begun.len() > EVENT_BYTES_HELD_MAX {
                out.extend_from_slice(self.held.filled());
                buffers.release(&mut self.held);
                out.extend_from_slice(begun);
                self.is_split = true;
                self.log(out.get(before..).unwrap_or_default());
                self.note_too_large();
            } else {
                buffers.append(&mut self.held, begun);
            }
        }
        self.content_bytes += (out.len() - before) as u64;
    }

    /// An event went down that nobody has seen whole: nobody can go on from there.
    fn note_too_large(&mut self) {
        if let Some(rare) = self.rare.as_deref_mut() {
            rare.transcript = None;
            rare.origin = None;
        }
    }
}

/// What says the usage of a stream says this word: whatever does not is not worth a meter.
const USAGE: &[u8] = b"usage";

/// Whether some of these events, of which `held` came before, may say the usage.
fn may_say_usage(held: &[u8], whole: &[u8]) -> bool {
    if whole.is_empty() {
        return false;
    }
    let has = |bytes: &[u8]| memchr::memmem::find(bytes, USAGE).is_some();
    if has(whole) {
        return true;
    }
    if held.is_empty() {
        return false;
    }
    // It may be cut in two.
    let before = held.get(held.len().saturating_sub(USAGE.len() - 1)..).unwrap_or_default();
    let after = whole.get(..USAGE.len() - 1).unwrap_or(whole);
    let mut seam = [0; 2 * (USAGE.len() - 1)];
    let length = before.len() + after.len();
    for (to, from) in seam.iter_mut().zip(before.iter().chain(after)) {
        *to = *from;
    }
    has(held) || has(seam.get(..length).unwrap_or_default())
}
