//! Versions of a model: which one a request gets by what it names and by what the operator has said, and who gets a copy.

mod shadows;

use std::collections::BTreeMap;
use std::fs;

use crate::admission::ALICE;
use crate::admission::BOB;
use crate::admission::acme;
use crate::admission::bearing;
use crate::admission::code;
use crate::admission::with_fields;
use crate::admission::zeta;
use crate::support::*;

const LOG: &str = "[access_log]\npath = \"access.jsonl\"\n\n";

/// The model `llama` in these versions, each served by one url, and further text.
fn llama(versions: &[(&str, &str)], more: &str) -> String {
    let mut text = LOG.to_owned();
    for (version, url) in versions {
        text.push_str(&format!(
            "[[upstream]]\nname = \"u{version}\"\nendpoints = [{{ url = \"{url}\" }}]\n\n[[model]]\nname = \"llama\"\n\
             version = \"{version}\"\nupstream = \"u{version}\"\nupstream_model = \"m{version}\"\nretry = false\n\n"
        ));
    }
    text + more
}

/// Model servers of the versions 1.2.0, 1.3.0 and 2.0.0, which say who they are.
struct Fleet([Answering; 3]);

impl Fleet {
    fn start() -> Self {
        Self(
            ["1.2.0", "1.3.0", "2.0.0"]
                .map(|version| Answering::saying(&format!("{{\"version\":\"{version}\"}}"))),
        )
    }

    fn gateway(&self, more: &str) -> Gateway {
        let Self([one, two, three]) = self;
        let urls = [one.url(), two.url(), three.url()];
        let versions = [("1.2.0", &*urls[0]), ("1.3.0", &*urls[1]), ("2.0.0", &*urls[2])];
        Setup::new(llama(&versions, more)).start()
    }
}

/// The version that an answer is of.
fn version(answer: &Message) -> String {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()["version"].as_str().expect("it says so").to_owned()
}

fn asked(gateway: &Gateway, model: &str, fields: &str) -> String {
    version(&gateway.ask(with_fields(&chat(model, ""), fields)))
}

/// The lines of the access log, once there are so many.
fn lines(gateway: &Gateway, count: usize) -> Vec<serde_json::Value> {
    let path = gateway.folder.join("access.jsonl");
    let mut lines = Vec::new();
    await_true("the access log is written", || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        lines = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if lines.len() == count { Ok(()) } else { Err(text) }
    });
    lines
}

#[test]
fn a_request_gets_the_version_that_it_names() {
    let fleet = Fleet::start();
    let route = "[[route]]\nmodel = \"llama\"\nlabels = { stable = \"1.2.0\", canary = \"^2\" }";
    let gateway = fleet.gateway(route);
    for (name, expected, why) in [
        ("llama@1.3.0", "1.3.0", "exact"),
        ("llama@^1.2", "1.3.0", "range"),
        ("llama@~1.2.0", "1.2.0", "range"),
        ("llama@*", "2.0.0", "range"),
        ("llama@stable", "1.2.0", "label"),
        ("llama@canary", "2.0.0", "label"),
    ] {
        assert_eq!(asked(&gateway, name, ""), expected, "{name}");
        let lines = lines(&gateway, gateway_lines(&gateway));
        let line = lines.last().expect("a line");
        assert_eq!(
            (&line["chosen"], &line["model"]),
            (&why.into(), &format!("llama@{expected}").into())
        );
    }
    // The bare name is what it is without a word about it.
    assert_eq!(asked(&gateway, "llama", ""), "1.2.0");
    let body = fleet.0[2].asked().pop().expect("it was asked").json();
    assert_eq!(body["model"], "m2.0.0");
    gateway.await_metric(
        "ringway_versions_total",
        &[("model", "llama@2.0.0"), ("why", "range")],
        1,
    );
    gateway.await_metric("ringway_versions_total", &[], 6);
    let list = gateway.ask(get("/v1/models")).json();
    let ids: Vec<&str> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| it["id"].as_str())
        .collect();
    let expected =
        ["llama", "llama@1.2.0", "llama@stable", "llama@1.3.0", "llama@2.0.0", "llama@canary"];
    assert_eq!(ids, expected);
    assert_eq!(gateway.ask(get("/v1/models/llama@%5E1")).json()["id"], "llama@1.3.0");
}

