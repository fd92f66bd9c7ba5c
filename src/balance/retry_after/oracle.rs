//! A plain reading of `retry-after`, to hold the parser against; shared by the tests and the fuzz target.

use super::LONGEST;
use super::parse;
use super::parse_millis;
use std::time::Duration;

/// Some moment of each kind: 1970, a leap day, some day, the last day of a century, the last of all.
const NOWS_UNIX_S: [u64; 5] = [0, 951_782_400, 1_795_305_600, 4_102_444_799, 253_402_300_799];

/// Any bytes as a value: the parser finds what a plain reading finds, and what it finds is within the bound.
pub(crate) fn check(bytes: &[u8]) {
    for now in NOWS_UNIX_S {
        let found = parse(bytes, now);
        assert!(found.is_none_or(|wait| wait <= LONGEST));
        assert_eq!(found, read(bytes, now), "{} at {now}", bytes.escape_ascii());
    }
    assert_eq!(parse_millis(bytes), trimmed(bytes).and_then(|text| decimal(text, 3)));
}

fn trimmed(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes).ok()?;
    Some(text.trim_matches([' ', '\t']))
}

fn read(bytes: &[u8], now: u64) -> Option<Duration> {
    let text = trimmed(bytes)?;
    if let Some(wait) = decimal(text, 0) {
        return Some(wait);
    }
    let wait = Duration::from_secs(date(text, now)?.saturating_sub(now));
    (wait <= LONGEST).then_some(wait)
}

/// A number of seconds, divided by ten so many times.
fn decimal(text: &str, divided: usize) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    // The point moves to nine digits behind the seconds; what is behind that is left out.
    let fraction: String = fraction.chars().chain("000000000".chars()).take(9 - divided).collect();
    let nanos = format!("{whole}{fraction}");
    let nanos = nanos.trim_start_matches('0');
    let nanos = if nanos.is_empty() { "0" } else { nanos };
    let wait = Duration::from_nanos(nanos.parse().ok()?);
    (wait <= LONGEST).then_some(wait)
}

/// The words of a date.
struct Words<'t> {
    weekday: &'t str,
    is_weekday_long: bool,
    day: &'t str,
    month: &'t str,
    year: &'t str,
    time: &'t str,
}

fn words(text: &str) -> Option<Words<'_>> {
    let words: Vec<&str> = text.split(' ').collect();
    let short = |weekday, [day, month, year, time]: [_; 4]| {
        Some(Words { weekday, is_weekday_long: false, day, month, year, time })
    };
    match words[..] {
        [weekday, day, month, year, time, "GMT"] if day.len() == 2 => {
            short(weekday.strip_suffix(',')?, [day, month, year, time])
        }
        [weekday, month, "", day, time, year] if day.len() == 1 => {
            short(weekday, [day, month, year, time])
        }
        [weekday, month, day, time, year] if day.len() == 2 => {
            short(weekday, [day, month, year, time])
        }
        [weekday, date, time, "GMT"] => {
            let (day, rest) = date.split_once('-').filter(|(day, _)| day.len() == 2)?;
            let (month, year) = rest.split_once('-')?;
            let weekday = weekday.strip_suffix(',')?;
            Some(Words { weekday, is_weekday_long: true, day, month, year, time })
        }
        _ => None,
    }
}

/// A date in any of the three forms, in seconds since 1970; what is before is then.
fn date(text: &str, now: u64) -> Option<u64> {
    let words = words(text)?;
    let is_weekday = |long: &&str| {
        let short = long.split_at(3).0;
        words.weekday == if words.is_weekday_long { *long } else { short }
    };
    let long = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    long.iter().find(|long| is_weekday(long))?;
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let at = months.find(words.month).filter(|at| at % 3 == 0 && words.month.len() == 3)?;
    let number = |text: &str, digits: usize| {
        let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<u64>().ok())?
    };
    let day = number(words.day, words.day.len())?;
    let year = if words.is_weekday_long {
        century(number(words.year, 2)?, now)
    } else {
        number(words.year, 4)?
    };
    let [hour, minute, second] = *words.time.split(':').collect::<Vec<_>>() else { return None };
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    let is_there = (1..=lengths(year)[at / 3]).contains(&day);
    if !is_there || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if year < 1970 {
        return Some(0);
    }
    let days = (1970..year).map(days_of).sum::<u64>() + lengths(year)[..at / 3].iter().sum::<u64>();
    Some((((days + day - 1) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Of all years that end so, the last one that is at most fifty years ahead.
fn century(year_of_century: u64, now: u64) -> u64 {
    let (mut year, mut days) = (1970, now / 86_400);
    while days >= days_of(year) {
        days -= days_of(year);
        year += 1;
    }
    (0..=year + 50).rev().find(|year| year % 100 == year_of_century).unwrap_or(0)
}

fn days_of(year: u64) -> u64 {
    lengths(year).iter().sum()
}

/// How many days each month has.
const fn lengths(year: u64) -> [u64; 12] {
    let is_leap = year.is_multiple_of(if year.is_multiple_of(100) { 400 } else { 4 });
    [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}
