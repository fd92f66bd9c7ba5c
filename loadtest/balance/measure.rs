//! How far open streams are from what the weights say: pure.

use serde::Serialize;

/// Open streams of each endpoint at one time.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    /// Seconds from the beginning of the load.
    pub at_s: f64,
    /// One for each endpoint.
    pub open: Vec<u64>,
}

/// An endpoint over all counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its weight.
    pub weight: u32,
    /// Streams that it had open in the mean.
    pub open_mean: f64,
    /// How far it was from its part in the mean, in percent of that, above (+) or below (-).
    pub off_percent_mean: f64,
    /// The furthest that it ever was, above or below.
    pub off_percent_worst: f64,
}

/// How far each endpoint is from the part of all open streams that its weight gives it, in percent of that part.
#[must_use]
pub fn off_percent(weights: &[u32], open: &[u64]) -> Vec<f64> {
    let all: f64 = open.iter().copied().map(float).sum();
    let weighs: f64 = weights.iter().copied().map(f64::from).sum();
    let off = |(weight, open): (&u32, &u64)| {
        let fair = all * f64::from(*weight) / weighs;
        if fair > 0.0 { (float(*open) / fair - 1.0) * 100.0 } else { 0.0 }
    };
    weights.iter().zip(open).map(off).collect()
}

/// Sums up counts.
#[must_use]
pub fn rows(weights: &[u32], counts: &[Count]) -> Vec<Row> {
    let number = float(counts.len().max(1) as u64);
    let row = |(at, weight): (usize, &u32)| {
        let open: f64 =
            counts.iter().filter_map(|count| count.open.get(at)).copied().map(float).sum();
        let offs: Vec<f64> = counts
            .iter()
            .filter_map(|count| off_percent(weights, &count.open).get(at).copied())
            .collect();
        let worst = offs.iter().copied().reduce(|a, b| if b.abs() > a.abs() { b } else { a });
        Row {
            weight: *weight,
            open_mean: open / number,
            off_percent_mean: offs.iter().sum::<f64>() / number,
            off_percent_worst: worst.unwrap_or(0.0),
        }
    };
    weights.iter().enumerate().map(row).collect()
}

/// What was not as it had to be, each in a sentence; nothing, if all was.
#[must_use]
pub fn broken(rows: &[Row], counts: &[Count], connections: usize, off_max: f64) -> Vec<String> {
    let mut broken = Vec::new();
    if counts.is_empty() {
        broken.push("nothing was counted".to_owned());
    }
    // Who asks anew has none for a moment.
    let least = connections as u64 * 9 / 10;
    let few = counts.iter().filter(|count| count.open.iter().sum::<u64>() < least).count();
    if few > 0 {
        broken.push(format!("{few} times fewer than {least} of {connections} streams were open"));
    }
    for (at, row) in rows.iter().enumerate() {
        if row.off_percent_worst.abs() > off_max {
            broken.push(format!(
                "endpoint {at} (weight {}) was {:+.1} % off its part, above {off_max} %",
                row.weight, row.off_percent_worst
            ));
        }
    }
    broken
}

#[expect(clippy::cast_precision_loss, reason = "streams fit into 53 bits")]
const fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(open: [u64; 3]) -> Count {
        Count { at_s: 0.0, open: open.to_vec() }
    }

    #[test]
    fn streams_that_lie_as_the_weights_are_not_off() {
        let counts = [count([100, 200, 400]), count([99, 202, 399])];
        let rows = rows(&[1, 2, 4], &counts);
        assert!((rows[0].off_percent_worst + 1.0).abs() < 1e-9, "{rows:?}");
        assert!(
            (rows[1].off_percent_mean - 0.5).abs() < 1e-9
                && (rows[2].open_mean - 399.5).abs() < 1e-9
        );
        assert!(broken(&rows, &counts, 700, 5.0).is_empty());
    }

    #[test]
    fn one_look_at_which_an_endpoint_has_too_many_is_enough() {
        let mut counts = vec![count([100, 200, 400]); 50];
        counts.push(count([106, 198, 396]));
        let rows = rows(&[1, 2, 4], &counts);
        let said = broken(&rows, &counts, 700, 5.0).join(";");
        assert!(
            said.contains("endpoint 0 (weight 1) was +6.0 % off") && !said.contains("endpoint 1")
        );
        let said = broken(&rows, &counts, 1000, 10.0).join(";");
        assert!(said.contains("51 times fewer than 900 of 1000"), "{said}");
        assert_eq!(broken(&[], &[], 10, 5.0), ["nothing was counted"]);
        assert_eq!(off_percent(&[1, 1], &[0, 0]), [0.0, 0.0]);
    }
}
