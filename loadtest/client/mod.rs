//! The clients of one thread: a table of connections driven by one loop, because that costs least.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use ringway::ring::clock;
use ringway::sys::affinity;
use ringway::sys::limits;
use ringway::sys::socket;
use ringway::units::Moment;

use crate::client::connection::Connection;
use crate::client::connection::State;
use crate::client::connection::Step;
use crate::client::destination::Destination;
use crate::client::request::Bytes;
use crate::client::upstream::Upstream;
use crate::client::verify::Expected;
use crate::measure::tally::Fate;
use crate::measure::tally::Sample;
use crate::measure::tally::Tally;
use crate::plan::Plan;
use crate::poll::Poll;
use crate::poll::Ready;
use crate::schedule::Pace;
use crate::schedule::Times;
use crate::schedule::share_of;

pub mod connection;
pub mod destination;
pub mod request;
pub mod upstream;
pub mod verify;

/// What one thread has to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// The plan, whole; the thread takes its share.
    pub plan: Plan,
    /// Where requests go.
    pub destination: Destination,
    /// When.
    pub times: Times,
    /// Number of this thread, of so many.
    pub share: usize,
    /// Number of threads.
    pub shares: usize,
    /// The CPU to run on, if any.
    pub cpu: Option<usize>,
    /// Where this thread also answers as the model server, if it does.
    pub serve: Option<upstream::Place>,
    /// Whether each request is noted; also streams then get time to end after the last start.
    pub has_log: bool,
}

/// Bytes that one receive takes at most.
const ROOM_BYTES: usize = 64 * 1024;
/// How long a connection rests after a failure.
const PAUSE: Duration = Duration::from_millis(20);
/// How long whole answers may come after the last start.
const GRACE: Duration = Duration::from_secs(5);
/// How long the threads outlive the measured time at least.
const LINGER: Duration = Duration::from_millis(50);
/// Receive buffer of a slow reader.
const SLOW_BUFFER_BYTES: u32 = 4096;

/// Runs the share of one thread to its end.
///
/// # Errors
/// The system's, where the tester itself cannot go on.
pub fn run(job: Job) -> io::Result<Tally> {
    limits::own_file_table()?;
    limits::precise_sleep();
    if let Some(cpu) = job.cpu {
        // A refusal leaves the thread where the system puts it.
        let _unpinned = affinity::pin_to(cpu);
    }
    let mut worker = Worker::new(job)?;
    worker.run()?;
    Ok(worker.tally)
}

struct Worker {
    job: Job,
    poll: Poll,
    upstream: Option<Upstream>,
    connections: Vec<Connection>,
    request: Bytes,
    slow_request: Bytes,
    /// When connections start (closed loop) or requests do (open loop).
    pace: Pace,
    /// Connections without a request (open loop).
    idle: Vec<usize>,
    /// Requests that wait for a connection, by their intended start (open loop).
    waiting: VecDeque<Moment>,
    /// Connections that go on at a time: after a failure, or for the next slow read.
    later: BinaryHeap<Reverse<(Moment, usize)>>,
    under_way: u64,
    streams: u64,
    tally: Tally,
    room: Vec<u8>,
}

