//! Who is checked when, of whom, and what is made of it.

use super::*;
use crate::config;
use crate::control::fetch::tests::answer;
use crate::control::fetch::tests::on_runtime;
use crate::control::fetch::tests::serve;
use crate::snapshot::Ledger;
use crate::snapshot::World;
use crate::snapshot::build;
use std::net::TcpListener;

const SECOND: Duration = Duration::from_secs(1);

/// Snapshots of one upstream with checks, of the same ledger.
#[derive(Default)]
struct Snapshots(Ledger);

impl Snapshots {
    fn with(&mut self, urls: &[String], health: &str) -> Snapshot {
        let endpoints: Vec<_> = urls.iter().map(|url| format!("{{ url = \"{url}\" }}")).collect();
        let text = format!(
            "[[upstream]]\nname = \"u\"\nendpoints = [{}]\n{health}\n\
             [[model]]\nname = \"m\"\nupstream = \"u\"\n",
            endpoints.join(", ")
        );
        let file = config::parse(&text, "a.toml").unwrap();
        build(&file, &World::default(), &mut self.0, 1).unwrap()
    }
}

const EACH_SECOND: &str = "health = { path = \"/ready\", interval_ms = 1000 }";

fn rule(unhealthy_after: u32, healthy_after: u32) -> HealthRule {
    HealthRule {
        path: "/".into(),
        interval: SECOND,
        timeout: SECOND,
        unhealthy_after,
        healthy_after,
    }
}

#[test]
fn so_many_in_a_row_make_a_change() {
    let rule = rule(3, 2);
    // What comes, and what is known then.
    for (results, expected) in [
        ("+", Check::Passing),
        ("-", Check::Unknown),
        ("--", Check::Unknown),
        ("---", Check::Failing),
        ("--+", Check::Passing),
        ("+--+--", Check::Passing),
        ("+--+---", Check::Failing),
        ("---+", Check::Failing),
        ("---+-+", Check::Failing),
        ("---++", Check::Passing),
        ("---++--", Check::Passing),
        ("---++---", Check::Failing),
    ] {
        let mut known = Known::NOTHING;
        for result in results.chars() {
            let before = known.check;
            let is_changed = known.learn(result == '+', &rule);
            assert_eq!(is_changed, known.check != before, "{results}");
        }
        assert_eq!(known.check, expected, "{results}");
    }
}

/// A server that answers with these statuses in turn, one a check.
fn serving(statuses: &[&str]) -> String {
    let answers = statuses.iter().map(|status| answer(status, "", "")).collect();
    let url = serve(answers).url;
    url.split("/jwks").next().unwrap().to_owned()
}

#[test]
fn an_endpoint_is_asked_again_and_again() {
    let url = serving(&["200 OK", "503 Service Unavailable", "500 Oops", "404 Not Found"]);
    let snapshot = Snapshots::default().with(&[url], EACH_SECOND);
    let mut checks = Checks::new();
    let mut now = Instant::now();
    assert!(checks.want(&snapshot, now).is_empty());
    on_runtime(async {
        for (why, check, is_changed) in [
            (None, Check::Passing, true),
            (Some("answered with 503 Service Unavailable"), Check::Passing, false),
            (Some("answered with 500 Internal Server Error"), Check::Passing, false),
            (Some("answered with 404 Not Found"), Check::Failing, true),
        ] {
            assert_eq!(checks.next(), Some(now), "it is due");
            checks.begin(now);
            assert_eq!(checks.next(), None, "it is being asked");
            let learned = checks.arrived(|| now).await.unwrap();
            assert_eq!((learned.result.err().as_deref(), learned.check), (why, check));
            assert_eq!(learned.is_changed, is_changed);
            let next = checks.next().unwrap();
            let wait = next - now;
            assert!((SECOND * 9 / 10..=SECOND * 11 / 10).contains(&wait), "{wait:?}");
            checks.begin(next - Duration::from_nanos(1));
            assert!(checks.asking.is_empty(), "not before its time");
            now = next;
        }
    });
}

