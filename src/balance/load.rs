//! How quick an endpoint is, and how much of its weight a new one has.

use std::time::Duration;

use crate::units::Moment;

/// After this long, a latency that is not seen again counts for 1/e of what it was.
const DECAY: Duration = Duration::from_secs(10);
/// What a new endpoint has of its weight at once, in percent.
const START_PERCENT: u128 = 10;

/// The time to the first byte as it was at its worst lately.
///
/// It jumps up at once and comes down slowly: towards what is measured, or to nothing where nothing is. So a slow
/// endpoint is avoided after one answer, and tried again after a while. Only good answers are to be observed:
/// an error that comes quickly says nothing about quickness.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PeakEwma {
    /// As of `at`, in microseconds; 0: never observed.
    peak_us: f64,
    at: Moment,
}

impl PeakEwma {
    /// Takes in one more time to the first byte. At least 1 us is seen in it.
    pub fn observe(&mut self, sample: Duration, now: Moment) {
        let sample_us = sample.max(Duration::from_micros(1)).as_secs_f64() * 1e6;
        let kept = self.kept(now);
        self.peak_us = sample_us.max(self.peak_us * kept + sample_us * (1.0 - kept));
        self.at = self.at.max(now);
    }

    /// Microseconds as of `now`; 0 if never observed, or so long ago that it means nothing any more.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "what is beyond the type is cut to its bounds"
    )]
    pub fn value(&self, now: Moment) -> u32 {
        (self.peak_us * self.kept(now)) as u32
    }

    /// Which part of the peak is left at `now`.
    fn kept(&self, now: Moment) -> f64 {
        (-now.since(self.at).div_duration_f64(DECAY)).exp()
    }
}

/// The weight of an endpoint that is `age` old, in hundredths as it was given: grows in a line from a tenth to the
/// whole within `window`. Never 0 unless the weight is.
#[must_use]
pub fn slow_start(weight_hundredths: u32, age: Duration, window: Duration) -> u32 {
    if age >= window {
        return weight_hundredths;
    }
    // age < window, so the window is not zero.
    let grown = (100 - START_PERCENT) * age.as_nanos() / window.as_nanos();
    let weight = u128::from(weight_hundredths) * (START_PERCENT + grown) / 100;
    u32::try_from(weight).unwrap_or(weight_hundredths).max(weight_hundredths.min(1))
}

#[cfg(test)]
mod tests;