impl Worker {
    fn new(job: Job) -> io::Result<Self> {
        let plan = &job.plan;
        let fast = share_of(plan.connections, job.share, job.shares);
        let slow = share_of(plan.clients.slow, job.share, job.shares);
        let mut connections: Vec<Connection> =
            (0..fast + slow).map(|_| Connection::default()).collect();
        for connection in &mut connections[fast..] {
            connection.is_slow = true;
        }
        let start = job.times.start;
        let pace = match plan.rate {
            Some(rate) => Pace::at_rate(start, rate, job.share, job.shares),
            None => Pace::over(start, Duration::from_secs_f64(plan.ramp_s), fast),
        };
        let host =
            job.destination.addresses.first().map_or_else(String::new, SocketAddr::to_string);
        let prefix = &job.destination.prefix;
        let later = (fast..fast + slow).map(|slot| Reverse((start, slot))).collect();
        let poll = Poll::open()?;
        Ok(Self {
            upstream: job.serve.map(|place| Upstream::listen(place, &poll)).transpose()?,
            poll,
            request: Bytes::of(plan, &host, prefix, false),
            slow_request: Bytes::of(plan, &host, prefix, true),
            idle: if plan.rate.is_some() { (0..fast).rev().collect() } else { Vec::new() },
            // Numbers of different threads and runs differ.
            streams: (job.share as u64 + 1) << 48 | (start.as_nanos() & 0xffff_ff00) << 16,
            connections,
            pace,
            waiting: VecDeque::new(),
            later,
            under_way: 0,
            tally: Tally { log: job.has_log.then(Vec::new), ..Tally::default() },
            room: vec![0; ROOM_BYTES],
            job,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let times = self.job.times;
        let (mut has_begun, mut has_ended) = (false, false);
        let is_cut = self.job.plan.request.stream && !self.job.has_log;
        let grace = if is_cut { Duration::ZERO } else { GRACE };
        let mut sockets = Vec::new();
        loop {
            let now = clock::now();
            if !has_begun && now >= times.from {
                has_begun = true;
                self.tally.counts.open_from = self.under_way;
            }
            if now >= times.to {
                if !has_ended {
                    has_ended = true;
                    self.tally.counts.open_to = self.under_way;
                }
                // Not before the reading of what the tester itself costs, which is of living threads.
                let may_end = self.under_way == 0 && now >= times.to.after(LINGER);
                if may_end || now >= times.to.after(grace.max(LINGER)) {
                    break;
                }
            } else {
                self.start_due(now);
            }
            self.poll.wait(self.next_wait(now), &mut sockets)?;
            for ready in sockets.drain(..) {
                self.take_ready(ready)?;
            }
        }
        self.finish();
        Ok(())
    }

    fn take_ready(&mut self, ready: Ready) -> io::Result<()> {
        if ready.key >= upstream::KEYS {
            let upstream = self.upstream.as_mut();
            return upstream.map_or(Ok(()), |u| u.go_on(ready, &mut self.room, &self.poll));
        }
        if let Ok(slot) = usize::try_from(ready.key) {
            self.connections[slot].is_hung_up |= ready.is_hung_up;
            self.go_on(slot);
        }
        Ok(())
    }

    /// Closes everything; what is under way is cut.
    fn finish(&mut self) {
        for connection in &mut self.connections {
            if connection.is_under_way() {
                self.tally.counts.unfinished += 1;
                self.tally.note(|| connection.sample(false));
                let is_owed = !self.job.plan.request.stream || self.job.has_log;
                if is_owed && !connection.is_slow {
                    self.tally.fail("no answer");
                }
            }
            connection.close();
        }
        for start in self.waiting.drain(..) {
            self.tally.note(|| Sample { start, first: None, fate: Fate::Hideable });
            self.tally.fail("never started: all connections busy");
        }
    }

    fn next_wait(&self, now: Moment) -> Duration {
        let times = &self.job.times;
        let border = if now < times.from { times.from } else { times.to };
        let later = self.later.peek().map_or(Moment::NEVER, |Reverse((at, _))| *at);
        let next = self.pace.next().min(later).min(border);
        if next <= now && now >= times.to {
            return PAUSE;
        }
        next.since(now).min(Duration::from_millis(100))
    }

    fn start_due(&mut self, now: Moment) {
        while let Some(Reverse((at, slot))) = self.later.peek().copied() {
            if at > now {
                break;
            }
            self.later.pop();
            if self.connections[slot].is_slow && self.connections[slot].socket.is_some() {
                self.read_slowly(slot, now);
            } else {
                self.start(slot, now);
            }
        }
        while let Some(intended) = self.pace.take_due(now) {
            if self.job.plan.rate.is_none() {
                let slot = self.next_ramped();
                self.start(slot, intended);
                continue;
            }
            match self.idle.pop() {
                Some(slot) => self.start(slot, intended),
                None => {
                    self.tally.counts.queued += 1;
                    self.waiting.push_back(intended);
                }
            }
        }
    }

    /// The next connection of the ramp: those start in the order of the table.
    fn next_ramped(&self) -> usize {
        self.pace.begun().saturating_sub(1)
    }

    /// Starts a request that was meant to start at `intended`.
    fn start(&mut self, slot: usize, intended: Moment) {
        self.streams += 1;
        let stream = self.streams;
        let plan = &self.job.plan;
        let leave_at = plan.clients.abort_after_events.map_or(0, |(least, most)| {
            // Any spread will do, as long as it is the same each time.
            let dice = u32::try_from(stream.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40).unwrap_or(0);
            least + dice % (most - least + 1)
        });
        let connection = &mut self.connections[slot];
        let events = if connection.is_slow {
            100_000_000
        } else if plan.request.stream {
            plan.answer.events.unwrap_or(0)
        } else {
            0
        };
        let is_timed = !connection.is_slow;
        let status = plan.answer.status.unwrap_or(200);
        let expected = Expected { stream, status, events, is_timed, ..Expected::default() };
        connection.begin(expected, intended);
        connection.leave_at = leave_at;
        self.under_way += 1;
        if connection.socket.is_none()
            && let Err(error) = self.connect(slot)
        {
            self.fail(slot, format!("connect: {error}"));
            return;
        }
        self.send(slot);
    }

    fn connect(&mut self, slot: usize) -> io::Result<()> {
        let sources = self.job.plan.sources;
        let last = u8::try_from(1 + slot % sources).unwrap_or(1);
        let local = (sources > 1).then(|| SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)));
        let addresses = &self.job.destination.addresses;
        let connection = &mut self.connections[slot];
        let receive_bytes = if connection.is_slow { SLOW_BUFFER_BYTES } else { 0 };
        let dial = socket::Dial { local, receive_bytes };
        let socket = socket::connect(addresses[slot % addresses.len()], dial)?;
        self.poll.add(socket.as_raw_fd(), slot as u64)?;
        connection.socket = Some(socket);
        self.tally.counts.connections += 1;
        Ok(())
    }