/// How many requests have ended.
fn gateway_lines(gateway: &Gateway) -> usize {
    gateway.await_metric("ringway_requests_open", &[], 0);
    usize::try_from(gateway.metric("ringway_requests_total", &[])).expect("a few")
}

#[test]
fn a_path_may_say_which() {
    let fleet = Fleet::start();
    let gateway = fleet.gateway("[[route]]\nmodel = \"llama\"\nlabels = { stable = \"1.2.0\" }");
    for (version, number) in [("1.3.0", 1), ("%5E1", 1), ("stable", 0), ("%3E=1,%20%3C3", 2)] {
        let answer =
            gateway.ask(post(&format!("/v1/models/llama/versions/{version}/invoke"), "[]"));
        assert_eq!(answer.status(), 200, "{version}");
        let asked = fleet.0[number].asked().pop().expect("it was asked");
        let exact = ["1.2.0", "1.3.0", "2.0.0"][number];
        // Upstream nothing is left to be found out.
        let path = format!("POST /v1/models/m{exact}/versions/{exact}/invoke HTTP/1.1");
        assert_eq!(asked.head.line, path);
    }
    let answer = gateway.ask(post("/v1/models/llama/versions/%5E3/invoke", "[]"));
    assert_eq!((answer.status(), code(&answer)), (404, "model_not_found".to_owned()));
}

#[test]
fn what_is_not_there_is_told_in_the_callers_words() {
    let fleet = Fleet::start();
    let gateway = fleet.gateway("");
    for (model, says) in [
        ("llama@^3", "No version of the model `llama` fits `^3` now. GET /v1/models lists"),
        (
            "llama@1.2",
            "The model `llama` has no version `1.2`. A range begins with a sign, such as `llama@^1.2`.",
        ),
        ("llama@stable", "The model `llama` has no version `stable`."),
        ("llama@^one", "`^one` is no range of versions. Write one such as `llama@^1.2`."),
    ] {
        let answer = gateway.ask(chat(model, ""));
        assert_eq!((answer.status(), code(&answer)), (404, "model_not_found".to_owned()));
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains(says), "{message}");
    }
    let body = "{\"model\":\"llama@^3\",\"max_tokens\":1,\"messages\":[]}";
    let answer = gateway.ask(post("/v1/messages", body));
    assert_eq!(
        (answer.status(), &answer.json()["error"]["type"]),
        (404, &"not_found_error".into())
    );
    gateway.await_metric("ringway_refusals_total", &[("reason", "version_not_found")], 5);
}

fn shares(gateway: &Gateway, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut client = gateway.client();
    for _ in 0..requests {
        client.send(chat("llama", ""));
        *counts.entry(version(&client.message())).or_insert(0) += 1;
    }
    counts
}

#[test]
fn requests_are_split_by_weight() {
    let fleet = Fleet::start();
    let gateway = fleet.gateway(
        "[[route]]\nmodel = \"llama\"\nsplit = [{ version = \"1.2.0\", weight = 70 }, { version = \"^1.3\", weight = 30 }, \
         { version = \"2.0.0\", weight = 0 }]",
    );
    let counts = shares(&gateway, 1_000);
    // Six standard deviations of a fair draw.
    let of_second = counts.get("1.3.0").copied().unwrap_or(0);
    assert!((213..=387).contains(&of_second) && counts.len() == 2, "{counts:?}");
    gateway.await_metric("ringway_versions_total", &[("why", "split")], 1_000);
    let page = gateway.page("/admin/explain?model=llama");
    assert!(page.text().contains("requests are split: llama@1.2.0 70 of 100"), "{}", page.text());
}

