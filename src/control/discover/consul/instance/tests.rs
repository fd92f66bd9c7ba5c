//! Instances as Consul shows them, good and bad.

use super::*;
use crate::control::discover::consul::tests::discover;
use serde_json::Value;
use serde_json::json;

fn question() -> Question {
    let discover = discover("llm", &[]);
    Question { discover, datacenter: None, region: None, access: None }
}

/// An instance with this service.
fn instance(service: Value) -> Instance {
    let node = json!({ "Node": "n1", "Address": "10.0.0.1", "Datacenter": "dc1", "Meta": null });
    serde_json::from_value(json!({ "Node": node, "Service": service, "Checks": null })).unwrap()
}

fn read(service: Value) -> Result<Endpoint, String> {
    instance(service).endpoint(&question())
}

#[test]
fn the_address_is_the_services_or_else_the_nodes() {
    for (address, expected) in [
        ("", "http://10.0.0.1:8000"),
        ("10.2.0.1", "http://10.2.0.1:8000"),
        ("gpu-1.internal", "http://gpu-1.internal:8000"),
        ("2001:db8::1", "http://[2001:db8::1]:8000"),
    ] {
        let endpoint = read(json!({ "ID": "a", "Address": address, "Port": 8000 })).unwrap();
        assert_eq!(endpoint.url.text, expected);
        assert_eq!((endpoint.weight, endpoint.traits.region.as_deref()), (1, Some("dc1")));
    }
}

#[test]
fn meta_wins_over_tags_and_tags_over_the_file() {
    let tags = ["gpu", "weight=3", "zone=a", "version=1.2.0", "drain=true"];
    let meta = json!({
        "ringway-weight": "5", "ringway-region": "eu", "ringway-model": "llama-3",
        "ringway-capacity": "64", "ringway-headroom": "0", "ringway-https": "true",
        "ringway-path": "/x", "other": "thing",
    });
    let weights = json!({ "Passing": 9, "Warning": 1 });
    let service =
        json!({ "ID": "a", "Port": 8000, "Tags": tags, "Meta": meta, "Weights": weights });
    let mut question = question();
    question.discover.traits.zone = Some("b".to_owned());
    question.discover.traits.capacity = Some(1);
    let endpoint = instance(service).endpoint(&question).unwrap();
    assert_eq!(endpoint.url.text, "https://10.0.0.1:8000/x");
    assert_eq!(endpoint.weight, 5);
    let some = |text: &str| Some(text.to_owned());
    let expected = Traits {
        region: some("eu"),
        zone: some("a"),
        model: some("llama-3"),
        version: some("1.2.0"),
        capacity: Some(64),
        headroom: Some(0),
        is_draining: true,
    };
    assert_eq!(endpoint.traits, expected);
}

#[test]
fn who_says_nothing_has_what_the_file_says_for_all() {
    let mut question = question();
    question.discover.weight = 7;
    question.discover.is_https = true;
    question.discover.path_prefix = "/api".to_owned();
    let weight = |question: &Question, passing: i64| {
        let weights = json!({ "Passing": passing, "Warning": 1 });
        instance(json!({ "ID": "a", "Port": 1, "Weights": weights })).endpoint(question).unwrap()
    };
    let endpoint = weight(&question, 1);
    assert_eq!((endpoint.url.text.as_str(), endpoint.weight), ("https://10.0.0.1:1/api", 7));
    assert_eq!(weight(&question, 4).weight, 4);
    question.region = Some("eu-1".to_owned());
    assert_eq!(weight(&question, 1).traits.region.as_deref(), Some("eu-1"));
    question.discover.traits.region = Some("eu-2".to_owned());
    assert_eq!(weight(&question, 1).traits.region.as_deref(), Some("eu-2"));
}

#[test]
fn what_is_wrong_is_said() {
    for (service, says) in [
        (json!({ "Port": 0 }), "has the port 0"),
        (json!({ "Port": 70_000 }), "has the port 70000"),
        (json!({ "Port": 1, "Tags": ["weight=1001"] }), "weight is \"1001\""),
        (json!({ "Port": 1, "Tags": ["capacity=0"] }), "from 1 to 1000000"),
        (json!({ "Port": 1, "Tags": ["drain=yes"] }), "write true or false"),
        (json!({ "Port": 1, "Tags": ["zone="] }), "zone may not be empty"),
        (json!({ "Port": 1, "Tags": ["zone= a"] }), "zone begins or ends with a space"),
        (json!({ "Port": 1, "Tags": ["version=a@1"] }), "write the version alone"),
        (json!({ "Port": 1, "Meta": { "ringway-model": "a\nb" } }), "model has a control"),
        (json!({ "Port": 1, "Meta": { "ringway-path": "x" } }), "begin it with a slash"),
        (json!({ "Port": 1, "Address": "a b" }), "is not a host"),
        (json!({ "Port": 1, "Weights": { "Passing": 5000 } }), "Weights.Passing is 5000"),
        (json!({ "Port": 1, "Weights": { "Passing": -1 } }), "Weights.Passing is -1"),
    ] {
        let why = read(service.clone()).unwrap_err();
        assert!(why.contains(says), "{service}: {why}");
    }
    let nowhere = serde_json::from_value::<Instance>(json!({ "Service": { "Port": 1 } })).unwrap();
    assert_eq!(nowhere.endpoint(&question()), Err("has no address".to_owned()));
}
