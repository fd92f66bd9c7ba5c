//! curl: what the demo prints, and every way of talking HTTP that it has.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpListener;
use std::process::Command;
use std::process::Stdio;

use crate::gateway::Gateway;
use crate::gateway::Mock;
use crate::gateway::until;
use crate::needs::need;
use crate::process::Folder;
use crate::process::bounded;
use crate::process::run;
use crate::process::succeed;
use crate::process::text;

const ASK: &str = r#"{"model":"demo","messages":[{"role":"user","content":"hello"}]}"#;
const STREAM: &str =
    r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;
const JSON: &str = "content-type: application/json";

struct World {
    mock: Mock,
    gateway: Gateway,
    folder: Folder,
}

fn world() -> World {
    let folder = Folder::new();
    let mock = Mock::start(&folder);
    let gateway = Gateway::before(&folder, &format!("http://{}", mock.address), "");
    World { mock, gateway, folder }
}

impl World {
    /// curl, asking for a chat completion.
    fn chat(&self) -> Command {
        let mut curl = curl();
        curl.args(["-H", JSON]).arg(self.gateway.url("/v1/chat/completions"));
        curl
    }
}

fn curl() -> Command {
    let mut curl = bounded(30, "curl");
    curl.args(["-sS", "--noproxy", "*"]);
    curl
}

#[test]
fn the_two_lines_that_the_demo_prints_work_as_they_are() {
    need!("curl");
    // The demo has fixed ports: if somebody else runs it, that is no failure of ours.
    let taken = ["127.0.0.1:8080", "127.0.0.1:9090"].map(TcpListener::bind);
    if taken.iter().any(Result::is_err) && std::env::var_os("CI").is_none() {
        return skip("ports 8080 and 9090 are taken");
    }
    drop(taken);
    let folder = Folder::new();
    let (gateway, lines) = Gateway::demo(&folder);
    let typed: Vec<&String> = lines.iter().filter(|line| line.starts_with("curl ")).collect();
    let [plain, stream] = typed.as_slice() else { panic!("two lines are to be typed: {lines:?}") };
    let said = succeed(bounded(20, "sh").args(["-c", plain]));
    assert!(said.contains("\"content\":\"Hello! I am the demo model"), "{said}");
    let said = succeed(bounded(20, "sh").args(["-c", stream]));
    assert!(said.starts_with("data: {") && said.ends_with("data: [DONE]\n\n"), "{said}");
    let page = succeed(curl().arg(format!("http://{}/readyz", gateway.admin)));
    assert_eq!(page, "ok\n");
    gateway.stop();
}

#[expect(clippy::print_stderr, reason = "a skipped test must not look like one that passed")]
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

#[test]
fn http_1_0_and_0_9() {
    need!("curl");
    let world = world();
    let said = succeed(world.chat().args(["-0", "-i", "-d", ASK]));
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.contains("Hello!"), "{said}");
    // A client of HTTP/1.0 knows no chunks: the end of the connection is the end of the stream.
    let said = succeed(world.chat().args(["-0", "-i", "-d", STREAM]));
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert!(body.starts_with("data: {") && body.ends_with("data: [DONE]\n\n"), "{body}");
    // HTTP/0.9 is refused: what comes back has a head.
    let mut old = bounded(10, "sh");
    let port = world.gateway.address.port();
    old.args(["-c", &format!(r"printf 'GET /v1/models\r\n' | curl -sS telnet://127.0.0.1:{port}")]);
    assert!(text(&run(&mut old).stdout).starts_with("HTTP/1.1 400 "));
    let said = succeed(curl().args(["--http0.9", "-i"]).arg(world.gateway.url("/v1/models")));
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
}

#[test]
fn http_2_and_proxies() {
    need!("curl");
    let world = world();
    let models = world.gateway.url("/v1/models");
    // An upgrade that we do not know is passed over (RFC 9110 section 7.8).
    let said = succeed(curl().args(["--http2", "-i", &models]));
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    // HTTP/2 without asking is refused at once, not left to wait.
    let output = run(curl().args(["--http2-prior-knowledge", "-m", "8", &models]));
    let code = output.status.code().unwrap();
    assert!(code != 0 && code != 28, "{code}: {}", text(&output.stderr));
    // Asked as a proxy for itself, with the whole address in the request line.
    let proxy = format!("http://{}", world.gateway.address);
    let said = succeed(bounded(20, "curl").args(["-sS", "-x", &proxy, &models]));
    assert!(said.contains("\"object\":\"list\""), "{said}");
    // It is no proxy for others, and no tunnel.
    let output = run(bounded(20, "curl").args(["-sSp", "-x", &proxy, &models]));
    assert!(!output.status.success(), "{}", text(&output.stdout));
}

