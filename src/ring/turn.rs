//! Wake up less often under load: a bounded nap at the end of a turn, when events come fast but few at a time.
//!
//! A wake-up costs more than relaying an event does. When events arrive at a high rate one by one, a short nap
//! lets several gather, so that one wake-up serves them all. What counts is how often the ring really slept: events
//! that come in bursts share their wake-ups without a nap, and a ring that never sleeps has none to save.
//!
//! Who is in a stream already waits for its events anyway, and not for one of them: where most events are such, naps are longer.

use std::cell::Cell;
use std::task::Context;
use std::task::Waker;
use std::time::Duration;

use crate::ring::clock;
use crate::ring::outbox;
use crate::sys::limits;
use crate::units::Moment;

/// Sleeps a second from which napping pays.
const NAP_SLEEPS_PER_SECOND: u64 = 3_000;
/// A wake-up that serves this many events is shared well enough.
const FULL_WAKE_EVENTS: u64 = 12;
/// The same where most events are patient.
const FULL_WAKE_EVENTS_PATIENT: u64 = 24;
/// The longest nap where events are not patient, in microseconds.
const NAP_US_MAX: u64 = 300;
/// Of four events in a window so many must be patient for longer naps.
const PATIENT_OF_FOUR: u64 = 3;
/// How often the rate is measured anew.
const WINDOW: Duration = Duration::from_millis(4);
/// Windows with naps in a row, after which one without finds out whether they are still worth it.
const NAPPED_WINDOWS_MAX: u32 = 64;
/// A nap shorter than this costs more than it gathers.
const NAP_US_MIN: u64 = 50;

thread_local! {
    static TURN: Turn = const { Turn::new() };
}

struct Turn {
    root: Cell<Option<Waker>>,
    events: Cell<u64>,
    window: Cell<Window>,
    /// How long the ring naps after a turn with fewer events than so many.
    nap: Cell<Nap>,
    /// Windows with naps in a row.
    napped: Cell<u32>,
    /// Events of this window that can wait for others.
    patient: Cell<u64>,
    wake_us: Cell<u64>,
    turns: Cell<u64>,
    naps: Cell<u64>,
}

#[derive(Clone, Copy, Default)]
struct Window {
    began: Moment,
    events: u64,
    /// Waits of the thread and naps of the ring when the window began.
    waits: u64,
    naps: u64,
}

impl Turn {
    const fn new() -> Self {
        Self {
            root: Cell::new(None),
            events: Cell::new(0),
            window: Cell::new(Window {
                began: Moment::from_nanos(0),
                events: 0,
                waits: 0,
                naps: 0,
            }),
            nap: Cell::new(Nap::NONE),
            patient: Cell::new(0),
            napped: Cell::new(0),
            wake_us: Cell::new(0),
            turns: Cell::new(0),
            naps: Cell::new(0),
        }
    }
}

/// Turns with events and naps taken by this thread's ring so far.
#[must_use]
pub fn counts() -> (u64, u64) {
    TURN.with(|turn| (turn.turns.get(), turn.naps.get()))
}

pub(super) fn begin(wake_us: u32) {
    TURN.with(|turn| turn.wake_us.set(wake_us.into()));
}

/// Notes an event: something became readable or writable.
pub(super) fn note_event() {
    TURN.with(|turn| {
        let events = turn.events.get();
        turn.events.set(events + 1);
        if events == 0 {
            wake(turn);
        }
    });
}

/// Notes that an event was one that can wait for others: the next one of a stream that goes on.
pub fn note_patient() {
    TURN.with(|turn| turn.patient.set(turn.patient.get() + 1));
}

/// Has the root future polled at the end of this turn.
pub(super) fn wake_root() {
    TURN.with(wake);
}

fn wake(turn: &Turn) {
    if let Some(root) = turn.root.take() {
        root.wake_by_ref();
        turn.root.set(Some(root));
    }
}

/// Ends a turn: measures, and naps if that pays.
pub(super) fn end(cx: &Context<'_>) {
    TURN.with(|turn| {
        turn.root.set(Some(cx.waker().clone()));
        outbox::flush();
        clock::forget_recent();
        let events = turn.events.replace(0);
        if events == 0 {
            return;
        }
        turn.turns.set(turn.turns.get() + 1);
        let wake_us = turn.wake_us.get();
        if wake_us == 0 {
            return;
        }
        let mut window = turn.window.get();
        window.events += events;
        let now = clock::now();
        let age = now.since(window.began);
        if age >= WINDOW {
            let (waits, naps) = (limits::waits(), turn.naps.get());
            // A nap is a wait as well, but not one that was needed.
            let sleeps = (waits - window.waits).saturating_sub(naps - window.naps);
            let napped = if turn.nap.get().us > 0 { turn.napped.get() + 1 } else { 0 };
            turn.napped.set(napped);
            let patient = turn.patient.replace(0);
            turn.nap
                .set(nap(Seen { events: window.events, patient, sleeps, napped, age }, wake_us));
            window = Window { began: now, events: 0, waits, naps };
        }
        turn.window.set(window);
        let nap = turn.nap.get();
        if nap.us > 0 && events < nap.full {
            turn.naps.set(turn.naps.get() + 1);
            std::thread::sleep(Duration::from_micros(nap.us));
        }
    });
}

