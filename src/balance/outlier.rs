//! Which endpoints fail more often than their siblings.

use std::time::Duration;

/// With fewer endpoints to compare, who is the odd one out is anybody's guess.
pub const COMPARED_MIN: usize = 3;

/// What is less likely than so many standard deviations is not chance: with four, once in 30,000 judgements, and there is
/// one each second.
const CHANCE_DEVIATIONS: f64 = 4.0;

/// What is too bad, and for how long it is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// With fewer requests in the window an endpoint is not judged, and not compared with.
    pub requests_min: u32,
    /// How many standard deviations below the mean is too bad, in hundredths: 190 is 1.9.
    pub stdev_percent: u32,
    /// For how long it is left out.
    pub eject: Duration,
    /// How many of an upstream's endpoints may be out at once, in percent; rounded down.
    pub ejected_percent_max: u8,
}

/// What an endpoint did in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Attempts that went well.
    pub good: u32,
    /// Attempts that failed.
    pub bad: u32,
    /// Whether it is left out already.
    pub is_out: bool,
}

impl Sample {
    fn requests(self) -> f64 {
        f64::from(self.good) + f64::from(self.bad)
    }

    fn rate(self) -> f64 {
        f64::from(self.good) / self.requests()
    }

    /// The failures' share on a scale on which chance spreads all shares alike: by half the root of one in `requests`
    /// (the arcsine of the root, with Anscombe's correction for small counts).
    fn angle(bad: f64, requests: f64) -> f64 {
        ((bad + 0.375) / (requests + 0.75)).sqrt().asin()
    }
}

/// Which of an upstream's endpoints to leave out, the worst first: those whose rate of success is further below the mean
/// of the others than `stdev_percent` allows.
///
/// An endpoint is held against the *others*: with itself among them, the worst of three or four is never as far as 1.9
/// deviations away, be it ever so bad. And it must be worse by more than chance makes of so few requests
/// (four deviations), or among endpoints that are all alike the first failure would be one too many.
#[must_use]
pub fn judge(rule: &Rule, samples: &[Sample]) -> Vec<usize> {
    let is_judged = |sample: &Sample| {
        !sample.is_out && sample.requests() >= f64::from(rule.requests_min.max(1))
    };
    let mut judged: Vec<usize> = (0..samples.len()).filter(|&i| is_judged(&samples[i])).collect();
    judged.sort_by(|&a, &b| samples[b].rate().total_cmp(&samples[a].rate()).then(b.cmp(&a)));
    let out = samples.iter().filter(|sample| sample.is_out).count();
    let may_be_out = samples.len() * usize::from(rule.ejected_percent_max) / 100;
    let mut ejected = Vec::new();
    while judged.len() >= COMPARED_MIN
        && out + ejected.len() < may_be_out
        && let Some(worst) = judged.pop()
        && is_outlier(rule, samples[worst], judged.iter().map(|&index| samples[index]))
    {
        ejected.push(worst);
    }
    ejected
}

fn is_outlier(rule: &Rule, worst: Sample, others: impl Iterator<Item = Sample> + Clone) -> bool {
    let count = others.clone().map(|_| 1.0).sum::<f64>();
    let mean = others.clone().map(Sample::rate).sum::<f64>() / count;
    let spread = others.clone().map(|other| (other.rate() - mean).powi(2)).sum::<f64>() / count;
    let deviations = f64::from(rule.stdev_percent) / 100.0;
    worst.rate() < mean - deviations * spread.sqrt() && !is_chance(worst, others)
}

/// Whether they may all fail as often, and it is chance that one did more than the others.
fn is_chance(worst: Sample, others: impl Iterator<Item = Sample> + Clone) -> bool {
    let requests = others.clone().map(Sample::requests).sum::<f64>();
    let bad = others.map(|other| f64::from(other.bad)).sum::<f64>();
    let distance =
        Sample::angle(f64::from(worst.bad), worst.requests()) - Sample::angle(bad, requests);
    let deviation = 0.5 * (1.0 / worst.requests() + 1.0 / requests).sqrt();
    distance <= CHANCE_DEVIATIONS * deviation
}

#[cfg(test)]
mod tests;
