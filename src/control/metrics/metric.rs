//! What a metric is: its name, its kind, and where its samples come from.

use crate::control::metrics::endpoints::EndpointNumber;
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
    /// Quantiles of what was seen lately.
    Summary,
}

impl Kind {
    /// The word of the TYPE line.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
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
    /// What shards count by the values of one label.
    By(By),
    /// Requests that another model was asked for, by model, upstream and why.
    Fallbacks,
    /// Requests that got one of several versions, by model, upstream and why.
    Chosen,
    /// Numbers of each endpoint.
    Endpoints(EndpointNumber),
    /// Refused requests, by why.
    Refusals,
    /// A number of each key set that is fetched.
    KeySets(KeySetNumber),
    Sources(SourceNumber),
    /// A histogram of control's own.
    Spans(Span),
    /// Whether registries know the gateway.
    Registered,
    /// Tokens by model, upstream and kind.
    Tokens,
    /// The two histograms of tokens.
    TokenUsage,
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

/// What shards count by the values of one label.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    /// Connections to endpoints by why they were closed.
    Retirement,
    /// Requests turned away at a cap of their shard, by which.
    Cap,
    /// Connections closed for want of a right PROXY header, by why.
    ProxyTrouble,
    /// Requests that failed and were not sent again, by why.
    RetryDenied,
    /// Requests for which a second endpoint was asked, by what came of it.
    Hedge,
    /// Requests that waited for a place at an endpoint, by what came of it.
    EndpointQueue,
    /// Clients that came back for the rest of a stream, by what came of it.
    Resumed,
    /// Streams that broke off and may be continued, by what came of it.
    Continued,
    /// Copies of requests, by what came of them.
    Shadow,
}

/// Numbers of control and of the process.
#[derive(Clone, Copy, Debug)]
pub(super) enum Process {
    SnapshotNumber,
    SnapshotsHeld,
    Tenants,
    Keys,
    KeysBytes,
    LastReloadSuccessful,
    Reloads,
    AdminRequests,
    PublishedAt,
    AccessLogLines,
    AccessLogDropped,
    AccessLogErrors,
    Build,
    StartedAt,
    ResidentBytes,
    Cpu,
}

/// Numbers of a key set.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeySetNumber {
    Keys,
    Failures,
    FetchedAt,
}

/// Histograms of control's own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Span {
    Publish,
    FirstRequest,
}

/// Numbers of a source of endpoints.
#[derive(Clone, Copy, Debug)]
pub(super) enum SourceNumber {
    Up,
    Endpoints,
    Stale,
    Damped,
    Answers,
    Failures,
    SinceAnswer,
}

pub(super) const fn counter(name: &'static str, samples: Samples, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, help, samples }
}

pub(super) const fn gauge(name: &'static str, samples: Samples, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, help, samples }
}

pub(super) const fn times(name: &'static str, histogram: Histogram, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, help, samples: Samples::Times(histogram) }
}
