//! Whether an error says that the prompt is too long for the model.

use crate::llm::scan::Flaw;
use crate::llm::scan::Scan;
use crate::llm::scan::Value;

/// So much of a message is looked at: servers say what is wrong before they quote what they were sent.
const MESSAGE_BYTES_MAX: usize = 2048;
/// Objects in objects that are entered: `{"error": {"message": ..}}` has two, and some gateways wrap it once more.
const DEPTH_MAX: u32 = 3;

/// What `code` or `type` is in such an error.
const CODES: [&str; 6] = [
    "context_length_exceeded",       // OpenAI and those who follow it
    "exceed_context_size_error",     // llama.cpp
    "context_window_exceeded",       // gateways
    "context_window_exceeded_error", // gateways
    "context_exceeded",              // DS4
    "tokens_limit_reached",          // GitHub Models
];

/// What the message of such an error has, in this order, in lower case.
const PHRASES: [&[&str]; 25] = [
    &["maximum context length"], // OpenAI, vLLM, SGLang, Mistral, OpenRouter
    &["prompt is too long"],     // Anthropic, Fireworks
    &["prompt too long"],        // Ollama
    &["input is too long"],      // Bedrock
    &["too long", "context length"], // vLLM: too long to fit into the model (context length ..)
    &["longer than", "context length"], // SGLang
    &["longer than", "maximum model length"], // vLLM
    &["exceed", "context length"], // Ollama and others
    &["context length", "exceeded"],
    &["greater than the context length"],      // LM Studio
    &["context length of only", "not enough"], // LM Studio
    &["exceed", "context size"],               // llama.cpp, DS4
    &["exceed", "context window"],             // OpenAI (responses), llama-cpp-python
    &["context window", "exceeded"],
    &["exceed", "context limit"], // Anthropic: input length and `max_tokens` exceed context limit
    &["`inputs` tokens", "must be <="], // TGI
    &["`inputs` must have less than", "tokens"], // TGI and TEI
    &["input token count", "exceed"], // Gemini
    &["input token count", "only supports"], // Vertex
    &["maximum prompt length"],   // xAI
    &["prompt length", "exceed", "maximum input length"], // TensorRT-LLM
    &["exceeded model token limit"], // Moonshot
    &["too many tokens"],         // Cohere
    // What was packed into a message by a gateway on the way.
    &["context_length_exceeded"],
    &["exceed_context_size_error"],
];

/// Whether an error says that the prompt is too long for the model, so that one with a larger context may take it.
///
/// It must be said where errors are told: in `code` or `type`, or in so many words in a `message`, `detail` or `error`, at
/// the top or in an `error` or `detail` there. What a server quotes from the request says nothing. Text that is no object is a message. Errors
/// about `max_tokens` alone or about the size in bytes are others, as are all statuses but 400, 413 and 422: a 429 that
/// tells of tokens speaks of a rate.
#[must_use]
pub fn is_too_long(status: u16, body: &[u8]) -> bool {
    if !matches!(status, 400 | 413 | 422) {
        return false;
    }
    let body = body.trim_ascii_start();
    // Gemini answers with an array of one.
    let document = body.strip_prefix(b"[").unwrap_or(body).trim_ascii_start();
    if !document.starts_with(b"{") {
        return is_message(&String::from_utf8_lossy(head(body)));
    }
    let valid = document.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let said = Scan::new(valid.as_bytes()).and_then(|mut scan| has_said(&mut scan, DEPTH_MAX));
    said.unwrap_or(false)
}

/// Whether the object that begins here says so; what is broken behind it does not matter.
fn has_said(scan: &mut Scan<'_>, depth: u32) -> Result<bool, Flaw> {
    let mut has_more = scan.enter_object()?;
    while has_more {
        let key = scan.key()?.decode();
        if depth > 1 && scan.is_at_object() && matches!(&*key, "error" | "detail") {
            if has_said(scan, depth - 1)? {
                return Ok(true);
            }
        } else if let Value::Text(text) = scan.value()? {
            let has_said = match &*key {
                "code" | "type" => CODES.contains(&&*text.decode()),
                "message" | "detail" | "error" => is_message(&text.decode()),
                _ => false,
            };
            if has_said {
                return Ok(true);
            }
        }
        has_more = scan.has_more_members()?;
    }
    Ok(false)
}

/// Whether a message says so, whatever its capitals.
fn is_message(message: &str) -> bool {
    let mut message = head(message.as_bytes()).to_vec();
    message.make_ascii_lowercase();
    PHRASES.iter().any(|phrase| {
        let parts = phrase.iter();
        let found = parts.copied().try_fold(&*message, |rest, part| {
            let at = memchr::memmem::find(rest, part.as_bytes())?;
            rest.get(at + part.len()..)
        });
        found.is_some()
    })
}

fn head(text: &[u8]) -> &[u8] {
    text.get(..MESSAGE_BYTES_MAX).unwrap_or(text)
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
