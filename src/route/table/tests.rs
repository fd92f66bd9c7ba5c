//! Tests of names.

use super::*;
use crate::route::versions::Share;

fn entry(name: &'static str, version: Option<&'static str>) -> Entry<'static> {
    Entry { name, version, aliases: &[], is_default: false }
}

fn conflicts(entries: &[Entry<'_>]) -> Vec<Conflict> {
    Table::new(entries).expect_err("a conflict")
}

#[test]
fn names_aliases_and_versions_are_found() {
    let aliases = ["gpt-4".to_owned(), "best".to_owned()];
    let table = Table::new(&[
        Entry { aliases: &aliases, ..entry("gpt-4o", None) },
        entry("llama", Some("1")),
        Entry { is_default: true, ..entry("llama", Some("2")) },
        entry("org/m", Some("a/b")),
        entry("claude@2024", None),
    ])
    .unwrap();
    for (name, model) in [
        ("gpt-4o", Some(0)),
        ("gpt-4", Some(0)),
        ("best", Some(0)),
        ("llama", Some(2)),
        ("llama@1", Some(1)),
        ("llama@2", Some(2)),
        ("llama@3", None),
        ("llama@", None),
        ("@", None),
        ("", None),
        ("org/m", Some(3)),
        ("org/m@a/b", Some(3)),
        ("claude@2024", Some(4)),
        ("claude", None),
        ("GPT-4o", None),
    ] {
        assert_eq!(table.pick(name), model.map(ModelId), "{name}");
    }
    assert_eq!(table.pick_version("llama", "1"), Some(ModelId(1)));
    assert_eq!(table.pick_version("org/m", "a/b"), Some(ModelId(3)));
    assert_eq!(table.pick_version("gpt-4o", "1"), None);
    assert_eq!(table.pick_version("nobody", "1"), None);
}

#[test]
fn an_alias_takes_versions_too() {
    let aliases = ["l".to_owned()];
    let table = Table::new(&[
        Entry { aliases: &aliases, ..entry("llama", Some("1")) },
        entry("llama", Some("2")),
    ])
    .unwrap();
    assert_eq!(table.pick("l"), Some(ModelId(0)));
    assert_eq!(table.pick("l@2"), Some(ModelId(1)));
    assert_eq!(table.pick_version("l", "2"), Some(ModelId(1)));
}

#[test]
fn the_bare_name_means_the_default() {
    let pick = |entries: &[Entry<'_>]| Table::new(entries).unwrap().pick("m").unwrap().0;
    assert_eq!(pick(&[entry("m", Some("1")), entry("m", Some("2"))]), 0);
    assert_eq!(pick(&[entry("m", Some("1")), entry("m", None)]), 1);
    let marked = Entry { is_default: true, ..entry("m", Some("3")) };
    assert_eq!(pick(&[entry("m", None), entry("m", Some("1")), marked]), 2);
    assert_eq!(pick(&[marked, entry("m", None)]), 0);
}

#[test]
fn conflicts_name_both() {
    let same = conflicts(&[entry("m", Some("1")), entry("n", None), entry("m", Some("1"))]);
    assert_eq!(same, [Conflict::SameModel { called: "m@1".into(), first: 0, second: 2 }]);
    assert_eq!(
        same[0].explain(|index| format!("models[{index}]")),
        "\"m@1\" is both models[0] and models[2]; give one of them another name or version"
    );

    let aliases = ["n".to_owned(), "a".to_owned(), "a".to_owned()];
    assert_eq!(
        conflicts(&[Entry { aliases: &aliases, ..entry("m", None) }, entry("n", None)]),
        [
            Conflict::SameName { called: "n".into(), first: 1, second: 0 },
            Conflict::SameName { called: "a".into(), first: 0, second: 0 },
        ]
    );

    let marked = |version| Entry { is_default: true, ..entry("m", Some(version)) };
    assert_eq!(
        conflicts(&[marked("1"), entry("m", None), marked("2")]),
        [Conflict::TwoDefaults { called: "m".into(), first: 0, second: 2 }]
    );

    assert_eq!(
        conflicts(&[entry("m", Some("1")), entry("m@1", None)]),
        [Conflict::SameName { called: "m@1".into(), first: 0, second: 1 }]
    );
    assert_eq!(conflicts(&[entry("", None)]), [Conflict::EmptyName { first: 0 }]);
    assert_eq!(conflicts(&[entry("m", Some("a@b"))]), [Conflict::AtInVersion { first: 0 }]);
}

fn routed() -> Table {
    let aliases = ["l".to_owned()];
    let old = ["old".to_owned()];
    let mut table = Table::new(&[
        Entry { aliases: &aliases, ..entry("llama", None) },
        Entry { aliases: &old, ..entry("llama", Some("1.2.0")) },
        entry("llama", Some("1.3.0")),
        entry("other", Some("1.0.0")),
    ])
    .unwrap();
    let shares = vec![("1.3.0".to_owned(), Share::new(Some(ModelId(2)), 1))];
    let labels = vec![("stable".to_owned(), Some(ModelId(1))), ("next".to_owned(), None)];
    table.lay("llama", Rules { labels, shares, ..Rules::default() });
    table
}

/// In a word: which model, and why that.
fn told(found: Found<'_>) -> (Option<u32>, &'static str) {
    match found {
        Found::Model(model, why) => (
            Some(model.0),
            match why {
                None => "itself",
                Some(Why::Exact) => "exact",
                Some(Why::Label) => "label",
                Some(Why::Range) => "range",
                Some(_) => "decided",
            },
        ),
        Found::Route(model, _) => (Some(model.0), "route"),
        Found::NoVersion => (None, "no version"),
        Found::Nothing => (None, "nothing"),
    }
}

#[test]
fn versions_labels_and_ranges_are_found() {
    let table = routed();
    for (name, expected) in [
        ("llama", (Some(0), "route")),
        // Another name for all of them, and one for one of them.
        ("l", (Some(0), "route")),
        ("old", (Some(1), "itself")),
        ("llama@1.2.0", (Some(1), "exact")),
        ("l@1.3.0", (Some(2), "exact")),
        ("old@1.3.0", (Some(2), "exact")),
        ("llama@stable", (Some(1), "label")),
        ("llama@next", (None, "no version")),
        ("llama@^1.2", (Some(2), "range")),
        ("llama@~1.2.0", (Some(1), "range")),
        ("llama@^2", (None, "no version")),
        ("llama@1.2", (None, "no version")),
        ("llama@", (None, "no version")),
        ("llama@^", (None, "no version")),
        ("other", (Some(3), "itself")),
        ("other@^1", (Some(3), "range")),
        ("other@stable", (None, "no version")),
        ("nobody", (None, "nothing")),
        ("nobody@^1", (None, "nothing")),
        ("@^1", (None, "nothing")),
    ] {
        assert_eq!(told(table.find(name)), expected, "{name}");
    }
    assert_eq!(told(table.find_version("llama", "^1")), (Some(2), "range"));
    assert!(table.route_of("l").is_some() && table.route_of("other").is_none());
    assert_eq!(table.versions("llama").collect::<Vec<_>>(), ["1.2.0", "1.3.0"]);
}

/// For what is not a request the name means what it meant before.
#[test]
fn a_name_means_a_model_all_the_same() {
    assert_eq!(routed().pick("llama"), Some(ModelId(0)));
    assert_eq!(routed().pick("llama@stable"), None);
}
