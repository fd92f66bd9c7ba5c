//! Dates as TOML and RFC 3339 write them, to seconds since 1970.

use toml::value::Datetime;
use toml::value::Offset;

const INSTEAD: &str = "write a date and a time in UTC, as in 2027-01-01T00:00:00Z";

/// The second in which `text` lies: RFC 3339, or a date alone, which is its midnight in UTC.
///
/// # Errors
/// What is wrong with it and what to write.
pub fn parse(text: &str) -> Result<u64, String> {
    let date: Datetime =
        text.parse().map_err(|_| format!("\"{text}\" is not a date: {INSTEAD}"))?;
    unix_s(&date)
}

/// Like [`parse`], of what was read already.
pub(crate) fn unix_s(date: &Datetime) -> Result<u64, String> {
    let (Some(day), time) = (date.date, date.time) else {
        return Err(format!("{date} has no day: {INSTEAD}"));
    };
    let minutes = match (time, date.offset) {
        (None, _) | (_, Some(Offset::Z)) => 0,
        (_, Some(Offset::Custom { minutes })) => i64::from(minutes),
        (Some(_), None) => {
            return Err(format!(
                "{date} does not say which zone's time it is: write {date}Z for UTC"
            ));
        }
    };
    let days = days_since_1970(i64::from(day.year), i64::from(day.month), i64::from(day.day));
    let seconds = time.map_or(0, |time| {
        let second = time.second.unwrap_or(0);
        (i64::from(time.hour) * 60 + i64::from(time.minute)) * 60 + i64::from(second)
    });
    let unix = days * 86_400 + seconds - minutes * 60;
    u64::try_from(unix).map_err(|_| format!("{date} is before 1970: {INSTEAD}"))
}

/// RFC 3339 in UTC, for people.
#[must_use]
pub fn show(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = civil(i64::try_from(days).unwrap_or(0));
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Days of the Gregorian calendar; years begin in March, so that the leap day is a year's last.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use super::show;

    #[test]
    fn dates_become_seconds_and_seconds_dates() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2027-01-01T00:00:00Z", 1_798_761_600),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
            assert_eq!(show(seconds), text);
        }
        assert_eq!(parse("2027-01-01"), Ok(1_798_761_600));
        assert_eq!(parse("2027-01-01T01:30:00+01:30"), Ok(1_798_761_600));
        assert_eq!(parse("2026-12-31T16:00:00-08:00"), Ok(1_798_761_600));
    }

    #[test]
    fn every_day_of_four_hundred_years_is_itself() {
        for day in 0..146_097_u64 {
            assert_eq!(parse(&show(day * 86_400)), Ok(day * 86_400));
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "tomorrow",
            "07:30:00",
            "2027-01-01T00:00:00",
            "1969-12-31T00:00:00Z",
            "2027-13-01",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
