//! The request for the rest of an answer: the same one, with what was said so far as its last message.

use std::borrow::Cow;

use super::Why;
use super::ask::Ask;
use super::ask::Flag;
use crate::llm::edit;
use crate::llm::edit::Edit;
use crate::llm::rewrite;

/// Appends the request for the rest of an answer, of which `text` was said in `tokens`, to `out`. Nothing was said: the same
/// request again.
pub(super) fn continued(
    body: &[u8],
    text: &str,
    tokens: u32,
    out: &mut Vec<u8>,
) -> Result<(), Why> {
    let ask = Ask::read(body).map_err(|_| Why::Unreadable)?;
    if let Some(why) = ask.why {
        return Err(why);
    }
    if text.is_empty() {
        out.extend_from_slice(body);
        return Ok(());
    }
    let (end, has_message) = ask.messages.ok_or(Why::Unreadable)?;
    let mut message = Vec::with_capacity(text.len() + 64);
    if has_message {
        message.push(b',');
    }
    message.extend_from_slice(b"{\"role\":\"assistant\",\"content\":");
    rewrite::quote(text, &mut message);
    message.push(b'}');
    let mut edits = vec![put(end, message)];
    for (most, span) in ask.maxima {
        let left = most.checked_sub(tokens).filter(|left| *left > 0).ok_or(Why::UsedUp)?;
        edits.push(Edit { span, with: Cow::Owned(left.to_string().into_bytes()) });
    }
    for (flag, name, value) in [
        (Flag::Continue, "\"continue_final_message\":", "true"),
        (Flag::Prompt, "\"add_generation_prompt\":", "false"),
    ] {
        let mut spans = ask.flags.iter().filter(|(found, _)| *found == flag).peekable();
        if spans.peek().is_none() {
            edits.push(put(ask.members, format!("{name}{value},").into_bytes()));
        }
        edits.extend(spans.map(|(_, span)| Edit::new(span.clone(), value.as_bytes())));
    }
    edit::sort(&mut edits);
    edit::apply(body, &edits, out);
    Ok(())
}

fn put(at: usize, bytes: Vec<u8>) -> Edit<'static> {
    Edit { span: at..at, with: Cow::Owned(bytes) }
}
