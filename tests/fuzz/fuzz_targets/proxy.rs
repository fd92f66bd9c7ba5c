//! Fuzzes proxy, see checks.rs.

#![no_main]

#[path = "../checks.rs"]
#[expect(dead_code, reason = "each target calls one of the checks")]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::proxy_header(bytes));
