//! Is the page what Prometheus reads, and does it say what was counted?

use std::io::Write as _;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use super::*;
use crate::admission::Refusal;
use crate::record::Chosen;
use crate::record::Fault;
use crate::record::Record;
use crate::record::Tokens;
use crate::record::TokensSource;
use crate::record::counters::Continued;
use crate::record::counters::HedgeResult;
use crate::record::counters::LaneCounter;
use crate::record::counters::QueueResult;
use crate::record::counters::Resumed;
use crate::record::counters::RetryDenied;
use crate::record::refusal::Door;

fn name(model: &str, upstream: &str, lane: u32) -> LaneName {
    LaneName { model: model.into(), upstream: upstream.into(), lane: LaneId(lane) }
}

/// Two shards that have seen a little of everything.
pub(super) fn pages() -> Vec<Arc<Page>> {
    let pages = vec![Page::new(), Page::new()];
    let good = Record {
        lane: Some(LaneId(0)),
        status: 200,
        attempts: 2,
        bytes_up: 500,
        bytes_down: 1_000,
        events: 20,
        ttft: Some(Duration::from_millis(30)),
        duration: Duration::from_millis(90),
        overhead: Duration::from_micros(20),
        upstream_connect: Some(Duration::from_micros(100)),
        ..Record::default()
    };
    pages[0].apply(&good);
    pages[1].apply(&good);
    let fault = Some(Fault::UpstreamReset);
    let bad = Record { lane: Some(LaneId(1)), status: 502, fault, ..Record::default() };
    pages[1].apply(&bad);
    let gone = Some(Fault::ClientGone);
    pages[1].apply(&Record { status: 499, fault: gone, is_cancelled: true, ..bad });
    pages[0].apply(&Record { status: 404, ..Record::default() });
    pages[0].add(ShardCounter::ConnectionsOpen, 2);
    pages[1].add(ShardCounter::ConnectionsOpen, 3);
    pages[0].add(Retirement::Stale, 4);
    pages[1].add(ShardCounter::PoolIdle, 5);
    pages[0].set(ShardCounter::AdoptedSnapshot, 7);
    pages
}

pub(super) fn page_of(pages: &[Arc<Page>]) -> String {
    let names = [name("m\"1", "local", 0), name("m2", "far", 1), name("unused", "far", 2)];
    let numbers = ControlNumbers {
        snapshot_number: 7,
        is_last_reload_successful: true,
        reloads: 7,
        reloads_failed: 1,
        published_unix_ms: 1_700_000_000_500,
        cpu_ms: 1_250,
        endpoints: endpoints::tests::endpoints(),
        ..ControlNumbers::default()
    };
    let mut out = String::new();
    write(pages, &names, &numbers, &mut out);
    out
}

/// The samples of one metric, without its HELP and TYPE lines.
pub(super) fn samples(page: &str, metric: &str) -> Vec<String> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let named = lines
        .filter(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' '])));
    named.map(str::to_owned).collect()
}

#[test]
fn requests_faults_and_bytes() {
    let page = page_of(&pages());
    assert_eq!(
        samples(&page, "ringway_requests_total"),
        [
            r#"ringway_requests_total{model="m\"1",upstream="local",status="200"} 2"#,
            r#"ringway_requests_total{model="m2",upstream="far",status="499"} 1"#,
            r#"ringway_requests_total{model="m2",upstream="far",status="502"} 1"#,
            r#"ringway_requests_total{model="",upstream="",status="404"} 1"#,
        ]
    );
    let fault = "ringway_faults_total{model=\"m2\",upstream=\"far\",fault=";
    assert_eq!(
        samples(&page, "ringway_faults_total"),
        [
            format!("{fault}\"client_gone\",whose=\"client\"}} 1"),
            format!("{fault}\"upstream_reset\",whose=\"upstream\"}} 1"),
        ]
    );
    let bytes = samples(&page, "ringway_bytes_total");
    assert_eq!(
        bytes[0],
        r#"ringway_bytes_total{model="m\"1",upstream="local",direction="up"} 1000"#
    );
    assert_eq!(
        samples(&page, "ringway_stream_events_total")[0],
        r#"ringway_stream_events_total{model="m\"1",upstream="local"} 40"#
    );
    assert_eq!(
        samples(&page, "ringway_requests_repeated_total")[0],
        r#"ringway_requests_repeated_total{model="m\"1",upstream="local"} 2"#
    );
    assert_eq!(
        samples(&page, "ringway_requests_cancelled_total")[1],
        r#"ringway_requests_cancelled_total{model="m2",upstream="far"} 1"#
    );
}

