//! The list of every metric: name, kind, help, and where its samples come from. The page is generated from it.

use crate::control::metrics::endpoints::EndpointNumber;
use crate::control::metrics::metric::By;
use crate::control::metrics::metric::KeySetNumber;
use crate::control::metrics::metric::Kind;
use crate::control::metrics::metric::Metric;
use crate::control::metrics::metric::Process;
use crate::control::metrics::metric::Samples;
use crate::control::metrics::metric::SourceNumber;
use crate::control::metrics::metric::Span;
use crate::control::metrics::metric::counter;
use crate::control::metrics::metric::gauge;
use crate::control::metrics::metric::times;
use crate::record::counters::LaneCounter;
use crate::record::counters::ShardCounter;
use crate::record::histogram::Histogram;

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
    times(
        "ringway_queue_wait_seconds",
        Histogram::Queue,
        "Time that requests waited for their turn at a full limit or at full endpoints; those that did not wait do not count.",
    ),
    counter(
        "ringway_faults_total",
        Samples::Faults,
        "Requests that failed after they were admitted, by why and by whose fault it was.",
    ),
    counter("ringway_refusals_total", Samples::Refusals, "Requests that were not let in, by why."),
    counter(
        "ringway_tokens_total",
        Samples::Tokens,
        "Tokens of requests and their answers, as the model server reported them or as estimated.",
    ),
    Metric {
        name: "gen_ai_client_token_usage",
        kind: Kind::Histogram,
        help: "Tokens of a request and of its answer, as the model server reported them or as estimated.",
        samples: Samples::TokenUsage,
    },
    counter(
        "ringway_requests_estimated_total",
        Samples::Lane(LaneCounter::Estimated),
        "Requests whose tokens the model server did not report, so that they were estimated.",
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
        "ringway_retries_total",
        Samples::Lane(LaneCounter::Retries),
        "Attempts that a model's retry policy allowed after one that failed.",
    ),
    counter(
        "ringway_retries_denied_total",
        Samples::By(By::RetryDenied),
        "Requests that failed and were not sent again, by why.",
    ),
    counter(
        "ringway_fallbacks_total",
        Samples::Fallbacks,
        "Requests for a model that another one was asked for in its place, by why.",
    ),
    counter(
        "ringway_versions_total",
        Samples::Chosen,
        "Requests that got one of several versions of a model, by why they got it.",
    ),
    counter(
        "ringway_shadow_total",
        Samples::By(By::Shadow),
        "Copies of requests that another version was to answer too, by what came of them.",
    ),
    counter(
        "ringway_hedges_total",
        Samples::By(By::Hedge),
        "Requests for which a second endpoint was asked because the first was slow, by what came of it.",
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
        "ringway_heartbeats_total",
        Samples::Sum(ShardCounter::Heartbeats),
        "Heartbeats sent to clients whose streams were quiet.",
    ),
    counter(
        "ringway_streams_throttled_total",
        Samples::Sum(ShardCounter::Throttled),
        "Times that a stream was held back because it was faster than its tenant's may be.",
    ),
    gauge(
        "ringway_streams_away",
        Samples::Sum(ShardCounter::StreamsAway),
        "Streams that go on without their clients.",
    ),
    counter(
        "ringway_resumes_total",
        Samples::By(By::Resumed),
        "Clients that came back for the rest of a stream, by what came of it.",
    ),
    counter(
        "ringway_streams_continued_total",
        Samples::By(By::Continued),
        "Streams whose upstream broke off behind their first content and that may be continued, by what came of it.",
    ),
    gauge(
        "ringway_replay_bytes",
        Samples::Sum(ShardCounter::ReplayBytes),
        "Memory of streams whose clients may come back, in bytes.",
    ),
    gauge(
        "ringway_replay_budget_bytes",
        Samples::Sum(ShardCounter::ReplayBudget),
        "How much that memory may be, in bytes.",
    ),
    gauge(
        "ringway_replay_streams",
        Samples::Sum(ShardCounter::ReplayStreams),
        "Streams that are kept for clients that may come back, those that have ended included.",
    ),
    counter(
        "ringway_replay_gave_way_total",
        Samples::Sum(ShardCounter::ReplayGaveWay),
        "Streams whose events gave way to those of others because the memory for them was full.",
    ),
    counter(
        "ringway_requests_malformed_total",
        Samples::Sum(ShardCounter::MalformedRequests),
        "Requests that were not valid HTTP/1.1 and were refused.",
    ),
    counter(
        "ringway_overload_total",
        Samples::By(By::Cap),
        "Requests turned away because their shard was at a cap, by which.",
    ),
    gauge(
        "ringway_queue_waiting",
        Samples::Sum(ShardCounter::QueueWaiting),
        "Requests that wait for their turn at a limit.",
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
        Samples::By(By::ProxyTrouble),
        "Connections closed because they did not begin with a right header of the PROXY protocol, by why.",
    ),
    gauge(
        "ringway_upstream_connections",
        Samples::PoolStates,
        "Connections to endpoints: in use by a request, or idle.",
    ),
    gauge(
        "ringway_pool_waiting",
        Samples::Sum(ShardCounter::PoolWaiting),
        "Requests that wait for a connection to an endpoint.",
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
        Samples::By(By::Retirement),
        "Connections to endpoints that were closed, by why.",
    ),
    counter(
        "ringway_pool_leaks_total",
        Samples::Sum(ShardCounter::PoolLeaks),
        "Connections to endpoints that a request held for longer than leak_ms without a byte moving.",
    ),
    gauge(
        "ringway_endpoint_state",
        Samples::Endpoints(EndpointNumber::State),
        "1 for the state that an endpoint is in, 0 for all others.",
    ),
    gauge(
        "ringway_endpoint_in_flight",
        Samples::Endpoints(EndpointNumber::InFlight),
        "Attempts in flight at an endpoint; a stream is in flight until its last byte.",
    ),
    counter(
        "ringway_endpoint_attempts_total",
        Samples::Endpoints(EndpointNumber::Attempts),
        "Attempts at an endpoint, by what they say about it.",
    ),
    counter(
        "ringway_endpoint_breaker_opened_total",
        Samples::Endpoints(EndpointNumber::Opened),
        "How often the circuit breaker of an endpoint opened, by why.",
    ),
    Metric {
        name: "ringway_endpoint_first_byte_seconds",
        kind: Kind::Summary,
        help: "Time from the start of an attempt to the first content of its stream, over the last minute or so.",
        samples: Samples::Endpoints(EndpointNumber::FirstByte),
    },
    gauge(
        "ringway_endpoint_attempt_deadline_seconds",
        Samples::Endpoints(EndpointNumber::AttemptDeadline),
        "How long an attempt may take to its first byte now, where the model has such a deadline.",
    ),
    counter(
        "ringway_health_checks_total",
        Samples::Endpoints(EndpointNumber::Checks),
        "Health checks of an endpoint, by result.",
    ),
    gauge(
        "ringway_upstream_credential_bad",
        Samples::Endpoints(EndpointNumber::CredentialBad),
        "Endpoints of an upstream that refuse the gateway's own credential; above 0 somebody has to act.",
    ),
    gauge(
        "ringway_endpoint_queue_waiting",
        Samples::Sum(ShardCounter::EndpointQueueWaiting),
        "Requests that wait because every endpoint has as many in flight as it may.",
    ),
    counter(
        "ringway_endpoint_queue_total",
        Samples::By(By::EndpointQueue),
        "Requests that found every endpoint with as many in flight as it may, by what came of it.",
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
        "ringway_snapshots_held",
        Samples::Process(Process::SnapshotsHeld),
        "Snapshots in memory: the published one, and earlier ones that requests still hold.",
    ),
    gauge("ringway_tenants", Samples::Process(Process::Tenants), "Tenants of the config."),
    gauge(
        "ringway_keys",
        Samples::Process(Process::Keys),
        "API keys of the config and its key files.",
    ),
    gauge("ringway_keys_bytes", Samples::Process(Process::KeysBytes), "Memory of all API keys."),
    gauge(
        "ringway_jwks_keys",
        Samples::KeySets(KeySetNumber::Keys),
        "Keys of an issuer that tokens can be verified with; 0 before they were fetched.",
    ),
    gauge(
        "ringway_jwks_fetched_timestamp_seconds",
        Samples::KeySets(KeySetNumber::FetchedAt),
        "When the keys of an issuer were last fetched, in seconds since 1970; 0 before.",
    ),
    counter(
        "ringway_jwks_failures_total",
        Samples::KeySets(KeySetNumber::Failures),
        "Attempts to fetch the keys of an issuer that failed; the keys before are kept.",
    ),
    gauge(
        "ringway_source_up",
        Samples::Sources(SourceNumber::Up),
        "1 if the last question to a source of endpoints was answered, else 0.",
    ),
    gauge(
        "ringway_source_endpoints",
        Samples::Sources(SourceNumber::Endpoints),
        "Endpoints that are believed of a source, stale ones included.",
    ),
    gauge(
        "ringway_source_stale_endpoints",
        Samples::Sources(SourceNumber::Stale),
        "Endpoints that are kept although their source does not name them now.",
    ),
    gauge(
        "ringway_source_damped_endpoints",
        Samples::Sources(SourceNumber::Damped),
        "Endpoints of a source that stay away for a while because they came and went too often.",
    ),
    counter(
        "ringway_source_answers_total",
        Samples::Sources(SourceNumber::Answers),
        "Answers of a source of endpoints.",
    ),
    counter(
        "ringway_source_failures_total",
        Samples::Sources(SourceNumber::Failures),
        "Questions to a source of endpoints that were not answered.",
    ),
    gauge(
        "ringway_source_last_answer_seconds",
        Samples::Sources(SourceNumber::SinceAnswer),
        "Time since the last answer of a source of endpoints.",
    ),
    Metric {
        name: "ringway_publish_seconds",
        kind: Kind::Histogram,
        help: "Time from a source's answer, or from a file that was noticed, until every shard serves it.",
        samples: Samples::Spans(Span::Publish),
    },
    Metric {
        name: "ringway_endpoint_first_request_seconds",
        kind: Kind::Histogram,
        help: "Time from a source's answer, or from a file that was noticed, to the first attempt at an endpoint that is new.",
        samples: Samples::Spans(Span::FirstRequest),
    },
    gauge(
        "ringway_registered",
        Samples::Registered,
        "1 if the registry has taken the last sign of life of the gateway, else 0.",
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
    counter(
        "ringway_admin_requests_total",
        Samples::Process(Process::AdminRequests),
        "Requests on the admin listener for a change, by result, and those that were not let in (`denied`).",
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
