//! One line of the access log: a record as JSON, with names in place of numbers.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::control::names::Names;
use crate::record::Reason;
use crate::record::Record;
use crate::snapshot::Snapshot;

/// The members of a line, in their order. What does not apply is left out.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    shard: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chosen: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    operation: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    whose: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    is_stream: bool,
    is_cancelled: bool,
    attempts: u8,
    /// Left out where it did not happen, as it does with few requests.
    #[serde(skip_serializing_if = "is_not")]
    hedged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fell_back_from: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    resumed: u16,
    #[serde(skip_serializing_if = "is_zero")]
    continued: u16,
    #[serde(skip_serializing_if = "is_not")]
    client_left: bool,
    bytes_up: u64,
    bytes_down: u64,
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_to_first_token_ms: Option<f64>,
    duration_ms: f64,
    overhead_us: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    queued_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_connect_ms: Option<f64>,
}

/// Writes `record` as one line of JSON, the line's end included. `world` is the snapshot that served it: without that its
/// tenant and its key have no names.
pub(super) fn write(record: &Record, names: &Names, world: Option<&Snapshot>, out: &mut Vec<u8>) {
    let tenant = world.and_then(|world| world.admission.tenant(record.tenant?));
    let key = world.and_then(|world| record.key.map(|key| world.keys.get(key).name));
    let lane = record.lane.and_then(|lane| names.lane(lane));
    let asked_for = record.fell_back_from.and_then(|lane| names.lane(lane));
    let line = Line {
        time: utc(record.started_unix_ms),
        id: record.id.to_string(),
        client: record.client,
        shard: record.shard.0,
        tenant: tenant.map(|tenant| &*tenant.name),
        key,
        model: lane.map(|lane| lane.model.as_str()),
        upstream: lane.map(|lane| lane.upstream.as_str()),
        endpoint: record.slot.and_then(|slot| names.slot(slot)),
        chosen: record.chosen.map(|why| why.label()),
        operation: record.operation,
        status: record.status,
        fault: record.fault.map(|fault| fault.label()),
        whose: record.fault.map(|fault| fault.whose().label()),
        refusal: record.refusal.map(Reason::label),
        detail: record.refusal.and_then(Reason::detail),
        is_stream: record.is_stream,
        is_cancelled: record.is_cancelled,
        attempts: record.attempts,
        hedged: record.hedged,
        fell_back_from: asked_for.map(|lane| lane.model.as_str()),
        resumed: record.resumed,
        continued: record.continued.into(),
        client_left: record.client_left,
        bytes_up: record.bytes_up,
        bytes_down: record.bytes_down,
        events: record.events,
        input_tokens: record.tokens.map(|tokens| tokens.input),
        output_tokens: record.tokens.map(|tokens| tokens.output),
        tokens_source: record.tokens.map(|tokens| tokens.source.label()),
        time_to_first_token_ms: record.ttft.map(millis),
        duration_ms: millis(record.duration),
        overhead_us: micros(record.overhead),
        queued_ms: (record.queued_us > 0).then(|| f64::from(record.queued_us) / 1e3),
        upstream_connect_ms: record.upstream_connect.map(millis),
    };
    serde_json::to_writer(&mut *out, &line).expect("a line has no maps and a Vec takes everything");
    out.push(b'\n');
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes members so")]
const fn is_not(it: &bool) -> bool {
    !*it
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes members so")]
const fn is_zero(count: &u16) -> bool {
    *count == 0
}

/// Milliseconds with three digits after the point.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Microseconds with one digit after the point.
fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 10.0
}

/// `unix_ms` milliseconds after the start of 1970 as RFC 3339 has it, in UTC: `2026-11-22T17:41:05.123Z`.
pub(in crate::control) fn utc(unix_ms: u64) -> String {
    let (days, in_day) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = date(days);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, milli) = (in_day / 1_000 % 60, in_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Year, month and day of the day `days` days after the start of 1970.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted from 1 March of year 0, so that the leap day is the last of a year. 719,468 days lie between.
    let days = days + 719_468;
    let (era, in_era) = (days / 146_097, days % 146_097);
    let year_of_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, is_next_year) = match month_from_march {
        0..=9 => (month_from_march + 3, 0),
        _ => (month_from_march - 9, 1),
    };
    (era * 400 + year_of_era + is_next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Keys;
    use crate::admission::TenantPolicy;
    use crate::admission::key::Key;
    use crate::admission::key::KeyDigest;
    use crate::record::Chosen;
    use crate::record::Fault;
    use crate::record::RequestId;
    use crate::record::Tokens;
    use crate::record::TokensSource;
    use crate::record::refusal::Door;
    use crate::units::KeyId;
    use crate::units::LaneId;
    use crate::units::ShardId;
    use crate::units::SlotId;
    use crate::units::TenantId;
    use crate::wire::Malformed;
    use std::sync::Arc;

    #[test]
    fn a_line_names_everything() {
        let mut names = Names::default();
        names.learn_lane((LaneId(0), 0), "m \"1\"", "local");
        names.learn_lane((LaneId(1), 0), "large", "local");
        names.learn_slot((SlotId(3), 0), "http://10.0.0.1:8000");
        let record = Record {
            id: RequestId::new(1, 2),
            started_unix_ms: 1_795_369_265_123,
            shard: ShardId(1),
            client: Some([10, 1, 2, 3].into()),
            lane: Some(LaneId(0)),
            slot: Some(SlotId(3)),
            operation: "chat",
            status: 502,
            fault: Some(Fault::UpstreamTruncated),
            is_stream: true,
            attempts: 3,
            hedged: true,
            chosen: Some(Chosen::Sticky),
            fell_back_from: Some(LaneId(1)),
            resumed: 2,
            continued: 1,
            client_left: true,
            bytes_up: 500,
            bytes_down: 1_000,
            events: 7,
            ttft: Some(Duration::from_micros(1_500)),
            duration: Duration::from_millis(20),
            overhead: Duration::from_nanos(17_250),
            ..Record::default()
        };
        let mut out = Vec::new();
        write(&record, &names, None, &mut out);
        let expected = concat!(
            r#"{"time":"2026-11-22T17:41:05.123Z","id":"00000000000000010000000000000002","#,
            r#""client":"10.1.2.3","shard":1,"model":"m \"1\"","upstream":"local","#,
            r#""endpoint":"http://10.0.0.1:8000","chosen":"sticky","operation":"chat","status":502,"#,
            r#""fault":"upstream_truncated","whose":"upstream","is_stream":true,"#,
            r#""is_cancelled":false,"attempts":3,"hedged":true,"#,
            r#""fell_back_from":"large","resumed":2,"continued":1,"client_left":true,"bytes_up":500,"bytes_down":1000,"events":7,"#,
            r#""time_to_first_token_ms":1.5,"duration_ms":20.0,"overhead_us":17.3}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_refused_request_leaves_out_what_it_never_had() {
        let refusal = Some(Door::ModelNotFound.into());
        let record = Record { status: 404, refusal, ..Record::default() };
        let mut out = Vec::new();
        write(&record, &Names::default(), None, &mut out);
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(line["refusal"], "model_not_found");
        assert_eq!(line["time"], "1970-01-01T00:00:00.000Z");
        for absent in [
            "model",
            "upstream",
            "endpoint",
            "fault",
            "operation",
            "client",
            "tenant",
            "key",
            "detail",
            "input_tokens",
            "tokens_source",
            "hedged",
            "chosen",
            "fell_back_from",
            "resumed",
            "continued",
            "client_left",
        ] {
            assert!(line.get(absent).is_none(), "{absent}");
        }
    }

    /// Places mean something in the snapshot that served the request, and in no other.
    #[test]
    fn who_asked_and_what_it_cost() {
        let key = |name: &str, tenant| Key {
            name: name.into(),
            tenant: TenantId(tenant),
            expires_unix_s: None,
            models: None,
            limits: Box::default(),
        };
        let keys = [("one", key("laptop", 0)), ("two", key("phone", 1))];
        let keys = keys.map(|(secret, key)| (KeyDigest::of(secret.as_bytes()), key));
        let mut world = Snapshot::empty();
        world.keys = Arc::new(Keys::new(keys.into_iter()).unwrap());
        let policy = |name: &str| TenantPolicy {
            name: name.into(),
            level: crate::admission::Level::default(),
            models: None,
            limits: Box::default(),
            model_limits: Box::default(),
            when_full: None,
            priority: crate::admission::queue::Priority::Normal,
            resume: None,
            throttle: None,
        };
        let table = Arc::get_mut(&mut world.admission).unwrap();
        table.tenants = vec![policy("acme"), policy("umbrella")];
        let record = Record {
            tenant: Some(TenantId(1)),
            key: Some(KeyId(1)),
            refusal: Some(Malformed::HostMissing.into()),
            tokens: Some(Tokens { input: 10, output: 20, source: TokensSource::Estimated }),
            ..Record::default()
        };
        let line = |world| {
            let mut out = Vec::new();
            write(&record, &Names::default(), world, &mut out);
            serde_json::from_slice::<serde_json::Value>(&out).unwrap()
        };
        let shown = line(Some(&world));
        assert_eq!((&shown["tenant"], &shown["key"]), (&"umbrella".into(), &"phone".into()));
        assert_eq!(shown["refusal"], "malformed_request");
        assert_eq!(shown["detail"], "host_missing");
        assert_eq!((&shown["input_tokens"], &shown["output_tokens"]), (&10.into(), &20.into()));
        assert_eq!(shown["tokens_source"], "estimated");
        assert!(line(None).get("tenant").is_none() && line(None).get("key").is_none());
    }

    #[test]
    fn dates_across_leap_years() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (364, (1970, 12, 31)),
            (365, (1971, 1, 1)),
            (789, (1972, 2, 29)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (19_723, (2024, 1, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(days), expected, "day {days}");
        }
    }
}
