//! Parameters by example; and the same changes made to a tree of serde_json, for thousands of bodies made at random.

use super::*;
use crate::llm::edit;

use super::oracle::TABLES;
use super::oracle::check;

fn table(rules: &[Rule<'_>], unknown: Unknown) -> Parameters {
    Parameters::new(rules, unknown).unwrap()
}

fn normalized(parameters: &Parameters, operation: Operation, body: &str) -> String {
    check(body.as_bytes());
    let mut edits = Vec::new();
    normalize(parameters, Some(operation), body.as_bytes(), &mut edits).unwrap();
    edit::sort(&mut edits);
    let mut out = Vec::new();
    edit::apply(body.as_bytes(), &edits, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn numbers_are_held_within_bounds_as_they_are_written() {
    let rules = [Rule { name: "temperature", min: Some("0.10"), max: Some("2e0"), default: None }];
    let parameters = table(&rules, Unknown::Keep);
    for (value, expected) in [
        ("1", "1"),
        ("2", "2"),
        ("2.000", "2.000"),
        ("0.1", "0.1"),
        ("2.0001", "2e0"),
        ("1e3", "2e0"),
        ("18446744073709551616", "2e0"),
        ("-0", "0.10"),
        ("-1", "0.10"),
        ("1E-9", "0.10"),
        ("-18446744073709551616e10", "0.10"),
        ("null", "null"),
    ] {
        let body = format!("{{ \"a\" : 1 ,\"temperature\"\t: {value}\n}}");
        let wanted = format!("{{ \"a\" : 1 ,\"temperature\"\t: {expected}\n}}");
        assert_eq!(normalized(&parameters, Operation::Chat, &body), wanted);
    }
    assert_eq!(normalized(&parameters, Operation::Chat, "{}"), "{}");
}

#[test]
fn whole_numbers_are_compared_exactly() {
    let rules = [Rule { name: "seed", max: Some("9007199254740992"), min: None, default: None }];
    let parameters = table(&rules, Unknown::Keep);
    let mut edits = Vec::new();
    normalize(&parameters, None, br#"{"seed":9007199254740993}"#, &mut edits).unwrap();
    assert_eq!(edits, [Edit::new(8..24, b"9007199254740992")]);
}

#[test]
fn the_bounds_on_tokens_are_one() {
    let rules =
        [Rule { name: "max_tokens", default: Some("100"), min: Some("1"), max: Some("1000") }];
    let parameters = table(&rules, Unknown::Keep);
    for (operation, body, expected) in [
        (Operation::Chat, r#"{"model":"m"}"#, r#"{"max_tokens":100,"model":"m"}"#),
        (Operation::Responses, r#"{"model":"m"}"#, r#"{"max_output_tokens":100,"model":"m"}"#),
        (Operation::Messages, r#"{"model":"m"}"#, r#"{"max_tokens":100,"model":"m"}"#),
        (Operation::Embeddings, r#"{"model":"m"}"#, r#"{"model":"m"}"#),
        (Operation::Chat, r#"{"max_completion_tokens":5}"#, r#"{"max_completion_tokens":5}"#),
        (
            Operation::Chat,
            r#"{"max_completion_tokens":5000,"max_tokens":2000}"#,
            r#"{"max_completion_tokens":1000,"max_tokens":1000}"#,
        ),
        (
            Operation::Chat,
            r#"{"max_tokens":null,"max_completion_tokens":5000}"#,
            r#"{"max_tokens":null,"max_completion_tokens":1000}"#,
        ),
        (
            Operation::Chat,
            r#"{"max_completion_tokens":null,"max_tokens":null}"#,
            r#"{"max_completion_tokens":100,"max_tokens":null}"#,
        ),
        (Operation::Chat, r#"{"max_tokens":-1}"#, r#"{"max_tokens":1000}"#),
        (Operation::Chat, r#"{"max_tokens":0}"#, r#"{"max_tokens":1}"#),
    ] {
        assert_eq!(normalized(&parameters, operation, body), expected);
    }
    let parameters = table(
        &[Rule { name: "max_output_tokens", default: Some("7"), ..Rule::default() }],
        Unknown::Keep,
    );
    let chat = normalized(&parameters, Operation::Chat, "{}");
    assert_eq!(chat, r#"{"max_completion_tokens":7}"#);
}

#[test]
fn defaults_go_where_the_operation_has_the_parameter() {
    let rules = [
        Rule { name: "temperature", default: Some("0.5"), ..Rule::default() },
        Rule { name: "presence_penalty", default: Some("0"), ..Rule::default() },
        Rule { name: "min_p", default: Some("[1, 2]"), ..Rule::default() },
    ];
    let parameters = table(&rules, Unknown::Keep);
    for (operation, expected) in [
        (Operation::Chat, "{\"temperature\":0.5,\"presence_penalty\":0,\"min_p\":[1, 2] \n}"),
        (Operation::Responses, "{\"temperature\":0.5,\"min_p\":[1, 2] \n}"),
        (Operation::Messages, "{\"temperature\":0.5,\"min_p\":[1, 2] \n}"),
        (Operation::Embeddings, "{\"min_p\":[1, 2] \n}"),
    ] {
        assert_eq!(normalized(&parameters, operation, "{ \n}"), expected);
    }
    let body = r#"{"temper\u0061ture":null,"min_p":0,"presence_penalty":1}"#;
    let expected = r#"{"temper\u0061ture":0.5,"min_p":0,"presence_penalty":1}"#;
    assert_eq!(normalized(&parameters, Operation::Chat, body), expected);
}

#[test]
fn unknown_parameters_go_with_one_comma_each() {
    let rules = [Rule { name: "top_k", ..Rule::default() }];
    let parameters = table(&rules, Unknown::Drop);
    for (body, expected) in [
        (r#"{"model":"m","x":1}"#, r#"{"model":"m"}"#),
        (r#"{"x":{"model":1},"model":"m"}"#, r#"{"model":"m"}"#),
        (r#"{"n":1,"x":[1,2],"model":"m"}"#, r#"{"n":1,"model":"m"}"#),
        (r#"{"x":1,"y":2,"model":"m","z":3,"w":4}"#, r#"{"model":"m"}"#),
        (r#"{"x":1}"#, "{}"),
        (r#"{ "x" : 1 , "y" : 2 }"#, "{  }"),
        (
            "{ \"x\" : 1 ,\n \"model\" : \"m\" ,\t\"y\" : 2 , \"n\" : 3 }",
            "{ \"model\" : \"m\" , \"n\" : 3 }",
        ),
        (
            r#"{"mod\u0065l":"m","mod\u0065ls":1,"top_k":1,"Model":2}"#,
            r#"{"mod\u0065l":"m","top_k":1}"#,
        ),
        (r#"{"x":1,"x":2,"n":1,"x":3}"#, r#"{"n":1}"#),
        ("{}", "{}"),
        ("[1]", "[1]"),
    ] {
        assert_eq!(normalized(&parameters, Operation::Chat, body), expected);
    }
    let mut edits = Vec::new();
    normalize(&parameters, None, br#"{"x":1}"#, &mut edits).unwrap();
    assert_eq!(edits, [], "any JSON is known where the path decides");
}

#[test]
fn the_last_default_has_no_comma_where_nothing_follows() {
    let rules = TABLES[1];
    let parameters = table(rules, Unknown::Drop);
    let expected = r#"{"max_tokens":256,"temperature":0.7}"#;
    assert_eq!(normalized(&parameters, Operation::Chat, "{}"), expected);
    assert_eq!(normalized(&parameters, Operation::Chat, r#"{"x":1}"#), expected);
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let parameters = table(TABLES[1], Unknown::Drop);
    let why = |body: &str| {
        check(body.as_bytes());
        let mut edits = Vec::new();
        normalize(&parameters, Some(Operation::Chat), body.as_bytes(), &mut edits).unwrap_err()
    };
    let name = "temperature";
    for value in ["\"1\"", "true", "[1]", "{}"] {
        let body = format!("{{\"temperature\": {value}}}");
        assert_eq!(why(&body), Why::NotNumber { name, offset: 16 });
    }
    let twice = r#"{"temperature":1,"temper\u0061ture":1}"#;
    assert_eq!(why(twice), Why::DuplicateKey { name, offset: 17 });
    assert_eq!(why(r#"{"Temperature":1}"#), Why::MiscasedKey { name, offset: 1 });
    assert!(matches!(why("{"), Why::Unreadable(_)));
    let many = format!("{{{}\"n\":1}}", "\"n\":1,\"x\":1,".repeat(REMOVALS_MAX + 1));
    assert!(matches!(why(&many), Why::TooManyUnknown { .. }));
    assert_eq!(why(twice).param(), Some(name));
}

#[test]
fn tables_that_cannot_be_are_refused() {
    let refusal = |rules: &[Rule<'_>]| Parameters::new(rules, Unknown::Keep).unwrap_err();
    let rule = |name, default, min, max| Rule { name, default, min, max };
    for (wrong, unfit) in [
        (rule("model", None, None, None), Unfit::Reserved),
        (rule("max_output_tokens", None, None, None), Unfit::Twice),
        (rule("a", Some("x"), None, None), Unfit::DefaultNotJson),
        (rule("a", Some("1,2"), None, None), Unfit::DefaultNotJson),
        (rule("a", Some("1 "), None, None), Unfit::DefaultNotJson),
        (rule("a", None, Some("null"), None), Unfit::BoundNotNumber),
        (rule("a", None, None, Some("0x1")), Unfit::BoundNotNumber),
        (rule("a", None, Some("2"), Some("1.9")), Unfit::BoundsCrossed),
        (rule("a", Some("0"), Some("1"), None), Unfit::DefaultOutOfBounds),
        (rule("a", Some("\"x\""), Some("1"), None), Unfit::DefaultOutOfBounds),
    ] {
        let rules = [rule("max_tokens", None, None, None), wrong];
        assert_eq!(refusal(&rules), (1, unfit), "{wrong:?}");
        assert!(!unfit.explain().is_empty());
    }
    let names: Vec<String> = (0..65).map(|number| format!("p{number}")).collect();
    let rules: Vec<Rule<'_>> = names.iter().map(|name| rule(name, None, None, None)).collect();
    assert_eq!(refusal(&rules), (64, Unfit::TooMany));
    assert!(Parameters::new(&rules[..64], Unknown::Keep).is_ok());
    assert!(Parameters::default().is_empty() && !table(&[], Unknown::Drop).is_empty());
}

#[test]
fn bodies_at_random_become_what_their_trees_become() {
    const KEYS: [&str; 21] = [
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "temperature",
        "temper\\u0061ture",
        "top_k",
        "n",
        "response_format",
        "x",
        "y",
        "",
        "Temperature",
        "na\\u00efve \\\"key\\\"",
        "include_usage",
        "user",
        "mod\\u0065l",
        "metadata",
    ];
    const VALUES: [&str; 22] = [
        "1",
        "0",
        "-1",
        "-0",
        "1.0",
        "1e3",
        "1e-3",
        "4097",
        "99999999999999999999",
        "0.7",
        "null",
        "null",
        "true",
        "\"m\"",
        "\"a,}b\\\"\"",
        "[]",
        "{}",
        "[1, {\"x\":2}]",
        "{ \"x\" : 1 , \"include_usage\" : false }",
        "{\"include_usage\":null}",
        "{\"include_usage\":true}",
        "{\"a\":{\"max_tokens\":9}}",
    ];
    const GAPS: [&str; 4] = ["", "", " ", "\n\t "];
    let mut seed = 5_u64;
    let mut one_of = |choices: &[&'static str]| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        choices[usize::try_from((seed >> 20) % choices.len() as u64).unwrap()]
    };
    for _ in 0..4_000 {
        let mut body = format!("{}{{{}", one_of(&GAPS), one_of(&GAPS));
        let count = one_of(&["", "1", "12", "123", "12345", "12345678"]).len();
        for index in 0..count {
            let key = one_of(&KEYS);
            let is_model = key == "model" && one_of(&["", "1"]).is_empty();
            let value = if is_model { "\"m\"" } else { one_of(&VALUES) };
            let gaps = [one_of(&GAPS), one_of(&GAPS), one_of(&GAPS)];
            let comma = if index + 1 < count { "," } else { "" };
            body.push_str(&format!("\"{key}\"{}:{}{value}{comma}{}", gaps[0], gaps[1], gaps[2]));
        }
        body.push('}');
        assert!(check(body.as_bytes()), "{body}");
    }
}
