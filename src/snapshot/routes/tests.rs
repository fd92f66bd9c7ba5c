//! What a file's routes lead to, and what is said of those that lead nowhere.

use super::*;
use crate::route::Found;
use crate::route::Why;
use crate::snapshot::Ledger;
use crate::snapshot::Snapshot;
use crate::snapshot::World;
use crate::snapshot::build;
use crate::snapshot::clashes;
use std::collections::HashMap;
use std::sync::Arc;

const MODELS: &str = r#"
    [[upstream]]
    name = "u"
    endpoints = [{ url = "http://127.0.0.1:1" }]
    [[upstream]]
    name = "leaving"
    discover = { file = "endpoints.json" }
    [[model]]
    name = "llama"
    version = "1.2.0"
    aliases = ["old"]
    upstream = "u"
    [[model]]
    name = "llama"
    version = "1.3.0"
    upstream = "u"
    [[model]]
    name = "llama"
    version = "2.0.0"
    upstream = "leaving"
    [[model]]
    name = "plain"
    upstream = "u"
"#;

fn read(routes: &str) -> File {
    let (file, errors) = config::read(&format!("{MODELS}{routes}"), "a.toml");
    assert_eq!(errors, []);
    file
}

fn snapshot(file: &File, found: HashMap<String, Vec<Arc<config::Endpoint>>>) -> Snapshot {
    let world = World { found, ..World::default() };
    build(file, &world, &mut Ledger::default(), 1).unwrap()
}

#[track_caller]
fn wrong(routes: &str, expected: &[&str]) {
    let file = read(routes);
    let told: Vec<String> = clashes(&file).iter().map(|error| error.text.clone()).collect();
    assert_eq!(told, expected);
    let refused = build(&file, &World::default(), &mut Ledger::default(), 1).unwrap_err();
    assert_eq!(refused.len(), expected.len(), "{refused:?}");
}

#[test]
fn a_route_is_ready_to_be_followed() {
    let file = read(
        r#"
        [[route]]
        model = "llama"
        labels = { stable = "1.2.0", next = "^1.2" }
        split = [{ version = "stable", weight = 95 }, { version = "next", weight = 5 }]
        sticky = { header = "X-Session" }
        match = [{ header = "X-Canary", value = "yes", version = "2.0.0" }]
        shadow = { version = "~1.3", percent = 2.5 }
        "#,
    );
    let snapshot = snapshot(&file, HashMap::new());
    let Found::Route(model, route) = snapshot.route.find("llama") else { panic!("no route") };
    assert_eq!(model, ModelId(0));
    let split = route.split().unwrap();
    let shares: Vec<_> = split.shares().iter().map(|s| (s.model.unwrap().0, s.counts())).collect();
    assert_eq!(shares, [(0, 95), (1, 5)]);
    assert_eq!(split.sticky(), Some(&Sticky::Field("x-session".into())));
    let fields: &[(&str, &[u8])] = &[("X-CANARY", b"yes")];
    let led = route.matching(fields.iter().copied()).unwrap();
    assert_eq!(led.model, Some(ModelId(2)));
    let shadow = Some(Shadow { model: ModelId(1), share: 250 });
    let shadows: Vec<_> = snapshot.models.iter().map(|model| model.shadow).collect();
    assert_eq!(shadows, [shadow, None, shadow, None], "nobody is its own shadow");
    let said = "stable is 1.2.0; next is ^1.2; the field x-canary: yes leads to 2.0.0; stable gets 95; next gets 5; \
                sticky by the field x-session; ~1.3 gets copies of 2.5 %";
    assert_eq!(snapshot.described.models[0], [("route", said.to_owned())]);
    assert_eq!(snapshot.described.models[1], []);
    let Found::Model(model, Some(Why::Label)) = snapshot.route.find("old@next") else {
        panic!("no label")
    };
    assert_eq!(model, ModelId(1));
    // Of what is on its way out nothing is chosen that could be something else.
    assert!(matches!(snapshot.route.find("llama@*"), Found::Model(ModelId(1), ..)));
    assert!(matches!(snapshot.route.find("llama@^2"), Found::Model(ModelId(2), ..)));
    assert!(matches!(snapshot.route.find("plain"), Found::Model(ModelId(3), None)));
}

