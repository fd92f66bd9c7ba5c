//! Any bytes as a value of `retry-after`: the parser must find what a plain reading finds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::balance::retry_after::LONGEST;
use ringway::balance::retry_after::parse;
use ringway::balance::retry_after::parse_millis;

#[path = "../../../src/balance/retry_after/oracle.rs"]
mod oracle;

fuzz_target!(|bytes: &[u8]| {
    oracle::check(bytes);
});
