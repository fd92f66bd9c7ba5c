//! One side of a connection, read as the gateway reads it, as a list of what was found.

use std::fmt;

use ringway::wire::Malformed;
use ringway::wire::head::BodyLength;
use ringway::wire::head::Method;
use ringway::wire::head::RequestHead;
use ringway::wire::head::ResponseHead;
use ringway::wire::head::Version;
use ringway::wire::http1::body::Body;
use ringway::wire::http1::parse::HeadSearch;
use ringway::wire::http1::parse::Slots;
use ringway::wire::http1::parse::request;
use ringway::wire::http1::parse::response;
use ringway::wire::http1::reuse::CloseReason;
use ringway::wire::http1::reuse::Exchange;

/// Whose bytes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    /// With the method that was asked.
    Response(Method),
}

/// Something found in the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A head, in words; `start` is the method, path and query, or the status.
    Head { start: String, words: String },
    /// Content of a body, joined.
    Content(Vec<u8>),
    /// The message has ended; what becomes of the connection.
    End(&'static str),
    /// The bytes are refused; the status that the client gets.
    Refused(u16, Malformed),
    /// So many bytes are not read any more.
    Left(usize),
    /// The sender closed after so many bytes of a head.
    ClosedInHead(usize),
}

impl fmt::Display for Event {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head { start, words } => write!(out, "head {} {words}", shorten(start)),
            Self::Content(bytes) if bytes.len() > 64 => write!(out, "content of {}", bytes.len()),
            Self::Content(bytes) => write!(out, "content {}", bytes.escape_ascii()),
            Self::End(next) => write!(out, "end, {next}"),
            Self::Refused(status, why) => write!(out, "refused {status} {}", why.label()),
            Self::Left(bytes) => write!(out, "left {bytes}"),
            Self::ClosedInHead(bytes) => write!(out, "closed after {bytes} of a head"),
        }
    }
}

fn search(side: Side) -> HeadSearch {
    match side {
        Side::Request => HeadSearch::default(),
        Side::Response(_) => HeadSearch::for_response(),
    }
}

/// Reads the bytes of one side, in pieces of any size.
pub(crate) struct Reader {
    side: Side,
    buffer: Vec<u8>,
    search: HeadSearch,
    exchange: Option<(Exchange, Body)>,
    /// A response that has ended.
    last: Option<Exchange>,
    has_stopped: bool,
    events: Vec<Event>,
}

impl Reader {
    pub(crate) fn new(side: Side) -> Self {
        Self {
            side,
            buffer: Vec::new(),
            search: search(side),
            exchange: None,
            last: None,
            has_stopped: false,
            events: Vec::new(),
        }
    }

