//! What was before, who has changed it, and the way back; and who may.

use std::fs;

use serde_json::Value;
use serde_json::json;

use crate::support::*;

fn asked(gateway: &Gateway, method: &str, path: &str, fields: &str) -> Message {
    let mut client = Connection::to(gateway.admin);
    client.send(format!("{method} {path} HTTP/1.1\r\nhost: gateway\r\n{fields}\r\n"));
    client.message()
}

fn history(gateway: &Gateway) -> Vec<Value> {
    let page = gateway.page("/admin/history");
    page.json()["history"].as_array().expect("a list").clone()
}

#[test]
fn an_earlier_file_is_gone_back_to() {
    let (first, second) = (Answering::saying("1"), Answering::saying("2"));
    let gateway = Setup::one(&first.url(), "").shards(2).start();
    let path = gateway.folder.join("ringway.toml");
    let before = fs::read_to_string(&path).expect("a file");
    gateway.reload(&one(&second.url(), ""));
    assert_eq!(gateway.ask(chat("m", "")).text(), "2");
    let answer = asked(&gateway, "POST", "/admin/rollback?to=1", "");
    assert_eq!((answer.status(), answer.field("etag")), (200, Some("\"3\"")), "{}", answer.text());
    assert_eq!(gateway.ask(chat("m", "")).text(), "1");
    assert_eq!(fs::read_to_string(&path).expect("a file"), before);
    let history = history(&gateway);
    let numbers: Vec<_> = history.iter().map(|of| of["number"].as_u64()).collect();
    assert_eq!(numbers, [Some(3), Some(2), Some(1)]);
    let cause = history[0]["cause"].as_str().expect("it is known");
    assert!(cause.contains("rolled back to snapshot 1") && cause.contains("127."), "{cause}");
    let changes = history[0]["changes"].to_string();
    assert!(changes.contains("removed") && changes.contains(&first.url()), "{changes}");
    assert!(history[1]["cause"].is_null());
    // The watch does not take it up once more, and there is nothing left to go back from.
    let again = asked(&gateway, "POST", "/admin/rollback?to=1", "");
    assert_eq!(again.status(), 409, "{}", again.text());
    assert!(again.text().contains("the file is as it was"), "{}", again.text());
    assert_eq!(gateway.metric("ringway_snapshot_number", &[]), 3);
}

#[test]
fn what_cannot_be_gone_back_to_changes_nothing() {
    let upstream = Answering::saying("1");
    let secret = "[[upstream]]\nname = \"v\"\nendpoints = [{ url = \"http://127.0.0.1:9\" }]\n\
                  api_key = { file = \"key\" }\n[[model]]\nname = \"n\"\nupstream = \"v\"\n";
    let gateway = Setup::one(&upstream.url(), "").start();
    fs::write(gateway.folder.join("key"), "secret-of-old").expect("a file");
    let plain = one(&upstream.url(), "");
    gateway.reload(&format!("{plain}\n{secret}"));
    gateway.reload(&plain);
    let path = gateway.folder.join("ringway.toml");
    let now = fs::read_to_string(&path).expect("a file");
    fs::remove_file(gateway.folder.join("key")).expect("it was there");
    for (request, status, said) in [
        ("/admin/rollback?to=2", 409, "key"),
        ("/admin/rollback?to=99", 404, "not remembered"),
        ("/admin/rollback", 400, "?to=NUMBER"),
    ] {
        let answer = asked(&gateway, "POST", request, "");
        assert_eq!(answer.status(), status, "{request}: {}", answer.text());
        assert!(answer.text().contains(said), "{request}: {}", answer.text());
    }
    let stale = asked(&gateway, "POST", "/admin/rollback?to=2", "if-match: \"1\"\r\n");
    assert_eq!(stale.status(), 412, "{}", stale.text());
    let wrong = asked(&gateway, "GET", "/admin/rollback?to=2", "");
    assert_eq!((wrong.status(), wrong.field("allow")), (405, Some("POST")));
    assert_eq!(fs::read_to_string(&path).expect("a file"), now);
    assert_eq!(gateway.ask(chat("m", "")).text(), "1");
    assert_eq!(gateway.metric("ringway_config_last_reload_successful", &[]), 1);
}

