//! How an answer leaves: event by event at its times, framed as asked, cut where asked.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::ring::clock;
use crate::ring::task;
use crate::units::Moment;
use crate::wire::http1::encode;

use super::answer;
use super::answer::Usage;
use super::ask::Ask;
use super::behaviour::Behaviour;
use super::behaviour::Framing;
use super::connection::Connection;
use super::connection::End;
use super::content::Seal;
use super::content::Template;

/// Bytes of an event where nobody says: what a chat chunk of a real model has.
const EVENT_BYTES: usize = 240;
/// Events written without a gap before other streams get their turn.
const EVENTS_A_TURN: u32 = 16;

/// What a stream says.
enum Words {
    Sealed { template: Rc<Template>, stream: u64 },
    Friendly { before: String, after: String, words: VecDeque<String> },
}

/// A stream under way.
struct Streaming<'a> {
    ask: &'a Ask,
    words: Words,
    count: u32,
    /// Events written, in the end all of them.
    number: u32,
    /// Content that waits for a full piece (`split`).
    carry: Vec<u8>,
}

/// Streams an answer.
pub(super) async fn answer(
    connection: &mut Connection,
    ask: &Ask,
    is_keep_alive: bool,
) -> Result<(), End> {
    let mut streaming = Streaming::new(connection, ask);
    let behaviour = &ask.behaviour;
    let mut due = clock::now().after(behaviour.delay);
    let mut head = streaming.head(is_keep_alive);
    if behaviour.early_head {
        connection.send(head.as_bytes(), behaviour).await?;
        head.clear();
    }
    loop {
        connection.wait_until(due).await?;
        if let Some(end) = streaming.early_end(connection, &head).await? {
            return Err(end);
        }
        streaming.write_events(connection, &mut head).await?;
        if streaming.number == streaming.count {
            return Ok(());
        }
        if behaviour.gap.is_zero() && streaming.number.is_multiple_of(EVENTS_A_TURN) {
            task::yield_now().await;
        }
        due = due.after(behaviour.gap.saturating_mul(behaviour.batch));
    }
}

impl<'a> Streaming<'a> {
    fn new(connection: &Connection, ask: &'a Ask) -> Self {
        let behaviour = &ask.behaviour;
        let world = &connection.world;
        let (words, count) = if behaviour.events.is_some() || behaviour.bytes.is_some() {
            let bytes = behaviour.bytes.unwrap_or(EVENT_BYTES);
            let template = world.template(ask.shape, true, &ask.model, bytes);
            let stream = behaviour.stream.unwrap_or_else(|| world.next_stream());
            (Words::Sealed { template, stream }, behaviour.events.unwrap_or(16).max(1))
        } else {
            let (before, after) = answer::event(ask.shape, &ask.model);
            let words: VecDeque<String> = answer::friendly(&ask.prompt).into();
            let count = u32::try_from(words.len()).unwrap_or(u32::MAX);
            (Words::Friendly { before, after, words }, count)
        };
        Self { ask, words, count, number: 0, carry: Vec::new() }
    }