#[test]
fn uploads_chunked_and_after_100_continue() {
    need!("curl");
    let world = world();
    let pad = "x".repeat(3_000_000);
    let long = format!(r#"{{"model":"demo","pad":"{pad}","messages":[]}}"#);
    let file = world.folder.write("long.json", &long);
    let file = file.to_str().unwrap();
    // -T - sends chunks as they come from a pipe.
    let mut piped = bounded(30, "sh");
    let url = world.gateway.url("/v1/chat/completions");
    piped.args(["-c", &format!("cat {file} | curl -sS -X POST -T - -H '{JSON}' {url}")]);
    let said = succeed(&mut piped);
    assert!(said.contains("chat.completion"), "{said}");
    // A large body waits for 100 Continue; it must come at once, not after curl's patience of a second.
    let output = run(world.chat().args(["-v", "-H", "expect: 100-continue"]).args([
        "--expect100-timeout",
        "25",
        "--data-binary",
        &format!("@{file}"),
    ]));
    let log = text(&output.stderr);
    assert!(output.status.success() && log.contains("< HTTP/1.1 100 Continue"), "{log}");
    // Where the path leads nowhere the body is never asked for.
    let output = run(curl()
        .args(["-v", "-H", "expect: 100-continue", "--expect100-timeout", "25"])
        .args(["--data-binary", &format!("@{file}")])
        .arg(world.gateway.url("/v1/nothing")));
    let log = text(&output.stderr);
    assert!(log.contains("< HTTP/1.1 404 ") && !log.contains("100 Continue"), "{log}");
}

#[test]
fn head_and_keep_alive() {
    need!("curl");
    let world = world();
    let models = world.gateway.url("/v1/models");
    let whole = succeed(curl().arg(&models));
    let head = succeed(curl().args(["-I", &models])).to_lowercase();
    assert!(head.contains(&format!("content-length: {}\r\n", whole.len())), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    // Several requests, also refused ones and streams, on one connection.
    let chat = world.gateway.url("/v1/chat/completions");
    let one =
        |body| ["-H", JSON, "-d", body, "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n"];
    let mut curl = curl();
    for body in [ASK, STREAM, "{", ASK] {
        if body != ASK || curl.get_args().any(|argument| argument == "--next") {
            curl.args(["--next", "-sS"]);
        }
        curl.args(one(body)).arg(&chat);
        curl.args([
            "--next",
            "-sS",
            "-I",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{num_connects}\n",
        ]);
        curl.arg(&models);
    }
    let said = succeed(&mut curl);
    let expected = "200 1\n200 0\n200 0\n200 0\n400 0\n200 0\n200 0\n200 0\n";
    assert_eq!(said, expected, "status and new connections");
}

#[test]
fn a_killed_curl_cancels_its_stream() {
    need!("curl");
    let world = world();
    let mut curl = world.chat();
    curl.args(["-N", "-d", STREAM, "-H", "x-mock-events: 1000000", "-H", "x-mock-gap-ms: 5"]);
    let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("data: {"));
    assert_eq!(world.mock.count("streams_open"), 1);
    curl.kill().unwrap();
    curl.wait().unwrap();
    world.mock.until("cancelled", 1);
    world.mock.until("streams_open", 0);
    until("the gateway counts it", || {
        world.gateway.metric("ringway_requests_cancelled_total", "") == 1.0
    });
    until("no connection stays", || world.gateway.metric("ringway_streams_open", "") == 0.0);
}

#[test]
fn what_a_client_does_to_its_request_is_its_own_affair() {
    need!("curl");
    let world = world();
    // Many at once over few connections; slow readers and large answers.
    let said = succeed(world.chat().args(["-d", STREAM, "-H", "x-mock-bytes: 60000"]).args([
        "-H",
        "x-mock-events: 100",
        "-H",
        "x-mock-gap-ms: 0",
        "--limit-rate",
        "4M",
    ]));
    assert!(said.ends_with("data: [DONE]\n\n") && said.len() >= 6_000_000, "{}", said.len());
    let urls = world.gateway.url("/v1/models?[1-40]");
    let said = succeed(curl().args(["-Z", "--parallel-max", "20", &urls]));
    assert_eq!(said.matches("\"object\":\"list\"").count(), 40);
    // Half a request, then nothing: closed after the head timeout elsewhere; here the client just leaves.
    let mut half = std::net::TcpStream::connect(world.gateway.address).unwrap();
    half.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-le").unwrap();
    drop(half);
    let said = succeed(world.chat().args(["-d", ASK]));
    assert!(said.contains("Hello!"), "{said}");
}
