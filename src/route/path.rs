//! What a path asks for.

use std::borrow::Cow;

use crate::llm::dialect::Dialect;
use crate::llm::dialect::Operation;
use crate::wire::head::Method;

/// What a request's path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination<'p> {
    /// A model API's operation; the body names the model.
    Generate(Operation),
    /// Any JSON for the model that the path names.
    Invoke {
        /// Its name or alias, percent-decoded.
        model: Cow<'p, str>,
        /// Its version, percent-decoded.
        version: Option<Cow<'p, str>>,
    },
    /// The list of models.
    ListModels,
    /// A stream that its client comes back to.
    Stream {
        /// Its name, as it stands in the path.
        id: &'p str,
    },
    /// One model's entry in that list.
    DescribeModel {
        /// Its name or alias, percent-decoded.
        model: Cow<'p, str>,
    },
}

impl Destination<'_> {
    /// Its name in metrics and records.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Generate(operation) => operation.name(),
            Self::Invoke { .. } => "invoke",
            Self::ListModels => "list_models",
            Self::Stream { .. } => "resume",
            Self::DescribeModel { .. } => "describe_model",
        }
    }

    /// The dialect in which its clients expect errors; OpenAI's where the path belongs to no dialect.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Generate(operation) => operation.dialect(),
            Self::Invoke { .. }
            | Self::ListModels
            | Self::Stream { .. }
            | Self::DescribeModel { .. } => Dialect::OpenAi,
        }
    }
}

/// The dialect for errors about a path that leads nowhere: that of the operation it begins with.
#[must_use]
pub fn dialect(path: &str) -> Dialect {
    match path.strip_prefix(Operation::Messages.path()) {
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']) => Dialect::Anthropic,
        _ => Dialect::OpenAi,
    }
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unroutable {
    /// There is nothing at this path.
    UnknownPath,
    /// There is something, but not for this method.
    WrongMethod {
        /// The value of the `Allow` field (RFC 9110 section 10.2.1).
        allow: &'static str,
    },
    /// A `.` or `..` between slashes, written as such or percent-encoded.
    DotSegment,
    /// A percent sign that two hexadecimal digits do not follow.
    BadEscape,
    /// A control character, such as NUL, CR or LF, written as such or percent-encoded.
    ControlCharacter,
    /// Percent-encoded bytes that are not UTF-8.
    NotUtf8,
}

impl Unroutable {
    /// What is wrong and what to do instead.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::UnknownPath => {
                "There is nothing at this path. There are: POST /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses, /v1/messages and /v1/models/{model}/invoke; GET /v1/models, /v1/models/{model} and /v1/streams/{id}."
            }
            Self::WrongMethod { .. } => {
                "This path does not take this method; the Allow header names those it takes."
            }
            Self::DotSegment => {
                "The path has a \".\" or \"..\" between slashes; write the path it means."
            }
            Self::BadEscape => {
                "The path has a percent sign without two hexadecimal digits after it; write a percent sign as %25."
            }
            Self::ControlCharacter => "The path has a control character; leave it out.",
            Self::NotUtf8 => "The path has percent-encoded bytes that are not UTF-8.",
        }
    }

    /// The code an error body carries; also the metric label.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownPath => "unknown_path",
            Self::WrongMethod { .. } => "method_not_allowed",
            Self::DotSegment => "dot_segment_in_path",
            Self::BadEscape => "bad_escape_in_path",
            Self::ControlCharacter => "control_character_in_path",
            Self::NotUtf8 => "path_not_utf8",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::UnknownPath => 404,
            Self::WrongMethod { .. } => 405,
            Self::DotSegment | Self::BadEscape | Self::ControlCharacter | Self::NotUtf8 => 400,
        }
    }
}

const MODELS: &str = "/v1/models";
const VERSIONS: &str = "/versions/";
const STREAMS: &str = "/v1/streams/";
const LISTEN: &str = "GET";
const READ: &str = "GET, HEAD";
const SEND: &str = "POST";

