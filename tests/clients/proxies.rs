//! nginx and HAProxy in front of the gateway, and behind it as its upstream.

use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use crate::gateway::Gateway;
use crate::gateway::Mock;
use crate::load::Load;
use crate::needs::need;
use crate::process::Folder;
use crate::process::Server;
use crate::process::bounded;
use crate::process::command;
use crate::process::free_address;
use crate::process::succeed;

/// A proxy at `listen` that passes everything on to `to`.
type Proxy = fn(&Path, &Folder, listen: SocketAddr, to: SocketAddr) -> Server;

/// Starts nginx with these `server` and `upstream` blocks.
pub(crate) fn nginx_with(
    program: &Path,
    folder: &Folder,
    blocks: &str,
    listen: SocketAddr,
) -> Server {
    let here = folder.as_str();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("  {kind}_temp_path {here}/{kind};\n"))
        .collect();
    let config = folder.write(
        "nginx.conf",
        &format!(
            "daemon off; master_process off; pid {here}/nginx.pid; error_log stderr warn;\n\
             events {{ worker_connections 1000; }}\n\
             http {{\n  access_log off;\n  client_max_body_size 64m;\n{temporary}{blocks}}}\n"
        ),
    );
    let mut nginx = command(program);
    nginx.args(["-e", "stderr", "-p", here, "-c"]).arg(config);
    let mut nginx = Server::start(&mut nginx, folder, "nginx");
    nginx.until_listening(listen);
    nginx
}

/// An nginx at `listen` that passes everything on to `to`, with these settings.
fn nginx_to(
    program: &Path,
    folder: &Folder,
    listen: SocketAddr,
    to: SocketAddr,
    settings: &str,
) -> Server {
    let blocks = format!(
        "  upstream there {{ server {to} max_fails=0; keepalive 16; }}\n\
         server {{ listen {listen} reuseport; {settings} location / {{ proxy_pass http://there;\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}\n"
    );
    nginx_with(program, folder, &blocks, listen)
}

/// nginx as people have it: buffering is on, and our responses say that they want none.
fn nginx(program: &Path, folder: &Folder, listen: SocketAddr, to: SocketAddr) -> Server {
    nginx_to(program, folder, listen, to, "")
}

/// nginx before something that does not say that it wants no buffering.
fn nginx_unbuffered(program: &Path, folder: &Folder, listen: SocketAddr, to: SocketAddr) -> Server {
    nginx_to(program, folder, listen, to, "proxy_buffering off;")
}

fn haproxy(program: &Path, folder: &Folder, listen: SocketAddr, to: SocketAddr) -> Server {
    let config = folder.write(
        "haproxy.cfg",
        &format!(
            "global\n  maxconn 1000\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 30s\n  timeout server 30s\n\
             frontend in\n  bind {listen}\n  default_backend out\nbackend out\n  http-reuse always\n  server there {to}\n"
        ),
    );
    let mut haproxy = command(program);
    haproxy.arg("-db").arg("-f").arg(config);
    let mut haproxy = Server::start(&mut haproxy, folder, "haproxy");
    haproxy.until_listening(listen);
    haproxy
}

#[test]
fn nginx_in_front() {
    in_front(&need!("nginx"), nginx);
}

#[test]
fn haproxy_in_front() {
    in_front(&need!("haproxy"), haproxy);
}

#[test]
fn nginx_as_upstream() {
    as_upstream(&need!("nginx"), nginx_unbuffered);
}

#[test]
fn haproxy_as_upstream() {
    as_upstream(&need!("haproxy"), haproxy);
}

/// A server that ends its connections all the time, in order and out of order: nobody may notice.
#[test]
fn an_upstream_that_closes_its_connections_early_is_never_noticed() {
    let program = need!("nginx");
    for settings in ["keepalive_requests 3;", "keepalive_timeout 5ms;", "keepalive_timeout 0;"] {
        let folder = Folder::new();
        let mock = Mock::start(&folder);
        let address = free_address();
        let _server = nginx_to(&program, &folder, address, mock.address, settings);
        let gateway = Gateway::before(&folder, &format!("http://{address}"), "");
        let load = Load::start(gateway.address);
        load.until_ok(500, Instant::now());
        for sample in load.stop() {
            assert!(sample.is_ok(), "{settings} {sample:?}");
        }
        gateway.stop();
    }
}

