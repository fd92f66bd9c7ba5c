//! The life of a connection to the mock: requests read one after the other, each answered before the next.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use crate::ring::clock;
use crate::ring::stream::Stream;
use crate::units::Moment;
use crate::wire::Malformed;
use crate::wire::head::Method;
use crate::wire::http1::body::Body;
use crate::wire::http1::parse;
use crate::wire::http1::parse::HeadSearch;
use crate::wire::http1::parse::Slots;

use super::answer;
use super::ask;
use super::ask::Ask;
use super::ask::Place;
use super::ask::Shape;
use super::behaviour::Behaviour;
use super::behaviour::Framing;
use super::behaviour::Hangup;
use super::content::Seal;
use super::streaming;
use super::switches;
use super::switches::Door;
use super::world::World;

/// Why a connection goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client left, or its connection broke.
    ClientLeft,
    /// The mock closes, as asked or because the answer ends so.
    Close,
    /// The mock resets, as asked.
    Reset,
}

/// One connection.
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) world: Rc<World>,
    /// Bytes received and not yet understood.
    held: Vec<u8>,
}

/// A request with its body.
struct Request {
    place: Owned,
    method: Method,
    behaviour: Behaviour,
    is_keep_alive: bool,
    body: Vec<u8>,
}

/// A [`Place`] that outlives the bytes it was read from.
enum Owned {
    Answer(Shape),
    Invoke(String),
    Models,
    Health,
    Stats,
    Behaviour(String),
    Listener(String),
    Unknown,
}

impl Owned {
    /// Whether it is there even where no server is: what the mock is told, and what it tells of itself.
    const fn is_control(&self) -> bool {
        matches!(self, Self::Stats | Self::Behaviour(_) | Self::Listener(_))
    }
}

/// Largest body taken.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that a client may send ahead of the answer it waits for.
const AHEAD_BYTES_MAX: usize = 1024 * 1024;
/// A connection between requests keeps no more memory than this.
const HELD_KEPT_BYTES: usize = 4096;

/// Lives the life of one connection.
pub(super) async fn live(stream: Stream, world: Rc<World>) {
    world.stats.connections_accepted.add(1);
    world.stats.connections_open.add(1);
    let mut connection = Connection { stream, world: Rc::clone(&world), held: Vec::new() };
    let end = loop {
        if let Err(end) = connection.exchange().await {
            break end;
        }
    };
    if end == End::Reset {
        connection.stream.reset();
    }
    world.stats.connections_open.take(1);
}

impl Connection {
    /// One request and its answer.
    async fn exchange(&mut self) -> Result<(), End> {
        let request = match self.read_request().await? {
            Ok(request) => request,
            Err(malformed) => {
                self.world.stats.malformed.add(1);
                let body = answer::error(Shape::Chat, malformed.status(), malformed.explain());
                self.reply(malformed.status(), &body, "connection: close\r\n").await?;
                return Err(End::Close);
            }
        };
        let is_keep_alive = request.is_keep_alive && !request.behaviour.closes;
        self.answer(request).await?;
        if is_keep_alive { Ok(()) } else { Err(End::Close) }
    }

    async fn answer(&mut self, request: Request) -> Result<(), End> {
        match self.world.switches.door() {
            Door::Closed if !request.place.is_control() => return Err(End::Reset),
            Door::Silent if !request.place.is_control() => return Err(self.wait_for_end().await),
            _ => {}
        }
        if let Some((status, body)) = self.tell(&request).await {
            return self.reply_to(&request, status, &body).await;
        }
        let (shape, model) = match (&request.place, request.method) {
            (Owned::Answer(shape), Method::Post) => (*shape, None),
            (Owned::Invoke(model), Method::Post) => (Shape::Invoke, Some(model.clone())),
            _ => {
                let body = answer::error(Shape::Chat, 404, "the mock has nothing at this path");
                return self.reply_to(&request, 404, &body).await;
            }
        };
        self.world.stats.requests.add(1);
        if let Some(hangup) = request.behaviour.hangup {
            self.world.stats.cut.add(1);
            return Err(if hangup == Hangup::Reset { End::Reset } else { End::Close });
        }
        match ask::read(shape, &request.body, request.behaviour) {
            Ok(mut ask) => {
                ask.model = model.unwrap_or(ask.model);
                self.world.stats.note_model(&ask.model);
                self.answer_ask(ask, &request).await
            }
            Err(message) => {
                let body = answer::error(shape, 400, &message);
                self.reply_to(&request, 400, &body).await
            }
        }
    }

