//! The time, and timers that cost nothing while they are only moved.
//!
//! A timer stores its deadline; the queue of wake-ups learns of it only when it would otherwise wake too late.
//! So a deadline that is put off with each event costs one store, and the queue holds one entry per timer.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use crate::ring::stream::Readiness;
use crate::ring::task;
use crate::sys::socket;
use crate::units::Moment;

pub use crate::sys::clock::now;

/// A time of this turn: as good as [`now`] where a millisecond does not matter, and read once per turn.
#[must_use]
pub fn recent() -> Moment {
    RECENT.get().unwrap_or_else(|| {
        let now = now();
        RECENT.set(Some(now));
        now
    })
}

/// The turn has ended: the next one has a time of its own.
pub(super) fn forget_recent() {
    RECENT.set(None);
}

thread_local! {
    static RECENT: Cell<Option<Moment>> = const { Cell::new(None) };
    static TIMERS: Cell<Timers> = const { Cell::new(Timers::new()) };
}

/// A deadline that wakes a task. It belongs to the ring of the thread that made it.
pub struct Timer {
    id: u32,
}

impl Timer {
    /// A timer that is not set.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a timer is a place in the ring's table")]
    pub fn new() -> Self {
        Self { id: with_timers(Timers::insert) }
    }

    /// Sets or moves the deadline; [`Moment::NEVER`] clears it.
    pub fn set(&self, deadline: Moment) {
        with_timers(|timers| timers.set(self.id, deadline));
    }

    /// Clears the deadline.
    pub fn clear(&self) {
        self.set(Moment::NEVER);
    }

    /// Ready once the deadline has passed; until then the task is woken when it does.
    pub fn poll_due(&self, cx: &Context<'_>) -> Poll<()> {
        with_timers(|timers| timers.poll(self.id, cx))
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        with_timers(|timers| timers.remove(self.id));
    }
}

/// Waits until a moment.
pub async fn sleep_until(deadline: Moment) {
    let timer = Timer::new();
    timer.set(deadline);
    std::future::poll_fn(|cx| timer.poll_due(cx)).await;
}

/// Waits for a while.
pub async fn sleep(wait: Duration) {
    sleep_until(now().after(wait)).await;
}

/// What wakes the ring at the next deadline.
pub(super) struct Alarm(OwnedFd);

impl Alarm {
    pub(super) fn open() -> io::Result<Self> {
        socket::timerfd().map(Self)
    }
}

/// Spawns the task that fires this thread's timers.
pub(super) fn run_alarm(alarm: Alarm) {
    let fd = alarm.0.as_raw_fd();
    with_timers(|timers| timers.start(fd));
    task::spawn(async move {
        let Ok(mut readiness) = Readiness::new(alarm.0) else { return };
        loop {
            let ready = std::future::poll_fn(|cx| readiness.poll_readable(cx)).await;
            socket::lower(fd);
            let now = now();
            with_timers(|timers| timers.fire(now));
            if ready.is_err() {
                return;
            }
        }
    });
}

fn with_timers<R>(work: impl FnOnce(&mut Timers) -> R) -> R {
    TIMERS.with(|cell| {
        let mut timers = cell.replace(Timers::new());
        let result = work(&mut timers);
        cell.set(timers);
        result
    })
}

struct Timers {
    entries: Vec<Entry>,
    free: Vec<u32>,
    queue: BinaryHeap<Reverse<(Moment, u32, u32)>>,
    alarm: RawFd,
    alarm_at: Moment,
}

struct Entry {
    deadline: Moment,
    /// When the queue looks at this timer; never later than the deadline.
    queued: Moment,
    /// Tells a queue entry of this timer from one of an earlier owner of the place.
    generation: u32,
    is_due: bool,
    waker: Option<Waker>,
}

