//! Messages of OpenAI's as Ollama takes them: content in one string, images beside it, tools by name.

use std::borrow::Cow;

use crate::llm::rewrite::quote;
use crate::llm::scan::Flaw;
use crate::llm::scan::Scan;
use crate::llm::scan::Text;
use crate::llm::stream::json;
use crate::llm::stream::json::is;
use crate::llm::stream::ollama::Arguments;
use crate::llm::stream::ollama::Call;
use crate::llm::stream::translate::Untranslatable;

/// One message.
#[derive(Default)]
struct Message<'b> {
    role: Option<Text<'b>>,
    /// The texts of its content, as they stand between their quotes.
    texts: Vec<&'b str>,
    images: Vec<Cow<'b, str>>,
    thinking: Option<Text<'b>>,
    calls: Vec<Call<'b>>,
    tool_call_id: Option<Text<'b>>,
    name: Option<Text<'b>>,
    /// The key of what Ollama does not have.
    refused: Option<&'static str>,
}

/// Appends the array `messages`.
pub(super) fn write(messages: &[u8], out: &mut Vec<u8>) -> Result<(), Untranslatable> {
    let messages = read(messages).map_err(|_| Untranslatable::NotItsFormat)?;
    out.push(b'[');
    for (index, message) in messages.iter().enumerate() {
        if let Some(key) = message.refused {
            return Err(Untranslatable::Asks(key));
        }
        if index > 0 {
            out.push(b',');
        }
        message.write(&messages, out)?;
    }
    out.push(b']');
    Ok(())
}

fn read(bytes: &[u8]) -> Result<Vec<Message<'_>>, Flaw> {
    let mut messages = Vec::new();
    let mut scan = Scan::new(bytes)?;
    json::items(&mut scan, |scan| {
        let mut message = Message::default();
        json::members(scan, |key, scan| message.read(key, bytes, scan))?;
        messages.push(message);
        Ok(())
    })?;
    Ok(messages)
}

impl<'b> Message<'b> {
    fn read(&mut self, key: &Text<'b>, bytes: &'b [u8], scan: &mut Scan<'b>) -> Result<(), Flaw> {
        if is(key, "role") {
            self.role = json::text(scan)?;
        } else if is(key, "content") {
            self.texts.clear();
            self.images.clear();
            if scan.is_at_array() {
                json::items(scan, |scan| self.read_part(scan))?;
            } else {
                self.texts.extend(json::text(scan)?.map(|text| text.raw));
            }
        } else if is(key, "reasoning") || is(key, "reasoning_content") {
            self.thinking = json::text(scan)?;
        } else if is(key, "tool_calls") {
            self.calls.clear();
            json::items(scan, |scan| {
                self.calls.push(Call::read(bytes, scan)?);
                Ok(())
            })?;
        } else if is(key, "tool_call_id") {
            self.tool_call_id = json::text(scan)?;
        } else if is(key, "name") {
            self.name = json::text(scan)?;
        } else {
            scan.skip()?;
        }
        Ok(())
    }

    /// A part of a content that is an array.
    fn read_part(&mut self, scan: &mut Scan<'b>) -> Result<(), Flaw> {
        let (mut kind, mut text, mut url) = (None, None, None);
        json::members(scan, |key, scan| {
            if is(key, "type") {
                kind = json::text(scan)?;
            } else if is(key, "text") {
                text = json::text(scan)?;
            } else if is(key, "image_url") && scan.is_at_object() {
                url = json::text_in(scan, "url")?;
            } else if is(key, "image_url") {
                url = json::text(scan)?;
            } else {
                scan.skip()?;
            }
            Ok(())
        })?;
        match kind.as_ref().map(Text::decode).as_deref() {
            Some("text") => self.texts.extend(text.map(|text| text.raw)),
            Some("image_url") => match url.as_ref().and_then(image) {
                Some(image) => self.images.push(image),
                None => self.refused = Some("image_url"),
            },
            _ => self.refused = Some("content"),
        }
        Ok(())
    }

