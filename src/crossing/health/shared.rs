//! What all threads know of one endpoint, and change: its breaker, its places, and what control says of it.

#![expect(unsafe_code, reason = "it is made of zeroed memory")]

use std::sync::atomic::AtomicU64;

use crate::balance::breaker;
use crate::balance::breaker::Reason;
use crate::balance::breaker::Rule;
use crate::balance::breaker::State;
use crate::balance::verdict::Verdict;
use crate::crossing::health::latency::Live;
use crate::crossing::health::state::Check;
use crate::crossing::health::state::SlotState;
use crate::crossing::health::state::Trouble;
use crate::crossing::lines::Zeroable;
use crate::crossing::word::Word;
use crate::units::Moment;

/// Reasons why a breaker opens.
pub(super) const REASONS: usize = Reason::ALL.len();

/// What all threads know of one endpoint.
///
/// The first line is what an attempt looks at; it changes when an attempt fails, and otherwise once a second. The second
/// is written with every attempt where places are counted, and holds what nobody looks at in a hurry.
#[repr(C, align(128))]
pub(super) struct Shared<W> {
    /// A [`breaker::Word`].
    breaker: W,
    /// Nanoseconds of the clock, like those below: it said not to come before.
    paused: W,
    ejected: W,
    /// A [`Check`].
    check: W,
    /// Failures in a row, on the node.
    failures: W,
    since: W,
    /// See [`Live::words`].
    live: [W; 2],
    /// When it was first asked since it appeared, in nanoseconds of the clock; [`UNASKED`] before.
    first: W,
    second: Second<W>,
}

#[repr(C, align(128))]
struct Second<W> {
    places: W,
    opened: [W; REASONS],
    probes: W,
}

// SAFETY: it is atomic integers, and padding behind those of each line.
unsafe impl Zeroable for Shared<AtomicU64> {}

/// It has appeared, and nobody has asked it. Zero, as memory begins, is one that was there from the start.
const UNASKED: u64 = 1;

const _: () = assert!(size_of::<Shared<AtomicU64>>() == 256);
const _: () = assert!(std::mem::offset_of!(Shared<AtomicU64>, second) == 128);

/// An attempt that is noted.
#[derive(Clone, Copy)]
pub(super) struct Noted<'r> {
    pub(super) verdict: Verdict,
    /// Whether it was the breaker's probe.
    pub(super) is_probe: bool,
    /// None: there is no breaker.
    pub(super) rule: Option<&'r Rule>,
    pub(super) now: Moment,
    pub(super) dice: u64,
}

impl<W: Word> Shared<W> {
    /// How it is. All that is looked at is on one line; while it is well and has always been, zeroes are all there is to see.
    #[inline]
    pub(super) fn state(&self, now: Moment) -> SlotState {
        let (breaker, check) = (self.breaker(), self.check());
        let (paused, ejected) = (self.paused(), self.ejected());
        let is_quiet = breaker == breaker::Word::FRESH && paused.max(ejected) == Moment::default();
        if is_quiet && check != Check::Failing {
            return SlotState::Well;
        }
        let state = breaker.state(now);
        let is_refused = breaker.reason() == Reason::Credential;
        // Of several troubles the one that is the least likely to pass by itself.
        let trouble = match state {
            State::Open { until, .. } if is_refused => Trouble::CredentialBad { until },
            _ if check == Check::Failing => Trouble::Unhealthy,
            State::Open { until, .. } => Trouble::Open { until },
            State::HalfOpen => Trouble::Probed { is_refused },
            _ if ejected > now => Trouble::Ejected { until: ejected },
            _ if paused > now => Trouble::Paused { until: paused },
            State::Due => Trouble::Due,
            State::Closed => return SlotState::Well,
        };
        SlotState::Troubled(trouble)
    }

    /// Claims the breaker's probe: of all who do, one gets it.
    pub(super) fn claim_probe(&self, now: Moment) -> bool {
        let claim = |word| breaker::Word(word).claim(now).map(|claimed| claimed.0);
        let is_claimed = self.breaker.change(claim).is_some();
        if is_claimed {
            increase(&self.second.probes);
        }
        is_claimed
    }

