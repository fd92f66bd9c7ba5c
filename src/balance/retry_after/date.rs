//! The dates of HTTP in all three forms (RFC 9110, 5.6.7), to seconds since 1970.

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const WEEKDAYS_LONG: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// The last second of the year 9999: no date can be later.
const LATEST_UNIX_S: u64 = 253_402_300_799;

/// The second that `text` says, if it is a date. Now tells which century a year of two digits means.
///
/// Whether the day of the week is that of the date is not asked: who waits does not care.
pub(super) fn unix_s(text: &[u8], now_unix_s: u64) -> Option<i64> {
    let now_unix_s = i64::try_from(now_unix_s.min(LATEST_UNIX_S)).ok()?;
    let now_year = year_of(now_unix_s.div_euclid(86_400));
    let (date, second) =
        fixdate(text).or_else(|| asctime(text)).or_else(|| rfc850(text, now_year))?;
    Some(date.days()? * 86_400 + second)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`: the only form that may still be sent.
fn fixdate(text: &[u8]) -> Option<(Date, i64)> {
    let mut rest = Rest(text);
    rest.word(&WEEKDAYS)?;
    rest.literal(", ")?;
    let day = rest.number(2)?;
    rest.literal(" ")?;
    let month = rest.word(&MONTHS)?;
    rest.literal(" ")?;
    let year = rest.number(4)?;
    rest.literal(" ")?;
    let second = rest.time()?;
    rest.literal(" GMT")?;
    rest.end((Date { year, month, day }, second))
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`. A year that seems more than 50 years ahead is a century earlier.
fn rfc850(text: &[u8], now_year: i64) -> Option<(Date, i64)> {
    let mut rest = Rest(text);
    rest.word(&WEEKDAYS_LONG)?;
    rest.literal(", ")?;
    let day = rest.number(2)?;
    rest.literal("-")?;
    let month = rest.word(&MONTHS)?;
    rest.literal("-")?;
    let year_of_century = rest.number(2)?;
    rest.literal(" ")?;
    let second = rest.time()?;
    rest.literal(" GMT")?;
    // The latest of those years that is not later than this.
    let latest = now_year + 50;
    let year = latest - (latest - year_of_century).rem_euclid(100);
    rest.end((Date { year, month, day }, second))
}

/// `Sun Nov  6 08:49:37 1994`: what C's `asctime` writes.
fn asctime(text: &[u8]) -> Option<(Date, i64)> {
    let mut rest = Rest(text);
    rest.word(&WEEKDAYS)?;
    rest.literal(" ")?;
    let month = rest.word(&MONTHS)?;
    rest.literal(" ")?;
    let day = if rest.literal(" ").is_some() { rest.number(1)? } else { rest.number(2)? };
    rest.literal(" ")?;
    let second = rest.time()?;
    rest.literal(" ")?;
    let year = rest.number(4)?;
    rest.end((Date { year, month, day }, second))
}

/// What of a date has not been read.
struct Rest<'t>(&'t [u8]);

impl Rest<'_> {
    fn literal(&mut self, expected: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(expected.as_bytes())?;
        Some(())
    }

    /// Which of these words comes next, from 1.
    fn word(&mut self, words: &[&str]) -> Option<i64> {
        (1..).zip(words).find_map(|(number, word)| self.literal(word).map(|()| number))
    }

    /// Exactly so many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (text, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        super::digits(text).and_then(|number| i64::try_from(number).ok())
    }

    /// `08:49:37` as the second of its day; a leap second (60) is the next one.
    fn time(&mut self) -> Option<i64> {
        let hour = self.number(2)?;
        self.literal(":")?;
        let minute = self.number(2)?;
        self.literal(":")?;
        let second = self.number(2)?;
        let is_time = hour <= 23 && minute <= 59 && second <= 60;
        is_time.then_some((hour * 60 + minute) * 60 + second)
    }

    /// Nothing may follow.
    fn end<T>(self, read: T) -> Option<T> {
        self.0.is_empty().then_some(read)
    }
}

/// A day of the Gregorian calendar; the month from 1.
#[derive(Clone, Copy)]
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl Date {
    /// Days since 1970; `None` where the calendar has no such day.
    fn days(self) -> Option<i64> {
        let is_leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let length = match self.month {
            2 => 28 + i64::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        (1..=length).contains(&self.day).then(|| self.days_unchecked())
    }

    /// Years begin in March here, so that the leap day is a year's last.
    const fn days_unchecked(self) -> i64 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }
}

/// The year of a day since 1970.
fn year_of(days: i64) -> i64 {
    let first_day = |year| Date { year, month: 1, day: 1 }.days_unchecked();
    // At most one beside the year of the mean length.
    let near = 1970 + (days * 400).div_euclid(146_097);
    let is_later = first_day(near + 1) <= days;
    let is_earlier = first_day(near) > days;
    near + i64::from(is_later) - i64::from(is_earlier)
}

#[cfg(test)]
mod tests {
    use super::Date;
    use super::year_of;

    #[test]
    fn the_calendar_has_the_days_that_it_has() {
        let lengths = |leap| [31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut days = Date { year: 1583, month: 1, day: 1 }.days_unchecked();
        assert_eq!(Date { year: 1970, month: 1, day: 1 }.days(), Some(0));
        for year in 1583..=9999 {
            let is_leap = (year % 4 == 0) != (year % 100 == 0) || year % 400 == 0;
            for (month, length) in (1..).zip(lengths(i64::from(is_leap))) {
                for day in 1..=length {
                    assert_eq!(Date { year, month, day }.days(), Some(days));
                    days += 1;
                }
                for day in [0, length + 1, 99] {
                    assert_eq!(Date { year, month, day }.days(), None, "{year}-{month}-{day}");
                }
            }
            assert_eq!(year_of(days - 1), year);
            assert_eq!(year_of(days), year + 1);
        }
    }
}
