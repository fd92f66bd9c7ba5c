//! What stays the same from snapshot to snapshot.

use super::*;
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
