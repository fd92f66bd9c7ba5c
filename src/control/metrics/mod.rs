//! The text page for Prometheus: every metric that exists, and how its samples are read from the pages of the shards.
//!
//! Labels come only from closed lists or from a snapshot, so the number of series is bounded by what is configured.

mod endpoints;
mod lanes;
mod metric;
mod reference;
mod sources;
mod spans;
mod text;

use std::sync::Arc;

use crate::control::metrics::lanes::TOKEN_KINDS;
use crate::control::metrics::lanes::Total;
use crate::control::metrics::metric::By;
use crate::control::metrics::metric::KeySetNumber;
use crate::control::metrics::metric::Process;
use crate::control::metrics::metric::Samples;
use crate::control::metrics::text::Labels;
use crate::control::metrics::text::seconds;
use crate::crossing::gauges::Page;
use crate::record::Reason;
use crate::record::ShadowResult;
use crate::record::counters::Cap;
use crate::record::counters::Continued;
use crate::record::counters::HedgeResult;
use crate::record::counters::ProxyTrouble;
use crate::record::counters::QueueResult;
use crate::record::counters::Resumed;
use crate::record::counters::Retirement;
use crate::record::counters::RetryDenied;
use crate::record::counters::ShardCell;
use crate::record::counters::ShardCounter;
use crate::units::LaneId;

pub use crate::control::metrics::endpoints::EndpointNumbers;
pub use crate::control::metrics::endpoints::STATES;
pub use crate::control::metrics::metric::Kind;
pub use crate::control::metrics::metric::Metric;
pub use crate::control::metrics::reference::REFERENCE;
pub use crate::control::metrics::sources::SourceNumbers;
pub use crate::control::metrics::spans::Spans;
pub use crate::control::register::clerk::RegisteredNumbers;

/// The content type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The name of a lane: the labels of everything counted in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneName {
    /// The model as it is configured, with `@version` if it has one.
    pub model: String,
    /// The upstream's name.
    pub upstream: String,
    /// Where it is counted.
    pub lane: LaneId,
}

/// What the page shows beside the pages of the shards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ControlNumbers {
    /// Number of the latest published snapshot; 0 before the first.
    pub snapshot_number: u64,
    /// Snapshots in memory: the published one, and earlier ones that requests still hold.
    pub snapshots_held: u64,
    /// Tenants of the published snapshot.
    pub tenants: u64,
    /// API keys of the published snapshot.
    pub keys: u64,
    /// Memory of these keys, in bytes.
    pub keys_bytes: u64,
    /// Key sets that are fetched.
    pub key_sets: Vec<KeySetNumbers>,
    /// Sources of endpoints.
    pub sources: Vec<SourceNumbers>,
    /// From a source's answer, or a file that was noticed, to its adoption by every shard.
    pub publish: Spans,
    /// From a source's answer to the first attempt at an endpoint that is new.
    pub first_request: Spans,
    /// Where the gateway makes itself known.
    pub registered: Vec<RegisteredNumbers>,
    /// Endpoints of the published snapshot.
    pub endpoints: Vec<EndpointNumbers>,
    /// The last attempt to read the configuration and what it names was successful.
    pub is_last_reload_successful: bool,
    /// Readings of the config that went well.
    pub reloads: u64,
    /// Readings that did not: the snapshot before was kept.
    pub reloads_failed: u64,
    /// Requests for changes, and of strangers, on the admin listener.
    pub admin: AdminNumbers,
    /// When the latest snapshot was published, in milliseconds since 1970.
    pub published_unix_ms: u64,
    /// Lines written to the access log.
    pub access_log_lines: u64,
    /// Lines lost because the log was slower than the requests.
    pub access_log_dropped: u64,
    /// Writes or opens of the access log that failed.
    pub access_log_errors: u64,
    /// When the process started, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
    /// Processor time used so far, in milliseconds.
    pub cpu_ms: u64,
}

/// What became of requests on the admin listener that want more than to look around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdminNumbers {
    /// Something was changed.
    pub changed: u64,
    /// A change was asked for that was not made.
    pub refused: u64,
    /// Somebody was not let in.
    pub denied: u64,
}

