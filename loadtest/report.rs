//! What came of the runs: a table for people, JSON for programs.

use std::fs;
use std::io;
use std::io::Write;
use std::process::Command;

use serde::Serialize;

use crate::compare::Ratio;
use crate::plan::Plan;
use crate::runner::Outcome;

/// Everything about a session of runs.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where it ran.
    pub machine: Machine,
    /// What was run.
    pub plans: Vec<Plan>,
    /// What came of it, in the order it ran.
    pub outcomes: Vec<Outcome>,
    /// One setting over another, medians of the rounds.
    pub ratios: Vec<Ratio>,
    /// Whether every run was clean.
    pub is_clean: bool,
}

/// Where something ran.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Number of processors.
    pub cpus: usize,
    /// Memory in KiB.
    pub memory_kib: u64,
    /// Kernel release.
    pub kernel: String,
    /// Congestion control of TCP.
    pub congestion: String,
    /// Load average when the session began.
    pub load: String,
    /// Commit of the working directory.
    pub commit: String,
    /// Seconds since 1970.
    pub unix_seconds: u64,
}

impl Machine {
    /// This one, now.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let line = |text: &str, name: &str| {
            let found = text.lines().find(|line| line.starts_with(name));
            found
                .and_then(|line| line.split_once(':'))
                .map_or(String::new(), |(_, v)| v.trim().to_owned())
        };
        let memory = line(&read("/proc/meminfo"), "MemTotal");
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            cpu: line(&read("/proc/cpuinfo"), "model name"),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            memory_kib: memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            congestion: read("/proc/sys/net/ipv4/tcp_congestion_control").trim().to_owned(),
            load: read("/proc/loadavg").trim().to_owned(),
            commit: commit(),
            unix_seconds: since.map_or(0, |since| since.as_secs()),
        }
    }
}

fn commit() -> String {
    let asked = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    match asked {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

/// Writes one outcome for people.
///
/// # Errors
/// Those of the writer.
pub fn write_outcome(outcome: &Outcome, out: &mut dyn Write) -> io::Result<()> {
    let counts = &outcome.counts;
    let verdict = if outcome.is_clean { "clean" } else { "NOT CLEAN: the figures are void" };
    writeln!(out, "{} through {}: {verdict}", outcome.plan, outcome.through)?;
    writeln!(
        out,
        "  {:.0} s: {} requests ({:.1}/s), {} events ({:.0}/s), {} verified; open at the end {}, connections {}",
        outcome.seconds,
        counts.requests,
        outcome.requests_per_second,
        counts.events,
        outcome.events_per_second,
        counts.events_verified,
        counts.open_to,
        counts.connections
    )?;
    if counts.lost + counts.repeated + counts.corrupt + counts.foreign > 0 {
        writeln!(
            out,
            "  LOST {} REPEATED {} CORRUPT {} OF ANOTHER REQUEST {}",
            counts.lost, counts.repeated, counts.corrupt, counts.foreign
        )?;
    }
    for (kind, count) in &outcome.errors {
        writeln!(out, "  ERROR {count} x {kind}")?;
    }
    let spreads = [
        ("latency", &outcome.latency_us),
        ("first", &outcome.first_us),
        ("gap", &outcome.gap_us),
        ("relay", &outcome.relay_us),
    ];
    for (name, spread) in spreads {
        if spread.count > 0 {
            writeln!(
                out,
                "  {name:<8} us  p50 {:>9.1}  p90 {:>9.1}  p99 {:>9.1}  p99.9 {:>9.1}  max {:>9.1}",
                spread.p50, spread.p90, spread.p99, spread.p999, spread.max
            )?;
        }
    }
    write_cost(outcome, out)?;
    writeln!(out, "  tester   {:.3} cores", outcome.own_cores)
}

fn write_cost(outcome: &Outcome, out: &mut dyn Write) -> io::Result<()> {
    let counts = &outcome.counts;
    if let Some(cost) = &outcome.cost {
        writeln!(
            out,
            "  cost     {:.3} cores; CPU us/request {:.2}, us/event {:.2}; {:.0} sleeps/s; RSS {} -> {} KiB ({:.2} KiB/open)",
            cost.cores,
            cost.us_per_request,
            cost.us_per_event,
            cost.sleeps_per_second,
            cost.rss_before_kib,
            cost.rss_kib,
            cost.rss_kib_per_open
        )?;
    }
    if counts.aborted > 0 {
        let abort = outcome.cost.map_or(0.0, |cost| cost.us_per_abort);
        writeln!(out, "  aborted  {} streams, {abort:.1} CPU us each", counts.aborted)?;
    }
    if let Some(upstream) = &outcome.upstream {
        writeln!(
            out,
            "  upstream {} requests on {} connections; {} cancelled, {} still open after {} ms",
            upstream.requests,
            upstream.connections,
            upstream.cancelled,
            upstream.left_open,
            upstream.quiet_after_ms
        )?;
    }
    if counts.queued > 0 {
        writeln!(out, "  queued   {} requests found all connections busy", counts.queued)?;
    }
    Ok(())
}

/// Writes the ratios for people.
///
/// # Errors
/// Those of the writer.
pub fn write_ratios(ratios: &[Ratio], out: &mut dyn Write) -> io::Result<()> {
    for ratio in ratios {
        writeln!(
            out,
            "{:<22} {:<24} {:>10} {:>10.2}  ({:.2} to {:.2})  {:>6} {}",
            ratio.plan,
            ratio.what,
            ratio.through,
            ratio.median,
            ratio.least,
            ratio.most,
            ratio.over_first.map_or(String::new(), |over| format!("x {over:.2}")),
            ratio.added.map_or(String::new(), |added| format!("{added:+.1}"))
        )?;
    }
    Ok(())
}