    fn send(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        let Some(socket) = &connection.socket else { return };
        let request = if connection.is_slow { &mut self.slow_request } else { &mut self.request };
        let bytes = request.with_stream(connection.expected.stream);
        match socket::send(socket.as_raw_fd(), &bytes[connection.sent..]) {
            Ok(sent) => {
                connection.sent += sent;
                if connection.sent == bytes.len() {
                    connection.state = State::Waiting;
                    if connection.is_slow {
                        self.later.push(Reverse((clock::now(), slot)));
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.fail(slot, format!("send: {}", error.kind())),
        }
    }

    /// Something happened to a connection.
    fn go_on(&mut self, slot: usize) {
        match self.connections[slot].state {
            State::Free => {}
            State::Sending => self.send(slot),
            State::Waiting | State::Body if self.connections[slot].is_slow => {}
            State::Waiting | State::Body => self.read(slot, ROOM_BYTES),
            State::Idle | State::Closing => self.read_end(slot),
        }
    }

    fn read_slowly(&mut self, slot: usize, now: Moment) {
        let clients = &self.job.plan.clients;
        let gap = Duration::from_secs_f64(clients.slow_read_gap_ms / 1000.0);
        let bytes = clients.slow_read_bytes.min(ROOM_BYTES);
        if !self.connections[slot].is_under_way() {
            self.start(slot, now);
            return;
        }
        self.later.push(Reverse((now.after(gap), slot)));
        if self.connections[slot].state != State::Sending {
            self.read(slot, bytes);
        }
    }

    /// Reads what is there.
    fn read(&mut self, slot: usize, room_bytes: usize) {
        let mut room = std::mem::take(&mut self.room);
        loop {
            let connection = &mut self.connections[slot];
            let Some(socket) = &connection.socket else { break };
            let got = match socket::recv(socket.as_raw_fd(), &mut room[..room_bytes]) {
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.fail(slot, format!("receive: {}", error.kind()));
                    break;
                }
            };
            let now = clock::now();
            let times = &self.job.times;
            let step = if got == 0 {
                connection.take_close(now, times, &mut self.tally)
            } else {
                if times.measures(now) {
                    self.tally.counts.bytes += got as u64;
                }
                connection.take(&room[..got], now, times, &mut self.tally)
            };
            // The edge of an end that has come with the bytes does not come again.
            let has_more = got == room.len() || self.connections[slot].is_hung_up;
            self.take_step(slot, step, now);
            if !has_more {
                break;
            }
        }
        self.room = room;
    }

    fn take_step(&mut self, slot: usize, step: Step, now: Moment) {
        match step {
            Step::More => {}
            Step::Ended { is_reusable, is_right } => {
                self.under_way -= 1;
                let connection = &mut self.connections[slot];
                self.tally.note(|| connection.sample(is_right));
                // Who got a broken answer trusts its connection no more.
                let is_trusted = is_reusable && is_right && !connection.is_hung_up;
                if is_trusted && !self.job.plan.new_connections {
                    connection.state = State::Idle;
                    self.take_next(slot, now);
                } else if !is_right {
                    connection.close();
                    self.take_next(slot, now);
                } else {
                    // The other side closes first, so that the wait after it is its own.
                    connection.state = State::Closing;
                    self.read_end(slot);
                }
            }
            Step::Leaves => {
                self.under_way -= 1;
                self.tally.counts.aborted += 1;
                self.connections[slot].close();
                self.take_next(slot, now);
            }
            Step::Failed(kind) => self.fail(slot, kind),
        }
    }

    /// Reads the end of a connection that owes nothing.
    fn read_end(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        let Some(socket) = &connection.socket else { return };
        let was_idle = connection.state == State::Idle;
        match socket::recv(socket.as_raw_fd(), &mut self.room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Ok(got) if got > 0 => self.tally.fail("bytes that nobody asked for"),
            Ok(_) | Err(_) => {}
        }
        connection.close();
        if !was_idle {
            self.take_next(slot, clock::now());
        }
    }

    /// A connection is free for the next request.
    fn take_next(&mut self, slot: usize, now: Moment) {
        let may_start = now < self.job.times.to;
        if self.job.plan.rate.is_some() && !self.connections[slot].is_slow {
            match self.waiting.pop_front() {
                Some(intended) => self.start(slot, intended),
                None => self.idle.push(slot),
            }
        } else if may_start {
            self.start(slot, now);
        }
    }

    fn fail(&mut self, slot: usize, kind: String) {
        let connection = &mut self.connections[slot];
        if connection.is_under_way() {
            self.under_way -= 1;
            self.tally.note(|| connection.sample(false));
        }
        connection.close();
        self.tally.fail(kind);
        if self.job.plan.rate.is_some() && !connection.is_slow {
            self.idle.insert(0, slot);
        } else {
            self.later.push(Reverse((clock::now().after(PAUSE), slot)));
        }
    }
}
