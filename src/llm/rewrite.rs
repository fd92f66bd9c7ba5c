//! Text as JSON writes it.

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
    fn quoted_text_reads_back() {
        let text: String = (0..0x300).chain(0x2020..0x2030).filter_map(char::from_u32).collect();
        let mut out = Vec::new();
        quote(&text, &mut out);
        assert!(out.iter().all(|&byte| byte >= 0x20 && byte != 0x7f));
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }
}
