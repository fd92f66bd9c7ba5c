//! A model server that is not one: for the quickstart, the tests and the load tester; real HTTP/1.1 on a ring of its own.
//!
//! It answers the APIs that the gateway knows (and echoes for `/v1/models/{model}/invoke`), with friendly words or
//! with sealed content of which every byte can be verified (see [`content`]), and misbehaves on demand (see
//! [`behaviour::Behaviour`]), also switched while it runs (see [`options::HELP`]). `GET /mock/stats` tells what it saw.

use std::io;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::ring;
use crate::ring::Ring;
use crate::ring::clock;
use crate::ring::listen::Listener;
use crate::ring::stream::Readiness;
use crate::ring::stream::Stream;
use crate::ring::task;

mod answer;
mod ask;
pub mod behaviour;
mod connection;
pub mod content;
pub mod options;
mod stats;
mod streaming;
mod switches;
#[cfg(test)]
mod tests;
mod world;

use behaviour::Behaviour;
use switches::Door;
use world::World;

/// How a mock runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Where stats and switches are to be had as well, whatever becomes of the first address.
    pub control: Option<SocketAddr>,
    /// Names that `GET /v1/models` lists; any name is answered.
    pub models: Vec<String>,
    /// How answers are given where the request does not say.
    pub behaviour: Behaviour,
    /// Events are written at whole multiples of this time, so that streams share a wake-up; zero: each at its own.
    pub tick: Duration,
    /// Whether others may listen on the same address (SO_REUSEPORT).
    pub may_share: bool,
}

impl Options {
    /// The mock as it is without being told otherwise, on this address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            control: None,
            models: vec!["demo".to_owned()],
            behaviour: Behaviour::default(),
            tick: Duration::from_millis(1),
            may_share: false,
        }
    }
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// How long accepting rests when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves on the calling thread, on a ring of its own, for ever; `ready` is told the address once it listens.
///
/// # Errors
/// The system's, if the ring or the listener is not to be had.
pub fn serve(options: Options, ready: impl FnOnce(SocketAddr) + 'static) -> io::Result<()> {
    serve_until(options, None, ready)
}

/// A mock on a thread of its own; it ends when this is dropped.
#[derive(Debug)]
pub struct Handle {
    /// Where it listens.
    pub address: SocketAddr,
    stop: UnixStream,
    thread: JoinHandle<io::Result<()>>,
}

impl Handle {
    /// Ends the mock, its connections included, and waits until it has ended.
    ///
    /// # Errors
    /// Those that ended it before.
    pub fn stop(self) -> io::Result<()> {
        let stopped = self.stop.shutdown(std::net::Shutdown::Both);
        self.thread.join().map_err(|_| io::Error::other("the mock ended by a panic"))??;
        stopped
    }
}

/// Starts a mock on a thread of its own and waits until it listens.
///
/// # Errors
/// The system's, if the thread, the ring or the listener is not to be had.
pub fn spawn(options: Options) -> io::Result<Handle> {
    let (stop, stopped) = UnixStream::pair()?;
    stopped.set_nonblocking(true)?;
    let (ready, listening) = mpsc::channel();
    let thread = thread::Builder::new().name("mock".to_owned()).spawn(move || {
        serve_until(options, Some(stopped.into()), move |address| {
            // The only way to fail is that nobody waits any more.
            let _nobody_waits = ready.send(address);
        })
    })?;
    match listening.recv() {
        Ok(address) => Ok(Handle { address, stop, thread }),
        Err(_) => match thread.join() {
            Ok(Err(error)) => Err(error),
            _ => Err(io::Error::other("the mock ended before it listened")),
        },
    }
}

fn serve_until(
    options: Options,
    stop: Option<OwnedFd>,
    ready: impl FnOnce(SocketAddr) + 'static,
) -> io::Result<()> {
    let ring = Ring::build(&ring::Options::default())?;
    ring.run(async move {
        let listener = Listener::bind(options.address, options.may_share, BACKLOG)?;
        let control = options.control.map(|address| Listener::bind(address, false, BACKLOG));
        let control = control.transpose()?;
        let address = listener.address()?;
        ready(address);
        let world = Rc::new(World::new(Options { address, ..options }));
        if let Some(control) = control {
            task::spawn(accept(control, Rc::clone(&world)));
        }
        match stop {
            None => mind(listener, world).await,
            Some(stop) => {
                let mut stop = Readiness::new(stop)?;
                task::spawn(mind(listener, world));
                std::future::poll_fn(|cx| stop.poll_readable(cx)).await?;
            }
        }
        Ok(())
    })
}

/// Takes connections as long as the door is open; closes and opens it as wished.
async fn mind(first: Listener, world: Rc<World>) {
    let mut listener = Some(first);
    loop {
        let is_open = world.switches.door() == Door::Open;
        let waited = switches::wish_or(&world.switches, |cx| match &mut listener {
            Some(listener) if is_open => listener.poll_readable(cx),
            _ => Poll::Pending,
        });
        match waited.await {
            Ok(waited) => {
                if let Some(listener) = &listener {
                    take_waiting(listener, &world).await;
                }
                if waited.is_err() {
                    clock::sleep(ACCEPT_PAUSE).await;
                }
            }
            Err(door) => {
                drop(listener.take());
                let backlog = if door == Door::Silent { 0 } else { BACKLOG };
                if door != Door::Closed {
                    let Options { address, may_share, .. } = world.options;
                    listener = Listener::bind(address, may_share, backlog).ok();
                }
                if listener.is_some() == (door != Door::Closed) {
                    world.switches.note_door(door);
                } else {
                    // The kernel has not yet let go of the listener before.
                    clock::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn accept(mut listener: Listener, world: Rc<World>) {
    loop {
        let waited = listener.readable().await;
        take_waiting(&listener, &world).await;
        if waited.is_err() {
            clock::sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// Takes all connections that wait.
async fn take_waiting(listener: &Listener, world: &Rc<World>) {
    loop {
        match listener.try_accept() {
            Ok((socket, _)) => {
                if let Ok(stream) = prepare(socket) {
                    task::spawn(connection::live(stream, Rc::clone(world)));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // Out of descriptors, or the client left while it waited.
            Err(_) => clock::sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn prepare(socket: OwnedFd) -> io::Result<Stream> {
    let socket = TcpStream::from(socket);
    socket.set_nodelay(true)?;
    Stream::from_fd(socket.into())
}
