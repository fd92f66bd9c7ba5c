//! Texts before and after a change.

use serde_json::json;

use super::*;

const FILE: &str = r#"# The gateway of the lab.
[listen]
address = "127.0.0.1:8080" # behind the proxy

# ---- who serves ----

# The big box.
[[upstream]]
name = "u" # short
endpoints = [
  { url = "http://10.0.0.1:8000", weight = 2 }, # the old one
  { url = "http://10.0.0.2:8000" }, # the new one
]

[[upstream]]
name = "v"
[[upstream.endpoints]]
# far away
url = "https://API.example/x/"

# ---- models ----

# Ours.
[[model]]
name = "llama" # as clients know it
upstream = "u"
aliases = ["a", "b"] # old names
[model.retry]
attempts = 3 # enough

# Its new version.
[[model]]
name = "llama"
version = "2"
upstream = "v"

# ---- tenants ----

[[tenant]]
name = "acme"
keys = [
  { id = "ci", sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }, # of the robot
]
limits = { requests_per_minute = 60 } # a contract
# the end
"#;

fn open() -> Document {
    Document::open(FILE).unwrap()
}

fn model(text: &str) -> Name {
    Name::new(Kind::Model, text)
}

fn tenant(text: &str) -> Name {
    Name::new(Kind::Tenant, text)
}

/// The lines that went and those that came.
#[track_caller]
fn changed(document: &Document) -> (Vec<String>, Vec<String>) {
    let after = document.text();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(FILE), lines(&after));
    let head = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let (before, after) = (&before[head..], &after[head..]);
    let tail = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
    (before[..before.len() - tail].to_vec(), after[..after.len() - tail].to_vec())
}

fn fields(json: Json) -> Map<String, Json> {
    json.as_object().unwrap().clone()
}

#[test]
fn an_endpoint_is_changed_where_it_stands() {
    let change = |weight, drain| EndpointChange { weight, drain };
    for (upstream, url, change, gone, come) in [
        (
            "u",
            "http://10.0.0.1:8000",
            change(Some(5), None),
            "  { url = \"http://10.0.0.1:8000\", weight = 2 }, # the old one",
            "  { url = \"http://10.0.0.1:8000\", weight = 5 }, # the old one",
        ),
        (
            "u",
            "http://10.0.0.2:8000/",
            change(Some(3), Some(true)),
            "  { url = \"http://10.0.0.2:8000\" }, # the new one",
            "  { url = \"http://10.0.0.2:8000\", weight = 3, drain = true }, # the new one",
        ),
    ] {
        let mut document = open();
        let url = Url::parse(url).unwrap();
        assert_eq!(document.set_endpoint(upstream, &url, change), Ok(true));
        assert_eq!(changed(&document), (vec![gone.into()], vec![come.into()]));
    }
    let mut document = open();
    let url = Url::parse("https://api.example/x").unwrap();
    assert_eq!(document.set_endpoint("v", &url, change(None, Some(true))), Ok(true));
    assert_eq!(changed(&document), (vec![], vec!["drain = true".into()]));
    // And back: as it was.
    assert_eq!(document.set_endpoint("v", &url, change(Some(1), Some(false))), Ok(true));
    assert_eq!(document.text(), FILE);
    let missing = document.set_endpoint("w", &url, EndpointChange::default()).unwrap_err();
    assert_eq!(missing, Wrong::Missing("there is no upstream \"w\": did you mean \"u\"?".into()));
    assert_eq!(document.set_endpoint("u", &url, EndpointChange::default()), Ok(false));
}

#[test]
fn what_was_got_can_be_put_and_changes_nothing() {
    for name in [model("llama"), model("llama@2"), tenant("acme")] {
        let mut document = open();
        let got = document.get(&name).unwrap();
        document.put(&name, &got).unwrap();
        assert_eq!(document.text(), FILE);
    }
}

#[test]
fn a_model_is_changed_field_by_field() {
    let mut document = open();
    let wanted = fields(json!({"upstream": "v", "aliases": ["a"], "retry": {"attempts": 5}}));
    document.put(&model("llama"), &wanted).unwrap();
    let (gone, come) = changed(&document);
    assert_eq!(gone.len(), 4);
    assert_eq!(
        come,
        [
            "upstream = \"v\"",
            "aliases = [\"a\"] # old names",
            "[model.retry]",
            "attempts = 5 # enough"
        ]
    );
    document.put(&model("llama"), &fields(json!({"upstream": "v"}))).unwrap();
    let (gone, come) = changed(&document);
    assert_eq!((gone.len(), come), (4, vec!["upstream = \"v\"".to_owned()]));
}