#[test]
fn who_asks_again_gets_the_same_version() {
    let fleet = Fleet::start();
    let split = "split = [{ version = \"1.2.0\" }, { version = \"1.3.0\" }]";
    let gateway = fleet.gateway(&format!(
        "[[route]]\nmodel = \"llama\"\n{split}\nsticky = {{ header = \"x-session\" }}"
    ));
    let mut led = BTreeMap::new();
    for round in 0..3 {
        for session in 0..40 {
            let found = asked(&gateway, "llama", &format!("x-session: number {session}\r\n"));
            let before = led.entry(session).or_insert_with(|| found.clone());
            assert_eq!(*before, found, "session {session}, round {round}");
        }
    }
    let of_first = led.values().filter(|version| *version == "1.2.0").count();
    assert!((5..=35).contains(&of_first), "{led:?}");
    // Another gateway agrees, and so does one that says which keys go where.
    let other = fleet.gateway(&format!(
        "[[route]]\nmodel = \"llama\"\n{split}\nsticky = {{ header = \"x-session\" }}"
    ));
    for (session, version) in &led {
        let found = asked(&other, "llama", &format!("x-session: number {session}\r\n"));
        assert_eq!(found, *version);
    }
    gateway.await_metric("ringway_versions_total", &[("why", "sticky")], 120);
    asked(&gateway, "llama", "");
    gateway.await_metric("ringway_versions_total", &[("why", "split")], 1);
}

#[test]
fn tenants_and_users_stay_too() {
    let fleet = Fleet::start();
    let split =
        "[[route]]\nmodel = \"llama\"\nsplit = [{ version = \"1.2.0\" }, { version = \"1.3.0\" }]";
    let gateway =
        fleet.gateway(&format!("{split}\nsticky = \"tenant\"\n{}\n{}", acme(""), zeta("")));
    for secret in [ALICE, BOB] {
        let ask = || version(&gateway.ask(bearing(secret, &chat("llama", ""))));
        let first = ask();
        assert!((0..10).all(|_| ask() == first));
    }
    let gateway = fleet.gateway(&format!("{split}\nsticky = \"user\""));
    let mut all = BTreeMap::new();
    for user in 0..20 {
        let ask = || {
            let user = format!(",\"user\":\"user {user}\"");
            version(&gateway.ask(chat("llama", &user)))
        };
        let first = ask();
        assert!((0..3).all(|_| ask() == first));
        all.insert(first, ());
    }
    assert_eq!(all.len(), 2);
}

#[test]
fn a_field_leads_to_a_version_whatever_the_split_says() {
    let fleet = Fleet::start();
    let gateway = fleet.gateway(
        "[[route]]\nmodel = \"llama\"\nsplit = [{ version = \"1.2.0\" }]\n\
         match = [{ header = \"X-Canary\", value = \"yes\", version = \"2.0.0\" }, { header = \"x-beta\", version = \"^1\" }]",
    );
    for (fields, expected) in [
        ("", "1.2.0"),
        ("x-canary: yes\r\n", "2.0.0"),
        ("x-canary: no\r\n", "1.2.0"),
        ("X-BETA: anything\r\n", "1.3.0"),
        ("x-beta: 1\r\nx-canary: yes\r\n", "2.0.0"),
    ] {
        assert_eq!(asked(&gateway, "llama", fields), expected, "{fields}");
    }
    // Who names a version gets it.
    assert_eq!(asked(&gateway, "llama@1.3.0", "x-canary: yes\r\n"), "1.3.0");
    gateway.await_metric("ringway_versions_total", &[("why", "match")], 3);
    let page = gateway.page("/admin/explain?model=llama&header=x-canary:%20yes");
    assert!(page.text().contains("the field x-canary leads to llama@2.0.0"), "{}", page.text());
}

