//! Tests of what is read from a body, by example.

use super::*;

fn refusal(body: &str) -> Unreadable {
    peek(body.as_bytes()).expect_err(body)
}

fn model(body: &str) -> String {
    let ask = peek(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error:?}"));
    let text = ask.model.expect(body);
    let written = body.get(text.span.clone()).unwrap();
    assert_eq!(written, format!("\"{}\"", text.raw));
    text.decode().into_owned()
}

/// What a body asks for, wherever that stands.
fn wish(body: &[u8]) -> Ask<'_> {
    Ask { places: Places::default(), ..peek(body).unwrap() }
}

#[test]
fn a_chat_request_is_read() {
    let body = br#"{"messages":[{"role":"user","content":"say \"model\": \\ \u00e9 \ud83d\ude00"}],
        "stream":true,"model":"gpt-4o","max_tokens":5,"max_completion_tokens":100,
        "stream_options":{"x":[{}],"include_usage":false},"user":"u1","n":-1.5e-3}"#;
    let ask = peek(body).unwrap();
    assert_eq!(ask.model.as_ref().unwrap().raw, "gpt-4o");
    assert!(ask.is_stream);
    assert_eq!(ask.max_tokens, Some(100));
    assert_eq!(ask.include_usage, Some(false));
    assert_eq!(ask.user.unwrap().decode(), "u1");
}

