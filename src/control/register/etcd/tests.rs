//! A member that answers what it is told to.

use std::time::Duration;

use super::*;
use crate::control::discover::etcd::script::Script;
use crate::control::discover::etcd::script::answer;
use crate::control::discover::etcd::script::ok;
use crate::control::discover::etcd::script::plain;
use crate::control::fetch::tests::on_runtime;
use crate::control::register::Notice;
use crate::control::register::Standing;

fn registration() -> Registration {
    Registration {
        id: "/gateways/-10.0.0.5:8080".to_owned(),
        name: "/gateways/".to_owned(),
        address: "10.0.0.5:8080".parse().unwrap(),
        version: "0.1.0".to_owned(),
        ttl: Duration::from_millis(1500),
        tags: Vec::new(),
        region: Some("eu".to_owned()),
        zone: None,
        notice: Notice::default(),
    }
}

fn granted(lease: &str) -> String {
    ok(&json!({ "ID": lease, "TTL": "2" }))
}

fn kept(ttl: &str) -> String {
    ok(&json!({ "result": { "ID": "7", "TTL": ttl } }))
}

fn done() -> String {
    ok(&json!({ "succeeded": false }))
}

#[test]
fn it_is_registered_kept_alive_given_a_new_lease_and_gone_at_the_end() {
    // The second sign of life comes too late: the lease has ended, and etcd leaves out a zero.
    let ended = ok(&json!({ "result": { "ID": "7" } }));
    let script = Script::new(vec![
        granted("7"),
        done(),
        kept("2"),
        done(),
        ended,
        granted("8"),
        done(),
        ok(&json!({})),
    ]);
    let busy = Load { in_flight: 2, connections: 5, is_draining: false };
    let (tell, load) = watch::channel(busy);
    on_runtime(async {
        let registration = registration();
        let notice = registration.notice.clone();
        let registered = etcd(registration, script.access(), load);
        let drain = async {
            script.until(7).await;
            tell.send_replace(Load { is_draining: true, ..busy });
        };
        tokio::join!(registered, drain);
        assert_eq!(notice.standing(), Standing::default());
    });
    assert_eq!(
        script.paths(),
        [
            "lease/grant",
            "kv/txn",
            "lease/keepalive",
            "kv/txn",
            "lease/keepalive",
            "lease/grant",
            "kv/txn",
            "lease/revoke"
        ]
    );
    let asked = script.asked();
    assert_eq!(asked[0].body["TTL"], "2", "whole seconds, and not fewer");
    let put = &asked[1].body["failure"][0]["request_put"];
    assert_eq!(
        (plain(&put["key"]), &put["lease"]),
        ("/gateways/10.0.0.5:8080".into(), &json!("7"))
    );
    let value: Value = serde_json::from_str(&plain(&put["value"])).unwrap();
    let load = json!({ "in_flight": 2, "connections": 5, "is_draining": false });
    let expected =
        json!({ "address": "10.0.0.5:8080", "version": "0.1.0", "region": "eu", "load": load });
    assert_eq!(value, expected);
    assert_eq!(asked[1].body["compare"][1]["lease"], "7");
    assert_eq!(asked[6].body["failure"][0]["request_put"]["lease"], "8");
    assert_eq!(asked[7].body["ID"], "8", "the newest is taken back");
}

#[test]
fn a_lease_that_a_write_finds_gone_is_followed_by_another() {
    let gone =
        answer("404 Not Found", &json!({ "error": "etcdserver: requested lease not found" }));
    let script = Script::new(vec![granted("7"), gone, granted("8"), done(), ok(&json!({}))]);
    let (tell, load) = watch::channel(Load::default());
    on_runtime(async {
        let registered = etcd(registration(), script.access(), load);
        let drain = async {
            script.until(4).await;
            drop(tell);
        };
        tokio::join!(registered, drain);
    });
    let expected = ["lease/grant", "kv/txn", "lease/grant", "kv/txn", "lease/revoke"];
    assert_eq!(script.paths(), expected);
}

#[test]
fn an_etcd_that_says_no_is_told_a_few_times_that_the_gateway_goes() {
    let no = || answer("500 Internal Server Error", &json!({ "error": "no" }));
    let script = Script::new(vec![granted("7"), no(), no(), no(), no()]);
    let (tell, load) = watch::channel(Load { is_draining: true, ..Load::default() });
    let registration = registration();
    let notice = registration.notice.clone();
    on_runtime(etcd(registration, script.access(), load));
    drop(tell);
    assert_eq!(script.paths()[2..], ["lease/revoke"; 3]);
    let why = notice.standing().trouble.unwrap();
    assert!(why.starts_with("answered with 500"), "{why}");
}

#[test]
fn a_lease_that_is_over_already_is_goodbye_enough() {
    let gone =
        answer("404 Not Found", &json!({ "error": "etcdserver: requested lease not found" }));
    let script = Script::new(vec![granted("7"), done(), gone]);
    let (tell, load) = watch::channel(Load { is_draining: true, ..Load::default() });
    let registration = registration();
    let notice = registration.notice.clone();
    on_runtime(etcd(registration, script.access(), load));
    drop(tell);
    assert_eq!((script.paths().len(), notice.standing()), (3, Standing::default()));
}

#[test]
fn without_an_address_it_is_found_by_its_machines_name() {
    let address = "0.0.0.0:8080".parse().unwrap();
    let id = "/gateways/-host:8080".to_owned();
    let registration = Registration { id, address, ..registration() };
    assert_eq!(key(&registration), "/gateways/host:8080");
    assert_eq!(value(&registration, Load::default())["address"], "host:8080");
}
