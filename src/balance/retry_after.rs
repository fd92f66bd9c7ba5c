//! How long an upstream asks to be left alone: the values of `retry-after` and `retry-after-ms`.

mod date;

use std::time::Duration;

/// Who asks for longer means something else, or nothing.
pub const LONGEST: Duration = Duration::from_secs(366 * 86_400);

const NANOS_PER_S: u64 = 1_000_000_000;
const NANOS_PER_MS: u64 = 1_000_000;

/// The wait that a value of `retry-after` asks for (RFC 9110, 10.2.3): seconds, or a date in any of the three forms of
/// HTTP (5.6.7). A date that is over asks for no wait.
///
/// Seconds may have a fraction, which the RFC does not know but SDKs do. `None`: it is neither, or it asks for longer
/// than [`LONGEST`].
#[must_use]
pub fn parse(value: &[u8], now_unix_s: u64) -> Option<Duration> {
    let value = trimmed(value);
    let wait = match value.first()? {
        b'0'..=b'9' => decimal(value, NANOS_PER_S)?,
        // What is before 1970 is over as well.
        _ => {
            let then_unix_s = u64::try_from(date::unix_s(value, now_unix_s)?).unwrap_or(0);
            Duration::from_secs(then_unix_s.saturating_sub(now_unix_s))
        }
    };
    (wait <= LONGEST).then_some(wait)
}

/// The wait that a value of `retry-after-ms` asks for: milliseconds, maybe with a fraction. It is not of any RFC, but some
/// model servers send it beside `retry-after`, and then it is the more exact one.
#[must_use]
pub fn parse_millis(value: &[u8]) -> Option<Duration> {
    decimal(trimmed(value), NANOS_PER_MS).filter(|wait| *wait <= LONGEST)
}

/// Without the white space that may be around the value of a field.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Digits, maybe a point and more digits, of so many nanoseconds each; what is less than a nanosecond is left out.
fn decimal(text: &[u8], unit_nanos: u64) -> Option<Duration> {
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let whole = digits(parts.next()?)?.checked_mul(unit_nanos)?;
    let mut fraction = 0;
    if let Some(text) = parts.next() {
        if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut place = unit_nanos;
        for digit in text {
            place /= 10;
            fraction += u64::from(digit - b'0') * place;
        }
    }
    Some(Duration::from_nanos(whole.checked_add(fraction)?))
}

/// One digit or more, and nothing else. `None` too where the number is too great to be one.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
