//! API keys: which are let in, what they open, and that they end here.

use super::*;

fn gateway(upstream: &Answering, tenants: &str) -> Gateway {
    Setup::new(world(&upstream.url(), tenants)).start()
}

#[test]
fn a_key_opens_in_each_of_its_three_fields() {
    let upstream = Answering::saying("{}");
    let gateway = gateway(&upstream, &acme(""));
    for field in [
        format!("Authorization: Bearer {ALICE}\r\n"),
        format!("authorization: bearer {ALICE}\r\n"),
        format!("x-api-key: {ALICE}\r\n"),
        format!("API-Key: {ALICE}\r\n"),
    ] {
        let answer = gateway.ask(with_fields(&chat("m", ""), &field));
        assert_eq!(answer.status(), 200, "{field}: {}", answer.text());
    }
    assert_eq!(upstream.asked().len(), 4);
}

#[test]
fn without_a_key_that_is_known_nobody_enters() {
    let upstream = Answering::saying("{}");
    let gateway = gateway(&upstream, &acme(""));
    for (field, reason) in [
        (String::new(), "credential_missing"),
        ("authorization: Bearer rw_nobody\r\n".to_owned(), "key_unknown"),
        ("authorization: Bearer \r\n".to_owned(), "credential_malformed"),
        (format!("authorization: Basic {ALICE}\r\n"), "credential_missing"),
        (format!("x-api-key: {ALICE} \r\nx-api-key: {BOB}\r\n"), "credentials_many"),
        (format!("authorization: Bearer {ALICE}\r\nx-api-key: {BOB}\r\n"), "credentials_many"),
        (format!("x-api-key: {}\r\n", "a".repeat(5000)), "credential_malformed"),
    ] {
        let before = gateway.metric("ringway_refusals_total", &[("reason", reason)]);
        let answer = gateway.ask(with_fields(&chat("m", ""), &field));
        assert!(matches!(answer.status(), 400 | 401), "{field}: {}", answer.text());
        let error = &answer.json()["error"];
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].as_str().is_some_and(|text| !text.contains("rw_")));
        if answer.status() == 401 {
            let challenge = answer.field("www-authenticate");
            assert!(challenge.is_some_and(|text| text.starts_with("Bearer")), "{challenge:?}");
        }
        gateway.await_metric("ringway_refusals_total", &[("reason", reason)], before + 1);
    }
    assert_eq!(upstream.asked(), []);
}