#[test]
fn sixteen_are_remembered() {
    let upstream = Answering::saying("1");
    let gateway = Setup::one(&upstream.url(), "").start();
    for turn in 0..17 {
        gateway.reload(&one(&upstream.url(), &format!("max_in_flight = {}", 10 + turn)));
    }
    let history = history(&gateway);
    assert_eq!((history.len(), &history[15]["number"]), (16, &json!(3)));
    assert_eq!(asked(&gateway, "POST", "/admin/rollback?to=2", "").status(), 404);
    assert_eq!(asked(&gateway, "POST", "/admin/rollback?to=3", "").status(), 200);
}

/// On loopback everybody may look; where there is a token, who changes something shows it.
#[test]
fn changes_need_the_token_where_there_is_one() {
    let upstream = Answering::saying("1");
    let text = one(&upstream.url(), "");
    let gateway = Setup::new(format!("token = {{ env = \"ADMIN_TOKEN\" }}\n{text}"))
        .variable("ADMIN_TOKEN", "open-sesame-0123456789")
        .start();
    assert_eq!(gateway.page("/admin/snapshot").status(), 200);
    for fields in ["", "authorization: Bearer open-sesame\r\n"] {
        let refused = asked(&gateway, "DELETE", "/admin/models/m", fields);
        assert_eq!(refused.status(), 401, "{}", refused.text());
        assert!(refused.field("www-authenticate").is_some_and(|how| how.starts_with("Bearer")));
    }
    let right = "authorization: Bearer open-sesame-0123456789\r\n";
    let answer = asked(&gateway, "DELETE", "/admin/models/nobody", right);
    assert_eq!(answer.status(), 404, "{}", answer.text());
    gateway.await_log("refused by the admin API");
    for expected in ["with the admin token", "DELETE /admin/models/nobody", "404"] {
        assert!(gateway.log().contains(expected), "{expected}: {}", gateway.log());
    }
    let counted = |result| gateway.metric("ringway_admin_requests_total", &[("result", result)]);
    assert_eq!(["changed", "refused", "denied"].map(counted), [0, 1, 2]);
    for page in ["/admin/snapshot", "/admin/history", "/metrics"] {
        assert!(!gateway.page(page).text().contains("open-sesame"), "{page}");
    }
}

#[test]
fn it_is_said_how_it_goes_with_sources() {
    let upstream = Answering::saying("1");
    let text = "[[upstream]]\nname = \"u\"\ndiscover = [{ file = \"a.json\" }, { file = \"b.json\" }]\n\
                [[model]]\nname = \"m\"\nupstream = \"u\"\n";
    let gateway = Setup::new(text).start();
    let found = format!("[{{\"url\": \"{}\"}}]", upstream.url());
    fs::write(gateway.folder.join("a.json"), found).expect("a file");
    gateway.await_metric("ringway_snapshot_adopted", &[], 2);
    let page = gateway.page("/admin/sources").json();
    let sources = page["sources"].as_array().expect("a list");
    let of = |name: &str| {
        let is_it =
            |of: &&Value| of["source"].as_str().is_some_and(|source| source.ends_with(name));
        sources.iter().find(is_it).expect("it is listed")
    };
    assert_eq!((&of("a.json")["is_up"], &of("a.json")["endpoints"]), (&json!(true), &json!(1)));
    assert_eq!(of("b.json")["is_up"], false);
    let why = of("b.json")["trouble"].as_str().expect("why");
    assert!(why.contains("b.json does not exist"), "{why}");
    let described = gateway.page("/admin/openapi.json").json();
    assert_eq!(described["openapi"], "3.1.0");
    assert!(described["paths"]["/admin/sources"].is_object());
}
