//! Is each endpoint on the page as it is, and every label in the reference?

use super::*;
use crate::control::metrics::tests::page_of;
use crate::control::metrics::tests::pages;
use crate::control::metrics::tests::samples;
use crate::record::counters::HedgeResult;
use crate::record::counters::QueueResult;
use crate::record::counters::RetryDenied;

/// One endpoint that does well, and one that refuses our credential.
pub(in crate::control::metrics) fn endpoints() -> Vec<EndpointNumbers> {
    let millis = Duration::from_millis;
    let well = EndpointNumbers {
        upstream: "far".to_owned(),
        url: "http://10.0.0.1:8000".to_owned(),
        standing: Standing::Usable,
        in_flight: 7,
        totals: Totals { attempts: 20, good: 9, bad: 3, throttled: 1, ..Totals::default() },
        live: Live {
            p50: Some(millis(20)),
            p95: Some(millis(90)),
            p99: Some(millis(250)),
            samples: 12,
        },
        attempt_deadlines: vec![("m2".to_owned(), millis(1_500))],
        checks: Some((40, 2)),
    };
    let totals = Totals { credential_bad: 2, opened: [1, 0, 2], ..Totals::default() };
    let refused = EndpointNumbers {
        url: "http://10.0.0.2:8000".to_owned(),
        standing: Standing::CredentialBad,
        in_flight: 0,
        totals,
        live: Live::default(),
        attempt_deadlines: Vec::new(),
        checks: None,
        ..well.clone()
    };
    vec![well, refused]
}

#[test]
fn endpoints_and_what_comes_of_their_attempts() {
    let page = page_of(&pages());
    let first = r#"upstream="far",endpoint="http://10.0.0.1:8000""#;
    let second = r#"upstream="far",endpoint="http://10.0.0.2:8000""#;
    for line in [
        format!("ringway_endpoint_state{{{first},state=\"usable\"}} 1"),
        format!("ringway_endpoint_state{{{first},state=\"credential_bad\"}} 0"),
        format!("ringway_endpoint_state{{{second},state=\"credential_bad\"}} 1"),
        format!("ringway_endpoint_in_flight{{{first}}} 7"),
        format!("ringway_endpoint_attempts_total{{{first},result=\"good\"}} 9"),
        format!("ringway_endpoint_attempts_total{{{first},result=\"bad\"}} 3"),
        format!("ringway_endpoint_attempts_total{{{first},result=\"throttled\"}} 1"),
        format!("ringway_endpoint_attempts_total{{{second},result=\"credential_bad\"}} 2"),
        format!("ringway_endpoint_breaker_opened_total{{{second},reason=\"failures\"}} 1"),
        format!("ringway_endpoint_breaker_opened_total{{{second},reason=\"credential\"}} 2"),
        format!("ringway_endpoint_first_byte_seconds{{{first},quantile=\"0.99\"}} 0.25"),
        format!("ringway_endpoint_attempt_deadline_seconds{{model=\"m2\",{first}}} 1.5"),
        format!("ringway_health_checks_total{{{first},result=\"passed\"}} 40"),
        format!("ringway_health_checks_total{{{first},result=\"failed\"}} 2"),
        r#"ringway_upstream_credential_bad{upstream="far"} 1"#.to_owned(),
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    for metric in ["ringway_health_checks_total", "ringway_endpoint_first_byte_seconds"] {
        let of_second = samples(&page, metric).iter().any(|line| line.contains(second));
        assert!(!of_second, "{metric}: it is not checked, and nothing is measured");
    }
    let states = samples(&page, "ringway_endpoint_state");
    assert_eq!(states.iter().filter(|line| line.ends_with(" 1")).count(), 2, "one each");
}

/// Every value of a label that is not from the config is in METRICS.md.
#[test]
fn every_label_of_endpoints_is_documented() {
    let table = include_str!("../../METRICS.md");
    let states = STATES.iter().map(|state| state.label());
    let verdicts = Verdict::ALL.iter().map(|verdict| verdict.label());
    let reasons = Reason::ALL.iter().map(|reason| reason.label());
    let denied = RetryDenied::ALL.iter().map(|why| why.label());
    let hedges = HedgeResult::ALL.iter().map(|result| result.label());
    let queued = QueueResult::ALL.iter().map(|result| result.label());
    for label in states.chain(verdicts).chain(reasons).chain(denied).chain(hedges).chain(queued) {
        assert!(table.contains(&format!("`{label}`")), "{label}");
    }
    let all = Standing::ALL.iter();
    let of_one_request = all.filter(|standing| !STATES.contains(standing));
    let of_one_request: Vec<_> = of_one_request.map(|standing| standing.label()).collect();
    assert_eq!(of_one_request, ["tried", "full", "far"]);
}