#[test]
fn what_leads_nowhere_is_told() {
    const INSTEAD: &str = "write one of them, or a range such as \"^1.2\"";
    let there = "(there are: \"1.2.0\", \"1.3.0\", \"2.0.0\"";
    wrong(
        "[[route]]\nmodel = \"llama\"\nsplit = [{ version = \"1.2\" }, { version = \"^3\" }, { version = \"^\" }]",
        &[
            &format!("no version of \"llama\" is called \"1.2\" {there}): {INSTEAD}"),
            &format!("no version of \"llama\" fits \"^3\" {there}): {INSTEAD}"),
            &format!("\"^\" is no range of versions {there}): {INSTEAD}"),
        ],
    );
    wrong(
        "[[route]]\nmodel = \"llama\"\nlabels = { s = \"1.2.0\", t = \"s\", \"1.3.0\" = \"2.0.0\", \"^1\" = \"2.0.0\", \
         \"a@b\" = \"2.0.0\" }\nshadow = { version = \"none\" }",
        &[
            "\"1.3.0\" is a version of \"llama\": give the label another name",
            "\"^1\" reads as a range of versions: give the label another name",
            "\"a@b\" has an \"@\", which separates name and label: write it without",
            "\"s\" is a label itself: write the version that it stands for",
            &format!(
                "no version of \"llama\" is called \"none\" {there}; labels: \"s\", \"t\", \"1.3.0\", \"^1\", \
                 \"a@b\"): {INSTEAD}"
            ),
        ],
    );
    wrong(
        "[[route]]\nmodel = \"plain\"\nmatch = [{ header = \"a\", version = \"1\" }]",
        &[
            "\"plain\" has no versions: give its [[model]] entries a version each, or one of them versions = \
           \"discovered\"",
        ],
    );
    wrong(
        "[[route]]\nmodel = \"lama\"\n[[route]]\nmodel = \"llama\"\n[[route]]\nmodel = \"llama\"",
        &[
            "no model is called \"lama\" (there are: llama, plain; did you mean \"llama\"?)",
            "the [[route]] at line 26 is for \"llama\" too: write one of both",
        ],
    );
}

#[test]
fn what_may_come_may_be_missing() {
    let file = read(
        r#"
        [[upstream]]
        name = "found"
        discover = { file = "endpoints.json" }
        [[model]]
        name = "wide"
        versions = "discovered"
        upstream = "found"
        [[route]]
        model = "wide"
        labels = { stable = "1.0.0" }
        split = [{ version = "stable", weight = 9 }, { version = "^2", weight = 1 }]
        "#,
    );
    let chosen = |found| {
        let snapshot = snapshot(&file, found);
        let split = snapshot.route.route_of("wide").unwrap().split().unwrap().clone();
        let label = |model: ModelId| snapshot.model(model).label();
        let drawn =
            [0, u64::MAX].map(|dice| split.choose(None, dice).map(|(model, _)| label(model)));
        let labelled = snapshot.route.find("wide@stable");
        (drawn, matches!(labelled, Found::NoVersion))
    };
    assert_eq!(chosen(HashMap::new()), ([None, None], true));
    let endpoint = |version: &str| {
        let mut endpoint = config::Endpoint::clone(&file.upstreams[0].endpoints[0]);
        endpoint.url = config::Url::parse(&format!("http://v{version}")).unwrap();
        endpoint.traits.version = Some(version.to_owned());
        Arc::new(endpoint)
    };
    let found = |versions: &[&str]| {
        HashMap::from([("found".to_owned(), versions.iter().map(|v| endpoint(v)).collect())])
    };
    let (one, two) = (Some("wide@1.0.0".to_owned()), Some("wide@2.1.0".to_owned()));
    assert_eq!(chosen(found(&["2.1.0"])), ([two.clone(), two.clone()], true));
    assert_eq!(chosen(found(&["2.0.0", "1.0.0", "2.1.0"])), ([one, two], false));
}
