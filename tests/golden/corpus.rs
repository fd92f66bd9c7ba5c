//! The corpus of the fuzz targets, through the same checks: what fuzzing has found once stays found.

#[path = "../fuzz/checks.rs"]
mod checks;
#[path = "../../src/llm/context/oracle.rs"]
mod context;
#[path = "../../src/llm/features/oracle.rs"]
mod features;
#[path = "../../src/llm/normalize/oracle.rs"]
mod normalize;
#[path = "../../src/balance/retry_after/oracle.rs"]
mod retry_after;
#[path = "../../src/llm/stream/oracle.rs"]
mod stream;
#[path = "../../src/llm/stream/translate/oracle.rs"]
mod translate;
#[path = "../../src/llm/usage/oracle.rs"]
mod usage;
#[path = "../../src/wire/sse/origin/oracle.rs"]
mod origin;

use std::path::Path;

use ringway::balance::retry_after::LONGEST;
use ringway::balance::retry_after::parse;
use ringway::balance::retry_after::parse_millis;
use ringway::llm;
use ringway::llm::context::is_too_long;
use ringway::llm::features::has_tools;
use ringway::llm::features::prompt_fingerprint;
use ringway::llm::features::user;
use ringway::llm::usage::Meter;
use ringway::llm::usage::Usage;
use ringway::wire;

use crate::wire::Dice;
use crate::wire::change;
use crate::wire::messages;

fn files(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let files: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a file of the corpus"))
        .collect();
    assert!(!files.is_empty());
    files
}

/// Checks each file as it is and with some bytes changed.
fn check_all(files: &[Vec<u8>], check: fn(&[u8])) {
    let mut dice = Dice::new(11);
    for bytes in files {
        check(bytes);
        for _ in 0..20 {
            check(&change(bytes, &mut dice));
        }
    }
}

#[test]
fn heads() {
    check_all(&files("head"), checks::head);
    let messages: Vec<Vec<u8>> = messages().into_iter().map(|(_, bytes)| bytes).collect();
    check_all(&messages, checks::head);
}

#[test]
fn chunked_bodies() {
    check_all(&files("chunked"), checks::chunked);
}

#[test]
fn events() {
    check_all(&files("sse"), checks::sse);
    check_all(&files("sse"), origin::check);
}

#[test]
fn proxies() {
    check_all(&files("proxy"), checks::proxy_header);
}

#[test]
fn tokens() {
    check_all(&files("jwt"), checks::jwt);
}

#[test]
fn signed_requests() {
    check_all(&files("signature"), checks::signature);
}

#[test]
fn answers_with_usage() {
    check_all(&files("usage"), usage::check);
    // Streams of other checks are answers too.
    check_all(&files("sse"), usage::check);
}

#[test]
fn streams_of_models() {
    check_all(&files("stream"), stream::check);
    check_all(&files("stream"), translate::check);
    check_all(&files("usage"), stream::check);
    // Bodies that go up.
    check_all(&files("peek"), translate::check);
    check_all(&files("features"), translate::check);
}

#[test]
fn parameters() {
    let check = |body: &[u8]| {
        normalize::check(body);
    };
    check_all(&files("normalize"), check);
    check_all(&files("peek"), check);
}

#[test]
fn waits_that_are_asked_for() {
    check_all(&files("retry_after"), retry_after::check);
}

#[test]
fn errors_about_the_context() {
    check_all(&files("context"), context::check);
}

#[test]
fn features_of_bodies() {
    let check = |body: &[u8]| {
        features::check(body);
    };
    check_all(&files("features"), check);
    check_all(&files("peek"), check);
    check_all(&files("normalize"), check);
}
