//! How many tokens something is when nobody has counted them: rough, cheap, and never nothing for something.

/// Bytes of text that make a token, for languages and models together: what OpenAI names as a rule of thumb.
const TOKEN_BYTES: u64 = 4;
/// Bytes of an event of a stream that are not its text: names, ids, braces.
const EVENT_BYTES: u64 = 256;

/// Tokens of a request whose body is so long: one for each 4 bytes, rounded up. It counts the keys of the JSON too,
/// and so is rather too much than too little for text; an image or a sound within the body is far too much.
#[must_use]
pub const fn input_tokens(body_bytes: u64) -> u64 {
    body_bytes.div_ceil(TOKEN_BYTES)
}

/// Tokens of the part of an answer that went down before it broke off: one for each event, as servers that stream
/// write them, and one for each 4 bytes of text beyond 256 bytes an event. Of an answer that is no stream, one for each
/// 4 bytes.
#[must_use]
pub const fn relayed_tokens(events: u64, content_bytes: u64) -> u64 {
    let beyond = content_bytes.saturating_sub(events.saturating_mul(EVENT_BYTES));
    events.saturating_add(beyond.div_ceil(TOKEN_BYTES))
}

/// Tokens of an answer of which so many pieces have come, with so many bytes of text in all: one for each piece, as servers that
/// stream write them, or one for each 4 bytes where that is more.
#[must_use]
pub const fn said_tokens(pieces: u64, text_bytes: u64) -> u64 {
    let by_length = text_bytes.div_ceil(TOKEN_BYTES);
    if pieces > by_length { pieces } else { by_length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_never_nothing() {
        assert_eq!([0, 1, 4, 5, 4096].map(input_tokens), [0, 1, 1, 2, 1024]);
        assert_eq!(relayed_tokens(0, 0), 0);
        assert_eq!(relayed_tokens(0, 10), 3);
        assert_eq!(relayed_tokens(10, 1500), 10);
        assert_eq!(relayed_tokens(1, 1256), 251);
        assert_eq!(relayed_tokens(u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(
            [(0, 0), (1, 1), (3, 5), (3, 13)].map(|(n, bytes)| said_tokens(n, bytes)),
            [0, 1, 3, 4]
        );
    }
}
