//! A request arrives: its head, then its body, whole and in one piece of memory.

use std::io;
use std::ops::Range;
use std::time::Duration;

use super::client::Client;
use super::client::Received;
use super::digest::BodyDigest;
use super::proxy;
use super::proxy::Wrong;
use crate::ring::clock;
use crate::units::Moment;
use crate::wire::Malformed;
use crate::wire::buffer::Buffer;
use crate::wire::buffer::Buffers;
use crate::wire::head::BodyLength;
use crate::wire::head::Method;
use crate::wire::head::RequestHead;
use crate::wire::head::Version;
use crate::wire::http1::body::Body;
use crate::wire::http1::parse;
use crate::wire::http1::parse::HeadSearch;
use crate::wire::http1::parse::Slots;

/// The answer to `Expect: 100-continue`, and the probe of a client that has closed its sending direction: one
/// that only half-closed skips it (RFC 9110 section 15.2), one that left answers with a reset.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What bounds the arrival of a request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a connection may be idle between requests.
    pub idle: Duration,
    /// How long a head may take from its first byte.
    pub head: Duration,
    /// How long a body may pause.
    pub body: Duration,
    /// How large a body may be, in bytes.
    pub body_bytes_max: usize,
    /// What the shard may hold for all its clients, in bytes: past it no body that is under way grows.
    pub held_bytes_max: usize,
}

/// What the head of a request says about the exchange itself.
#[derive(Clone, Copy, Debug)]
pub struct Outline {
    /// Length of the head, its blank line included.
    pub head_bytes: usize,
    /// The method.
    pub method: Method,
    /// The version.
    pub version: Version,
    /// How the body ends.
    pub body: BodyLength,
    /// Whether the client would like to send another request.
    pub is_keep_alive: bool,
    /// Whether the client waits for a sign before it sends the body.
    pub expects_continue: bool,
}

impl Outline {
    /// Length of head and body together; what is not known beforehand counts as endless.
    #[must_use]
    pub fn whole_bytes(&self) -> usize {
        match self.body {
            BodyLength::Empty | BodyLength::UntilClose => self.head_bytes,
            BodyLength::Exact(length) => usize::try_from(length)
                .map_or(usize::MAX, |length| length.saturating_add(self.head_bytes)),
            BodyLength::Chunked => usize::MAX,
        }
    }

    /// What is known to be still to come when `arrived` bytes of the request are there; of chunks nothing is.
    #[must_use]
    pub fn missing_bytes(&self, arrived: usize) -> usize {
        match self.body {
            BodyLength::Chunked => 0,
            _ => self.whole_bytes().saturating_sub(arrived),
        }
    }
}

/// Why no request arrived.
#[derive(Debug)]
pub enum Trouble {
    /// The client has closed, or was idle for too long, between requests: nothing to say.
    Closed,
    /// The client is gone in the middle of a request.
    Gone,
    /// What came is not HTTP as it must be.
    Malformed(Malformed),
    /// The head or the body came too slowly.
    TooSlow,
    /// The body is larger than it may be.
    TooLarge,
    /// The shard holds as much as it may.
    NoRoom,
}

/// A request that has arrived whole.
#[derive(Debug, Default)]
pub struct Incoming {
    bytes: Buffer,
    head_bytes: usize,
}

impl Incoming {
    /// Looks at the head again.
    ///
    /// # Panics
    /// Once the request was released: there is no head any more.
    pub fn with_head<R>(&self, look: impl FnOnce(&RequestHead<'_, '_>) -> R) -> R {
        let head = self.bytes.filled().get(..self.head_bytes).unwrap_or_default();
        let mut slots = Slots::new();
        match parse::request(head, &mut slots) {
            Ok(Some(head)) => look(&head),
            _ => unreachable!("the head was parsed when it arrived"),
        }
    }

    /// The same head with another body.
    #[must_use]
    pub fn with_body(&self, buffers: &Buffers, body: &[u8]) -> Self {
        let mut bytes = Buffer::default();
        buffers.append(&mut bytes, self.bytes.filled().get(..self.head_bytes).unwrap_or_default());
        buffers.append(&mut bytes, body);
        Self { bytes, head_bytes: self.head_bytes }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.filled().get(self.head_bytes..).unwrap_or_default()
    }

    /// Gives the memory back: the request cannot be sent again from here on.
    pub fn release(&mut self, buffers: &Buffers) {
        if self.bytes.capacity() > 0 {
            buffers.release(&mut self.bytes);
            self.head_bytes = 0;
        }
    }
}