/// What a window saw.
#[derive(Clone, Copy, Debug)]
struct Seen {
    events: u64,
    /// Those of them that can wait.
    patient: u64,
    /// How often the ring slept because there was nothing to do.
    sleeps: u64,
    /// Windows with naps in a row, this one included.
    napped: u32,
    age: Duration,
}

/// How long to nap, in microseconds, after a turn with fewer events than `full`; zero for not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Nap {
    us: u64,
    full: u64,
}

impl Nap {
    const NONE: Self = Self { us: 0, full: 0 };
}

/// How long to nap after each turn, given what the last window saw.
///
/// While it naps the ring hardly sleeps, for that is what naps are for. So whether they are worth it is found out anew
/// every now and then, by a window without.
fn nap(seen: Seen, wake_us_max: u64) -> Nap {
    let Seen { events, patient, sleeps, napped, age } = seen;
    let age_us = u64::try_from(age.as_micros()).unwrap_or(u64::MAX).max(1);
    if age > WINDOW * 8 {
        return Nap::NONE;
    }
    let is_patient = patient.saturating_mul(4) >= events.saturating_mul(PATIENT_OF_FOUR);
    let (full, us_max) = match is_patient {
        true => (FULL_WAKE_EVENTS_PATIENT, wake_us_max),
        false => (FULL_WAKE_EVENTS, wake_us_max.min(NAP_US_MAX)),
    };
    let per_second = events.saturating_mul(1_000_000) / age_us;
    let sleeps_per_second = sleeps.saturating_mul(1_000_000) / age_us;
    let is_worth_it = if napped > 0 {
        napped < NAPPED_WINDOWS_MAX && per_second >= NAP_SLEEPS_PER_SECOND
    } else {
        sleeps_per_second >= NAP_SLEEPS_PER_SECOND && events / sleeps.max(1) < FULL_WAKE_EVENTS
    };
    let gather_us = full * 1_000_000 / per_second.max(1);
    if !is_worth_it || gather_us < NAP_US_MIN {
        return Nap::NONE;
    }
    Nap { us: gather_us.min(us_max), full }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(events: u64, sleeps: u64, napped: u32) -> Seen {
        Seen { events, patient: 0, sleeps, napped, age: WINDOW }
    }

    fn us(events: u64, sleeps: u64, napped: u32, wake_us_max: u64) -> u64 {
        nap(seen(events, sleeps, napped), wake_us_max).us
    }

    #[test]
    fn a_quiet_ring_never_naps() {
        assert_eq!(us(8, 8, 0, 500), 0);
        assert_eq!(us(8, 8, 1, 500), 0);
        assert_eq!(
            nap(Seen { age: Duration::from_secs(1), ..seen(4_000, 4_000, 0) }, 500),
            Nap::NONE
        );
    }

    #[test]
    fn single_events_that_each_wake_the_ring_are_gathered_within_the_bound() {
        assert_eq!(us(80, 80, 0, 200), 200);
        assert_eq!(us(80, 80, 0, 2_000), NAP_US_MAX, "a request waits");
        assert_eq!(us(400, 200, 0, 300), 120);
        assert_eq!(us(400, 10, 1, 300), 120, "and go on being gathered");
    }

    /// Streams that go on can wait for longer, and so more are gathered.
    #[test]
    fn patient_events_are_gathered_for_longer() {
        let streams = |events, patient| nap(Seen { patient, ..seen(events, 80, 0) }, 1_000);
        assert_eq!(streams(80, 80), Nap { us: 1_000, full: FULL_WAKE_EVENTS_PATIENT });
        assert_eq!(streams(400, 400).us, 240);
        assert_eq!(streams(80, 60).us, 1_000);
        assert_eq!(streams(80, 59), Nap { us: NAP_US_MAX, full: FULL_WAKE_EVENTS });
    }

    #[test]
    fn whether_naps_are_worth_it_is_found_out_anew() {
        assert!(us(80, 0, NAPPED_WINDOWS_MAX - 1, 300) > 0);
        assert_eq!(us(80, 0, NAPPED_WINDOWS_MAX, 300), 0);
    }

    #[test]
    fn bursts_and_a_ring_that_never_sleeps_need_no_nap() {
        assert_eq!(us(80, 4, 0, 300), 0);
        assert_eq!(us(400, 0, 0, 300), 0);
    }
}
