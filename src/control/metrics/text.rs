//! The grammar of the Prometheus text format, version 0.0.4: heads, samples, labels, numbers.

use std::fmt::Display;
use std::fmt::Write as _;

use crate::control::metrics::metric::Metric;

/// The labels of one sample, already in their written form.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels(String);

impl Labels {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// These labels and one more. The name must be a valid label name; the value may be anything.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(name);
        self.0.push_str("=\"");
        for char in value.chars() {
            match char {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                other => self.0.push(other),
            }
        }
        self.0.push('"');
        self
    }
}

/// The HELP and TYPE lines of a metric.
pub(super) fn head(out: &mut String, metric: &Metric) {
    let Metric { name, help, kind, .. } = metric;
    put(out, format_args!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.label()));
}

/// One sample.
pub(super) fn sample(out: &mut String, name: &str, labels: &Labels, value: impl Display) {
    if labels.0.is_empty() {
        put(out, format_args!("{name} {value}\n"));
    } else {
        put(out, format_args!("{name}{{{}}} {value}\n", labels.0));
    }
}

/// `nanos` nanoseconds in seconds, exactly, without zeroes at the end.
pub(super) fn seconds(nanos: u64) -> String {
    let (whole, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    if rest == 0 {
        return whole.to_string();
    }
    let text = format!("{whole}.{rest:09}");
    text.trim_end_matches('0').to_owned()
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let labels = Labels::new().with("model", "a\\b\"c\nd\u{e9}").with("upstream", "");
        let mut out = String::new();
        sample(&mut out, "x_total", &labels, 3);
        assert_eq!(out, "x_total{model=\"a\\\\b\\\"c\\nd\u{e9}\",upstream=\"\"} 3\n");
    }

    #[test]
    fn seconds_are_exact_and_short() {
        for (nanos, text) in [
            (0, "0"),
            (50_000, "0.00005"),
            (10_000_000, "0.01"),
            (81_920_000_000, "81.92"),
            (10_000_000_000, "10"),
            (1, "0.000000001"),
            (u64::MAX, "18446744073.709551615"),
        ] {
            assert_eq!(seconds(nanos), text);
        }
    }
}
