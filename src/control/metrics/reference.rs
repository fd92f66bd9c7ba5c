//! The list of every metric: name, kind, help, and where its samples come from. The page is generated from it.

use crate::record::counters::LaneCounter;
use crate::record::counters::ShardCounter;
use crate::record::histogram::Histogram;

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name; those of OpenTelemetry where it has one, else `ringway_<noun>_<unit>[_total]`.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// One sentence.
    pub help: &'static str,
    /// Where its samples come from.
    pub(super) samples: Samples,
}

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
}

impl Kind {
    /// The word of the TYPE line.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Where the samples of a metric come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Samples {
    /// One number of all shards together.
    Sum(ShardCounter),
    /// One number of each shard.
    EachShard(ShardCounter),
    /// Connections to endpoints by state.
    PoolStates,
    /// Connections to endpoints by why they were closed.
    Retirements,
    /// Requests turned away at a cap of their shard, by which.
    Overloads,
    /// Connections closed for want of a right PROXY header, by why.
    ProxyTroubles,
    /// Requests by model, upstream and status.
    Statuses,
    /// Faults by model, upstream, kind and whose.
    Faults,
    /// Bytes by model, upstream and direction.
    Bytes,
    /// One number by model and upstream.
    Lane(LaneCounter),
    /// A histogram by model and upstream.
    Times(Histogram),
    /// A number of control or of the process.
    Process(Process),
}

/// Numbers of control and of the process.
#[derive(Clone, Copy, Debug)]
pub(super) enum Process {
    SnapshotNumber,
    LastReloadSuccessful,
    Reloads,
    PublishedAt,
    AccessLogLines,
    AccessLogDropped,
    AccessLogErrors,
    Build,
    StartedAt,
    ResidentBytes,
    Cpu,
}

const fn counter(name: &'static str, samples: Samples, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, help, samples }
}

const fn gauge(name: &'static str, samples: Samples, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, help, samples }
}

const fn times(name: &'static str, histogram: Histogram, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, help, samples: Samples::Times(histogram) }
}