/// Where a request goes by its method and path. A query and one slash at the end are ignored.
///
/// The names of models and versions are percent-decoded; those of models may have slashes, as such or as `%2F`.
/// The fixed parts of a path must be written as they are. A model whose own name ends like `/invoke` or holds
/// `/versions/` is asked for with that slash as `%2F`.
///
/// # Errors
///
/// See [`Unroutable`].
pub fn destination(method: Method, path: &str) -> Result<Destination<'_>, Unroutable> {
    let path = path.split_once(['?', '#']).map_or(path, |(path, _)| path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if let Some(operation) = Operation::at_path(path) {
        return for_sending(method).map(|()| Destination::Generate(operation));
    }
    check(path)?;
    if let Some(id) = path.strip_prefix(STREAMS) {
        let is_name = !id.is_empty() && !id.contains('/');
        let found =
            if is_name { Destination::Stream { id } } else { return Err(Unroutable::UnknownPath) };
        return for_listening(method).map(|()| found);
    }
    let Some(rest) = path.strip_prefix(MODELS) else { return Err(Unroutable::UnknownPath) };
    if rest.is_empty() {
        return for_reading(method).map(|()| Destination::ListModels);
    }
    let Some(model) = rest.strip_prefix('/') else { return Err(Unroutable::UnknownPath) };
    match model.strip_suffix("/invoke") {
        Some(model) => {
            let found = invoke(model)?;
            for_sending(method).map(|()| found)
        }
        None => {
            let model = name(model)?;
            for_reading(method).map(|()| Destination::DescribeModel { model })
        }
    }
}

/// The path at which a model, by its name upstream, is invoked: the inverse of [`Destination::Invoke`].
#[must_use]
pub fn of_invoke(model: &str, version: Option<&str>) -> String {
    let mut path = String::from(MODELS);
    path.push('/');
    encode(model, &mut path);
    if let Some(version) = version {
        path.push_str(VERSIONS);
        encode(version, &mut path);
    }
    path.push_str("/invoke");
    path
}

/// Whether a path of [`of_invoke`] names a version.
#[must_use]
pub fn has_version(path: &str) -> bool {
    path.contains(VERSIONS)
}

/// Percent-encodes all but the unreserved characters (RFC 3986 section 2.3).
fn encode(text: &str, path: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte));
            }
            _ => {
                path.push('%');
                for digit in [byte >> 4, byte & 15] {
                    path.push(
                        char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase(),
                    );
                }
            }
        }
    }
}

/// `model` or `model/versions/version`.
fn invoke(path: &str) -> Result<Destination<'_>, Unroutable> {
    if let Some((before, version)) = path.rsplit_once('/')
        && let Some(model) = before.strip_suffix("/versions")
    {
        return Ok(Destination::Invoke { model: name(model)?, version: Some(name(version)?) });
    }
    Ok(Destination::Invoke { model: name(path)?, version: None })
}

fn name(encoded: &str) -> Result<Cow<'_, str>, Unroutable> {
    if encoded.is_empty() {
        return Err(Unroutable::UnknownPath);
    }
    decode(encoded)
}

fn for_reading(method: Method) -> Result<(), Unroutable> {
    match method {
        Method::Get | Method::Head => Ok(()),
        _ => Err(Unroutable::WrongMethod { allow: READ }),
    }
}

fn for_listening(method: Method) -> Result<(), Unroutable> {
    match method {
        Method::Get => Ok(()),
        _ => Err(Unroutable::WrongMethod { allow: LISTEN }),
    }
}

fn for_sending(method: Method) -> Result<(), Unroutable> {
    match method {
        Method::Post => Ok(()),
        _ => Err(Unroutable::WrongMethod { allow: SEND }),
    }
}

