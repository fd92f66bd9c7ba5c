//! Changes to a body on its way up: which bytes give way to which. Every byte outside of them stays as it came.

use std::borrow::Cow;
use std::ops::Range;

use crate::llm::request::Ask;

/// Some bytes of a body, and what goes up in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit<'a> {
    /// The bytes that give way, as offsets into the body. Empty where something is only put in.
    pub span: Range<usize>,
    /// What goes up instead. Empty where something is only taken out.
    pub with: Cow<'a, [u8]>,
}

impl<'a> Edit<'a> {
    /// `with` instead of what is at `span`.
    #[must_use]
    pub const fn new(span: Range<usize>, with: &'a [u8]) -> Self {
        Self { span, with: Cow::Borrowed(with) }
    }
}

/// Puts edits of one body into the order in which they go up. At one place, what is put in comes before what is
/// changed; what is put in there twice keeps its order.
pub fn sort(edits: &mut [Edit<'_>]) {
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
}

/// The body as it goes up, piece by piece; some of the pieces are empty. `edits` must be sorted and must not overlap.
pub fn pieces<'a>(body: &'a [u8], edits: &'a [Edit<'_>]) -> impl Iterator<Item = &'a [u8]> {
    let ends = edits.iter().map(|edit| edit.span.end);
    let starts = edits.iter().map(|edit| edit.span.start).chain([body.len()]);
    let kept = [0].into_iter().chain(ends).zip(starts);
    let put = edits.iter().map(|edit| &*edit.with).chain([b"".as_slice()]);
    kept.zip(put).flat_map(|((start, end), with)| {
        debug_assert!(start <= end && end <= body.len(), "edits overlap, or are of another body");
        [body.get(start..end).unwrap_or_default(), with]
    })
}

/// Length of the body as it goes up, in bytes.
#[must_use]
pub fn length(body: &[u8], edits: &[Edit<'_>]) -> usize {
    edits.iter().fold(body.len(), |length, edit| {
        (length + edit.with.len()).saturating_sub(edit.span.end.saturating_sub(edit.span.start))
    })
}

/// Appends the body as it goes up to `out`. `edits` must be sorted and must not overlap.
pub fn apply(body: &[u8], edits: &[Edit<'_>], out: &mut Vec<u8>) {
    out.reserve(length(body, edits));
    pieces(body, edits).for_each(|piece| out.extend_from_slice(piece));
}

/// What has the server of a stream say at its end how many tokens it was (`stream_options.include_usage`), for a body
/// of the operations `chat` and `text_completion` that `ask` was read from. `None` if it asks for that already, or
/// names no model and so cannot go up.
///
/// It can stand beside the edits of [`normalize`](crate::llm::normalize::normalize) of the same body.
#[must_use]
pub fn include_usage(ask: &Ask<'_>) -> Option<Edit<'static>> {
    const OPTIONS: &[u8] = br#"{"include_usage":true}"#;
    if ask.include_usage == Some(true) {
        return None;
    }
    // The model is a member that nobody takes out: what is put in before the first member has one behind it.
    ask.model.as_ref()?;
    let places = &ask.places;
    Some(match (&places.include_usage, &places.stream_options) {
        (Some(flag), _) => Edit::new(flag.clone(), b"true"),
        (None, Some(options)) if places.is_options_null => Edit::new(options.clone(), OPTIONS),
        (None, Some(options)) => {
            let inside = options.start + 1;
            let member: &[u8] = if places.is_options_empty {
                br#""include_usage":true"#
            } else {
                br#""include_usage":true,"#
            };
            Edit::new(inside..inside, member)
        }
        (None, None) => {
            let member = br#""stream_options":{"include_usage":true},"#;
            Edit::new(places.members..places.members, member)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::request::peek;
    use serde_json::Value;

    fn applied(body: &[u8], edits: &[Edit<'_>]) -> String {
        let mut out = b"kept ".to_vec();
        apply(body, edits, &mut out);
        assert_eq!(length(body, edits) + 5, out.len());
        String::from_utf8(out.split_off(5)).unwrap()
    }

    #[test]
    fn no_edit_leaves_every_byte() {
        for body in ["", "{}", " { \"a\" : [1.50] } "] {
            assert_eq!(applied(body.as_bytes(), &[]), body);
        }
    }

    #[test]
    fn only_the_model_changes() {
        let body = br#"{ "messages":[], "model" : "a" , "x":1.50}"#;
        let span = peek(body).unwrap().model.unwrap().span;
        let edit = Edit::new(span, br#""org/b""#);
        assert_eq!(applied(body, &[edit]), r#"{ "messages":[], "model" : "org/b" , "x":1.50}"#);
    }

    #[test]
    fn edits_go_up_in_their_order() {
        let mut edits = [
            Edit::new(4..5, b""),
            Edit::new(1..3, b"longer"),
            Edit::new(1..1, b"+"),
            Edit::new(1..1, b"-"),
            Edit::new(6..6, b"!"),
        ];
        sort(&mut edits);
        assert_eq!(applied(b"abcdef", &edits), "a+-longerdf!");
    }

    #[test]
    #[should_panic(expected = "another body")]
    #[cfg(debug_assertions)]
    fn a_span_of_another_body_is_a_bug() {
        apply(b"{}", &[Edit::new(1..9, b"a")], &mut Vec::new());
    }

    #[test]
    fn usage_is_asked_for_once() {
        let rows = [
            (r#"{"model":"m"}"#, r#"{"stream_options":{"include_usage":true},"model":"m"}"#),
            (
                "\n{ \"stream\" : true ,\"model\":\"m\"}",
                "\n{\"stream_options\":{\"include_usage\":true}, \"stream\" : true ,\"model\":\"m\"}",
            ),
            (
                r#"{"model":"m","stream_options":null}"#,
                r#"{"model":"m","stream_options":{"include_usage":true}}"#,
            ),
            (
                r#"{"model":"m","stream_options": { } }"#,
                r#"{"model":"m","stream_options": {"include_usage":true } }"#,
            ),
            (
                r#"{"stream_options":{"include_obfuscation":false},"model":"m"}"#,
                r#"{"stream_options":{"include_usage":true,"include_obfuscation":false},"model":"m"}"#,
            ),
            (
                r#"{"model":"m","stream_options":{"include_usage" : false}}"#,
                r#"{"model":"m","stream_options":{"include_usage" : true}}"#,
            ),
            (
                r#"{"stre\u0061m_options":{"a":{"include_usage":true},"include_\u0075sage":null},"model":"m"}"#,
                r#"{"stre\u0061m_options":{"a":{"include_usage":true},"include_\u0075sage":true},"model":"m"}"#,
            ),
        ];
        for (body, expected) in rows {
            let edit = include_usage(&peek(body.as_bytes()).unwrap()).unwrap();
            let text = applied(body.as_bytes(), &[edit]);
            assert_eq!(text, expected);
            let tree: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(tree["stream_options"]["include_usage"], Value::Bool(true));
            assert_eq!(include_usage(&peek(text.as_bytes()).unwrap()), None);
        }
        assert_eq!(include_usage(&peek(b"{}").unwrap()), None, "it names no model");
    }
}
