//! Any bytes as an answer: the meter must find what a tree of serde_json has, as a document and as a stream of events.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::llm::usage::Meter;
use ringway::llm::usage::Usage;

#[path = "../../../src/llm/usage/oracle.rs"]
mod oracle;

fuzz_target!(|bytes: &[u8]| {
    oracle::check(bytes);
});
