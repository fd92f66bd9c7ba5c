//! What is typed, and what is said to it.

use std::net::TcpListener;
use std::process::Command;
use std::process::Output;

use crate::support::gateway::BINARY;
use crate::support::gateway::fresh_folder;
use crate::support::gateway::fresh_ip;
use crate::support::*;

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().expect("the binary runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Checks a config of this text; the file is gone afterwards.
fn check(text: &str) -> (i32, String) {
    let folder = fresh_folder(fresh_ip());
    let path = folder.join("ringway.toml");
    std::fs::write(&path, text).expect("a file");
    let output = run(&["check", "--config", path.to_str().expect("UTF-8")]);
    std::fs::remove_dir_all(folder).ok();
    (code(&output), out(&output) + &err(&output))
}

#[test]
fn help_fits_on_a_screen() {
    let output = run(&["--help"]);
    assert_eq!(code(&output), 0);
    let text = out(&output);
    assert!(text.lines().count() <= 30 && text.lines().all(|line| line.len() <= 120), "{text}");
    for word in ["serve", "check", "explain", "key new", "mock", "--config"] {
        assert!(text.contains(word), "{word}");
    }
    let output = run(&["--version"]);
    assert_eq!((code(&output), out(&output).starts_with("ringway ")), (0, true));
}

#[test]
fn what_cannot_be_typed_is_said_with_64() {
    for (arguments, said) in [
        (&["sevre"][..], "serve"),
        (&["check"], "--config"),
        (&["serve", "--port", "1"], "--config"),
        (&["mock", "--listen", "here"], "ADDRESS:PORT"),
        (&["serve", "--config"], "--config"),
    ] {
        let output = run(arguments);
        assert_eq!(code(&output), 64, "{arguments:?}");
        assert!(err(&output).contains(said), "{arguments:?}: {}", err(&output));
        assert_eq!(err(&output).lines().count(), 1, "{}", err(&output));
    }
}

#[test]
fn a_good_config_is_good() {
    let (code, said) = check(&one("http://127.0.0.1:1", ""));
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_typo_is_found_and_what_was_meant_is_said() {
    let good = one("http://127.0.0.1:1", "");
    for (typo, expected) in [
        (good.replace("upstream = \"u\"", "upstream = \"uu\""), "no upstream is called \"uu\""),
        (good.replace("upstream = \"u\"", "upstraem = \"u\""), "did you mean \"upstream\""),
        (good.replace("[[model]]", "[[modle]]"), "did you mean \"model\""),
        (good.replace("\"openai\"", "\"opnai\""), "openai"),
        (good.replace("http://", "htp://"), "http"),
        (good.replace("name = \"m\"", "name = 5"), "name"),
        (good.replace("[[model]]", "[[model]"), ""),
    ] {
        assert_ne!(typo, good);
        let (code, said) = check(&typo);
        assert_eq!(code, 78, "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(said.contains("ringway.toml:"), "it says where: {said}");
    }
}

#[test]
fn so_many_errors_are_said_and_no_more() {
    let wrong: String = (0..1000).map(|_| "[[tenant]]\nnmae = \"t\"\n").collect();
    let (code, said) = check(&(one("http://127.0.0.1:1", "") + &wrong));
    assert_eq!(code, 78);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 101, "{said}");
    assert!(lines[100].ends_with("more such errors"), "{}", lines[100]);
}

#[test]
fn serve_refuses_a_wrong_config_in_the_same_words() {
    let wrong = one("http://127.0.0.1:1", "").replace("upstream = \"u\"", "upstream = \"uu\"");
    let mut gateway = Gateway::begin(&Setup::new(wrong));
    assert_eq!(gateway.await_end().code(), Some(78));
    gateway.await_log("no upstream is called \"uu\"");
    let output = run(&["serve", "--config", "/nothing/here.toml"]);
    assert_eq!(code(&output), 78, "{}", err(&output));
    assert!(err(&output).contains("/nothing/here.toml"), "{}", err(&output));
}

#[test]
fn explain_answers_without_a_gateway() {
    let output = run(&["explain", "--model", "demo"]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(out(&output).contains("relayed"), "{}", out(&output));
    let output = run(&["explain", "--model", "none", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&json["outcome"], &json["status"]), (&"refused".into(), &404.into()));
}

/// What is printed is let in by what is printed with it, and differs each time.
#[test]
fn a_key_is_made() {
    let toml =
        run(&["key", "new", "--tenant", "acme", "--id", "laptop", "--expires", "2027-01-01"]);
    let jsonl = run(&["key", "new", "--tenant", "acme", "--format", "jsonl"]);
    assert_eq!((code(&toml), code(&jsonl)), (0, 0), "{}{}", err(&toml), err(&jsonl));
    let (toml, jsonl) = (out(&toml), out(&jsonl));
    let secret = |text: &str| text.lines().next().expect("a line").to_owned();
    for text in [&toml, &jsonl] {
        let secret = secret(text);
        assert!(secret.starts_with("rw_") && secret.len() == 52, "{text}");
        assert_eq!((text.lines().count(), text.matches(&secret).count()), (2, 1), "{text}");
    }
    assert_ne!(secret(&toml), secret(&jsonl));
    let line = toml.lines().nth(1).expect("two lines");
    let tenant = format!("{}[[tenant]]\nname = \"acme\"\n{line}\n", one("http://127.0.0.1:1", ""));
    let (code_of_check, said) = check(&tenant);
    assert_eq!(code_of_check, 0, "{said}");
    let output = run(&["key", "new", "--format", "jsonl"]);
    assert_eq!((code(&output), out(&output).as_str()), (64, ""));
    assert!(err(&output).contains("--tenant"), "{}", err(&output));
}

#[test]
fn explain_says_who_may_enter_and_never_shows_a_key() {
    let made = out(&run(&["key", "new", "--id", "laptop"]));
    let (secret, line) = made.trim_end().split_once('\n').expect("two lines");
    let folder = fresh_folder(fresh_ip());
    let path = folder.join("ringway.toml");
    let tenant = format!("{}[[tenant]]\nname = \"acme\"\n{line}\n", one("http://127.0.0.1:1", ""));
    std::fs::write(&path, tenant).expect("a file");
    let path = path.to_str().expect("UTF-8");
    let explain = |more: &[&str]| {
        let output = run(&[&["explain", "--config", path, "--model", "m"], more].concat());
        assert_eq!(code(&output), 0, "{}", err(&output));
        assert!(!out(&output).contains(secret) && !err(&output).contains(secret));
        out(&output)
    };
    let let_in = explain(&["--header", &format!("authorization: Bearer {secret}")]);
    assert!(let_in.contains("relayed") && let_in.contains("with the key laptop"), "{let_in}");
    let refused = explain(&["--header", &format!("x-api-key: {secret}x"), "--json"]);
    let json: serde_json::Value = serde_json::from_str(&refused).expect("JSON");
    assert_eq!((&json["outcome"], &json["status"]), (&"refused".into(), &401.into()));
    assert_eq!(json["code"], "invalid_api_key");
    let typed = run(&["explain", "--config", path, "--header", "x-api-key:", secret]);
    assert_eq!(code(&typed), 64, "the quotes were forgotten: {}", out(&typed));
    assert!(!err(&typed).contains(secret) && err(&typed).contains("--header"), "{}", err(&typed));
    let assumed = explain(&["--tenant", "acme", "--address", "192.0.2.1"]);
    assert!(assumed.contains("relayed") && assumed.contains("as if a credential"), "{assumed}");
    std::fs::remove_dir_all(folder).ok();
}

#[test]
fn a_port_that_is_taken_is_named() {
    let ip = fresh_ip();
    let folder = fresh_folder(ip);
    let path = folder.join("ringway.toml");
    for (taken, word) in [(8080, "listen on"), (9090, "admin address")] {
        let _taken = TcpListener::bind((ip, taken)).expect("an address");
        let text = format!(
            "[listen]\naddress = \"{ip}:8080\"\n[admin]\naddress = \"{ip}:9090\"\n{}",
            one("http://127.0.0.1:1", "")
        );
        std::fs::write(&path, text).expect("a file");
        let output = run(&["serve", "--config", path.to_str().expect("UTF-8")]);
        assert_eq!(code(&output), 71, "{}", err(&output));
        let said = err(&output);
        assert!(said.contains(word) && said.contains(&format!("{ip}:{taken}")), "{said}");
    }
    std::fs::remove_dir_all(folder).ok();
}

/// What a newcomer types first. The ports are fixed, so this is the one test that needs them free.
#[test]
fn without_a_config_there_is_a_demo() {
    let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    if !(free(8080) && free(9090)) {
        return;
    }
    let mut gateway = Gateway::demo();
    let answer = gateway.ask(chat("demo", ""));
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json()["object"], "chat.completion");
    let answer = gateway.ask(chat("demo", ",\"stream\":true"));
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    gateway.await_log("curl -N http://127.0.0.1:8080/v1/chat/completions");
    gateway.await_log("127.0.0.1:9090");
    gateway.signal("TERM");
    assert_eq!(gateway.await_end().code(), Some(0));
}

#[test]
fn the_mock_serves_alone() {
    let ip = fresh_ip();
    let mut mock = Command::new(BINARY)
        .args(["mock", "--listen", &format!("{ip}:8081")])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the binary runs");
    let address = (ip, 8081).into();
    await_true("it listens", || {
        std::net::TcpStream::connect(address).map(drop).map_err(|error| error.to_string())
    });
    let gateway = Setup::one(&format!("http://{address}"), "").start();
    assert_eq!(gateway.ask(chat("m", "")).status(), 200);
    // A client that leaves in the middle of a stream: the mock must see it.
    let request = chat("m", ",\"stream\":true")
        .replace("host:", "x-mock-events: 100000\r\nx-mock-gap-ms: 20\r\nhost:");
    let mut client = gateway.client();
    client.send(request);
    client.head();
    client.chunk();
    drop(client);
    await_true("the mock has seen the cancel", || {
        let mut stats = Connection::to(address);
        stats.send(get("/mock/stats"));
        let stats = stats.message();
        if stats.json()["cancelled"] == 1 { Ok(()) } else { Err(stats.text().to_owned()) }
    });
    mock.kill().ok();
    mock.wait().ok();
}

/// What a config finds by itself is looked for; what cannot be asked is believed to be as the running gateway knows it.
#[test]
fn check_asks_where_endpoints_are() {
    let upstream = Answering::saying("1");
    let text = "[[upstream]]\nname = \"u\"\ndiscover = { file = \"found.json\" }\n\
                [[model]]\nname = \"m\"\nupstream = \"u\"\n";
    let gateway = Setup::new(text).start();
    let check_file = |name: &str| {
        let config = gateway.folder.join(name);
        let output = run(&["check", "--config", config.to_str().expect("UTF-8")]);
        assert_eq!(code(&output), 0, "{}", err(&output));
        out(&output)
    };
    let check = || check_file("ringway.toml");
    let said = check();
    assert!(said.contains("found.json cannot be asked: "), "{said}");
    assert!(said.contains("0 endpoint(s)") && said.contains("nothing would change"), "{said}");
    let found =
        format!("[{{\"url\": \"{}\", \"version\": \"2\", \"capacity\": 5}}]", upstream.url());
    std::fs::write(gateway.folder.join("found.json"), &found).expect("a file");
    gateway.await_metric("ringway_snapshot_adopted", &[], 2);
    assert_eq!(gateway.ask(chat("m", "")).text(), "1");
    let said = check();
    assert!(said.contains("1 endpoint(s)") && said.contains("nothing would change"), "{said}");
    std::fs::write(gateway.folder.join("found.json"), "{}").expect("a file");
    let said = check();
    assert!(said.contains("cannot be asked") && said.contains("nothing would change"), "{said}");
    assert_eq!(gateway.ask(chat("m", "")).text(), "1");
    // Gone from the config is gone all the same.
    let config = gateway.folder.join("ringway.toml");
    let config = std::fs::read_to_string(config).expect("it is there");
    let listed = format!("endpoints = [{{ url = \"{}\" }}]", upstream.url());
    let config = config.replace("discover = { file = \"found.json\" }", &listed);
    std::fs::write(gateway.folder.join("other.toml"), config).expect("a file");
    let said = check_file("other.toml");
    assert!(said.contains("would change") && said.contains("version 2 -> none"), "{said}");
}
