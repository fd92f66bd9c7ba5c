//! Wake up less often under load: a bounded nap at the end of a turn, when events come fast but few at a time.
//!
//! A wake-up costs more than relaying an event does. When events arrive at a high rate one by one, a short nap
//! lets several gather, so that one wake-up serves them all. When turns are full of work anyway, or when little
//! happens, there is no nap.

use std::cell::Cell;
use std::task::Context;
use std::task::Waker;
use std::time::Duration;

use crate::ring::clock;
use crate::ring::outbox;
use crate::units::Moment;

/// Events a second from which napping pays.
const NAP_EVENTS_PER_SECOND: u64 = 4_000;
/// A turn with this many events needs no nap: it already shares its wake-up.
const FULL_TURN_EVENTS: u64 = 12;
/// How often the rate is measured anew.
const WINDOW: Duration = Duration::from_millis(4);
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
    wake_us: Cell<u64>,
    turns: Cell<u64>,
    naps: Cell<u64>,
}

#[derive(Clone, Copy, Default)]
struct Window {
    began: Moment,
    events: u64,
    turns: u64,
}

impl Turn {
    const fn new() -> Self {
        Self {
            root: Cell::new(None),
            events: Cell::new(0),
            window: Cell::new(Window { began: Moment::from_nanos(0), events: 0, turns: 0 }),
            nap_us: Cell::new(0),
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
        window.turns += 1;
        let now = clock::now();
        let age = now.since(window.began);
        if age >= WINDOW {
            turn.nap_us.set(nap_us(window.events, window.turns, age, wake_us));
            window = Window { began: now, events: 0, turns: 0 };
        }
        turn.window.set(window);
        if turn.nap_us.get() > 0 && events < FULL_TURN_EVENTS {
            turn.naps.set(turn.naps.get() + 1);
            std::thread::sleep(Duration::from_micros(turn.nap_us.get()));
        }
    });
}

/// How long to nap after each turn, given what the last window saw; zero for not at all.
fn nap_us(events: u64, turns: u64, age: Duration, wake_us_max: u64) -> u64 {
    let age_us = u64::try_from(age.as_micros()).unwrap_or(u64::MAX).max(1);
    let per_second = events.saturating_mul(1_000_000) / age_us;
    let is_stale = age > WINDOW * 8;
    if is_stale || per_second < NAP_EVENTS_PER_SECOND || events / turns.max(1) >= FULL_TURN_EVENTS {
        return 0;
    }
    let gather_us = FULL_TURN_EVENTS * 1_000_000 / per_second;
    if gather_us < NAP_US_MIN { 0 } else { gather_us.min(wake_us_max) }
}

#[cfg(test)]
mod tests {
    use super::nap_us;
    use std::time::Duration;

    const WINDOW: Duration = Duration::from_millis(4);

    #[test]
    fn a_quiet_ring_never_naps() {
        assert_eq!(nap_us(8, 8, WINDOW, 500), 0);
        assert_eq!(nap_us(1_000, 1_000, Duration::from_secs(1), 500), 0);
    }

    #[test]
    fn many_single_events_are_gathered_within_the_bound() {
        assert_eq!(nap_us(80, 80, WINDOW, 300), 300);
        assert_eq!(nap_us(400, 200, WINDOW, 300), 120);
    }

    #[test]
    fn full_turns_need_no_nap() {
        assert_eq!(nap_us(400, 20, WINDOW, 300), 0);
    }
}
