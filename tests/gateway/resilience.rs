//! The right endpoint, the next one, and when to stop: what clients see while model servers fail.

mod balancing;
mod breaker;
mod fallback;
mod hedging;
mod lines;
mod near;
mod pool;
mod retries;
mod told;

use std::sync::Arc;
use std::sync::Mutex;

use crate::support::*;

/// The model `m` of an upstream `u` with these endpoints; further lines for either. If they do not say what is tried again, all
/// that usually is.
fn upstream_of(urls: &[&str], upstream_lines: &str, model_lines: &str) -> String {
    let endpoints: Vec<String> = urls.iter().map(|url| format!("{{ url = \"{url}\" }}")).collect();
    let endpoints = format!("endpoints = [{}]", endpoints.join(", "));
    let config = one("x", upstream_lines).replace("endpoints = [{ url = \"x\" }]", &endpoints);
    let retry = if model_lines.contains("retry") { "" } else { "retry = true" };
    let config = if model_lines.contains("commit_after_ms") {
        config.replace(COMMITS_SOON, "")
    } else {
        config
    };
    format!("{config}{model_lines}\n{retry}\n")
}

/// A response with this status and these field lines.
fn answer(status: u16, fields: &str, text: &str) -> Vec<u8> {
    let length = text.len();
    format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{fields}content-length: {length}\r\n\r\n{text}")
        .into_bytes()
}

/// A model server that always answers so.
fn saying(status: u16, fields: &str, text: &str) -> Answering {
    let answer = answer(status, fields, text);
    Answering::with(move |_| answer.clone())
}

/// Waits until a model server was asked.
fn await_asked(server: &Answering) {
    await_true("it was asked", || {
        if server.asked().is_empty() { Err("nobody has".to_owned()) } else { Ok(()) }
    });
}

/// What a model server says at present.
#[derive(Clone)]
struct Switch(Arc<Mutex<Vec<u8>>>);

impl Switch {
    /// A model server, and the switch for what it says.
    fn server(first: Vec<u8>) -> (Answering, Self) {
        let switch = Self(Arc::new(Mutex::new(first)));
        let says = switch.clone();
        let server =
            Answering::with(move |_| says.0.lock().expect("no test has failed here").clone());
        (server, switch)
    }

    fn set(&self, answer: Vec<u8>) {
        *self.0.lock().expect("no test has failed here") = answer;
    }
}

/// One attempt each, no matter what: what is seen is what the endpoint said.
const ONCE: &str = "retry = false";
