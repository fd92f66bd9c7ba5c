//! The clients of one thread: a table of them driven by one loop, as those in `client/`, but these leave and come back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use ringway::ring::clock;
use ringway::sys::limits;
use ringway::sys::socket;
use ringway::units::Moment;

use crate::client::destination::Destination;
use crate::poll::Poll;
use crate::schedule::Pace;
use crate::schedule::share_of;
use crate::streams::course::Course;
use crate::streams::course::Leave;
use crate::streams::dice::Dice;
use crate::streams::reader::Step;
use crate::streams::request::Requests;
use crate::streams::request::Way;
use crate::streams::story::Story;
use crate::streams::tally::Tally;
use former::Former;
use slot::Answer;
use slot::Phase;
use slot::Slot;

mod former;
mod leaving;
mod slot;
#[cfg(test)]
mod tests;

/// What one thread has to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// The behaviour of all; the thread takes its share.
    pub course: Course,
    /// Where requests go.
    pub destination: Destination,
    /// When the first stream starts.
    pub start: Moment,
    /// Number of this thread, of so many.
    pub share: usize,
    /// Number of threads.
    pub shares: usize,
}

/// Bytes that one receive takes at most.
const ROOM_BYTES: usize = 64 * 1024;
/// How long a client rests after a failure.
const PAUSE: Duration = Duration::from_millis(50);
/// The loop looks at the clock at least so often.
const LOOK: Duration = Duration::from_millis(50);
/// Share of the connections that are used for the next stream, where they may be.
const REUSES: f64 = 0.5;

/// Runs the share of one thread to its end.
///
/// # Errors
/// The system's, where the tester itself cannot go on.
pub fn run(job: Job) -> io::Result<Tally> {
    limits::own_file_table()?;
    limits::precise_sleep();
    let mut crew = Crew::new(job)?;
    crew.run()?;
    Ok(crew.tally)
}

/// Something that happens to a client at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// It begins or comes back.
    Go,
    /// It leaves.
    Leave,
}

struct Crew {
    job: Job,
    requests: Requests,
    poll: Poll,
    slots: Vec<Slot>,
    pace: Pace,
    /// What happens when to which client, in which of its turns.
    timers: BinaryHeap<Reverse<(Moment, usize, u32, Due)>>,
    formers: VecDeque<Box<Former>>,
    resumes_max: u64,
    streams: u64,
    tally: Tally,
    room: Vec<u8>,
}