/// Why a connection that must begin with a header of the PROXY protocol goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproxied {
    /// It has closed before the header was whole: as those do who only ask whether somebody listens.
    Gone,
    /// The header is wrong.
    Wrong(Wrong),
    /// The header did not come in time.
    TooSlow,
}

/// Waits for the header of the PROXY protocol, uses it up, and sets the client's address to what it says.
///
/// # Errors
/// Why there is none: the connection must be closed.
pub async fn proxied(
    client: &mut Client,
    buffers: &Buffers,
    limits: &Limits,
) -> Result<(), Unproxied> {
    let deadline = clock::recent().after(limits.head);
    loop {
        if let Some(header) = proxy::header(client.input.filled()).map_err(Unproxied::Wrong)? {
            client.input.consume(header.bytes);
            buffers.release_if_empty(&mut client.input);
            if let Some(source) = header.source {
                client.address = source;
            }
            return Ok(());
        }
        match client.wait(buffers, deadline).await {
            Ok(Received::Bytes(_) | Received::Nothing) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(Unproxied::TooSlow);
            }
            Ok(Received::End | Received::Gone) | Err(_) => return Err(Unproxied::Gone),
        }
    }
}

/// Waits for the head of the next request, and has `look` look at it while it is parsed.
///
/// # Errors
/// Why none came.
pub async fn head<L>(
    client: &mut Client,
    buffers: &Buffers,
    limits: &Limits,
    look: impl Fn(&RequestHead<'_, '_>) -> L,
) -> Result<(Outline, L), Trouble> {
    let mut search = HeadSearch::default();
    let mut deadline = clock::recent().after(limits.idle);
    let mut has_begun = false;
    loop {
        if !client.input.is_empty() {
            // Mostly a head comes whole, and then the search for its end would be for nothing.
            let is_worth_parsing = !has_begun
                || search.end(client.input.filled()).map_err(Trouble::Malformed)?.is_some();
            if is_worth_parsing {
                match parsed(client.input.filled(), &look) {
                    Ok(Some(found)) => return Ok(found),
                    Ok(None) if has_begun => {
                        return Err(Trouble::Malformed(Malformed::BareLineFeed));
                    }
                    Ok(None) => {}
                    Err(malformed) => return Err(Trouble::Malformed(malformed)),
                }
            }
            if !std::mem::replace(&mut has_begun, true) {
                deadline = clock::recent().after(limits.head);
                continue;
            }
        }
        match client.wait(buffers, deadline).await {
            Ok(Received::Bytes(_) | Received::Nothing) => {}
            Ok(Received::End | Received::Gone) if has_begun => return Err(Trouble::Gone),
            Ok(Received::End | Received::Gone) => return Err(Trouble::Closed),
            Err(error) if error.kind() == io::ErrorKind::TimedOut && has_begun => {
                return Err(Trouble::TooSlow);
            }
            Err(_) => return Err(Trouble::Closed),
        }
    }
}

fn parsed<L>(
    bytes: &[u8],
    look: impl Fn(&RequestHead<'_, '_>) -> L,
) -> Result<Option<(Outline, L)>, Malformed> {
    let mut slots = Slots::new();
    let Some(head) = parse::request(bytes, &mut slots)? else { return Ok(None) };
    let outline = Outline {
        head_bytes: head.bytes,
        method: head.method,
        version: head.version,
        body: head.body,
        is_keep_alive: head.is_keep_alive,
        expects_continue: head.expects_continue,
    };
    Ok(Some((outline, look(&head))))
}

/// The whole request, if it has arrived with its head and its length was announced: what [`body`] would return, without the
/// room that waiting takes.
pub fn whole(
    client: &mut Client,
    buffers: &Buffers,
    limits: &Limits,
    outline: &Outline,
    digest: Option<&mut BodyDigest>,
) -> Option<Incoming> {
    let whole = outline.whole_bytes();
    let length = whole.checked_sub(outline.head_bytes)?;
    if length > limits.body_bytes_max || client.input.len() < whole {
        return None;
    }
    if let Some(digest) = digest {
        digest.update(at(client.input.filled(), &(outline.head_bytes..whole)));
    }
    Some(taken(client, buffers, outline, whole))
}

