//! The parameters that the APIs document, for each operation: OpenAI's of its API description, Anthropic's of its own
//! client, with those of older models and of betas.

use crate::llm::dialect::Operation;

/// The parameters that are documented for an operation, sorted.
#[must_use]
pub const fn known(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::Chat => CHAT,
        Operation::TextCompletion => TEXT_COMPLETION,
        Operation::Embeddings => EMBEDDINGS,
        Operation::Responses => RESPONSES,
        Operation::Messages => MESSAGES,
    }
}

const CHAT: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

const TEXT_COMPLETION: &[&str] = &[
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "model",
    "n",
    "presence_penalty",
    "prompt",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "top_p",
    "user",
];

const EMBEDDINGS: &[&str] = &["dimensions", "encoding_format", "input", "model", "user"];

const RESPONSES: &[&str] = &[
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

const MESSAGES: &[&str] = &[
    "cache_control",
    "compaction",
    "container",
    "context_management",
    "diagnostics",
    "fallbacks",
    "inference_geo",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "user_profile_id",
    "workspace_id",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_have_what_every_request_needs() {
        for operation in Operation::ALL {
            assert!(known(operation).is_sorted_by(|one, next| one < next), "{operation:?}");
            assert!(known(operation).contains(&"model"));
            assert_eq!(known(operation).contains(&"stream"), operation.may_stream());
        }
    }

    #[test]
    fn the_lists_are_those_of_the_api_description() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/openai-openapi.json");
        let Ok(text) = std::fs::read(path) else { return };
        let tree: serde_json::Value = serde_json::from_slice(&text).unwrap();
        for (operation, name) in [
            (Operation::Chat, "CreateChatCompletionRequest"),
            (Operation::TextCompletion, "CreateCompletionRequest"),
            (Operation::Embeddings, "CreateEmbeddingRequest"),
            (Operation::Responses, "CreateResponse"),
        ] {
            let mut found = std::collections::BTreeSet::new();
            let schemas = &tree["components"]["schemas"];
            collect(schemas, &schemas[name], &mut found);
            assert_eq!(found.into_iter().collect::<Vec<_>>(), known(operation), "{name}");
        }
    }

    fn collect<'t>(
        schemas: &'t serde_json::Value,
        schema: &'t serde_json::Value,
        found: &mut std::collections::BTreeSet<&'t str>,
    ) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            return collect(schemas, &schemas[name], found);
        }
        found.extend(
            schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()),
        );
        for part in ["allOf", "anyOf", "oneOf"] {
            for schema in schema[part].as_array().into_iter().flatten() {
                collect(schemas, schema, found);
            }
        }
    }
}