#[test]
fn the_guide_has_an_example_that_works() {
    let fleet = Fleet::start();
    let page = include_str!("../../src/GUIDE.md");
    let section = page.split_once("## Versions, splits and shadows").expect("a section").1;
    let block = section.split_once("```toml\n").expect("a block").1;
    let block = block.split_once("```").expect("it ends").0;
    let config = block
        .replace("http://10.0.0.21:8000", &fleet.0[0].url())
        .replace("http://10.0.0.22:8000", &fleet.0[1].url());
    let gateway = Setup::new(config).start();
    for (model, fields, expected) in [
        ("llama@stable", "", "1.2.0"),
        ("llama@canary", "", "1.3.0"),
        ("llama@^1.2", "", "1.3.0"),
        ("llama", "x-canary: yes\r\n", "1.3.0"),
    ] {
        assert_eq!(asked(&gateway, model, fields), expected);
    }
    asked(&gateway, "llama", "");
}

/// Whoever may have a model by its name may have what that leads to.
#[test]
fn a_tenant_may_have_all_versions_of_a_name() {
    let fleet = Fleet::start();
    let route = "[[route]]\nmodel = \"llama\"\nsplit = [{ version = \"1.3.0\" }]";
    for (models, status) in [("[\"llama\"]", 200), ("[\"llama@1.2.0\"]", 403)] {
        let gateway = fleet.gateway(&format!("{route}\n{}", acme(&format!("models = {models}"))));
        let answer = gateway.ask(bearing(ALICE, &chat("llama", "")));
        assert_eq!(answer.status(), status, "{models}");
    }
}

#[test]
fn versions_come_and_go() {
    let fleet = Fleet::start();
    let text = "[[upstream]]\nname = \"u\"\ndiscover = { file = \"endpoints.json\" }\n\n[[model]]\nname = \"wide\"\n\
                versions = \"discovered\"\nupstream = \"u\"\n\n[[route]]\nmodel = \"wide\"\n\
                split = [{ version = \"^1\", weight = 1 }]\n\
                match = [{ header = \"x-canary\", version = \"2.0.0\" }]";
    let gateway = Setup::new(text).start();
    let answer = gateway.ask(chat("wide", ""));
    assert_eq!((answer.status(), code(&answer)), (503, "overloaded".to_owned()));
    assert!(answer.field("retry-after").is_some());
    gateway.await_metric("ringway_refusals_total", &[("reason", "version_unavailable")], 1);
    let write = |versions: &[(&str, &Answering)]| {
        let all: Vec<String> = versions
            .iter()
            .map(|(version, server)| {
                format!("{{\"url\":\"{}\",\"version\":\"{version}\"}}", server.url())
            })
            .collect();
        let next = gateway.folder.join("next.json");
        fs::write(&next, format!("[{}]", all.join(","))).expect("a file");
        fs::rename(&next, gateway.folder.join("endpoints.json")).expect("a file");
    };
    let await_version = |model: &str, expected: &str| {
        await_true(&format!("{model} is {expected}"), || {
            let answer = gateway.ask(chat(model, ""));
            let found = answer.text().to_owned();
            if found.contains(expected) { Ok(()) } else { Err(found) }
        });
    };
    write(&[("1.2.0", &fleet.0[0]), ("2.0.0", &fleet.0[2])]);
    await_version("wide", "1.2.0");
    await_version("wide@^2", "2.0.0");
    write(&[("1.2.0", &fleet.0[0]), ("1.3.0", &fleet.0[1])]);
    await_version("wide", "1.3.0");
    await_version("wide@^2", "No version of the model `wide` fits `^2` now");
    let answer = gateway.ask(with_fields(&chat("wide", ""), "x-canary: 1\r\n"));
    assert_eq!(answer.status(), 503);
}

#[test]
fn a_route_that_leads_nowhere_is_refused() {
    let fleet = Fleet::start();
    let gateway = fleet.gateway("");
    let text = llama(
        &[("1.2.0", "http://127.0.0.1:1")],
        "[[route]]\nmodel = \"llama\"\nsplit = [{ version = \"^2\" }]",
    );
    gateway.write_config(&text);
    gateway.signal("HUP");
    gateway.await_log("no version of \"llama\" fits \"^2\"");
    assert_eq!(asked(&gateway, "llama@2.0.0", ""), "2.0.0");
}