    /// The head of the response.
    fn head(&self, is_keep_alive: bool) -> String {
        let framing = match self.ask.behaviour.framing {
            Framing::Usual | Framing::Chunked => "transfer-encoding: chunked\r\n".to_owned(),
            Framing::Length => format!("content-length: {}\r\n", self.length()),
            Framing::Close => String::new(),
        };
        let close = close_field(self.ask.behaviour.framing, is_keep_alive);
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n\
             {close}{framing}\r\n"
        )
    }

    /// Bytes of the whole content.
    fn length(&self) -> usize {
        let mut text = String::new();
        self.open(&mut text);
        self.close(&mut text);
        let words = match &self.words {
            Words::Sealed { template, .. } => template.len() * self.count as usize,
            Words::Friendly { before, after, words } => words
                .iter()
                .map(|word| before.len() + answer::escaped(word).len() + after.len())
                .sum(),
        };
        text.len() + words
    }

    fn open(&self, out: &mut String) {
        // Nobody looks at the role chunk of a measured stream; the other APIs need theirs to be well-formed.
        let is_measured_chat =
            matches!(self.words, Words::Sealed { .. }) && self.ask.shape == super::ask::Shape::Chat;
        if !is_measured_chat {
            answer::opening(self.ask.shape, &self.ask.model, out);
        }
    }

    fn close(&self, out: &mut String) {
        let usage = Usage { input: self.ask.prompt.len() / 4 + 1, output: self.count as usize };
        answer::closing(self.ask.shape, &self.ask.model, usage, self.ask.include_usage, out);
    }

    /// Writes the events that are due now, with the head before the first and the end mark behind the last.
    async fn write_events(
        &mut self,
        connection: &mut Connection,
        head: &mut String,
    ) -> Result<(), End> {
        let behaviour = &self.ask.behaviour;
        let mut content = std::mem::take(&mut self.carry);
        if content.is_empty() {
            content = connection.world.take_buffer();
        }
        if self.number == 0 {
            let mut opening = String::new();
            self.open(&mut opening);
            content.extend_from_slice(opening.as_bytes());
        }
        let batch = behaviour.batch.min(self.limit() - self.number);
        for _ in 0..batch {
            self.write_event(&mut content);
        }
        connection.world.stats.events.add(u64::from(batch));
        let is_last = self.number == self.count;
        if is_last {
            let mut closing = String::new();
            self.close(&mut closing);
            content.extend_from_slice(closing.as_bytes());
        }
        let head = std::mem::take(head);
        let mut out = Vec::new();
        if behaviour.split == 0 {
            // One write of head, chunk and end mark.
            out = Vec::with_capacity(head.len() + content.len() + 32);
            out.extend_from_slice(head.as_bytes());
            frame(behaviour, &content, is_last, &mut out);
            connection.world.give_buffer(content);
            return connection.send(&out, behaviour).await;
        }
        out.extend_from_slice(head.as_bytes());
        if !out.is_empty() {
            connection.send(&out, behaviour).await?;
        }
        self.send_split(connection, content, is_last).await
    }

    /// Sends content in pieces of one size; what is left waits for the next events.
    async fn send_split(
        &mut self,
        connection: &mut Connection,
        content: Vec<u8>,
        is_last: bool,
    ) -> Result<(), End> {
        let behaviour = &self.ask.behaviour;
        let mut rest = content.as_slice();
        while let Some((piece, behind)) = rest.split_at_checked(behaviour.split) {
            rest = behind;
            let mut out = Vec::with_capacity(piece.len() + 16);
            frame(behaviour, piece, false, &mut out);
            connection.send(&out, behaviour).await?;
            // The reader gets its chance to see this piece alone.
            task::yield_now().await;
        }
        if is_last {
            let mut out = Vec::new();
            frame(behaviour, rest, true, &mut out);
            return connection.send(&out, behaviour).await;
        }
        self.carry = rest.to_vec();
        Ok(())
    }

    fn write_event(&mut self, out: &mut Vec<u8>) {
        match &mut self.words {
            Words::Sealed { template, stream } => {
                let nanos = clock::now().as_nanos();
                template.write(Seal { stream: *stream, number: self.number, nanos }, out);
            }
            Words::Friendly { before, after, words } => {
                let word = words.pop_front().unwrap_or_default();
                out.extend_from_slice(before.as_bytes());
                out.extend_from_slice(answer::escaped(&word).as_bytes());
                out.extend_from_slice(after.as_bytes());
            }
        }
        self.number += 1;
    }

    /// The number of events before the stream does something else than going on.
    fn limit(&self) -> u32 {
        let behaviour = &self.ask.behaviour;
        [behaviour.stall_after, behaviour.cut_after, behaviour.reset_after]
            .into_iter()
            .flatten()
            .filter(|limit| *limit > self.number)
            .fold(self.count, u32::min)
    }

    /// Ends the stream early where that was asked for.
    async fn early_end(
        &mut self,
        connection: &mut Connection,
        head: &str,
    ) -> Result<Option<End>, End> {
        let behaviour = &self.ask.behaviour;
        let is_at = |limit: Option<u32>| limit == Some(self.number);
        let (is_stall, is_cut) = (is_at(behaviour.stall_after), is_at(behaviour.cut_after));
        if !is_stall && !is_cut && !is_at(behaviour.reset_after) {
            return Ok(None);
        }
        let mut content = std::mem::take(&mut self.carry);
        if behaviour.cuts_inside {
            let whole = content.len();
            self.write_event(&mut content);
            content.truncate(whole + (content.len() - whole) / 2);
        }
        let mut out = head.as_bytes().to_vec();
        if !content.is_empty() {
            frame(behaviour, &content, false, &mut out);
        }
        connection.send(&out, behaviour).await?;
        if is_stall {
            return Ok(Some(connection.wait_for_end().await));
        }
        Ok(Some(if is_cut { End::Close } else { End::Reset }))
    }
}

