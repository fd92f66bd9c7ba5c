//! Sources that answer, fail, say too little, and flap; the time is counted by hand.

use super::*;
use crate::config;

const UPSTREAM: &str = r#"
[[upstream]]
name = "u"
endpoints = [{ url = "http://own" }]
discover = [{ etcd = "/a/", keep_ms = 60000 }, { dns = "b", port = 80, keep_ms = 1000 }]
"#;

struct Table {
    board: Board,
    now: Instant,
    upstreams: Vec<Upstream>,
}

fn read(text: &str) -> Vec<Upstream> {
    let text = format!("{text}\n[[model]]\nname = \"m\"\nupstream = \"u\"\n");
    let (file, errors) = config::read(&text, "ringway.toml");
    assert_eq!(errors, []);
    file.upstreams
}

fn table(lines: &str) -> Table {
    let (upstreams, now) = (read(&format!("{UPSTREAM}{lines}\n")), Instant::now());
    let mut board = Board::default();
    board.want(&upstreams, now);
    Table { board, now, upstreams }
}

fn id(entry: &str) -> SourceId {
    SourceId { upstream: "u".into(), entry: entry.into(), datacenter: None }
}

const ETCD: &str = "etcd:/a/";
const DNS: &str = "dns:b:80";

impl Table {
    fn endpoint(&self, host: &str) -> Endpoint {
        let url = config::Url::parse(&format!("http://{host}")).unwrap();
        Endpoint { url, ..Endpoint::clone(&self.upstreams[0].endpoints[0]) }
    }

    fn say(&mut self, entry: &str, hosts: &str) {
        let endpoints = hosts.split_whitespace().map(|host| self.endpoint(host)).collect();
        self.board.note(id(entry), Ok(endpoints), self.now);
    }

    fn fail(&mut self, entry: &str) {
        self.board.note(id(entry), Err("no answer".into()), self.now);
    }

    fn after(&mut self, ms: u64) -> &mut Self {
        self.now += Duration::from_millis(ms);
        self
    }

    /// What is given out now; none: nothing new.
    fn given(&mut self) -> Option<String> {
        self.board.take(self.now).map(|found| {
            let of = found.get("u").map_or(&[][..], Vec::as_slice);
            let show =
                |e: &Arc<Endpoint>| format!("{}{}", e.url.host, if e.is_stale { "?" } else { "" });
            of.iter().map(show).collect::<Vec<_>>().join(" ")
        })
    }

    fn settled(&mut self) -> Option<String> {
        self.after(300).given()
    }
}

#[test]
fn what_comes_together_is_given_out_together_and_soon() {
    let mut table = table("");
    table.say(ETCD, "x y");
    assert_eq!(table.board.due(), Some(table.now + SETTLE));
    assert_eq!(table.after(19).given(), None);
    table.say(DNS, "y z");
    assert_eq!(table.after(19).given(), None);
    assert_eq!(table.after(1).given().unwrap(), "x y z");
    assert_eq!(table.after(100).given(), None, "once");
    // Changes that never end do not keep it back for ever.
    for step in 0..20 {
        let hosts = format!("x n{step}");
        table.say(ETCD, &hosts);
        if let Some(found) = table.after(15).given() {
            assert!((13..=14).contains(&step), "{step}");
            assert_eq!(found, format!("{hosts} y z"));
            return;
        }
    }
    panic!("it is never given out");
}

#[test]
fn a_change_that_is_taken_back_is_none() {
    let mut table = table("");
    table.say(ETCD, "x y");
    assert_eq!(table.settled().unwrap(), "x y");
    table.say(ETCD, "x");
    table.after(5).say(ETCD, "x y");
    assert_eq!(table.settled(), None);
}

#[test]
fn who_cannot_be_asked_is_believed_for_a_while() {
    let mut table = table("");
    table.say(ETCD, "x");
    table.say(DNS, "y");
    assert_eq!(table.settled().unwrap(), "x y");
    table.fail(DNS);
    table.after(10).fail(DNS);
    assert_eq!(table.settled().unwrap(), "x y?");
    let numbers = table.board.numbers(table.now);
    assert_eq!((numbers[0].is_up, numbers[0].failures, numbers[0].stale), (false, 2, 1));
    assert_eq!(numbers[0].trouble.as_deref(), Some("no answer"));
    assert!(numbers[1].is_up);
    // Until then, counted from the first failure.
    assert_eq!(table.board.due(), Some(table.now + Duration::from_millis(690)));
    assert_eq!(table.after(689).given(), None);
    table.after(1).given();
    assert_eq!(table.settled().unwrap(), "x");
    table.say(DNS, "y");
    assert_eq!(table.settled().unwrap(), "x y");
}

#[test]
fn what_another_source_is_sure_of_is_not_stale() {
    let mut table = table("");
    table.say(ETCD, "x y");
    table.say(DNS, "y");
    table.fail(ETCD);
    assert_eq!(table.settled().unwrap(), "x? y");
}

#[test]
fn a_source_that_says_suddenly_nothing_empties_no_upstream() {
    let mut table = table("minimum_healthy = 3");
    table.say(ETCD, "x y z");
    assert_eq!(table.settled().unwrap(), "x y z");
    // The file's own one counts.
    table.say(ETCD, "x y");
    assert_eq!(table.settled().unwrap(), "x y");
    table.say(ETCD, "");
    assert_eq!(table.settled().unwrap(), "x? y?");
    table.say(ETCD, "y");
    assert_eq!(table.settled().unwrap(), "y x?");
    // Others may make up for it.
    table.say(DNS, "v w");
    table.say(ETCD, "y");
    assert_eq!(table.settled().unwrap(), "y v w");
    table.say(ETCD, "");
    assert_eq!(table.settled().unwrap(), "v w");
}