impl Timers {
    const fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            queue: BinaryHeap::new(),
            alarm: -1,
            alarm_at: Moment::NEVER,
        }
    }

    fn start(&mut self, alarm: RawFd) {
        self.alarm = alarm;
        self.alarm_at = Moment::NEVER;
        self.set_alarm();
    }

    fn insert(&mut self) -> u32 {
        if let Some(id) = self.free.pop() {
            return id;
        }
        let id = u32::try_from(self.entries.len()).expect("fewer timers than 4 billion");
        self.entries.push(Entry {
            deadline: Moment::NEVER,
            queued: Moment::NEVER,
            generation: 0,
            is_due: false,
            waker: None,
        });
        id
    }

    fn remove(&mut self, id: u32) {
        // The thread may be ending, with the table gone before the last timer.
        let Some(entry) = self.entries.get_mut(id as usize) else { return };
        entry.deadline = Moment::NEVER;
        entry.queued = Moment::NEVER;
        entry.generation = entry.generation.wrapping_add(1);
        entry.is_due = false;
        entry.waker = None;
        self.free.push(id);
        // Entries of removed timers are dropped when most of the queue is made of them.
        let live = self.entries.len() - self.free.len();
        if self.queue.len() > 1024 && self.queue.len() > live * 4 {
            let entries = &self.entries;
            self.queue.retain(|Reverse((at, id, generation))| {
                let entry = &entries[*id as usize];
                entry.generation == *generation && entry.queued == *at
            });
        }
    }

    fn set(&mut self, id: u32, deadline: Moment) {
        let entry = &mut self.entries[id as usize];
        entry.deadline = deadline;
        entry.is_due = false;
        if deadline >= entry.queued {
            return;
        }
        entry.queued = deadline;
        self.queue.push(Reverse((deadline, id, entry.generation)));
        self.set_alarm();
    }

    fn poll(&mut self, id: u32, cx: &Context<'_>) -> Poll<()> {
        let entry = &mut self.entries[id as usize];
        if entry.is_due {
            return Poll::Ready(());
        }
        match &entry.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => entry.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn fire(&mut self, now: Moment) {
        self.alarm_at = Moment::NEVER;
        while let Some(&Reverse((at, id, generation))) = self.queue.peek() {
            if at > now {
                break;
            }
            self.queue.pop();
            let entry = &mut self.entries[id as usize];
            if entry.generation != generation || entry.queued != at {
                continue;
            }
            entry.queued = Moment::NEVER;
            if entry.deadline <= now {
                entry.is_due = true;
                if let Some(waker) = entry.waker.take() {
                    waker.wake();
                }
            } else if entry.deadline != Moment::NEVER {
                entry.queued = entry.deadline;
                self.queue.push(Reverse((entry.deadline, id, generation)));
            }
        }
        self.set_alarm();
    }

    fn set_alarm(&mut self) {
        let Some(&Reverse((at, ..))) = self.queue.peek() else { return };
        if at < self.alarm_at && self.alarm >= 0 {
            self.alarm_at = at;
            socket::arm(self.alarm, Duration::from_nanos(at.as_nanos()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn a_deadline_put_off_costs_no_queue_entry() {
        let mut timers = Timers::new();
        let id = timers.insert();
        for nanos in 10..1_000 {
            timers.set(id, Moment::from_nanos(nanos));
        }
        assert_eq!(timers.queue.len(), 1);
        timers.fire(Moment::from_nanos(500));
        assert!(timers.poll(id, &context()).is_pending());
        timers.fire(Moment::from_nanos(999));
        assert!(timers.poll(id, &context()).is_ready());
    }

    #[test]
    fn an_earlier_deadline_is_kept() {
        let mut timers = Timers::new();
        let id = timers.insert();
        timers.set(id, Moment::from_nanos(1_000));
        timers.set(id, Moment::from_nanos(10));
        timers.fire(Moment::from_nanos(10));
        assert!(timers.poll(id, &context()).is_ready());
        timers.set(id, Moment::from_nanos(2_000));
        assert!(timers.poll(id, &context()).is_pending());
        timers.fire(Moment::from_nanos(1_500));
        assert!(timers.poll(id, &context()).is_pending());
        timers.fire(Moment::from_nanos(2_000));
        assert!(timers.poll(id, &context()).is_ready());
    }

    #[test]
    fn a_removed_timer_does_not_fire_for_its_successor() {
        let mut timers = Timers::new();
        let first = timers.insert();
        timers.set(first, Moment::from_nanos(10));
        timers.remove(first);
        let second = timers.insert();
        assert_eq!(first, second);
        timers.set(second, Moment::from_nanos(100));
        timers.fire(Moment::from_nanos(50));
        assert!(timers.poll(second, &context()).is_pending());
    }

    #[test]
    fn the_queue_stays_small_when_timers_come_and_go() {
        let mut timers = Timers::new();
        for round in 0..100_000 {
            let id = timers.insert();
            timers.set(id, Moment::from_nanos(1_000_000 + round));
            timers.remove(id);
        }
        assert!(timers.queue.len() <= 1_025);
    }
}
