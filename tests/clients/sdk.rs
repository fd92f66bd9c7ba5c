//! SDKs and HTTP libraries: each script in `python/` and `node/` is a list of checks against the whole set of models.

use std::process::Command;

use crate::gateway::Gateway;
use crate::gateway::Mock;
use crate::gateway::here;
use crate::gateway::with_all_models;
use crate::needs::need;
use crate::process::Folder;
use crate::process::Server;
use crate::process::bounded;
use crate::process::succeed;

const PYTHON: &str = "target/clients-venv/bin/python";

/// Runs a script with the addresses in its environment.
fn check(command: &mut Command) {
    let folder = Folder::new();
    let mock = Mock::start(&folder);
    let gateway = with_all_models(&folder, &mock);
    let said = succeed(tell(command, &gateway, &mock));
    assert!(said.contains(" checks, 0 failed"), "{said}");
    assert_eq!(gateway.metric("ringway_bugs_total", ""), 0.0);
    gateway.stop();
}

fn tell<'c>(command: &'c mut Command, gateway: &Gateway, mock: &Mock) -> &'c mut Command {
    command
        .env("GATEWAY", format!("http://{}", gateway.address))
        .env("ADMIN", format!("http://{}", gateway.admin))
        .env("MOCK", format!("http://{}", mock.address))
        .env("PYTHONDONTWRITEBYTECODE", "1")
}

#[test]
fn openai_for_python() {
    let python = need!(PYTHON);
    check(bounded(110, python).arg(here().join("python/openai_sdk.py")));
}

#[test]
fn anthropic_for_python() {
    let python = need!(PYTHON);
    check(bounded(110, python).arg(here().join("python/anthropic_sdk.py")));
}

#[test]
fn httpx_and_requests_and_openais_schemas() {
    let python = need!(PYTHON);
    check(bounded(110, python).arg(here().join("python/http_clients.py")));
}

#[test]
fn openai_and_anthropic_for_node_and_event_source() {
    let (node, packages) = (need!("node"), need!("target/clients-node/stamp"));
    let packages = packages.parent().unwrap().to_owned();
    let mut command = bounded(110, node);
    check(command.arg(here().join("node/sdk.mjs")).env("NODE_PACKAGES", packages));
}

#[test]
fn a_model_server_killed_mid_stream_is_an_error_in_the_sdk() {
    let python = need!(PYTHON);
    let folder = Folder::new();
    let mut mock = Mock::start(&folder);
    let gateway = with_all_models(&folder, &mock);
    let mut reader = bounded(30, python);
    tell(reader.arg(here().join("python/killed.py")), &gateway, &mock);
    let mut reader = Server::start(&mut reader, &folder, "killed.py");
    assert_eq!(reader.line(), "streaming");
    mock.server.kill();
    assert_eq!(reader.line(), "failed as it must");
    assert_eq!(gateway.metric("ringway_faults_total", "upstream_truncated"), 1.0);
    gateway.stop();
}
