//! Any bytes as an error: whether it says that a prompt is too long must not depend on what it is wrapped in or quotes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::llm::context::is_too_long;

#[path = "../../../src/llm/context/oracle.rs"]
mod oracle;

fuzz_target!(|body: &[u8]| {
    oracle::check(body);
});
