//! The phases of the resume test for people: a few lines each.

use std::io;
use std::io::Write;

use crate::resume::Told;
use crate::resume::plan::ResumePlan;

/// Writes what the test is about.
///
/// # Errors
/// Those of the writer.
pub fn write_head(plan: &ResumePlan, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}", plan.name, plan.what)?;
    writeln!(
        out,
        "{} shards, {} streams at a time of {} events of {} bytes; until clients have come back {} times, seed {}",
        plan.shards,
        plan.connections,
        plan.answer.events,
        plan.answer.bytes,
        plan.resumes,
        plan.seed
    )?;
    out.flush()
}

/// Writes a phase.
///
/// # Errors
/// Those of the writer.
pub fn write_phase(told: &Told, out: &mut dyn Write) -> io::Result<()> {
    let counts = &told.counts;
    writeln!(out, "\n{}", told.phase)?;
    writeln!(
        out,
        "  streams   {} begun: {} whole, {} gone, {} cut before they had a name, {} with a failure",
        counts.streams, counts.whole, counts.gone, counts.unnamed, counts.failed
    )?;
    writeln!(
        out,
        "  events    {} verified: {} lost, {} repeated, {} changed, {} of another stream, {} with a wrong id",
        counts.events,
        counts.lost,
        counts.repeated,
        counts.changed,
        counts.foreign,
        counts.misnumbered
    )?;
    let places = told.places.iter().map(|(place, count)| {
        let name = serde_json::to_value(place).ok();
        let name = name.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        format!("{count} {}", name.replace('_', " "))
    });
    writeln!(out, "  cut       {}: {}", counts.cuts, places.collect::<Vec<_>>().join(", "))?;
    let ways = told.ways.iter().map(|(way, count)| format!("{count} {way}"));
    writeln!(out, "  clients   {}", ways.collect::<Vec<_>>().join(", "))?;
    writeln!(
        out,
        "  came back {} read on ({} live, {} finished by the gateway's count), {} were told that nothing more comes; {:.0} % on \
         another shard; {} connections left open were closed in order",
        counts.resumed,
        told.metrics.resumes_live,
        told.metrics.resumes_finished,
        counts.nothing_more,
        told.other_shard * 100.0,
        counts.dismissed
    )?;
    writeln!(
        out,
        "  back      us  p50 {:.0}  p90 {:.0}  p99 {:.0}  max {:.0}, from connecting to the head",
        told.back_us.p50, told.back_us.p90, told.back_us.p99, told.back_us.max
    )?;
    writeln!(
        out,
        "  kept      {:.0} KiB at most, of {:.0}; {} streams gave way",
        told.replay_bytes_max / 1024.0,
        told.metrics.replay_budget_bytes / 1024.0,
        told.metrics.gave_way
    )?;
    if told.broken.is_empty() {
        writeln!(out, "  kept: every stream that was not gone came byte for byte")?;
    }
    for broken in &told.broken {
        writeln!(out, "  BROKEN  {broken}")?;
    }
    out.flush()
}
