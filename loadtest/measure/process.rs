//! What a process costs: CPU time of all its threads, resident memory, open files; read from /proc.

use std::fs;

use serde::Serialize;

/// A reading of one process.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Reading {
    /// Nanoseconds that its threads have run.
    pub cpu_nanos: u64,
    /// Resident memory in KiB.
    pub rss_kib: u64,
    /// Of it, not backed by files.
    pub anonymous_kib: u64,
    /// Times that its threads went to sleep of themselves.
    pub sleeps: u64,
    /// Times that they were made to wait.
    pub preemptions: u64,
}

impl Reading {
    /// The sum over processes; those that are gone count nothing.
    #[must_use]
    pub fn of(pids: &[u32]) -> Self {
        let mut sum = Self::default();
        for pid in pids {
            let one = read(*pid);
            sum.cpu_nanos += one.cpu_nanos;
            sum.rss_kib += one.rss_kib;
            sum.anonymous_kib += one.anonymous_kib;
            sum.sleeps += one.sleeps;
            sum.preemptions += one.preemptions;
        }
        sum
    }
}

/// Whether the process exists.
#[must_use]
pub fn exists(pid: u32) -> bool {
    fs::metadata(format!("/proc/{pid}")).is_ok()
}

fn read(pid: u32) -> Reading {
    let mut reading = Reading::default();
    // A task that ends while it is read takes its time with it; gateways keep their threads.
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    for task in tasks {
        let path = task.path();
        let schedstat = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        reading.cpu_nanos += first_number(&schedstat);
        let status = fs::read_to_string(path.join("status")).unwrap_or_default();
        reading.sleeps += named(&status, "voluntary_ctxt_switches:");
        reading.preemptions += named(&status, "nonvoluntary_ctxt_switches:");
    }
    let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    reading.rss_kib = named(&memory, "Rss:");
    reading.anonymous_kib = named(&memory, "Anonymous:");
    reading
}

/// The number on the line that begins with `name`.
fn named(text: &str, name: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix(name)).map_or(0, first_number)
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_run_and_has_memory() {
        let reading = Reading::of(&[std::process::id()]);
        assert!(reading.cpu_nanos > 0 && reading.rss_kib > 0);
        assert!(exists(std::process::id()) && !exists(u32::MAX));
        assert_eq!(Reading::of(&[u32::MAX]).rss_kib, 0);
    }

    #[test]
    fn numbers_are_found_by_their_name() {
        assert_eq!(named("Name: x\nRss:       123 kB\n", "Rss:"), 123);
        assert_eq!(named("Name: x", "Rss:"), 0);
    }
}
