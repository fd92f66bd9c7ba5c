//! Lists and watches of a member that answers what it is told to.

use super::*;
use crate::control::discover::etcd::script::Script;
use crate::control::discover::etcd::script::ok;
use crate::control::discover::etcd::script::pair;
use crate::control::discover::etcd::script::plain;
use crate::control::discover::etcd::script::range;
use crate::control::discover::etcd::script::watching;
use crate::control::fetch::tests::on_runtime;

fn created() -> Value {
    json!({ "result": { "header": { "revision": "5" }, "created": true } })
}

/// What a watch says: the store is at `revision`, and these keys have changed.
fn told(revision: i64, events: &[Value]) -> Value {
    json!({ "result": { "header": { "revision": revision.to_string() }, "events": events } })
}

fn put(key: &str, value: &str, revision: i64) -> Value {
    json!({ "kv": pair(key, value, revision) })
}

fn names(keys: &Keys) -> Vec<String> {
    let name = |(key, kept): (&Vec<u8>, &Kept)| {
        let [key, value] = [key, &kept.value].map(|text| String::from_utf8_lossy(text));
        format!("{key}={value}")
    };
    keys.iter().map(name).collect()
}

#[test]
fn keys_are_listed_page_by_page_at_one_revision_and_watched_from_the_next_on() {
    let gone = json!({ "type": "DELETE", "kv": pair("/llm/a", "", 7) });
    let script = Script::new(vec![
        ok(&range(5, &[("/llm/a", "1", 2), ("/llm/b", "2", 3)], true)),
        ok(&range(9, &[("/llm/c", "3", 4)], false)),
        watching(&[created(), told(6, &[put("/llm/d", "4", 6)]), told(7, &[gone])]),
        ok(&range(7, &[("/llm/d", "", 6)], false)),
    ]);
    let mut follow = Follow::new(&script.access(), "/llm/");
    on_runtime(async {
        assert_eq!(names(follow.next().await.unwrap()), ["/llm/a=1", "/llm/b=2", "/llm/c=3"]);
        let mut keys = names(follow.next().await.unwrap());
        // Two changes are told together, unless the machine is slow.
        while keys.len() > 3 || keys[0] == "/llm/a=1" {
            keys = names(follow.next().await.unwrap());
        }
        assert_eq!(keys, ["/llm/b=2", "/llm/c=3", "/llm/d=4"]);
    });
    let asked = script.asked();
    assert_eq!(asked[0].body["revision"], "0", "whichever is the newest");
    assert_eq!(
        (plain(&asked[1].body["key"]), &asked[1].body["revision"]),
        ("/llm/b\0".into(), &json!("5"))
    );
    let create = &asked[2].body["create_request"];
    assert_eq!(
        (plain(&create["range_end"]), &create["start_revision"]),
        ("/llm0".into(), &json!("6"))
    );
}

#[test]
fn what_is_compacted_away_is_listed_again() {
    let canceled = json!({ "result": {
        "header": { "revision": "9" }, "canceled": true, "compact_revision": "8",
    }});
    let script = Script::new(vec![
        ok(&range(5, &[("/llm/a", "1", 2)], false)),
        watching(&[created(), canceled]),
        ok(&range(5, &[("/llm/a", "", 2)], false)),
        ok(&range(9, &[("/llm/b", "2", 9)], false)),
        watching(&[created()]),
    ]);
    let mut follow = Follow::new(&script.access(), "/llm/");
    on_runtime(async {
        assert_eq!(names(follow.next().await.unwrap()), ["/llm/a=1"]);
        assert_eq!(names(follow.next().await.unwrap()), ["/llm/b=2"]);
    });
    assert_eq!(script.asked()[4].body["create_request"]["start_revision"], "10");
}

/// Who is behind is told of some revisions at a time, while the header says how far the store is.
#[test]
fn a_watch_that_breaks_off_goes_on_after_the_last_change_that_it_told() {
    let broken = watching(&[created(), told(2000, &[put("/llm/b", "2", 6)])]) + "0\r\n\r\n";
    let script = Script::new(vec![
        ok(&range(5, &[("/llm/a", "1", 2)], false)),
        broken,
        ok(&range(2000, &[("/llm/a", "", 2)], false)),
        watching(&[created()]),
        ok(&range(2000, &[("/llm/b", "", 6)], false)),
    ]);
    let mut follow = Follow::new(&script.access(), "/llm/");
    on_runtime(async {
        assert_eq!(names(follow.next().await.unwrap()), ["/llm/a=1"]);
        // What was told before may be said first.
        while follow.next().await.is_ok() {}
        assert_eq!(names(follow.next().await.unwrap()), ["/llm/a=1", "/llm/b=2"]);
    });
    assert_eq!(script.asked()[3].body["create_request"]["start_revision"], "7");
}

#[test]
fn a_cluster_that_has_gone_back_is_listed_again() {
    let script = Script::new(vec![
        ok(&range(9, &[("/llm/a", "1", 2)], false)),
        watching(&[created()]),
        ok(&range(4, &[("/llm/b", "", 3)], false)),
        ok(&range(4, &[("/llm/b", "2", 3)], false)),
        watching(&[created()]),
    ]);
    let mut follow = Follow::new(&script.access(), "/llm/");
    on_runtime(async {
        assert_eq!(names(follow.next().await.unwrap()), ["/llm/b=2"]);
    });
    assert_eq!(script.asked()[4].body["create_request"]["start_revision"], "5");
}

#[test]
fn a_watch_that_is_refused_says_why() {
    let refused = json!({ "result": {
        "header": { "revision": "5" }, "created": true, "canceled": true,
        "cancel_reason": "etcdserver: permission denied",
    }});
    let script = Script::new(vec![
        ok(&range(5, &[], false)),
        watching(&[refused]),
        ok(&range(5, &[], false)),
    ]);
    let mut follow = Follow::new(&script.access(), "/llm/");
    on_runtime(async {
        assert!(follow.next().await.unwrap().is_empty());
        let why = follow.next().await.unwrap_err();
        assert_eq!(why, "its watch was cancelled: etcdserver: permission denied");
    });
}