    /// The probe tells nothing.
    pub(super) fn release_probe(&self) {
        self.breaker.change(|word| changed(word, breaker::Word(word).release()));
    }

    /// Lets an attempt's verdict change the breaker. `window`: what was good and bad within the window, but not in the
    /// part of this moment or before; asked for only if that matters.
    #[inline]
    pub(super) fn note(&self, noted: Noted<'_>, window: impl FnOnce(Moment) -> (u32, u32)) {
        match noted.verdict {
            Verdict::Good => {
                if self.failures.load() > 0 {
                    self.failures.change(|failures| (failures > 0).then_some(0));
                }
                if noted.is_probe {
                    self.close(noted.now);
                }
            }
            Verdict::Bad | Verdict::Throttled if noted.is_probe => self.fail_probe(noted),
            Verdict::Bad | Verdict::Throttled => self.fail(noted, window),
            Verdict::CredentialBad => self.refuse(noted),
            Verdict::Neutral if noted.is_probe => self.release_probe(),
            Verdict::Neutral => {}
        }
    }

    /// A request failed that was not the probe: opens the breaker if that is one too many.
    ///
    /// While it is not closed nothing is counted: what fails then was sent before, and tells nothing new. It opens in the
    /// place of the word that was seen before the failure was counted, so that of all who find it one too many one opens it,
    /// and none who has slept meanwhile opens it again.
    fn fail(&self, noted: Noted<'_>, window: impl FnOnce(Moment) -> (u32, u32)) {
        let Some(rule) = noted.rule else { return };
        let seen = self.breaker();
        if !seen.is_closed() {
            return;
        }
        let failures = increase(&self.failures).saturating_add(1);
        let reason = if failures >= u64::from(rule.consecutive) {
            Reason::Failures
        } else {
            let (good, bad) = window(self.since());
            if !breaker::is_too_bad(rule, good, bad) {
                return;
            }
            Reason::ErrorRate
        };
        let open = seen.open(reason, rule, noted.now, noted.dice);
        if self.breaker.replace(seen.0, open.0) {
            increase(&self.second.opened[reason as usize]);
        }
    }

    /// The probe failed: open again, for longer.
    fn fail_probe(&self, noted: Noted<'_>) {
        // The breaker was turned off while the probe was out.
        let Some(rule) = noted.rule else { return self.close(noted.now) };
        let opened = self.breaker.change(|word| {
            let word = breaker::Word(word);
            let is_out = word.state(noted.now) == State::HalfOpen;
            is_out.then(|| word.open(Reason::Failures, rule, noted.now, noted.dice).0)
        });
        if opened.is_some() {
            increase(&self.second.opened[Reason::Failures as usize]);
        }
    }

    /// It refused our credential: whatever the breaker did, it is open for that now. Not while a probe is out which this is
    /// not: the probe will find out.
    fn refuse(&self, noted: Noted<'_>) {
        let Some(rule) = noted.rule else {
            // The breaker was turned off while the probe was out.
            if noted.is_probe {
                self.close(noted.now);
            }
            return;
        };
        let reason = Reason::Credential;
        let opened = self.breaker.change(|word| {
            let old = breaker::Word(word);
            let is_out = old.state(noted.now) == State::HalfOpen;
            let open = old.open(reason, rule, noted.now, noted.dice);
            (is_out == noted.is_probe).then_some(open.0).filter(|open| *open != word)
        });
        let Some(old) = opened.map(breaker::Word) else { return };
        if !matches!(old.state(noted.now), State::Open { reason: Reason::Credential, .. }) {
            increase(&self.second.opened[reason as usize]);
        }
    }

    /// The probe was good. What was counted before must not open it again: who sees it closed sees that it counts from now.
    fn close(&self, now: Moment) {
        let closed = |word| changed(word, breaker::Word(word).succeed(now));
        if closed(self.breaker.load()).is_none() {
            return;
        }
        self.well_from(now);
        self.failures.change(|failures| (failures > 0).then_some(0));
        self.breaker.change(closed);
    }

    /// Takes one of so many places.
    #[inline]
    pub(super) fn claim_place(&self, max: u32) -> bool {
        self.second.places.change(|taken| (taken < u64::from(max)).then(|| taken + 1)).is_some()
    }