/// Waits for the body of a request and takes the whole request out of the client's input. The content runs through
/// `digest` as it arrives.
///
/// # Errors
/// Why it did not come.
pub async fn body(
    client: &mut Client,
    buffers: &Buffers,
    limits: &Limits,
    outline: &Outline,
    digest: Option<&mut BodyDigest>,
) -> Result<Incoming, Trouble> {
    match outline.body {
        BodyLength::Empty | BodyLength::UntilClose => {
            exact(client, buffers, limits, outline, 0, digest).await
        }
        BodyLength::Exact(length) => match usize::try_from(length) {
            Ok(length) if length <= limits.body_bytes_max => {
                exact(client, buffers, limits, outline, length, digest).await
            }
            _ => Err(Trouble::TooLarge),
        },
        BodyLength::Chunked => chunked(client, buffers, limits, outline, digest).await,
    }
}

/// Takes a request out of the client's input, all of which has arrived.
fn taken(client: &mut Client, buffers: &Buffers, outline: &Outline, whole: usize) -> Incoming {
    let mut bytes = std::mem::take(&mut client.input);
    if bytes.len() > whole {
        let next = bytes.filled().get(whole..).unwrap_or_default();
        buffers.append(&mut client.input, next);
        bytes.truncate(whole);
    }
    Incoming { bytes, head_bytes: outline.head_bytes }
}

async fn exact(
    client: &mut Client,
    buffers: &Buffers,
    limits: &Limits,
    outline: &Outline,
    length: usize,
    mut digest: Option<&mut BodyDigest>,
) -> Result<Incoming, Trouble> {
    let whole = outline.head_bytes + length;
    if outline.expects_continue && client.input.len() < whole {
        sign(client, limits).await?;
    }
    let mut digested = outline.head_bytes;
    loop {
        let arrived = client.input.len().min(whole);
        if let Some(digest) = digest.as_deref_mut() {
            digest.update(at(client.input.filled(), &(digested..arrived)));
            digested = arrived;
        }
        if arrived == whole {
            break;
        }
        more(client, buffers, limits).await?;
    }
    Ok(taken(client, buffers, outline, whole))
}

async fn chunked(
    client: &mut Client,
    buffers: &Buffers,
    limits: &Limits,
    outline: &Outline,
    mut digest: Option<&mut BodyDigest>,
) -> Result<Incoming, Trouble> {
    let mut body = Body::new(BodyLength::Chunked);
    let mut incoming = Incoming { bytes: Buffer::default(), head_bytes: outline.head_bytes };
    let head = client.input.filled().get(..outline.head_bytes).unwrap_or_default();
    buffers.append(&mut incoming.bytes, head);
    client.input.consume(outline.head_bytes);
    if outline.expects_continue && client.input.is_empty() {
        sign(client, limits).await?;
    }
    loop {
        while !client.input.is_empty() && !body.is_end() {
            let piece = body.next(client.input.filled()).map_err(Trouble::Malformed)?;
            let content = at(client.input.filled(), &piece.body);
            // A chunk that would be too much is refused at its size, not when it has come.
            let announced = usize::try_from(body.announced()).unwrap_or(usize::MAX);
            let known = incoming.body().len() + content.len();
            if known.saturating_add(announced) > limits.body_bytes_max {
                return Err(Trouble::TooLarge);
            }
            if let Some(digest) = digest.as_deref_mut() {
                digest.update(content);
            }
            buffers.append(&mut incoming.bytes, content);
            client.input.consume(piece.consumed);
        }
        if body.is_end() {
            buffers.release_if_empty(&mut client.input);
            return Ok(incoming);
        }
        more(client, buffers, limits).await?;
    }
}

fn at<'b>(bytes: &'b [u8], span: &Range<usize>) -> &'b [u8] {
    bytes.get(span.clone()).unwrap_or_default()
}

/// Waits for more of a body. Past what the shard may hold none grows: whoever has sent half of one makes room.
async fn more(client: &mut Client, buffers: &Buffers, limits: &Limits) -> Result<(), Trouble> {
    if super::held_bytes(buffers) > limits.held_bytes_max {
        return Err(Trouble::NoRoom);
    }
    match client.wait(buffers, deadline(limits)).await {
        Ok(Received::Bytes(_) | Received::Nothing) => Ok(()),
        Ok(Received::End | Received::Gone) => Err(Trouble::Gone),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Trouble::TooSlow),
        Err(_) => Err(Trouble::Gone),
    }
}

async fn sign(client: &mut Client, limits: &Limits) -> Result<(), Trouble> {
    client.send_all(CONTINUE, deadline(limits)).await.map_err(|_| Trouble::Gone)
}

fn deadline(limits: &Limits) -> Moment {
    clock::recent().after(limits.body)
}

#[cfg(test)]
mod tests;