#[test]
fn what_is_asked_otherwise_is_asked_at_once() {
    let url = serving(&["500 Oops", "500 Oops", "200 OK"]);
    let mut snapshots = Snapshots::default();
    let first = snapshots.with(std::slice::from_ref(&url), EACH_SECOND);
    let second = snapshots.with(&[url], "health = { path = \"/other\", unhealthy_after = 2 }");
    let mut checks = Checks::new();
    let now = Instant::now();
    on_runtime(async {
        checks.want(&first, now);
        checks.begin(now);
        // The question changes while it is asked: its answer says nothing.
        assert!(checks.want(&second, now).is_empty());
        assert_eq!(checks.arrived(|| now).await, None);
        assert_eq!(checks.next(), Some(now));
        checks.begin(now);
        let learned = checks.arrived(|| now).await.unwrap();
        assert_eq!((learned.check, learned.is_changed), (Check::Unknown, false));
        // Back to the first: one failure that the other question had does not count.
        checks.want(&first, now);
        assert_eq!(checks.next(), Some(now));
        checks.begin(now);
        let learned = checks.arrived(|| now).await.unwrap();
        assert_eq!((learned.check, learned.is_changed), (Check::Passing, true));
    });
}

#[test]
fn what_stays_the_same_is_neither_forgotten_nor_hurried() {
    let url = serving(&["200 OK"]);
    let mut snapshots = Snapshots::default();
    let slow = "health = { path = \"/ready\", interval_ms = 60000, timeout_ms = 1000 }";
    let (slow, fast) =
        (snapshots.with(std::slice::from_ref(&url), slow), snapshots.with(&[url], EACH_SECOND));
    let mut checks = Checks::new();
    let now = Instant::now();
    on_runtime(async {
        checks.want(&slow, now);
        checks.begin(now);
        checks.arrived(|| now).await.unwrap();
        let due = checks.next().unwrap();
        checks.want(&slow, now + SECOND);
        assert_eq!(checks.next(), Some(due));
        // The interval becomes shorter, and what was awaited is soon.
        checks.want(&fast, now);
        let soon = checks.next().unwrap();
        assert!(soon - now <= SECOND * 11 / 10);
        checks.want(&fast, now + SECOND * 5);
        assert_eq!(checks.next(), Some(soon), "it is late already");
        let known: Vec<_> = checks.targets.values().map(|target| target.known.check).collect();
        assert_eq!(known, [Check::Passing]);
    });
}

/// Their answers, should they still come, are those of somebody else.
#[test]
fn who_is_gone_is_not_asked_any_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut snapshots = Snapshots::default();
    let there = snapshots.with(std::slice::from_ref(&url), EACH_SECOND);
    let unchecked = snapshots.with(&[url], "");
    let slot = there.endpoints[0].slot;
    let mut checks = Checks::new();
    let now = Instant::now();
    on_runtime(async {
        checks.want(&there, now);
        checks.begin(now);
        assert_eq!(checks.want(&unchecked, now), [slot]);
        assert_eq!(checks.next(), None);
        // It comes back before the check that was ended has been heard of.
        assert!(checks.want(&there, now).is_empty());
        checks.begin(now);
        assert_eq!(checks.arrived(|| now).await, None, "that was the ended one");
        assert_eq!((checks.asking.len(), checks.next()), (1, None), "the other is under way");
    });
}

#[test]
fn not_all_are_asked_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let hosts = (1..=3).flat_map(|net| (1..=100).map(move |host| (net, host)));
    let urls: Vec<_> =
        hosts.map(|(net, host)| format!("http://127.0.{net}.{host}:{port}")).collect();
    let snapshot = Snapshots::default().with(&urls, EACH_SECOND);
    let mut checks = Checks::new();
    let now = Instant::now();
    on_runtime(async {
        checks.want(&snapshot, now);
        checks.begin(now);
        assert_eq!((checks.asking.len(), checks.due.len()), (ASKED_MAX, 300 - ASKED_MAX));
        assert_eq!(checks.next(), None, "nothing to do before one has answered");
        // Nobody listens there, so all are answered; and in the end each was asked once.
        for _ in 0..300 {
            let learned = checks.arrived(|| now).await.unwrap();
            assert!(learned.result.unwrap_err().contains("cannot connect"));
            checks.begin(now);
        }
        assert_eq!((checks.asking.len(), checks.due.len()), (0, 300));
    });
}