    /// Gives a place back.
    #[inline]
    pub(super) fn give_place(&self) {
        self.second.places.change(|taken| taken.checked_sub(1));
    }

    /// It said not to come before; the longest of what it says counts.
    pub(super) fn pause(&self, until: Moment) {
        let until = until.as_nanos();
        self.paused.change(|paused| (paused < until).then_some(until));
    }

    /// Control leaves it out until then.
    pub(super) fn eject(&self, until: Moment) {
        self.ejected.change(|_| Some(until.as_nanos()));
    }

    /// It is asked: notes the first time.
    #[inline]
    pub(super) fn ask(&self, now: Moment) {
        if self.first.load() == UNASKED {
            let now = now.as_nanos().max(UNASKED + 1);
            self.first.change(|first| (first == UNASKED).then_some(now));
        }
    }

    /// When it was first asked since it appeared.
    pub(super) fn first(&self) -> Option<Moment> {
        let first = self.first.load();
        (first > UNASKED).then(|| Moment::from_nanos(first))
    }

    /// It is another one from now on, of which nothing is known. Nobody else may know the old one any more.
    pub(super) fn clear(&self) {
        let Second { places, opened, probes } = &self.second;
        let first = [&self.breaker, &self.paused, &self.ejected, &self.check, &self.failures];
        let first = first.into_iter().chain([&self.since, &self.first]).chain(&self.live);
        for word in first.chain([places, probes]).chain(opened) {
            word.change(|old| (old != 0).then_some(0));
        }
    }

    /// It is there, and nothing is known of it.
    pub(super) fn appear(&self, now: Moment) {
        self.first.change(|_| Some(UNASKED));
        self.check.change(|_| Some(Check::Unknown as u64));
        self.well_from(now);
    }

    /// What its health checks say.
    pub(super) fn set_check(&self, check: Check, now: Moment) {
        // It counts as new before it is seen to be well.
        if self.check() == Check::Failing && check != Check::Failing {
            self.well_from(now);
        }
        self.check.change(|_| Some(check as u64));
    }

    pub(super) fn publish(&self, live: Live) {
        for (cell, word) in self.live.iter().zip(live.words()) {
            cell.change(|old| (old != word).then_some(word));
        }
    }

    #[inline]
    pub(super) fn live(&self) -> Live {
        let [middle, end] = &self.live;
        Live::of([middle.load(), end.load()])
    }

    /// Since when it has been there, or been well again. In the future while it is ejected.
    #[inline]
    pub(super) fn since(&self) -> Moment {
        Moment::from_nanos(self.since.load()).max(self.ejected())
    }

    fn well_from(&self, now: Moment) {
        let now = now.as_nanos();
        self.since.change(|since| (since < now).then_some(now));
    }

    #[inline]
    pub(super) fn breaker(&self) -> breaker::Word {
        breaker::Word(self.breaker.load())
    }

    #[inline]
    pub(super) fn paused(&self) -> Moment {
        Moment::from_nanos(self.paused.load())
    }

    #[inline]
    pub(super) fn ejected(&self) -> Moment {
        Moment::from_nanos(self.ejected.load())
    }

    #[inline]
    pub(super) fn check(&self) -> Check {
        Check::of(self.check.load())
    }

    pub(super) fn failures(&self) -> u32 {
        u32::try_from(self.failures.load()).unwrap_or(u32::MAX)
    }

    pub(super) fn places(&self) -> u32 {
        u32::try_from(self.second.places.load()).unwrap_or(u32::MAX)
    }

    pub(super) fn probes(&self) -> u64 {
        self.second.probes.load()
    }

    pub(super) fn opened(&self) -> [u64; REASONS] {
        self.second.opened.each_ref().map(W::load)
    }
}

/// One more; returns how many there were before.
fn increase(count: &impl Word) -> u64 {
    count.change(|count| Some(count.wrapping_add(1))).unwrap_or(0)
}

/// What is to be put in the place of `old`, if that is anything else.
fn changed(old: u64, new: breaker::Word) -> Option<u64> {
    (new.0 != old).then_some(new.0)
}

#[cfg(test)]
mod tests;