    /// The answer of places that are no model's.
    async fn tell(&self, request: &Request) -> Option<(u16, String)> {
        let world = &self.world;
        match (&request.place, request.method) {
            (Owned::Models, _) => Some((200, answer::models(&world.options.models))),
            (Owned::Health, _) => Some((200, "{\"status\":\"ok\"}".to_owned())),
            (Owned::Stats, _) => Some((200, world.stats.json())),
            (Owned::Behaviour(query), Method::Post) => Some(switches::set_fault(world, query)),
            (Owned::Listener(query), Method::Post) => Some(switches::set_door(world, query).await),
            _ => None,
        }
    }

    async fn answer_ask(&mut self, ask: Ask, request: &Request) -> Result<(), End> {
        let left = if ask.behaviour.status != 200 {
            self.answer_error(&ask).await
        } else if ask.is_stream {
            // A stream's life is long: what its request needed is given back first.
            self.held.shrink_to_fit();
            self.world.stats.streams_open.add(1);
            let left = streaming::answer(self, &ask, request.is_keep_alive).await;
            self.world.stats.streams_open.take(1);
            left
        } else {
            self.answer_whole(&ask, request).await
        };
        match left {
            Err(End::ClientLeft) => self.world.stats.cancelled.add(1),
            Err(End::Close | End::Reset) => self.world.stats.cut.add(1),
            Ok(()) if ask.is_stream => self.world.stats.streams_completed.add(1),
            Ok(()) => {}
        }
        if left.is_ok() && ask.behaviour.framing == Framing::Close { Err(End::Close) } else { left }
    }

    async fn answer_error(&mut self, ask: &Ask) -> Result<(), End> {
        self.wait_until(clock::now().after(ask.behaviour.delay)).await?;
        let status = ask.behaviour.status;
        let body = answer::error(ask.shape, status, "the mock was asked to fail");
        let fields = ask
            .behaviour
            .retry_after
            .map(|seconds| format!("retry-after: {seconds}\r\n"))
            .unwrap_or_default();
        self.reply(status, &body, &fields).await
    }

    async fn answer_whole(&mut self, ask: &Ask, request: &Request) -> Result<(), End> {
        let behaviour = &ask.behaviour;
        if behaviour.delay.as_nanos() > 0 {
            self.wait_until(clock::now().after(behaviour.delay)).await?;
        }
        let mut out = self.world.take_buffer();
        let mut body = Vec::new();
        if let Some(bytes) = behaviour.bytes {
            let template = self.world.template(ask.shape, false, &ask.model, bytes);
            streaming::whole_head(behaviour, request.is_keep_alive, template.len(), &mut out);
            let stream = behaviour.stream.unwrap_or_else(|| self.world.next_stream());
            let seal = Seal { stream, number: 0, nanos: clock::now().as_nanos() };
            if streaming::is_plain(behaviour) {
                template.write(seal, &mut out);
            } else {
                template.write(seal, &mut body);
            }
        } else {
            streaming::friendly_whole(ask, &request.body, &mut body);
            streaming::whole_head(behaviour, request.is_keep_alive, body.len(), &mut out);
        }
        let head = out.len();
        if streaming::is_plain(behaviour) {
            out.extend_from_slice(&body);
            let sent = self.send(&out, behaviour).await;
            self.world.give_buffer(out);
            return sent;
        }
        let sent = streaming::send_oddly(self, &out[..head], &body, behaviour).await;
        self.world.give_buffer(out);
        sent
    }

    async fn reply_to(&mut self, request: &Request, status: u16, body: &str) -> Result<(), End> {
        let close = if request.is_keep_alive { "" } else { "connection: close\r\n" };
        let body = if request.method == Method::Head { "" } else { body };
        self.reply(status, body, close).await
    }

    async fn reply(&mut self, status: u16, body: &str, fields: &str) -> Result<(), End> {
        let reply = format!(
            "HTTP/1.1 {status} {}\r\ncontent-type: application/json\r\n{fields}content-length: {}\r\n\r\n{body}",
            streaming::reason(status),
            body.len()
        );
        self.send(reply.as_bytes(), &Behaviour::default()).await
    }

    /// Sends bytes, in small writes if the behaviour dribbles.
    pub(super) async fn send(&mut self, bytes: &[u8], behaviour: &Behaviour) -> Result<(), End> {
        self.world.stats.bytes_sent.add(bytes.len() as u64);
        if behaviour.dribble > 0 {
            for piece in bytes.chunks(behaviour.dribble) {
                self.stream.send_all(piece, Moment::NEVER).await.map_err(left)?;
                let tick = self.world.tick_after(clock::now());
                self.wait_until(tick).await?;
            }
            return Ok(());
        }
        self.stream.send_all(bytes, Moment::NEVER).await.map_err(left)
    }

