//! Key sets of a real server on this machine that rotates its keys, fails, and says nonsense.

use super::*;
use crate::config;
use crate::control::fetch::tests::answer;
use crate::control::fetch::tests::on_runtime;
use crate::control::fetch::tests::serve;

/// RFC 7517, appendix A.1, with a name.
fn set(kid: &str) -> String {
    format!(
        "{{\"keys\":[{{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"{kid}\",\
         \"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\",\
         \"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}}]}}"
    )
}

fn file(url: &str) -> File {
    let text = format!("[[jwt]]\nissuer = \"i\"\njwks = {{ url = \"{url}\", refresh_s = 300 }}\n");
    config::read(&text, "a.toml").0
}

fn text(sets: &KeySets) -> Option<String> {
    sets.texts().next().map(|(_, text)| String::from_utf8(text).unwrap())
}

/// Asks for what is due at `now`, and takes one answer.
async fn turn(sets: &mut KeySets, now: Instant) -> bool {
    sets.begin(now);
    sets.arrived(|| now).await
}

#[test]
fn keys_rotate_and_the_last_good_ones_stay() {
    on_runtime(async {
        let serving = serve(vec![
            answer("200 OK", "", &set("a")),
            answer("200 OK", "", &set("a")),
            answer("200 OK", "", &set("b")),
            answer("500 Internal Server Error", "", ""),
            answer("200 OK", "", "<html>"),
            answer("200 OK", "", "{\"keys\":[]}"),
            answer("200 OK", "", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"}]}"),
            answer("200 OK", "", &set("c")),
        ]);
        let mut sets = KeySets::new();
        let mut now = Instant::now();
        sets.want(&file(&serving.url), &World::default(), now);
        sets.first(Duration::from_secs(10), || now).await;
        assert_eq!(text(&sets), Some(set("a")));
        assert_eq!(sets.numbers()[0].keys, 1);
        sets.begin(now + Duration::from_secs(299));
        assert!(sets.asking.is_empty(), "not before it is due");

        now += Duration::from_secs(300);
        assert!(!turn(&mut sets, now).await, "the same set is no change");
        now += Duration::from_secs(300);
        assert!(turn(&mut sets, now).await);
        assert_eq!(text(&sets), Some(set("b")));

        now += Duration::from_secs(300);
        for (failures, wait) in [(1, 2), (2, 4), (3, 8), (4, 16)] {
            assert!(!turn(&mut sets, now).await);
            assert_eq!(text(&sets), Some(set("b")), "the last good one stays");
            assert_eq!((sets.numbers()[0].failures, sets.numbers()[0].keys), (failures, 1));
            sets.begin(now + Duration::from_secs(wait) - Duration::from_millis(1));
            assert!(sets.asking.is_empty(), "not sooner than {wait} s");
            now += Duration::from_secs(wait);
        }
        assert!(turn(&mut sets, now).await);
        assert_eq!(text(&sets), Some(set("c")));
        assert_eq!(serving.asked().len(), 8);
    });
}

#[test]
fn a_start_does_not_wait_for_ever() {
    on_runtime(async {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sets = KeySets::new();
        let now = Instant::now();
        let file = file(&format!("http://{}/", silent.local_addr().unwrap()));
        sets.want(&file, &World::default(), now);
        sets.first(Duration::from_millis(20), || now).await;
        assert_eq!((text(&sets), sets.numbers()[0].fetched_unix_ms), (None, 0));
        // What was asked for is still waited for, and nothing is asked twice.
        assert_eq!(sets.asking.len(), 1);
        sets.begin(now);
        assert_eq!(sets.asking.len(), 1);
    });
}

#[test]
fn unknown_keys_have_it_fetched_sooner_but_not_all_the_time() {
    on_runtime(async {
        let answers = vec![answer("200 OK", "", &set("a")), answer("200 OK", "", &set("b"))];
        let serving = serve(answers);
        let mut sets = KeySets::new();
        let now = Instant::now();
        sets.want(&file(&serving.url), &World::default(), now);
        sets.first(Duration::from_secs(10), || now).await;
        let soon = now + HURRY_MIN - Duration::from_millis(1);
        sets.hurry(soon);
        sets.begin(soon);
        assert!(sets.asking.is_empty(), "anybody can send such tokens");
        let later = now + HURRY_MIN;
        sets.hurry(later);
        assert!(turn(&mut sets, later).await);
        assert_eq!(text(&sets), Some(set("b")));
    });
}

#[test]
fn a_sender_may_ask_for_more_but_not_for_less_nor_for_too_much() {
    on_runtime(async {
        for (max_age, wait) in [("max-age=60", 60), ("max-age=0", 10), ("max-age=9999", 300)] {
            let fields = format!("cache-control: {max_age}\r\n");
            let serving = serve(vec![answer("200 OK", &fields, &set("a"))]);
            let mut sets = KeySets::new();
            let now = Instant::now();
            sets.want(&file(&serving.url), &World::default(), now);
            sets.first(Duration::from_secs(10), || now).await;
            let due = sets.sets[0].known.due.unwrap();
            assert_eq!(due, now + Duration::from_secs(wait), "{max_age}");
        }
    });
}

#[test]
fn what_is_known_stays_when_the_file_is_read_again() {
    on_runtime(async {
        let serving = serve(vec![answer("200 OK", "", &set("a"))]);
        let mut sets = KeySets::new();
        let now = Instant::now();
        let file = file(&serving.url);
        sets.want(&file, &World::default(), now);
        sets.first(Duration::from_secs(10), || now).await;
        // Two issuers may share a set.
        let both = File { jwt: vec![file.jwt[0].clone(), file.jwt[0].clone()], ..file.clone() };
        sets.want(&both, &World::default(), now);
        sets.first(Duration::from_secs(10), || now).await;
        assert_eq!(sets.texts().map(|(index, _)| index).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(serving.asked().len(), 1);
        sets.want(&config::read("", "a.toml").0, &World::default(), now);
        assert_eq!(sets.numbers(), []);
    });
}
