//! Any bytes as a body: `peek` must accept what serde_json accepts, and find the same values.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::llm::request::Ask;
use ringway::llm::request::Text;
use ringway::llm::request::Unreadable;
use ringway::llm::request::peek;
use ringway::llm::request::peek_any;

#[path = "../../../src/llm/request/oracle.rs"]
mod oracle;

fuzz_target!(|body: &[u8]| {
    oracle::check(body);
});
