//! What is seen of endpoints from second to second.

use super::*;
use crate::balance::choose::Standing;
use crate::balance::verdict::Verdict;
use crate::config;
use crate::crossing::health::SharedHealth;
use crate::snapshot::Ledger;
use crate::snapshot::World;
use crate::snapshot::build;
use crate::units::ShardId;

const SECOND: Duration = Duration::from_secs(1);
const SHARD: ShardId = ShardId(0);

fn snapshot(endpoints: u16, of_upstream: &str) -> Snapshot {
    let urls: Vec<_> =
        (1..=endpoints).map(|port| format!("{{ url = \"http://127.0.0.1:{port}\" }}")).collect();
    let text = format!(
        "[[upstream]]\nname = \"u\"\nendpoints = [{}]\n{of_upstream}\n\
         [[model]]\nname = \"m\"\nupstream = \"u\"\n",
        urls.join(", ")
    );
    let file = config::parse(&text, "a.toml").unwrap();
    build(&file, &World::default(), &mut Ledger::default(), 1).unwrap()
}

/// The page, the rounds, and a clock that stands still.
struct Ward {
    snapshot: Snapshot,
    health: SharedHealth,
    rounds: Rounds,
    now: Moment,
}

impl Ward {
    fn new(snapshot: Snapshot) -> Self {
        let health = Health::new(1);
        let mut rounds = Rounds::default();
        rounds.want(&snapshot, &health);
        Self { snapshot, health, rounds, now: Moment::from_nanos(0).after(SECOND * 1000) }
    }

    fn slot(&self, index: usize) -> SlotId {
        self.snapshot.endpoints[index].slot
    }

    fn note(&self, index: usize, verdict: Verdict, times: u32, is_probe: bool) {
        let rule = self.snapshot.upstreams[0].breaker;
        for _ in 0..times {
            self.health.note(SHARD, self.slot(index), verdict, is_probe, rule.as_ref(), self.now);
        }
    }

    /// What has changed about the first endpoint since the last time.
    fn changes(&mut self) -> Vec<Change> {
        let slot = self.slot(0);
        let details = self.health.details(slot, self.now);
        let opened = self.health.totals(slot).opened;
        let mut changes = Vec::new();
        let seen = self.rounds.seen.get_mut(&slot).unwrap();
        seen.look(&details, opened, self.now, |change| changes.push(change));
        changes
    }

    fn standing(&self, index: usize) -> Standing {
        self.health.state(self.slot(index), self.now).standing()
    }

    /// Waits until the breaker of the first endpoint is due, and claims the probe.
    fn probe(&mut self) {
        let details = self.health.details(self.slot(0), self.now);
        self.now = self.now.after(left(&details, self.now).unwrap());
        assert!(self.health.claim_probe(self.slot(0), self.now));
    }
}

#[test]
fn a_breaker_s_changes_are_seen_once() {
    let mut ward = Ward::new(snapshot(2, ""));
    assert_eq!(ward.changes(), []);
    ward.note(0, Verdict::Bad, 5, false);
    let changes = ward.changes();
    assert!(
        matches!(changes[..], [Change::Opened(Reason::Failures, Some(left))] if left >= SECOND),
        "{changes:?}"
    );
    assert_eq!(ward.changes(), []);
    let opened = ward.now;
    ward.probe();
    ward.note(0, Verdict::Bad, 1, true);
    assert_eq!(ward.changes(), [Change::Reopened(Reason::Failures)]);
    ward.probe();
    assert_eq!(ward.changes(), []);
    ward.note(0, Verdict::Good, 1, true);
    assert_eq!(ward.changes(), [Change::Closed(ward.now.since(opened))]);
    assert_eq!(ward.changes(), []);
}

#[test]
fn what_happened_between_two_looks_is_seen() {
    let mut ward = Ward::new(snapshot(2, ""));
    ward.note(0, Verdict::Bad, 5, false);
    ward.probe();
    ward.note(0, Verdict::Good, 1, true);
    assert_eq!(ward.changes(), [Change::Blinked(Reason::Failures)]);
    ward.note(0, Verdict::CredentialBad, 1, false);
    let changes = ward.changes();
    assert!(matches!(changes[..], [Change::Opened(Reason::Credential, Some(_))]), "{changes:?}");
    assert_eq!(ward.standing(0), Standing::CredentialBad);
}

/// An endpoint that comes back brings its counts along, and no news.
#[test]
fn what_happened_before_is_no_news() {
    let mut ward = Ward::new(snapshot(2, ""));
    ward.note(0, Verdict::Bad, 5, false);
    ward.probe();
    ward.note(0, Verdict::Good, 1, true);
    ward.rounds.want(&Snapshot::empty(), &ward.health);
    assert!(ward.rounds.seen.is_empty());
    ward.rounds.want(&ward.snapshot, &ward.health);
    assert_eq!(ward.changes(), []);
}

#[test]
fn who_is_worse_than_the_others_is_left_out_for_a_while() {
    let rules = "breaker = false\noutlier = { requests_min = 20, eject_ms = 30000 }";
    let mut ward = Ward::new(snapshot(4, rules));
    for index in 0..4 {
        ward.note(index, Verdict::Good, 100, false);
    }
    ward.note(2, Verdict::Bad, 60, false);
    ward.rounds.make(&ward.snapshot, &ward.health, ward.now);
    let standings: Vec<_> = (0..4).map(|index| ward.standing(index)).collect();
    assert_eq!(
        standings,
        [Standing::Usable, Standing::Usable, Standing::Ejected, Standing::Usable]
    );
    let seen = |ward: &Ward| ward.rounds.seen[&ward.slot(2)].is_ejected;
    assert!(seen(&ward));
    ward.now = ward.now.after(SECOND * 29);
    ward.rounds.make(&ward.snapshot, &ward.health, ward.now);
    assert_eq!((ward.standing(2), seen(&ward)), (Standing::Ejected, true));
    ward.now = ward.now.after(SECOND);
    ward.rounds.make(&ward.snapshot, &ward.health, ward.now);
    assert_eq!((ward.standing(2), seen(&ward)), (Standing::Usable, false));
}

#[test]
fn latencies_are_published_by_a_look() {
    let mut ward = Ward::new(snapshot(1, ""));
    for _ in 0..1000 {
        ward.health.first_byte(SHARD, ward.slot(0), Duration::from_millis(40));
    }
    assert_eq!(ward.health.live(ward.slot(0)).p99, None);
    ward.rounds.make(&ward.snapshot, &ward.health, ward.now);
    let p99 = ward.health.live(ward.slot(0)).p99.unwrap();
    assert!((Duration::from_millis(35)..Duration::from_millis(50)).contains(&p99), "{p99:?}");
}
