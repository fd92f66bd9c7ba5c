//! Measures operations and prints a line for each: time, allocations, and where they can be had system calls.
#![allow(unsafe_code, reason = "the kernel's counter of system calls is not to be had from std")]
#![allow(dead_code, reason = "each of the targets that share this file uses a part of it")]

#[path = "counting.rs"]
pub(crate) mod counting;

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::FromRawFd;
use std::time::Duration;
use std::time::Instant;

use counting::Watched;
use serde_json::json;

/// One line of the report.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// What was done.
    pub(crate) name: String,
    /// Nanoseconds for each operation: median and 99th percentile of the samples.
    pub p50_ns: f64,
    /// See `p50_ns`.
    pub p99_ns: f64,
    /// Allocations for each operation.
    pub(crate) allocations: f64,
    /// Bytes of them.
    pub(crate) bytes: f64,
    /// Nanoseconds of the shard's CPU for each operation, where there is a shard.
    pub(crate) cpu_ns: Option<f64>,
    /// Its system calls for each operation, where the kernel tells.
    pub(crate) calls: Option<f64>,
}

/// A run of one target.
pub(crate) struct Harness {
    rows: Vec<Row>,
    is_json: bool,
    is_brief: bool,
    only: Option<String>,
}

const SAMPLES: usize = 200;
/// Length of one sample: long beside the clock's grain, short beside a time slice.
const SAMPLE: Duration = Duration::from_micros(500);

impl Harness {
    /// Reads the command line: `--json`; a word picks the lines with it in their names. Without `--bench`, which
    /// `cargo bench` gives, everything runs only once, to see that it does.
    pub(crate) fn from_args() -> Self {
        let mut harness = Self { rows: Vec::new(), is_json: false, is_brief: true, only: None };
        for arg in std::env::args().skip(1) {
            match arg.as_str() {
                "--json" => harness.is_json = true,
                "--bench" => harness.is_brief = false,
                word if !word.starts_with('-') => harness.only = Some(word.to_owned()),
                _ => {}
            }
        }
        harness
    }

    /// Whether this is only to see that it runs.
    pub(crate) fn is_brief(&self) -> bool {
        self.is_brief
    }

    /// Whether a line is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    /// Measures an operation on this thread.
    pub(crate) fn run(&mut self, name: &str, mut operation: impl FnMut()) {
        if !self.wants(name) {
            return;
        }
        operation();
        if self.is_brief {
            return self.add(Row { name: name.to_owned(), ..Row::default() });
        }
        let mut count = 1_u32;
        while time(count, &mut operation) < SAMPLE {
            count *= 2;
        }
        let this = Watched::this();
        let mut samples = Vec::with_capacity(SAMPLES);
        let before = this.counts();
        for _ in 0..SAMPLES {
            samples.push(nanos(time(count, &mut operation)) / f64::from(count));
        }
        let counts = this.counts().since(before);
        let operations = f64::from(count) * float(SAMPLES as u64);
        let (p50_ns, p99_ns) = percentiles(&mut samples);
        self.add(Row {
            name: name.to_owned(),
            p50_ns,
            p99_ns,
            allocations: float(counts.allocations) / operations,
            bytes: float(counts.bytes) / operations,
            cpu_ns: None,
            calls: None,
        });
    }

    /// Adds a line that was measured elsewhere.
    pub(crate) fn add(&mut self, row: Row) {
        if !self.is_json {
            if self.rows.is_empty() {
                say(&format!(
                    "{:<44} {:>12} {:>12} {:>10} {:>10} {:>10} {:>9}\n",
                    "", "ns/op p50", "p99", "allocs/op", "bytes/op", "cpu ns/op", "calls/op"
                ));
            }
            let maybe = |value: Option<f64>, digits: usize| {
                value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
            };
            say(&format!(
                "{:<44} {:>12.1} {:>12.1} {:>10.2} {:>10.1} {:>10} {:>9}\n",
                row.name,
                row.p50_ns,
                row.p99_ns,
                row.allocations,
                row.bytes,
                maybe(row.cpu_ns, 0),
                maybe(row.calls, 2)
            ));
        }
        self.rows.push(row);
    }

    /// Ends the run.
    pub(crate) fn finish(self) {
        if !self.is_json {
            return;
        }
        let rows: Vec<_> = self.rows.iter().map(as_json).collect();
        say(&format!("{:#}\n", json!(rows)));
    }
}

fn as_json(row: &Row) -> serde_json::Value {
    json!({
        "name": row.name,
        "p50_ns": row.p50_ns,
        "p99_ns": row.p99_ns,
        "allocations": row.allocations,
        "bytes": row.bytes,
        "cpu_ns": row.cpu_ns,
        "calls": row.calls,
    })
}

/// To standard output; a reader that went away is no failure.
fn say(text: &str) {
    io::stdout().write_all(text.as_bytes()).ok();
}

fn time(count: u32, operation: &mut impl FnMut()) -> Duration {
    let began = Instant::now();
    for _ in 0..count {
        operation();
    }
    began.elapsed()
}

/// The median and the 99th percentile; zeros if there is nothing.
pub(crate) fn percentiles(samples: &mut [f64]) -> (f64, f64) {
    samples.sort_by(f64::total_cmp);
    let at = |share: usize| samples.get(samples.len() * share / 100).copied().unwrap_or(0.0);
    (at(50), at(99))
}

/// Nanoseconds as a number to count with.
pub(crate) fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// A count as a number to count with.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// Nanoseconds that a thread of this process has run.
pub(crate) fn cpu_ns(thread: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"));
    let first = text.ok().and_then(|text| text.split(' ').next().and_then(|n| n.parse().ok()));
    first.unwrap_or(0)
}

/// Counts the system calls of one thread.
pub(crate) struct Calls(File);

impl Calls {
    /// Begins to count; `None` where the kernel does not let us.
    pub(crate) fn of(thread: i32) -> Option<Self> {
        const TRACEPOINT: u32 = 2;
        const ATTRIBUTE_BYTES: usize = 112;
        const CLOSE_ON_EXEC: libc::c_ulong = 8;
        let ids = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"].map(|root| {
            fs::read_to_string(format!("{root}/events/raw_syscalls/sys_enter/id")).ok()
        });
        let id: u64 = ids.into_iter().flatten().next()?.trim().parse().ok()?;
        // struct perf_event_attr: type, size, config; all else zero.
        let mut attribute = [0_u64; ATTRIBUTE_BYTES / 8];
        attribute[0] = u64::from(TRACEPOINT) | ((ATTRIBUTE_BYTES as u64) << 32);
        attribute[1] = id;
        // SAFETY: the attribute is live and as long as it says; the others are numbers.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                attribute.as_ptr(),
                thread,
                -1,
                -1,
                CLOSE_ON_EXEC,
            )
        };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
        // SAFETY: the descriptor was just made and is nobody else's.
        Some(Self(unsafe { File::from_raw_fd(fd) }))
    }

    /// How many there were so far.
    pub(crate) fn count(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes).map_or(0, |()| u64::from_ne_bytes(bytes))
    }
}
