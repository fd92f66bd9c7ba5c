//! Any bytes as a piece of a model's stream, as what is to be told as OpenAI tells it, and as a body that goes up to Ollama.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::llm;
use ringway::wire;

#[path = "../../../src/llm/stream/oracle.rs"]
mod stream;
#[path = "../../../src/llm/stream/translate/oracle.rs"]
mod translate;

fuzz_target!(|bytes: &[u8]| {
    stream::check(bytes);
    translate::check(bytes);
});