/// What is known of a key set that is fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySetNumbers {
    /// Whose it is: the issuer as configured, or the url where none is.
    pub issuer: String,
    /// Keys in it that can be used; 0 before it was fetched.
    pub keys: u64,
    /// When it was last fetched, in milliseconds since 1970; 0 before.
    pub fetched_unix_ms: u64,
    /// Attempts to fetch it that failed.
    pub failures: u64,
}

/// Writes the whole page to `out`.
pub fn write(pages: &[Arc<Page>], names: &[LaneName], numbers: &ControlNumbers, out: &mut String) {
    let view = View {
        pages,
        lanes: lanes::totals(pages, names),
        unnamed: Total::of(pages, &[None]),
        numbers,
    };
    for metric in REFERENCE {
        text::head(out, metric);
        view.samples(metric, out);
    }
}

/// All that one page shows, at one moment.
struct View<'a> {
    pages: &'a [Arc<Page>],
    lanes: Vec<Total>,
    unnamed: Total,
    numbers: &'a ControlNumbers,
}

impl View<'_> {
    fn samples(&self, metric: &Metric, out: &mut String) {
        let name = metric.name;
        match metric.samples {
            Samples::Sum(counter) => {
                text::sample(out, name, &Labels::new(), self.sum(counter));
            }
            Samples::EachShard(counter) => {
                for (shard, page) in self.pages.iter().enumerate() {
                    let labels = Labels::new().with("shard", &shard.to_string());
                    text::sample(out, name, &labels, page.load(counter).cast_signed());
                }
            }
            Samples::PoolStates => {
                for (state, counter) in
                    [("in_use", ShardCounter::PoolInUse), ("idle", ShardCounter::PoolIdle)]
                {
                    text::sample(out, name, &Labels::new().with("state", state), self.sum(counter));
                }
            }
            Samples::By(by) => self.by(by, name, out),
            Samples::Fallbacks => {
                self.lanes.iter().for_each(|lane| lanes::fallbacks(lane, name, out))
            }
            Samples::Chosen => self.lanes.iter().for_each(|lane| lanes::chosen(lane, name, out)),
            Samples::Endpoints(number) => {
                endpoints::samples(&self.numbers.endpoints, number, name, out);
            }
            Samples::Refusals => self.refusals(name, out),
            Samples::KeySets(number) => {
                self.numbers.key_sets.iter().for_each(|set| key_set(set, number, name, out));
            }
            Samples::Sources(number) => {
                sources::samples(&self.numbers.sources, number, name, out);
            }
            Samples::Spans(span) => spans::write(self.numbers, span, name, out),
            Samples::Registered => sources::registered(&self.numbers.registered, name, out),
            Samples::Tokens => self.lanes.iter().for_each(|lane| lanes::tokens(lane, name, out)),
            Samples::TokenUsage => {
                for lane in &self.lanes {
                    for (kind, histogram) in TOKEN_KINDS {
                        let labels = || lane.gen_ai_labels().with("gen_ai_token_type", kind);
                        lanes::buckets(
                            lane,
                            histogram,
                            name,
                            labels,
                            |tokens| tokens.to_string(),
                            out,
                        );
                    }
                }
            }
            Samples::Statuses => self.each_lane(|lane| lanes::statuses(lane, name, out)),
            Samples::Faults => self.each_lane(|lane| lanes::faults(lane, name, out)),
            Samples::Bytes => self.each_lane(|lane| lanes::bytes(lane, name, out)),
            Samples::Lane(counter) => {
                for lane in &self.lanes {
                    text::sample(out, name, &lane.labels(), lane.load(counter));
                }
            }
            Samples::Times(histogram) => {
                self.lanes.iter().for_each(|lane| lanes::times(lane, histogram, name, out));
            }
            Samples::Process(number) => self.process(number, name, out),
        }
    }

    fn by(&self, by: By, name: &str, out: &mut String) {
        match by {
            By::Retirement => self.each("reason", Retirement::ALL, Retirement::label, name, out),
            By::Cap => self.each("reason", Cap::ALL, Cap::label, name, out),
            By::ProxyTrouble => {
                self.each("reason", ProxyTrouble::ALL, ProxyTrouble::label, name, out);
            }
            By::RetryDenied => self.each("reason", RetryDenied::ALL, RetryDenied::label, name, out),
            By::Hedge => self.each("result", HedgeResult::ALL, HedgeResult::label, name, out),
            By::EndpointQueue => {
                self.each("result", QueueResult::ALL, QueueResult::label, name, out);
            }
            By::Resumed => self.each("result", Resumed::ALL, Resumed::label, name, out),
            By::Shadow => self.each("outcome", ShadowResult::ALL, ShadowResult::label, name, out),
            By::Continued => self.each("how", Continued::ALL, Continued::label, name, out),
        }
    }

    /// Those that have happened: there are many reasons, and most never come up.
    fn refusals(&self, name: &str, out: &mut String) {
        for reason in Reason::all() {
            let count = self.sum(reason);
            if count > 0 {
                let labels = Labels::new().with("reason", reason.label());
                text::sample(out, name, &labels, count);
            }
        }
    }

    /// One number of all shards for each value of a label.
    fn each<V: Copy + Into<ShardCell>>(
        &self,
        label: &str,
        values: &[V],
        show: impl Fn(V) -> &'static str,
        name: &str,
        out: &mut String,
    ) {
        for &value in values {
            let labels = Labels::new().with(label, show(value));
            text::sample(out, name, &labels, self.sum(value));
        }
    }

    /// A number of all shards. What one shard adds another may take away, so each by itself may be below zero.
    fn sum(&self, cell: impl Into<ShardCell>) -> i64 {
        let cell = cell.into();
        let loads = self.pages.iter().map(|page| page.load(cell));
        loads.fold(0, u64::wrapping_add).cast_signed()
    }

    /// The named lanes, and the requests that had none.
    fn each_lane(&self, mut write: impl FnMut(&Total)) {
        self.lanes.iter().for_each(&mut write);
        write(&self.unnamed);
    }

    fn process(&self, number: Process, name: &str, out: &mut String) {
        let numbers = self.numbers;
        let none = Labels::new();
        let mut whole = |value: u64| text::sample(out, name, &none, value);
        match number {
            Process::SnapshotNumber => whole(numbers.snapshot_number),
            Process::SnapshotsHeld => whole(numbers.snapshots_held),
            Process::Tenants => whole(numbers.tenants),
            Process::Keys => whole(numbers.keys),
            Process::KeysBytes => whole(numbers.keys_bytes),
            Process::LastReloadSuccessful => whole(u64::from(numbers.is_last_reload_successful)),
            Process::AccessLogLines => whole(numbers.access_log_lines),
            Process::AccessLogDropped => whole(numbers.access_log_dropped),
            Process::AccessLogErrors => whole(numbers.access_log_errors),
            Process::ResidentBytes => whole(numbers.resident_bytes),
            Process::PublishedAt => fraction(out, name, numbers.published_unix_ms),
            Process::StartedAt => fraction(out, name, numbers.started_unix_ms),
            Process::Cpu => fraction(out, name, numbers.cpu_ms),
            Process::Build => {
                let labels = Labels::new().with("version", env!("CARGO_PKG_VERSION"));
                text::sample(out, name, &labels, 1);
            }
            Process::Reloads => {
                for (result, count) in [("ok", numbers.reloads), ("failed", numbers.reloads_failed)]
                {
                    text::sample(out, name, &Labels::new().with("result", result), count);
                }
            }
            Process::AdminRequests => {
                let AdminNumbers { changed, refused, denied } = numbers.admin;
                let results = [("changed", changed), ("refused", refused), ("denied", denied)];
                for (result, count) in results {
                    text::sample(out, name, &Labels::new().with("result", result), count);
                }
            }
        }
    }
}

/// One sample of `millis` milliseconds, shown in seconds.
fn fraction(out: &mut String, name: &str, millis: u64) {
    text::sample(out, name, &Labels::new(), seconds(millis.saturating_mul(1_000_000)));
}

fn key_set(set: &KeySetNumbers, number: KeySetNumber, name: &str, out: &mut String) {
    let labels = Labels::new().with("issuer", &set.issuer);
    match number {
        KeySetNumber::Keys => text::sample(out, name, &labels, set.keys),
        KeySetNumber::Failures => text::sample(out, name, &labels, set.failures),
        KeySetNumber::FetchedAt => {
            let nanos = set.fetched_unix_ms.saturating_mul(1_000_000);
            text::sample(out, name, &labels, seconds(nanos));
        }
    }
}

#[cfg(test)]
mod tests;
