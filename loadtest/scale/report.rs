//! The scale test for people: a line now and then, and what it came to.

use std::io;
use std::io::Write;

use crate::scale::ScaleReport;
use crate::scale::plan::ScalePlan;
use crate::scale::watch::Look;

/// Lines of the table, about; all looks are in the JSON.
const LINES: f64 = 24.0;

/// Writes what the test is about, and the table's head.
///
/// # Errors
/// Those of the writer.
pub fn write_head(plan: &ScalePlan, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}", plan.name, plan.what)?;
    writeln!(
        out,
        "{} streams, {} shards, {} mocks, an event every {} s each; {} % leave each second, {} % of them come back; {} minutes, seed {}",
        plan.connections,
        plan.shards,
        plan.mocks,
        plan.answer.gap_ms / 1000.0,
        plan.clients.churn_percent,
        plan.clients.returns_percent,
        plan.minutes,
        plan.seed
    )?;
    writeln!(
        out,
        "{:>8} {:>8} {:>8} {:>9} {:>7} {:>11} {:>11} {:>8} {:>9}",
        "second",
        "open",
        "away",
        "RSS MiB",
        "cores",
        "heartbeats",
        "replay KiB",
        "resumes",
        "snapshot"
    )?;
    out.flush()
}

/// The lines of the table, evenly over the time.
#[derive(Debug)]
pub struct Lines {
    each_s: f64,
    next_s: f64,
    last: Option<Look>,
}

impl Lines {
    /// Those of a plan.
    #[must_use]
    pub fn new(plan: &ScalePlan) -> Self {
        Self { each_s: plan.minutes * 60.0 / LINES, next_s: 0.0, last: None }
    }

    /// Writes a look, if it is time for a line.
    ///
    /// # Errors
    /// Those of the writer.
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a test fit into 53 bits")]
    pub fn write(&mut self, look: &Look, out: &mut dyn Write) -> io::Result<()> {
        if look.at_s < self.next_s {
            return Ok(());
        }
        self.next_s = look.at_s + self.each_s;
        let before = self.last.replace(*look).unwrap_or(*look);
        let span = look.at_s - before.at_s;
        let nanos = look.cpu_nanos.saturating_sub(before.cpu_nanos) as f64;
        let metrics = &look.metrics;
        writeln!(
            out,
            "{:>8.0} {:>8} {:>8.0} {:>9.1} {:>7.2} {:>11.0} {:>11.0} {:>8.0} {:>9.0}",
            look.at_s,
            look.open,
            metrics.away,
            look.rss_kib as f64 / 1024.0,
            if span > 0.0 { nanos / 1e9 / span } else { 0.0 },
            metrics.heartbeats,
            metrics.replay_bytes / 1024.0,
            metrics.resumes_live + metrics.resumes_finished,
            metrics.adopted
        )?;
        out.flush()
    }
}

/// Writes what it came to.
///
/// # Errors
/// Those of the writer.
pub fn write_end(told: &ScaleReport, out: &mut dyn Write) -> io::Result<()> {
    let counts = &told.counts;
    writeln!(
        out,
        "streams    {} begun: {} whole, {} left for good, {} left before they had a name, {} under way at the end, {} with a failure",
        counts.streams, counts.whole, counts.left, counts.unnamed, counts.unfinished, counts.failed
    )?;
    writeln!(
        out,
        "came back  {} times; {} were told that nothing more comes",
        counts.resumed, counts.nothing_more
    )?;
    writeln!(
        out,
        "events     {} verified: {} lost, {} repeated, {} changed, {} of another stream, {} with a wrong id",
        counts.events,
        counts.lost,
        counts.repeated,
        counts.changed,
        counts.foreign,
        counts.misnumbered
    )?;
    writeln!(
        out,
        "heartbeats {}: {} missed, {} too early",
        counts.beats, counts.beats_missed, counts.beats_early
    )?;
    for (name, spread) in [
        ("late", &told.late_us),
        ("relay", &told.relay_us),
        ("first", &told.first_us),
        ("back", &told.back_us),
    ] {
        writeln!(
            out,
            "{name:<10} ms  p50 {:>8.2}  p90 {:>8.2}  p99 {:>8.2}  p99.9 {:>8.2}  max {:>8.2}",
            spread.p50 / 1000.0,
            spread.p90 / 1000.0,
            spread.p99 / 1000.0,
            spread.p999 / 1000.0,
            spread.max / 1000.0
        )?;
    }
    let quarters = |figure: fn(&crate::scale::judge::Quarter) -> String| {
        told.quarters.iter().map(figure).collect::<Vec<_>>().join(", ")
    };
    writeln!(
        out,
        "memory     {} MiB by quarter: {:+.2} %; {:.2} KiB for each stream open",
        quarters(|quarter| format!("{:.1}", quarter.rss_mib)),
        told.growth_percent,
        told.rss_kib_per_stream
    )?;
    writeln!(
        out,
        "gateway    {} cores by quarter; all shards served by the new config after {:.1} ms",
        quarters(|quarter| format!("{:.2}", quarter.cores)),
        told.reload_ms
    )?;
    if told.is_kept {
        writeln!(
            out,
            "kept: nothing lost, repeated or reordered; memory flat; no heartbeat missed"
        )?;
    }
    for broken in &told.broken {
        writeln!(out, "BROKEN  {broken}")?;
    }
    out.flush()
}
