//! What stays the same from snapshot to snapshot.

use super::*;
use crate::admission::key::KeyDigest;
use rustls::RootCertStore;
use std::collections::HashMap;

fn world(roots: usize) -> World {
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().take(roots).cloned().collect();
    World {
        addresses: HashMap::from([("a.example".to_owned(), vec!["192.0.2.1".parse().unwrap()])]),
        system_roots: Some(RootCertStore { roots }),
        ..World::default()
    }
}

fn text(models: &str) -> String {
    format!(
        "[[upstream]]\nname = \"u\"\nendpoints = [{{ url = \"https://a.example\" }}]\n\
         [[upstream]]\nname = \"v\"\nendpoints = [{{ url = \"https://a.example\" }}]\n{models}"
    )
}

fn file(models: &str) -> config::File {
    config::parse(&text(models), "a.toml").unwrap()
}

const MODEL: &str = "[[model]]\nname = \"m\"\nupstream = \"u\"\n";

#[test]
fn the_same_roots_are_one_configuration_and_keep_it() {
    let mut ledger = Ledger::default();
    let tls = |snapshot: &Snapshot, index: usize| {
        Arc::clone(&snapshot.endpoints[index].tls.as_ref().unwrap().config)
    };
    let first = build(&file(MODEL), &world(2), &mut ledger, 1).unwrap();
    assert!(Arc::ptr_eq(&tls(&first, 0), &tls(&first, 1)));
    assert_eq!(tls(&first, 0).alpn_protocols, [b"http/1.1".to_vec()]);
    assert_ne!(first.endpoints[0].slot, first.endpoints[1].slot, "a pool belongs to one upstream");

    let same = build(&file(MODEL), &world(2), &mut ledger, 2).unwrap();
    assert!(Arc::ptr_eq(&tls(&first, 0), &tls(&same, 0)));
    assert_eq!(first.endpoints[0].slot, same.endpoints[0].slot);
    assert!(diff(&first, &same).is_empty());

    let other = build(&file(MODEL), &world(1), &mut ledger, 3).unwrap();
    assert!(!Arc::ptr_eq(&tls(&first, 0), &tls(&other, 0)));
    assert_ne!(first.endpoints[0].slot, other.endpoints[0].slot, "it trusts others: another pool");
    assert_eq!(diff(&first, &other).len(), 2);
}

#[test]
fn who_waits_for_the_same_places_stands_in_the_same_line() {
    let mut ledger = Ledger::default();
    let upstream = |name: &str, endpoints: &str, lines: &str| {
        let urls: Vec<_> =
            endpoints.split(' ').map(|host| format!("{{ url = \"http://{host}\" }}")).collect();
        format!("[[upstream]]\nname = \"{name}\"\nendpoints = [{}]\n{lines}\n", urls.join(", "))
    };
    let mut groups = |text: &str| -> Vec<GroupId> {
        let file = config::parse(&format!("{text}{MODEL}"), "a.toml").unwrap();
        let snapshot = build(&file, &world(1), &mut ledger, 1).unwrap();
        snapshot.upstreams.iter().map(|upstream| upstream.group).collect()
    };
    let plain = upstream("u", "a b", "max_in_flight = 1");
    let first = groups(&plain)[0];
    // Others come before it, and go again.
    let two = groups(&format!("{}{plain}", upstream("v", "a b", "max_in_flight = 1")));
    assert_eq!(two[1], first);
    assert_ne!(two[0], first, "their own places");
    assert_eq!(groups(&upstream("u", "a b", "max_in_flight = 1\nslow_start_ms = 9")), [first]);
    // There are more, or others.
    let mut seen = vec![first, two[0]];
    for (endpoints, lines) in [
        ("a b c", "max_in_flight = 1"),
        ("a", "max_in_flight = 1"),
        ("a b", "max_in_flight = 2"),
        ("a b", ""),
        ("a b", "max_in_flight = 1\npool = { connections_max = 3 }"),
    ] {
        let group = groups(&upstream("u", endpoints, lines))[0];
        assert!(!seen.contains(&group), "{endpoints} {lines}");
        seen.push(group);
    }
}

#[test]
fn without_roots_there_is_no_tls() {
    let errors = build(&file(MODEL), &world(0), &mut Ledger::default(), 1).unwrap_err();
    assert_eq!(errors.len(), 2);
    assert!(errors[0].text.contains("ca = \"PATH\""), "{}", errors[0]);
}

