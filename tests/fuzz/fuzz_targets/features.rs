//! Any bytes as a body: its features must be those of serde_json's tree and of the bytes as they stand.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::llm::features::has_tools;
use ringway::llm::features::prompt_fingerprint;
use ringway::llm::features::user;

#[path = "../../../src/llm/features/oracle.rs"]
mod oracle;

fuzz_target!(|body: &[u8]| {
    oracle::check(body);
});