    /// The next bytes have come.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while !self.has_stopped {
            match self.step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(why) => self.refuse(why),
            }
        }
    }

    /// The sender has closed.
    pub(crate) fn close(mut self) -> Vec<Event> {
        if !self.has_stopped {
            match self.exchange.take() {
                Some((exchange, mut body)) => match body.at_close() {
                    Ok(()) => self.end(exchange),
                    Err(why) => self.refuse(why),
                },
                // Between two requests a client may close.
                None if self.buffer.is_empty()
                    && matches!(self.events.last(), Some(Event::End(_))) => {}
                None => self.events.push(Event::ClosedInHead(self.buffer.len())),
            }
        }
        if let Some(exchange) = self.last.take() {
            let reason = exchange.upstream_close(self.buffer.len());
            self.events.push(Event::End(words_of_reason(reason)));
        }
        if matches!(self.events.last(), Some(Event::End(_))) && !self.buffer.is_empty() {
            self.events.push(Event::Left(self.buffer.len()));
        }
        self.events
    }

    fn refuse(&mut self, why: Malformed) {
        let status = if self.side == Side::Request { why.status() } else { 502 };
        self.events.push(Event::Refused(status, why));
        self.has_stopped = true;
    }

    /// Reads one thing; false if more bytes are needed.
    fn step(&mut self) -> Result<bool, Malformed> {
        let Some((exchange, mut body)) = self.exchange.take() else {
            return self.head();
        };
        let piece = body.next(&self.buffer)?;
        assert!(piece.body.start <= piece.body.end && piece.body.end <= piece.consumed);
        assert!(piece.consumed > 0 || piece.is_end || self.buffer.is_empty(), "no progress");
        assert_eq!(piece.is_end, body.is_end());
        self.content(piece.body);
        self.buffer.drain(..piece.consumed);
        if piece.is_end {
            self.end(exchange);
            return Ok(true);
        }
        self.exchange = Some((exchange, body));
        Ok(!self.buffer.is_empty())
    }

    fn head(&mut self) -> Result<bool, Malformed> {
        let Some(end) = self.search.end(&self.buffer)? else { return Ok(false) };
        let mut slots = Slots::new();
        let (event, exchange) = match self.side {
            Side::Request => {
                let head = request(&self.buffer, &mut slots)?.expect("the head is whole");
                assert_eq!(head.bytes, end);
                words_of_request(&head)
            }
            Side::Response(asked) => {
                let head = response(&self.buffer, &mut slots, asked)?.expect("the head is whole");
                assert_eq!(head.bytes, end);
                words_of_response(&head)
            }
        };
        self.buffer.drain(..end);
        self.search = search(self.side);
        self.events.push(event);
        if let Some(exchange) = exchange {
            self.exchange = Some((exchange, Body::new(exchange.body)));
        }
        Ok(true)
    }

    fn content(&mut self, span: std::ops::Range<usize>) {
        if span.is_empty() {
            return;
        }
        let bytes = &self.buffer[span];
        match self.events.last_mut() {
            Some(Event::Content(content)) => content.extend_from_slice(bytes),
            _ => self.events.push(Event::Content(bytes.to_vec())),
        }
    }

    fn end(&mut self, exchange: Exchange) {
        if self.side == Side::Request {
            let reason = exchange.client_close();
            self.events.push(Event::End(words_of_reason(reason)));
            self.has_stopped = reason.is_some();
        } else {
            // What becomes of the connection depends on what else the upstream sends.
            self.last = Some(exchange);
            self.has_stopped = true;
        }
    }
}

fn words_of_reason(reason: Option<CloseReason>) -> &'static str {
    reason.map_or("go on", CloseReason::label)
}

/// A start that is too long to be looked at, by its length.
fn shorten(start: &str) -> String {
    match start.len() {
        length @ 81.. => format!("(start of {length})"),
        _ => start.to_owned(),
    }
}

fn words_of_request(head: &RequestHead<'_, '_>) -> (Event, Option<Exchange>) {
    let query = head.query.map_or(String::new(), |query| format!("?{query}"));
    let start = format!("{} {}{query}", head.method_text, head.path);
    let words = format!(
        "at {:?} {}, {}{}",
        head.authority,
        words_of_version(head.version),
        words_of_body(head.body),
        if head.expects_continue { ", continue" } else { "" }
    );
    let exchange = whole_exchange(head.version, head.is_keep_alive, head.body);
    (Event::Head { start, words }, Some(exchange))
}

fn words_of_response(head: &ResponseHead<'_, '_>) -> (Event, Option<Exchange>) {
    let start = head.status.to_string();
    let words = format!("{}, {}", words_of_version(head.version), words_of_body(head.body));
    let is_final = head.status >= 200;
    let exchange = whole_exchange(head.version, head.is_keep_alive, head.body);
    (Event::Head { start, words }, is_final.then_some(exchange))
}

fn whole_exchange(version: Version, is_keep_alive: bool, body: BodyLength) -> Exchange {
    Exchange { version, is_keep_alive, body, is_request_whole: true, is_response_whole: true }
}

fn words_of_version(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
    }
}

fn words_of_body(body: BodyLength) -> String {
    match body {
        BodyLength::Empty => "no body".to_owned(),
        BodyLength::Exact(bytes) => format!("exact {bytes}"),
        BodyLength::Chunked => "chunked".to_owned(),
        BodyLength::UntilClose => "until close".to_owned(),
    }
}

/// Everything in `bytes`, read at once.
pub(crate) fn read_whole(side: Side, bytes: &[u8]) -> Vec<Event> {
    read_in_pieces(side, bytes, |_| usize::MAX)
}

/// Everything in `bytes`, read in pieces of the lengths that `length` gives (at least one).
pub(crate) fn read_in_pieces(
    side: Side,
    bytes: &[u8],
    mut length: impl FnMut(usize) -> usize,
) -> Vec<Event> {
    let mut reader = Reader::new(side);
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, next) = rest.split_at(length(rest.len()).clamp(1, rest.len()));
        reader.feed(piece);
        rest = next;
    }
    reader.close()
}