impl Crew {
    fn new(job: Job) -> io::Result<Self> {
        let course = &job.course;
        let count = share_of(course.connections, job.share, job.shares);
        let host = job.destination.addresses.first().map_or_else(String::new, ToString::to_string);
        let resumes = usize::try_from(course.resumes_max).unwrap_or(usize::MAX);
        Ok(Self {
            requests: Requests::new(course, &host, &job.destination.prefix),
            poll: Poll::open()?,
            slots: (0..count).map(|_| Slot::default()).collect(),
            pace: Pace::over(job.start, course.ramp, count),
            timers: BinaryHeap::new(),
            formers: VecDeque::new(),
            resumes_max: share_of(resumes, job.share, job.shares) as u64,
            // Numbers of different threads and runs differ.
            streams: (job.share as u64 + 1) << 48 | (job.start.as_nanos() & 0xffff_ff00) << 16,
            tally: Tally::default(),
            room: vec![0; ROOM_BYTES],
            job,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let until = self.job.course.until;
        let end = until.after(self.job.course.patience);
        let mut sockets = Vec::new();
        loop {
            let now = clock::now();
            if now >= end || (!self.may_begin(now) && self.is_idle()) {
                break;
            }
            while self.may_begin(now) && self.pace.take_due(now).is_some() {
                self.begin(self.pace.begun().saturating_sub(1), now);
            }
            self.go_due(now);
            self.look_at_formers(now);
            let timer = self.timers.peek().map_or(Moment::NEVER, |Reverse((at, ..))| *at);
            let wait = self.pace.next().min(timer).min(end).since(now).min(LOOK);
            self.poll.wait(wait, &mut sockets)?;
            for ready in sockets.drain(..) {
                if let Ok(at) = usize::try_from(ready.key) {
                    self.go_on(at);
                }
            }
        }
        for slot in &mut self.slots {
            if slot.phase != Phase::Free {
                self.tally.counts.unfinished += 1;
            }
            self.tally.counts.open += u64::from(slot.phase == Phase::Reading);
            slot.socket = None;
        }
        Ok(())
    }

    /// Whether a stream may begin.
    fn may_begin(&self, now: Moment) -> bool {
        now < self.job.course.until && self.tally.counts.resumed < self.resumes_max
    }

    fn is_idle(&self) -> bool {
        self.formers.is_empty() && self.slots.iter().all(|slot| slot.phase == Phase::Free)
    }

    fn go_due(&mut self, now: Moment) {
        while let Some(Reverse((at, number, turn, due))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            let slot = &self.slots[number];
            if slot.turn != turn {
                continue;
            }
            match (due, slot.phase) {
                (Due::Go, Phase::Away) => self.come_back(number, now),
                (Due::Go, Phase::Free) => self.begin(number, now),
                (Due::Leave, Phase::Reading | Phase::Sending) => self.leave(number, now),
                _ => {}
            }
        }
    }

    fn look_at_formers(&mut self, now: Moment) {
        while self.formers.front().is_some_and(|former| former.due <= now) {
            let Some(former) = self.formers.pop_front() else { break };
            match former.end(&self.job.course.endings, &mut self.room) {
                Ok(()) => self.tally.counts.dismissed += 1,
                Err(wrong) => self.tally.fail(wrong),
            }
        }
    }

    /// Begins a stream, if one may begin.
    fn begin(&mut self, at: usize, now: Moment) {
        let may_begin = self.may_begin(now);
        let slot = &mut self.slots[at];
        if !may_begin {
            slot.phase = Phase::Free;
            slot.socket = None;
            return;
        }
        let course = &self.job.course;
        self.streams += 1;
        self.tally.counts.streams += 1;
        // What happens to a stream does not depend on what else happens at the time.
        let mut dice = Dice::new(course.seed);
        let salt = dice.next().wrapping_add((self.job.share as u64) << 40);
        let mut dice = Dice::new(salt.wrapping_add(self.tally.counts.streams));
        let is_resumable = dice.is(course.resumable);
        let split = dice.one_of(&course.splits).unwrap_or(0);
        slot.begin(Story::new(self.streams, course.events), dice, is_resumable, split);
        let request = self.requests.first(&slot.story, is_resumable, split);
        self.ask(at, request, false, now);
    }

    fn come_back(&mut self, at: usize, now: Moment) {
        let slot = &mut self.slots[at];
        let ways: &[Way] = match slot.story.seq {
            0 => &[Way::Post, Way::Get, Way::GetAll],
            _ => &[Way::Post, Way::Get],
        };
        let way = slot.dice.one_of(ways).unwrap_or(Way::Post);
        self.tally.note_way(way.name());
        let request = self.requests.back(&slot.story, way, slot.split);
        self.ask(at, request, true, now);
    }

    fn ask(&mut self, at: usize, request: Vec<u8>, is_return: bool, now: Moment) {
        let cut_at = self.cut_at(at, is_return);
        let slot = &mut self.slots[at];
        slot.ask(request, is_return, cut_at, now);
        if let Leave::AtTime { mean, .. } = self.job.course.leave {
            let leave = now.after(slot.dice.lifetime(mean));
            self.timers.push(Reverse((leave, at, slot.turn, Due::Leave)));
        }
        if slot.socket.is_none()
            && let Err(error) = self.connect(at)
        {
            self.fail(at, format!("connect: {error}"));
            return;
        }
        self.send(at);
    }

    fn connect(&mut self, at: usize) -> io::Result<()> {
        let sources = self.job.course.sources;
        let last = u8::try_from(1 + at % sources).unwrap_or(1);
        let local = (sources > 1).then(|| SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)));
        let addresses = &self.job.destination.addresses;
        let dial = socket::Dial { local, ..socket::Dial::default() };
        let socket = socket::connect(addresses[at % addresses.len()], dial)?;
        self.poll.add(socket.as_raw_fd(), at as u64)?;
        self.slots[at].socket = Some(socket);
        self.tally.counts.connections += 1;
        Ok(())
    }

