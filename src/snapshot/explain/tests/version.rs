//! What is said of versions: which it is, why, and who gets a copy.

use super::*;

const ROUTED: &str = r#"
    [[upstream]]
    name = "u"
    endpoints = [{ url = "http://127.0.0.1:1" }]
    [[upstream]]
    name = "empty"
    discover = { file = "endpoints.json" }
    [[model]]
    name = "llama"
    version = "1.2.0"
    upstream = "u"
    [[model]]
    name = "llama"
    version = "1.3.0"
    upstream = "u"
    [[model]]
    name = "wide"
    versions = "discovered"
    upstream = "empty"
    [[tenant]]
    name = "acme"
    [[route]]
    model = "llama"
    labels = { stable = "1.2.0" }
    split = [{ version = "stable", weight = 95 }, { version = "^1.3", weight = 5 }]
    sticky = { header = "x-session" }
    match = [{ header = "x-canary", value = "yes", version = "1.3.0" }]
    shadow = { version = "1.3.0", percent = 2.5 }
    [[route]]
    model = "wide"
    split = [{ version = "1.0.0" }]
"#;

#[track_caller]
fn says(asked: Asked<'_>, outcome: (&str, Option<u16>), version: Option<&str>, lines: &[&str]) {
    let file = config::parse(ROUTED, "a.toml").unwrap();
    let snapshot = build(&file, &World::default(), &mut Ledger::default(), 1).unwrap();
    let explanation = explain(&snapshot, asked);
    let text = explanation.to_string();
    assert_eq!((explanation.outcome, explanation.status), outcome, "{text}");
    let relay = explanation.relay.as_ref();
    assert_eq!(relay.and_then(|relay| relay.version.as_deref()), version, "{text}");
    for line in lines {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn what_is_asked_for_by_name_label_and_range() {
    let relayed = ("relayed", None);
    for (model, version, line) in [
        ("llama@1.3.0", "1.3.0", "\"llama@1.3.0\" is a name of the model llama@1.3.0"),
        ("llama@stable", "1.2.0", "\"llama@stable\" is a label of the version llama@1.2.0"),
        ("llama@^1", "1.3.0", "llama@1.3.0 is the highest version in the range"),
    ] {
        says(asked(model), relayed, Some(version), &[line]);
    }
    let none = "no version of \"llama\" is \"llama@^2\" (there are: 1.2.0, 1.3.0)";
    says(asked("llama@^2"), ("refused", Some(404)), None, &[none]);
}

#[test]
fn what_the_operator_has_split_and_matched() {
    let relayed = ("relayed", None);
    let split = "requests are split: llama@1.2.0 95 of 100, llama@1.3.0 5 of 100";
    let shadow = "2.5 % of such requests are copied to llama@1.3.0, whose answers are thrown away";
    let drawn = "it is drawn; shown is llama@1.2.0";
    let none = "no field leads to a version (x-canary would)";
    says(asked("llama"), relayed, Some("1.2.0"), &[none, split, drawn, shadow]);
    let fields = field("X-Canary", "yes");
    let led = "the field x-canary leads to llama@1.3.0, whatever the split says";
    says(Asked { fields: &fields, ..asked("llama") }, relayed, Some("1.3.0"), &[led]);
    let fields = field("x-session", "seven");
    let kept = "the field x-session leads to llama@1.2.0";
    says(Asked { fields: &fields, ..asked("llama") }, relayed, Some("1.2.0"), &[split, kept]);
    let gone = "no version of the split is there now";
    says(asked("wide"), ("refused", Some(503)), None, &[gone]);
}
