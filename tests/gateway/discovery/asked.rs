//! What a config with discovery would do, asked without a gateway.

use std::process::Command;

use super::*;
use crate::support::gateway::BINARY;

/// What is said, with the exit code before it.
fn run(found: &Found, config: &str, arguments: &[&str]) -> String {
    let path = found.0.join("ringway.toml");
    fs::write(&path, config).expect("a file");
    let path = path.to_str().expect("UTF-8");
    let run = [&[arguments[0], "--config", path], &arguments[1..]].concat();
    let output = Command::new(BINARY).args(&run).output().expect("the binary runs");
    let (out, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}{complaints}", output.status.code().expect("it ended by itself"))
}

fn config(found: &Found) -> String {
    let admin = fresh_ip();
    format!("[admin]\naddress = \"{admin}:9090\"\n\n{}", found.config(""))
}

#[test]
fn check_asks_sources() {
    let found = Found::with(&["http://127.0.0.1:1".to_owned(), "http://127.0.0.1:2".to_owned()]);
    let said = run(&found, &config(&found), &["check"]);
    assert!(said.starts_with("0\n"), "{said}");
    assert!(said.contains("1 model(s), 1 upstream(s), 2 endpoint(s)"), "{said}");
    found.write("[{\"ulr\": 1}]");
    let said = run(&found, &config(&found), &["check"]);
    assert!(said.starts_with("0\n"), "what a source says is not the config's fault: {said}");
    assert!(said.contains("warning: upstream \"u\": ") && said.contains("ulr"), "{said}");
}

/// What is found is no change of the config.
#[test]
fn check_compares_with_what_the_gateway_has_found() {
    let server = Answering::saying("1");
    let found = Found::with(&[server.url()]);
    let gateway = Setup::new(found.config("")).start();
    let (listen, admin) = (gateway.listen, gateway.admin);
    let same = format!(
        "[listen]\naddress = \"{listen}\"\n\n[admin]\naddress = \"{admin}\"\n\n{}",
        found.config("")
    );
    let said = run(&found, &same, &["check"]);
    assert!(said.contains("nothing would change"), "{said}");
}

#[test]
fn explain_shows_who_was_found_and_by_whom() {
    let found = Found::with(&["http://127.0.0.1:1".to_owned()]);
    let said = run(&found, &config(&found), &["explain", "--model", "m"]);
    assert!(said.starts_with("0\n") && said.contains("http://127.0.0.1:1"), "{said}");
    found.name(&[]);
    let said = run(&found, &config(&found), &["explain", "--model", "m"]);
    assert!(said.contains("it has no endpoint now: it would fail with 503"), "{said}");
}
