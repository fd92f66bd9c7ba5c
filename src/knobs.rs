//! How big: the `RINGWAY_*` variables, with defaults taken from the machine. What they are for and what they changed
//! when measured stands in tuning/README.md.

use std::ops::RangeInclusive;
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
    /// Memory it may use, in bytes.
    pub memory_bytes: u64,
}

/// The knobs as they are turned.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// The CPU of each shard; `None` where it is not pinned.
    pub shards: Vec<Option<usize>>,
    /// Streams the process is to hold at once, over all shards.
    pub streams_max: u64,
    /// Requests that each shard serves at once.
    pub requests_max: u64,
    /// Memory that each shard holds for bodies and for responses that wait for their clients, in bytes.
    pub held_bytes_max: u64,
    /// Memory in which each shard keeps streams for clients that may come back, in bytes; 0: no stream can be resumed.
    pub replay_bytes: usize,
    /// Requests of each shard that wait for their turn at a limit.
    pub queue_max: u64,
    /// Endpoints that are told apart at a time, on all upstreams, those included that are gone and some request still holds.
    pub endpoints_max: usize,
    /// Longest nap of a shard that is busy with streams before it waits for events, in microseconds; 0: never.
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
/// Memory that a request in flight is reckoned with: its task, its buffers, what the kernel has for two sockets.
const REQUEST_BYTES: u64 = 16 << 10;
const REQUESTS_MAX: u64 = STREAMS_MAX;
const ENDPOINTS_MIN: u64 = 64;
const ENDPOINTS_MAX: u64 = 65_536;
/// With less a shard could not even hold a usual request.
const HELD_BYTES_MIN: u64 = 64 << 10;
/// A machine with little memory is better served by a shard that swaps than by one that refuses.
const HELD_BYTES_DEFAULT_MIN: u64 = 64 << 20;
const HELD_BYTES_MAX: u64 = 1 << 40;
/// What is kept for clients that may come back is not to be felt where none does.
const REPLAY_MIB_DEFAULT: RangeInclusive<u64> = 8..=256;
const REPLAY_MIB_MAX: u64 = 64 << 10;
const WAKE_US_DEFAULT: u32 = 1_000;
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
        let mut number = |name: &str, default: u64, range: RangeInclusive<u64>| match get(name) {
            None => default,
            Some(text) => match text.trim().parse() {
                Ok(number) if range.contains(&number) => number,
                _ => {
                    let (low, high) = (range.start(), range.end());
                    errors
                        .push(format!("{name}={text}: write a whole number from {low} to {high}"));
                    default
                }
            },
        };
        let shards = number("RINGWAY_SHARDS", 0, 0..=SHARDS_MAX as u64);
        // Each stream holds two descriptors; what one table holds is the default.
        let held = machine.open_files.saturating_sub(RESERVED_FILES) / 2;
        let streams_max = number("RINGWAY_STREAMS_MAX", held, 0..=STREAMS_MAX);
        let wake_us = number("RINGWAY_WAKE_US", WAKE_US_DEFAULT.into(), 0..=WAKE_US_MAX.into());
        let socket_kib = number("RINGWAY_SOCKET_KIB", SOCKET_KIB_DEFAULT, 0..=SOCKET_KIB_MAX);
        let drain = number("RINGWAY_DRAIN_SECONDS", DRAIN_SECONDS_DEFAULT, 0..=DRAIN_SECONDS_MAX);
        // Zero, which cannot be written: as the machine has it.
        let requests_max = number("RINGWAY_REQUESTS_MAX", 0, 1..=REQUESTS_MAX);
        let held_bytes_max = number("RINGWAY_HELD_BYTES_MAX", 0, HELD_BYTES_MIN..=HELD_BYTES_MAX);
        let queue_max = number("RINGWAY_QUEUE_MAX", 0, 1..=REQUESTS_MAX);
        let endpoints_max =
            number("RINGWAY_ENDPOINTS_MAX", ENDPOINTS_MAX, ENDPOINTS_MIN..=ENDPOINTS_MAX);
        // Zero has a meaning here: as the machine has it is what no number says.
        let replay_mib = number("RINGWAY_REPLAY_MIB", u64::MAX, 0..=REPLAY_MIB_MAX);
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
        let shards = place(usize::try_from(shards).unwrap_or(0), &cpus);
        Ok(Self {
            streams_max,
            requests_max,
            held_bytes_max,
            queue_max,
            endpoints_max: usize::try_from(endpoints_max).unwrap_or(usize::MAX),
            replay_bytes: 0,
            wake_us: u32::try_from(wake_us).unwrap_or(WAKE_US_DEFAULT),
            socket_bytes: u32::try_from(socket_kib * 1024).unwrap_or(0),
            drain: Duration::from_secs(drain),
            is_legacy_forced,
            shards,
        }
        .with_caps_of(machine, Some(replay_mib).filter(|mib| *mib <= REPLAY_MIB_MAX)))
    }

    /// With the caps that are not set taken from the machine: a shard's part of half its memory in requests, and of a
    /// quarter in what it holds for them, and a sixteenth in streams that may be resumed. No more requests than connections
    /// can be in flight.
    fn with_caps_of(mut self, machine: &Machine, replay_mib: Option<u64>) -> Self {
        let memory = machine.memory_bytes / self.shards.len().max(1) as u64;
        let or = |set: u64, default: u64| if set == 0 { default } else { set };
        let requests = (memory / 2 / REQUEST_BYTES).min(self.connections_max()).max(64);
        self.requests_max = or(self.requests_max, requests);
        self.held_bytes_max = or(self.held_bytes_max, (memory / 4).max(HELD_BYTES_DEFAULT_MIN));
        self.queue_max = or(self.queue_max, (self.requests_max / 4).max(16));
        let (least, most) = REPLAY_MIB_DEFAULT.into_inner();
        let replay_mib =
            replay_mib.unwrap_or_else(|| (memory >> 20).div_euclid(16).clamp(least, most));
        self.replay_bytes = usize::try_from(replay_mib << 20).unwrap_or(usize::MAX);
        self
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
        Machine { cpus: vec![0, 1, 4], open_files: 20_000, memory_bytes: 12 << 30 }
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
        assert_eq!(knobs.requests_max, knobs.connections_max());
        assert_eq!(knobs.held_bytes_max, 1 << 30);
        assert_eq!(knobs.queue_max, knobs.requests_max / 4);
        assert_eq!(knobs.replay_bytes, 256 << 20);
        assert_eq!(knobs.endpoints_max, crate::snapshot::SLOTS_MAX);
    }

    #[test]
    fn a_small_machine_takes_on_less_and_what_is_set_counts() {
        let small = Machine { cpus: vec![0], open_files: 1_000_000, memory_bytes: 256 << 20 };
        let knobs = Knobs::read(|_| None, &small).unwrap();
        assert_eq!(knobs.requests_max, 8_192);
        assert_eq!(knobs.held_bytes_max, 64 << 20);
        assert_eq!(knobs.replay_bytes, 16 << 20);
        let knobs = read(&[
            ("RINGWAY_REQUESTS_MAX", "7"),
            ("RINGWAY_HELD_BYTES_MAX", "65536"),
            ("RINGWAY_QUEUE_MAX", "3"),
        ])
        .unwrap();
        assert_eq!((knobs.requests_max, knobs.held_bytes_max, knobs.queue_max), (7, 65_536, 3));
        let errors = read(&[("RINGWAY_REQUESTS_MAX", "0"), ("RINGWAY_HELD_BYTES_MAX", "1")]);
        assert_eq!(errors.unwrap_err().len(), 2);
    }

    #[test]
    fn streams_are_kept_in_memory_of_their_own() {
        let replay = |memory_bytes, shards: &str, set: Option<&str>| {
            let get = |name: &str| match name {
                "RINGWAY_SHARDS" => Some(shards.to_owned()),
                "RINGWAY_REPLAY_MIB" => set.map(str::to_owned),
                _ => None,
            };
            Knobs::read(get, &Machine { memory_bytes, ..machine() }).map(|knobs| knobs.replay_bytes)
        };
        let (mib, gib) = (1 << 20, 1 << 30);
        assert_eq!(replay(2 * gib, "2", None), Ok(64 << 20), "a sixteenth of its part");
        assert_eq!(replay(64 * mib, "2", None), Ok(8 << 20), "little memory");
        assert_eq!(replay(64 * gib, "2", None), Ok(256 << 20), "much of it");
        assert_eq!(replay(gib, "1", Some("0")), Ok(0), "nothing is kept");
        assert_eq!(replay(gib, "1", Some("3")), Ok(3 << 20));
        for wrong in ["65537", "-1", "8M", &u64::MAX.to_string()] {
            assert_eq!(replay(gib, "1", Some(wrong)).unwrap_err().len(), 1, "{wrong}");
        }
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
