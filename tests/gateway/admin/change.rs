//! Changes at run time: what is asked for is written, served, and only then answered.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;

use serde_json::Value;
use serde_json::json;

use crate::support::*;

/// A request with a body of JSON and these further fields.
fn with_body(method: &str, path: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n{fields}\
         content-length: {length}\r\n\r\n{body}"
    )
}

fn asked(gateway: &Gateway, method: &str, path: &str, body: &Value) -> Message {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    sent(gateway, &with_body(method, path, "", &body))
}

fn sent(gateway: &Gateway, request: &str) -> Message {
    let mut client = Connection::to(gateway.admin);
    client.send(request);
    client.message()
}

fn written(gateway: &Gateway) -> String {
    fs::read_to_string(gateway.folder.join("ringway.toml")).expect("a file")
}

fn errors(answer: &Message) -> String {
    answer.json()["errors"].to_string()
}

#[test]
fn an_endpoint_s_weight_and_drain_are_changed() {
    let (first, second) = (Answering::saying("1"), Answering::saying("2"));
    let text = format!(
        "# Ours.\n[[upstream]]\nname = \"u\"\nendpoints = [\n  {{ url = \"{}\" }}, # the old one\n  {{ url = \"{}\", weight = 0 }},\n]\n\n\
         [[model]]\nname = \"m\" # as ever\nupstream = \"u\"\n",
        first.url(),
        second.url()
    );
    let gateway = Setup::new(text).shards(2).start();
    assert_eq!(gateway.ask(chat("m", "")).text(), "1");
    let path = "/admin/upstreams/u/endpoints";
    let body = json!({"url": second.url(), "weight": 3});
    let answer = asked(&gateway, "PATCH", path, &body);
    assert_eq!((answer.status(), answer.field("etag")), (200, Some("\"2\"")), "{}", answer.text());
    let said = answer.json();
    assert_eq!((&said["snapshot"], &said["is_changed"]), (&json!(2), &json!(true)));
    assert_eq!(said["now"], json!({"weight": 3}));
    // It is in force by now.
    let answer = asked(&gateway, "PATCH", path, &json!({"url": first.url(), "drain": true}));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    for _ in 0..4 {
        assert_eq!(gateway.ask(chat("m", "")).text(), "2");
    }
    let shown = gateway.page(path);
    let endpoints = &shown.json()["endpoints"];
    assert_eq!((&endpoints[0]["weight"], &endpoints[1]["weight"]), (&json!(0), &json!(3)));
    assert_eq!(endpoints[0]["traits"]["drain"], "true");
    // Comments are where they were.
    let file = written(&gateway);
    let line = format!("  {{ url = \"{}\", drain = true }}, # the old one\n", first.url());
    assert!(
        file.contains(&line) && file.contains("# Ours.\n") && file.contains("# as ever"),
        "{file}"
    );
    // Once more changes nothing.
    let again = asked(&gateway, "PATCH", path, &json!({"url": first.url(), "drain": true}));
    assert_eq!(
        (&again.json()["is_changed"], &again.json()["snapshot"]),
        (&json!(false), &json!(3))
    );
    gateway.await_log("endpoint");
    let log = gateway.log();
    assert!(log.contains("changed by the admin API") && log.contains(r#"\"drain\":true"#), "{log}");
}

#[test]
fn the_file_s_watcher_has_nothing_left_to_do() {
    let upstream = Answering::saying("1");
    let gateway = Setup::one(&upstream.url(), "").start();
    let body = json!({"url": upstream.url(), "weight": 2});
    assert_eq!(asked(&gateway, "PATCH", "/admin/upstreams/u/endpoints", &body).status(), 200);
    // What somebody writes afterwards is the next snapshot: the change itself was none of the watcher's.
    let text = one(&upstream.url(), "").replace("\"m\"", "\"n\"");
    gateway.write_config(&text);
    gateway.await_metric("ringway_snapshot_adopted", &[], 3);
    let history = gateway.page("/admin/snapshot").json()["history"].clone();
    assert_eq!(history[0]["why"], "file_changed");
    assert_eq!(history[1]["why"], "asked");
    let cause = history[1]["cause"].as_str().expect("a cause").to_owned();
    assert!(cause.contains("127.") && cause.contains("of upstream \"u\""), "{cause}");
}

#[test]
fn models_come_change_and_go() {
    let (first, second) = (Answering::saying("1"), Answering::saying("2"));
    let rest = one(&first.url(), "")
        + &format!(
            "\n[[upstream]]\nname = \"v\"\nendpoints = [{{ url = \"{}\" }}]\n",
            second.url()
        );
    let gateway = Setup::new(rest).start();
    let path = "/admin/models/org/new%402";
    assert_eq!(gateway.page(path).status(), 404);
    let answer = asked(&gateway, "PUT", path, &json!({"upstream": "u", "aliases": ["alias"]}));
    assert_eq!(answer.status(), 201, "{}", answer.text());
    assert_eq!(gateway.ask(chat("alias", "")).text(), "1");
    // What is shown can be put back.
    let shown = gateway.page(path).json();
    assert_eq!(
        shown,
        json!({"name": "org/new", "version": "2", "upstream": "u", "aliases": ["alias"]})
    );
    assert_eq!(asked(&gateway, "PUT", path, &shown).json()["is_changed"], false);
    let answer = asked(&gateway, "PUT", path, &json!({"upstream": "v"}));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(gateway.ask(chat("org/new@2", "")).text(), "2");
    assert_eq!(gateway.ask(chat("alias", "")).status(), 404);
    assert_eq!(asked(&gateway, "DELETE", path, &Value::Null).status(), 200);
    assert_eq!(gateway.ask(chat("org/new@2", "")).status(), 404);
    let gone = asked(&gateway, "DELETE", path, &Value::Null);
    assert_eq!(gone.status(), 404);
    // Nothing is left behind.
    assert!(!written(&gateway).contains("org/new"), "{}", written(&gateway));
}

#[test]
fn what_cannot_be_is_refused_by_its_field_and_changes_nothing() {
    let upstream = Answering::saying("1");
    let gateway = Setup::one(&upstream.url(), "").start();
    let before = written(&gateway);
    for (method, path, body, status, says) in [
        (
            "PUT",
            "/admin/models/a",
            json!({"upstream": "x"}),
            400,
            "upstream: no upstream is called",
        ),
        ("PUT", "/admin/models/a", json!({"upstream": "u", "retyr": {}}), 400, "retyr: "),
        ("PUT", "/admin/models/a", json!({"name": "b", "upstream": "u"}), 400, "name: is "),
        (
            "PUT",
            "/admin/models/a",
            json!({"upstream": "u", "aliases": ["m"]}),
            400,
            "means both model",
        ),
        ("PUT", "/admin/models/a", json!(["upstream"]), 400, "must be an object"),
        ("PUT", "/admin/models/a?regstry=x", json!({}), 400, "no parameter"),
        ("PUT", "/admin/models/a?registry=x", json!({}), 409, "no registry"),
        ("DELETE", "/admin/models/m", Value::Null, 409, "there is no [[model]]"),
        ("DELETE", "/admin/models/n", Value::Null, 404, "did you mean"),
        (
            "PATCH",
            "/admin/upstreams/u/endpoints",
            json!({"url": "http://x", "weight": 1}),
            404,
            "url: ",
        ),
        (
            "PATCH",
            "/admin/upstreams/v/endpoints",
            json!({"url": "http://x", "weight": 1}),
            404,
            "did you",
        ),
        ("PATCH", "/admin/upstreams/u/endpoints", json!({"wieght": 1}), 400, "wieght: "),
        ("POST", "/admin/tenants/acme/keys", json!({}), 404, "there is no tenant"),
        ("POST", "/admin/tenants/acme/keys", json!({"secret": "x"}), 400, "secret: is not known"),
    ] {
        let answer = asked(&gateway, method, path, &body);
        assert_eq!(answer.status(), status, "{method} {path}: {}", answer.text());
        assert!(errors(&answer).contains(says), "{method} {path}: {}", errors(&answer));
    }
    assert_eq!(written(&gateway), before);
    assert_eq!(gateway.metric("ringway_snapshot_number", &[]), 1);
    assert_eq!(gateway.metric("ringway_config_last_reload_successful", &[]), 1);
}

#[test]
fn requests_are_bounded_and_told_what_there_is() {
    let gateway = Setup::one(&Answering::saying("1").url(), "").start();
    let answer = asked(&gateway, "POST", "/admin/models/m", &Value::Null);
    assert_eq!((answer.status(), answer.field("allow")), (405, Some("GET, HEAD, PUT, DELETE")));
    let form = "POST /admin/tenants/a/keys HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(sent(&gateway, form).status(), 415);
    let long = format!("{{\"upstream\": \"{}\"}}", "u".repeat(65 << 10));
    let answer = sent(&gateway, &with_body("PUT", "/admin/models/m", "", &long));
    assert_eq!(answer.status(), 413, "{}", answer.text());
    let unknown = gateway.page("/admin/nothing");
    assert!(unknown.text().contains("/admin/tenants/NAME/keys"), "{}", unknown.text());
}

#[test]
fn a_change_may_depend_on_what_was_seen() {
    let upstream = Answering::saying("1");
    let gateway = Setup::one(&upstream.url(), "").start();
    let path = "/admin/upstreams/u/endpoints";
    let tag = gateway.page(path).field("etag").expect("a tag").to_owned();
    assert_eq!(tag, "\"1\"");
    let change = |weight: u32| {
        let body = json!({"url": upstream.url(), "weight": weight}).to_string();
        sent(&gateway, &with_body("PATCH", path, &format!("if-match: {tag}\r\n"), &body))
    };
    assert_eq!(change(2).status(), 200);
    let late = change(3);
    assert_eq!(late.status(), 412);
    assert!(errors(&late).contains("snapshot 2"), "{}", errors(&late));
    assert!(written(&gateway).contains("weight = 2"), "{}", written(&gateway));
}

#[test]
fn keys_are_made_shown_once_and_taken_away() {
    let upstream = Answering::saying("1");
    let rest = one(&upstream.url(), "") + "\n[[tenant]]\nname = \"acme\" # a customer\n";
    let gateway = Setup::new(rest).start();
    let keys = "/admin/tenants/acme/keys";
    let answer = asked(&gateway, "POST", keys, &json!({"id": "ci", "models": ["m"]}));
    assert_eq!(answer.status(), 201, "{}", answer.text());
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    let secret = answer.json()["key"]["secret"].as_str().expect("a secret").to_owned();
    let ask = |secret: &str| {
        gateway.ask(
            chat("m", "").replace("host:", &format!("authorization: Bearer {secret}\r\nhost:")),
        )
    };
    assert_eq!(ask(&secret).status(), 200);
    assert_eq!(ask("rw_other").status(), 401);
    let twice = asked(&gateway, "POST", keys, &json!({"id": "ci"}));
    assert_eq!(twice.status(), 409, "{}", twice.text());
    // Nobody sees it again, and nobody sees its digest.
    let digest = crate::admission::digest(&secret);
    assert!(written(&gateway).contains(&digest) && !written(&gateway).contains(&secret));
    for path in ["/admin/tenants/acme", keys, "/admin/snapshot"] {
        let page = gateway.page(path);
        assert!(!page.text().contains(&secret) && !page.text().contains(&digest), "{path}");
    }
    let log = gateway.log();
    assert!(!log.contains(&secret) && !log.contains(&digest), "{log}");
    assert_eq!(gateway.page(keys).json(), json!({"keys": [{"id": "ci", "models": ["m"]}]}));
    // A tenant that is put back as it was shown keeps its keys; so does one that says nothing of them.
    let mut shown = gateway.page("/admin/tenants/acme").json();
    shown["priority"] = "high".into();
    let answer = asked(&gateway, "PUT", "/admin/tenants/acme", &shown);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let answer = asked(&gateway, "PUT", "/admin/tenants/acme", &json!({"priority": "low"}));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(ask(&secret).status(), 200);
    assert!(written(&gateway).contains("name = \"acme\" # a customer"), "{}", written(&gateway));
    let path = format!("{keys}/ci");
    // Without any key everybody would be let in.
    let last = asked(&gateway, "DELETE", &path, &Value::Null);
    assert_eq!(last.status(), 409, "{}", last.text());
    assert!(errors(&last).contains("last credential"), "{}", errors(&last));
    assert_eq!(asked(&gateway, "POST", keys, &json!({})).status(), 201);
    assert_eq!(asked(&gateway, "DELETE", &path, &Value::Null).status(), 200);
    assert_eq!(ask(&secret).status(), 401);
    let gone = asked(&gateway, "DELETE", &path, &Value::Null);
    assert_eq!(gone.status(), 404, "{}", gone.text());
}

#[test]
fn tenants_come_and_go() {
    let gateway = Setup::one(&Answering::saying("1").url(), "").start();
    let path = "/admin/tenants/acme";
    let wanted = json!({"limits": {"requests_per_minute": 60}, "priority": "low"});
    assert_eq!(asked(&gateway, "PUT", path, &wanted).status(), 201);
    let shown = gateway.page(path).json();
    assert_eq!((&shown["limits"], &shown["name"]), (&wanted["limits"], &json!("acme")));
    assert_eq!(asked(&gateway, "DELETE", path, &Value::Null).status(), 200);
    assert_eq!(gateway.page(path).status(), 404);
}

#[test]
fn mode_and_link_of_the_file_stay() {
    let upstream = Answering::saying("1");
    let gateway = Setup::one(&upstream.url(), "").start();
    let (link, file) = (gateway.folder.join("ringway.toml"), gateway.folder.join("real.toml"));
    fs::rename(&link, &file).expect("a file");
    symlink("real.toml", &link).expect("a link");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("a mode");
    let body = json!({"url": upstream.url(), "weight": 2});
    let answer = asked(&gateway, "PATCH", "/admin/upstreams/u/endpoints", &body);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
    assert!(fs::read_to_string(&file).expect("a file").contains("weight = 2"));
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o640);
}

#[test]
fn what_can_be_read_but_not_served_is_taken_back() {
    let upstream = Answering::saying("1");
    let gateway = Setup::one(&upstream.url(), "").start();
    let before = written(&gateway);
    let wanted = json!({"signatures": [{"id": "s", "secret": {"env": "NOT_SET_ANYWHERE"}}]});
    let answer = asked(&gateway, "PUT", "/admin/tenants/acme", &wanted);
    assert_eq!(answer.status(), 409, "{}", answer.text());
    assert!(errors(&answer).contains("NOT_SET_ANYWHERE is not set"), "{}", errors(&answer));
    assert_eq!(written(&gateway), before);
    assert_eq!(gateway.metric("ringway_config_last_reload_successful", &[]), 1);
    assert_eq!(gateway.ask(chat("m", "")).text(), "1");
}

#[test]
fn what_is_found_is_changed_where_it_is_found() {
    let upstream = Answering::saying("1");
    let rest = "[[upstream]]\nname = \"u\"\ndiscover = [{ file = \"endpoints.json\" }]\n\n\
                [[model]]\nname = \"m\"\nupstream = \"u\"\n";
    let gateway = Setup::new(rest).start();
    let list = gateway.folder.join("endpoints.json");
    fs::write(&list, json!([{ "url": upstream.url() }]).to_string()).expect("a file");
    await_true("it is found", || {
        let endpoints = gateway.page("/admin/upstreams/u/endpoints").json()["endpoints"].clone();
        if endpoints[0].is_null() { Err(endpoints.to_string()) } else { Ok(()) }
    });
    let body = json!({"url": upstream.url(), "drain": true});
    let answer = asked(&gateway, "PATCH", "/admin/upstreams/u/endpoints", &body);
    assert_eq!(answer.status(), 409, "{}", answer.text());
    assert!(errors(&answer).contains("drain in "), "{}", errors(&answer));
    assert!(errors(&answer).contains(&list.display().to_string()), "{}", errors(&answer));
}

#[test]
fn changes_at_the_same_time_are_made_one_after_the_other() {
    let upstream = Answering::saying("1");
    let gateway = Setup::one(&upstream.url(), "").start();
    let gateway = &gateway;
    let put = move |at: usize| {
        let answer =
            asked(gateway, "PUT", &format!("/admin/models/n{at}"), &json!({"upstream": "u"}));
        assert_eq!(answer.status(), 201, "{}", answer.text());
        answer.json()["snapshot"].as_u64().expect("a number")
    };
    let mut numbers: Vec<u64> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|at| scope.spawn(move || put(at))).collect();
        asking.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (2..10).collect::<Vec<u64>>());
    for at in 0..8 {
        assert_eq!(gateway.ask(chat(&format!("n{at}"), "")).text(), "1");
    }
}

