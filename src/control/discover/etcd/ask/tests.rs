//! Logins, members that cannot help, and what ranges and numbers look like.

use super::*;
use crate::control::discover::etcd::script::Script;
use crate::control::discover::etcd::script::answer;
use crate::control::discover::etcd::script::ok;
use crate::control::fetch::tests::on_runtime;

#[test]
fn a_range_ends_after_the_last_key_of_a_prefix() {
    assert_eq!(end_of(b"/llm/"), b"/llm0");
    assert_eq!(end_of(b"a\xff\xff"), b"b");
    assert_eq!(end_of(b"\xff"), [0]);
    assert_eq!(end_of(b""), [0]);
}

#[test]
fn numbers_are_strings_or_not_there() {
    let value = json!({ "a": "12", "b": 3, "c": "x" });
    let numbers = ["a", "b", "c", "d"].map(|field| number(&value, field));
    assert_eq!(numbers, [12, 3, 0, 0]);
}

fn locked(script: &Script) -> Access {
    let login = Some(("ringway".to_owned(), Secret::new(b"open sesame\n".to_vec())));
    Access { login, ..script.access() }
}

#[test]
fn who_logs_in_does_so_again_when_the_token_is_over() {
    let over = answer("401 Unauthorized", &json!({ "error": "etcdserver: invalid auth token" }));
    let script = Script::new(vec![
        ok(&json!({ "token": "one" })),
        ok(&json!({ "a": 1 })),
        over,
        ok(&json!({ "token": "two" })),
        ok(&json!({ "a": 2 })),
    ]);
    let mut etcd = Etcd::new(&locked(&script));
    on_runtime(async {
        assert_eq!(etcd.call("/v3/kv/range", &json!({})).await.unwrap()["a"], 1);
        assert_eq!(etcd.call("/v3/kv/range", &json!({})).await.unwrap()["a"], 2);
    });
    let asked = script.asked();
    let tokens: Vec<_> = asked.iter().map(|asked| asked.token.as_str()).collect();
    assert_eq!(tokens, ["", "one", "one", "", "two"]);
    assert_eq!(asked[0].body, json!({ "name": "ringway", "password": "open sesame" }));
}

#[test]
fn a_wrong_password_is_said_and_not_shown() {
    let no = answer("400 Bad Request", &json!({ "error": "authentication failed, invalid user" }));
    let script = Script::new(vec![no]);
    let mut etcd = Etcd::new(&locked(&script));
    let why = on_runtime(etcd.call("/v3/kv/range", &json!({}))).unwrap_err();
    assert!(why.starts_with("the login failed: answered with 400: "), "{why}");
    assert!(!why.contains("sesame"), "{why}");
}

#[test]
fn who_need_not_log_in_does_without() {
    let open = answer("400 Bad Request", &json!({ "error": "authentication is not enabled" }));
    let script = Script::new(vec![open, ok(&json!({ "a": 1 }))]);
    let mut etcd = Etcd::new(&locked(&script));
    assert_eq!(on_runtime(etcd.call("/v3/kv/range", &json!({}))).unwrap()["a"], 1);
    assert_eq!(script.asked()[1].token, "");
}

#[test]
fn a_member_without_a_leader_is_passed_over() {
    let no = answer("503 Service Unavailable", &json!({ "error": "etcdserver: no leader" }));
    let (lost, well) = (Script::new(vec![no]), Script::new(vec![ok(&json!({ "a": 1 }))]));
    let urls = [lost.access().urls, well.access().urls].concat();
    let mut etcd = Etcd::new(&Access { urls, ..Access::default() });
    on_runtime(async {
        let why = etcd.call("/v3/kv/range", &json!({})).await.unwrap_err();
        assert!(why.contains("no leader"), "{why}");
        assert_eq!(etcd.call("/v3/kv/range", &json!({})).await.unwrap()["a"], 1);
    });
}
