//! The same changes made to a tree of serde_json, to hold the edits against; shared by the tests and the fuzz target.

use llm::dialect::Operation;
use llm::edit;
use llm::edit::Edit;
use llm::normalize::Parameters;
use llm::normalize::Rule;
use llm::normalize::Unknown;
use llm::normalize::Why;
use llm::normalize::known;
use llm::normalize::normalize;
use llm::request::peek;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::Map;
use serde_json::Value;

use super::llm;

const TOKENS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// Tables of parameters that the checks are made with.
pub(crate) const TABLES: [&[Rule<'static>]; 4] = [
    &[],
    &[
        Rule { name: "max_tokens", default: Some("256"), min: Some("1"), max: Some("4096") },
        Rule { name: "temperature", default: Some("0.7"), min: Some("0"), max: Some("1.5") },
        Rule { name: "top_k", default: None, min: None, max: None },
    ],
    &[
        Rule { name: "max_output_tokens", default: None, min: Some("16"), max: None },
        Rule { name: "n", default: None, min: None, max: Some("1e0") },
        Rule {
            name: "response_format",
            default: Some("{\"type\": [\"text\"]}"),
            min: None,
            max: None,
        },
        Rule { name: "naïve \"key\"", default: Some("null"), min: None, max: None },
    ],
    &[Rule { name: "max_completion_tokens", default: Some("64"), min: None, max: None }],
];

/// The members of an object in their order, those that are there twice too.
struct Members(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect).map_err(D::Error::custom)
    }
}

fn is_miscased(key: &str, ours: &str) -> bool {
    let folded: String = key.replace('\u{17f}', "s").replace('\u{212a}', "k");
    key != ours && folded.eq_ignore_ascii_case(ours)
}

fn names<'r>(rule: &'r Rule<'r>) -> Vec<&'r str> {
    if TOKENS.contains(&rule.name) { TOKENS.to_vec() } else { vec![rule.name] }
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("the tables are JSON")
}

fn held(rule: &Rule<'_>, old: &Value) -> Value {
    let number = old.as_f64().expect("only numbers are bounded");
    let is_unbounded = TOKENS.contains(&rule.name) && number < 0.0;
    let bound = |text: Option<&str>| text.map(|text| value(text).as_f64().expect("a number"));
    if bound(rule.max).is_some_and(|max| is_unbounded || number > max) {
        return value(rule.max.unwrap_or_default());
    }
    if bound(rule.min).is_some_and(|min| number < min) {
        return value(rule.min.unwrap_or_default());
    }
    old.clone()
}