    fn send(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        let Some(socket) = &slot.socket else { return };
        match socket::send(socket.as_raw_fd(), &slot.request[slot.sent..]) {
            Ok(sent) => {
                slot.sent += sent;
                if slot.sent == slot.request.len() {
                    slot.request = Vec::new();
                    slot.phase = Phase::Reading;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.fail(at, format!("send: {}", error.kind())),
        }
    }

    /// Something happened to the connection of a client.
    fn go_on(&mut self, at: usize) {
        match self.slots[at].phase {
            Phase::Sending => self.send(at),
            Phase::Reading => self.read(at),
            Phase::Free | Phase::Away => {}
        }
    }

    /// Reads what is there, but not beyond the byte at which the client leaves.
    fn read(&mut self, at: usize) {
        let mut room = std::mem::take(&mut self.room);
        let turn = self.slots[at].turn;
        while self.slots[at].turn == turn && self.slots[at].phase == Phase::Reading {
            let slot = &mut self.slots[at];
            let left = usize::try_from(slot.cut_at - slot.got).unwrap_or(usize::MAX);
            if left == 0 {
                self.leave(at, clock::now());
                break;
            }
            let Some(socket) = &slot.socket else { break };
            let bound = left.min(room.len());
            let got = match socket::recv(socket.as_raw_fd(), &mut room[..bound]) {
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.fail(at, format!("receive: {}", error.kind()));
                    break;
                }
            };
            let now = clock::now();
            let taken = if got == 0 {
                let end = slot.reader.take_close();
                end.map(|()| Step::Ended { is_reusable: false })
            } else {
                slot.take(&room[..got], now, &self.job.course, &mut self.tally)
            };
            self.took(at, taken, now);
        }
        self.room = room;
    }

    fn took(&mut self, at: usize, taken: Result<Step, String>, now: Moment) {
        let slot = &mut self.slots[at];
        if slot.reader.status() == 200 && slot.is_return {
            self.tally.counts.resumed += u64::from(!std::mem::replace(&mut slot.has_resumed, true));
            if let Some(mut former) = slot.former.take() {
                former.due = now.after(self.job.course.closes_within);
                self.formers.push_back(former);
            }
        }
        let is_reusable = match taken {
            Ok(Step::More) => return,
            Ok(Step::Ended { is_reusable }) => is_reusable,
            Err(wrong) => return self.fail(at, wrong),
        };
        match slot.answer(&self.job.course, &mut self.tally) {
            Ok(Answer::Stream) => self.tally.counts.whole += 1,
            Ok(Answer::NothingMore) => {
                self.tally.counts.nothing_more += 1;
                self.tally.counts.whole += 1;
            }
            Ok(Answer::Gone) => self.tally.counts.gone += 1,
            Err(wrong) => return self.fail(at, wrong),
        }
        if !is_reusable || !slot.dice.is(REUSES) {
            slot.socket = None;
        }
        self.begin(at, now);
    }

    /// Something is wrong with a stream: its client lets it be.
    fn fail(&mut self, at: usize, kind: String) {
        let slot = &mut self.slots[at];
        slot.socket = None;
        slot.former = None;
        slot.phase = Phase::Free;
        slot.turn = slot.turn.wrapping_add(1);
        self.timers.push(Reverse((clock::now().after(PAUSE), at, slot.turn, Due::Go)));
        self.tally.counts.failed += 1;
        self.tally.fail(kind);
    }
}
