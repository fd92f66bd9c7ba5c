//! The same bodies through `peek` and through serde_json: thousands made at random from a seed, whole and damaged.

use super::oracle::check;

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
        usize::try_from(self.roll() % bound.max(1) as u64).unwrap()
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

const KEYS: &[&str] = &[
    "model",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "stream_options",
    "user",
    "include_usage",
    "messages",
    "mod\\u0065l",
    "\\u0073tream",
    "Model",
    "STREAM",
    "ſtream",
    "max_to\\u212aens",
    "modèl",
    "",
    "models",
    "temperature",
    "\\n",
    "include_us\\u0061ge",
];

const TEXTS: &[&str] = &[
    "",
    "gpt-4o",
    "meta-llama\\/Llama-3",
    "\\u00e9\\t\\\"\\\\",
    "\\ud83d\\ude00",
    "模型 é 😀",
    "a long text without anything special in it, so that whole blocks of it are passed over at once",
    "forty bytes and then \\n an escape, then forty more bytes \\r\\n\\b\\f and the end of it all",
];

const SCALARS: &[&str] = &[
    "true",
    "false",
    "null",
    "0",
    "-0",
    "1",
    "-1",
    "17",
    "1.0",
    "1.5",
    "1e3",
    "1E+3",
    "-2.5e-3",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e309",
    "123456789e301",
    "0e999",
    "1e-999",
    "0.000e400",
    "1e00000000000000000001",
    "9e99999999999999999999",
    "-1e400",
];

const SPACES: &[&str] = &["", "", "", " ", "\n", "\t", "\r\n  "];

/// Bits and pieces that break documents, or nearly do.
const SHARDS: &[&str] = &[
    "\"",
    "\\",
    "\\u",
    "\\ud800",
    "\\udc00",
    "\\uD83D\\uDE00",
    "\\ud83d\\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "-",
    "+",
    ".",
    "e",
    "E5",
    "00",
    "0",
    "1e400",
    "tru",
    "null",
    "nul",
    "\u{0}",
    "\n",
    "\u{1f}",
    "\u{7f}",
    "\u{feff}",
    "/",
    "//",
    "'",
    "NaN",
    "Infinity",
    "\"model\":\"x\",",
    "\"stream\":true,",
    "\\x",
    "\\u00",
    "\\u+123",
    "\u{a0}",
    "\u{2028}",
    "\u{c}",
    "}}",
    "]]",
    "{}",
    "[]",
    "\"\"",
];

fn write_value(dice: &mut Dice, depth: usize, out: &mut String) {
    match dice.below(if depth == 0 { 4 } else { 7 }) {
        0 | 1 => out.push_str(dice.one_of(SCALARS)),
        2 | 3 => {
            out.push('"');
            out.push_str(dice.one_of(TEXTS));
            out.push('"');
        }
        4 => {
            out.push('[');
            for index in 0..dice.below(4) {
                out.push_str(if index > 0 { "," } else { "" });
                out.push_str(dice.one_of(SPACES));
                write_value(dice, depth - 1, out);
                out.push_str(dice.one_of(SPACES));
            }
            out.push(']');
        }
        _ => write_object(dice, depth - 1, out),
    }
}

fn write_object(dice: &mut Dice, depth: usize, out: &mut String) {
    out.push('{');
    out.push_str(dice.one_of(SPACES));
    for index in 0..dice.below(6) {
        out.push_str(if index > 0 { "," } else { "" });
        out.push_str(dice.one_of(SPACES));
        let key = dice.one_of(KEYS);
        out.push('"');
        out.push_str(key);
        out.push('"');
        out.push_str(dice.one_of(SPACES));
        out.push(':');
        out.push_str(dice.one_of(SPACES));
        write_member(dice, key, depth, out);
        out.push_str(dice.one_of(SPACES));
    }
    out.push('}');
}

/// Most often a value of the type that the key wants, so that many bodies are accepted.
fn write_member(dice: &mut Dice, key: &str, depth: usize, out: &mut String) {
    match key {
        _ if dice.below(4) == 0 => write_value(dice, depth, out),
        "model" | "user" => {
            out.push('"');
            out.push_str(dice.one_of(TEXTS));
            out.push('"');
        }
        "stream" | "include_usage" => out.push_str(dice.one_of(&["true", "false", "null"])),
        "stream_options" if depth > 0 => write_object(dice, depth - 1, out),
        "max_tokens" => out.push_str(dice.one_of(&["1", "4096", "null", "-1", "7.0"])),
        _ => write_value(dice, depth, out),
    }
}

