//! The admin listener: health, metrics, and what the gateway would do and why.

mod auth;
mod change;
mod explain;
mod show;
mod tally;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::header;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time;

use crate::control::admin::auth::Ends;
pub(crate) use crate::control::admin::tally::Tally;
use crate::control::endpoints;
use crate::control::metrics;
use crate::control::state::Shared;
use crate::sys::clock;

/// Connections open at once at most; more are closed at once.
const CONNECTIONS_MAX: usize = 64;
/// From the first byte of a request, or the end of the one before, to the end of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may live.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a shard may take to make a turn before it counts as stuck.
const TURN_TIMEOUT: Duration = Duration::from_secs(3);
/// How often to look whether it has.
const TURN_POLL: Duration = Duration::from_millis(5);

/// The pages, as an unknown path lists them.
const PAGES: &[(&str, &str)] = &[
    ("/healthz", "200 as long as the process runs"),
    ("/livez", "200 if every shard makes turns"),
    ("/readyz", "200 if requests should be sent here, else 503 and why not"),
    ("/metrics", "counters, gauges and histograms for Prometheus"),
    ("/admin/snapshot", "what the shards serve, without secrets; the history of reloads"),
    ("/admin/history", "the last 16 snapshots: what each had differently, and who caused it"),
    ("/admin/sources", "who is asked for endpoints, and how that goes"),
    ("/admin/openapi.json", "all of this, for programs (OpenAPI 3.1)"),
    (
        "/admin/explain?model=NAME&path=PATH&method=METHOD&header=NAME:VALUE&address=IP&tenant=NAME&format=text|json",
        "what would happen to a request, and why",
    ),
];

/// The description of all pages.
const OPENAPI: &str = include_str!("openapi.json");

/// The text of an answer.
type Answer = Response<Full<Bytes>>;

/// Accepts connections and answers them until the task is dropped. An error of one connection is its own.
pub(crate) async fn serve(listener: TcpListener, shared: Shared) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // A listener that does not know where it is counts as being everywhere.
    let at = listener.local_addr().unwrap_or(SocketAddr::from(([0; 4], 0)));
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            // No descriptor left, most likely: they come back when others are closed.
            time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&free).try_acquire_owned() else { continue };
        let shared = shared.clone();
        tokio::spawn(async move {
            connection(stream, Ends { from, at }, shared).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, ends: Ends, shared: Shared) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer(request, ends, &shared).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // Whether it ended well is the client's business: nothing is left to say to it.
    time::timeout(CONNECTION_TIMEOUT, serving).await.ok();
}

async fn answer(request: Request<Incoming>, ends: Ends, shared: &Shared) -> Answer {
    let path = request.uri().path();
    let token = shared.lock().admin_token();
    let caller = match auth::check(&request, ends, token.as_ref()) {
        Ok(caller) => caller,
        Err(stranger) => {
            let from = ends.from.ip();
            shared.lock().tally.denied(stranger, from, path, time::Instant::now());
            return stranger.answer();
        }
    };
    if change::is_at(path) {
        let is_change = !matches!(*request.method(), Method::GET | Method::HEAD);
        let answer = change::answer(request, shared, caller.to_string()).await;
        if is_change {
            shared.lock().tally.answered(answer.status().is_success());
        }
        return answer;
    }
    let is_known = PAGES.iter().any(|(page, _)| page.split('?').next() == Some(path));
    if !is_known {
        return unknown(path);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
        answer.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match path {
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        "/livez" => health(&stuck(shared).await),
        "/readyz" => health(&shared.lock().unready()),
        "/metrics" => typed(StatusCode::OK, metrics::CONTENT_TYPE, shared.lock().metrics()),
        "/admin/snapshot" => json(StatusCode::OK, &show::state(&shared.lock())),
        "/admin/history" => json(StatusCode::OK, &show::history(&shared.lock())),
        "/admin/sources" => json(StatusCode::OK, &show::sources(&shared.lock())),
        "/admin/openapi.json" => typed(StatusCode::OK, "application/json", OPENAPI.to_owned()),
        "/admin/explain" => explain(request.uri().query().unwrap_or_default(), shared),
        other => unknown(other),
    }
}

/// The shards that do not make a turn although they were woken up; empty if all do.
async fn stuck(shared: &Shared) -> Vec<String> {
    let before = {
        let state = shared.lock();
        if state.current().is_none() {
            return Vec::new(); // Nothing to wake them up with; /readyz says the rest.
        }
        let turns = state.turns();
        state.nudge();
        turns
    };
    let deadline = time::Instant::now() + TURN_TIMEOUT;
    loop {
        let now = shared.lock().turns();
        let shards = before.iter().zip(now).enumerate();
        let stuck: Vec<String> = shards
            .filter(|(_, (before, now))| *before == now)
            .map(|(shard, _)| format!("shard {shard} has made no turn for {TURN_TIMEOUT:?}"))
            .collect();
        if stuck.is_empty() || time::Instant::now() >= deadline {
            return stuck;
        }
        time::sleep(TURN_POLL).await;
    }
}

fn explain(query: &str, shared: &Shared) -> Answer {
    let question = match explain::question(query) {
        Ok(question) => question,
        Err(error) => return text(StatusCode::BAD_REQUEST, error),
    };
    let state = shared.lock();
    let Some(current) = state.current() else {
        return health(&["no config has been published yet".to_owned()]);
    };
    let now = clock::now();
    let look = |slot| endpoints::seen(&state, slot, now);
    let explanation = question.answer(&current.snapshot, &look);
    if question.is_json {
        return json(StatusCode::OK, &serde_json::json!(explanation));
    }
    text(StatusCode::OK, explanation.to_string())
}

/// 200 if nothing is wrong, else 503 and what is.
fn health(wrong: &[String]) -> Answer {
    if wrong.is_empty() {
        return text(StatusCode::OK, "ok\n".to_owned());
    }
    text(StatusCode::SERVICE_UNAVAILABLE, wrong.iter().map(|why| format!("{why}\n")).collect())
}

fn unknown(path: &str) -> Answer {
    let mut body = format!("nothing is at {path}; there are:\n");
    for (page, what) in PAGES.iter().chain(change::PAGES) {
        body.push_str(&format!("  {page}\n      {what}\n"));
    }
    text(StatusCode::NOT_FOUND, body)
}

fn text(status: StatusCode, body: String) -> Answer {
    typed(status, "text/plain; charset=utf-8", body)
}

fn json(status: StatusCode, body: &serde_json::Value) -> Answer {
    typed(status, "application/json", format!("{body:#}\n"))
}

fn typed(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    answer
}

#[cfg(test)]
mod tests;
