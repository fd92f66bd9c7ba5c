//! How each family of model APIs speaks: its operations, its error bodies, its error events.

use crate::llm::rewrite::quote;

/// A family of model APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's, and that of the many servers that follow it.
    OpenAi,
    /// Anthropic's.
    Anthropic,
}

impl Dialect {
    /// The name in the config file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// The dialect of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::OpenAi, Self::Anthropic].into_iter().find(|dialect| dialect.name() == name)
    }

    /// The status this dialect uses where HTTP says `status`: Anthropic is overloaded with 529, not 503.
    #[must_use]
    pub const fn status(self, status: u16) -> u16 {
        match (self, status) {
            (Self::Anthropic, 503) => 529,
            _ => status,
        }
    }

    /// The `type` of an error with this status.
    #[must_use]
    pub const fn kind(self, status: u16) -> &'static str {
        match self {
            Self::OpenAi => match status {
                403 => "permission_error",
                429 => "rate_limit_error",
                500.. => "server_error",
                _ => "invalid_request_error",
            },
            Self::Anthropic => match status {
                401 => "authentication_error",
                402 => "billing_error",
                403 => "permission_error",
                404 => "not_found_error",
                413 => "request_too_large",
                429 => "rate_limit_error",
                503 | 529 => "overloaded_error",
                504 => "timeout_error",
                500.. => "api_error",
                _ => "invalid_request_error",
            },
        }
    }
}

/// What a client can ask a model to do, each at a path of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/completions`.
    TextCompletion,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/messages`.
    Messages,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Chat, Self::TextCompletion, Self::Embeddings, Self::Responses, Self::Messages];

    /// Its path, at clients and at upstreams.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::TextCompletion => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
        }
    }

    /// The operation at exactly this path.
    #[must_use]
    pub fn at_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.path() == path)
    }

    /// Its name in metrics and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::TextCompletion => "text_completion",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Messages => "messages",
        }
    }

    /// The dialect in which its clients speak and expect errors.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Chat | Self::TextCompletion | Self::Embeddings | Self::Responses => {
                Dialect::OpenAi
            }
            Self::Messages => Dialect::Anthropic,
        }
    }

    /// Whether `"stream": true` means something to it.
    #[must_use]
    pub const fn may_stream(self) -> bool {
        !matches!(self, Self::Embeddings)
    }
}

/// An error as a client is to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorText<'t> {
    /// The HTTP status.
    pub status: u16,
    /// A sentence for people: what is wrong and what to do.
    pub message: &'t str,
    /// The `type`; `None`: the dialect's own for this status.
    pub kind: Option<&'t str>,
    /// The key of the request that is wrong. Anthropic's dialect has no place for it.
    pub param: Option<&'t str>,
    /// A word for programs. Anthropic's dialect has no place for it.
    pub code: Option<&'t str>,
}

/// Appends the JSON body of an error response.
pub fn error_body(dialect: Dialect, error: &ErrorText<'_>, request_id: &str, out: &mut Vec<u8>) {
    let kind = error.kind.unwrap_or_else(|| dialect.kind(error.status));
    match dialect {
        Dialect::OpenAi => {
            out.extend_from_slice(b"{\"error\":{\"message\":");
            quote(error.message, out);
            out.extend_from_slice(b",\"type\":");
            quote(kind, out);
            out.extend_from_slice(b",\"param\":");
            quote_or_null(error.param, out);
            out.extend_from_slice(b",\"code\":");
            quote_or_null(error.code, out);
            out.extend_from_slice(b"}}");
        }
        Dialect::Anthropic => {
            out.extend_from_slice(b"{\"type\":\"error\",\"error\":{\"type\":");
            quote(kind, out);
            out.extend_from_slice(b",\"message\":");
            quote(error.message, out);
            out.extend_from_slice(b"},\"request_id\":");
            quote(request_id, out);
            out.push(b'}');
        }
    }
}

/// Appends an event that tells the client of a stream, already answered with 200, that it failed. The stream must
/// then end without `[DONE]`, and the event must begin at the boundary of one.
pub fn error_event(dialect: Dialect, error: &ErrorText<'_>, request_id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(match dialect {
        Dialect::OpenAi => b"data: ".as_slice(),
        Dialect::Anthropic => b"event: error\ndata: ",
    });
    error_body(dialect, error, request_id, out);
    out.extend_from_slice(b"\n\n");
}

fn quote_or_null(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => quote(text, out),
        None => out.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: ErrorText<'static> =
        ErrorText { status: 404, message: "no \"x\"\n", kind: None, param: None, code: None };

    fn body(dialect: Dialect, error: &ErrorText<'_>) -> String {
        let mut out = Vec::new();
        error_body(dialect, error, "r-1", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn openai_errors_always_have_all_four_keys() {
        assert_eq!(
            body(Dialect::OpenAi, &ERROR),
            r#"{"error":{"message":"no \"x\"\n","type":"invalid_request_error","param":null,"code":null}}"#
        );
        let error =
            ErrorText { kind: Some("k"), param: Some("model"), code: Some("c\u{1}"), ..ERROR };
        assert_eq!(
            body(Dialect::OpenAi, &error),
            r#"{"error":{"message":"no \"x\"\n","type":"k","param":"model","code":"c\u0001"}}"#
        );
    }

    #[test]
    fn anthropic_errors_name_the_request() {
        assert_eq!(
            body(Dialect::Anthropic, &ERROR),
            r#"{"type":"error","error":{"type":"not_found_error","message":"no \"x\"\n"},"request_id":"r-1"}"#
        );
    }

    #[test]
    fn an_error_event_is_one_whole_event() {
        for (dialect, start) in
            [(Dialect::OpenAi, "data: {"), (Dialect::Anthropic, "event: error\ndata: {")]
        {
            let mut out = Vec::new();
            error_event(dialect, &ERROR, "r-1", &mut out);
            let event = String::from_utf8(out).unwrap();
            assert!(event.starts_with(start), "{event}");
            assert!(event.ends_with("}\n\n"), "{event}");
            assert!(!event.contains("[DONE]"));
            let expected_lines = if dialect == Dialect::OpenAi { 2 } else { 3 };
            assert_eq!(event.matches('\n').count(), expected_lines);
        }
    }

    #[test]
    fn types_follow_the_table() {
        let openai = [400, 401, 403, 404, 413, 429, 502, 503, 504].map(|s| Dialect::OpenAi.kind(s));
        assert_eq!(
            openai,
            [
                "invalid_request_error",
                "invalid_request_error",
                "permission_error",
                "invalid_request_error",
                "invalid_request_error",
                "rate_limit_error",
                "server_error",
                "server_error",
                "server_error",
            ]
        );
        assert_eq!(Dialect::Anthropic.status(503), 529);
        assert_eq!(Dialect::Anthropic.kind(529), "overloaded_error");
        assert_eq!(Dialect::OpenAi.status(503), 503);
    }

    #[test]
    fn names_and_paths_are_found_again() {
        for operation in Operation::ALL {
            assert_eq!(Operation::at_path(operation.path()), Some(operation));
        }
        assert_eq!(Dialect::from_name("anthropic"), Some(Dialect::Anthropic));
        assert_eq!(Dialect::from_name("OpenAI"), None);
    }
}
