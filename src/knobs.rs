//! How big: the `RINGWAY_*` variables, with defaults taken from the machine. What they are for and what they changed
//! when measured stands in tuning/README.md.

use std::time::Duration;

use crate::ring;
use crate::sys::affinity;

/// What the defaults depend on.
#[derive(Clone, Debug)]
pub struct Machine {
    /// CPUs this process may use.
    pub cpus: Vec<usize>,
    /// Files it may have open.
    pub open_files: u64,
}

/// The knobs as they are turned.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// The CPU of each shard; `None` where it is not pinned.
    pub shards: Vec<Option<usize>>,
    /// Streams the process is to hold at once, over all shards.
    pub streams_max: u64,
    /// Longest nap of a busy shard before it waits for events, in microseconds; 0: never.
    pub wake_us: u32,
    /// What the kernel may hold for one direction of a connection that is read slowly, in bytes; 0: its own choice.
    pub socket_bytes: u32,
    /// How long streams may go on after the first SIGTERM.
    pub drain: Duration,
    /// Whether to do without io_uring.
    pub is_legacy_forced: bool,
}

/// Shards a process may have.
pub const SHARDS_MAX: usize = 256;
/// Streams a process may be asked to hold.
const STREAMS_MAX: u64 = 10_000_000;
/// Descriptors that a table holds beside client and endpoint connections.
pub const RESERVED_FILES: u64 = 256;
const WAKE_US_DEFAULT: u32 = 300;
const WAKE_US_MAX: u32 = 2_000;
const SOCKET_KIB_DEFAULT: u64 = 256;
const SOCKET_KIB_MAX: u64 = 64 << 10;
const DRAIN_SECONDS_DEFAULT: u64 = 30;
const DRAIN_SECONDS_MAX: u64 = 86_400;

impl Knobs {
    /// Reads the knobs; `get` gives the value of a variable.
    ///
    /// # Errors
    /// A line for each value that cannot be: the variable, what it holds, and what it may hold.
    pub fn read(
        get: impl Fn(&str) -> Option<String>,
        machine: &Machine,
    ) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut number = |name: &str, default: u64, max: u64| match get(name) {
            None => default,
            Some(text) => match text.trim().parse() {
                Ok(number) if number <= max => number,
                _ => {
                    errors.push(format!("{name}={text}: write a whole number from 0 to {max}"));
                    default
                }
            },
        };
        let shards = number("RINGWAY_SHARDS", 0, SHARDS_MAX as u64);
        // Each stream holds two descriptors; what one table holds is the default.
        let held = machine.open_files.saturating_sub(RESERVED_FILES) / 2;
        let streams_max = number("RINGWAY_STREAMS_MAX", held, STREAMS_MAX);
        let wake_us = number("RINGWAY_WAKE_US", WAKE_US_DEFAULT.into(), WAKE_US_MAX.into());
        let socket_kib = number("RINGWAY_SOCKET_KIB", SOCKET_KIB_DEFAULT, SOCKET_KIB_MAX);
        let drain = number("RINGWAY_DRAIN_SECONDS", DRAIN_SECONDS_DEFAULT, DRAIN_SECONDS_MAX);
        let is_legacy_forced = match get("RINGWAY_DRIVER").as_deref() {
            None | Some("io_uring") => false,
            Some("epoll") => true,
            Some(other) => {
                errors.push(format!("RINGWAY_DRIVER={other}: write io_uring or epoll"));
                false
            }
        };
        let cpus = match get("RINGWAY_CPUS") {
            None => machine.cpus.clone(),
            Some(text) => affinity::parse_cpu_list(&text).unwrap_or_else(|part| {
                errors.push(format!(
                    "RINGWAY_CPUS={text}: \"{part}\" is no CPU; write a list such as 0-2,5"
                ));
                Vec::new()
            }),
        };
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            shards: place(usize::try_from(shards).unwrap_or(0), &cpus),
            streams_max,
            wake_us: u32::try_from(wake_us).unwrap_or(WAKE_US_DEFAULT),
            socket_bytes: u32::try_from(socket_kib * 1024).unwrap_or(0),
            drain: Duration::from_secs(drain),
            is_legacy_forced,
        })
    }

    /// How each shard's ring is built.
    #[must_use]
    pub fn ring(&self) -> ring::Options {
        ring::Options {
            wake_us: self.wake_us,
            is_legacy_forced: self.is_legacy_forced,
            ..ring::Options::default()
        }
    }

    /// Client connections that each shard holds at most: its part of the streams, and half as much again, since
    /// connections are not spread evenly and some wait between requests.
    #[must_use]
    pub fn connections_max(&self) -> u64 {
        let part = self.streams_max.div_ceil(self.shards.len() as u64);
        part + part / 2 + 64
    }

    /// Whether one table of `open_files` descriptors is too small for all shards together, so that each must have its own.
    #[must_use]
    pub fn needs_own_file_tables(&self, open_files: u64) -> bool {
        self.streams_max * 2 + RESERVED_FILES > open_files
    }
}

/// One shard for each CPU, or as many as asked for, in turn over the CPUs. More shards than CPUs are not pinned: the
/// system moves them to where there is time.
fn place(shards: usize, cpus: &[usize]) -> Vec<Option<usize>> {
    match (shards, cpus) {
        (0, []) => vec![None],
        (0, _) => cpus.iter().take(SHARDS_MAX).copied().map(Some).collect(),
        (shards, _) if shards > cpus.len() => vec![None; shards],
        (shards, _) => cpus.iter().take(shards).copied().map(Some).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine { cpus: vec![0, 1, 4], open_files: 20_000 }
    }

    fn read(set: &[(&str, &str)]) -> Result<Knobs, Vec<String>> {
        let get = |name: &str| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Knobs::read(get, &machine())
    }

    #[test]
    fn the_machine_gives_the_defaults() {
        let knobs = read(&[]).unwrap();
        assert_eq!(knobs.shards, [Some(0), Some(1), Some(4)]);
        assert_eq!(knobs.streams_max, 9_872);
        assert!(!knobs.needs_own_file_tables(20_000));
        assert_eq!(knobs.drain, Duration::from_secs(30));
    }

    #[test]
    fn shards_and_cpus_are_chosen() {
        assert_eq!(read(&[("RINGWAY_SHARDS", "1")]).unwrap().shards, [Some(0)]);
        assert_eq!(read(&[("RINGWAY_CPUS", "1")]).unwrap().shards, [Some(1)]);
        assert_eq!(read(&[("RINGWAY_SHARDS", "4")]).unwrap().shards, [None; 4]);
    }

    #[test]
    fn more_streams_than_one_table_holds_want_tables_of_their_own() {
        let knobs = read(&[("RINGWAY_STREAMS_MAX", "15000")]).unwrap();
        assert!(knobs.needs_own_file_tables(20_000));
        assert!(knobs.connections_max() >= 7_500);
    }

    #[test]
    fn every_value_that_cannot_be_is_named_at_once() {
        let errors = read(&[
            ("RINGWAY_SHARDS", "many"),
            ("RINGWAY_WAKE_US", "99999"),
            ("RINGWAY_CPUS", "0,x"),
            ("RINGWAY_DRIVER", "kqueue"),
        ])
        .unwrap_err();
        assert_eq!(errors.len(), 4, "{errors:?}");
        assert!(errors[0].contains("RINGWAY_SHARDS=many: write a whole number from 0 to 256"));
    }
}