#[test]
fn a_refused_head_needs_no_body() {
    let upstream = Answering::saying("{}");
    let gateway = gateway(&upstream, &acme(""));
    let mut client = gateway.client();
    client.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n{");
    assert_eq!(client.message().status(), 401);
    client.must_close();
}

#[test]
fn the_list_of_models_wants_a_key_too_and_shows_what_it_opens() {
    let upstream = Answering::saying("{}");
    let gateway = gateway(&upstream, &(acme("models = [\"cheap\"]") + &zeta("")));
    assert_eq!(gateway.ask(get("/v1/models")).status(), 401);
    let names = |secret: &str| {
        let list = gateway.ask(bearing(secret, &get("/v1/models"))).json();
        let names = list["data"].as_array().expect("a list").iter();
        names.map(|model| model["id"].as_str().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(ALICE), ["cheap"]);
    assert_eq!(names(BOB), ["m", "cheap"]);
    assert_eq!(gateway.ask(bearing(ALICE, &get("/v1/models/m"))).status(), 404);
    assert_eq!(gateway.ask(bearing(ALICE, &get("/v1/models/cheap"))).status(), 200);
}

#[test]
fn models_that_are_not_allowed_are_refused() {
    let upstream = Answering::saying("{}");
    let key = format!(
        "[[tenant]]\nname = \"zeta\"\nkeys = [{{ id = \"bob\", sha256 = \"{}\", models = [\"cheap\"] }}]\n",
        digest(BOB)
    );
    let gateway = gateway(&upstream, &(acme("models = [\"m\"]") + &key));
    for (secret, model, status) in
        [(ALICE, "m", 200), (ALICE, "cheap", 403), (BOB, "m", 403), (BOB, "cheap", 200)]
    {
        let answer = gateway.ask(bearing(secret, &chat(model, "")));
        assert_eq!(answer.status(), status, "{secret} {model}: {}", answer.text());
        if status == 403 {
            assert_eq!(code(&answer), "model_not_allowed");
        }
    }
}

#[test]
fn expired_keys_are_refused_and_a_reload_revokes() {
    let upstream = Answering::saying("{}");
    let expired = format!(
        "[[tenant]]\nname = \"zeta\"\nkeys = [{{ id = \"bob\", sha256 = \"{}\", expires = 2020-01-01T00:00:00Z }}]\n",
        digest(BOB)
    );
    let gateway = gateway(&upstream, &(acme("") + &expired));
    let status = |secret: &str| gateway.ask(bearing(secret, &chat("m", ""))).status();
    assert_eq!((status(ALICE), status(BOB)), (200, 401));
    let mut kept = gateway.client();
    kept.send(bearing(ALICE, &chat("m", "")));
    assert_eq!(kept.message().status(), 200);
    gateway.reload(&world(&upstream.url(), &zeta("")));
    kept.send(bearing(ALICE, &chat("m", "")));
    assert_eq!(kept.message().status(), 401, "also on a connection that was let in before");
    assert_eq!((status(ALICE), status(BOB)), (401, 200));
}

#[test]
fn keys_of_a_file_are_taken_up_when_it_changes() {
    let upstream = Answering::saying("{}");
    let folder = tempfolder("keys");
    let line = |secret: &str| {
        format!("{{\"sha256\":\"{}\",\"tenant\":\"acme\",\"id\":\"{secret}\"}}\n", digest(secret))
    };
    std::fs::write(folder.join("a.jsonl"), line(BOB)).expect("a file");
    let keys = format!("[keys]\npath = \"{}\"\n\n[[tenant]]\nname = \"acme\"\n", folder.display());
    let gateway = gateway(&upstream, &keys);
    let status = |secret: &str| gateway.ask(bearing(secret, &chat("m", ""))).status();
    assert_eq!((status(ALICE), status(BOB)), (401, 200));
    std::fs::write(folder.join("b.jsonl"), line(ALICE)).expect("a file");
    await_true("the new file counts", || match status(ALICE) {
        200 => Ok(()),
        other => Err(format!("status {other}")),
    });
    std::fs::remove_file(folder.join("a.jsonl")).expect("a file");
    await_true("the old file does not", || match status(BOB) {
        401 => Ok(()),
        other => Err(format!("status {other}")),
    });
    std::fs::write(folder.join("c.jsonl"), "{\"sha256\":\"12\"}\n").expect("a file");
    gateway.await_log("c.jsonl:1");
    assert_eq!(status(ALICE), 200, "a wrong file changes nothing");
    std::fs::remove_dir_all(folder).ok();
}

fn tempfolder(name: &str) -> std::path::PathBuf {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn a_minted_key_is_let_in() {
    let minted = std::process::Command::new(gateway::BINARY)
        .args(["key", "new", "--id", "fresh"])
        .output()
        .expect("the binary runs");
    assert!(minted.status.success());
    let text = String::from_utf8(minted.stdout).expect("UTF-8");
    let secret = text.split_whitespace().find(|word| word.starts_with("rw_")).expect("a secret");
    let line = text.lines().find(|line| line.contains("sha256")).expect("a line of config");
    assert!(!line.contains(secret));
    let upstream = Answering::saying("{}");
    let tenant = format!(
        "[[tenant]]
name = \"acme\"
{line}
"
    );
    let gateway = gateway(&upstream, &tenant);
    assert_eq!(gateway.ask(bearing(secret, &chat("m", ""))).status(), 200);
}

#[test]
fn credentials_end_here_and_the_tenant_is_named_upstream() {
    let upstream = Answering::saying("{}");
    let gateway = gateway(&upstream, &acme(""));
    let smuggled = "X-Ringway-Tenant: admin\r\nx_ringway_tenant: admin\r\nx-ringway-key: root\r\n\
                    x-ringway-user: root\r\nconnection: x-ringway-tenant\r\n";
    let request = with_fields(&bearing(ALICE, &chat("m", "")), smuggled);
    assert_eq!(gateway.ask(request).status(), 200);
    let asked = upstream.asked().pop().expect("a request");
    assert_eq!(asked.field("authorization"), None);
    assert_eq!(asked.field("x-ringway-tenant"), Some("acme"));
    assert_eq!(asked.field("x-ringway-key"), Some("alice"));
    assert_eq!(asked.field("x-ringway-user"), None);
    assert_eq!(asked.field("x_ringway_tenant"), None);
}

#[test]
fn a_tenant_brings_its_own_credential_for_an_upstream() {
    let upstream = Answering::saying("{}");
    let text = world(
        &upstream.url(),
        &(acme("upstream_keys = { u = { env = \"ACME_AT_U\" } }") + &zeta("")),
    )
    .replace("dialect = \"openai\"", "dialect = \"openai\"\napi_key = { env = \"OURS_AT_U\" }");
    let gateway = Setup::new(text)
        .variable("ACME_AT_U", "sk-of-acme")
        .variable("OURS_AT_U", "sk-of-ours")
        .start();
    for (secret, credential) in [(ALICE, "Bearer sk-of-acme"), (BOB, "Bearer sk-of-ours")] {
        assert_eq!(gateway.ask(bearing(secret, &chat("m", ""))).status(), 200);
        let asked = upstream.asked().pop().expect("a request");
        assert_eq!(asked.field("authorization"), Some(credential));
    }
}

#[test]
fn what_happened_names_tenant_and_key() {
    let upstream = Answering::saying("{}");
    let text = format!("[access_log]\npath = \"stdout\"\n\n{}", world(&upstream.url(), &acme("")));
    let gateway = Setup::new(text).start();
    assert_eq!(gateway.ask(bearing(ALICE, &chat("m", ""))).status(), 200);
    gateway.await_log("\"tenant\":\"acme\"");
    gateway.await_log("\"key\":\"alice\"");
    assert!(!gateway.log().contains(ALICE), "secrets are in no log");
}

#[test]
fn a_flood_of_unknown_keys_is_counted_and_harms_nobody() {
    let upstream = Answering::saying("{}");
    let gateway = gateway(&upstream, &acme(""));
    let mut flood = gateway.client();
    for number in 0..500 {
        flood.send(bearing(&format!("rw_{number}"), &chat("m", "")));
        assert_eq!(flood.message().status(), 401);
    }
    assert_eq!(gateway.ask(bearing(ALICE, &chat("m", ""))).status(), 200);
    gateway.await_metric("ringway_refusals_total", &[("reason", "key_unknown")], 500);
}