/// The body as it must become; `None` if it must be refused.
fn wish(
    rules: &[Rule<'_>],
    unknown: Unknown,
    operation: Option<Operation>,
    members: &[(String, Value)],
) -> Option<Map<String, Value>> {
    let mut tree: Map<String, Value> = members.iter().cloned().collect();
    for name in rules.iter().flat_map(names) {
        let is_twice = members.iter().filter(|(key, _)| key == name).count() > 1;
        if is_twice || members.iter().any(|(key, _)| is_miscased(key, name)) {
            return None;
        }
    }
    if let (Some(operation), Unknown::Drop) = (operation, unknown) {
        let named: Vec<&str> = rules.iter().flat_map(names).collect();
        tree.retain(|key, _| {
            known(operation).contains(&key.as_str()) || named.contains(&key.as_str())
        });
    }
    for rule in rules {
        let is_bounded = rule.min.or(rule.max).is_some();
        let mut is_given = false;
        let mut null = None;
        for name in names(rule) {
            match tree.get_mut(name) {
                None => {}
                Some(Value::Null) => {
                    let first = members.iter().position(|(key, _)| key == name);
                    null = null.max(first.map(std::cmp::Reverse).map(|first| (first, name)));
                }
                Some(old) if is_bounded => {
                    if !old.is_number() {
                        return None;
                    }
                    *old = held(rule, old);
                    is_given = true;
                }
                Some(_) => is_given = true,
            }
        }
        let Some(default) = rule.default.filter(|_| !is_given) else { continue };
        let name = null.map(|(_, name)| name).or_else(|| name_for(rule.name, operation));
        if let Some(name) = name {
            tree.insert(name.to_owned(), value(default));
        }
    }
    Some(tree)
}

/// Under which name an operation gets a default.
fn name_for(name: &str, operation: Option<Operation>) -> Option<&str> {
    let Some(operation) = operation else { return Some(name) };
    let is_bound = TOKENS.contains(&name);
    match operation {
        Operation::Embeddings if is_bound => None,
        Operation::Messages | Operation::TextCompletion if is_bound => Some("max_tokens"),
        Operation::Responses if is_bound => Some("max_output_tokens"),
        Operation::Chat if name == "max_output_tokens" => Some("max_completion_tokens"),
        _ => {
            let elsewhere = Operation::ALL
                .into_iter()
                .any(|other| other != Operation::Messages && known(other).contains(&name));
            (known(operation).contains(&name) || !elsewhere).then_some(name)
        }
    }
}

/// Panics if any of the tables makes of `body` anything else than the same changes to a tree do, or something that is
/// not JSON. Whether it is an object.
pub(crate) fn check(body: &[u8]) -> bool {
    let tree = serde_json::from_slice::<Value>(body);
    let members = serde_json::from_slice::<Members>(body).ok().map(|members| members.0);
    for rules in TABLES {
        for unknown in [Unknown::Keep, Unknown::Drop] {
            let parameters = Parameters::new(rules, unknown).expect("the tables are right");
            for operation in Operation::ALL.into_iter().map(Some).chain([None]) {
                let mut edits = Vec::new();
                let done = normalize(&parameters, operation, body, &mut edits);
                match (&tree, &members) {
                    // What else is wrong may be found before that it is not JSON.
                    (Err(_), _) => assert!(done.is_err(), "{done:?}"),
                    (Ok(_), None) => assert_eq!((done, edits.len()), (Ok(()), 0)),
                    (Ok(_), Some(members)) => {
                        let wish = wish(rules, unknown, operation, members);
                        compare(body, done, edits, wish);
                    }
                }
            }
        }
    }
    members.is_some()
}

fn compare(
    body: &[u8],
    done: Result<(), Why<'_>>,
    mut edits: Vec<Edit<'_>>,
    wish: Option<Map<String, Value>>,
) {
    if let Err(why) = done {
        let mut explanation = String::new();
        why.explain(&mut explanation);
        assert!(explanation.ends_with('.'), "{explanation}");
        assert!(wish.is_none() || matches!(why, Why::TooManyUnknown { .. }), "{why:?}");
        return;
    }
    let mut wish = wish.expect("it must be refused");
    assert_eq!(applied(body, &mut edits), Value::Object(wish.clone()));
    // With the gateway's own edits it must be right too.
    let Ok(ask) = peek(body) else { return };
    let Some(model) = &ask.model else { return };
    edits.push(Edit::new(model.span.clone(), b"\"other\""));
    wish.insert("model".to_owned(), "other".into());
    let options = wish.get("stream_options").cloned();
    edits.extend(edit::include_usage(&ask));
    // An operation that does not know it has dropped it: then there is nothing to ask for in it.
    if let Some(mut options) =
        options.or_else(|| ask.places.stream_options.is_none().then_some(Value::Null))
    {
        if options.is_null() {
            options = Value::Object(Map::new());
        }
        options["include_usage"] = true.into();
        wish.insert("stream_options".to_owned(), options);
        assert_eq!(applied(body, &mut edits), Value::Object(wish));
    }
}

fn applied(body: &[u8], edits: &mut [Edit<'_>]) -> Value {
    edit::sort(edits);
    for pair in edits.windows(2) {
        assert!(pair[0].span.end <= pair[1].span.start, "{edits:?}");
    }
    let mut out = Vec::new();
    edit::apply(body, edits, &mut out);
    let text = String::from_utf8_lossy(&out);
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {text}"))
}
