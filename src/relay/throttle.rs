//! How fast a stream goes down: so many events or bytes a second, evenly.

use std::time::Duration;

use crate::units::Moment;
use crate::wire::buffer::Buffer;

/// How much may go down in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Events.
    Events(u32),
    /// Bytes as they come from the endpoint.
    Bytes(u32),
}

/// What was saved up by saying nothing may go down at once, up to this time's worth.
const BURST: Duration = Duration::from_millis(50);
/// Bytes go down in portions of this time's worth: smaller ones would cost more than they smooth.
const PORTION: Duration = Duration::from_millis(20);

/// The pace of one stream (a generic cell rate algorithm, as ITU-T I.371 calls it).
#[derive(Debug)]
pub struct Throttle {
    rate: Rate,
    /// When all that went down would have gone down at the rate.
    paid_until: Moment,
    /// What has come and may not go down yet.
    pub(super) rest: Buffer,
}

impl Throttle {
    /// A stream of which nothing went down.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, paid_until: Moment::from_nanos(0), rest: Buffer::default() }
    }

    /// Whether events are counted; else bytes are.
    #[must_use]
    pub const fn counts_events(&self) -> bool {
        matches!(self.rate, Rate::Events(_))
    }

    /// How many units may go down now.
    #[must_use]
    pub fn allowance(&self, now: Moment) -> usize {
        let ahead = nanos(self.paid_until.since(now));
        let saved = nanos(BURST).saturating_sub(ahead) / self.unit_nanos();
        // A unit that takes longer than the burst is let through when the one before it is paid.
        let least = u64::from(ahead == 0);
        usize::try_from(saved.max(least)).unwrap_or(usize::MAX)
    }

    /// So many went down.
    pub fn spend(&mut self, units: usize, now: Moment) {
        let nanos = self.unit_nanos().saturating_mul(units as u64);
        self.paid_until = self.paid_until.max(now).after(Duration::from_nanos(nanos));
    }

    /// From when on enough may go down to be worth it.
    #[must_use]
    pub fn due(&self) -> Moment {
        let portion = match self.rate {
            Rate::Events(_) => Duration::from_nanos(self.unit_nanos()),
            Rate::Bytes(_) => PORTION.max(Duration::from_nanos(self.unit_nanos())),
        };
        let slack = nanos(BURST.saturating_sub(portion));
        Moment::from_nanos(self.paid_until.as_nanos().saturating_sub(slack))
    }

    /// What one unit takes, in nanoseconds.
    fn unit_nanos(&self) -> u64 {
        let (Rate::Events(rate) | Rate::Bytes(rate)) = self.rate;
        (1_000_000_000 / u64::from(rate.max(1))).max(1)
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units that go down in this many milliseconds if there is always more, looked at when it is due.
    fn passed(rate: Rate, millis: u64) -> usize {
        let start = Moment::from_nanos(7_000_000_000);
        let end = start.after(Duration::from_millis(millis));
        let (mut throttle, mut now, mut all) = (Throttle::new(rate), start, 0);
        while now < end {
            let units = throttle.allowance(now);
            assert!(units > 0, "it was due");
            throttle.spend(units, now);
            all += units;
            assert!(throttle.due() > now, "nobody turns in circles");
            now = throttle.due().max(now);
        }
        all
    }

    #[test]
    fn the_rate_is_kept() {
        for rate in [1, 3, 10, 50, 999, 20_000, 1_000_000] {
            for limit in [Rate::Events(rate), Rate::Bytes(rate)] {
                let got = passed(limit, 10_000);
                let exact = rate as usize * 10;
                let burst = exact / 200 + 1;
                assert!(
                    (exact.saturating_sub(burst)..=exact + 2 * burst).contains(&got),
                    "{limit:?}: {got}"
                );
            }
        }
    }

    #[test]
    fn silence_saves_up_little() {
        let start = Moment::from_nanos(1 << 40);
        let mut throttle = Throttle::new(Rate::Events(100));
        throttle.spend(1, start);
        let later = start.after(Duration::from_secs(60));
        assert_eq!(throttle.allowance(later), 5);
        throttle.spend(5, later);
        assert_eq!(throttle.allowance(later), 0);
        assert_eq!(throttle.allowance(later.after(Duration::from_millis(10))), 1);
    }
}
