//! What a request asks of the mock: which shape of answer, for which model, streamed or not, and how.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::behaviour::Behaviour;

/// Which API a request speaks: the shape of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Chat,
    Completion,
    Embeddings,
    Responses,
    Messages,
    Invoke,
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'p> {
    Answer(Shape),
    /// An echo of the body, for the model named in the path.
    Invoke(&'p str),
    Models,
    /// Whether it is alive, as model servers say it.
    Health,
    Stats,
    /// The switch of the fault.
    Behaviour,
    /// The switch of the listener.
    Listener,
    Unknown,
}

/// Finds the place of a path.
pub(super) fn place(path: &str) -> Place<'_> {
    match path {
        "/v1/chat/completions" => Place::Answer(Shape::Chat),
        "/v1/completions" => Place::Answer(Shape::Completion),
        "/v1/embeddings" => Place::Answer(Shape::Embeddings),
        "/v1/responses" => Place::Answer(Shape::Responses),
        "/v1/messages" => Place::Answer(Shape::Messages),
        "/v1/models" => Place::Models,
        "/health" => Place::Health,
        "/mock/stats" => Place::Stats,
        "/mock/behaviour" => Place::Behaviour,
        "/mock/listener" => Place::Listener,
        _ => match path.strip_prefix("/v1/models/").and_then(|rest| rest.strip_suffix("/invoke")) {
            Some(model) if !model.is_empty() => Place::Invoke(model),
            _ => Place::Unknown,
        },
    }
}

/// What the body says that matters here.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ask {
    pub(super) shape: Shape,
    pub(super) model: String,
    pub(super) is_stream: bool,
    pub(super) include_usage: bool,
    /// The end of the conversation so far, for the friendly answer; empty if nobody will read it.
    pub(super) prompt: String,
    pub(super) behaviour: Behaviour,
}

/// Reads a body.
///
/// # Errors
/// What is wrong with it, for the client.
pub(super) fn read(shape: Shape, body: &[u8], behaviour: Behaviour) -> Result<Ask, String> {
    let sketch: Sketch<'_> =
        serde_json::from_slice(body).map_err(|error| format!("the body is not usable: {error}"))?;
    let is_friendly = behaviour.events.is_none() && behaviour.bytes.is_none();
    Ok(Ask {
        shape,
        model: sketch.model.map_or_else(|| "mock".to_owned(), Cow::into_owned),
        is_stream: sketch.stream.unwrap_or(false) && shape != Shape::Embeddings,
        include_usage: sketch.stream_options.is_some_and(|options| options.include_usage),
        prompt: if is_friendly { prompt(body) } else { String::new() },
        behaviour,
    })
}

#[derive(Deserialize)]
struct Sketch<'b> {
    #[serde(borrow)]
    model: Option<Cow<'b, str>>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
struct Conversation {
    #[serde(default)]
    messages: Vec<Message>,
    prompt: Option<Content>,
    input: Option<Content>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Text { text: String },
    Message { content: Content },
    Plain(String),
    Other(IgnoredAny),
}

impl Content {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts.into_iter().map(Part::text).collect::<Vec<_>>().join(" "),
            Self::Other(_) => String::new(),
        }
    }
}

impl Part {
    fn text(self) -> String {
        match self {
            Self::Text { text } | Self::Plain(text) => text,
            Self::Message { content } => content.text(),
            Self::Other(_) => String::new(),
        }
    }
}

/// The last thing the user said, whatever API it was said to.
fn prompt(body: &[u8]) -> String {
    let Ok(conversation) = serde_json::from_slice::<Conversation>(body) else {
        return String::new();
    };
    let said = conversation.messages.into_iter().rfind(|message| message.role == "user");
    said.and_then(|message| message.content)
        .or(conversation.prompt)
        .or(conversation.input)
        .map_or_else(String::new, Content::text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(body: &str) -> Result<Ask, String> {
        read(Shape::Chat, body.as_bytes(), Behaviour::default())
    }

    #[test]
    fn the_last_words_of_the_user_are_found() {
        let chat = ask(r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},
            "messages":[{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":"b\n"}]},
            {"role":"assistant","content":null}]}"#)
        .unwrap();
        assert!(chat.is_stream && chat.include_usage);
        assert_eq!((chat.model.as_str(), chat.prompt.as_str()), ("m", "b\n"));
        assert_eq!(ask(r#"{"prompt":"p"}"#).unwrap().prompt, "p");
        assert_eq!(ask(r#"{"input":[{"role":"user","content":"x"}]}"#).unwrap().prompt, "x");
        assert!(ask("{").is_err());
    }

    #[test]
    fn paths_have_their_places() {
        assert_eq!(place("/v1/models/a%2Fb/invoke"), Place::Invoke("a%2Fb"));
        assert_eq!(place("/v1/models"), Place::Models);
        assert_eq!(place("/v1/models//invoke"), Place::Unknown);
        assert_eq!(place("/v2"), Place::Unknown);
    }
}