/// Every metric that is exported, in the order of the page.
pub const REFERENCE: &[Metric] = &[
    counter(
        "ringway_requests_total",
        Samples::Statuses,
        "Requests by model, upstream and status; model and upstream are empty where no model was known.",
    ),
    times(
        "gen_ai_server_request_duration_seconds",
        Histogram::Duration,
        "Time from the receipt of a request to the end of its response.",
    ),
    times(
        "gen_ai_server_time_to_first_token_seconds",
        Histogram::TimeToFirstToken,
        "Time from the receipt of a request to the first byte of its response's body.",
    ),
    times(
        "ringway_request_overhead_seconds",
        Histogram::Overhead,
        "Time that the gateway itself added to a request.",
    ),
    times(
        "ringway_upstream_connect_seconds",
        Histogram::Connect,
        "Time to open a connection to an endpoint, TLS included.",
    ),
    counter(
        "ringway_faults_total",
        Samples::Faults,
        "Requests that failed after they were admitted, by why and by whose fault it was.",
    ),
    counter(
        "ringway_requests_cancelled_total",
        Samples::Lane(LaneCounter::Cancelled),
        "Requests whose client left before the end.",
    ),
    counter(
        "ringway_requests_repeated_total",
        Samples::Lane(LaneCounter::Repeated),
        "Attempts after the first.",
    ),
    counter(
        "ringway_stream_events_total",
        Samples::Lane(LaneCounter::Events),
        "Server-sent events relayed.",
    ),
    counter(
        "ringway_bytes_total",
        Samples::Bytes,
        "Bytes of bodies relayed: up to endpoints, down to clients.",
    ),
    gauge(
        "ringway_requests_open",
        Samples::Sum(ShardCounter::RequestsOpen),
        "Requests being served.",
    ),
    gauge(
        "ringway_streams_open",
        Samples::Sum(ShardCounter::StreamsOpen),
        "Responses being streamed.",
    ),
    counter(
        "ringway_requests_malformed_total",
        Samples::Sum(ShardCounter::MalformedRequests),
        "Requests that were not valid HTTP/1.1 and were refused.",
    ),
    counter(
        "ringway_overload_total",
        Samples::Overloads,
        "Requests turned away because their shard was at a cap, by which.",
    ),
    gauge(
        "ringway_connections_open",
        Samples::EachShard(ShardCounter::ConnectionsOpen),
        "Client connections open.",
    ),
    counter(
        "ringway_connections_accepted_total",
        Samples::EachShard(ShardCounter::ConnectionsAccepted),
        "Client connections accepted by the shard's listener.",
    ),
    counter(
        "ringway_connections_handed_over_total",
        Samples::EachShard(ShardCounter::ConnectionsHandedOver),
        "Client connections that the shard accepted and gave to another one.",
    ),
    counter(
        "ringway_connections_refused_total",
        Samples::EachShard(ShardCounter::ConnectionsRefused),
        "Client connections closed at once because a bound was reached.",
    ),
    counter(
        "ringway_proxy_headers_refused_total",
        Samples::ProxyTroubles,
        "Connections closed because they did not begin with a right header of the PROXY protocol, by why.",
    ),
    gauge(
        "ringway_upstream_connections",
        Samples::PoolStates,
        "Connections to endpoints: in use by a request, or idle.",
    ),
    counter(
        "ringway_upstream_connections_opened_total",
        Samples::Sum(ShardCounter::PoolOpened),
        "Connections to endpoints opened.",
    ),
    counter(
        "ringway_upstream_connections_reused_total",
        Samples::Sum(ShardCounter::PoolReused),
        "Requests sent over a connection that had served one before.",
    ),
    counter(
        "ringway_upstream_connections_retired_total",
        Samples::Retirements,
        "Connections to endpoints that were closed, by why.",
    ),
    gauge(
        "ringway_held_bytes",
        Samples::Sum(ShardCounter::HeldBytes),
        "Memory held for clients, in bytes: requests that arrive or may be sent again, and responses that wait.",
    ),
    counter(
        "ringway_shard_turns_total",
        Samples::EachShard(ShardCounter::Turns),
        "Turns of the shard's loop.",
    ),
    counter(
        "ringway_shard_naps_total",
        Samples::EachShard(ShardCounter::Naps),
        "Turns before which the shard waited on purpose, to find more work at once.",
    ),
    gauge(
        "ringway_snapshot_adopted",
        Samples::EachShard(ShardCounter::AdoptedSnapshot),
        "Number of the snapshot that the shard serves; 0 before the first.",
    ),
    gauge(
        "ringway_snapshot_number",
        Samples::Process(Process::SnapshotNumber),
        "Number of the latest published snapshot; 0 before the first.",
    ),
    gauge(
        "ringway_snapshot_published_timestamp_seconds",
        Samples::Process(Process::PublishedAt),
        "When the latest snapshot was published, in seconds since 1970.",
    ),
    gauge(
        "ringway_config_last_reload_successful",
        Samples::Process(Process::LastReloadSuccessful),
        "1 if the last reading of the config went well, else 0.",
    ),
    counter(
        "ringway_config_reloads_total",
        Samples::Process(Process::Reloads),
        "Readings of the config, by result.",
    ),
    gauge(
        "ringway_draining_shards",
        Samples::Sum(ShardCounter::Draining),
        "Shards that take no new connections because the gateway is shutting down.",
    ),
    counter(
        "ringway_records_dropped_total",
        Samples::Sum(ShardCounter::RecordsDropped),
        "Records lost on their way to the access log because their queue was full.",
    ),
    counter(
        "ringway_access_log_lines_total",
        Samples::Process(Process::AccessLogLines),
        "Lines written to the access log.",
    ),
    counter(
        "ringway_access_log_dropped_total",
        Samples::Process(Process::AccessLogDropped),
        "Lines lost because the access log could not be written, or not fast enough.",
    ),
    counter(
        "ringway_access_log_errors_total",
        Samples::Process(Process::AccessLogErrors),
        "Writes or opens of the access log that failed.",
    ),
    counter(
        "ringway_bugs_total",
        Samples::Sum(ShardCounter::Bugs),
        "Assertions that did not hold; each ended one connection.",
    ),
    gauge("ringway_build_info", Samples::Process(Process::Build), "Always 1; says the version."),
    gauge(
        "process_start_time_seconds",
        Samples::Process(Process::StartedAt),
        "When the process started, in seconds since 1970.",
    ),
    gauge(
        "process_resident_memory_bytes",
        Samples::Process(Process::ResidentBytes),
        "Resident memory.",
    ),
    counter(
        "process_cpu_seconds_total",
        Samples::Process(Process::Cpu),
        "Processor time used, in user space and in the kernel.",
    ),
];
