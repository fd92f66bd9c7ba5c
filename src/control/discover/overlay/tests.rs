//! Files and what registries hold beside them.

use super::*;

const FILE: &str = r#"
[[upstream]]
name = "u"
endpoints = [{ url = "http://127.0.0.1:9001" }]

[[model]]
name = "own"
upstream = "u"
upstream_model = "of-the-file""#;

fn held(wins: bool, entries: &[(&str, &str)]) -> Held {
    let entry = |(key, value): &(&str, &str)| ((*key).to_owned(), value.as_bytes().to_vec());
    Held { registry: "fleet".into(), wins, entries: entries.iter().map(entry).collect() }
}

fn composed(held: &Held, good: &mut Good) -> (Vec<String>, Vec<String>) {
    let composed = compose(FILE, "ringway.toml", std::slice::from_ref(held), good);
    assert_eq!(composed.errors, []);
    let model = |model: &config::Model| format!("{} {}", model.label(), model.upstream_model);
    let tenants = composed.file.tenants.iter().map(|tenant| tenant.name.clone());
    let names = composed.file.models.iter().map(model).chain(tenants).collect();
    (names, composed.refused.iter().map(ToString::to_string).collect())
}

#[test]
fn json_and_toml_are_read_as_the_files_tables() {
    let held = held(
        false,
        &[
            ("models/a", r#"{"upstream": "u", "aliases": ["x"], "deadlines": {"gap_ms": 5000}}"#),
            ("models/b@2", "upstream = \"u\"\n[retry]\nattempts = 3\n"),
            ("tenants/acme", r#"{"limits": {"requests_per_minute": 60}}"#),
        ],
    );
    let (names, refused) = composed(&held, &mut Good::default());
    assert_eq!(refused, [] as [&str; 0]);
    assert_eq!(names, ["own of-the-file", "a a", "b@2 b", "acme"]);
}

#[test]
fn the_file_wins_unless_the_registry_does() {
    let entries = [("models/own", r#"{"upstream": "u", "upstream_model": "of-the-registry"}"#)];
    let (names, _) = composed(&held(false, &entries), &mut Good::default());
    assert_eq!(names, ["own of-the-file"]);
    let (names, refused) = composed(&held(true, &entries), &mut Good::default());
    assert_eq!((names, refused.len()), (vec!["own of-the-registry".to_owned()], 0));
}

#[test]
fn what_is_wrong_is_left_out_and_said() {
    let held = held(
        false,
        &[
            ("models/a", r#"{"upstream": "u"}"#),
            ("models/bad", r#"{"upstream": "nobody", "typo": 1}"#),
            ("models/worse", "{"),
            ("models/named", r#"{"name": "x", "upstream": "u"}"#),
            ("routes/x", "{}"),
        ],
    );
    let (names, refused) = composed(&held, &mut Good::default());
    assert_eq!(names, ["own of-the-file", "a a"]);
    let all = refused.join("\n");
    assert!(all.contains("fleet:models/bad:"), "{all}");
    assert!(all.contains("no upstream is called \"nobody\""), "{all}");
    assert!(all.contains("unknown key \"typo\""), "{all}");
    assert!(all.contains("fleet:models/worse: is no JSON"), "{all}");
    assert!(all.contains("says its name a second time"), "{all}");
    assert!(all.contains("is no key of ours"), "{all}");
}

#[test]
fn what_was_right_before_stays_in_force() {
    let mut good = Good::default();
    composed(
        &held(false, &[("models/a", r#"{"upstream": "u", "upstream_model": "1"}"#)]),
        &mut good,
    );
    let (names, refused) =
        composed(&held(false, &[("models/a", r#"{"upstream": "typo"}"#)]), &mut good);
    assert_eq!((names, refused.len()), (vec!["own of-the-file".into(), "a 1".into()], 1));
    let (names, refused) = composed(&held(false, &[("models/a", "{")]), &mut good);
    assert_eq!((names, refused.len()), (vec!["own of-the-file".into(), "a 1".into()], 1));
    let twice = r#"{"upstream": "typo", "other": 1}"#;
    let (names, refused) = composed(&held(false, &[("models/a", twice)]), &mut good);
    assert_eq!((names, refused.len()), (vec!["own of-the-file".into(), "a 1".into()], 2));
    // It is remembered as it was, and not as it was wrong.
    let (names, _) = composed(&held(false, &[("models/a", r#"{"upstream": "typo"}"#)]), &mut good);
    assert_eq!(names.len(), 2);
    // What is gone is gone.
    let (names, _) = composed(&held(false, &[]), &mut good);
    assert_eq!(names, ["own of-the-file"]);
}

#[test]
fn a_wrong_file_is_said_as_before() {
    let held = held(false, &[("models/a", r#"{"upstream": "u"}"#)]);
    let text = format!("{FILE}\ntypo = 1\n");
    let composed = compose(&text, "ringway.toml", &[held], &mut Good::default());
    let errors: Vec<String> = composed.errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("ringway.toml:10: model[0].typo"), "{errors:?}");
}
