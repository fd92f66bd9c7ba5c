//! Changes to a body on its way up; every byte that is not changed stays as it came.

use std::ops::Range;

/// Appends `body` to `out` with the model at `span` (quotes included) replaced by `model_json` (quoted and escaped).
///
/// # Panics
///
/// If `span` is not within `body`: it must come from a peek at the same body.
pub fn model(body: &[u8], span: &Range<usize>, model_json: &[u8], out: &mut Vec<u8>) {
    assert!(span.start <= span.end && span.end <= body.len(), "the span is of another body");
    let (before, rest) = body.split_at(span.start);
    let (_, after) = rest.split_at(span.end - span.start);
    out.reserve(before.len() + model_json.len() + after.len());
    out.extend_from_slice(before);
    out.extend_from_slice(model_json);
    out.extend_from_slice(after);
}

/// Appends `text` to `out` as a JSON string, with quotes (RFC 8259 section 7). Besides what must be escaped, the
/// line separators U+2028 and U+2029 are, which some readers of event streams take for line ends.
pub fn quote(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut utf8 = [0; 4];
    for letter in text.chars() {
        match letter {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\0'..='\u{1f}' | '\u{7f}' | '\u{2028}' | '\u{2029}' => code_unit(letter, out),
            _ => out.extend_from_slice(letter.encode_utf8(&mut utf8).as_bytes()),
        }
    }
    out.push(b'"');
}

fn code_unit(letter: char, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        let digit = char::from_digit((u32::from(letter) >> shift) & 0xf, 16).unwrap_or('0');
        out.extend(digit.encode_utf8(&mut [0; 4]).bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_model_changes() {
        let body = br#"{ "messages":[], "model" : "a" , "x":1.50}"#;
        let ask = crate::llm::request::peek(body).unwrap();
        let mut out = b"kept ".to_vec();
        model(body, &ask.model.unwrap().span, br#""org/b""#, &mut out);
        assert_eq!(out, br#"kept { "messages":[], "model" : "org/b" , "x":1.50}"#);
    }

    #[test]
    #[should_panic(expected = "another body")]
    fn a_span_of_another_body_is_a_bug() {
        model(b"{}", &(1..9), b"\"a\"", &mut Vec::new());
    }

    #[test]
    fn quoted_text_reads_back() {
        let text: String = (0..0x300).chain(0x2020..0x2030).filter_map(char::from_u32).collect();
        let mut out = Vec::new();
        quote(&text, &mut out);
        assert!(out.iter().all(|&byte| byte >= 0x20 && byte != 0x7f));
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }
}