#[test]
fn a_client_that_leaves_does_not_leave_half_a_change() {
    let upstream = Answering::saying("1");
    let gateway = Setup::one(&upstream.url(), "").start();
    let body = json!({"url": upstream.url(), "weight": 7}).to_string();
    let mut client = Connection::to(gateway.admin);
    client.send(with_body("PATCH", "/admin/upstreams/u/endpoints", "", &body));
    // It leaves as soon as the change is in the file.
    await_true("it is written", || {
        let text = written(&gateway);
        if text.contains("weight = 7") { Ok(()) } else { Err(text) }
    });
    drop(client);
    gateway.await_metric("ringway_snapshot_adopted", &[], 2);
    gateway.await_log("changed by the admin API");
}

#[test]
fn a_web_page_changes_nothing() {
    let upstream = Answering::saying("1");
    let gateway = Setup::one(&upstream.url(), "").start();
    let body = json!({"url": upstream.url(), "weight": 7}).to_string();
    let origin = "origin: http://elsewhere.example\r\n";
    let answer = sent(&gateway, &with_body("PATCH", "/admin/upstreams/u/endpoints", origin, &body));
    assert_eq!(answer.status(), 403, "{}", answer.text());
    assert_eq!(gateway.metric("ringway_snapshot_number", &[]), 1);
}

#[test]
fn where_there_is_a_token_it_is_needed_and_never_seen() {
    let upstream = Answering::saying("1");
    let rest = format!("token = {{ env = \"ADMIN\" }}\n\n{}", one(&upstream.url(), ""));
    let gateway = Setup::new(rest).variable("ADMIN", "a-token-of-the-lab").start();
    let (path, body) =
        ("/admin/upstreams/u/endpoints", json!({"url": upstream.url(), "weight": 2}));
    assert_eq!(asked(&gateway, "PATCH", path, &body).status(), 401);
    gateway.await_log("denied by the admin API");
    let counted = |result| gateway.metric("ringway_admin_requests_total", &[("result", result)]);
    assert_eq!(["changed", "refused", "denied"].map(counted), [0, 0, 1]);
    let token = "authorization: Bearer a-token-of-the-lab\r\n";
    let answer = sent(&gateway, &with_body("PATCH", path, token, &body.to_string()));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    gateway.await_log("127.0.0.1 with the admin token");
    assert!(!gateway.log().contains("a-token-of"), "{}", gateway.log());
}
