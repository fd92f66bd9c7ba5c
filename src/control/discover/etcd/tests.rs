//! What values become; who asks is tried against a real etcd by tests/clients.

use super::*;
use crate::config;
use crate::control::discover::etcd::follow::Kept;

fn question(entry: &str) -> Question {
    let text = format!(
        "[[upstream]]\nname = \"u\"\ndiscover = {{ etcd = \"/llm/\"{entry} }}\n\
         [[model]]\nname = \"m\"\nupstream = \"u\"\n"
    );
    let (file, errors) = config::read(&text, "ringway.toml");
    assert_eq!(errors, []);
    let discover = file.upstreams[0].discover[0].clone();
    Question { discover, datacenter: None, region: Some("eu".into()), access: None }
}

fn keys(pairs: &[(&str, &str)]) -> Keys {
    let kept = |value: &str| Kept { value: value.as_bytes().to_vec(), revision: 1 };
    pairs.iter().map(|(key, value)| (key.as_bytes().to_vec(), kept(value))).collect()
}

#[test]
fn a_value_that_is_wrong_leaves_out_its_key_alone() {
    let keys = keys(&[
        ("/llm/b", "{\"address\": \"10.0.0.1:80\"}"),
        ("/llm/a", "{\"url\": \"http://a\", \"region\": \"us\"}"),
        ("/llm/c", "{\"url\": \"http://c\", \"wieght\": 1}"),
        ("/llm/d", "http://d"),
    ]);
    let (endpoints, wrong) = read(&keys, &question(", weight = 3"));
    let shown = endpoints.iter().map(|endpoint| {
        (endpoint.url.text.as_str(), endpoint.weight, endpoint.traits.region.as_deref())
    });
    let expected = [("http://a", 3, Some("us")), ("http://10.0.0.1", 3, Some("eu"))];
    assert_eq!(shown.collect::<Vec<_>>(), expected, "in the order of their keys");
    assert_eq!(wrong.keys().collect::<Vec<_>>(), ["/llm/c", "/llm/d"]);
    assert!(wrong["/llm/d"].starts_with("is no JSON"), "{wrong:?}");
}

#[test]
fn the_entry_s_region_wins_over_the_registry_s() {
    let keys = keys(&[("/llm/a", "{\"url\": \"http://a\"}")]);
    let (endpoints, _) = read(&keys, &question(", region = \"ap\""));
    assert_eq!(endpoints[0].traits.region.as_deref(), Some("ap"));
}

#[test]
fn an_upstream_takes_so_many_and_no_more() {
    let mut many = Keys::new();
    for key in 0..5000 {
        let kept = Kept { value: format!("{{\"url\": \"http://h{key}\"}}").into(), revision: 1 };
        many.insert(format!("{key:05}").into_bytes(), kept);
    }
    let (endpoints, wrong) = read(&many, &question(""));
    assert_eq!((endpoints.len(), wrong.len()), (LIST_MAX, 1));
}