fn damage(dice: &mut Dice, body: &mut Vec<u8>) {
    let at = dice.below(body.len() + 1);
    let end = (at + dice.below(12)).min(body.len());
    match dice.below(7) {
        0 => drop(body.drain(at..end)),
        1 => body.truncate(at),
        2 => {
            let piece = body[at..end].to_vec();
            let to = dice.below(body.len() + 1);
            body.splice(to..to, piece);
        }
        3 if at < body.len() => body[at] ^= 1 << dice.below(8),
        4 if at < body.len() => body[at] = dice.roll().to_le_bytes()[0],
        _ => {
            let shard = dice.one_of(SHARDS);
            body.splice(at..at, shard.bytes());
        }
    }
}

#[test]
fn whole_and_damaged_documents_are_read_alike() {
    let mut dice = Dice(2026);
    let mut served = 0;
    let mut text = String::new();
    for _ in 0..6000 {
        text.clear();
        write_object(&mut dice, 4, &mut text);
        let mut body = text.clone().into_bytes();
        served += usize::from(check(&body));
        for _ in 0..4 {
            damage(&mut dice, &mut body);
            served += usize::from(check(&body));
        }
    }
    // The point would be missed if nearly all were refused.
    assert!(served > 2000, "{served}");
}

#[test]
fn every_cut_and_every_byte_is_read_alike() {
    let body = r#"{"model":"a\u00e9\ud83d\ude00é","stream":true,"n":[-1.5e+3,{}],"max_tokens":12}"#;
    for cut in 0..body.len() {
        check(&body.as_bytes()[..cut]);
        for byte in 0..=u8::MAX {
            let mut changed = body.as_bytes().to_vec();
            changed[cut] = byte;
            check(&changed);
        }
    }
}

#[test]
fn numbers_are_drawn_the_same_line() {
    let mut dice = Dice(308);
    for _ in 0..20_000 {
        let mut number = String::from(dice.one_of(&["", "", "-", "0", "00"]));
        let digits = 3 + 12 * dice.below(3);
        for _ in 0..dice.below(digits) {
            number.push(char::from(b"0123456789"[dice.below(10)]));
        }
        if dice.below(2) == 0 {
            number.push('.');
            number.extend((0..dice.below(20)).map(|_| '7'));
        }
        if dice.below(2) == 0 {
            number.push_str(dice.one_of(&["e", "E", "e+", "e-", "E0"]));
            number.push_str(&dice.below(420).to_string());
        }
        check(number.as_bytes());
        check(format!("{{\"max_tokens\":{number}}}").as_bytes());
    }
    for zeros in [15, 190, 200, 201, 290, 307, 308, 309, 310, 400, 5000] {
        for first in ["1", "17", "1797693134862315", "-1797693134862316"] {
            check(format!("{first}{}", "0".repeat(zeros)).as_bytes());
            check(format!("{first}{}.5e1", "0".repeat(zeros)).as_bytes());
            check(format!("0.{}{first}e{zeros}", "0".repeat(zeros)).as_bytes());
        }
    }
    for mantissa in
        ["1.7976931348623157", "1.7976931348623158", "1.7976931348623159", "17976931348623157"]
    {
        for exponent in 290..312 {
            check(format!("{mantissa}e{exponent}").as_bytes());
        }
    }
}

#[test]
fn nesting_is_drawn_the_same_line() {
    for levels in [1, 2, 64, 125, 126, 127, 128, 129, 300] {
        let arrays = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        check(arrays.as_bytes());
        check(format!("{{\"model\":\"m\",\"x\":{arrays}}}").as_bytes());
        check(format!("{{\"stream_options\":{{\"x\":{arrays}}}}}").as_bytes());
        let objects = format!("{}1{}", "{\"a\":[".repeat(levels), "]}".repeat(levels));
        check(objects.as_bytes());
        check(format!("[{}]", "[],{},".repeat(levels) + "[]").as_bytes());
    }
}

#[test]
fn hostile_bodies_take_no_longer_than_others() {
    // Each of these makes a careless reader go over the same bytes again and again, or use its stack up.
    let many = 200_000;
    for body in [
        "[".repeat(many),
        "{\"a\":".repeat(many),
        format!("[{}1]", "[],".repeat(many)),
        format!("{{\"{}\":1}}", "\\u0041".repeat(many)),
        format!("{{\"a\":\"{}", "\\\"".repeat(many)),
        format!("{{\"max_tokens\":{}}}", "9".repeat(many)),
        format!("[{}1]", "1e300,".repeat(many)),
        format!("{{{}\"a\":1}}", "\"model\":\"x\",".repeat(many)),
        " ".repeat(many),
    ] {
        check(body.as_bytes());
    }
}