    fn write(&self, all: &[Self], out: &mut Vec<u8>) -> Result<(), Untranslatable> {
        let role = self.role.as_ref().ok_or(Untranslatable::Asks("role"))?.decode();
        // Templates of models know no developers.
        let role = if role == "developer" { "system" } else { &*role };
        out.extend_from_slice(b"{\"role\":");
        quote(role, out);
        out.extend_from_slice(b",\"content\":\"");
        for (index, text) in self.texts.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b"\\n");
            }
            out.extend_from_slice(text.as_bytes());
        }
        out.push(b'"');
        for (index, image) in self.images.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b",\"images\":[" } else { b"," });
            quote(image, out);
        }
        if !self.images.is_empty() {
            out.push(b']');
        }
        if let Some(thinking) = &self.thinking {
            out.extend_from_slice(b",\"thinking\":");
            quote(&thinking.decode(), out);
        }
        for (index, call) in self.calls.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b",\"tool_calls\":[" } else { b"," });
            write_call(call, out)?;
        }
        if !self.calls.is_empty() {
            out.push(b']');
        }
        if role == "tool" {
            if let Some(id) = &self.tool_call_id {
                out.extend_from_slice(b",\"tool_call_id\":");
                quote(&id.decode(), out);
            }
            let called = self.tool_call_id.as_ref().and_then(|id| name_of(&id.decode(), all));
            if let Some(name) = self.name.as_ref().map(Text::decode).or(called) {
                out.extend_from_slice(b",\"tool_name\":");
                quote(&name, out);
            }
        }
        out.push(b'}');
        Ok(())
    }
}

/// The name of the tool that was called with this id; of two the last.
fn name_of<'b>(id: &str, messages: &[Message<'b>]) -> Option<Cow<'b, str>> {
    let mut calls = messages.iter().rev().flat_map(|message| &message.calls);
    let call = calls.find(|call| call.id.as_ref().is_some_and(|other| other.decode() == id))?;
    call.name.as_ref().map(Text::decode)
}

/// Arguments are a string at OpenAI, an object here.
fn write_call(call: &Call<'_>, out: &mut Vec<u8>) -> Result<(), Untranslatable> {
    const KEY: Untranslatable = Untranslatable::Asks("arguments");
    out.push(b'{');
    if let Some(id) = &call.id {
        out.extend_from_slice(b"\"id\":");
        quote(&id.decode(), out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"function\":{\"name\":");
    quote(&call.name.as_ref().map(Text::decode).unwrap_or_default(), out);
    out.extend_from_slice(b",\"arguments\":");
    match &call.arguments {
        Arguments::None => out.extend_from_slice(b"{}"),
        Arguments::Json(json) => out.extend_from_slice(json.as_bytes()),
        Arguments::Text(text) => {
            let text = text.decode();
            let mut scan = Scan::new(text.as_bytes()).map_err(|_| KEY)?;
            if !scan.is_at_object() {
                return Err(KEY);
            }
            scan.skip().and_then(|()| scan.finish()).map_err(|_| KEY)?;
            out.extend_from_slice(text.as_bytes());
        }
    }
    out.extend_from_slice(b"}}");
    Ok(())
}

/// The bytes of an image that is in its address, in base 64. Ollama fetches none.
fn image<'b>(url: &Text<'b>) -> Option<Cow<'b, str>> {
    let bytes_of = |url: &str| {
        let (kind, _) = url.strip_prefix("data:")?.split_once(";base64,")?;
        (kind.is_empty() || kind.starts_with("image/")).then(|| "data:;base64,".len() + kind.len())
    };
    match url.decode() {
        Cow::Borrowed(url) => bytes_of(url).and_then(|at| url.get(at..)).map(Cow::Borrowed),
        Cow::Owned(url) => {
            bytes_of(&url).and_then(|at| url.get(at..)).map(|data| Cow::Owned(data.to_owned()))
        }
    }
}