#[test]
fn absent_keys_read_as_absent() {
    assert_eq!(wish(b" {} "), Ask::default());
    let nulls = br#"{"stream":null,"max_tokens":null,"stream_options":null,"user":null}"#;
    assert_eq!(wish(nulls), Ask::default());
    assert_eq!(wish(br#"{"stream_options":{"include_usage":null}}"#), Ask::default());
    assert_eq!(peek(b"{}").unwrap().named_model(), Err(Unreadable::ModelMissing));
}

#[test]
fn only_the_outermost_object_counts() {
    let body = br#"{"metadata":{"model":"x","stream":true},"messages":[{"model":1}]}"#;
    assert_eq!(wish(body), Ask::default());
}

#[test]
fn escapes_are_understood_in_keys_and_values() {
    assert_eq!(model(r#"{"mod\u0065l":"a"}"#), "a");
    assert_eq!(
        model(r#"{"model":"meta\u002dllama\/Llama\n\ud83d\ude00é"}"#),
        "meta-llama/Llama\n😀é"
    );
    assert_eq!(
        refusal(r#"{"model":"a","\u006dodel":"b"}"#),
        Unreadable::DuplicateKey { name: "model", offset: 13 }
    );
    let ask = peek(br#"{"stream_options":{"include_us\u0061ge":true}}"#).unwrap();
    assert_eq!(ask.include_usage, Some(true));
}

#[test]
fn keys_that_are_there_twice_are_refused() {
    for (name, value) in [
        ("model", "\"a\""),
        ("stream", "null"),
        ("max_tokens", "1"),
        ("max_completion_tokens", "1"),
        ("max_output_tokens", "1"),
        ("stream_options", "{}"),
        ("user", "\"u\""),
    ] {
        let body = format!("{{\"{name}\":{value},\"x\":0,\"{name}\":{value}}}");
        match refusal(&body) {
            Unreadable::DuplicateKey { name: found, offset } => {
                assert_eq!(found, name);
                assert_eq!(offset, body.rfind(&format!("\"{name}\"")).unwrap());
            }
            other => panic!("{body}: {other:?}"),
        }
    }
    assert!(matches!(
        refusal(r#"{"stream_options":{"include_usage":true,"include_usage":true}}"#),
        Unreadable::DuplicateKey { name: "include_usage", offset: 40 }
    ));
    assert_eq!(wish(br#"{"x":1,"x":2}"#), Ask::default());
}

#[test]
fn keys_in_another_case_are_refused() {
    for (key, name) in [
        ("Model", "model"),
        ("MODEL", "model"),
        ("\\u004dodel", "model"),
        ("\u{17f}tream", "stream"),
        ("max_to\\u212aens", "max_tokens"),
    ] {
        let found = refusal(&format!("{{\"model\":\"a\",\"{key}\":\"b\"}}"));
        assert_eq!(found, Unreadable::MiscasedKey { name, offset: 13 });
    }
    assert_eq!(wish("{\"modèl\":1,\"models\":2,\"mode\":3}".as_bytes()), Ask::default());
}

#[test]
fn types_are_checked() {
    for wrong in ["1", "null", "[]", "{}", "true"] {
        let found = refusal(&format!("{{\"model\":{wrong}}}"));
        assert_eq!(found, Unreadable::ModelNotString { offset: 9 });
    }
    assert_eq!(refusal(r#"{"stream":"true"}"#), Unreadable::StreamNotBoolean { offset: 10 });
    assert_eq!(refusal(r#"{"stream": 1}"#), Unreadable::StreamNotBoolean { offset: 11 });
    assert_eq!(refusal(r#"{"user":7}"#), Unreadable::UserNotString { offset: 8 });
    assert_eq!(
        refusal(r#"{"stream_options":[]}"#),
        Unreadable::StreamOptionsNotObject { offset: 18 }
    );
    assert_eq!(
        refusal(r#"{"stream_options":{"include_usage":1}}"#),
        Unreadable::IncludeUsageNotBoolean { offset: 35 }
    );
}

#[test]
fn token_bounds_are_whole_numbers() {
    let bound = |number: &str| {
        let body = format!("{{\"max_tokens\":{number}}}");
        peek(body.as_bytes()).map(|ask| ask.max_tokens)
    };
    assert_eq!(bound("0"), Ok(Some(0)));
    assert_eq!(bound("18446744073709551615"), Ok(Some(u64::MAX)));
    assert_eq!(bound("100.00"), Ok(Some(100)));
    assert_eq!(bound("-1"), Ok(None));
    let refused = Err(Unreadable::MaxTokensNotNumber { name: "max_tokens", offset: 14 });
    for wrong in ["1.5", "1e3", "18446744073709551616", "\"5\"", "true", "[]", "-0.5"] {
        assert_eq!(bound(wrong), refused, "{wrong}");
    }
}

#[test]
fn any_json_will_do_where_the_path_decides() {
    assert_eq!(peek(b"[1]"), Err(Unreadable::NotAnObject));
    assert_eq!(peek_any(b"[1]").unwrap(), Ask::default());
    let ask = peek_any(br#"{"model":7,"user":{},"stream":true,"stream":false}"#).unwrap();
    assert_eq!(ask, Ask { is_stream: true, places: ask.places.clone(), ..Ask::default() });
    assert!(matches!(peek_any(b"[1"), Err(Unreadable::InvalidJson { offset: 2, .. })));
}

#[test]
fn flaws_are_found_where_they_are() {
    for (body, offset, what) in [
        ("", 0, Syntax::Empty),
        (" \n", 2, Syntax::Empty),
        ("{\"a\":1", 6, Syntax::EndsEarly),
        ("{\"a\":tru", 5, Syntax::EndsEarly),
        ("{\"a\":trux}", 5, Syntax::NoValue),
        ("{'a':1}", 1, Syntax::NoKey),
        ("{\"a\":1,}", 7, Syntax::NoKey),
        ("{\"a\" 1}", 5, Syntax::NoColon),
        ("{\"a\":[1 2]}", 8, Syntax::NoCommaOrBracket),
        ("{\"a\":1 \"b\":2}", 7, Syntax::NoCommaOrBrace),
        ("{\"a\":\"\n\"}", 6, Syntax::ControlCharacter),
        ("{\"a\":\"\\x\"}", 6, Syntax::BadEscape),
        ("{\"a\":\"\\ud800\"}", 6, Syntax::LoneSurrogate),
        ("{\"a\":\"\\udc00\"}", 6, Syntax::LoneSurrogate),
        ("{\"a\":01}", 6, Syntax::BadNumber),
        ("{\"a\":1.}", 7, Syntax::BadNumber),
        ("{\"a\":1e999}", 5, Syntax::NumberTooLarge),
        ("{} {}", 3, Syntax::TrailingText),
        ("{\"a\":[1,]}", 8, Syntax::NoValue),
        ("\u{feff}{}", 0, Syntax::ByteOrderMark),
        ("[1,NaN]", 3, Syntax::NoValue),
    ] {
        assert_eq!(refusal(body), Unreadable::InvalidJson { offset, what }, "{body:?}");
    }
    assert_eq!(
        peek(b"{\"a\":\"\xff\"}"),
        Err(Unreadable::InvalidJson { offset: 6, what: Syntax::NotUtf8 })
    );
}

#[test]
fn depth_is_bounded() {
    let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(peek(nested(126).as_bytes()).is_ok());
    assert_eq!(refusal(&nested(127)), Unreadable::TooDeep { offset: 5 + 126 });
    assert_eq!(refusal(&nested(1_000_000)), Unreadable::TooDeep { offset: 5 + 126 });
}

#[test]
fn what_is_not_json_comes_first() {
    assert!(matches!(refusal(r#"{"model":1"#), Unreadable::InvalidJson { .. }));
    assert_eq!(refusal(r#"{"stream":1,"model":1}"#), Unreadable::StreamNotBoolean { offset: 10 });
}

#[test]
fn explanations_say_where_and_what_to_write() {
    let mut text = String::new();
    refusal(r#"{"model":7}"#).explain(&mut text);
    assert_eq!(text, "\"model\" must be a string (at byte 9): write \"model\": \"NAME\".");
    text.clear();
    refusal("{\"a\":1,}").explain(&mut text);
    assert!(text.starts_with("The body is not valid JSON at byte 7: a key in double"), "{text}");
    assert_eq!(refusal(r#"{"model":7}"#).param(), Some("model"));
    assert_eq!(refusal(r#"{"model":7}"#).code(), "invalid_type");
}