#[test]
fn lanes_run_out_and_a_refused_build_takes_none() {
    let mut ledger = Ledger::default();
    let many = |name: &str, count: usize| -> String {
        let model = |n| format!("[[model]]\nname = \"{name}{n}\"\nupstream = \"u\"\n");
        (0..count).map(model).collect()
    };
    build(&file(&many("a", LANES_MAX - 1)), &world(1), &mut ledger, 1).unwrap();
    let errors = build(&file(&many("b", 2)), &world(1), &mut ledger, 2).unwrap_err();
    assert!(errors[0].text.contains("restart"), "{}", errors[0]);
    let last = build(&file(&many("b", 1)), &world(1), &mut ledger, 2).unwrap();
    assert_eq!(last.models[0].lane.index(), LANES_MAX - 1);
}

#[test]
fn lanes_and_slots_that_nobody_holds_are_used_again() {
    let mut ledger = Ledger::with_room(2, 2);
    let at = |model: &str, url: &str| {
        let text = format!(
            "[[upstream]]\nname = \"u\"\nendpoints = [{{ url = \"http://{url}\" }}]\n\
             [[model]]\nname = \"{model}\"\nupstream = \"u\"\n"
        );
        config::parse(&text, "a.toml").unwrap()
    };
    let make = |ledger: &mut Ledger, number: u64, model: &str, url: &str| {
        build(&at(model, url), &World::default(), ledger, number)
    };
    let ids = |snapshot: &Snapshot| {
        let (endpoint, model) = (&snapshot.endpoints[0], &snapshot.models[0]);
        ((endpoint.slot.0, endpoint.generation), (model.lane.0, model.lane_generation))
    };
    let first = make(&mut ledger, 1, "a", "192.0.2.1").unwrap();
    let second = make(&mut ledger, 2, "b", "192.0.2.2").unwrap();
    assert_eq!((ids(&first), ids(&second)), (((0, 0), (0, 0)), ((1, 0), (1, 0))));
    let errors = make(&mut ledger, 3, "c", "192.0.2.3").unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors.iter().any(|error| error.text.contains("RINGWAY_ENDPOINTS_MAX")), "{errors:?}");
    // The first is let go.
    ledger.note_held(|slot| slot.0 == 1, |lane| lane.0 == 1);
    let third = make(&mut ledger, 3, "c", "192.0.2.3").unwrap();
    assert_eq!(ids(&third), ((0, 1), (0, 1)));
    // Who was known before and is not any more is another one.
    ledger.note_held(|slot| slot.0 == 0, |lane| lane.0 == 0);
    let fourth = make(&mut ledger, 4, "a", "192.0.2.1").unwrap();
    assert_eq!(ids(&fourth), ((1, 1), (1, 1)));
}

const TENANTS: usize = 10_000;
const KEYS: usize = 100_000;

fn digest(number: usize) -> KeyDigest {
    KeyDigest::of(&number.to_le_bytes())
}

fn many_tenants(requests_per_minute: usize) -> config::File {
    let tenant = |n| {
        format!(
            "[[tenant]]\nname = \"tenant-{n}\"\nlimits = {{ requests_per_minute = {requests_per_minute}, \
             tokens_per_minute = 200000, concurrent = 50 }}\naddresses = {{ allow = [\"10.0.0.0/8\"] }}\n"
        )
    };
    let tenants: String = (0..TENANTS).map(tenant).collect();
    let top = "[keys]\npath = \"keys.jsonl\"\n";
    config::parse(&format!("{top}{}{tenants}", text(MODEL)), "a.toml").unwrap()
}

fn many_keys(first: usize) -> Arc<config::KeyFile> {
    let line = |n: usize| {
        let (digest, tenant) = (digest(n).to_hex(), n % TENANTS);
        format!(
            "{{\"sha256\":\"{digest}\",\"tenant\":\"tenant-{tenant}\",\"id\":\"key-{n}\",\"models\":[\"m\"],\
             \"limits\":{{\"requests_per_minute\":60}}}}\n"
        )
    };
    let text: String = (first..first + KEYS).map(line).collect();
    let (keys, errors) = config::keys::read(&text, "keys.jsonl");
    assert!(errors.is_empty(), "{errors:?}");
    Arc::new(keys)
}

