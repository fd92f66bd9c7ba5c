//! Wake up less often under load: a bounded nap at the end of a turn, when events come fast but few at a time.
//!
//! A wake-up costs more than relaying an event does. When events arrive at a high rate one by one, a short nap
//! lets several gather, so that one wake-up serves them all. What counts is how often the ring really slept: events
//! that come in bursts share their wake-ups without a nap, and a ring that never sleeps has none to save.

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
    nap_us: Cell<u64>,
    /// Windows with naps in a row.
    napped: Cell<u32>,
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
            nap_us: Cell::new(0),
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
            let napped = if turn.nap_us.get() > 0 { turn.napped.get() + 1 } else { 0 };
            turn.napped.set(napped);
            turn.nap_us.set(nap_us(window.events, sleeps, napped, age, wake_us));
            window = Window { began: now, events: 0, waits, naps };
        }
        turn.window.set(window);
        if turn.nap_us.get() > 0 && events < FULL_WAKE_EVENTS {
            turn.naps.set(turn.naps.get() + 1);
            std::thread::sleep(Duration::from_micros(turn.nap_us.get()));
        }
    });
}

/// How long to nap after each turn, given what the last window saw; zero for not at all.
///
/// While it naps the ring hardly sleeps, for that is what naps are for. So whether they are worth it is found out anew
/// every now and then, by a window without.
fn nap_us(events: u64, sleeps: u64, napped: u32, age: Duration, wake_us_max: u64) -> u64 {
    let age_us = u64::try_from(age.as_micros()).unwrap_or(u64::MAX).max(1);
    if age > WINDOW * 8 {
        return 0;
    }
    let per_second = events.saturating_mul(1_000_000) / age_us;
    let sleeps_per_second = sleeps.saturating_mul(1_000_000) / age_us;
    let is_worth_it = if napped > 0 {
        napped < NAPPED_WINDOWS_MAX && per_second >= NAP_SLEEPS_PER_SECOND
    } else {
        sleeps_per_second >= NAP_SLEEPS_PER_SECOND && events / sleeps.max(1) < FULL_WAKE_EVENTS
    };
    let gather_us = FULL_WAKE_EVENTS * 1_000_000 / per_second.max(1);
    if !is_worth_it || gather_us < NAP_US_MIN { 0 } else { gather_us.min(wake_us_max) }
}

#[cfg(test)]
mod tests {
    use super::NAPPED_WINDOWS_MAX;
    use super::nap_us;
    use std::time::Duration;

    const WINDOW: Duration = Duration::from_millis(4);

    #[test]
    fn a_quiet_ring_never_naps() {
        assert_eq!(nap_us(8, 8, 0, WINDOW, 500), 0);
        assert_eq!(nap_us(8, 8, 1, WINDOW, 500), 0);
        assert_eq!(nap_us(4_000, 4_000, 0, Duration::from_secs(1), 500), 0);
    }

    #[test]
    fn single_events_that_each_wake_the_ring_are_gathered_within_the_bound() {
        assert_eq!(nap_us(80, 80, 0, WINDOW, 300), 300);
        assert_eq!(nap_us(400, 200, 0, WINDOW, 300), 120);
        assert_eq!(nap_us(400, 10, 1, WINDOW, 300), 120, "and go on being gathered");
    }

    #[test]
    fn whether_naps_are_worth_it_is_found_out_anew() {
        assert!(nap_us(80, 0, NAPPED_WINDOWS_MAX - 1, WINDOW, 300) > 0);
        assert_eq!(nap_us(80, 0, NAPPED_WINDOWS_MAX, WINDOW, 300), 0);
    }

    #[test]
    fn bursts_and_a_ring_that_never_sleeps_need_no_nap() {
        assert_eq!(nap_us(80, 4, 0, WINDOW, 300), 0);
        assert_eq!(nap_us(400, 0, 0, WINDOW, 300), 0);
    }
}