#[test]
fn what_is_kept_for_the_minimum_is_kept_so_long_and_no_longer() {
    let mut table = table("minimum_healthy = 2");
    table.say(ETCD, "x");
    table.say(ETCD, "");
    assert_eq!(table.settled().unwrap(), "x?");
    table.after(59_699).given();
    assert_eq!(table.given(), None);
    table.after(1).given();
    assert_eq!(table.settled().unwrap(), "");
}

#[test]
fn who_comes_and_goes_too_often_stays_away_for_a_while() {
    let mut table = table("damping = { flaps = 2, window_ms = 10000, hold_ms = 5000 }");
    table.say(ETCD, "x y");
    table.settled();
    for _ in 0..2 {
        table.say(ETCD, "x");
        assert_eq!(table.settled().unwrap(), "x");
        table.say(ETCD, "x y");
        table.settled();
    }
    assert_eq!(table.board.numbers(table.now).iter().map(|n| n.damped).sum::<u64>(), 1);
    assert_eq!(table.board.due(), Some(table.now + Duration::from_millis(4_700)));
    table.after(4_700).given();
    assert_eq!(table.settled().unwrap(), "x y");
    // Slowly is not too often.
    for _ in 0..5 {
        table.after(20_000).say(ETCD, "x");
        table.settled();
        table.after(20_000).say(ETCD, "x y");
        assert_eq!(table.settled().unwrap(), "x y");
    }
}

#[test]
fn damping_leaves_as_many_as_there_must_be() {
    let mut table =
        table("minimum_healthy = 2\ndamping = { flaps = 1, window_ms = 10000, hold_ms = 5000 }");
    table.say(ETCD, "x y");
    table.say(DNS, "z");
    table.settled();
    table.say(ETCD, "");
    table.settled();
    table.say(ETCD, "x y");
    // One of three and the file's own are enough; both may stay away.
    assert_eq!(table.settled(), None);
    table.say(DNS, "");
    assert_eq!(table.settled().unwrap(), "y", "with the file's own that is enough");
}

#[test]
fn whoever_the_file_does_not_name_any_more_is_forgotten() {
    let mut table = table("");
    table.say(ETCD, "x");
    table.say(DNS, "y");
    table.settled();
    let upstreams = read(&UPSTREAM.replace("{ etcd = \"/a/\", keep_ms = 60000 }, ", ""));
    table.board.want(&upstreams, table.now);
    assert_eq!(table.settled().unwrap(), "y");
    table.board.forget(&id(DNS), table.now);
    assert_eq!(table.settled().unwrap(), "");
    table.board.want(&[], table.now);
    assert!(table.board.numbers(table.now).is_empty());
}

/// What chance brings, the board believes as a list does that is worked out anew each time from all that was ever said.
#[test]
fn it_believes_what_all_that_was_said_amounts_to() {
    for seed in 1..200_u64 {
        let mut dice = seed;
        let mut roll = |most: u64| {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % most
        };
        let mut table = table("minimum_healthy = 0\ndamping = false");
        let mut said: Vec<(&str, Option<Vec<&str>>, Instant)> = Vec::new();
        for _ in 0..40 {
            let entry = if roll(2) == 0 { ETCD } else { DNS };
            let now = table.after(roll(900)).now;
            if roll(4) == 0 {
                table.fail(entry);
                said.push((entry, None, now));
            } else {
                let mask = roll(16);
                let hosts = ["v", "w", "x", "y"].into_iter().enumerate();
                let hosts = hosts.filter(|(bit, _)| mask & (1 << bit) != 0).map(|(_, host)| host);
                let hosts: Vec<&str> = hosts.collect();
                table.say(entry, &hosts.join(" "));
                said.push((entry, Some(hosts), now));
            }
            let later = table.after(300).now;
            table.given();
            let found = table.board.found();
            let mut is: Vec<String> = found
                .get("u")
                .map_or(&[][..], Vec::as_slice)
                .iter()
                .map(|e| format!("{}{}", e.url.host, if e.is_stale { "?" } else { "" }))
                .collect();
            is.sort();
            assert_eq!(is, amounts_to(&said, later), "seed {seed}: {said:?}");
        }
    }
}

fn amounts_to(said: &[(&str, Option<Vec<&str>>, Instant)], now: Instant) -> Vec<String> {
    let mut all: BTreeMap<&str, bool> = BTreeMap::new();
    for (entry, keep_ms) in [(ETCD, 60_000), (DNS, 1_000)] {
        let of: Vec<_> = said.iter().filter(|(source, ..)| *source == entry).collect();
        let Some(good) = of.iter().rposition(|(_, hosts, _)| hosts.is_some()) else { continue };
        let failing = of.get(good + 1).map(|(.., at)| *at);
        let is_over = failing.is_some_and(|at| now >= at + Duration::from_millis(keep_ms));
        for host in of[good].1.iter().flatten().filter(|_| !is_over) {
            let is_stale = all.get(host).copied().unwrap_or(true) && failing.is_some();
            all.insert(host, is_stale);
        }
    }
    all.iter().map(|(host, stale)| format!("{host}{}", if *stale { "?" } else { "" })).collect()
}