/// What a server compresses goes through compressed; events are never asked for so, since they are counted.
#[test]
fn an_upstream_that_compresses() {
    let program = need!("nginx");
    need!("curl");
    let folder = Folder::new();
    let mock = Mock::start(&folder);
    let address = free_address();
    let gzip = "proxy_buffering off; gzip on; gzip_min_length 1; gzip_proxied any; gzip_types application/json text/event-stream;";
    let _server = nginx_to(&program, &folder, address, mock.address, gzip);
    let gateway = Gateway::before(&folder, &format!("http://{address}"), "");
    let ask = |body: &str| {
        let mut curl = bounded(20, "curl");
        curl.args(["-sSi", "--compressed", "-H", "content-type: application/json", "-d", body]);
        succeed(curl.arg(gateway.url("/v1/chat/completions")))
    };
    let said = ask(r#"{"model":"demo","messages":[]}"#).to_lowercase();
    assert!(said.contains("content-encoding: gzip\r\n") && said.contains("hello!"), "{said}");
    let said = ask(r#"{"model":"demo","stream":true}"#);
    assert!(!said.to_lowercase().contains("content-encoding"), "{said}");
    assert!(said.ends_with("data: [DONE]\n\n"), "{said}");
    assert!(gateway.metric("ringway_stream_events_total", "") > 20.0);
    gateway.stop();
}

#[test]
fn nginx_as_one_of_three_endpoints_killed_and_restarted() {
    one_of_three(&need!("nginx"), nginx_unbuffered);
}

#[test]
fn haproxy_as_one_of_three_endpoints_killed_and_restarted() {
    one_of_three(&need!("haproxy"), haproxy);
}

/// A server among three that dies under load and comes back, again and again: no client notices.
fn one_of_three(program: &Path, proxy: Proxy) {
    let folder = Folder::new();
    let mock = Mock::start(&folder);
    let addresses = [free_address(), free_address(), free_address()];
    let folders = ["a", "b", "c"].map(|name| folder.within(name));
    let start = |place: usize| proxy(program, &folders[place], addresses[place], mock.address);
    let mut servers = [start(0), start(1), start(2)];
    let endpoints = addresses.map(|address| format!("{{ url = \"http://{address}\" }}"));
    let gateway = Gateway::before_these(&folder, &endpoints.join(", "), "", "retry = true");
    let load = Load::start(gateway.address);
    load.until_ok(100, Instant::now());
    for place in [0, 1, 0, 2] {
        servers[place].kill();
        load.until_ok(200, Instant::now());
        servers[place] = start(place);
        load.until_ok(200, Instant::now());
    }
    for sample in load.stop() {
        assert!(sample.is_ok(), "two of three were always there: {sample:?}");
    }
    let repeated = gateway.metric("ringway_retries_total", "");
    assert!(repeated >= 3.0, "{repeated}: their deaths were met");
    gateway.stop();
}

fn in_front(program: &Path, proxy: Proxy) {
    need!("curl");
    let folder = Folder::new();
    let mock = Mock::start(&folder);
    let mut gateway = Gateway::before(&folder, &format!("http://{}", mock.address), "");
    let address = free_address();
    let _proxy = proxy(program, &folder, address, gateway.address);
    asks(address);
    streams_unbuffered(address, &mock);
    // The gateway ends in order and comes back: requests fail only while it is not there.
    let load = Load::start(address);
    load.until_ok(20, Instant::now());
    let down = Instant::now();
    gateway.end();
    load.until_failed(4, Instant::now());
    gateway.restart(&folder);
    let up = Instant::now();
    load.until_ok(40, up);
    for sample in load.stop() {
        let is_outside = sample.ended < down || sample.began > up;
        assert!(sample.is_ok() || !is_outside, "failed with all there: {sample:?}");
    }
    asks(address);
    gateway.stop();
}

fn as_upstream(program: &Path, proxy: Proxy) {
    need!("curl");
    let folder = Folder::new();
    let mock = Mock::start(&folder);
    let address = free_address();
    let mut server = proxy(program, &folder, address, mock.address);
    let gateway = Gateway::before(&folder, &format!("http://{address}"), "");
    asks(gateway.address);
    streams_unbuffered(gateway.address, &mock);
    let opened = || gateway.metric("ringway_upstream_connections_opened_total", "");
    let before = opened();
    let load = Load::start(gateway.address);
    load.until_ok(100, Instant::now());
    // Four ask at once, on shards that share nothing: each keeps at most four connections.
    assert!(opened() - before <= 8.0, "connections are kept: {} before, {} now", before, opened());
    let mut outages = Vec::new();
    for _ in 0..2 {
        let down = Instant::now();
        server.kill();
        load.until_failed(10, Instant::now());
        server = proxy(program, &folder, address, mock.address);
        let up = Instant::now();
        outages.push(down..up);
        load.until_ok(50, up);
    }
    for sample in load.stop() {
        let is_within =
            outages.iter().any(|outage| sample.ended >= outage.start && sample.began <= outage.end);
        assert!(sample.is_ok() || is_within, "failed with all there: {sample:?}");
        let response = sample.response.as_deref().unwrap_or_else(|error| panic!("{error}"));
        let is_told = response.starts_with("HTTP/1.1 502 ") && response.contains("upstream_error");
        assert!(sample.is_ok() || is_told, "always an answer of ours: {sample:?}");
    }
    assert_eq!(gateway.metric("ringway_bugs_total", ""), 0.0);
    streams_unbuffered(gateway.address, &mock);
    gateway.stop();
}

/// Whole and streamed answers, small and large, several on one connection.
fn asks(address: SocketAddr) {
    let url = format!("http://{address}/v1/chat/completions");
    let chat = |body: &str, more: &[&str]| {
        let mut curl = bounded(20, "curl");
        curl.args(["-sS", "-f", "-H", "content-type: application/json", "-d", body]).args(more);
        succeed(curl.args([&url, &url]))
    };
    let ask = r#"{"model":"demo","messages":[{"role":"user","content":"hello"}]}"#;
    let said = chat(ask, &[]);
    assert_eq!(said.matches("\"content\":\"Hello!").count(), 2, "{said}");
    let said = chat(ask, &["-H", "x-mock-bytes: 3000000"]);
    assert!(said.len() >= 6_000_000, "{}", said.len());
    let stream = r#"{"model":"demo","stream":true,"messages":[]}"#;
    for split in ["0", "7"] {
        let said =
            chat(stream, &["-H", "x-mock-gap-ms: 0", "-H", &format!("x-mock-split: {split}")]);
        assert_eq!(said.matches("data: [DONE]\n\n").count(), 2, "{said}");
    }
}

/// The first event arrives before later ones are written, and a client that leaves ends the stream at its source.
fn streams_unbuffered(address: SocketAddr, mock: &Mock) {
    let (events, cancelled) = (mock.count("events"), mock.count("cancelled"));
    let mut curl = bounded(20, "curl");
    curl.args(["-sSN", "-d", r#"{"model":"demo","stream":true}"#]);
    curl.args(["-H", "content-type: application/json", "-H", "x-mock-events: 1000"]);
    curl.args(["-H", "x-mock-gap-ms: 100"]).arg(format!("http://{address}/v1/chat/completions"));
    let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let written = mock.count("events") - events;
    curl.kill().unwrap();
    curl.wait().unwrap();
    assert!(first.starts_with("data: {"), "{first}");
    assert!(written < 10, "{written} events were written before the first came through");
    mock.until("cancelled", cancelled + 1);
    mock.until("streams_open", 0);
}