    /// Waits for a moment, and for the client's leaving meanwhile.
    pub(super) async fn wait_until(&mut self, moment: Moment) -> Result<(), End> {
        if moment <= clock::now() {
            return poll_fn(|cx| Poll::Ready(self.poll_left(cx))).await;
        }
        self.stream.set_deadline(self.world.tick_after(moment));
        poll_fn(|cx| match self.poll_left(cx) {
            Err(end) => Poll::Ready(Err(end)),
            Ok(()) => self.stream.poll_deadline(cx).map(Ok),
        })
        .await
    }

    /// Waits until the client leaves.
    pub(super) async fn wait_for_end(&mut self) -> End {
        match self.wait_until(Moment::NEVER).await {
            Err(end) => end,
            Ok(()) => End::Close,
        }
    }

    /// Whether the client has left by now; bytes that it sent ahead are kept.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while self.held.len() < AHEAD_BYTES_MAX {
            match self.stream.poll_readable(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) => self.receive()?,
                Poll::Ready(Err(_)) => return Err(End::ClientLeft),
            }
        }
        Ok(())
    }

    /// Takes in what has come.
    fn receive(&mut self) -> Result<(), End> {
        let Self { stream, world, held } = self;
        world.with_room(|room| match stream.try_recv(room) {
            Ok(0) => Err(End::ClientLeft),
            Ok(got) => {
                held.extend_from_slice(&room[..got]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(End::ClientLeft),
        })
    }

    async fn receive_more(&mut self) -> Result<(), End> {
        self.stream.readable(Moment::NEVER).await.map_err(left)?;
        self.receive()
    }

    async fn read_request(&mut self) -> Result<Result<Request, Malformed>, End> {
        let mut search = HeadSearch::default();
        loop {
            match search.end(&self.held) {
                Ok(Some(_)) => break,
                Ok(None) => self.receive_more().await?,
                Err(malformed) => return Ok(Err(malformed)),
            }
        }
        let (mut request, mut body, expects_continue) = match self.read_head() {
            Ok(read) => read,
            Err(malformed) => return Ok(Err(malformed)),
        };
        if expects_continue && self.held.is_empty() {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n", &Behaviour::default()).await?;
        }
        while !body.is_end() {
            if self.held.is_empty() {
                self.receive_more().await?;
            }
            let piece = match body.next(&self.held) {
                Ok(piece) => piece,
                Err(malformed) => return Ok(Err(malformed)),
            };
            request.body.extend_from_slice(&self.held[piece.body]);
            self.forget(piece.consumed);
            if request.body.len() > BODY_BYTES_MAX {
                return Err(End::Close);
            }
        }
        Ok(Ok(request))
    }

    fn read_head(&mut self) -> Result<(Request, Body, bool), Malformed> {
        let mut slots = Slots::new();
        let Some(head) = parse::request(&self.held, &mut slots)? else {
            return Err(Malformed::Truncated);
        };
        let mut behaviour = self.world.options.behaviour;
        for field in head.fields {
            behaviour.apply(field.name.as_bytes(), field.value);
        }
        if let Some(query) = head.query {
            behaviour.apply_query(query);
        }
        self.world.switches.apply(&mut behaviour);
        let query = || head.query.unwrap_or_default().to_owned();
        let place = match ask::place(head.path) {
            Place::Answer(shape) => Owned::Answer(shape),
            Place::Invoke(model) => Owned::Invoke(model.to_owned()),
            Place::Models => Owned::Models,
            Place::Health => Owned::Health,
            Place::Stats => Owned::Stats,
            Place::Behaviour => Owned::Behaviour(query()),
            Place::Listener => Owned::Listener(query()),
            Place::Unknown => Owned::Unknown,
        };
        let request = Request {
            place,
            method: head.method,
            behaviour,
            is_keep_alive: head.is_keep_alive,
            body: Vec::new(),
        };
        let (bytes, body) = (head.bytes, Body::new(head.body));
        let expects_continue = head.expects_continue;
        self.forget(bytes);
        Ok((request, body, expects_continue))
    }

    /// Lets go of the first bytes held.
    fn forget(&mut self, bytes: usize) {
        self.held.drain(..bytes);
        if self.held.is_empty() && self.held.capacity() > HELD_KEPT_BYTES {
            self.held = Vec::new();
        }
    }
}

fn left(_error: io::Error) -> End {
    End::ClientLeft
}