#[test]
fn a_new_model_stands_behind_the_others() {
    let mut document = open();
    let wanted = fields(json!({"upstream": "u", "retry": {"attempts": 2}, "aliases": null}));
    document.put(&model("qwen@3"), &wanted).unwrap();
    let expected = [
        "[[model]]",
        "name = \"qwen\"",
        "version = \"3\"",
        "retry = { attempts = 2 }",
        "upstream = \"u\"",
        "",
    ];
    let (gone, come) = changed(&document);
    assert!(gone.is_empty(), "{gone:?}");
    let text = document.text();
    assert!(
        text.contains(&format!("upstream = \"v\"\n\n{}\n# ---- tenants", expected.join("\n"))),
        "{text}"
    );
    assert_eq!(come.len(), expected.len());
    assert_eq!(document.names(Kind::Model), ["llama", "llama@2", "qwen@3"]);
}

#[test]
fn the_first_of_its_kind_stands_at_the_end() {
    let mut document = Document::open("# c\n[listen]\n").unwrap();
    document.put(&tenant("a"), &fields(json!({"priority": "low"}))).unwrap();
    assert_eq!(document.text(), "# c\n[listen]\n\n[[tenant]]\nname = \"a\"\npriority = \"low\"\n");
}

#[test]
fn what_is_deleted_takes_its_own_comments_along() {
    let mut document = open();
    assert!(document.delete(&model("llama")));
    let (gone, come) = changed(&document);
    assert!(come.is_empty() && gone.contains(&"# Ours.".to_owned()), "{gone:?} {come:?}");
    assert!(!gone.contains(&"# ---- models ----".to_owned()), "{gone:?}");
    assert!(document.delete(&model("llama@2")));
    let text = document.text();
    assert!(!text.contains("[[model]]") && !text.contains("Its new version"), "{text}");
    assert!(text.contains("# ---- models ----\n\n# ---- tenants ----\n"), "{text}");
    assert!(!document.delete(&model("llama@2")));
    assert!(document.delete(&tenant("acme")));
    let text = document.text();
    assert!(text.ends_with("# ---- models ----\n\n# ---- tenants ----\n# the end\n"), "{text}");
}

#[test]
fn a_tenant_s_keys_come_and_go() {
    let mut document = open();
    let key = fields(json!({"id": "new", "sha256": "00"}));
    let found = document.table(&tenant("acme")).unwrap();
    assert_eq!(table::add_key(found, &key), Ok(()));
    assert!(table::add_key(found, &key).unwrap_err().starts_with("id: there is a key \"new\""));
    assert_eq!(table::key_ids(found), ["ci", "new"]);
    let come = "  { id = \"new\", sha256 = \"00\" },".to_owned();
    assert_eq!(changed(&document), (vec![], vec![come]));
    let found = document.table(&tenant("acme")).unwrap();
    assert!(table::remove_key(found, "new") && !table::remove_key(found, "new"));
    assert_eq!(document.text(), FILE);
}

#[test]
fn a_tenant_keeps_what_is_not_shown_of_it() {
    let mut document = open();
    // Without keys, and with keys as they are shown.
    document.put(&tenant("acme"), &fields(json!({"priority": "high"}))).unwrap();
    let keys = json!([{"id": "ci", "expires": "2027-01-01T00:00:00Z"}]);
    document.put(&tenant("acme"), &fields(json!({"keys": keys}))).unwrap();
    let got = document.get(&tenant("acme")).unwrap();
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    assert_eq!(
        Json::from(got),
        json!({"name": "acme", "keys": [{"id": "ci", "sha256": digest, "expires": "2027-01-01T00:00:00Z"}]})
    );
    assert!(document.text().contains("00Z\" }, # of the robot"), "{}", document.text());
}

#[test]
fn a_name_is_said_once() {
    let mut document = open();
    let wrong = document.put(&model("a@1"), &fields(json!({"name": "b", "version": "1"})));
    let Err(Wrong::Field(why)) = wrong else { panic!("{wrong:?}") };
    assert!(why.starts_with("name: is \"b\" here and \"a\" in the path"), "{why}");
    assert!(document.put(&model("a@1"), &fields(json!({"name": "a", "version": "1"}))).is_ok());
}
