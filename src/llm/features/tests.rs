//! Features: counted by hand, and against serde_json on bodies made at random.

use super::oracle::check;
use super::*;

const CHAT: &str = r#"{"model":"m","messages":[{"role":"system","content":"You are terse."},
    {"role":"user","content":"Hello?"}],"user":"u-1","tools":[{"type":"function"}]}"#;

#[test]
fn a_prompt_that_begins_alike_has_the_same_number() {
    check(CHAT.as_bytes());
    let number = |body: &str, bytes| prompt_fingerprint(body.as_bytes(), bytes);
    let other = CHAT.replace("Hello?", "Good bye, and thanks.").replace("\"m\"", "\"another\"");
    assert_eq!(number(CHAT, 64), number(&other, 64));
    assert_ne!(number(CHAT, 200), number(&other, 200));
    assert_ne!(number(CHAT, 64), number(CHAT, 65));
    // What stands in front or behind, or is written as white space around, does not matter.
    let bare = r#"{"messages":[1,2,3]}"#;
    let dressed = r#"{"a":{"messages":[4]}, "messages" :  [1,2,3]  , "z":[]}"#;
    assert_eq!(number(bare, 100), number(dressed, 100));
    assert_eq!(number(bare, 100), number(r#"{"mess\u0061ges":[1,2,3]}"#, 100));
}

#[test]
fn the_parts_of_a_prompt_count_in_their_order_until_the_bytes_are_used_up() {
    let number = |body: &str, bytes| prompt_fingerprint(body.as_bytes(), bytes);
    let messages = r#"{"system":"1234","max_tokens":7,"messages":["a"]}"#;
    assert_eq!(number(messages, 6), number(r#"{"prompt":"1234"}"#, 6));
    assert_eq!(number(messages, 8), number(r#"{"prompt":"1234","input":["b"]}"#, 8));
    assert_ne!(number(messages, 9), number(r#"{"prompt":"1234","input":["b"]}"#, 9));
    assert_ne!(number(messages, 100), number(r#"{"messages":["a"],"system":"1234"}"#, 100));
    for none in ["{}", r#"{"model":"m"}"#, r#"{"Messages":[]}"#, "[]", "7", r#"{"x":{"input":1}}"#]
    {
        assert_eq!(number(none, 8), None, "{none}");
    }
}

#[test]
fn the_numbers_stay_the_same_from_version_to_version() {
    // Several gateways are to agree, also while one of them is replaced.
    assert_eq!(prompt_fingerprint(CHAT.as_bytes(), 64), Some(0x798b_13c2_6822_0cf0));
    assert_eq!(user(CHAT.as_bytes()), Some(0xc03f_d59d_32f1_a672));
}

#[test]
fn no_more_is_read_than_is_needed() {
    // Behind the beginning there may be anything: it has been read before.
    let cut = r#"{"messages":["0123456789", and then no JSON"#;
    assert!(prompt_fingerprint(cut.as_bytes(), 13).is_some());
    assert_eq!(prompt_fingerprint(cut.as_bytes(), 100), None);
    assert!(user(br#"{"user":"u", and then no JSON"#).is_some());
    assert!(user(br#"{"metadata":{"user_id":"u", and then no JSON"#).is_some());
}

#[test]
fn a_prompt_far_behind_is_found() {
    for letter in ["x", "é", "模", "😀", "\\u00e9"] {
        for length in (WINDOW_BYTES - 60..WINDOW_BYTES + 60).chain([20_000, 70_001]) {
            let filler = letter.repeat(length / letter.len());
            let front = format!(r#"{{"filler":"{filler}","messages":["{letter}", 1.5e-3, true]}}"#);
            let behind =
                format!(r#"{{"messages":["{letter}", 1.5e-3, true],"filler":"{filler}"}}"#);
            for bytes in [1, 4, 11, 14, 17, 20, 100] {
                let expected = prompt_fingerprint(behind.as_bytes(), bytes);
                assert!(expected.is_some());
                assert_eq!(
                    prompt_fingerprint(front.as_bytes(), bytes),
                    expected,
                    "{letter} {length}"
                );
            }
            let itself = format!(r#"{{"prompt":"{filler}"}}"#);
            let beginning =
                format!(r#"{{"prompt":"{}{letter}"}}"#, filler.get(..7 * letter.len()).unwrap());
            let bytes = 6 * letter.len();
            let number = prompt_fingerprint(itself.as_bytes(), bytes);
            assert_eq!(number, prompt_fingerprint(beginning.as_bytes(), bytes));
            assert_ne!(number, prompt_fingerprint(itself.as_bytes(), filler.len()));
        }
    }
    let blank = format!("{}{{\"prompt\":1}}", " ".repeat(3 * WINDOW_BYTES));
    assert_eq!(prompt_fingerprint(blank.as_bytes(), 1), prompt_fingerprint(b"{\"prompt\":1}", 1));
}

#[test]
fn tools_are_noticed_wherever_they_may_be_meant() {
    for some in [
        CHAT,
        r#"{"tools":[1]}"#,
        r#"{"functions":[ {} ]}"#,
        r#"{"tools":[],"functions":[0]}"#,
        r#"{"t\u006fols":[{}]}"#,
        // Servers that ignore the case would see tools.
        r#"{"Tools":[{}]}"#,
        r#"{"toolſ":[{}]}"#,
        // What cannot be read is not known to have none.
        r#"{"a":1"#,
        "{} 1",
        "",
    ] {
        assert!(has_tools(some.as_bytes()), "{some}");
    }
    for none in [
        "{}",
        r#"{"tools":[]}"#,
        r#"{"tools":[ ]}"#,
        r#"{"tools":null,"functions":{"a":[1]}}"#,
        r#"{"tools":"[1]"}"#,
        r#"{"messages":[{"tools":[1]}]}"#,
        "[1]",
    ] {
        assert!(!has_tools(none.as_bytes()), "{none}");
    }
}

#[test]
fn users_are_told_apart_and_recognised() {
    let known = user(br#"{"user":"ann"}"#);
    assert!(known.is_some());
    for same in [
        r#"{"user":"\u0061nn"}"#,
        r#"{"metadata":{"a":[],"user_id":"ann"}}"#,
        r#"{"metadata":{"user_id":7,"x":{"user_id":"bob"}},"user":"ann"}"#,
        r#"{"user":"ann","metadata":{"user_id":"bob"}}"#,
        r#"{"metadata":{"user_id":"ann"},"user":"bob"}"#,
        r#"{"user":null,"metadata":{"user_id":"ann"}}"#,
    ] {
        assert_eq!(user(same.as_bytes()), known, "{same}");
    }
    for other in
        [r#"{"user":"bob"}"#, r#"{"user":"ann "}"#, r#"{"user":""}"#, r#"{"user":"ann\u0000"}"#]
    {
        assert!(user(other.as_bytes()).is_some());
        assert_ne!(user(other.as_bytes()), known, "{other}");
    }
    for none in
        ["{}", r#"{"user":["ann"]}"#, r#"{"metadata":"ann"}"#, r#"{"user_id":"ann"}"#, "\"ann\""]
    {
        assert_eq!(user(none.as_bytes()), None, "{none}");
    }
}

#[test]
fn how_the_bytes_are_cut_makes_no_difference() {
    let bytes: Vec<u8> = (0..=100).collect();
    for length in 0..bytes.len() {
        let mut whole = Fingerprint::default();
        whole.add(&bytes[..length]);
        for step in 1..20 {
            let mut parts = Fingerprint::default();
            bytes[..length].chunks(step).for_each(|part| parts.add(part));
            assert_eq!(parts.finish(), whole.finish(), "{length} in steps of {step}");
        }
    }
    // Zeros count.
    let numbers: std::collections::HashSet<u64> = (0..100)
        .map(|length| {
            let mut sum = Fingerprint::default();
            sum.add(&vec![0; length]);
            sum.finish()
        })
        .collect();
    assert_eq!(numbers.len(), 100);
}

/// A small generator of numbers that look random (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound as u64).unwrap()
    }
}

const KEYS: &[&str] = &[
    "system",
    "messages",
    "prompt",
    "input",
    "instructions",
    "tools",
    "functions",
    "user",
    "metadata",
    "user_id",
    "Tools",
    "toolſ",
    "function\\u0073",
    "us\\u0065r",
    "Input",
    "in",
    "model",
];
const SCALARS: &[&str] = &[
    "null",
    "true",
    "-1.5e3",
    "0",
    "\"\"",
    "\"a\"",
    "\"\\u00e9 é \\\"\"",
    "\"[1]\"",
    "\"a, b: {}\"",
];

fn write_object(dice: &mut Dice, depth: usize, out: &mut String) {
    out.push('{');
    for index in 0..dice.below(6) {
        out.push_str(if index == 0 { "" } else { "," });
        out.push_str(["", " ", "\n\t"][dice.below(3)]);
        out.push_str(&format!("\"{}\"", KEYS[dice.below(KEYS.len())]));
        out.push_str([":", " : ", ":\r\n"][dice.below(3)]);
        write_value(dice, depth, out);
        out.push_str(["", " "][dice.below(2)]);
    }
    out.push('}');
}

fn write_value(dice: &mut Dice, depth: usize, out: &mut String) {
    match dice.below(if depth == 0 { 3 } else { 6 }) {
        0..=2 => out.push_str(SCALARS[dice.below(SCALARS.len())]),
        3 => write_object(dice, depth - 1, out),
        _ => {
            out.push('[');
            for index in 0..dice.below(4) {
                out.push_str(if index == 0 { "" } else { " ," });
                write_value(dice, depth - 1, out);
            }
            out.push_str(["]", " ]"][dice.below(2)]);
        }
    }
}

#[test]
fn bodies_made_at_random_are_read_as_serde_json_reads_them() {
    let mut dice = Dice(44);
    let mut objects = 0;
    for _ in 0..8000 {
        let mut text = String::new();
        write_object(&mut dice, 3, &mut text);
        assert!(check(text.as_bytes()), "{text}");
        let mut body = text.into_bytes();
        for _ in 0..3 {
            let at = dice.below(body.len());
            match dice.below(3) {
                0 => body.truncate(at + 1),
                1 => body[at] = b"{}[]\",: \\0a\xc3"[dice.below(12)],
                _ => drop(body.remove(at)),
            }
            if body.is_empty() {
                break;
            }
            objects += usize::from(check(&body));
        }
    }
    assert!(objects > 2000, "{objects}");
}
