//! What a client is told of its limits: the `x-ratelimit-*` fields, as OpenAI writes them.

use std::time::Duration;

use crate::admission::limit::Kind;
use crate::admission::limit::Standing;

/// How a caller stands after its request was counted: of each kind, the limit that is nearest to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standings {
    requests: Option<Standing>,
    tokens: Option<Standing>,
}

impl Standings {
    /// Takes note of one limit.
    pub fn note(&mut self, kind: Kind, standing: Standing) {
        let place = match kind {
            Kind::Requests => &mut self.requests,
            Kind::Tokens => &mut self.tokens,
            Kind::Concurrency => return,
        };
        if place.is_none_or(|other| is_nearer(&standing, &other)) {
            *place = Some(standing);
        }
    }

    /// Whether there is anything to tell.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none()
    }

    /// Appends the field lines.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (kind, standing) in [("requests", &self.requests), ("tokens", &self.tokens)] {
            let Some(standing) = standing else { continue };
            for (what, count) in [("limit", standing.limit), ("remaining", standing.remaining)] {
                line(out, what, kind);
                number(out, u64::from(count));
                out.extend_from_slice(b"\r\n");
            }
            line(out, "reset", kind);
            duration(out, standing.reset);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Whether a smaller share of `one` is left than of `other`; of equal shares, the one with less left.
fn is_nearer(one: &Standing, other: &Standing) -> bool {
    let share = |standing: &Standing, by: &Standing| {
        u64::from(standing.remaining) * u64::from(by.limit.max(1))
    };
    let (mine, theirs) = (share(one, other), share(other, one));
    mine < theirs || (mine == theirs && one.remaining < other.remaining)
}

fn line(out: &mut Vec<u8>, what: &str, kind: &str) {
    for part in ["x-ratelimit-", what, "-", kind, ": "] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit += u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        start = place;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

/// A duration as Go prints it, which OpenAI does: `6m0s`, `1.5s`, `20ms`. Rounded up: who waits so long, waits enough.
fn duration(out: &mut Vec<u8>, wait: Duration) {
    let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    if millis == 0 {
        return out.extend_from_slice(b"0s");
    }
    if millis < 1000 {
        number(out, millis);
        return out.extend_from_slice(b"ms");
    }
    let (seconds, rest) = (millis / 1000, millis % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 {
        number(out, hours);
        out.push(b'h');
    }
    if hours > 0 || minutes > 0 {
        number(out, minutes);
        out.push(b'm');
    }
    number(out, seconds % 60);
    if rest > 0 {
        let digits = format!(".{rest:03}");
        out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
    }
    out.push(b's');
}

/// `retry-after` and, for SDKs that read it, `retry-after-ms`: at least a millisecond, rounded up.
pub fn retry_after(wait: Duration) -> (u32, u64) {
    let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).max(1);
    (u32::try_from(millis.div_ceil(1000)).unwrap_or(u32::MAX), millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(limit: u32, remaining: u32, reset: u64) -> Standing {
        Standing { limit, remaining, reset: Duration::from_millis(reset) }
    }

    #[test]
    fn the_nearest_limit_is_told() {
        let mut standings = Standings::default();
        assert!(standings.is_empty());
        standings.note(Kind::Requests, standing(600, 599, 100));
        standings.note(Kind::Requests, standing(60, 3, 57_000));
        standings.note(Kind::Requests, standing(10_000, 9_000, 5));
        standings.note(Kind::Tokens, standing(1000, 0, 360_000));
        standings.note(Kind::Concurrency, standing(5, 0, 0));
        let mut out = Vec::new();
        standings.write(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 3\r\n\
             x-ratelimit-reset-requests: 57s\r\nx-ratelimit-limit-tokens: 1000\r\n\
             x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 6m0s\r\n"
        );
    }

    #[test]
    fn durations_are_written_as_go_does() {
        let written = |nanos: u64| {
            let mut out = Vec::new();
            duration(&mut out, Duration::from_nanos(nanos));
            String::from_utf8(out).unwrap()
        };
        for (millis, text) in [
            (0, "0s"),
            (20, "20ms"),
            (999, "999ms"),
            (1000, "1s"),
            (1500, "1.5s"),
            (1005, "1.005s"),
            (60_000, "1m0s"),
            (3_600_000, "1h0m0s"),
            (86_399_999, "23h59m59.999s"),
        ] {
            assert_eq!(written(millis * 1_000_000), text);
        }
        assert_eq!(written(1), "1ms");
    }

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(retry_after(Duration::ZERO), (1, 1));
        assert_eq!(retry_after(Duration::from_millis(1001)), (2, 1001));
        assert_eq!(retry_after(Duration::MAX), (u32::MAX, u64::MAX));
    }
}
