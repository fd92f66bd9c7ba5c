//! Seconds, milliseconds, and dates in all three forms.

use super::LONGEST;
use super::oracle;
use super::parse;
use super::parse_millis;
use crate::balance::dice::Dice;
use std::time::Duration;

/// Sun, 06 Nov 1994 08:49:37 GMT: the example of the RFC.
const EXAMPLE: u64 = 784_111_777;

#[track_caller]
fn check(value: &str, now: u64, seconds: Option<u64>) {
    assert_eq!(parse(value.as_bytes(), now), seconds.map(Duration::from_secs), "{value}");
}

#[test]
fn seconds_are_seconds() {
    for (value, seconds) in [
        ("0", Some(0)),
        ("120", Some(120)),
        ("  7\t", Some(7)),
        ("0000000000000000000000000000000000060", Some(60)),
        ("31622400", Some(31_622_400)),
        ("31622401", None),
        ("31622400.000000001", None),
        ("18446744073709551616", None),
        ("99999999999999999999999999", None),
        ("-1", None),
        ("+1", None),
        ("1s", None),
        ("1 2", None),
        ("1,5", None),
        ("1.", None),
        (".5", None),
        ("1.2.3", None),
        ("1e3", None),
        ("0x10", None),
        ("", None),
        ("  ", None),
        ("soon", None),
    ] {
        check(value, EXAMPLE, seconds);
    }
    assert_eq!(LONGEST, Duration::from_secs(31_622_400));
    assert_eq!(parse(b"1.5", 0), Some(Duration::from_millis(1500)));
    assert_eq!(parse(b"0.0000000019", 0), Some(Duration::from_nanos(1)));
    assert_eq!(parse(b"2.999999999999999999999999", 0), Some(Duration::from_nanos(2_999_999_999)));
}

#[test]
fn milliseconds_are_milliseconds() {
    for (value, micros) in [
        ("0", Some(0)),
        ("1500", Some(1_500_000)),
        (" 20 ", Some(20_000)),
        ("0.5", Some(500)),
        ("1234.5678", Some(1_234_567)),
        ("31622400000", Some(31_622_400_000_000)),
        ("31622400000.1", None),
        ("-1", None),
        ("", None),
        ("20ms", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", None),
    ] {
        let wait = parse_millis(value.as_bytes()).map(|wait| wait.as_micros());
        assert_eq!(wait, micros, "{value}");
    }
}

#[test]
fn the_three_forms_say_the_same() {
    for value in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun Nov 06 08:49:37 1994",
        " Sun, 06 Nov 1994 08:49:37 GMT\t",
    ] {
        check(value, EXAMPLE - 30, Some(30));
        check(value, EXAMPLE, Some(0));
        check(value, EXAMPLE + 1, Some(0));
        check(value, EXAMPLE - LONGEST.as_secs(), Some(LONGEST.as_secs()));
        check(value, EXAMPLE - LONGEST.as_secs() - 1, None);
        // Long over.
        check(value, u64::MAX, Some(0));
    }
}

#[test]
fn leap_days_are_there_and_others_are_not() {
    for (value, unix_s) in [
        ("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400)),
        ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
        ("Tuesday, 29-Feb-28 12:00:00 GMT", Some(1_835_438_400)),
        ("Sat Feb 29 12:00:00 2048", Some(2_466_590_400)),
        ("Mon, 01 Mar 2100 00:00:00 GMT", Some(4_107_542_400)),
        ("Mon, 29 Feb 2100 00:00:00 GMT", None),
        ("Wed, 29 Feb 2023 00:00:00 GMT", None),
        ("Wednesday, 29-Feb-23 00:00:00 GMT", None),
        ("Wed Feb 29 00:00:00 2023", None),
        ("Wed, 30 Feb 2000 00:00:00 GMT", None),
        ("Thu, 31 Apr 2026 00:00:00 GMT", None),
        ("Thu, 00 Apr 2026 00:00:00 GMT", None),
        ("Thu, 31 Dec 2026 23:59:60 GMT", Some(1_798_761_600)),
        ("Thu, 31 Dec 2026 23:59:61 GMT", None),
        ("Thu, 31 Dec 2026 23:60:00 GMT", None),
        ("Thu, 31 Dec 2026 24:00:00 GMT", None),
    ] {
        let now = unix_s.unwrap_or(1_700_000_000) - 100;
        check(value, now, unix_s.map(|_| 100));
    }
}

#[test]
fn a_year_of_two_digits_is_within_fifty_years() {
    // 2026-11-22.
    let now = 1_795_305_600;
    // In 76 years: no, that was in 1977, and is over.
    check("Sunday, 06-Nov-77 08:49:37 GMT", now, Some(0));
    // In 50 years: too long to wait, but not over.
    check("Friday, 06-Nov-76 08:49:37 GMT", now, None);
    check("Sunday, 06-Nov-94 08:49:37 GMT", now, Some(0));
    check("Sunday, 22-Nov-26 00:01:00 GMT", now, Some(60));
    // Around a turn of the century: 2099-12-31T23:59:30.
    check("Friday, 01-Jan-00 00:00:00 GMT", 4_102_444_770, Some(30));
    check("Thursday, 31-Dec-99 23:59:59 GMT", 4_102_444_800, Some(0));
    // 00 is 1900 or 2000 or 2100, and only one of these has the day.
    check("Tuesday, 29-Feb-00 00:00:00 GMT", 951_782_000, Some(400));
    check("Monday, 29-Feb-00 00:00:00 GMT", 4_107_456_000, None);
}

#[test]
fn what_is_over_needs_no_wait() {
    check("Thu, 01 Jan 1970 00:00:00 GMT", 5, Some(0));
    check("Mon, 01 Jan 0001 00:00:00 GMT", 5, Some(0));
    check("Sat Jan  1 00:00:00 0000", 0, Some(0));
    check("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799 - 9, Some(9));
    check("Fri, 31 Dec 9999 23:59:59 GMT", 0, None);
}

#[test]
fn what_is_no_date_of_http_is_none() {
    for value in [
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 GMT+1",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Son, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun,06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun, 06 Nov 1994 08:49:+7 GMT",
        "1994-11-06T08:49:37Z",
        "\u{0}",
        "Sun",
    ] {
        check(value, 0, None);
    }
}

/// Pieces of values, put together by chance: most are wrong in one place.
#[test]
fn a_plain_reading_finds_the_same() {
    let pieces: [&[&str]; 7] = [
        &["Sun, ", "Sun ", "Sunday, ", "Sun", "12", ""],
        &["06", "29", "31", "30", " 6", "00", "6", "Feb"],
        &[" ", "-", "  ", ""],
        &["Nov", "Feb", "Jan", "Dec", "nov", "29", "06"],
        &[" ", "-", ""],
        &["1994", "2000", "2026", "2100", "94", "00", "76", "77", "99", "08:49:37", "9999"],
        &[
            " 08:49:37 GMT",
            " 23:59:60 GMT",
            " 24:00:00 GMT",
            " 08:49:37 2027",
            " 00:00:00 1900",
            ".5",
        ],
    ];
    let mut dice = Dice(31);
    let mut dates = 0;
    for _ in 0..20_000 {
        let mut value = String::new();
        for choices in pieces {
            // The first choices are those of a date; they come more often.
            let choices = if dice.draw(2) == 0 { &choices[..2] } else { choices };
            value += choices[dice.below(choices.len())];
        }
        oracle::check(value.as_bytes());
        dates += u32::from(parse(value.as_bytes(), 4_102_444_799).is_some());
    }
    assert!(dates > 100, "{dates}");
}