#[test]
fn ten_thousand_tenants_and_a_hundred_thousand_keys() {
    let mut ledger = Ledger::default();
    let with =
        |keys: &Arc<config::KeyFile>| World { key_files: vec![Arc::clone(keys)], ..world(1) };
    let (file, keys) = (many_tenants(600), many_keys(1));
    let first = build(&file, &with(&keys), &mut ledger, 1).unwrap();
    assert_eq!((first.admission.tenants.len(), first.keys.len()), (TENANTS, KEYS));
    for number in (1..=KEYS).step_by(997) {
        let key = first.keys.get(first.keys.find_digest(digest(number)).unwrap());
        assert_eq!(key.name, format!("key-{number}"));
        assert_eq!(
            *first.admission.tenants[key.tenant.index()].name,
            *format!("tenant-{}", number % TENANTS)
        );
        assert_eq!((key.models.unwrap().models(), key.limits.len()), (&[ModelId(0)][..], 1));
    }

    // Nothing about keys has changed: they are the same, whoever read them.
    let same = build(&many_tenants(700), &with(&many_keys(1)), &mut ledger, 2).unwrap();
    assert!(Arc::ptr_eq(&first.keys, &same.keys));
    let changes = diff(&first, &same);
    assert_eq!(changes.len(), 11, "{changes:?}");
    assert_eq!(changes[10], "9990 more tenants changed");

    // A thousand keys have gone and a thousand have come.
    let other = build(&file, &with(&many_keys(1001)), &mut ledger, 3).unwrap();
    assert_eq!(first.admission.tenants[7].limits, other.admission.tenants[7].limits, "back again");
    assert!(first.keys.find_digest(digest(1000)).is_some());
    assert_eq!(other.keys.find_digest(digest(1000)), None);
    let find = |snapshot: &Snapshot| {
        let key = snapshot.keys.get(snapshot.keys.find_digest(digest(5000)).unwrap());
        (key.name.to_owned(), key.limits.to_vec())
    };
    assert_eq!(find(&first), find(&other), "what is used of a limit stays used");
    let changes = diff(&first, &other);
    assert_eq!(changes.len(), 22, "{changes:?}");
    assert!(changes.contains(&"990 more keys added".to_owned()), "{changes:?}");
    assert!(changes.contains(&"990 more keys removed".to_owned()), "{changes:?}");
}

#[test]
fn limits_keep_their_numbers_while_they_are_the_same() {
    let mut ledger = Ledger::default();
    let mut limits = |limits: &str| -> Vec<u32> {
        let model = format!("{MODEL}limits = {{ {limits} }}\n");
        let snapshot = build(&file(&model), &world(1), &mut ledger, 1).unwrap();
        snapshot.admission.models[0].limits.iter().map(|limit| limit.id.0).collect()
    };
    assert_eq!(limits("requests_per_minute = 5, concurrent = 2"), [0, 1]);
    assert_eq!(limits("concurrent = 2, requests_per_minute = 6"), [2, 1]);
    assert_eq!(limits("requests_per_minute = 5, algorithm = \"fixed_window\""), [3]);
    assert_eq!(limits("requests_per_minute = 5, concurrent = 2"), [0, 1]);
    let wrong = format!("{MODEL}limits = {{ concurrent = 9 }}\nmiddleware = [\"no\"]\n");
    build(&file(&wrong), &world(1), &mut ledger, 2).unwrap_err();
    let next = format!("{MODEL}limits = {{ concurrent = 8 }}\n");
    let next = build(&file(&next), &world(1), &mut ledger, 2).unwrap();
    assert_eq!(next.admission.models[0].limits[0].id.0, 4, "a refused build takes none");
}

#[test]
fn keys_that_were_fetched_are_used_and_those_that_were_not_are_missing() {
    let jwt = "[[jwt]]\njwks = { url = \"https://a.example/k\" }\n";
    let keys = |jwks: &[(usize, &[u8])]| {
        let jwks = jwks.iter().map(|(index, text)| (*index, text.to_vec())).collect();
        let world = World { jwks, ..world(1) };
        let file = file(&format!("{MODEL}{jwt}"));
        build(&file, &world, &mut Ledger::default(), 1).unwrap().admission.issuers[0].keys.len()
    };
    let good = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    assert_eq!(keys(&[]), 0);
    assert_eq!(keys(&[(0, b"<html>")]), 0);
    assert_eq!(keys(&[(0, good)]), 1);
}

/// The words of the config are those of admission.
#[test]
fn every_algorithm_is_known_under_its_name() {
    for name in config::ALGORITHMS {
        assert!(admission::jwks::Algorithm::from_name(name).is_some(), "{name}");
    }
    assert_eq!(config::ALGORITHMS.len(), admission::jwks::Algorithm::ALL.len());
    assert_eq!(config::LIMIT_MAX, admission::limit::LIMIT_MAX);
}
