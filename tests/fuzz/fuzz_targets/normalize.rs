//! Any bytes as a body: its edits must make of it what the same changes make of serde_json's tree.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::llm;

#[path = "../../../src/llm/normalize/oracle.rs"]
mod oracle;

fuzz_target!(|body: &[u8]| {
    oracle::check(body);
});
