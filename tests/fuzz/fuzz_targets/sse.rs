//! Any bytes as a stream of events: what is found in passing, and what the stream is once its events have ids.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::wire;

#[path = "../checks.rs"]
#[expect(dead_code, reason = "each target calls one of the checks")]
mod checks;
#[path = "../../../src/wire/sse/origin/oracle.rs"]
mod origin;

fuzz_target!(|bytes: &[u8]| {
    checks::sse(bytes);
    origin::check(bytes);
});
