//! Keys: found by their secrets and by nothing else, packed and whole again.

#![allow(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]

use std::time::Duration;

use super::*;
use crate::admission::limit::Algorithm;
use crate::admission::limit::Kind;
use crate::admission::limit::Rule;
use crate::admission::limit::Scope;
use crate::units::ModelId;
use crate::units::QuotaId;

fn secret(number: usize) -> String {
    format!("secret-{number}")
}

fn limit(number: usize) -> Limit {
    let rule = Rule::new(Kind::Requests, Algorithm::TokenBucket, 60, Duration::from_secs(60), None);
    Limit { id: QuotaId(number as u32), scope: Scope::Key, rule }
}

fn key(number: usize) -> Key {
    Key {
        name: "k".repeat(number % 5).into(),
        tenant: TenantId(number as u32 / 3),
        expires_unix_s: number.is_multiple_of(2).then_some(number as u64),
        models: number
            .is_multiple_of(3)
            .then(|| [ModelId(number as u32 % 6)].into_iter().collect()),
        limits: (0..number % 4).map(|more| limit(number * 4 + more)).collect(),
    }
}

fn keys(count: usize) -> Keys {
    Keys::new((0..count).map(|number| (KeyDigest::of(secret(number).as_bytes()), key(number))))
        .unwrap()
}

#[test]
fn each_is_found_by_its_secret_and_has_what_it_was_given() {
    for count in [0, 1, 2, 3, 7, 8, 9, 1000] {
        let keys = keys(count);
        assert_eq!((keys.len(), keys.is_empty()), (count, count == 0));
        for number in 0..count {
            let id = keys.find(secret(number).as_bytes()).unwrap();
            assert_eq!(id, KeyId(number as u32));
            let (view, given) = (keys.get(id), key(number));
            assert_eq!((view.name, view.tenant), (&*given.name, given.tenant));
            assert_eq!(view.expires_unix_s, given.expires_unix_s);
            assert_eq!(view.models, given.models.as_ref());
            assert_eq!(view.limits, &*given.limits);
        }
        for no in ["", "secret-", "secret-1000", "Secret-0", "secret-0 "] {
            assert_eq!(keys.find(no.as_bytes()), None, "{no}");
        }
    }
}

#[test]
fn the_digest_itself_is_no_key() {
    let digest = KeyDigest::of(b"secret-0");
    assert_eq!(keys(3).find(&digest.0), None);
    assert_eq!(keys(3).find(digest.to_hex().as_bytes()), None);
    assert_eq!(keys(3).find_digest(digest), Some(KeyId(0)));
}

#[test]
fn the_same_secret_twice_is_refused() {
    let twice = [0, 1, 2, 1].map(|number| (KeyDigest::of(secret(number).as_bytes()), key(number)));
    assert_eq!(Keys::new(twice.into_iter()).unwrap_err(), SameKey { first: 1, second: 3 });
}

/// Digests that all fall into the last slot: probing goes around, and ends.
#[test]
fn crowded_slots_are_walked_around() {
    let digest = |number: u8| {
        let mut bytes = [0xFF; 32];
        bytes[31] = number;
        KeyDigest(bytes)
    };
    let keys = Keys::new((0..100).map(|number| (digest(number), key(0)))).unwrap();
    for number in 0..100 {
        assert_eq!(keys.find_digest(digest(number)), Some(KeyId(number.into())));
    }
    assert_eq!(keys.find_digest(digest(100)), None);
}

#[test]
fn equal_model_lists_are_kept_once_and_keys_stay_small() {
    let models: ModelSet = (0..50).map(ModelId).collect();
    let plain = |number: usize| Key {
        name: format!("key-{number:06}").into(),
        tenant: TenantId(0),
        expires_unix_s: None,
        models: Some(models.clone()),
        limits: Box::default(),
    };
    let digests = (0..10_000).map(|number| KeyDigest::of(&usize::to_le_bytes(number)));
    let keys =
        Keys::new(digests.enumerate().map(|(number, digest)| (digest, plain(number)))).unwrap();
    assert_eq!(keys.sets.len(), 1);
    // 32 of digest, 24 of entry, 10 of name, 4 for each slot of which a quarter to a half is in use.
    assert!(keys.bytes() / keys.len() <= 66 + 16, "{}", keys.bytes() / keys.len());
}

#[test]
fn digests_are_read_in_either_case_and_shown_in_part() {
    let text = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
    let digest = KeyDigest::from_hex(text).unwrap();
    assert_eq!(digest, KeyDigest::of(b"abc"));
    assert_eq!(digest.to_hex(), text.to_lowercase());
    assert_eq!(format!("{digest:?}"), "ba7816bf..");
    for wrong in [
        "",
        text.split_at(1).1,
        &format!("{text}0"),
        &text.replace('B', "G"),
        &text.replace("BA", "+1"),
    ] {
        assert_eq!(KeyDigest::from_hex(wrong), None, "{wrong}");
    }
}