/// The table of reasons in METRICS.md is the list in the code.
#[test]
fn every_reason_of_a_refusal_is_documented() {
    let table = include_str!("../METRICS.md");
    for reason in Reason::all() {
        let row = format!("| `{}` |", reason.label());
        let found = table.lines().find(|line| line.contains(&row) && line.starts_with("| "));
        let row = found.unwrap_or_else(|| panic!("{} is not in METRICS.md", reason.label()));
        if let Reason::Admission(refusal) = reason {
            assert!(row.starts_with(&format!("| {} |", refusal.status())), "{row}");
        }
    }
    let (_, rows) = table.split_once("| status | reason | when |").unwrap();
    let rows = rows.lines().skip(2).take_while(|line| line.starts_with('|'));
    assert_eq!(rows.count(), Reason::COUNT, "METRICS.md has rows that mean nothing");
}

#[test]
fn refusals_tokens_and_key_sets() {
    let pages = pages();
    for (page, refusal) in [
        (0, Reason::from(Refusal::KeyUnknown)),
        (1, Refusal::KeyUnknown.into()),
        (1, Door::InvalidBody.into()),
    ] {
        pages[page].apply(&Record { status: 401, refusal: Some(refusal), ..Record::default() });
    }
    let tokens = Some(Tokens { input: 3, output: 70, source: TokensSource::Estimated });
    pages[0].apply(&Record { lane: Some(LaneId(1)), status: 200, tokens, ..Record::default() });
    let set = KeySetNumbers {
        issuer: "https://login".to_owned(),
        keys: 2,
        fetched_unix_ms: 1_700_000_000_000,
        failures: 3,
    };
    let numbers = ControlNumbers { key_sets: vec![set], keys: 5, ..ControlNumbers::default() };
    let mut page = String::new();
    write(&pages, &[name("m2", "far", 1)], &numbers, &mut page);
    assert_eq!(
        samples(&page, "ringway_refusals_total"),
        [
            r#"ringway_refusals_total{reason="invalid_body"} 1"#,
            r#"ringway_refusals_total{reason="key_unknown"} 2"#,
        ]
    );
    let of_m2 = r#"{model="m2",upstream="far""#;
    for line in [
        format!("ringway_tokens_total{of_m2},kind=\"input\"}} 3"),
        format!("ringway_tokens_total{of_m2},kind=\"output\"}} 70"),
        format!("ringway_requests_estimated_total{of_m2}}} 1"),
        r#"gen_ai_client_token_usage_bucket{gen_ai_request_model="m2",upstream="far",gen_ai_token_type="input",le="4"} 1"#.to_owned(),
        r#"gen_ai_client_token_usage_bucket{gen_ai_request_model="m2",upstream="far",gen_ai_token_type="output",le="64"} 0"#.to_owned(),
        r#"ringway_jwks_keys{issuer="https://login"} 2"#.to_owned(),
        r#"ringway_jwks_failures_total{issuer="https://login"} 3"#.to_owned(),
        r#"ringway_jwks_fetched_timestamp_seconds{issuer="https://login"} 1700000000"#.to_owned(),
        "ringway_keys 5".to_owned(),
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
}

#[test]
fn histograms_are_cumulative() {
    let page = page_of(&pages());
    let metric = "ringway_request_overhead_seconds";
    let buckets = samples(&page, &format!("{metric}_bucket"));
    let first = r#"ringway_request_overhead_seconds_bucket{model="m\"1",upstream="local",le="#;
    assert_eq!(buckets[0], format!("{first}\"0.00001\"}} 0"));
    assert_eq!(buckets[1], format!("{first}\"0.000025\"}} 2"));
    assert_eq!(buckets[11], format!("{first}\"0.25\"}} 2"));
    assert_eq!(buckets[12], format!("{first}\"+Inf\"}} 2"));
    let sum = samples(&page, &format!("{metric}_sum"));
    assert_eq!(
        sum[0],
        r#"ringway_request_overhead_seconds_sum{model="m\"1",upstream="local"} 0.00004"#
    );
    assert_eq!(samples(&page, &format!("{metric}_count")).len(), 2, "none for the unused lane");

    let tokens = samples(&page, "gen_ai_server_time_to_first_token_seconds_sum");
    assert_eq!(
        tokens,
        [
            r#"gen_ai_server_time_to_first_token_seconds_sum{gen_ai_request_model="m\"1",upstream="local"} 0.06"#
        ]
    );
}

#[test]
fn shards_pools_and_control() {
    let page = page_of(&pages());
    for line in [
        "ringway_connections_open{shard=\"0\"} 2",
        "ringway_connections_open{shard=\"1\"} 3",
        "ringway_upstream_connections{state=\"idle\"} 5",
        "ringway_upstream_connections_retired_total{reason=\"stale\"} 4",
        "ringway_snapshot_adopted{shard=\"0\"} 7",
        "ringway_snapshot_adopted{shard=\"1\"} 0",
        "ringway_snapshot_number 7",
        "ringway_snapshot_published_timestamp_seconds 1700000000.5",
        "ringway_config_last_reload_successful 1",
        "ringway_config_reloads_total{result=\"failed\"} 1",
        "process_cpu_seconds_total 1.25",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
}

#[test]
fn what_is_done_after_a_first_attempt() {
    let pages = pages();
    pages[0].add(RetryDenied::NoBudget, 2);
    pages[1].add(RetryDenied::NoBudget, 1);
    pages[0].add(HedgeResult::Won, 4);
    pages[0].add(QueueResult::TimedOut, 5);
    pages[1].add(ShardCounter::EndpointQueueWaiting, 6);
    pages[1].add(ShardCounter::PoolLeaks, 7);
    pages[0].add_lane(Some(LaneId(1)), LaneCounter::Retries, 8);
    pages[0].add_lane(Some(LaneId(1)), LaneCounter::FellBack, 9);
    let chosen = Some(Chosen::Range);
    pages[1].apply(&Record { lane: Some(LaneId(1)), status: 200, chosen, ..Record::default() });
    pages[1].add_lane(Some(LaneId(1)), LaneCounter::ContextFallbacks, 10);
    let page = page_of(&pages);
    let of_m2 = r#"{model="m2",upstream="far""#;
    for line in [
        "ringway_retries_denied_total{reason=\"no_budget\"} 3".to_owned(),
        "ringway_hedges_total{result=\"won\"} 4".to_owned(),
        "ringway_hedges_total{result=\"denied\"} 0".to_owned(),
        "ringway_endpoint_queue_total{result=\"timed_out\"} 5".to_owned(),
        "ringway_endpoint_queue_waiting 6".to_owned(),
        "ringway_pool_leaks_total 7".to_owned(),
        format!("ringway_retries_total{of_m2}}} 8"),
        format!("ringway_fallbacks_total{of_m2},reason=\"failed\"}} 9"),
        format!("ringway_versions_total{of_m2},why=\"range\"}} 1"),
        format!("ringway_fallbacks_total{of_m2},reason=\"too_long\"}} 10"),
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
}

#[test]
fn streams_and_those_who_come_back() {
    let pages = pages();
    for page in &pages {
        page.set(ShardCounter::ReplayBudget, 1 << 20);
    }
    pages[0].set(ShardCounter::ReplayBytes, 2_048);
    pages[1].set(ShardCounter::ReplayBytes, 4_096);
    pages[0].set(ShardCounter::ReplayStreams, 3);
    pages[1].add(ShardCounter::ReplayGaveWay, 4);
    pages[0].add(ShardCounter::StreamsAway, 5);
    pages[1].add(ShardCounter::Heartbeats, 6);
    pages[0].add(ShardCounter::Throttled, 7);
    pages[0].add(Resumed::Live, 8);
    pages[1].add(Resumed::Live, 1);
    pages[1].add(Resumed::Gone, 9);
    pages[0].add(Continued::ElsewhereOk, 10);
    pages[1].add(Continued::Refused, 11);
    let page = page_of(&pages);
    for line in [
        "ringway_replay_budget_bytes 2097152",
        "ringway_replay_bytes 6144",
        "ringway_replay_streams 3",
        "ringway_replay_gave_way_total 4",
        "ringway_streams_away 5",
        "ringway_heartbeats_total 6",
        "ringway_streams_throttled_total 7",
        "ringway_resumes_total{result=\"live\"} 9",
        "ringway_resumes_total{result=\"finished\"} 0",
        "ringway_resumes_total{result=\"gone\"} 9",
        "ringway_resumes_total{result=\"unknown\"} 0",
        "ringway_resumes_total{result=\"displaced\"} 0",
        "ringway_streams_continued_total{how=\"elsewhere\"} 10",
        "ringway_streams_continued_total{how=\"reconnected\"} 0",
        "ringway_streams_continued_total{how=\"refused\"} 11",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
}

#[test]
fn lanes_of_one_name_are_one_series() {
    let pages = pages();
    let names = [name("m", "u", 0), name("m", "u", 1)];
    let mut page = String::new();
    write(&pages, &names, &ControlNumbers::default(), &mut page);
    let found = samples(&page, "ringway_requests_total");
    assert_eq!(found[0], r#"ringway_requests_total{model="m",upstream="u",status="200"} 2"#);
    assert_eq!(samples(&page, "ringway_stream_events_total").len(), 1);
}

#[test]
fn what_one_shard_adds_another_may_take_away() {
    let pages = vec![Page::new(), Page::new()];
    pages[0].add(ShardCounter::ConnectionsOpen, 1);
    pages[1].sub(ShardCounter::ConnectionsOpen, 1);
    pages[0].add(ShardCounter::StreamsOpen, 2);
    pages[1].sub(ShardCounter::StreamsOpen, 1);
    let page = page_of(&pages);
    assert!(page.contains("ringway_connections_open{shard=\"1\"} -1\n"));
    assert!(page.contains("ringway_streams_open 1\n"));
}

#[test]
fn every_metric_has_a_head_and_no_name_twice() {
    let page = page_of(&pages());
    let mut names: Vec<_> = REFERENCE.iter().map(|metric| metric.name).collect();
    for metric in REFERENCE {
        assert!(page.contains(&format!("# HELP {} {}\n", metric.name, metric.help)));
        assert!(page.contains(&format!("# TYPE {} {}\n", metric.name, metric.kind.label())));
        assert!(!metric.help.contains(['\\', '\n']) && metric.help.ends_with('.'));
        assert_eq!(
            metric.kind == Kind::Counter,
            metric.name.ends_with("_total"),
            "{}",
            metric.name
        );
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), REFERENCE.len());
    assert_eq!(page.lines().filter(|line| line.starts_with("# TYPE")).count(), REFERENCE.len());
}

#[test]
fn promtool_finds_nothing_to_say() {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        return; // Not installed here; the other tests say what the page looks like.
    };
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(page_of(&pages()).as_bytes()).unwrap();
    drop(input);
    let answer = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&answer.stderr);
    assert!(answer.status.success() && said.is_empty(), "{said}");
}
