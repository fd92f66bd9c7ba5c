//! Values that only some tables have: one of several words, numbers with a fraction, tables that can be switched off.

use crate::config::nearest::nearest;
use crate::config::section::Errors;
use crate::config::section::Located;
use crate::config::section::MILLIS_MAX;
use crate::config::section::Section;
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::de::DeValue;

/// What is written at a key that can be `false`.
pub(crate) enum Switch<'t> {
    /// Nothing, or `true`: what holds where nothing is written.
    Default,
    /// `false`.
    Off,
    /// A table.
    Set(Section<'t>),
}

impl<'t> Section<'t> {
    /// Likewise, or 0.
    pub(crate) fn millis_or_zero(&self, key: &str, errors: &mut Errors<'_>) -> Option<Duration> {
        self.number(key, &(0..=MILLIS_MAX), errors).map(Duration::from_millis)
    }

    /// A whole number within `range`.
    pub(crate) fn count<T: Copy + Into<u64> + TryFrom<u64>>(
        &self,
        key: &str,
        range: RangeInclusive<T>,
        errors: &mut Errors<'_>,
    ) -> Option<T> {
        let (low, high) = range.into_inner();
        let number = self.number(key, &(low.into()..=high.into()), errors);
        number.and_then(|number| T::try_from(number).ok())
    }

    /// A number with at most two digits after the point, in hundredths, from `low` to `high` hundredths.
    pub(crate) fn hundredths(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
        errors: &mut Errors<'_>,
    ) -> Option<u32> {
        let [low, high] = [range.start(), range.end()].map(|bound| show_hundredths(*bound));
        let wanted = format!("a number from {low} to {high}");
        let found = self.typed(key, &wanted, errors, |value| match value {
            DeValue::Float(float) => Some(float.as_str()),
            DeValue::Integer(integer) if integer.radix() == 10 => Some(integer.as_str()),
            _ => None,
        })?;
        let number = hundredths(found.value).filter(|number| range.contains(number));
        if number.is_none() {
            let text = format!(
                "{} cannot be used: write {wanted}, with at most two digits after the point",
                found.value
            );
            errors.add(&found.place, text);
        }
        number
    }

    /// One of `all`, by its label; `what` they are is for the error.
    pub(crate) fn one_of<T: Copy>(
        &self,
        key: &str,
        what: &str,
        all: &[T],
        label: impl Fn(T) -> &'static str,
        errors: &mut Errors<'_>,
    ) -> Option<T> {
        let found = self.string(key, errors)?;
        let one = all.iter().find(|one| label(**one) == found.value).copied();
        if one.is_none() {
            let labels: Vec<&str> = all.iter().map(|one| label(*one)).collect();
            let name = &found.value;
            let meant = nearest(name, &labels)
                .map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            let there_are = labels.join(", ");
            let text = format!("no {what} is called \"{name}\" (there are: {there_are}{meant})");
            errors.add(&found.place, text);
        }
        one
    }

    /// A table with defaults of its own that may be switched off.
    pub(crate) fn switch(&self, key: &str, errors: &mut Errors<'_>) -> Switch<'t> {
        let wanted = format!("a table or false: write {key} = {{ ... }} or {key} = false");
        let found = self.typed(key, &wanted, errors, |value| match value {
            DeValue::Boolean(is_on) => Some((*is_on, None)),
            value => Some((true, Some(value.as_table()?))),
        });
        match found {
            Some(Located { value: (false, _), .. }) => Switch::Off,
            Some(Located { value: (true, Some(table)), place }) => {
                Switch::Set(Section::new(table, place))
            }
            Some(_) | None => Switch::Default,
        }
    }
}

/// A number without sign and exponent, in hundredths; none where it has more digits than that.
fn hundredths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{fraction:0<2}");
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if digits.len() > 2 || !is_number(&digits) || !is_number(whole) {
        return None;
    }
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(digits.parse().ok()?)
}

/// `1.25` for 125.
#[must_use]
pub fn show_hundredths(number: u32) -> String {
    let text = format!("{}.{:02}", number / 100, number % 100);
    match text.strip_suffix('0') {
        Some(shorter) => shorter.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::hundredths;
    use super::show_hundredths;

    #[test]
    fn hundredths_are_read_exactly_or_not_at_all() {
        let good = [("1", 100), ("1.0", 100), ("1.25", 125), ("0.1", 10), ("10.5000", 1050)];
        for (text, number) in good {
            assert_eq!(hundredths(text), Some(number), "{text}");
        }
        for text in ["-1", "+1", "1e2", "inf", "nan", "1.255", "1.+1", "", ".", "99999999.0"] {
            assert_eq!(hundredths(text), None, "{text}");
        }
        assert_eq!(["1.0", "1.25", "0.1", "10.5"], [100, 125, 10, 1050].map(show_hundredths));
    }
}
