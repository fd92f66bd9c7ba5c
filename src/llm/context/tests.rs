//! Errors of real servers, and what looks like them.

use super::MESSAGE_BYTES_MAX;
use super::is_too_long;
use super::oracle;

/// What servers say when a prompt is too long for the model: who, status, body.
const TOO_LONG: &[(&str, u16, &str)] = &[
    (
        "OpenAI",
        400,
        r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 10052 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
    ),
    (
        "OpenAI, responses",
        400,
        r#"{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again.","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}"#,
    ),
    ("the code alone", 400, r#"{"error":{"code":"context_length_exceeded"}}"#),
    (
        "Anthropic",
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 208310 tokens > 200000 maximum"},"request_id":"req_1"}"#,
    ),
    (
        "Anthropic, with max_tokens",
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000, decrease input length or `max_tokens` and try again"}}"#,
    ),
    (
        "Anthropic, large requests",
        413,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"Request size exceeds model context window"}}"#,
    ),
    (
        "vLLM, flat",
        400,
        r#"{"object":"error","message":"This model's maximum context length is 16384 tokens. However, you requested 122946 tokens (112946 in the messages, 10000 in the completion).","type":"BadRequestError","param":null,"code":400}"#,
    ),
    (
        "vLLM, nested",
        400,
        r#"{"error":{"message":"The decoder prompt (length 9000) is longer than the maximum model length of 8192. Make sure that `max_model_len` is no smaller than the number of text tokens.","type":"BadRequestError","param":null,"code":400}}"#,
    ),
    (
        "vLLM, what is left for the answer",
        400,
        r#"{"error":{"message":"'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length is 8192 tokens and your request has 1210 input tokens (8192 > 8192 - 1210).","type":"BadRequestError","param":"max_tokens","code":400}}"#,
    ),
    (
        "llama.cpp",
        400,
        r#"{"error":{"code":400,"message":"request (8708 tokens) exceeds the available context size (8192 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":8708,"n_ctx":8192}}"#,
    ),
    (
        "llama.cpp, before",
        400,
        r#"{"error":{"code":400,"message":"the request exceeds the available context size. try increasing the context size or enable context shift","type":"invalid_request_error"}}"#,
    ),
    (
        "llama-cpp-python",
        400,
        r#"{"error":{"message":"Requested tokens (2344) exceed context window of 2048","type":"invalid_request_error","param":null,"code":null}}"#,
    ),
    (
        "SGLang",
        400,
        r#"{"object":"error","message":"The input (40231 tokens) is longer than the model's context length (32768 tokens).","type":"BadRequestError","param":null,"code":400}"#,
    ),
    (
        "Ollama",
        400,
        r#"{"error":{"message":"prompt too long; exceeded max context length by 12 tokens","type":"invalid_request_error","param":null,"code":null}}"#,
    ),
    ("Ollama, embeddings", 400, r#"{"error":"the input length exceeds the context length"}"#),
    (
        "TGI",
        422,
        r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4031 `inputs` tokens and 200 `max_new_tokens`","error_type":"validation"}"#,
    ),
    (
        "TEI",
        413,
        r#"{"error":"Input validation error: `inputs` must have less than 512 tokens. Given: 1168","error_type":"Validation"}"#,
    ),
    (
        "LM Studio",
        400,
        r#"{"error":"Trying to keep the first 5443 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough."}"#,
    ),
    (
        "Gemini",
        400,
        r#"[{"error":{"code":400,"message":"The input token count (1200001) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#,
    ),
    (
        "Vertex",
        400,
        "\n[ {\"error\": {\"code\": 400, \"message\": \"Unable to submit request because the input token count is 135538 but model only supports up to 131072.\"}}\n]",
    ),
    (
        "Mistral",
        400,
        r#"{"object":"error","message":"Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length","type":"invalid_request_error","code":"3051"}"#,
    ),
    (
        "xAI",
        400,
        r#"{"code":"Client specified an invalid argument","error":"This model's maximum prompt length is 131072 but the request contains 140000 tokens."}"#,
    ),
    ("Bedrock", 400, r#"{"message":"Input is too long for requested model."}"#),
    (
        "GitHub Models",
        413,
        r#"{"error":{"code":"tokens_limit_reached","message":"Request body too large for gpt-4o model. Max size: 8000 tokens.","details":"Request body too large for gpt-4o model."}}"#,
    ),
    (
        "Moonshot",
        400,
        r#"{"error":{"message":"Invalid request: Your request exceeded model token limit: 262144","type":"invalid_request_error"}}"#,
    ),
    ("Cohere", 400, r#"{"message":"too many tokens: size limit exceeded by 11326 tokens."}"#),
    (
        "TensorRT-LLM",
        400,
        r#"{"object":"error","message":"Prompt length (9000) exceeds maximum input length (8191).","type":"BadRequestError","code":400}"#,
    ),
    (
        "a gateway on the way",
        400,
        r#"{"error":{"message":"upstream said: {\"error\":{\"code\":\"context_length_exceeded\"}}","type":"None","param":"None","code":"400"}}"#,
    ),
    (
        "FastAPI around it",
        422,
        r#"{"detail":{"error":{"message":"maximum context length is 4096 tokens"}}}"#,
    ),
    ("escapes", 400, r#"{"error":{"message":"prompt\u0020is too \u006cong"}}"#),
    ("capitals", 400, r#"{"Error":1,"error":{"message":"PROMPT IS TOO LONG"}}"#),
    ("plain text", 400, "error: prompt is too long: 9 tokens > 8 maximum\n"),
    ("cut", 400, r#"{"error":{"code":"context_length_exceeded","message":"This mod"#),
];

/// What servers say when something else is wrong.
const OTHERS: &[(&str, u16, &str)] = &[
    (
        "OpenAI, answers",
        400,
        r#"{"error":{"message":"max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.","type":"invalid_request_error","param":"max_tokens","code":"invalid_value"}}"#,
    ),
    (
        "Anthropic, answers",
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: 10000 > 4096, which is the maximum allowed number of output tokens for claude-3-5-sonnet-20240620"}}"#,
    ),
    (
        "Anthropic, bytes",
        413,
        r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#,
    ),
    (
        "Groq, rates",
        413,
        r#"{"error":{"message":"Request too large for model `llama-3.3-70b-versatile` in organization `org` service tier `on_demand` on tokens per minute (TPM): Limit 12000, Requested 18400, please reduce your message size and try again.","type":"tokens","code":"rate_limit_exceeded"}}"#,
    ),
    (
        "a string that is too long",
        400,
        r#"{"error":{"message":"Invalid 'messages[0].content': string too long. Expected a string with maximum length 1048576, but got a string with length 1540820 instead.","type":"invalid_request_error","param":"messages[0].content","code":"string_above_max_length"}}"#,
    ),
    (
        "TGI, answers",
        422,
        r#"{"error":"Input validation error: `max_new_tokens` must be <= 192. Given: 200","error_type":"validation"}"#,
    ),
    (
        "quoted by FastAPI",
        422,
        r#"{"detail":[{"type":"string_type","loc":["body","messages"],"msg":"Input should be a valid string","input":"prompt is too long"}]}"#,
    ),
    ("quoted elsewhere", 400, r#"{"error":{"message":"no","input":"context_length_exceeded"}}"#),
    ("another's code", 400, r#"{"error":{"param":"context_length_exceeded","code":"x"}}"#),
    ("numbers and nulls", 400, r#"{"error":null,"message":7,"code":["context_length_exceeded"]}"#),
    ("an array of more", 400, r#"[{"message":"no"},{"message":"prompt is too long"}]"#),
    ("proxies", 413, "<html><head><title>413 Request Entity Too Large</title></head></html>"),
    ("nothing", 400, ""),
    ("space", 400, " \r\n"),
    ("a bracket", 400, "["),
    ("a brace", 400, "{"),
    ("no text", 400, "\u{0}\u{1}"),
];

#[test]
fn servers_say_it_in_many_words() {
    for (who, status, body) in TOO_LONG {
        assert!(is_too_long(*status, body.as_bytes()), "{who}");
    }
}

#[test]
fn what_else_is_wrong_is_not_that() {
    for (who, status, body) in OTHERS {
        assert!(!is_too_long(*status, body.as_bytes()), "{who}");
    }
}

#[test]
fn other_statuses_mean_other_things() {
    for (who, _, body) in TOO_LONG {
        for status in [0, 200, 401, 404, 429, 500, 503, 529] {
            assert!(!is_too_long(status, body.as_bytes()), "{who} {status}");
        }
        for status in [400, 413, 422] {
            assert!(is_too_long(status, body.as_bytes()), "{who} {status}");
        }
    }
}

#[test]
fn messages_are_read_from_their_begin_only() {
    let message = |before: usize| {
        format!(r#"{{"error":{{"message":"{}prompt is too long"}}}}"#, "x".repeat(before))
    };
    let last = MESSAGE_BYTES_MAX - "prompt is too long".len();
    assert!(is_too_long(400, message(last).as_bytes()));
    assert!(!is_too_long(400, message(last + 1).as_bytes()));
    // The message itself may be anywhere.
    let late = format!(r#"{{"x":"{}","message":"prompt is too long"}}"#, "x".repeat(60_000));
    assert!(is_too_long(400, late.as_bytes()));
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        let (open, close) = (r#"{"error":"#.repeat(depth), "}".repeat(depth));
        format!(r#"{open}{{"code":"context_length_exceeded"}}{close}"#)
    };
    assert!(is_too_long(400, nested(2).as_bytes()));
    assert!(!is_too_long(400, nested(3).as_bytes()));
    assert!(!is_too_long(400, nested(100_000).as_bytes()));
}

#[test]
fn neither_wrapping_nor_quoting_matters() {
    for (_, _, body) in TOO_LONG.iter().chain(OTHERS) {
        oracle::check(body.as_bytes());
    }
}