/// Refuses what nobody sends in good faith, wherever in the path it is.
fn check(path: &str) -> Result<(), Unroutable> {
    let path = decode(path)?;
    if path.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Unroutable::ControlCharacter);
    }
    if path.split(['/', '\\']).any(|segment| segment == "." || segment == "..") {
        return Err(Unroutable::DotSegment);
    }
    Ok(())
}

/// Percent-decoded (RFC 3986 section 2.1); a copy only if there is something to decode.
fn decode(encoded: &str) -> Result<Cow<'_, str>, Unroutable> {
    let Some((plain, _)) = encoded.split_once('%') else { return Ok(Cow::Borrowed(encoded)) };
    let mut decoded = Vec::with_capacity(encoded.len());
    decoded.extend_from_slice(plain.as_bytes());
    let mut bytes = encoded.bytes().skip(plain.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = hex_digit(bytes.next())?;
            let low = hex_digit(bytes.next())?;
            decoded.push(high << 4 | low);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| Unroutable::NotUtf8)
}

fn hex_digit(byte: Option<u8>) -> Result<u8, Unroutable> {
    match byte {
        Some(byte @ b'0'..=b'9') => Ok(byte - b'0'),
        Some(byte @ b'a'..=b'f') => Ok(byte - b'a' + 10),
        Some(byte @ b'A'..=b'F') => Ok(byte - b'A' + 10),
        _ => Err(Unroutable::BadEscape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoke(model: &str, version: Option<&str>) -> Destination<'static> {
        Destination::Invoke {
            model: model.to_owned().into(),
            version: version.map(|version| version.to_owned().into()),
        }
    }

    fn describe(model: &str) -> Destination<'static> {
        Destination::DescribeModel { model: model.to_owned().into() }
    }

    #[test]
    fn operations_are_at_their_paths() {
        for operation in Operation::ALL {
            for end in ["", "/", "?a=/../b", "/?x"] {
                let path = format!("{}{end}", operation.path());
                assert_eq!(
                    destination(Method::Post, &path),
                    Ok(Destination::Generate(operation)),
                    "{path}"
                );
            }
            let wrong = destination(Method::Get, operation.path());
            assert_eq!(wrong, Err(Unroutable::WrongMethod { allow: "POST" }));
        }
    }

    #[test]
    fn models_are_listed_and_described() {
        for method in [Method::Get, Method::Head] {
            assert_eq!(destination(method, "/v1/models"), Ok(Destination::ListModels));
            assert_eq!(destination(method, "/v1/models/"), Ok(Destination::ListModels));
            for (path, model) in [
                ("/v1/models/gpt-4o", "gpt-4o"),
                ("/v1/models/gpt-4o/", "gpt-4o"),
                ("/v1/models/meta-llama/Llama-3", "meta-llama/Llama-3"),
                ("/v1/models/meta-llama%2FLlama-3", "meta-llama/Llama-3"),
                ("/v1/models//data/models/x", "/data/models/x"),
                ("/v1/models/a%40b@2", "a@b@2"),
                ("/v1/models/a%2Finvoke", "a/invoke"),
                ("/v1/models/%E6%A8%A1", "模"),
                ("/v1/models/100%25", "100%"),
            ] {
                assert_eq!(destination(method, path), Ok(describe(model)), "{path}");
            }
        }
        let wrong = Err(Unroutable::WrongMethod { allow: "GET, HEAD" });
        assert_eq!(destination(Method::Post, "/v1/models"), wrong);
        assert_eq!(destination(Method::Delete, "/v1/models/a"), wrong);
    }

    #[test]
    fn a_path_that_is_written_is_read_the_same() {
        for model in ["a", "meta-llama/Llama-3", "模 100%", "a/invoke", "x/versions/1"] {
            for version in [None, Some("1"), Some("a/b")] {
                let path = of_invoke(model, version);
                assert_eq!(destination(Method::Post, &path), Ok(invoke(model, version)), "{path}");
            }
        }
    }

    #[test]
    fn models_are_invoked_by_path() {
        for (path, expected) in [
            ("/v1/models/a/invoke", invoke("a", None)),
            ("/v1/models/a/invoke/", invoke("a", None)),
            ("/v1/models/a/versions/2/invoke", invoke("a", Some("2"))),
            ("/v1/models/o/a/versions/v1%2Fx/invoke?q", invoke("o/a", Some("v1/x"))),
            ("/v1/models/o%2fa/invoke", invoke("o/a", None)),
            ("/v1/models/o/a/invoke", invoke("o/a", None)),
            ("/v1/models/a%2Fversions%2F2/invoke", invoke("a/versions/2", None)),
            ("/v1/models/a/versions/invoke", invoke("a/versions", None)),
            ("/v1/models/invoke/invoke", invoke("invoke", None)),
        ] {
            assert_eq!(destination(Method::Post, path), Ok(expected), "{path}");
            let wrong = destination(Method::Get, path);
            assert_eq!(wrong, Err(Unroutable::WrongMethod { allow: "POST" }), "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_unknown() {
        for path in [
            "",
            "/",
            "*",
            "/v1",
            "/v1/chat",
            "/v1//chat/completions",
            "/v1/chat/completions//",
            "/v1/chat/completions/x",
            "/V1/models",
            "/v1/modelsx",
            "/v1/models//",
            "/v1/models//invoke",
            "/v1/models/a/versions//invoke",
            "/v1/models//versions/2/invoke",
            "/v1/%63hat/completions",
        ] {
            assert_eq!(destination(Method::Post, path), Err(Unroutable::UnknownPath), "{path}");
        }
    }

    #[test]
    fn errors_are_in_the_dialect_of_the_path() {
        assert_eq!(dialect("/v1/messages/count_tokens"), Dialect::Anthropic);
        assert_eq!(dialect("/v1/messages?beta=true"), Dialect::Anthropic);
        assert_eq!(dialect("/v1/messagesx"), Dialect::OpenAi);
        let list = destination(Method::Get, "/v1/models").unwrap();
        assert_eq!((list.dialect(), list.name()), (Dialect::OpenAi, "list_models"));
        let messages = destination(Method::Post, "/v1/messages").unwrap();
        assert_eq!((messages.dialect(), messages.name()), (Dialect::Anthropic, "messages"));
    }

    #[test]
    fn hostile_paths_are_refused() {
        for (path, expected) in [
            ("/v1/models/../chat/completions", Unroutable::DotSegment),
            ("/v1/./models", Unroutable::DotSegment),
            ("/v1/models/%2e%2E/x", Unroutable::DotSegment),
            ("/v1/models/a%2f..%2fb/invoke", Unroutable::DotSegment),
            ("/v1/models/a/..", Unroutable::DotSegment),
            ("/v1/models/a%5c..", Unroutable::DotSegment),
            ("/v1/models/a%00", Unroutable::ControlCharacter),
            ("/v1/models/a%0d%0aX:1/invoke", Unroutable::ControlCharacter),
            ("/v1/models/a%7F", Unroutable::ControlCharacter),
            ("/v1/models/a\n", Unroutable::ControlCharacter),
            ("/v1/models/a%", Unroutable::BadEscape),
            ("/v1/models/a%2", Unroutable::BadEscape),
            ("/v1/models/a%+2", Unroutable::BadEscape),
            ("/nowhere/%zz", Unroutable::BadEscape),
            ("/v1/models/%ff", Unroutable::NotUtf8),
            ("/v1/models/%c0%ae%c0%ae/x", Unroutable::NotUtf8),
        ] {
            assert_eq!(destination(Method::Get, path), Err(expected), "{path}");
            assert_eq!(expected.status(), 400);
        }
        assert_eq!(destination(Method::Get, "/v1/models/..a"), Ok(describe("..a")));
    }
}