/// Frames one write of content.
fn frame(behaviour: &Behaviour, content: &[u8], is_last: bool, out: &mut Vec<u8>) {
    let is_chunked = matches!(behaviour.framing, Framing::Usual | Framing::Chunked);
    if !is_chunked {
        out.extend_from_slice(content);
        return;
    }
    if !content.is_empty() {
        encode::chunk(out, content);
    }
    if is_last {
        out.extend_from_slice(encode::LAST_CHUNK);
    }
}

/// Whether a whole answer may leave in one write, with a length.
pub(super) fn is_plain(behaviour: &Behaviour) -> bool {
    matches!(behaviour.framing, Framing::Usual | Framing::Length)
        && behaviour.split == 0
        && behaviour.stall_after.is_none()
        && behaviour.cut_after.is_none()
        && behaviour.reset_after.is_none()
}

/// Writes the head of a whole answer.
pub(super) fn whole_head(
    behaviour: &Behaviour,
    is_keep_alive: bool,
    length: usize,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n");
    out.extend_from_slice(close_field(behaviour.framing, is_keep_alive).as_bytes());
    match behaviour.framing {
        Framing::Usual | Framing::Length => {
            encode::number_field(out, "content-length", length as u64);
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Close => {}
    }
    encode::end_of_head(out);
}

fn close_field(framing: Framing, is_keep_alive: bool) -> &'static str {
    if is_keep_alive && framing != Framing::Close { "" } else { "connection: close\r\n" }
}

/// The friendly answer as one body; an echo of the request for `invoke`.
pub(super) fn friendly_whole(ask: &Ask, request: &[u8], out: &mut Vec<u8>) {
    if ask.shape == super::ask::Shape::Invoke {
        out.extend_from_slice(
            format!("{{\"model\":{},\"echo\":", answer::quoted(&ask.model)).as_bytes(),
        );
        out.extend_from_slice(request);
        out.push(b'}');
        return;
    }
    let words = answer::friendly(&ask.prompt);
    let usage = Usage { input: ask.prompt.len() / 4 + 1, output: words.len() };
    let (before, after) = answer::whole(ask.shape, &ask.model, usage);
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(answer::escaped(&words.concat()).as_bytes());
    out.extend_from_slice(after.as_bytes());
}

/// Sends a whole answer that is split, framed otherwise, or ends early.
pub(super) async fn send_oddly(
    connection: &mut Connection,
    head: &[u8],
    body: &[u8],
    behaviour: &Behaviour,
) -> Result<(), End> {
    let limits = [behaviour.stall_after, behaviour.cut_after, behaviour.reset_after];
    let limit = limits.into_iter().flatten().min().map(|limit| limit as usize);
    let (body, is_whole) = match limit.and_then(|limit| body.get(..limit)) {
        Some(part) => (part, false),
        None => (body, true),
    };
    connection.send(head, behaviour).await?;
    let piece = if behaviour.split == 0 { body.len().max(1) } else { behaviour.split };
    for piece in body.chunks(piece) {
        let mut out = Vec::with_capacity(piece.len() + 16);
        match behaviour.framing {
            Framing::Chunked => encode::chunk(&mut out, piece),
            _ => out.extend_from_slice(piece),
        }
        connection.send(&out, behaviour).await?;
        task::yield_now().await;
    }
    if !is_whole {
        let limit = limit.and_then(|limit| u32::try_from(limit).ok());
        return Err(if behaviour.stall_after == limit {
            connection.wait_until(Moment::NEVER).await.err().unwrap_or(End::Close)
        } else if behaviour.cut_after == limit {
            End::Close
        } else {
            End::Reset
        });
    }
    if behaviour.framing == Framing::Chunked {
        connection.send(encode::LAST_CHUNK, behaviour).await?;
    }
    Ok(())
}

/// What a status is called.
pub(super) fn reason(status: u16) -> &'static str {
    encode::reason(status)
}
