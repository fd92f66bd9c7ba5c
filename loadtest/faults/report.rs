//! What the phases were like: a line of a table each, and all of it as JSON.

use std::io;
use std::io::Write;

use serde::Serialize;

use crate::faults::measure::Figures;
use crate::faults::plan::FaultPlan;
use crate::report::Machine;

/// Everything about a session.
#[derive(Debug, Serialize)]
pub struct FaultReport {
    /// Where it ran.
    pub machine: Machine,
    /// What was run.
    pub plan: FaultPlan,
    /// How a black hole was made.
    pub black_hole: String,
    /// What came of it.
    pub phases: Vec<Judged>,
    /// Whether all promises were kept.
    pub is_kept: bool,
}

/// A phase and what is to be said of it.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// Its name.
    pub phase: String,
    /// What it was like.
    pub figures: Figures,
    /// Which promises were broken.
    pub broken: Vec<String>,
}

const LEGEND: &str = "\
failed: requests that a client saw fail before a byte of an answer, which a retry could have hidden, and (+) in the middle
  of the answer, which nobody could; attempts: for each request, from the fault's start to a second after its end (the
  worst second); first byte: milliseconds from the intended start; ejected, p99 back: milliseconds from the fault's start;
  used again: milliseconds from its end until the endpoint has half its share of the requests; ~: seen by the mock, the
  gateway did not say
";

/// Writes what the table is about, and its head.
///
/// # Errors
/// Those of the writer.
pub fn write_head(plan: &FaultPlan, black_hole: &str, out: &mut dyn Write) -> io::Result<()> {
    let rate: f64 = plan.loads.iter().filter_map(|load| load.rate).sum();
    writeln!(out, "{}: {}", plan.name, plan.what)?;
    writeln!(
        out,
        "{} endpoints, {} shards, {rate} requests a second; {} s before, {} s with the fault, {} s after it",
        plan.mocks, plan.shards, plan.before_s, plan.fault_s, plan.after_s
    )?;
    writeln!(out, "black hole: {black_hole}\n{LEGEND}")?;
    writeln!(
        out,
        "{:<28} {:>8} {:>12} {:>15}   {:<15} {:<15} {:>8} {:>9} {:>10}",
        "", "", "", "", "first byte ms", "first byte ms", "", "", ""
    )?;
    writeln!(
        out,
        "{:<28} {:>8} {:>12} {:>15}   {:<15} {:<15} {:>8} {:>9} {:>10}  promises",
        "phase",
        "requests",
        "failed",
        "attempts",
        "before p50 p99",
        "during p50 p99",
        "ejected",
        "p99 back",
        "used again"
    )?;
    out.flush()
}

/// Writes the line of a phase, and below it what was broken.
///
/// # Errors
/// Those of the writer.
pub fn write_phase(judged: &Judged, out: &mut dyn Write) -> io::Result<()> {
    let figures = &judged.figures;
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let pair = |p50, p99| format!("{:>6} {:>6}", number(p50, 1), number(p99, 1));
    let mark = |is_told: bool| if is_told { "" } else { "~" };
    let ejected = match figures.ejected_ms {
        None => "-".to_owned(),
        Some(_) => mark(figures.has_told_ejection).to_owned() + &number(figures.ejected_ms, 0),
    };
    let attempts = format!(
        "{}{} ({})",
        mark(figures.has_told_attempts),
        number(figures.attempts_per_request, 3),
        number(figures.attempts_worst, 2)
    );
    writeln!(
        out,
        "{:<28} {:>8} {:>12} {:>15}   {:<15} {:<15} {:>8} {:>9} {:>10}  {}",
        judged.phase,
        figures.requests,
        format!("{} + {}", figures.hideable, figures.mid_answer),
        attempts,
        pair(figures.p50_before_ms, figures.p99_before_ms),
        pair(figures.p50_during_ms, figures.p99_during_ms),
        ejected,
        number(figures.back_ms, 0),
        number(figures.recovered_ms, 0),
        if judged.broken.is_empty() { "kept" } else { "BROKEN" }
    )?;
    for broken in &judged.broken {
        writeln!(out, "  BROKEN  {broken}")?;
    }
    if !judged.broken.is_empty() {
        for (kind, count) in &figures.errors {
            writeln!(out, "          {count} x {kind}")?;
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_every_figure_and_says_what_was_broken() {
        let figures = Figures {
            requests: 13_000,
            hideable: 4,
            mid_answer: 7,
            errors: [("status 502".to_owned(), 4)].into(),
            attempts_per_request: Some(1.0314),
            p99_before_ms: Some(41.26),
            ejected_ms: Some(26.0),
            ..Figures::default()
        };
        let judged = |broken: &[&str]| Judged {
            phase: "500s".to_owned(),
            figures: figures.clone(),
            broken: broken.iter().map(|&text| text.to_owned()).collect(),
        };
        let text = |broken: &[&str]| {
            let mut out = Vec::new();
            write_phase(&judged(broken), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let kept = text(&[]);
        for part in ["500s", "13000", "4 + 7", "~1.031 (-)", "41.3", "~26", "kept"] {
            assert!(kept.contains(part), "{kept}");
        }
        let broken = text(&["4 failures"]);
        assert!(broken.contains("BROKEN  4 failures\n") && broken.contains("4 x status 502"));
    }
}
